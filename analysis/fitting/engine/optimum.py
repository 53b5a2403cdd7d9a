"""The best fit from many starts, with its diagnostics.

All starts run at once (`least_squares.solve`); SciPy's dogbox, which shares no code with
them, then takes the best one to where the objective no longer falls: about a millionth of a
standard error.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.distinct_optima import Optima, count_optima
from analysis.fitting.engine.ending import (
    EXACT_RESIDUAL,
    MAX_CONDITION_NUMBER,
    Ending,
    Task,
    condition_number,
    ending_at,
)
from analysis.fitting.engine.least_squares import FARTHEST, Solutions, solve
from analysis.fitting.engine.problem import Problem
from analysis.laws.power_terms import nonnegative_coefficients
from analysis.laws.scales import linear_basis

_AGREEMENT = 1e-6  # of the objective
_BARRIER = 1e3  # times that tolerance: midway between two optima the objective lies higher
_MOST_ROUNDS = 8  # each as long as a search
_UNSEEN = 1e-3  # of the residuals: a change of the curve that no interval shows
_PRECISION = 1e-15  # SciPy's tolerances, a little above the epsilon of float64
_NEAR = 100.0  # times the least squared error: ten times its root
_MANY, _SAMPLE = 20_000, 2_000  # points
_SAME_ON_SAMPLE = 1e-3  # less than what the rows left out move an end by
_LEAST_TERM = 1e-3  # of the mean y: a term that a start leaves out keeps a foothold
_SAME_PLACE = 1e-5  # coordinates that round to one multiple of it are the same


class Optimum(NamedTuple):
    """The best coordinates, in centred units, and the diagnostics that `FitResult` describes.

    Attributes:
        theta: Coordinates, shape `(n_params,)`.
        objective: Weighted sum of losses at the points.
        ending: What the curve and the objective are like there.
        n_curves: Different curves among the `n_optima` places.
    """

    theta: Floats
    objective: float
    ending: Ending
    n_starts: int
    n_starts_agreeing: int
    n_optima: int
    n_curves: int


def find_optimum(problem: Problem) -> Optimum:
    """Minimises the sum of losses from every start.

    Raises:
        FitError: No start gives a finite prediction at every row.
    """
    law = problem.law
    task = Task(
        law, problem.points, problem.targets(problem.rows.log_y), problem.loss, problem.project
    )
    # 1. Search from all starts. Of very many points an evenly spread sample finds the basins: the
    # starts end there first, and go on from where they ended.
    sample = task.sample(_SAMPLE) if len(task.log_y) > _MANY else task
    if problem.starts is None:
        starts = law.starts(sample.points.log_x, sample.log_y)
        found = _search(sample, starts, starts)
    else:
        starts = problem.starts
        found = _search(sample, starts, _levelled(sample, starts))
    if len(task.log_y) > _MANY:
        near = found.objective <= _NEAR * found.objective.min()
        found = _solve_all(task, found.theta[near], _SAME_ON_SAMPLE)
    best = _lowest(task, found)
    if not np.isfinite(found.objective[best]):
        raise FitError(
            f"{law.name}: none of {len(starts)} starting points gives a finite prediction at every "
            "row. Hold no parameter far from the rows' values, or give starts near them "
            "(law.starting_at in Python)."
        )

    # 2. Go on where the slope is not that of a minimum, until objective and curve have settled.
    theta, ending = _settled(task, _polish(task, found.theta[best]))
    objective = float(task.objective(theta))

    # 3. Count the starts that agree with it, and the places where those ended.
    tolerance = _AGREEMENT * objective + task.points.weights.sum() * EXACT_RESIDUAL**2
    agreeing = found.objective <= objective + tolerance
    places = _places(task, theta, found.theta[agreeing], objective + _BARRIER * tolerance)
    return Optimum(
        theta=theta,
        objective=objective,
        ending=ending,
        n_starts=len(starts),
        n_starts_agreeing=int(np.sum(agreeing)),
        n_optima=places.n_places,
        n_curves=places.n_curves,
    )


def _lowest(task: Task, found: Solutions) -> int:
    """The number of the lowest end; of those that only rounding parts, one off the bounds."""
    rounding = task.points.weights.sum() * EXACT_RESIDUAL**2
    on_bound = (found.theta <= task.law.lower) | (found.theta >= task.law.upper)
    alike = found.objective <= found.objective.min() + rounding
    n_bound = np.where(alike, on_bound.sum(axis=-1), len(task.law.params) + 1)
    return int(np.lexsort((found.objective, n_bound))[0])


def _places(task: Task, theta: Floats, ends: Floats, barrier: float) -> Optima:
    """The separate places among the ends that are as low as the best one, `theta`."""
    return count_optima(
        theta,
        ends,
        task.objective,
        task.predict,
        lambda theta: condition_number(task.unit_columns(theta)) <= MAX_CONDITION_NUMBER,
        barrier=barrier,
        noise=float(np.sqrt(np.mean(task.residuals(theta) ** 2))) + EXACT_RESIDUAL,
    )


def _settled(task: Task, theta: Floats) -> tuple[Floats, Ending]:
    """Where the objective and the curve no longer change, from the end of a search.

    At a minimum that is where it is. Along a flat valley parameters may go on without end, and the
    search stops once nothing that anybody could measure follows.
    """
    ending = ending_at(task, theta)
    for _ in range(_MOST_ROUNDS):
        if ending.is_stationary:
            break
        before, curve = float(task.objective(theta)), task.predict(theta)
        noise = float(np.sqrt(np.mean(task.residuals(theta) ** 2)))
        found = _solve_all(task, theta[None])
        theta = found.theta[0]
        fall = 1 - float(found.objective[0]) / before
        moved = float(np.sqrt(np.mean((task.predict(theta) - curve) ** 2)))
        settled = fall <= _AGREEMENT and moved <= _UNSEEN * noise
        ending = ending_at(task, theta)
        if settled or ending.is_stationary:
            break
        ending = ending._replace(is_settled=False, fall=fall)
    return theta, ending


def _search(task: Task, starts: Floats, levelled: Floats) -> Solutions:
    """Where every start comes to rest; under squared error from starts that may be levelled."""
    found = _solve_all(task._replace(loss=task.loss.squared()), levelled)
    return found if task.loss.delta is None else _under_huber(task, starts, found)


def _levelled(task: Task, starts: Floats) -> Floats:
    """A caller's starts, with the coordinates in which y is linear at their best for the others.

    Variable projection's first step: starts that differ in these coordinates alone become one.
    """
    law, log_x = task.law, task.points.log_x
    if not law.linear or task.loss.scale == "linear":
        return starts  # on the linear scale every step projects
    others, place = np.unique(np.where(law.is_linear, 0.0, starts), axis=0, return_inverse=True)
    place = place.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        basis = linear_basis(law, others, log_x)
    usable = np.isfinite(np.sum(basis, axis=(-2, -1)))
    basis = np.where(usable[:, None, None], basis, 1.0)
    # Errors over y itself are nearly those of log y.
    y = np.exp(task.log_y)
    best = nonnegative_coefficients(basis, y, task.points.weights / y**2)
    least = _LEAST_TERM * y.mean() / basis.mean(axis=1)
    is_log = law.is_log[law.is_linear]
    others[:, law.is_linear] = np.where(is_log, np.log(np.maximum(best, least)), best)
    return np.where(usable[place, None], others[place], starts)


def _under_huber(task: Task, starts: Floats, squared: Solutions) -> Solutions:
    """Minima of Huber's loss: from where squared error came to rest, and from starts near the data.

    Far from the data Huber's loss has little slope to follow, and every start goes by way of
    squared error. Near them it may have minima of its own, and the better of two ends is kept.
    """
    found = _solve_all(task, squared.theta)
    at_start = task._replace(loss=task.loss.squared()).objective(starts)
    near = np.flatnonzero(at_start <= _NEAR * squared.objective.min())
    direct = _solve_all(task, starts[near])
    better = direct.objective < found.objective[near]
    for ours, theirs in zip(found, direct, strict=True):
        ours[near[better]] = theirs[better]
    return found


def _solve_all(task: Task, starts: Floats, same_place: float = _SAME_PLACE) -> Solutions:
    """The ends of searches from every start, of one for starts that coincide."""
    _, first, place = np.unique(
        np.round(starts / same_place), axis=0, return_index=True, return_inverse=True
    )
    targets = np.broadcast_to(task.log_y, (len(first), len(task.log_y)))
    law, points = task.law, task.points
    found = solve(law, points, targets, starts[first], loss=task.loss, project=task.project)
    every = place.reshape(-1)
    return Solutions(found.theta[every], found.objective[every], found.converged[every])


def _polish(task: Task, theta: Floats) -> Floats:
    """The minimum that SciPy's dogbox finds from the best end of the batch."""
    law, (log_x, weights), log_y, loss, _ = task
    # SciPy's losses see squares. Where the sign of a residual counts, each row is two: one for
    # its part above the curve and one for its part below, of which one is 0.
    sides = (1.0,) if loss.above == 1 else (loss.above, 1.0)
    weights = np.concatenate([weights * side for side in sides])
    root = np.sqrt(weights)
    one_sided = replace(loss, above=1.0)

    def parts(theta: Floats) -> Floats:
        off = law.log_predict(theta, log_x) - log_y
        if loss.above == 1:
            return off
        return np.concatenate([np.minimum(off, 0.0), np.maximum(off, 0.0)])

    def slopes(theta: Floats) -> Floats:
        jacobian = law.jacobian(theta, log_x)
        if loss.above != 1:
            is_above = (law.log_predict(theta, log_x) < log_y)[:, None]
            jacobian = np.concatenate([jacobian * is_above, jacobian * ~is_above])
        return jacobian * root[:, None]

    def huber(squares: Floats) -> Floats:
        # Twice the weighted loss as a function of the weighted squared residual, and derivatives.
        assert loss.delta is not None
        residuals = np.sqrt(squares / weights)
        inner = residuals <= loss.delta
        size = np.where(inner, 1.0, residuals)
        return np.stack(
            [
                2 * weights * one_sided.value(residuals),
                one_sided.influence(residuals),
                np.where(inner, 0.0, -0.5 * loss.delta / (weights * size**3)),
            ]
        )

    result = least_squares(
        lambda theta: root * parts(theta),
        theta,
        jac=slopes,
        bounds=(np.maximum(law.lower, -FARTHEST), np.minimum(law.upper, FARTHEST)),
        method="dogbox",
        x_scale="jac",
        loss="linear" if loss.delta is None else huber,
        ftol=_PRECISION,
        xtol=_PRECISION,
        gtol=_PRECISION,
    )
    return result.x
