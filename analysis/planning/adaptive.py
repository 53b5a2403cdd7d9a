"""Which runs of a grid to do next, until one number of a law is known well enough.

The law is fitted to the runs that are done. If the interval of the number is as narrow as it is to
be, that is all; else the runs are found that are expected to make it so for the least compute
(`analysis.planning.design`), and the first few of them are next. They change the fit, and with it
what comes after them.

An interval is believed once there are `ROWS_A_PARAMETER` rows for each parameter, nothing is
doubtful about the fit, and the law has predicted a run that is dearer than those it was fitted to:
informative runs are mostly cheap ones, and a law that holds for them alone has narrow intervals
about wrong numbers. Before there is a fit, rows are spread over the cheaper half of the grid.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import FitError, nearest_name
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.guards import positive
from analysis.laws.law import Law
from analysis.planning.design import gradients, residual_sd
from analysis.planning.design_search import cheapest_to_reach, root_of, variance_after
from analysis.planning.quantities import covariance_of, quantity_of

ROWS_A_PARAMETER = 2
"""Rows for each parameter of a law, at least, before its intervals are believed."""
CHECK_SHARE = 1 / 3
"""Part of all FLOPs so far, at least, of the run that a law is to have predicted."""


@dataclass(frozen=True)
class Aim:
    """The number that is sought, how narrow its interval is to be, and the FLOPs that it may cost.

    Attributes:
        law: The law.
        quantity: A parameter, a derived number such as "a", or "loss".
        width: Width that its interval is to have, from end to end.
        flops: Budget, as the sum of the runs' FLOPs.
        at: Of the quantity "loss": {"N": ..., "D": ...}.
        batch: Number of runs that are chosen at once.
        bootstrap: How the interval is made.
    """

    law: Law
    quantity: str
    width: float
    flops: float
    at: Mapping[str, float] | None = None
    batch: int = 4
    bootstrap: Bootstrap = Bootstrap()

    @property
    def n_first(self) -> int:
        """Number of rows before the first fit."""
        return ROWS_A_PARAMETER * len(self.law.params)


@dataclass(frozen=True)
class Grid:
    """The runs to choose from.

    Attributes:
        x: Inputs of the law, shape `(n_runs, n_inputs)`.
        prices: FLOPs of each, shape `(n_runs,)`.
    """

    x: Floats
    prices: Floats


@dataclass(frozen=True)
class Next:
    """The runs to do next, and the number as the runs so far give it.

    Attributes:
        runs: Numbers of the runs to do, the one that gains most for its price first.
        stop: Why no more is to be done; None where there are `runs`.
        value: The number so far; None where no fit gives one.
        low: Lower end of its interval.
        high: Upper end of its interval.
    """

    runs: tuple[int, ...] = ()
    stop: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


def check(aim: Aim, grid: Grid) -> None:
    """Refuses an aim that no run of a grid could reach.

    Raises:
        ValueError: No such quantity, an impossible target, an input of the law that does not vary,
            a width or a batch that is not positive, or a budget that buys no run of the grid.
    """
    law = aim.law
    positive("width", aim.width, "give the width of the interval from end to end, e.g. 0.05")
    positive("flops", aim.flops, "give the FLOPs of all runs that may be done, e.g. 1e15")
    if aim.batch < 1:
        raise ValueError(f"batch = {aim.batch}: give at least 1.")
    known = [*law.params, *law.derived(law.to_params(np.zeros(len(law.params)))), "loss"]
    if aim.quantity not in known:
        nearest = nearest_name(aim.quantity, known)
        raise ValueError(f"{law.name} has no quantity {aim.quantity!r}: {nearest}.")
    if (aim.quantity == "loss") != (aim.at is not None) or (aim.at and set(aim.at) != {"N", "D"}):
        raise ValueError(
            f"at = {None if aim.at is None else dict(aim.at)}, but the loss is known at N "
            "and D, and no other quantity is at any: give e.g. N=1e9,D=2e10 with loss."
        )
    if aim.at and (lacking := [name for name in law.inputs if name not in aim.at]):
        raise ValueError(
            f"{law.name} is a law of {', '.join(law.inputs)}, so N and D give no loss without "
            f"{lacking[0]}: choose another quantity or law."
        )
    for name, value in (aim.at or {}).items():
        positive(name, value, "give e.g. 1e9")
    for name, column in zip(law.inputs, grid.x.T, strict=True):
        if len(np.unique(column)) < 2:
            raise ValueError(
                f"{name} is {column[0]:.4g} in every run, so {law.name}, a law of "
                f"{', '.join(law.inputs)}, cannot be fitted. Let {name} vary, or choose another "
                "law."
            )
    least = float(grid.prices.min())
    if aim.flops < least:
        raise ValueError(
            f"flops = {aim.flops:.4g} buys no run: the cheapest takes {least:.4g}. Give more."
        )


def choose(aim: Aim, grid: Grid, y: Floats, open_: NDArray[np.bool_], spent: float) -> Next:
    """Chooses the next runs of a grid; a pure function.

    Args:
        aim: What is to be known.
        grid: All runs.
        y: Loss of each run, NaN where it is not known, shape `(n_runs,)`.
        open_: Which runs may be done, shape `(n_runs,)`.
        spent: FLOPs of the budget that were spent.
    """
    left = aim.flops - spent
    affordable = open_ & (grid.prices <= left)
    known = np.flatnonzero(np.isfinite(y))
    result = _fitted(aim, grid.x[known], y[known]) if len(known) >= aim.n_first else None
    found = Next() if result is None else _interval(aim, result)
    if result is not None and _is_narrow(aim, result, found):
        check_run = _check_run(grid, known, affordable)
        if check_run is not None:
            return _with(found, runs=(check_run,))
        if _predicts_dearest(aim, grid, y, known):
            return _with(found, stop="the interval is narrow enough")
    if not np.any(affordable):
        why = "the budget is spent" if np.any(open_) else "all runs are done"
        return _with(found, stop=why)
    runs: list[int] = []
    if result is not None:
        runs = _informative(aim, grid, result, found, np.flatnonzero(affordable), left)
    if not runs:
        n_runs = max(aim.n_first - len(known), aim.batch)
        runs = _spread(grid, known, affordable, left, n_runs)
    return _with(found, runs=tuple(runs))


def _with(found: Next, *, runs: tuple[int, ...] = (), stop: str | None = None) -> Next:
    return Next(runs, stop, found.value, found.low, found.high)


def _fitted(aim: Aim, x: Floats, y: Floats) -> FitResult | None:
    """The law fitted to the runs that are done; None where they do not determine it."""
    try:
        return fit(aim.law, x, y, bootstrap=aim.bootstrap)
    except FitError:
        return None


def _interval(aim: Aim, result: FitResult) -> Next:
    """The number and its interval by a fit."""
    if aim.quantity == "loss":
        assert aim.at is not None
        names = {"N": aim.at["N"], "D": aim.at["D"]}
        x = [[names[name] for name in result.law.inputs]]
        low, high = result.predict_interval(x)
        return Next(value=float(result.predict(x)[0]), low=float(low[0]), high=float(high[0]))
    if aim.quantity in result.params:
        value, ends = result.params[aim.quantity], result.intervals[aim.quantity]
    else:
        derived = result.derived()[aim.quantity]
        value, ends = derived.value, derived.interval
    low, high = map(float, ends)
    return Next(value=float(value), low=low, high=high)


def _is_narrow(aim: Aim, result: FitResult, found: Next) -> bool:
    """Whether the interval is as narrow as it is to be, and to be believed."""
    assert found.low is not None and found.high is not None
    return found.high - found.low <= aim.width and result.verdict is Verdict.CONVERGED


def _check_run(grid: Grid, known: NDArray[np.intp], affordable: NDArray[np.bool_]) -> int | None:
    """A dear run for the law to predict; None where there was one, or none can be had.

    It costs at most as much as all runs so far.
    """
    prices = grid.prices[known]
    if prices.max() >= CHECK_SHARE * prices.sum():
        return None
    dearer = affordable & (grid.prices > prices.max()) & (grid.prices <= prices.sum())
    if not np.any(dearer):
        return None
    return int(np.argmax(np.where(dearer, grid.prices, -np.inf)))


def _predicts_dearest(aim: Aim, grid: Grid, y: Floats, known: NDArray[np.intp]) -> bool:
    """Whether the dearest run is as the law says that is fitted to all others."""
    dearest = known[int(np.argmax(grid.prices[known]))]
    others = known[known != dearest]
    result = _fitted(aim, grid.x[others], y[others])
    if result is None:
        return False
    low, high = result.prediction_interval(grid.x[[dearest]])
    return bool(low[0] <= y[dearest] <= high[0])


def _informative(
    aim: Aim, grid: Grid, result: FitResult, found: Next, candidates: NDArray[np.intp], left: float
) -> list[int]:
    """The first of the runs that are expected to reach the aim for the least compute."""
    try:
        wanted = quantity_of(result, aim.quantity, aim.at)
    except FitError:
        return []
    noise, root = residual_sd(result), root_of(covariance_of(result))
    target = root.T @ wanted.gradient
    now = variance_after(np.empty((0, len(target))), target)
    if not (noise > 0 and now > 0 and found.low is not None and found.high is not None):
        return []
    # Widths shrink as standard errors do.
    goal = now * min(1.0, aim.width / (found.high - found.low)) ** 2
    rows = gradients(result, np.log(grid.x[candidates]), root, noise)
    taken = cheapest_to_reach(rows, grid.prices[candidates], target, goal, left)
    return candidates[taken[: aim.batch]].tolist()


def _spread(
    grid: Grid, known: NDArray[np.intp], affordable: NDArray[np.bool_], left: float, n_runs: int
) -> list[int]:
    """Runs far from each other and from those that are known, of the cheaper half of the grid."""
    log_x = np.log(grid.x)
    span = np.ptp(log_x, axis=0)
    places = log_x / np.where(span > 0, span, 1.0)
    cheap = affordable & (grid.prices <= np.median(grid.prices))
    candidates = np.flatnonzero(cheap if np.any(cheap) else affordable)
    candidates = candidates[np.argsort(grid.prices[candidates], kind="stable")]
    near = np.full(len(candidates), math.inf)
    for other in known:
        near = np.minimum(near, _distance(places[candidates], places[other]))
    chosen: list[int] = []
    while len(chosen) < n_runs:
        free = ~np.isin(candidates, chosen) & (grid.prices[candidates] <= left)
        if not np.any(free):
            break
        # Among runs as far as each other the cheapest comes first.
        place = int(np.argmax(np.where(free, near, -math.inf)))
        chosen.append(int(candidates[place]))
        left -= float(grid.prices[candidates[place]])
        near = np.minimum(near, _distance(places[candidates], places[candidates[place]]))
    return chosen


def _distance(places: Floats, place: Floats) -> Floats:
    return np.sqrt(np.sum((places - place) ** 2, axis=1))
