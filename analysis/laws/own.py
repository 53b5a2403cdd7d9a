"""A law of one's own from a function of arrays; everything else that a fit needs is made here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature

import numpy as np
from numpy.typing import NDArray

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.laws.law import Law, nothing_derived

_LOG2_STARTS = 6
_STEP = float(np.cbrt(np.finfo(float).eps))  # least error of a central difference
_LOG_2 = float(np.log(2.0))
_SAME = 1e-9  # of y: a difference that rounding makes, and no parameter


@dataclass(frozen=True)
class Parameter:
    """A parameter of a law of one's own.

    Attributes:
        starts: (low, high): the range in which fits start. It need not hold the truth.
        is_log: Whether the parameter is positive and fitted as a logarithm: one that is known up
            to a factor, such as A.
        has_unit_of_y: Whether the parameter doubles when y is given in units half as large: floors
            and coefficients such as E, A and B do, exponents do not.
        bounds: (lower, upper). With the unit of y they may only be 0 and infinite.
    """

    starts: tuple[float, float]
    is_log: bool = False
    has_unit_of_y: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def limits(self) -> tuple[float, float]:
        """`bounds` as floats, at least 0 where the parameter is positive."""
        lower, upper = map(float, self.bounds)
        return (max(lower, 0.0), max(upper, 0.0)) if self.is_log else (lower, upper)


def law_of(
    function: Callable[..., Floats],
    *,
    name: str,
    formula: str,
    inputs: Sequence[str],
    params: Mapping[str, Parameter],
    derived: Callable[[Floats], dict[str, Floats]] = nothing_derived,
    output: str = "loss",
) -> Law:
    """Returns the law that a function computes, with numerical derivatives.

    The function is called with the inputs, each of shape `(n_points,)`, in the order given here,
    and with the parameters by name, each of shape `(..., 1)`. It returns y, positive, of the shape
    that they broadcast to: write it in NumPy's arithmetic. Derivatives are central differences,
    right to about 8 digits: a fit takes several times as long as one of the built-in laws, and is
    as good. Inputs keep their units, which fits otherwise shift to the middle of the rows. Where a
    fit is ill-conditioned, divide them by a typical value in the function, as in
    `(N / 1e9) ** -alpha`. Fits start from 64 points spread evenly over all ranges, with y brought
    to the level of the rows.

    Args:
        function: `(*inputs, **params) -> y`.
        name: Name of the law.
        formula: The equation, in plain text.
        inputs: Names of the inputs; a table's columns are found by them.
        params: The parameters by name.
        derived: As in `Law`.
        output: As in `Law`.

    Returns:
        The law. Unlike the built-in ones it runs on NumPy alone.

    Raises:
        ValueError: A range that is none, a bound that a unit would move, a function of other
            arguments; on the first fit, a wrong `has_unit_of_y`.

    Examples:
        >>> from analysis.fitting.fit import fit
        >>> law = law_of(
        ...     lambda n, A, alpha: A * n**-alpha,
        ...     name="mine",
        ...     formula="L = A n^-alpha",
        ...     inputs=("n",),
        ...     params={
        ...         "A": Parameter(starts=(0.1, 10), is_log=True, has_unit_of_y=True),
        ...         "alpha": Parameter(starts=(0.1, 1), bounds=(0, 10)),
        ...     },
        ... )
        >>> n = np.array([16, 32, 64, 128, 256, 512])
        >>> noise = np.array([0.99, 1.02, 0.98, 1.01, 1.01, 0.99])
        >>> found = fit(law, n, 3 * n**-0.5 * noise)
        >>> f"{found.params['alpha']:.2f}"
        '0.50'
    """
    if not params:
        raise ValueError(f"{name} has no parameters, but a fit needs one or more. Give `params`.")
    _require_arguments(name, function, inputs, tuple(params))
    for each, parameter in params.items():
        _require_ranges(each, parameter)
    is_log = np.array([each.is_log for each in params.values()])
    lower, upper = _coordinates(np.array([each.limits for each in params.values()]), is_log)
    own = _OwnLaw(function, name, dict(params), is_log, lower, upper)
    return Law(
        name=name,
        formula=formula,
        inputs=tuple(inputs),
        params=tuple(params),
        logs=frozenset(each for each, parameter in params.items() if parameter.is_log),
        lower=tuple(lower.tolist()),
        upper=tuple(upper.tolist()),
        log_predict=own.log_predict,
        jacobian=own.jacobian,
        starts=own.starts,
        rescale=own.rescale,
        unscaled=tuple(inputs),
        derived=derived,
        output=output,
    )


@dataclass(frozen=True, eq=False)
class _OwnLaw:
    """The functions of a `Law`; arrays have one entry for each parameter."""

    function: Callable[..., Floats]
    name: str
    params: Mapping[str, Parameter]
    is_log: NDArray[np.bool_]
    lower: Floats
    upper: Floats

    def log_predict(self, theta: Floats, log_x: Floats) -> Floats:
        # Where y is not positive it has no logarithm, and a fit goes elsewhere.
        with np.errstate(all="ignore"):
            values = np.where(self.is_log, np.exp(np.where(self.is_log, theta, 0.0)), theta)
            columns = dict(zip(self.params, np.moveaxis(values, -1, 0)[..., None], strict=True))
            log_y = np.log(self.function(*np.exp(log_x).T, **columns))
        shape = (*theta.shape[:-1], len(log_x))
        try:
            return np.broadcast_to(log_y, shape)
        except ValueError:
            raise ValueError(
                f"{self.name}: y has shape {log_y.shape}, but inputs and parameters broadcast to "
                f"{shape}. Write the function in NumPy's arithmetic, element by element."
            ) from None

    def jacobian(self, theta: Floats, log_x: Floats) -> Floats:
        columns = []
        for column in range(len(self.params)):
            step = _STEP * np.maximum(np.abs(theta[..., column]), 1.0)
            above, below = theta.copy(), theta.copy()
            above[..., column] = np.minimum(theta[..., column] + step, self.upper[column])
            below[..., column] = np.maximum(theta[..., column] - step, self.lower[column])
            width = (above - below)[..., column, None]
            rise = self.log_predict(above, log_x) - self.log_predict(below, log_x)
            columns.append(rise / width)
        return np.stack(columns, axis=-1)

    def rescale(self, theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        # The inputs are unscaled: their scale is 0.
        moved = np.where(self.is_log, theta + log_y_scale, theta * np.exp(log_y_scale))
        return np.where([each.has_unit_of_y for each in self.params.values()], moved, theta)

    def starts(self, log_x: Floats, log_y: Floats) -> Floats:
        ranges = np.array([each.starts for each in self.params.values()], dtype=np.float64)
        low, high = _coordinates(ranges, self.is_log)
        from scipy.stats import qmc  # half a second, for fits alone

        spread = qmc.Sobol(len(self.params), scramble=False).random_base2(_LOG2_STARTS)
        theta = low + (high - low) * spread
        log_predicted = self.log_predict(theta, log_x)
        level = np.mean(log_y - log_predicted, axis=-1)
        usable = np.flatnonzero(np.isfinite(level))
        if not usable.size:
            raise FitError(
                f"{self.name}: none of {len(theta)} starting points gives a positive, finite "
                "prediction for every row. Widen `starts`."
            )
        still = np.zeros(log_x.shape[1])
        doubled = self.log_predict(self.rescale(theta[usable[0]], still, _LOG_2), log_x)
        factor = np.exp(doubled - log_predicted[usable[0]])
        if not np.allclose(factor, 2.0, rtol=_SAME, atol=0.0):
            named = [name for name, each in self.params.items() if each.has_unit_of_y]
            raise ValueError(
                f"{self.name}: has_unit_of_y is wrong: doubling {' and '.join(named) or 'nothing'} "
                f"multiplies y by {factor.min():.4g} to {factor.max():.4g}, not 2. Set it for "
                "every parameter that has the unit of y, and for no other."
            )
        return np.stack([self.rescale(theta[at], still, float(level[at])) for at in usable])


def _coordinates(ends: Floats, is_log: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Lower and upper coordinates of parameters, from shape `(n_params, 2)`."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(is_log[:, None], ends, 1.0))
    low, high = np.where(is_log[:, None], logs, ends).T
    return low, high


def _require_arguments(
    name: str, function: Callable[..., Floats], inputs: Sequence[str], params: Sequence[str]
) -> None:
    try:
        signature(function).bind(*inputs, **dict.fromkeys(params))
    except TypeError as error:
        raise ValueError(
            f"{name}: the function cannot be called with the inputs {', '.join(inputs)} in order "
            f"and the parameters {', '.join(params)} by name: {error}. Name its arguments, all of "
            "them, in `inputs` and `params`."
        ) from None


def _require_ranges(name: str, parameter: Parameter) -> None:
    (low, high), (least, most) = parameter.starts, parameter.limits
    positive = low > 0 or not parameter.is_log
    if not (least <= low <= high <= most and np.isfinite(high - low) and positive):
        above = " and above 0" if parameter.is_log else ""
        raise ValueError(
            f"{name} starts from {low:g} to {high:g}, but it is bounded by {least:g} and {most:g}. "
            f"Give the lower end first, both finite, within the bounds{above}."
        )
    if parameter.has_unit_of_y and not {least, most} <= {0.0, -np.inf, np.inf}:
        raise ValueError(
            f"{name} is bounded by {least:g} and {most:g}, but it has the unit of y, which a fit "
            "changes. Bound it by 0 and infinity alone."
        )
