"""Runs chosen as results arrive: planted laws are found for less, within what was allowed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from planted import CHINCHILLA as TRUTH

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.laws import CHINCHILLA, KAPLAN_C
from analysis.planning.adaptive import CHECK_SHARE, Aim, Grid, Next, check, choose
from analysis.planning.design_search import cheapest_to_reach, variance_after

X = np.array(list(itertools.product(np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 2e10, 6))))
GRID = Grid(X, 6 * X.prod(axis=1))
ALL = float(GRID.prices.sum())
AIM = Aim(CHINCHILLA, "alpha", 0.04, ALL, bootstrap=Bootstrap(n=200))


def losses(noise: float = 0.002, seed: int = 0) -> Floats:
    theta = CHINCHILLA.to_theta(np.array(TRUTH))
    errors = noise * np.random.default_rng(seed).standard_normal(len(X))
    return np.exp(CHINCHILLA.log_predict(theta, np.log(X)) + errors)


def done(aim: Aim, y: Floats, failing: frozenset[int] = frozenset()) -> tuple[Floats, Next]:
    """What is known when nothing more is chosen, each step checked."""
    known, open_ = np.full(len(y), np.nan), np.ones(len(y), dtype=bool)
    spent = 0.0
    while True:
        found = choose(aim, GRID, known, open_, spent)
        assert found == choose(aim, GRID, known, open_, spent)
        if found.stop is not None:
            assert not found.runs and spent <= aim.flops
            return known, found
        runs = list(found.runs)
        assert open_[runs].all() and len(set(runs)) == len(runs)
        spent += float(GRID.prices[runs].sum())
        open_[runs] = False
        for run in set(runs) - failing:
            known[run] = y[run]


def test_the_interval_becomes_narrow_for_a_small_part_of_the_grid():
    y = losses()
    known, found = done(AIM, y)
    assert found.stop == "the interval is narrow enough"
    assert found.low is not None and found.high is not None
    assert found.high - found.low <= AIM.width and found.low <= TRUTH[3] <= found.high
    spent = GRID.prices[np.isfinite(known)].sum() / ALL
    # The grid in its own order, four runs at a time.
    for n_rows in range(AIM.n_first, len(y), 4):
        plain = np.where(np.arange(len(y)) < n_rows, y, np.nan)
        fitted = choose(AIM, GRID, plain, np.isnan(plain), 0.0)
        if fitted.low is not None and fitted.high is not None:
            if fitted.high - fitted.low <= AIM.width:
                break
    assert spent < 0.5 * GRID.prices[:n_rows].sum() / ALL


def test_a_law_that_holds_for_cheap_runs_alone_is_found_out():
    """Dear runs lie 5 % above it: the interval is not believed until a dear run is predicted."""
    y = losses() * np.where(GRID.prices > 3e18, 1.05, 1.0)
    known, found = done(AIM, y)
    dear = np.isfinite(known) & (GRID.prices > 3e18)
    assert dear.any() and found.stop != "the interval is narrow enough"
    # Where the law holds, the dearest run is a third of all, or nearly the dearest there is.
    known, _ = done(AIM, losses())
    prices = GRID.prices[np.isfinite(known)]
    assert prices.max() >= CHECK_SHARE * prices.sum()


def test_a_budget_ends_it_and_runs_that_fail_are_done_without():
    known, found = done(replace(AIM, width=1e-4, flops=ALL / 20), losses())
    assert found.stop == "the budget is spent" and found.value is not None
    assert 1 / 40 < GRID.prices[np.isfinite(known)].sum() / ALL <= 1 / 20
    failing = frozenset(range(0, len(X), 3))
    known, found = done(AIM, losses(), failing)
    assert found.stop == "the interval is narrow enough"
    assert not np.isfinite(known[list(failing)]).any()


def test_all_runs_may_not_be_enough():
    few = np.array([0, 5, 30, 35])
    grid = Grid(X[few], GRID.prices[few])
    nothing = np.full(4, np.nan)
    first = choose(AIM, grid, nothing, np.ones(4, dtype=bool), 0.0)
    assert set(first.runs) < set(range(4)) and 0 in first.runs
    last = choose(AIM, grid, losses()[few], np.zeros(4, dtype=bool), ALL)
    assert last == Next(stop="all runs are done")


def test_the_first_runs_are_spread_over_the_cheaper_half():
    first = choose(AIM, GRID, np.full(len(X), np.nan), np.ones(len(X), dtype=bool), 0.0).runs
    assert len(first) == AIM.n_first == 10
    assert first[0] == np.argmin(GRID.prices)
    assert GRID.prices[list(first)].max() <= np.median(GRID.prices)
    assert min(len(np.unique(X[list(first), column])) for column in (0, 1)) >= 5


def test_a_goal_is_reached_by_rows_of_which_none_can_be_left_out():
    rng = np.random.default_rng(0)
    rows, prices = rng.normal(size=(12, 3)), rng.uniform(1, 10, 12)
    target = np.array([1.0, 0.5, -0.5])
    taken = cheapest_to_reach(rows, prices, target, 0.3, np.inf)
    assert variance_after(rows[taken], target) <= 0.3 and len(set(taken)) == len(taken)
    for row in taken:
        assert variance_after(rows[[each for each in taken if each != row]], target) > 0.3
    # No set of so few rows is cheaper by more than a half.
    sets = itertools.chain.from_iterable(
        itertools.combinations(range(12), n) for n in range(1, len(taken) + 1)
    )
    least = min(
        prices[list(each)].sum() for each in sets if variance_after(rows[list(each)], target) <= 0.3
    )
    assert prices[taken].sum() <= 1.5 * least
    # Without the money it goes as far as it can, and takes no row twice.
    some = cheapest_to_reach(rows, prices, target, 1e-9, 8.0)
    assert 0 < prices[some].sum() <= 8
    assert len(cheapest_to_reach(rows, prices, target, 1e-9, np.inf)) == 12


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"quantity": "alfa"}, "did you mean 'alpha'"),
        ({"width": 0.0}, "width = 0"),
        ({"flops": float("inf")}, "flops = inf"),
        ({"flops": 1e3}, "flops = 1000 buys no run: the cheapest takes 1.2e"),
        ({"batch": 0}, "batch = 0"),
        ({"quantity": "loss"}, "the loss is known at N and D"),
        ({"at": {"N": 1e9, "D": 1e10}}, "no other quantity is at any"),
        ({"quantity": "loss", "at": {"N": 1e9, "D": -1.0}}, "D = -1"),
        ({"quantity": "loss", "at": {"N": 1e9, "D": 1e10}, "law": KAPLAN_C}, "law of C, so N and"),
    ],
)
def test_aims_that_cannot_be_reached_are_refused(change: dict, says: str):
    with pytest.raises(ValueError, match=says):
        check(replace(AIM, **change), GRID)


def test_an_input_that_does_not_vary_is_refused():
    one_size = Grid(X[:6], GRID.prices[:6])
    with pytest.raises(ValueError, match=r"N is 1e\+07 in every run, so chinchilla, a law of N, D"):
        check(AIM, one_size)


def test_derived_numbers_and_losses_are_aims_as_well():
    for change in (
        {"quantity": "a", "width": 0.05},
        {"quantity": "loss", "at": {"N": 1e10, "D": 1e11}, "width": 0.1},
    ):
        aim = replace(AIM, **change)
        check(aim, GRID)
        _, found = done(aim, losses())
        assert found.stop == "the interval is narrow enough"


def test_rows_that_determine_nothing_are_added_to(monkeypatch: pytest.MonkeyPatch):
    def refuses(*args: object, **more: object) -> None:
        raise FitError("on purpose")

    monkeypatch.setattr("analysis.planning.adaptive.fit", refuses)
    known, found = done(replace(AIM, flops=ALL / 50), losses())
    assert found == Next(stop="the budget is spent") and np.isfinite(known).sum() > AIM.n_first
