"""A law of one's own from a function of arrays: everything else that a fit needs is made here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.laws.law import Law, nothing_derived

_LOG2_STARTS = 6
_STEP = float(np.cbrt(np.finfo(float).eps))  # least error of a central difference
_LOG_2 = float(np.log(2.0))
_SAME = 1e-9  # of y: a difference that rounding makes, and no parameter


def law_of(
    function: Callable[..., Floats],
    *,
    name: str,
    formula: str,
    inputs: Sequence[str],
    starts: Mapping[str, tuple[float, float]],
    units_of_y: Sequence[str],
    logs: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    derived: Callable[[Floats], dict[str, Floats]] = nothing_derived,
    output: str = "loss",
) -> Law:
    """The law that a function computes, with numerical derivatives.

    The function is called with the inputs, each of shape `(n_points,)`, in the order given here,
    and with the parameters by name, each of shape `(..., 1)`. It returns y, positive, of the shape
    that they broadcast to: write it in NumPy's arithmetic. Derivatives are central
    differences, right to about 8 digits: a fit takes several times as long as one of the built-in
    laws, and is as good. Inputs keep their units, which fits otherwise shift to the middle of the
    rows; where a fit is told to be ill-conditioned, divide them by a typical value in the function,
    as in `(N / 1e9) ** -alpha`.

    Args:
        function: `(*inputs, **params) -> y`.
        name: Name of the law.
        formula: The equation, in plain text.
        inputs: Names of the inputs; a table's columns are found by them.
        starts: For each parameter the range in which fits start. It need not hold the truth; 64
            points spread evenly over all ranges, with y brought to the level of the rows, are
            tried.
        units_of_y: Names of the parameters that double when y is given in units half as large:
            floors and coefficients such as E, A and B, not exponents.
        logs: Names of the parameters that are positive and fitted as logarithms: those known up to
            a factor, such as A.
        bounds: (lower, upper) of parameters that have them. Those of `units_of_y` may only be 0
            and infinite.
        derived: As in `Law`.
        output: As in `Law`.

    Returns:
        The law. Unlike the built-in ones it runs on NumPy alone.

    Raises:
        ValueError: A name that is no parameter, a range that is none, a bound that a unit would
            move, a function of other arguments; on the first fit, `units_of_y` that are not those
            of the function.
    """
    params, limits = tuple(starts), dict(bounds or {})
    _require_known(params, {"units_of_y": units_of_y, "logs": logs, "bounds": limits})
    _require_arguments(name, function, inputs, params)
    is_log = np.array([each in logs for each in params])
    in_units = np.array([each in units_of_y for each in params])
    within = np.array([limits.get(each, (-np.inf, np.inf)) for each in params], dtype=np.float64)
    within = np.where(is_log[:, None], np.maximum(within, 0.0), within)
    ranges = np.array([starts[each] for each in params], dtype=np.float64)
    _require_ranges(params, ranges, within, is_log, in_units)
    lower, upper = _coordinates(within, is_log)

    def log_predict(theta: Floats, log_x: Floats) -> Floats:
        # Where y is not positive it has no logarithm, and a fit goes elsewhere.
        with np.errstate(all="ignore"):
            values = np.where(is_log, np.exp(np.where(is_log, theta, 0.0)), theta)
            columns = dict(zip(params, np.moveaxis(values, -1, 0)[..., None], strict=True))
            log_y = np.log(function(*np.exp(log_x).T, **columns))
        return np.broadcast_to(log_y, (*theta.shape[:-1], len(log_x)))

    def jacobian(theta: Floats, log_x: Floats) -> Floats:
        columns = []
        for column in range(len(params)):
            step = _STEP * np.maximum(np.abs(theta[..., column]), 1.0)
            above, below = theta.copy(), theta.copy()
            above[..., column] = np.minimum(theta[..., column] + step, upper[column])
            below[..., column] = np.maximum(theta[..., column] - step, lower[column])
            width = (above - below)[..., column, None]
            columns.append((log_predict(above, log_x) - log_predict(below, log_x)) / width)
        return np.stack(columns, axis=-1)

    def rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        # The inputs are unscaled: their scale is 0.
        moved = np.where(is_log, theta + log_y_scale, theta * np.exp(log_y_scale))
        return np.where(in_units, moved, theta)

    def all_starts(log_x: Floats, log_y: Floats) -> Floats:
        low, high = _coordinates(ranges, is_log)
        spread = qmc.Sobol(len(params), scramble=False).random_base2(_LOG2_STARTS)
        theta = low + (high - low) * spread
        log_predicted = log_predict(theta, log_x)
        level = np.mean(log_y - log_predicted, axis=-1)
        usable = np.flatnonzero(np.isfinite(level))
        if not usable.size:
            raise FitError(
                f"{name} is positive and finite in every row for none of {len(theta)} starts: give "
                "`starts` that the rows could have come from."
            )
        still = np.zeros(len(inputs))
        doubled = log_predict(rescale(theta[usable[0]], still, _LOG_2), log_x)
        _require_doubled(name, units_of_y, np.exp(doubled - log_predicted[usable[0]]))
        return np.stack([rescale(theta[at], still, float(level[at])) for at in usable])

    return Law(
        name=name,
        formula=formula,
        inputs=tuple(inputs),
        params=params,
        logs=frozenset(logs),
        lower=tuple(lower.tolist()),
        upper=tuple(upper.tolist()),
        log_predict=log_predict,
        jacobian=jacobian,
        starts=all_starts,
        rescale=rescale,
        unscaled=tuple(inputs),
        derived=derived,
        output=output,
    )


def _coordinates(ends: Floats, is_log: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Lower and upper coordinates of parameters, from shape `(n_params, 2)`."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(is_log[:, None], ends, 1.0))
    low, high = np.where(is_log[:, None], logs, ends).T
    return low, high


def _require_known(params: Sequence[str], named: Mapping[str, Iterable[str]]) -> None:
    for argument, names in named.items():
        for each in names:
            if each not in params:
                raise ValueError(
                    f"{argument} names {each!r}, but `starts` has the parameters "
                    f"{', '.join(params)}: give it a range there, or correct the name."
                )


def _require_arguments(
    name: str, function: Callable[..., Floats], inputs: Sequence[str], params: Sequence[str]
) -> None:
    try:
        signature(function).bind(*inputs, **dict.fromkeys(params))
    except TypeError as error:
        raise ValueError(
            f"{name}: the function cannot be called with the inputs {', '.join(inputs)} in order "
            f"and the parameters {', '.join(params)} by name: {error}."
        ) from None


def _require_ranges(
    params: Sequence[str],
    ranges: Floats,
    within: Floats,
    is_log: NDArray[np.bool_],
    in_units: NDArray[np.bool_],
) -> None:
    for column, each in enumerate(params):
        (low, high), (least, most) = ranges[column], within[column]
        positive = low > 0 or not is_log[column]
        if not (least <= low <= high <= most and np.isfinite(high - low) and positive):
            above = " and above 0" if is_log[column] else ""
            raise ValueError(
                f"starts of {each} range from {low:g} to {high:g}: give the lower end first, both "
                f"finite, within the bounds {least:g} and {most:g}{above}."
            )
        if in_units[column] and not {least, most} <= {0.0, -np.inf, np.inf}:
            raise ValueError(
                f"{each} is bounded by {least:g} and {most:g}, but has the unit of y, which a fit "
                "changes: bound it by 0 and infinity alone."
            )


def _require_doubled(name: str, units_of_y: Sequence[str], factor: Floats) -> None:
    if not np.allclose(factor, 2.0, rtol=_SAME, atol=0.0):
        raise ValueError(
            f"{name}: with {', '.join(units_of_y) or 'no parameter'} doubled y should double, but "
            f"takes {factor.min():.4g} to {factor.max():.4g} times its value: name in units_of_y "
            "the parameters that have the unit of y, all of them and no other."
        )
