"""Following a profile outward from its estimate to the ends of the interval.

A side is a generator: it asks for the parameter to be held at a value and goes on with what was
found. The sides of all profiles, even those of several fits of one law at the same inputs, are
followed in step, so that one call of the solver answers them.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.least_squares import Points, solve
from analysis.fitting.engine.likelihood import deviance
from analysis.fitting.engine.problem import Problem
from analysis.fitting.engine.steps import Bounds

_STRIDE = 0.25  # of the root deviance at the end, from one value to the next
_MARGIN = 1.15  # of the root deviance at the end: how far a profile is followed
_JUMP = 0.75  # a longer stride has lost the valley, or the valley ends: look closer
_MAX_STRIDES = 80
_REFINEMENTS = 4
_LOG_RANGE = 50.0  # a parameter beyond e^50 times its estimate either way has no end there
_RANGE = 1e4  # the same for the others, in first strides
_SAME_MINIMUM = 1e-6  # of the objective


class Path(NamedTuple):
    """A parameter to profile, and the scale of its deviance.

    Attributes:
        problem: With a law whose coordinate `column` is the parameter's own, in the caller's units.
        name: Name of the parameter, for messages.
        column: Column of the parameter.
        start: Coordinates at the estimate, shape `(n_params,)`.
        points: What the problem is fitted at.
        targets: Values to fit there, shape `(n_points,)`.
        constant: Loss that no curve can avoid: of rows about their mean at the same input.
        least: The objective at the estimate.
        limit: The deviance that ends the interval.
    """

    problem: Problem
    name: str
    column: int
    start: Floats
    points: Points
    targets: Floats
    constant: float
    least: float
    limit: float

    def root(self, objective: float) -> float:
        """Square root of the deviance, over that at the end of the interval."""
        raised = np.array([max(objective, self.least)])
        n_rows = len(self.problem.rows.log_y)
        found = deviance(raised, self.least, n_rows, self.problem.loss)[0]
        return float(np.sqrt(max(found, 0.0) / self.limit))

    def first_stride(self) -> float:
        """A step that raises the root deviance by about `_STRIDE`, from one trial of it."""
        column, law = self.column, self.problem.law
        residuals = self.problem.residuals(self.start)
        jacobian = law.jacobian(self.start, self.problem.rows.log_x)
        inverse = np.linalg.pinv(jacobian.T @ jacobian)
        # Rounding may leave a coordinate without effect a negative variance.
        error = np.sqrt(np.mean(residuals**2) * max(inverse[column, column], 0.0))
        return float(_STRIDE * max(error, 1e-6))


class Asked(NamedTuple):
    """A value to hold a path's parameter at, and guesses of all coordinates, `(n, n_params)`."""

    path: Path
    value: float
    guesses: Floats


class Found(NamedTuple):
    """Coordinates refitted, shape `(n_params,)`, and the objective there."""

    theta: Floats
    objective: float


def _refitted(asked: Sequence[Asked]) -> list[Found]:
    """Refits with a parameter held at each value asked for, from the best of its guesses."""
    paths, law = [each.path for each in asked], asked[0].path.problem.law
    starts = np.concatenate([each.guesses for each in asked])
    sizes = [len(each.guesses) for each in asked]
    rows = np.arange(len(starts))
    columns = np.repeat([path.column for path in paths], sizes)
    values = np.repeat([each.value for each in asked], sizes)
    lower, upper = (np.tile(ends, (len(starts), 1)) for ends in (law.lower, law.upper))
    for ends in (starts, lower, upper):
        ends[rows, columns] = values
    ends = solve(
        law,
        Points(paths[0].points.log_x, np.repeat([p.points.weights for p in paths], sizes, axis=0)),
        np.repeat([path.targets for path in paths], sizes, axis=0),
        starts,
        loss=paths[0].problem.loss,
        bounds=Bounds(lower, upper),
    )
    last = np.cumsum(sizes)
    best = [
        end - size + int(np.argmin(ends.objective[end - size : end]))
        for end, size in zip(last, sizes, strict=True)
    ]
    return [
        Found(ends.theta[k], float(ends.objective[k]) + path.constant)
        for k, path in zip(best, paths, strict=True)
    ]


class OneSide(NamedTuple):
    """A profile on one side of its estimate, going outward; `end` is None where it has none."""

    values: list[float]
    roots: list[float]
    end: float | None


Side: TypeAlias = Generator[Asked, Found, OneSide]


def follow(paths: Sequence[Path]) -> list[tuple[OneSide, OneSide]]:
    """Holds each parameter farther and farther out, others refitted, until no value is likely.

    Args:
        paths: One for each profile, of problems that differ in targets and weights alone.

    Returns:
        For each path the sides of lower and of higher values.

    Raises:
        FitError: A lower objective than that of the estimate.
    """
    strides = [path.first_stride() for path in paths]
    sides = [
        _outward(path, sign * stride)
        for path, stride in zip(paths, strides, strict=True)
        for sign in (-1.0, 1.0)
    ]
    done: dict[Side, OneSide] = {}
    answers: dict[Side, Found | None] = dict.fromkeys(sides)  # None sets out
    while answers:
        asked: dict[Side, Asked] = {}
        for side, answer in answers.items():
            try:
                asked[side] = next(side) if answer is None else side.send(answer)
            except StopIteration as stop:
                done[side] = stop.value
        found = _refitted([*asked.values()]) if asked else []
        answers = dict(zip(asked, found, strict=True))
    return [(done[sides[k]], done[sides[k + 1]]) for k in range(0, len(sides), 2)]


def _outward(path: Path, stride: float) -> Side:
    """A profile on one side; the sign of the stride says which."""
    column, start, law = path.column, path.start, path.problem.law
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
        theta, objective = yield Asked(path, float(value), np.stack([ahead, here, start]))
        _require_a_minimum(path, objective, float(value))
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
        return OneSide(values, roots, None)
    inner = (start[column], 0.0)
    if crossing > 0:
        inner = values[crossing - 1], roots[crossing - 1]
    end = yield from _end(path, here, inner, (values[crossing], roots[crossing]))
    return OneSide(values, roots, end)


def _end(
    path: Path, guess: Floats, inner: tuple[float, float], outer: tuple[float, float]
) -> Generator[Asked, Found, float]:
    """Where the root deviance is 1, by regula falsi: it is close to a straight line.

    Args:
        path: Path of the profile.
        guess: Coordinates near the end, shape `(n_params,)`.
        inner: Value and root deviance of the last value within.
        outer: The same of the first beyond.
    """
    value = outer[0]
    for _ in range(_REFINEMENTS):
        share = (1 - inner[1]) / (outer[1] - inner[1])
        value = inner[0] + share * (outer[0] - inner[0])
        guess, objective = yield Asked(path, float(value), guess[None])
        found = (value, path.root(objective))
        inner, outer = (inner, found) if found[1] >= 1 else (found, outer)
    return float(value)


def _require_a_minimum(path: Path, objective: float, value: float) -> None:
    if objective < path.least * (1 - _SAME_MINIMUM):
        raise FitError(
            f"The fit is not at its minimum: holding {path.name} at coordinate {value:.6g} lowers "
            f"the objective from {path.least:.9g} to {objective:.9g}. Fit again, starting near "
            "that value (law.starting_at)."
        )
