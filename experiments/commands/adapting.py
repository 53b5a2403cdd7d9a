"""The runs that shrink the interval of one number of a law most for their FLOPs: `--adapt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analysis.planning.adaptive import Aim, Grid, check, choose
from experiments.commands import show
from experiments.commands.chooser import Chooser, say_cost
from experiments.commands.console import console
from experiments.commands.fit import load_law
from experiments.commands.options.training import ChoosingOptions
from experiments.commands.pairs import AT
from scaling.accounting import Account, account
from sweeps.deciding import Decided
from sweeps.decisions import Choice, Decision, Outcome, seen
from sweeps.plan import Plan

_BATCH = 4


def chooser(plan: Plan, options: ChoosingOptions) -> Chooser:
    """Choice by a law, with the options of a command.

    Raises:
        ValueError: an option that is lacking, or what `check` refuses.
    """
    assert options.adapt is not None
    for name in ("quantity", "width", "flops"):
        if getattr(options, name) is None:
            raise ValueError(
                f"--adapt {options.adapt} needs --{name}: give --quantity, its interval's --width "
                "and the budget in --flops, e.g. --quantity alpha --width 0.05 --flops 1e15"
            )
    law = load_law(options.adapt, "--adapt")
    if unknown := [name for name in law.inputs if name not in _INPUTS]:
        raise ValueError(
            f"--adapt {law.name}: it is a law of {', '.join(law.inputs)}, and a plan says no "
            f"{unknown[0]} of its runs. Give a law of {', '.join(_INPUTS)}, e.g. chinchilla"
        )
    accounts = [account(config) for config in plan.configs]
    grid = Grid(
        np.array([[_INPUTS[name](each) for name in law.inputs] for each in accounts], np.float64),
        np.array([each.flops_train for each in accounts], np.float64),
    )
    assert options.quantity is not None and options.width is not None and options.flops is not None
    aim = Aim(
        law=law,
        quantity=options.quantity,
        width=options.width,
        flops=options.flops,
        at=None if options.at is None else AT.parse_numbers(options.at),
        batch=_BATCH if options.batch is None else options.batch,
    )
    check(aim, grid)
    about = {
        "policy": "law",
        "law": options.adapt,
        "quantity": aim.quantity,
        "at": aim.at,
        "width": aim.width,
        "flops": aim.flops,
        "batch": aim.batch,
    }
    adaptive = _Adaptive(aim, grid, tuple(run.run_id for run in plan.runs))
    return Chooser(adaptive.choose, about, partial(_say, aim, plan))


def _tokens(counts: Account) -> float:
    return counts.n_examples_seen if counts.n_tokens_seen is None else counts.n_tokens_seen


_INPUTS = {
    "N": lambda counts: counts.n_params_total,
    "D": _tokens,
    "C": lambda counts: counts.flops_train,
}
"""Inputs of laws as `scaling fit` reads them from a results folder."""


@dataclass(frozen=True)
class _Adaptive:
    """A policy: runs by number, as `analysis.planning.adaptive` sees them."""

    aim: Aim
    grid: Grid
    run_ids: tuple[str, ...]

    def choose(self, past: Sequence[Decision], news: Sequence[Outcome]) -> Choice:
        """Chooses the next runs."""
        numbers = {run_id: number for number, run_id in enumerate(self.run_ids)}
        y = np.full(len(numbers), np.nan)
        chosen = np.zeros(len(numbers), dtype=bool)
        for decision in past:
            chosen[[numbers[run_id] for run_id in decision.choice.jobs]] = True
        open_ = ~chosen
        for outcome in seen(past, news):
            open_[numbers[outcome.run_id]] = False
            if outcome.status == "done":
                if outcome.loss is None:
                    raise ValueError(
                        f"run {outcome.run_id} has no held-out loss in nats, which a law is fitted "
                        "to: leave --adapt out"
                    )
                y[numbers[outcome.run_id]] = outcome.loss
        spent = float(self.grid.prices[chosen].sum())
        found = choose(self.aim, self.grid, y, open_, spent)
        facts = {"value": found.value, "low": found.low, "high": found.high, "spent": spent}
        return Choice({self.run_ids[run]: None for run in found.runs}, found.stop, facts)


def _say(aim: Aim, plan: Plan, decided: Decided) -> dict[str, Any]:
    """Prints the number with its interval, why no more is done, and what it took."""
    last = decided.decisions[-1].choice
    value, low, high = (last.facts.get(name) for name in ("value", "low", "high"))
    at = "" if aim.at is None else " at " + ", ".join(f"{k} = {v:.4g}" for k, v in aim.at.items())
    show.print_title(plan.name)
    if value is None or low is None or high is None:
        console.print(f"{aim.law.name}: its runs do not determine {aim.quantity}{at} yet")
    else:
        console.print(
            f"{aim.quantity}{at} of {aim.law.name}: {value:.4g} [{low:.4g}, {high:.4g}], "
            f"{aim.bootstrap.level:.0%}; width {high - low:.3g}, {aim.width:.3g} asked for"
        )
    if last.stop is not None:
        console.print(f"No more runs are chosen: {last.stop}")
    found = {"quantity": aim.quantity, "value": value, "low": low, "high": high, "stop": last.stop}
    return {**found, **say_cost(plan, decided, "--adapt")}
