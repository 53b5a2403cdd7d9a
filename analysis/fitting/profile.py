"""Profile likelihood: how well each parameter of a fit is known, all others free.

A profile holds one parameter at a value, fits the others, and measures how much less likely the
rows have become (`analysis.fitting.engine.likelihood`). The values at which they are not too
unlikely are its interval. It needs no resampling and follows curved valleys that a standard error
cuts across. A parameter that the rows do not identify has an open side, on which no value is too
unlikely.

The likelihood takes rows to err alike and independently. Where they come in clusters, or their
noise has a trend, the deviance that ends an interval is that of a composite likelihood
(`analysis.fitting.engine.likelihood.deviance_limit`): it grows by what
`analysis.fitting.bootstrap.units` finds the parameter's variance to be larger.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.bootstrap.replicates import require_level
from analysis.fitting.bootstrap.resampling import units_of
from analysis.fitting.bootstrap.units import unit_noise
from analysis.fitting.engine.coordinates import in_own_units, require_known, seen_through_each
from analysis.fitting.engine.likelihood import deviance_limit
from analysis.fitting.engine.observations import observe, read_only
from analysis.fitting.engine.problem import Problem, pose
from analysis.fitting.profile_path import OneSide, Path, follow
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.writing import plain

Side: TypeAlias = Literal["lower", "upper"]
_SIDES: tuple[Side, Side] = ("lower", "upper")

AllowsFor: TypeAlias = Literal["clusters", "unequal noise"]

_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve


@dataclass(frozen=True)
class Profile:
    """Profile of one parameter.

    Attributes:
        name: The parameter.
        estimate: Value at which the deviance is 0.
        values: Values at which the parameter was held, increasing, in its own units.
        deviance: Twice the log likelihood ratio at each, the others refitted, the same shape.
        limit: The deviance that ends the interval.
        level: Level of confidence.
        allows_for: What makes the rows err other than alike and independently, if anything does.
        inflation: The variance of the estimate over the one that the likelihood believes in.
        degrees_of_freedom: Those with which that variance is known.
        interval: (low, high). On an open side the bound of the law, or infinity.
        open_sides: Sides on which no value is too unlikely.
        reason: A sentence on whether the parameter is identified.
    """

    name: str
    estimate: float
    values: Floats = field(repr=False)
    deviance: Floats = field(repr=False)
    limit: float
    level: float
    allows_for: AllowsFor | None
    inflation: float
    degrees_of_freedom: float
    interval: tuple[float, float]
    open_sides: tuple[Side, ...]
    reason: str

    @property
    def identifiable(self) -> bool:
        """Whether the interval ends on both sides."""
        return not self.open_sides

    def to_dict(self) -> dict[str, Any]:
        """The interval and what it says, as JSON values; an open end is None."""
        return plain(
            {
                "interval": self.interval,
                "open_sides": self.open_sides,
                "identifiable": self.identifiable,
                "reason": self.reason,
                "allows_for": self.allows_for,
                "inflation": self.inflation,
                "degrees_of_freedom": self.degrees_of_freedom,
            }
        )


def profile_likelihood(
    result: FitResult, names: Collection[str] | None = None, *, level: float | None = None
) -> dict[str, Profile]:
    """Returns profiles of parameters that were fitted.

    Args:
        result: The fit, with the rows that it saw.
        names: The parameters; all that were fitted unless given.
        level: Level of confidence, between 0 and 1; that of the fit unless given.

    Returns:
        Profiles by the name of the parameter.

    Raises:
        ValueError: A name of none of them; a fit without its rows; an impossible level; a fit with
            `above` other than 1.
        FitError: Rows without noise; a lower minimum found on the way.
    """
    return profiles_of([result], names, level=level)[0]


def profiles_of(
    results: Sequence[FitResult],
    names: Collection[str] | None = None,
    *,
    level: float | None = None,
) -> list[dict[str, Profile]]:
    """Returns `profile_likelihood` of fits of one law at the same inputs, all of them at once."""
    level = results[0].level if level is None else level
    fitted = [name for name in results[0].law.params if name not in results[0].fixed]
    wanted = fitted if names is None else names
    views, sought = [], []
    for result in results:
        posed = posed_again(result, level)
        problem, theta = posed.problem, posed.theta
        require_known(problem.law, wanted)
        for name in wanted:
            column = problem.law.params.index(name)
            # Held as it is in the caller's units, the other coordinates centred.
            raw = result.law.params.index(name)
            start = np.append(theta, len(views))
            start[column] = problem.to_raw(theta)[raw]
            views.append(in_own_units(problem.to_raw, [column], [raw]))
            sought.append(Sought(posed, name, column, start))
    law = sought[0].posed.problem.law
    found = iter(follow_each(seen_through_each(law, views), sought, level))
    return [{name: next(found) for name in wanted} for _ in results]


class Posed(NamedTuple):
    """The problem that a fit has solved, with weights of mean 1.

    Attributes:
        problem: The problem.
        theta: Its solution.
        allows_for: What makes the rows err other than alike and independently, if anything does.
    """

    problem: Problem
    theta: Floats
    allows_for: AllowsFor | None


def posed_again(result: FitResult, level: float) -> Posed:
    """Returns the problem of a fit once more, and its solution.

    Raises:
        ValueError: A fit without its rows; an impossible level; a fit with `above` other than 1.
    """
    require_level(level)
    if result.loss.above != 1:
        raise ValueError(
            f"above = {result.loss.above:g}: a fit that seeks the floor of the rows maximises no "
            "likelihood to profile. Use its bootstrap intervals, or fit with above=1."
        )
    rows = observe(result.law, result.require_rows())
    rows = rows._replace(weights=rows.weights / rows.weights.mean())
    law, fixed = result.law, {name: result.params[name] for name in result.fixed}
    problem = pose(law, rows, result.loss, fixed)
    raw = law.to_theta(np.array([result.params[name] for name in law.params]))
    theta = law.rescale(raw, -rows.log_x_scale, -rows.log_y_scale)
    theta = theta[[law.params.index(name) for name in problem.law.params]]
    unequal: AllowsFor | None = "unequal noise" if result.has_unequal_noise else None
    allows_for: AllowsFor | None = unequal if rows.clusters is None else "clusters"
    return Posed(problem, theta, allows_for)


class Sought(NamedTuple):
    """A coordinate to profile.

    Attributes:
        posed: The problem that was solved.
        name: Its name.
        column: Its column.
        start: The solution, in the coordinates of which this is one.
    """

    posed: Posed
    name: str
    column: int
    start: Floats


def follow_each(own: Law, sought: Sequence[Sought], level: float) -> list[Profile]:
    """Returns profiles of coordinates of a view of the law, from the estimate to both sides.

    Args:
        own: The law in coordinates of which some are to be held, one at a time.
        sought: These.
        level: Level of confidence.

    Raises:
        FitError: Rows without noise; a lower minimum found on the way.
    """
    found = []
    for each in sought:
        problem, theta, _ = each.posed
        rows, points = problem.rows, problem.points
        least, n_rows = (
            float(rows.weights @ problem.loss.value(problem.residuals(theta))),
            len(rows.log_y),
        )
        if least <= n_rows * _EXACT_RESIDUAL**2:
            raise FitError(
                "The rows lie exactly on the curve: without noise there is no likelihood to "
                "profile. Use the estimates as they are."
            )
        targets = problem.targets(rows.log_y)
        at_points = targets - problem.law.log_predict(theta, points.log_x)
        constant = least - float(points.weights @ problem.loss.value(at_points))
        inflation, freedom = _allowance(own, each)
        limit = deviance_limit(
            level, n_rows, len(theta), inflation=inflation, degrees_of_freedom=freedom
        )
        view = problem._replace(law=own)
        where = each.name, each.column, each.start
        path = Path(view, *where, points, targets, constant, least, limit)
        found.append((path, inflation, freedom))
    followed = follow([path for path, _, _ in found])
    return [
        _profile(path, sides, level, each.posed.allows_for, inflation, freedom)
        for each, (path, inflation, freedom), sides in zip(sought, found, followed, strict=True)
    ]


def _profile(
    path: Path,
    sides: tuple[OneSide, OneSide],
    level: float,
    allows_for: AllowsFor | None,
    inflation: float,
    degrees_of_freedom: float,
) -> Profile:
    """The profile that the sides of a path make."""
    own, name, column = path.problem.law, path.name, path.column
    estimate = float(path.start[column])
    values = [*reversed(sides[0].values), estimate, *sides[1].values]
    roots = np.array([*reversed(sides[0].roots), 0.0, *sides[1].roots])
    ends = [side.end for side in sides]
    open_sides = tuple(side for side, end in zip(_SIDES, ends, strict=True) if end is None)
    bounds = own.lower[column], own.upper[column]
    low, high = (
        float(bound) if end is None else end for bound, end in zip(bounds, ends, strict=True)
    )
    as_param = np.exp if own.is_log[column] else np.asarray
    return Profile(
        name=name,
        estimate=float(as_param(estimate)),
        values=read_only(as_param(np.array(values))),
        deviance=read_only(path.limit * roots**2),
        limit=path.limit,
        level=level,
        allows_for=allows_for,
        inflation=inflation,
        degrees_of_freedom=degrees_of_freedom,
        interval=(float(as_param(low)), float(as_param(high))),
        open_sides=open_sides,
        reason=_reason(name, level, open_sides),
    )


def _allowance(own: Law, sought: Sought) -> tuple[float, float]:
    """The inflation of a coordinate's variance, and its degrees of freedom."""
    posed, column = sought.posed, sought.column
    problem, n_params = posed.problem, len(posed.theta)
    rows, residuals = problem.rows, problem.residuals(posed.theta)
    if posed.allows_for is None:
        return 1.0, float(len(residuals) - n_params)
    root = np.sqrt(rows.weights)
    # Under Huber's loss what a row contributes is its influence. The curvature is then that of the
    # likelihood that the loss belongs to, and drops out of the ratio.
    pulls = root * problem.loss.influence(residuals) * residuals
    jacobian = own.jacobian(sought.start, rows.log_x)[:, :n_params] * root[:, None]
    lengths = np.linalg.norm(jacobian, axis=0)
    found = unit_noise(jacobian / np.where(lengths > 0, lengths, 1.0), pulls, units_of(rows))
    if not found.naive[column] > 0 or not found.variances[column] > 0:
        return 1.0, float(len(residuals) - n_params)
    return (
        float(found.variances[column] / found.naive[column]),
        float(found.degrees_of_freedom[column]),
    )


def _reason(name: str, level: float, open_sides: tuple[Side, ...]) -> str:
    if not open_sides:
        return f"{name} is identified: its {100 * level:g} % interval ends on both sides."
    sides = " or ".join({"lower": "small", "upper": "large"}[side] for side in open_sides)
    return (
        f"{name} is not identifiable from these rows: no value is too {sides} at the "
        f"{100 * level:g} % level."
    )
