"""Sweeps that choose their runs: decide, publish the decision, do it, look, decide again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.record import Status
from sweeps import publishing
from sweeps.decisions import Choice, Decision, Journal, Outcome, Policy, seen
from sweeps.plan import Plan
from sweeps.pool import Stops
from sweeps.runner import Summary
from sweeps.store import Store


@dataclass(frozen=True)
class Decided:
    """The decisions of a sweep, and what became of the last call that did runs.

    Without a `stop` in the last decision, the call ended early: the same one continues. Then
    `n_lacking` runs were chosen that have no outcome yet, or none that is still there.
    """

    decisions: tuple[Decision, ...]
    summary: Summary | None
    n_lacking: int = 0

    @property
    def complete(self) -> bool:
        """Whether the policy wants nothing more, and has all that it wanted."""
        ended = bool(self.decisions) and self.decisions[-1].choice.stop is not None
        return ended and not self.n_lacking

    @property
    def n_failed(self) -> int:
        """Number of chosen runs that failed, for all that the decisions have seen."""
        return len(_failed(self.decisions))


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

    Runs keep the identity that they have in the plan: those that others have published are known
    to the policy, and a plain call of `run_sweeps` does what is left. Runs that failed in an
    earlier call are tried again, and what comes of it is decided about. Those whose results are
    gone, damaged or reopened, are done again.

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
    begins = True
    while True:
        past = tuple(journal.read())
        now = past[-1].choice if past else Choice({})
        again = {**_failed(past), **_gone(store, past)} if begins else {}
        if jobs := {**again, **now.jobs}:
            summary = perform(jobs)
        news, n_lacking = _news(store, plan, past)
        has_ended = now.stop is not None and not news
        if has_ended or n_lacking or (summary is not None and not summary.settled):
            return Decided(past, summary, n_lacking + len(_gone(store, past)))
        begins = False
        # What is chosen is on the disk before it is done. Another command may have been faster.
        choice = policy(past, news)
        if not choice.jobs and choice.stop is None:
            raise ValueError("the policy chose no run and gave no reason to stop: give one of them")
        journal.append(len(past) + 1, Decision(news, choice))


def _failed(past: Sequence[Decision]) -> Stops:
    """The runs that were last seen to fail, each with the step that it was to reach."""
    known = _known(past)
    return {
        run_id: step
        for (run_id, step), status in known.items()
        if status == "failed" and known.get((run_id, None), status) == status
    }


def _gone(store: Store, past: Sequence[Decision]) -> Stops:
    """The runs whose last outcome was seen and is no longer there, with the steps to reach."""
    asked = dict(job for decision in past for job in decision.choice.jobs.items())
    reached = {
        outcome.run_id: asked.get(outcome.run_id)
        for outcome in seen(past)
        if outcome.status != "failed" and outcome.step in (None, asked.get(outcome.run_id))
    }
    return {
        run_id: reached[run_id]
        for run_id in store.pending(reached)
        if not _has_paused(store, run_id, reached[run_id])
    }


def _known(past: Sequence[Decision]) -> dict[tuple[str, int | None], Status]:
    """What became of runs at steps, None for their end, by what decisions have seen."""
    return {(outcome.run_id, outcome.step): outcome.status for outcome in seen(past)}


def _news(store: Store, plan: Plan, past: Sequence[Decision]) -> tuple[tuple[Outcome, ...], int]:
    """Outcomes that no decision has seen yet, and the number of chosen runs that have none."""
    known = _known(past)
    chosen = dict.fromkeys(job for decision in past for job in decision.choice.jobs.items())
    published = [(run.run_id, None) for run in plan.runs if store.seems_published(run.run_id)]
    news: dict[tuple[str, int | None], Outcome] = {}
    n_lacking = 0
    for run_id, step in (*chosen, *published):
        before = known.get((run_id, step))
        if before is None and (run_id, None) in known and not _has_paused(store, run_id, step):
            continue
        if before not in (None, "failed"):
            continue
        outcome = _outcome(store, run_id, step)
        if outcome is None:
            n_lacking += before is None and (run_id, step) in chosen
        elif outcome.status != known.get((run_id, outcome.step)):
            news[run_id, outcome.step] = outcome
    return tuple(news.values()), n_lacking


def _has_paused(store: Store, run_id: str, step: int | None) -> bool:
    return step is not None and store.has_paused(run_id, step)


def _outcome(store: Store, run_id: str, step: int | None) -> Outcome | None:
    """What is known of a run that was to be done until a step, None for its end."""
    if step is not None and (paused := store.paused(run_id, step)) is not None:
        return Outcome(run_id, "paused", step, paused.eval_loss_nats)
    record = store.record(run_id, {})
    if record.status in ("done", "diverged"):
        return Outcome(run_id, record.status, None, record.eval_loss_nats)
    return Outcome(run_id, "failed", step) if record.status == "failed" else None
