"""Sweeps that choose their runs: decide, publish the decision, do it, look, decide again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps import publishing
from sweeps.decisions import Decision, Journal, Outcome, Policy, seen
from sweeps.plan import Plan
from sweeps.pool import Stops
from sweeps.runner import Summary
from sweeps.store import Store


@dataclass(frozen=True)
class Decided:
    """The decisions of a sweep, and what became of the last call that did runs.

    Without a `stop` in the last decision, the call ended early: the same one continues.
    """

    decisions: tuple[Decision, ...]
    summary: Summary | None

    @property
    def complete(self) -> bool:
        """Whether the policy wants nothing more."""
        return bool(self.decisions) and self.decisions[-1].choice.stop is not None


def check_independent(plan: Plan) -> None:
    """Refuses a plan whose runs cannot be chosen one by one.

    Raises:
        ValueError: runs of the plan start from others of it, and could wait for one that is never
            chosen.
    """
    if any(run.parents for run in plan.runs):
        raise ValueError(
            f"{plan.name}: some runs start from others, which may not be chosen. Do all of "
            "the sweep"
        )


def run_deciding(
    store: Store,
    plan: Plan,
    policy: Policy,
    about: Mapping[str, Any],
    perform: Callable[[Stops], Summary],
) -> Decided:
    """Does those runs of a plan that a policy chooses as their outcomes arrive.

    Runs keep the identity that they have in the plan: those that were published before are known
    to the policy from the beginning, and a plain call of `run_sweeps` does what is left.

    Args:
        store: The results folder.
        plan: The runs to choose from.
        policy: What chooses.
        about: JSON values that say which policy it is, with which settings. A call with the same
            ones continues with the decisions that were made.
        perform: Does the runs that it is given until the steps that it is given (`run_sweeps` with
            `stops`).

    Raises:
        ValueError: what `check_independent` refuses, or a choice that is none.
        StoreError: the results folder cannot be written.
    """
    check_independent(plan)
    publishing.declare(store, plan)
    journal = Journal(store, {"plan": plan.plan_id, **about})
    summary: Summary | None = None
    while True:
        past = tuple(journal.read())
        now = past[-1].choice if past else None
        if now is not None and now.stop is not None:
            return Decided(past, summary)
        if now is not None and now.jobs:
            summary = perform(now.jobs)
        news, lacking = _news(store, plan, past)
        if lacking or (summary is not None and not summary.settled):
            return Decided(past, summary)
        # What is chosen is on the disk before it is done. Another command may have been faster.
        choice = policy(past, news)
        if not choice.jobs and choice.stop is None:
            raise ValueError("the policy chose no run and gave no reason to stop: give one of them")
        journal.append(len(past) + 1, Decision(news, choice))


def _news(
    store: Store, plan: Plan, past: Sequence[Decision]
) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """Outcomes that no decision has seen yet, and runs that were chosen but have none."""
    known = {(outcome.run_id, outcome.step) for outcome in seen(past)}
    asked: list[tuple[str, int | None]] = [
        (run_id, step) for decision in past for run_id, step in decision.choice.jobs.items()
    ]
    if not past:
        asked = [(run.run_id, None) for run in plan.runs if store.has_result(run.run_id)]
    news: dict[str, Outcome] = {}
    lacking: list[str] = []
    for run_id, step in asked:
        if {(run_id, step), (run_id, None)} & known:
            continue
        if (outcome := _outcome(store, run_id, step)) is not None:
            news[run_id] = outcome
        elif past:
            lacking.append(run_id)
    return tuple(news.values()), tuple(lacking)


def _outcome(store: Store, run_id: str, step: int | None) -> Outcome | None:
    """What is known of a run that was to be done until a step, None for its end."""
    record = store.record(run_id, {})
    if record.status in ("done", "diverged"):
        return Outcome(run_id, record.status, None, record.eval_loss_nats)
    paused = None if step is None else store.paused(run_id, step)
    if paused is not None:
        return Outcome(run_id, "paused", step, paused.eval_loss_nats)
    return Outcome(run_id, "failed", step) if record.status == "failed" else None
