"""Profile likelihood of what follows from the parameters, such as exponents of optimal growth.

The quantity replaces one coordinate of the law: the one that moves it most. Newton's method solves
for that one wherever the law is evaluated. The quantity is then a coordinate like any other, held
and followed as one (`analysis.fitting.profile`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from analysis.errors import FitError, nearest_name
from analysis.estimate import Floats
from analysis.fitting.engine.observations import read_only
from analysis.fitting.profile import Posed, Profile, Sought, follow_each, posed_again
from analysis.fitting.result import FitResult
from analysis.laws.law import Law

_STEP = 1e-5  # of a centred coordinate, for central differences
_MOST_ITERATIONS = 60
_LONGEST_STEP = 1.0
_PRECISION, _ACCEPTED = 1e-12, 1e-7  # of a centred coordinate: where to stop, what will do


def profile_derived(result: FitResult, name: str, *, level: float | None = None) -> Profile:
    """Returns the profile of a number that the law derives from its parameters.

    Args:
        result: The fit, with the rows that it saw.
        name: Name of the number, as in `result.derived()`.
        level: Level of confidence, between 0 and 1; that of the fit unless given.

    Raises:
        ValueError: No such number; a fit without its rows; an impossible level.
        FitError: Rows without noise; a number that the estimate does not define, or that no
            fitted parameter moves; a lower minimum found on the way.
    """
    level = result.level if level is None else level
    posed = posed_again(result, level)
    quantity = as_coordinate(result, name, posed)
    (found,) = follow_each(quantity.law, [quantity.sought(posed)], level)
    return quantity.in_its_unit(found)


class Quantity(NamedTuple):
    """A derived number as a coordinate of a law.

    Attributes:
        name: Its name.
        derived: Its value at coordinates of the law that it is derived from.
        law: The law with it in the place of another coordinate.
        column: Column of that coordinate.
        estimate: The value at which the coordinate is 0.
        error: What a unit of the coordinate is.
    """

    name: str
    derived: Callable[[Floats], Floats]
    law: Law
    column: int
    estimate: float
    error: float

    def sought(self, posed: Posed) -> Sought:
        """The coordinate as one to profile."""
        start = posed.theta.copy()
        start[self.column] = (self.derived(posed.theta) - self.estimate) / self.error
        return Sought(posed, self.name, self.column, start)

    def in_its_unit(self, found: Profile) -> Profile:
        """A profile of the coordinate as one of the number."""
        low, high = (self.estimate + self.error * end for end in found.interval)
        return replace(
            found,
            estimate=self.estimate + self.error * found.estimate,
            values=read_only(self.estimate + self.error * found.values),
            interval=(low, high),
        )


def as_coordinate(result: FitResult, name: str, posed: Posed) -> Quantity:
    """Returns a derived number of a fit as a coordinate; raises as `profile_derived`."""
    known = result.derived()
    if name not in known:
        remedy = nearest_name(name, known) if known else "it derives nothing: profile a parameter"
        raise ValueError(f"{result.law.name} derives no {name!r}; {remedy}")
    problem, theta = posed.problem, posed.theta

    def derived(theta: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return result.law.derived(result.law.to_params(problem.to_raw(theta)))[name]

    jacobian = problem.law.jacobian(theta, problem.rows.log_x)
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * np.mean(problem.residuals(theta) ** 2)
    slopes = _gradient(derived, theta)
    influence = np.abs(slopes) * np.sqrt(np.diagonal(covariance))
    if not np.all(np.isfinite(influence)) or not np.any(influence > 0):
        raise FitError(
            f"{name} = {known[name].value:.6g} cannot be profiled: no parameter that was fitted "
            "moves it, or an exponent lies at a bound where it is not defined. Profile a parameter."
        )
    column = int(np.argmax(influence))
    # In standard errors from the estimate, for a coordinate is to be of order 1.
    estimate, error = known[name].value, float(np.sqrt(slopes @ covariance @ slopes))
    own = _with_quantity(problem.law, lambda at: (derived(at) - estimate) / error, column, theta)
    return Quantity(name, derived, own, column, estimate, error)


def _gradient(quantity: Callable[[Floats], Floats], theta: Floats) -> Floats:
    """Derivatives over each coordinate, the shape of `theta`, `(..., n_params)`."""
    steps = _STEP * np.eye(theta.shape[-1])
    ends = [quantity(theta[..., None, :] + sign * steps) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * _STEP)


def _with_quantity(
    law: Law, quantity: Callable[[Floats], Floats], column: int, estimate: Floats
) -> Law:
    """Returns the law with the quantity in the place of coordinate `column`."""
    # The quantity and its slope along the one replaced, of one call.
    nearby = _STEP * np.multiply.outer([0.0, 1.0, -1.0], np.arange(len(estimate)) == column)

    def solved(own: Floats) -> Floats:
        """Coordinates of the law; not a number where no value of the one replaced gives it."""
        wanted, theta = own[..., column], np.array(own)
        theta[..., column] = estimate[column]
        step = np.full(wanted.shape, np.inf)
        with np.errstate(all="ignore"):
            for _ in range(_MOST_ITERATIONS):
                here, above, below = np.moveaxis(quantity(theta[..., None, :] + nearby), -1, 0)
                step = (here - wanted) * (2 * _STEP) / (above - below)
                theta[..., column] -= np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
                if np.all(np.abs(step) <= _PRECISION):
                    break
        there = theta[..., column]
        found = (np.abs(step) <= _ACCEPTED) & (there >= law.lower[column])
        theta[..., column] = np.where(found & (there <= law.upper[column]), there, np.nan)
        return theta

    def predict(own: Floats, log_x: Floats) -> Floats:
        return law.log_predict(solved(own), log_x)

    def jacobian(own: Floats, log_x: Floats) -> Floats:
        theta = solved(own)
        slopes = _gradient(quantity, theta)
        by_column = 1.0 / slopes[..., column]
        along = -slopes * by_column[..., None]
        along[..., column] = by_column
        of_law = law.jacobian(theta, log_x)
        others = np.where(np.arange(theta.shape[-1]) == column, 0.0, of_law)
        return others + of_law[..., column, None] * along[..., None, :]

    lower, upper = list(law.lower), list(law.upper)
    lower[column], upper[column] = -np.inf, np.inf
    return law._replace(
        logs=law.logs - {law.params[column]},
        lower=tuple(lower),
        upper=tuple(upper),
        log_predict=predict,
        jacobian=jacobian,
    )
