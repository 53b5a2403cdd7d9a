"""Profile likelihood: how well each parameter of a fit is known, all others free.

A profile holds one parameter at a value, fits the rest, and asks how much less likely the rows
have become (`analysis.deviance`). The values at which they are not too unlikely are its interval.
It needs no resampling, follows curved valleys that a standard error cuts across, and shows a
parameter that the rows do not identify as what it is: a side on which no value is too unlikely.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from analysis.batched_least_squares import Bounds, loss, solve
from analysis.deviance import deviance, deviance_limit
from analysis.errors import FitError
from analysis.fit_result import FitResult, read_only
from analysis.laws.law import ArrayLike as LawArray
from analysis.laws.law import Floats, Law
from analysis.observations import observe
from analysis.problem import Problem, pose

Side: TypeAlias = Literal["lower", "upper"]

_STRIDE = 0.25  # of the root deviance at the end, from one value to the next
_MARGIN = 1.15  # of the root deviance at the end: how far a profile is followed
_JUMP = 0.75  # a longer stride has lost the valley, or the valley ends: look closer
_MAX_STRIDES = 80
_REFINEMENTS = 4
_LOG_RANGE = 50.0  # a parameter beyond e^50 times its estimate either way has no end there
_RANGE = 1e4  # the same for the others, in first strides
_SAME_MINIMUM = 1e-6  # of the objective
_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve


@dataclass(frozen=True)
class Profile:
    """The profile of one parameter.

    Attributes:
        name: Of the parameter.
        estimate: Where the deviance is 0.
        values: Values at which the parameter was held, increasing, in its own units.
        deviance: Twice the log likelihood ratio at each, the others refitted, the same shape.
        limit: The deviance that ends the interval.
        level: Of confidence.
        interval: (low, high). On an open side the bound of the law, or infinity.
        open_sides: Sides on which no value is too unlikely.
        reason: In a sentence, what the profile says.
    """

    name: str
    estimate: float
    values: Floats = field(repr=False)
    deviance: Floats = field(repr=False)
    limit: float
    level: float
    interval: tuple[float, float]
    open_sides: tuple[Side, ...]
    reason: str

    @property
    def identifiable(self) -> bool:
        """Whether the interval ends on both sides."""
        return not self.open_sides


def profile_likelihood(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    level: float | None = None,
) -> dict[str, Profile]:
    """Profiles of every parameter of a fit.

    Args:
        result: The fit, its scale and its loss.
        x: The inputs that were fitted, shape `(n_points, n_inputs)` or `(n_points,)`.
        y: The values that were fitted, shape `(n_points,)`.
        weights: The weights that were fitted with, if any; a common factor plays no part.
        level: Of confidence, between 0 and 1; that of the fit unless given.

    Returns:
        Profiles by the name of the parameter.

    Raises:
        ValueError: Rows that are not those of the fit; an impossible level.
        FitError: Rows without noise; a lower minimum found on the way.
    """
    level = result.level if level is None else level
    if not 0 < level < 1:
        raise ValueError(f"level = {level}, but a probability lies between 0 and 1: give e.g. 0.95")
    rows = observe(result.law, x, y, None, weights)
    rows = rows._replace(weights=rows.weights / rows.weights.mean())
    problem = pose(result.law, rows, result.scale, result.delta)
    params = np.array([result.params[name] for name in result.law.params])
    raw = result.law.to_theta(params)
    theta = result.law.rescale(raw, -rows.log_x_scale, -rows.log_y_scale)
    _require_the_same_rows(result, problem, theta)
    return {
        name: _profile(problem, theta, column, level)
        for column, name in enumerate(result.law.params)
    }


def _require_the_same_rows(result: FitResult, problem: Problem, theta: Floats) -> None:
    residuals = np.empty(len(problem.rows.log_y))
    if len(residuals) == len(result.residuals):
        residuals[problem.rows.order] = problem.unit * problem.residuals(theta)
        if np.allclose(residuals, result.residuals, rtol=1e-5, atol=1e-9 * problem.unit):
            return
    raise ValueError(
        f"The {len(residuals)} rows given are not the {result.n_points} that were fitted: give the "
        "x and y of the fit, in the same order."
    )


class _Path(NamedTuple):
    """What profiling one parameter needs.

    Attributes:
        problem: With a law whose coordinate `column` is the parameter's own, in the caller's units.
        column: Of the parameter.
        constant: Loss that no curve can avoid: of rows about their mean at the same input.
        least: The objective at the estimate.
        limit: The deviance that ends the interval.
    """

    problem: Problem
    column: int
    constant: float
    least: float
    limit: float

    def at(self, value: float, *guesses: Floats) -> tuple[Floats, float]:
        """Coordinates refitted with the parameter held, from the best guess, and the objective."""
        problem, starts = self.problem, np.stack(guesses)
        starts[:, self.column] = value
        lower, upper = (
            np.tile(ends, (len(starts), 1)) for ends in (problem.law.lower, problem.law.upper)
        )
        lower[:, self.column] = upper[:, self.column] = value
        targets = problem.rows.targets(problem.rows.log_y, problem.delta)
        found = solve(
            problem.law,
            problem.rows.points(problem.delta),
            np.broadcast_to(targets, (len(starts), len(targets))),
            starts,
            delta=problem.delta,
            bounds=Bounds(lower, upper),
        )
        best = int(np.argmin(found.objective))
        return found.theta[best], float(found.objective[best]) + self.constant

    def root(self, objective: float) -> float:
        """Square root of the deviance, over that at the end of the interval."""
        raised = np.array([max(objective, self.least)])
        n_rows = len(self.problem.rows.log_y)
        found = deviance(raised, self.least, n_rows, self.problem.delta)[0]
        return float(np.sqrt(max(found, 0.0) / self.limit))


def _profile(problem: Problem, theta: Floats, column: int, level: float) -> Profile:
    law, rows = problem.law, problem.rows
    name, is_log = law.params[column], bool(law.is_log[column])
    least = float(rows.weights @ loss(problem.residuals(theta), problem.delta))
    n_rows = len(rows.log_y)
    if least <= n_rows * _EXACT_RESIDUAL**2:
        raise FitError(
            "The rows lie on the curve exactly: without noise there is no likelihood to profile."
        )
    own, start = _own_coordinate(problem, theta, column)
    points = rows.points(problem.delta)
    targets = rows.targets(rows.log_y, problem.delta)
    at_points = targets - law.log_predict(theta, points.log_x)
    constant = least - float(points.weights @ loss(at_points, problem.delta))
    limit = deviance_limit(level, n_rows, len(theta))
    path = _Path(problem._replace(law=own), column, constant, least, limit)
    stride = _first_stride(path, start)
    sides = [_follow(path, start, sign * stride, name) for sign in (-1.0, 1.0)]

    values = [*reversed(sides[0].values), float(start[column]), *sides[1].values]
    roots = np.array([*reversed(sides[0].roots), 0.0, *sides[1].roots])
    ends = [side.end for side in sides]
    open_sides: tuple[Side, ...] = tuple(
        side for side, end in zip(("lower", "upper"), ends, strict=True) if end is None
    )
    bounds = law.lower[column], law.upper[column]
    low, high = (
        float(bound) if end is None else end for bound, end in zip(bounds, ends, strict=True)
    )
    as_param = np.exp if is_log else np.asarray
    return Profile(
        name=name,
        estimate=float(as_param(start[column])),
        values=read_only(as_param(np.array(values))),
        deviance=read_only(limit * roots**2),
        limit=limit,
        level=level,
        interval=(float(as_param(low)), float(as_param(high))),
        open_sides=open_sides,
        reason=_reason(name, level, open_sides),
    )


def _reason(name: str, level: float, open_sides: tuple[Side, ...]) -> str:
    if not open_sides:
        return f"{name} is identified: its {100 * level:g} % interval ends on both sides."
    way = {"lower": "small", "upper": "large"}
    sides = " or ".join(way[side] for side in open_sides)
    return (
        f"{name} is unidentifiable: no value is too {sides} for the rows at the "
        f"{100 * level:g} % level."
    )


def _own_coordinate(problem: Problem, theta: Floats, column: int) -> tuple[Law, Floats]:
    """A view of the law with one coordinate in the caller's units, and the estimate in it.

    A coordinate in the caller's units is affine in the centred ones, `raw = row @ theta + origin`:
    log A, for instance, is log A' + alpha times the mean of log N. In the view that `raw` takes the
    place of its own centred coordinate, so that holding it holds the caller's parameter.
    """
    law, rows, n_params = problem.law, problem.rows, len(theta)

    def rescale(coordinates: Floats) -> Floats:
        return law.rescale(coordinates, rows.log_x_scale, rows.log_y_scale)

    origin = rescale(np.zeros(n_params))
    row = rescale(np.eye(n_params))[:, column] - origin[column]
    to_centred = np.eye(n_params)
    to_centred[column] = -row / row[column]
    to_centred[column, column] = 1.0 / row[column]
    shift = np.zeros(n_params)
    shift[column] = -origin[column] / row[column]

    def predict(own: LawArray, log_x: LawArray) -> LawArray:
        return law.log_predict(own @ to_centred.T + shift, log_x)

    def jacobian(own: LawArray, log_x: LawArray) -> LawArray:
        return law.jacobian(own @ to_centred.T + shift, log_x) @ to_centred

    start = theta.copy()
    start[column] = row @ theta + origin[column]
    return law._replace(log_predict=predict, jacobian=jacobian), start


def _first_stride(path: _Path, start: Floats) -> float:
    """A step that raises the root deviance by about `_STRIDE`, from one trial of it."""
    column, law = path.column, path.problem.law
    residuals = path.problem.residuals(start)
    jacobian = law.jacobian(start, path.problem.rows.log_x)
    inverse = np.linalg.pinv(jacobian.T @ jacobian)
    error = np.sqrt(np.mean(residuals**2) * inverse[column, column])
    return float(_STRIDE * max(error, 1e-6))


class _OneSide(NamedTuple):
    """A profile on one side of its estimate, going outward; `end` is None where it has none."""

    values: list[float]
    roots: list[float]
    end: float | None


def _follow(path: _Path, start: Floats, stride: float, name: str) -> _OneSide:
    column, law = path.column, path.problem.law
    bound = law.upper[column] if stride > 0 else law.lower[column]
    reach = _LOG_RANGE if law.is_log[column] else _RANGE * abs(stride)
    farthest = start[column] + np.copysign(reach, stride)
    farthest = min(farthest, bound) if stride > 0 else max(farthest, bound)
    before, here, least_stride = start, start, abs(stride) * 1e-3
    values, roots = [], [0.0]
    for _ in range(_MAX_STRIDES):
        if roots[-1] >= _MARGIN or here[column] == farthest:
            break
        value = here[column] + stride
        value = min(value, farthest) if stride > 0 else max(value, farthest)
        # The others go on as they went, which follows a curved valley.
        moved = here[column] - before[column]
        ahead = here if moved == 0 else here + (here - before) * ((value - here[column]) / moved)
        theta, objective = path.at(float(value), ahead, here, start)
        _require_a_minimum(path, objective, name, float(value))
        root = path.root(objective)
        if root - roots[-1] > _JUMP and abs(stride) > least_stride:
            stride *= 0.25
            continue
        before, here = here, theta
        values.append(float(value))
        roots.append(root)
        stride *= float(np.clip(_STRIDE / max(roots[-1] - roots[-2], 1e-9), 0.25, 2.5))
    roots = roots[1:]
    crossing = next((k for k, root in enumerate(roots) if root >= 1), None)
    if crossing is None:
        return _OneSide(values, roots, None)
    return _OneSide(values, roots, _end(path, start, here, values, roots, crossing))


def _end(
    path: _Path, start: Floats, guess: Floats, values: list[float], roots: list[float], k: int
) -> float:
    """Where the root deviance is 1, by regula falsi: it is close to a straight line."""
    inner = (start[path.column], 0.0) if k == 0 else (values[k - 1], roots[k - 1])
    outer = (values[k], roots[k])
    value = outer[0]
    for _ in range(_REFINEMENTS):
        share = (1 - inner[1]) / (outer[1] - inner[1])
        value = inner[0] + share * (outer[0] - inner[0])
        guess, objective = path.at(float(value), guess)
        found = (value, path.root(objective))
        inner, outer = (inner, found) if found[1] >= 1 else (found, outer)
    return float(value)


def _require_a_minimum(path: _Path, objective: float, name: str, value: float) -> None:
    if objective < path.least * (1 - _SAME_MINIMUM):
        raise FitError(
            f"The fit is not at its minimum: with {name} held at coordinate {value:.6g} the "
            f"objective falls from {path.least:.9g} to {objective:.9g}. Fit again with more "
            "`starts`, near that value."
        )
