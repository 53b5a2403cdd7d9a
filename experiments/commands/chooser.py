"""A policy that chooses the runs of a sweep, as commands see it, and what its runs took."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.commands.console import console
from experiments.shared.words import several
from scaling.accounting import account
from sweeps.deciding import Decided
from sweeps.decisions import Policy, seen
from sweeps.plan import Plan

FLAGS = {"halving": "--tune", "law": "--adapt"}
"""Options that choose runs, by the name of their policy in `about`."""


class Chooser(NamedTuple):
    """A policy that chooses runs, and what commands print of it.

    Attributes:
        policy: The policy.
        about: JSON values that say which policy it is, with which settings.
        say: Prints what was found, and returns it as JSON values.
    """

    policy: Policy
    about: Mapping[str, Any]
    say: Callable[[Decided], dict[str, Any]]


def say_cost(plan: Plan, decided: Decided, flag: str) -> dict[str, Any]:
    """Prints what the chosen runs take, of what all runs would; returns it.

    Args:
        plan: All runs.
        decided: What was chosen.
        flag: The option without which the command does all runs.
    """
    chosen, whole = _flops(plan, decided)
    decisions = several(len(decided.decisions), "decision")
    console.print(
        f"{decisions} chose {chosen:.3g} FLOPs of the {whole:.3g} of all {len(plan.runs):,} "
        f"runs ({chosen / whole:.1%})"
    )
    if decided.n_failed:
        failed = several(decided.n_failed, "chosen run")
        console.print(f"{failed} failed and count as lost; the same command tries them again")
    ended = {outcome.run_id for outcome in seen(decided.decisions) if outcome.step is None}
    if decided.complete and len(ended) < len(plan.runs):
        console.print(f"Without {flag} the same command does the rest")
    elif not decided.complete:
        lacking = several(decided.n_lacking, "chosen run")
        console.print(f"{flag} has not come to an end: {lacking} to do. The same command goes on")
    return {
        "complete": decided.complete,
        "decisions": len(decided.decisions),
        "failed": decided.n_failed,
        "lacking": decided.n_lacking,
        "flops": chosen,
        "flops_of_all": whole,
    }


def _flops(plan: Plan, decided: Decided) -> tuple[float, float]:
    """FLOPs of the runs that were chosen, each until the last step chosen, and of all runs."""
    furthest: dict[str, float] = {}
    for decision in decided.decisions:
        for run_id, step in decision.choice.jobs.items():
            furthest[run_id] = max(furthest.get(run_id, 0), math.inf if step is None else step)
    chosen = whole = 0.0
    for run, config in zip(plan.runs, plan.configs, strict=True):
        whole += account(config).flops_train
        if (step := furthest.get(run.run_id)) is not None:
            chosen += account(config, None if math.isinf(step) else int(step)).flops_train
    return chosen, whole
