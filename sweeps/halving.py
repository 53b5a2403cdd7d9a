"""Successive halving: of many settings, the best after some steps go on, and so forth.

Runs that compete are equal but for the fields to be tuned and their seed. All of them are trained
for a part of their own length, to the first rung; of each group the best one in `reduction` goes on
to the next rung, `reduction` times as far, until the best reach their end (Jamieson and Talwalkar
2016, arXiv 1502.07943; the rule of who is promoted is that of ASHA, Li et al. 2020, arXiv
1810.05934, algorithm 2). Settings go on as well that their seeds cannot tell from the last one
promoted, as in racing (Birattari et al. 2002, "A racing algorithm for configuring
metaheuristics").

A rung is a prefix of the run itself: the same schedule, paused and measured. So no step is taken
twice, and the runs that reach their end are those of the plain sweep, bit for bit. It also means
that rungs compare losses before the learning rate has decayed: where a setting is behind until it
decays, late rungs or a smaller `reduction` are needed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from scaling.config import RunConfig
from scaling.fields import flatten, to_dict
from scaling.pretraining import Pretraining
from sweeps.decisions import Choice, Decision, Outcome, Policy, seen
from sweeps.plan import Plan
from sweeps.pool import Stops

_LIKE = 2.0
"""Standard errors within which a setting is taken to be as good as another."""
_ROUNDING = 1e-9

_Values = tuple[tuple[str, Any], ...]
_Known = Mapping[tuple[str, int | None], Outcome]
_Sent = Set[tuple[str, int | None]]


class Entry(NamedTuple):
    """A run that competes.

    Attributes:
        run_id: The run.
        seed: Its seed; runs of one seed are compared with each other.
        rungs: Step of each rung; the last is its end.
    """

    run_id: str
    seed: int
    rungs: tuple[int, ...]

    def step(self, rung: int) -> int | None:
        """Step after which it is to pause at a rung; None at its end."""
        return None if rung == len(self.rungs) - 1 else self.rungs[rung]


class Setting(NamedTuple):
    """Values of the fields to be tuned, by path, and the runs that have them: one for each seed."""

    values: Mapping[str, Any]
    runs: tuple[Entry, ...]


class Group(NamedTuple):
    """Settings that compete.

    Attributes:
        values: Values of the fields that set the group apart from others.
        settings: The settings, in the order of the plan.
    """

    values: Mapping[str, Any]
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Halving:
    """A contest.

    Attributes:
        groups: Who competes with whom.
        reduction: Of so many settings at a rung one goes on.
        n_rungs: Number of rungs, the end of the runs included.
    """

    groups: tuple[Group, ...]
    reduction: float
    n_rungs: int

    @property
    def policy(self) -> Policy:
        """The contest as a policy."""
        return partial(choose, self)


class _Standing(NamedTuple):
    """The progress of a setting through the rungs.

    Attributes:
        losses: Loss of each run by its seed, at each rung where all were measured that go on;
            infinite where one diverged, and where none of them can reach the end.
        entered: Number of rungs that it was sent to; all where its runs have ended.
        ended: Whether nothing is left to do of its runs.
    """

    losses: Mapping[int, Mapping[int, float]]
    entered: int
    ended: bool

    def mean(self, rung: int) -> float:
        """Mean loss over its runs at a rung where it was measured."""
        return math.fsum(self.losses[rung].values()) / len(self.losses[rung])


def contest(plan: Plan, tuned: Sequence[str], reduction: float, n_rungs: int) -> Halving:
    """Divides the runs of a plan into groups whose settings compete.

    Args:
        plan: The runs.
        tuned: Fields to be tuned, by path.
        reduction: Of so many settings at a rung one goes on; above 1.
        n_rungs: Number of rungs, the end of the runs included; at least 2.

    Raises:
        ValueError: a field that does not vary, runs that cannot pause or are too short, an
            impossible `reduction` or number of rungs.
    """
    if not (math.isfinite(reduction) and reduction > 1):
        raise ValueError(
            f"reduction = {reduction:g}: one of so many settings goes on to the next rung. Give "
            "more than 1, e.g. 2"
        )
    if n_rungs < 2:
        raise ValueError(
            f"rungs = {n_rungs}: give at least 2, the last of which is the end of runs"
        )
    flat = [_flat(config) for config in plan.configs]
    paths = dict.fromkeys(path for each in flat for path in each)
    varying = [path for path in paths if len({each.get(path) for each in flat}) > 1]
    for path in tuned:
        if path not in varying or path == "seed":
            others = ", ".join(each for each in varying if each != "seed") or "nothing"
            raise ValueError(
                f"{path!r} is no field that can be tuned here: what varies between runs is "
                f"{others}. Name one of these, or give it more values"
            )
    apart = [path for path in varying if path not in ("seed", *tuned)]
    found: dict[_Values, dict[_Values, list[Entry]]] = {}
    for run, config, each in zip(plan.runs, plan.configs, flat, strict=True):
        entry = Entry(run.run_id, config.seed, _rungs(config, reduction, n_rungs))
        group, setting = (tuple((path, each.get(path)) for path in own) for own in (apart, tuned))
        found.setdefault(group, {}).setdefault(setting, []).append(entry)
    groups = tuple(
        Group(dict(own), tuple(Setting(dict(of), tuple(runs)) for of, runs in settings.items()))
        for own, settings in found.items()
    )
    return Halving(groups, reduction, n_rungs)


def _flat(config: RunConfig) -> dict[str, Any]:
    """Fields of a run as declared, by path; a list is its text."""
    fields = flatten(to_dict(config))
    return {path: str(each) if isinstance(each, list) else each for path, each in fields.items()}


def _rungs(config: RunConfig, reduction: float, n_rungs: int) -> tuple[int, ...]:
    """The step of each rung of a run, which grow by the factor `reduction` up to its end."""
    if not isinstance(config.train, Pretraining):
        raise ValueError(
            f"train.kind = {config.train.kind!r} cannot pause and be resumed, which successive "
            "halving needs: use 'pretraining', or run all of the sweep"
        )
    total = config.train.length(config.model, config.data).steps
    rungs = tuple(math.ceil(total / reduction**k) for k in reversed(range(n_rungs)))
    if any(low >= high for low, high in itertools.pairwise(rungs)):
        raise ValueError(
            f"{n_rungs} rungs in steps of a factor {reduction:g} do not fit into runs of "
            f"{total:,} steps: give fewer rungs"
        )
    return rungs


def choose(halving: Halving, past: Sequence[Decision], news: Sequence[Outcome]) -> Choice:
    """Sends the best settings of every group on to their next rung; a `Policy`."""
    known = {(outcome.run_id, outcome.step): outcome for outcome in seen(past, news)}
    sent = {(run, step) for decision in past for run, step in decision.choice.jobs.items()}
    # What was measured at a rung was sent there, perhaps by a decision that is lost.
    sent |= {(run, step) for run, step in known if step is not None}
    jobs: dict[str, int | None] = {}
    for group in halving.groups:
        jobs |= _promoted(group, halving, known, sent)
    return Choice(jobs, None if jobs else "no setting is left that goes further")


def best(halving: Halving, outcomes: Sequence[Outcome]) -> list[tuple[Setting, float] | None]:
    """The setting with the lowest mean loss at the end of its runs, of each group that has one."""
    known = {(outcome.run_id, outcome.step): outcome for outcome in outcomes}
    end = halving.n_rungs - 1
    found: list[tuple[Setting, float] | None] = []
    for group in halving.groups:
        standings = [_standing(each, end, known, frozenset()) for each in group.settings]
        losses = [each.mean(end) if end in each.losses else math.inf for each in standings]
        loss = min(losses)
        found.append((group.settings[losses.index(loss)], loss) if math.isfinite(loss) else None)
    return found


def _promoted(group: Group, halving: Halving, known: _Known, sent: _Sent) -> Stops:
    """The runs of a group that go on to their next rung, each with the step of that."""
    end = halving.n_rungs - 1
    standings = [_standing(each, end, known, sent) for each in group.settings]
    jobs: dict[str, int | None] = {}
    for setting, standing in zip(group.settings, standings, strict=True):
        if not standing.entered:
            jobs |= _to(setting, 0, known)
    all_entered = all(each.entered for each in standings)
    for rung in range(end):
        # Of a run that was done before only the end is known: it does not compete until then.
        here = {
            number: each
            for number, each in enumerate(standings)
            if each.entered > rung and (rung in each.losses or not each.ended)
        }
        measured = [number for number, each in here.items() if rung in each.losses]
        n_best = math.floor(len(measured) / halving.reduction + _ROUNDING)
        if all_entered and len(measured) == len(here):  # nobody else comes, and one goes on
            n_best = max(1, n_best)
        for number in _leading(rung, [here[number] for number in measured], n_best):
            setting, standing = group.settings[measured[number]], here[measured[number]]
            if standing.entered == rung + 1 and math.isfinite(standing.mean(rung)):
                jobs |= _to(setting, rung + 1, known)
    return jobs


def _leading(rung: int, standings: Sequence[_Standing], n_best: int) -> list[int]:
    """Numbers of the best standings at a rung, with those that seeds cannot tell from the last."""
    ranked = sorted(range(len(standings)), key=lambda number: standings[number].mean(rung))
    if not 0 < n_best < len(ranked):
        return ranked[:n_best]
    limit = standings[ranked[n_best - 1]].mean(rung) + _LIKE * _error(rung, standings)
    alike = [number for number in ranked[n_best:] if standings[number].mean(rung) < limit]
    return ranked[:n_best] + alike


def _error(rung: int, standings: Sequence[_Standing]) -> float:
    """Standard error of the difference of two settings' mean losses, over the seeds of all.

    It is that of a two-way layout, in which every seed shifts all settings alike. Without two seeds
    that several settings share it is 0: nothing is known of the noise.
    """
    rows = [each.losses[rung] for each in standings if math.isfinite(each.mean(rung))]
    seeds = set.intersection(*(set(row) for row in rows)) if rows else set[int]()
    if len(rows) < 2 or len(seeds) < 2:
        return 0.0
    by_row = [math.fsum(row[seed] for seed in seeds) / len(seeds) for row in rows]
    by_seed = {seed: math.fsum(row[seed] for row in rows) / len(rows) for seed in seeds}
    middle = math.fsum(by_row) / len(rows)
    squares = math.fsum(
        (row[seed] - of_row - by_seed[seed] + middle) ** 2
        for row, of_row in zip(rows, by_row, strict=True)
        for seed in seeds
    )
    variance = squares / ((len(rows) - 1) * (len(seeds) - 1))
    return math.sqrt(2 * variance / len(seeds))


def _to(setting: Setting, rung: int, known: _Known) -> Stops:
    """The runs of a setting that have neither ended nor failed, to be done until a rung."""
    return {run.run_id: run.step(rung) for run in setting.runs if not _has_ended(run, known)}


def _standing(setting: Setting, end: int, known: _Known, sent: _Sent) -> _Standing:
    """How far a setting has come, whose last rung is number `end`."""
    ended = all(_has_ended(run, known) for run in setting.runs)
    entered = [
        rung + 1
        for rung in range(end + 1)
        if any((run.run_id, run.step(rung)) in sent for run in setting.runs)
    ]
    losses: dict[int, Mapping[int, float]] = {}
    for rung in range(end + 1):
        found = {run: _loss(run, rung, known) for run in setting.runs}
        waiting = any(loss is None and not _has_ended(run, known) for run, loss in found.items())
        measured = {run.seed: loss for run, loss in found.items() if loss is not None}
        if measured and not waiting:
            losses[rung] = measured
    if ended and end not in losses:  # all have failed: the next best takes the place
        losses = {rung: dict.fromkeys(measured, math.inf) for rung, measured in losses.items()}
    return _Standing(losses, end + 1 if ended else max(entered, default=0), ended)


def _loss(run: Entry, rung: int, known: _Known) -> float | None:
    """Loss of a run at a rung; infinite if it diverged, None if it was not measured there."""
    end = known.get((run.run_id, None))
    if end is not None and end.status == "diverged":
        return math.inf
    outcome = known.get((run.run_id, run.step(rung)))
    return None if outcome is None else outcome.loss


def _has_ended(run: Entry, known: _Known) -> bool:
    """Whether a run is published or has failed."""
    found = [known.get((run.run_id, run.step(rung))) for rung in range(len(run.rungs))]
    return found[-1] is not None or any(each and each.status == "failed" for each in found)
