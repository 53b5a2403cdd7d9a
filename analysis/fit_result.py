"""A fitted law: estimates, how far to trust them, and the curve with its band."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.fit_verdict import Verdict
from analysis.laws import LAWS
from analysis.laws.law import Floats, Law
from analysis.observations import as_inputs
from analysis.problem import Scale
from analysis.uncertainty import Bootstrap, percentile_interval, percentiles

_ARRAYS = ("covariance", "replicates", "residuals")


class Derived(NamedTuple):
    """A number that follows from the parameters.

    Attributes:
        value: At the estimates.
        standard_error: Standard deviation over the replicates.
        interval: (low, high): percentiles of the replicates.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class FitResult:
    """A law fitted to rows by `analysis.fit.fit`.

    Attributes:
        law: The law.
        params: Estimates by name, in the units of x and y.
        standard_errors: Of the estimates, by name; `sqrt(diag(covariance))`.
        covariance: Of the estimates, shape `(n_params, n_params)`, in the order of `params`: that
            of the replicates, carried to first order from log A to A where A is fitted as log A.
        intervals: (low, high) by name: percentiles of the replicates.
        level: Probability with which an interval is to cover.
        bootstrap: How the intervals were made.
        replicates: The law's coordinates (`theta`) refitted to redrawn rows, in the units of x
            and y, shape `(n_replicates, n_params)`; `law.to_params` makes them parameters.
        verdict: Whether the fit is to be trusted.
        reason: The verdict in a sentence or more.
        objective: Weighted sum over rows of half the squared residual, or of Huber's loss.
        scale: Whether residuals are of log y or of y.
        delta: Huber's threshold in units of the residuals; None for squared error.
        n_points: Rows fitted.
        n_starts: Starts tried.
        n_starts_agreeing: Starts that ended at the best objective, to a part in a million.
        gradient_norm: Largest projection of the residuals on a direction in which a parameter may
            move, in units of log y, or of y over its geometric mean; 0 at a perfect minimum.
        bounds_hit: Names of the parameters that lie on a bound.
        condition_number: Of the Jacobian in centred units, columns of length 1. 1 is best.
        residuals: `log y - log f(x)` or, on the linear scale, `y - f(x)` for each row in the order
            given, shape `(n_points,)`.
    """

    law: Law
    params: Mapping[str, float]
    standard_errors: Mapping[str, float]
    covariance: Floats = field(repr=False)
    intervals: Mapping[str, tuple[float, float]]
    level: float
    bootstrap: Bootstrap
    replicates: Floats = field(repr=False)
    verdict: Verdict
    reason: str
    objective: float
    scale: Scale
    delta: float | None
    n_points: int
    n_starts: int
    n_starts_agreeing: int
    gradient_norm: float
    bounds_hit: tuple[str, ...]
    condition_number: float
    residuals: Floats = field(repr=False)

    def predict(self, x: ArrayLike) -> Floats:
        """The fitted curve.

        Args:
            x: Inputs, shape `(n,)`, or `(n, n_inputs)`; positive and finite.

        Returns:
            y, shape `(n,)`.

        Raises:
            ValueError: x of another shape, or not positive and finite.
        """
        params = np.array([self.params[name] for name in self.law.params])
        return np.exp(self.law.log_predict(self.law.to_theta(params), self._log_inputs(x)))

    def predict_interval(self, x: ArrayLike, level: float | None = None) -> tuple[Floats, Floats]:
        """Confidence band of the curve, for each x by itself.

        The band is for the curve, not for a new observation, which scatters about it.

        Args:
            x: Inputs, shape `(n,)`, or `(n, n_inputs)`; positive and finite.
            level: Probability of covering the curve at one x; that of the fit unless given.

        Returns:
            Lower and upper end, each of shape `(n,)`: percentiles of the replicates' curves.

        Raises:
            ValueError: x of another shape, or not positive and finite; an impossible level.
        """
        level = self.level if level is None else level
        curves = self.law.log_predict(self.replicates, self._log_inputs(x))
        low, high = percentile_interval(curves, level)
        return np.exp(low), np.exp(high)

    def derived(self) -> dict[str, Derived]:
        """What the law derives from its parameters, e.g. exponents of compute-optimal growth.

        Returns:
            By name; empty where the law derives nothing. Where more replicates than lie beyond an
            end do not define a number (an exponent of 0), its error and interval are NaN.
        """
        estimates = self.law.derived(np.array([self.params[name] for name in self.law.params]))
        with np.errstate(over="ignore", under="ignore"):
            replicates = self.law.derived(self.law.to_params(self.replicates))
        found = {}
        for name, value in estimates.items():
            defined = replicates[name][np.isfinite(replicates[name])]
            error = low = high = np.nan
            if 1 - len(defined) / len(self.replicates) <= (1 - self.level) / 2:
                error = float(np.std(defined, ddof=1))
                low, high = (float(ends[0]) for ends in percentiles(defined[:, None], self.level))
            found[name] = Derived(float(value), error, (low, high))
        return found

    def summary(self) -> str:
        """The fit as a plain-text table."""
        how = self.bootstrap
        width = max(len("parameter"), *map(len, self.params))
        units = "" if how.n_units is None else f", {how.n_units} units"
        freedom = (
            ""
            if how.degrees_of_freedom is None
            else f"{how.degrees_of_freedom:.4g} degrees of freedom, "
        )
        loss = "squared error" if self.delta is None else f"Huber {self.delta:g}"
        kind = "log residuals" if self.scale == "log" else "residuals"
        rms = float(np.sqrt(np.mean(self.residuals**2)))
        lines = [
            f"{self.law.name}: {self.law.formula}",
            f"{self.verdict}: {self.reason}",
            "",
            f"{'parameter':<{width}} {'estimate':>13} {'std. error':>13}   "
            f"{100 * self.level:g} % interval",
            *(
                f"{name:<{width}} {value:>13.6g} {self.standard_errors[name]:>13.3g}   "
                f"[{self.intervals[name][0]:.6g}, {self.intervals[name][1]:.6g}]"
                for name, value in self.params.items()
            ),
            *(
                f"{name:<{width}} {value:>13.6g} {error:>13.3g}   [{low:.6g}, {high:.6g}]"
                for name, (value, error, (low, high)) in self.derived().items()
            ),
            "",
            f"{self.n_points} points, {kind} {rms:.3g} rms, objective {self.objective:.6g} "
            f"({loss})",
            f"{self.n_starts_agreeing} of {self.n_starts} starts agree, gradient "
            f"{self.gradient_norm:.1e}, condition number {self.condition_number:.3g}",
            f"percentile bootstrap '{how.resampling}': {how.n_replicates} replicates{units}, "
            f"{freedom}seed {how.seed}",
        ]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The result as strict JSON, from which `from_json` restores every digit."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        values["law"] = self.law.name
        values["bootstrap"] = asdict(self.bootstrap)
        for name in _ARRAYS:
            values[name] = values[name].tolist()
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "FitResult":
        """The result that `to_json` wrote.

        Raises:
            ValueError: Not such a text, or a law that this version does not know.
        """
        values = json.loads(text)
        expected = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or set(values) != expected:
            found = set(values) if isinstance(values, dict) else set()
            raise ValueError(
                f"Not a FitResult: missing fields {sorted(expected - found)}, unknown fields "
                f"{sorted(found - expected)}. Give the text that FitResult.to_json wrote."
            )
        if values["law"] not in LAWS:
            raise ValueError(f"Unknown law {values['law']!r}: known are {', '.join(LAWS)}.")
        values["law"] = LAWS[values["law"]]
        values["bootstrap"] = Bootstrap(**values["bootstrap"])
        values["verdict"] = Verdict(values["verdict"])
        values["bounds_hit"] = tuple(values["bounds_hit"])
        values["intervals"] = {name: tuple(ends) for name, ends in values["intervals"].items()}
        for name in _ARRAYS:
            values[name] = read_only(values[name])
        return cls(**values)

    def _log_inputs(self, x: ArrayLike) -> Floats:
        return np.log(as_inputs(self.law, x))


def read_only(values: ArrayLike) -> Floats:
    """A float64 array that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array
