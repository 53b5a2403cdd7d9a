"""Sweeps that choose their runs: successive halving, and decisions that survive."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from paused_runs import BEST, DONE, RATE, STEPS, loss, perform, plan_of
from paused_runs import run as planted

from scaling.config import RunConfig
from scaling.record import Curve, RunRecord, differences
from scaling.sealed import seal
from scaling.workspace import Workspace
from sweeps import publishing
from sweeps.deciding import Decided, run_deciding
from sweeps.decisions import Choice, Decision, Journal, Outcome, seen
from sweeps.files import StoreError
from sweeps.halving import best, contest
from sweeps.plan import Plan, make_plan
from sweeps.pool import Stops
from sweeps.runner import Summary
from sweeps.store import Store

NINE = tuple(BEST * 3.0**k for k in range(-5, 4))
ABOUT = {"policy": "halving", "reduction": 3, "rungs": 3}


def rates_of(plan: Plan, jobs: Stops) -> dict[float, int | None]:
    """Rates that a choice sends on, each with the step of its rung."""
    by_id = {run.run_id: run.config["train"]["optimizer"]["learning_rate"] for run in plan.runs}
    return {by_id[run_id]: step for run_id, step in jobs.items()}


def halved(
    store: Store, plan: Plan, reduction: float = 3, n_rungs: int = 3, **more: Any
) -> Decided:
    policy = contest(plan, [RATE], reduction, n_rungs).policy
    about: Mapping[str, Any] = {"policy": "halving", "reduction": reduction, "rungs": n_rungs}
    doing = more.get("doing") or partial(perform, store, plan)
    return run_deciding(store, plan, policy, about, doing)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "results")


def test_of_nine_settings_three_go_on_and_then_one_in_each_group(store: Store):
    plan = plan_of(*NINE, depths=(1, 2))
    decided = halved(store, plan)
    assert decided.complete
    first, second, third, last = (rates_of(plan, each.choice.jobs) for each in decided.decisions)
    assert first == dict.fromkeys(NINE, 10)
    assert second == dict.fromkeys(sorted(NINE, key=lambda rate: loss(rate, 0, 10))[:3], 30)
    assert third == {BEST: None} and not last
    found = best(contest(plan, [RATE], 3, 3), seen(decided.decisions))
    winners = [(each[0].values, each[1]) for each in found if each]
    assert winners == [({RATE: BEST}, loss(BEST, 0, STEPS))] * 2
    # Each group has done 9 * 10 + 3 * 20 + 60 of its 9 * 90 steps, and no step twice.
    attempts = [len(store.attempts(run.run_id)) for run in plan.runs]
    assert sorted(attempts) == [1] * 12 + [2] * 4 + [3] * 2
    # Decided again, from what each decision saw, all is the same.
    policy = contest(plan, [RATE], 3, 3).policy
    for number, decision in enumerate(decided.decisions):
        assert policy(decided.decisions[:number], decision.news) == decision.choice


def test_the_same_call_does_nothing_and_a_plain_one_does_the_rest(store: Store, tmp_path: Path):
    plan = plan_of(*NINE)
    halved(store, plan)
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    again = halved(store, plan, doing=lambda stops: pytest.fail("nothing is left to do"))
    assert again.complete and again.summary is None
    assert before == {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}

    everything: Stops = dict.fromkeys((run.run_id for run in plan.runs), None)
    perform(store, plan, everything)
    alone = Store.create(tmp_path / "alone")
    perform(alone, plan, everything)
    for run, record in zip(plan.runs, alone.read(plan), strict=True):
        text = store.text(run.run_id)
        assert text is not None and not differences(text, record)


def test_killed_between_decision_and_runs_it_continues_with_the_same_decisions(
    store: Store, tmp_path: Path
):
    plan = plan_of(*NINE)
    undisturbed = Store.create(tmp_path / "undisturbed")
    truth = halved(undisturbed, plan)

    journal = Journal(store, {"plan": plan.plan_id, **ABOUT})

    class Killed(BaseException):
        pass

    def until(number: int, half: bool, stops: Stops) -> Summary:
        """Decision `number` is made, and perhaps half of it done, when the process is killed."""
        if len(journal.read()) < number:
            return perform(store, plan, stops)
        if half:
            perform(store, plan, dict(list(stops.items())[: len(stops) // 2 + 1]))
        raise Killed

    for number, half in itertools.product((1, 2, 3), (False, True)):
        with pytest.raises(Killed):
            halved(store, plan, doing=partial(until, number, half))
        assert tuple(journal.read()) == truth.decisions[:number]
    assert halved(store, plan).decisions == truth.decisions


def test_an_interruption_and_runs_that_nobody_did_end_the_call(store: Store):
    plan = plan_of(*NINE)
    for summary in (Summary((), True, False, (), 0.0), DONE):
        decided = halved(store, plan, doing=lambda stops, summary=summary: summary)
        assert len(decided.decisions) == 1 and not decided.complete
    assert halved(store, plan).complete


def test_the_first_of_two_commands_decides_for_both(store: Store):
    journal = Journal(store, {"plan": "x", "policy": "y"})
    first = Decision((Outcome("a", "done", None, 1.5),), Choice({"b": 3, "c": None}))
    journal.append(1, first)
    journal.append(1, Decision((), Choice({"d": None})))
    assert journal.read() == [first]
    assert Journal(store, {"plan": "x", "policy": "z"}).read() == []


def altered(path: Path) -> None:
    path.write_text(path.read_text().replace('"number"', '"numbar"', 1))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def of_something_else(path: Path) -> None:
    path.write_text(seal("decision", ["a", "list"]))


@pytest.mark.parametrize(("number", "harm"), [(1, altered), (2, a_pipe), (3, of_something_else)])
def test_a_damaged_decision_is_set_aside_and_the_others_stand(
    store: Store, number: int, harm: Callable[[Path], None]
):
    plan = plan_of(*NINE)
    truth = halved(store, plan).decisions
    (folder,) = (store.root / "decisions").iterdir()
    harm(folder / f"{number:06d}.json")
    decided = halved(store, plan)
    assert decided.complete and len(list(store.quarantine.glob("*.json-*"))) == 2
    later = [each.choice for each in decided.decisions[number:]]
    assert later[: len(truth) - number] == [each.choice for each in truth[number:]]
    # What the damaged one saw is seen once more, and sends nobody on.
    assert not any(choice.jobs for choice in later[len(truth) - number :])
    assert len(store.pending(run.run_id for run in plan.runs)) == 8


def test_a_damaged_decision_that_cannot_be_set_aside_ends_the_call_in_words(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    plan = plan_of(*NINE)
    halved(store, plan, doing=lambda stops: DONE)
    (path,) = (store.root / "decisions").glob("*/*.json")
    path.write_text("{")

    def refuses(*args: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr("sweeps.decisions.files.set_aside", refuses)
    with pytest.raises(StoreError, match="is damaged and cannot be set aside"):
        halved(store, plan)


def test_a_paused_record_that_is_damaged_is_made_again(store: Store):
    plan = plan_of(*NINE)
    run_id = plan.runs[0].run_id
    halved(store, plan, doing=lambda stops: DONE)
    perform(store, plan, {run_id: 10})
    path = store.paused_path(run_id, 10)
    path.write_text(path.read_text()[:-20])
    assert store.paused(run_id, 10) is None and not store.has_paused(run_id, 10)
    assert halved(store, plan).complete and store.paused(run_id, 10) is not None


def test_what_is_gone_of_chosen_runs_is_done_again_by_the_same_call(store: Store):
    plan = plan_of(*NINE, 2.0)  # the last diverges at its first rung
    truth = halved(store, plan)
    winner = next(run for run, step in truth.decisions[2].choice.jobs.items() if step is None)
    worst, diverged = plan.runs[0].run_id, plan.runs[-1].run_id
    store.result_path(winner).write_text("torn")
    store.reopen(diverged, "it was to be done again")
    (step,) = store.paused_steps(worst)
    store.paused_path(worst, step).unlink()

    lacking = halved(store, plan, doing=lambda stops: DONE)
    assert (lacking.complete, lacking.n_lacking) == (False, 3)
    again = halved(store, plan)
    assert again.complete and again.decisions == truth.decisions
    assert store.is_published(winner) and store.has_paused(worst, step)
    assert store.record(diverged, {}).status == "diverged"
    assert halved(store, plan).summary is None


def test_an_attempt_for_which_another_was_faster_leaves_the_run_paused(store: Store):
    plan = plan_of(*NINE)
    run_id, config = plan.runs[0].run_id, plan.runs[0].config
    perform(store, plan, {run_id: 10})
    late = publishing.claim(store, run_id, 2, config)
    assert late is not None
    publishing.end(store, late, "superfluous")
    assert store.record(run_id, config).status == "paused"
    # One that began, and was told to stop, is no pause.
    begun = publishing.claim(store, run_id, 3, config)
    assert begun is not None
    publishing.end(store, begun, "interrupted")
    assert store.record(run_id, config).status == "missing"


def test_what_was_published_before_is_known_and_costs_nothing(store: Store):
    plan = plan_of(*NINE)
    halved(store, plan, doing=lambda stops: DONE)
    known = {
        run.run_id for run in plan.runs if run.config["train"]["optimizer"]["learning_rate"] == BEST
    }
    perform(store, plan, dict.fromkeys(known, None))
    decided = halved(store, plan, 2, 3)  # other settings make other decisions
    assert {outcome.run_id for outcome in decided.decisions[0].news} == known
    assert all(known.isdisjoint(each.choice.jobs) for each in decided.decisions)
    ((setting, _),) = best(contest(plan, [RATE], 2, 3), seen(decided.decisions))
    assert setting.values == {RATE: BEST}


def test_divergence_ranks_last_and_the_next_takes_the_place_of_a_failure(store: Store):
    rates = (1e-7, BEST / 3, BEST, 2.0, 3.0)
    plan = plan_of(*rates)
    decided = halved(store, plan, 4, 2)
    assert [rates_of(plan, each.choice.jobs) for each in decided.decisions] == [
        dict.fromkeys(rates, 23),
        {BEST: None},
        {},
    ]
    assert {each.status for each in decided.decisions[1].news} == {"failed", "paused", "diverged"}
    # Where everything diverges nothing goes on, and no setting is best.
    worse = plan_of(2.0, 3.0, 4.0)
    assert halved(store, worse).complete
    assert best(contest(worse, [RATE], 3, 3), seen(halved(store, worse).decisions)) == [None]


def test_a_run_that_failed_is_tried_again_by_the_same_call_and_competes_once_it_is_done(
    store: Store,
):
    plan = plan_of(*NINE)
    fails = {"now": True}

    def broken(config: RunConfig, workspace: Workspace) -> tuple[RunRecord, Curve]:
        if fails["now"] and config.train.optimizer.learning_rate == BEST:
            raise MemoryError("on purpose")
        return planted(config, workspace)

    doing = partial(perform, store, plan, run=broken)
    first = halved(store, plan, doing=doing)
    assert first.complete and first.n_failed == 1
    assert [each and each[0].values for each in winners(plan, first)] == [{RATE: BEST * 3}]
    # It fails once more: tried, and nothing new is decided.
    again = halved(store, plan, doing=doing)
    assert again.summary is not None and again.decisions == first.decisions
    fails["now"] = False
    last = halved(store, plan, doing=doing)
    assert last.complete and not last.n_failed
    assert last.decisions[: len(first.decisions)] == first.decisions
    assert [each and each[0].values for each in winners(plan, last)] == [{RATE: BEST}]
    assert halved(store, plan, doing=lambda stops: pytest.fail("nothing is left")) == replace(
        last, summary=None
    )


def winners(plan: Plan, decided: Decided):
    return best(contest(plan, [RATE], 3, 3), seen(decided.decisions))


def test_what_others_publish_meanwhile_is_known_to_the_next_decision(store: Store):
    plan = plan_of(*NINE)
    mine, others, last = (plan.runs[n].run_id for n in (0, 1, 2))

    def policy(past: Sequence[Decision], news: Sequence[Outcome]) -> Choice:
        known = {outcome.run_id for outcome in seen(past, news)}
        left = [run_id for run_id in (mine, last) if run_id not in known]
        return Choice(dict.fromkeys(left[:1]), None if left else "all are known")

    def doing(stops: Stops) -> Summary:
        return perform(store, plan, {**stops, others: None})

    decided = run_deciding(store, plan, policy, ABOUT, doing)
    assert [{each.run_id for each in decision.news} for decision in decided.decisions] == [
        set(),
        {mine, others},
        {last},
    ]


def outcomes(plan: Plan, step: int, losses: Mapping[tuple[float, int], float]) -> list[Outcome]:
    return [
        Outcome(
            run.run_id,
            "paused",
            step,
            losses[each["optimizer"]["learning_rate"], run.config["seed"]],
        )
        for run in plan.runs
        for each in [run.config["train"]]
    ]


def test_the_next_takes_the_place_of_one_that_fails_after_it_went_on():
    plan = plan_of(0.01, 0.02, 0.04)
    policy = contest(plan, [RATE], 3, 3).policy
    first = Decision((), policy((), ()))
    news = outcomes(plan, 10, {(rate, 0): rate for rate in (0.01, 0.02, 0.04)})
    second = Decision(tuple(news), policy([first], news))
    assert rates_of(plan, second.choice.jobs) == {0.01: 30}
    third = policy([first, second], [news[0]._replace(status="failed", step=30, loss=None)])
    assert rates_of(plan, third.jobs) == {0.02: 30}


@pytest.mark.parametrize(("gap", "go_on"), [(0.02, 2), (0.2, 1)])
def test_a_setting_that_seeds_cannot_tell_from_the_last_goes_on_too(gap: float, go_on: int):
    """Seeds shift all settings alike by far more, which says nothing."""
    plan = plan_of(0.01, 0.02, 0.04, n_seeds=3)
    noise = {(0.01, 0): 0.02, (0.01, 2): -0.02, (0.02, 0): -0.02, (0.02, 1): 0.02}
    losses = {
        (rate, seed): 5.0 * seed + place + noise.get((rate, seed), 0.0)
        for rate, place in ((0.01, 1.0), (0.02, 1.0 + gap), (0.04, 2.0))
        for seed in range(3)
    }
    policy = contest(plan, [RATE], 3, 2).policy
    start = Decision((), policy((), ()))
    choice = policy([start], outcomes(plan, 30, losses))
    assert list(rates_of(plan, choice.jobs)) == [0.01, 0.02][:go_on]
    assert len(choice.jobs) == 3 * go_on


def test_a_rung_that_is_not_complete_promotes_one_in_so_many(store: Store):
    """The rule of ASHA: what a rung has so far decides; more go on as more arrive."""
    plan = plan_of(*NINE)
    policy = contest(plan, [RATE], 3, 3).policy
    start = Decision((), policy((), ()))
    news = outcomes(plan, 10, {(rate, 0): rate for rate in NINE})
    assert not policy([start], news[:2]).jobs
    two = policy([start], news[3:])
    assert list(rates_of(plan, two.jobs)) == [NINE[3], NINE[4]]
    more = policy([start, Decision(tuple(news[3:]), two)], news[:3])
    assert list(rates_of(plan, more.jobs)) == list(NINE[:3])


@pytest.mark.parametrize(
    ("tuned", "reduction", "n_rungs", "says"),
    [
        ("train.optimizer.b2", 3, 3, "what varies between runs is train.optimizer.learning_rate"),
        ("seed", 3, 3, "no field that can be tuned"),
        (RATE, 1, 3, "reduction = 1"),
        (RATE, math.nan, 3, "reduction = nan"),
        (RATE, 3, 1, "rungs = 1"),
        (RATE, 3, 9, "do not fit into runs of 90 steps"),
    ],
)
def test_contests_that_cannot_be_are_refused(tuned: str, reduction: float, n_rungs: int, says: str):
    with pytest.raises(ValueError, match=says):
        contest(plan_of(0.01, 0.02, n_seeds=2), [tuned], reduction, n_rungs)


def test_runs_that_cannot_pause_are_refused():
    from trivial_runs import config

    plan = make_plan("solved", [config(0, 5), config(0, 6)])
    with pytest.raises(ValueError, match="'ridgeless' cannot pause"):
        contest(plan, ["model.n_features"], 3, 3)


def test_a_decision_is_one_small_sealed_file(store: Store):
    plan = plan_of(*NINE)
    halved(store, plan)
    files = sorted((store.root / "decisions").glob("*/*.json"))
    assert [path.name for path in files] == [f"{n:06d}.json" for n in (1, 2, 3, 4)]
    content = json.loads(files[1].read_text())["decision"]
    assert content["number"] == 2 and content["about"]["policy"] == "halving"
    assert len(content["news"]) == 9
