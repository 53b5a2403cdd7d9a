"""A number that a fit estimates with some error, and how it changes with the law's coordinates."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from analysis.errors import FitError, nearest_name
from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.guards import positive
from analysis.laws.law import Law
from analysis.planning.best_models import Family, best_models, log_inputs
from analysis.planning.training_cost import SIX_N_D, TrainingCost

_STEP = 1e-3  # of a coordinate's standard error, in central differences


class Quantity(NamedTuple):
    """A number of a fit.

    Attributes:
        name: Description in words.
        value: Value at the estimates.
        gradient: Gradient over the law's coordinates `theta`, shape `(n_params,)`.
    """

    name: str
    value: float
    gradient: Floats


def quantity_of(
    result: FitResult,
    name: str,
    at: Mapping[str, float] | None = None,
    cost: TrainingCost = SIX_N_D,
) -> Quantity:
    """Returns a parameter, a derived number, or the loss at a target.

    Args:
        result: A fit of a law that `analysis.planning.best_models.require_allocatable` accepts.
        name: A parameter, a name of `result.derived()`, or "loss".
        at: Target of the quantity "loss": {"N": ..., "D": ...}, or {"C": ...} for the best model of
            a compute.
        cost: FLOPs a token as a function of N, by which a compute is spent.

    Raises:
        ValueError: No such quantity (the nearest is named), a parameter that was held, or an
            impossible target.
        FitError: The fit has no best model at that compute, or does not define the number.
    """
    law = result.law
    theta = law.to_theta(np.array([result.params[each] for each in law.params]))
    if name == "loss":
        return _loss(law, theta, at, cost)
    if at is not None:
        raise ValueError(f"at = {dict(at)} is a target of quantity 'loss': leave it out of {name}.")
    if name in result.params:
        if name in result.fixed:
            raise ValueError(f"{name} was held in the fit, so it has no interval. Choose another.")
        value, column = result.params[name], law.params.index(name)
        slope = value if name in law.logs else 1.0
        return Quantity(name, value, slope * np.eye(len(theta))[column])
    derived = law.derived(law.to_params(theta))
    if name not in derived:
        nearest = nearest_name(name, [*law.params, *derived, "loss"])
        raise ValueError(f"{law.name} has no quantity {name!r}: {nearest}.")
    # A derived number has no formula for its gradient: central differences in each coordinate.
    steps = _STEP * np.sqrt(np.diagonal(covariance_of(result)))
    slopes = np.zeros(len(theta))
    for column in np.flatnonzero(steps):
        shift = steps[column] * np.eye(len(theta))[column]
        ends = (law.derived(law.to_params(theta + sign * shift))[name] for sign in (1, -1))
        above, below = map(float, ends)
        slopes[column] = (above - below) / (2 * steps[column])
    if not np.all(np.isfinite(slopes)):
        raise FitError(
            f"{name} is not defined at the estimates of {law.name}, as with an exponent at or near "
            "0: fit rows that span more sizes and more tokens."
        )
    return Quantity(name, float(derived[name]), slopes)


def covariance_of(result: FitResult) -> Floats:
    """Returns the covariance of the law's coordinates `theta`, shape `(n_params, n_params)`."""
    values = np.array([result.params[name] for name in result.law.params])
    to_theta = 1.0 / np.where(result.law.is_log, values, 1.0)
    return to_theta[:, None] * result.covariance * to_theta


def _loss(law: Law, theta: Floats, at: Mapping[str, float] | None, cost: TrainingCost) -> Quantity:
    if at is None or set(at) not in ({"N", "D"}, {"C"}):
        raise ValueError(
            f"at = {None if at is None else dict(at)}, but the loss is known at N and D, or at C "
            "for its best model: give e.g. N=1e9,D=2e10 or C=1e21."
        )
    for name, value in at.items():
        positive(name, value, "give e.g. 1e9")
    if "C" in at:
        best = best_models(Family(law, theta[None], cost=cost), at["C"])
        if np.isnan(best.log_loss[0]):
            raise FitError(
                f"No compute-optimal model at {at['C']:.4g} FLOPs: the loss of {law.name} is "
                "monotone along this budget. Give N and D."
            )
        log_n, log_d = best.log_n, best.log_d
    else:
        log_n, log_d = np.log([at["N"]]), np.log([at["D"]])
    # Along a budget the loss is flat at its best model, which may therefore be held.
    log_x = log_inputs(law, log_n, log_d)
    value = float(np.exp(law.log_predict(theta, log_x)[0]))
    target = ", ".join(f"{name} = {each:.4g}" for name, each in at.items())
    return Quantity(f"loss at {target}", value, value * law.jacobian(theta, log_x)[0])
