"""Following a profile outward from its estimate to the end of the interval."""

from typing import NamedTuple

import numpy as np

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.least_squares import Bounds, solve
from analysis.fitting.engine.likelihood import deviance
from analysis.fitting.engine.problem import Problem

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
        column: Column of the parameter.
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
        targets = problem.targets(problem.rows.log_y)
        found = solve(
            problem.law,
            problem.points,
            np.broadcast_to(targets, (len(starts), len(targets))),
            starts,
            loss=problem.loss,
            bounds=Bounds(lower, upper),
        )
        best = int(np.argmin(found.objective))
        return found.theta[best], float(found.objective[best]) + self.constant

    def root(self, objective: float) -> float:
        """Square root of the deviance, over that at the end of the interval."""
        raised = np.array([max(objective, self.least)])
        n_rows = len(self.problem.rows.log_y)
        found = deviance(raised, self.least, n_rows, self.problem.loss)[0]
        return float(np.sqrt(max(found, 0.0) / self.limit))


def first_stride(path: Path, start: Floats) -> float:
    """A step that raises the root deviance by about `_STRIDE`, from one trial of it."""
    column, law = path.column, path.problem.law
    residuals = path.problem.residuals(start)
    jacobian = law.jacobian(start, path.problem.rows.log_x)
    inverse = np.linalg.pinv(jacobian.T @ jacobian)
    # Rounding may leave a coordinate without effect a negative variance.
    error = np.sqrt(np.mean(residuals**2) * max(inverse[column, column], 0.0))
    return float(_STRIDE * max(error, 1e-6))


class OneSide(NamedTuple):
    """A profile on one side of its estimate, going outward; `end` is None where it has none."""

    values: list[float]
    roots: list[float]
    end: float | None


def follow(path: Path, start: Floats, stride: float, name: str) -> OneSide:
    """Holds the parameter farther and farther out, others refitted, until no value is likely.

    Args:
        path: Path of the profile.
        start: Coordinates at the estimate, shape `(n_params,)`.
        stride: The first step; its sign says which way.
        name: Name of the parameter, for messages.

    Raises:
        FitError: A lower objective than that of the estimate.
    """
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
        return OneSide(values, roots, None)
    return OneSide(values, roots, _end(path, start, here, values, roots, crossing))


def _end(
    path: Path, start: Floats, guess: Floats, values: list[float], roots: list[float], k: int
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


def _require_a_minimum(path: Path, objective: float, name: str, value: float) -> None:
    if objective < path.least * (1 - _SAME_MINIMUM):
        raise FitError(
            f"The fit is not at its minimum: holding {name} at coordinate {value:.6g} lowers the "
            f"objective from {path.least:.9g} to {objective:.9g}. Fit again, starting near that "
            "value (law.starting_at)."
        )
