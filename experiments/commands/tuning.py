"""The best setting of every group of runs, by successive halving: `--tune`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from experiments.commands import show
from experiments.commands.chooser import Chooser, say_cost
from experiments.commands.console import print_table
from experiments.commands.options.training import ChoosingOptions
from sweeps.deciding import Decided
from sweeps.decisions import seen
from sweeps.halving import Halving, best, contest
from sweeps.plan import Plan

_REDUCTION, _RUNGS = 2.0, 3


def chooser(plan: Plan, options: ChoosingOptions) -> Chooser:
    """Successive halving with the options of a command.

    Raises:
        ValueError: what `contest` refuses.
    """
    reduction = _REDUCTION if options.reduction is None else options.reduction
    rungs = _RUNGS if options.rungs is None else options.rungs
    halving = contest(plan, options.tune, reduction, rungs)
    about = {
        "policy": "halving",
        "tune": list(options.tune),
        "reduction": reduction,
        "rungs": rungs,
    }
    return Chooser(halving.policy, about, partial(_say, halving, plan))


def _say(halving: Halving, plan: Plan, decided: Decided) -> dict[str, Any]:
    """Prints the best setting of every group, and what it took."""
    found = best(halving, seen(decided.decisions))
    # Fields of some kinds alone follow from the kind.
    named = [
        path
        for path in halving.groups[0].values
        if all(each.values[path] is not None for each in halving.groups)
    ]
    nobody = "none" if decided.complete else "not known yet"
    rows: list[tuple[str, str, str]] = []
    bests: list[dict[str, Any]] = []
    for group, winner in zip(halving.groups, found, strict=True):
        values, loss = ({}, None) if winner is None else (winner[0].values, winner[1])
        apart = {path: group.values[path] for path in named}
        loss_shown = "" if loss is None else f"{loss:.4f}"
        rows.append((_shown(apart) or "all runs", _shown(values) or nobody, loss_shown))
        bests.append({"group": apart, "best": dict(values), "loss_nats": loss})
    show.print_title(plan.name)
    print_table(("", "best", "loss (nats)"), rows)
    return {"best": bests, **say_cost(plan, decided, "--tune")}


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{path.removesuffix('.kind').rpartition('.')[2]} {value:.4g}"
        if isinstance(value, float)
        else f"{path.removesuffix('.kind').rpartition('.')[2]} {value}"
        for path, value in values.items()
        if value is not None
    )
