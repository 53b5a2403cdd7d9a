"""A fitted law: estimates, their intervals and verdict, and the curve with its bands."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from analysis.errors import nearest_name
from analysis.estimate import Floats
from analysis.fitting.bootstrap.noise_trend import NoiseTrend
from analysis.fitting.bootstrap.replicates import BootstrapRecord, percentile_interval, percentiles
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import FittedRows, as_inputs, read_only
from analysis.fitting.render import FitTable, TableRow, latex_table, plain_table
from analysis.fitting.verdict import Verdict
from analysis.laws import LAWS
from analysis.laws.law import Law
from analysis.writing import dumps, plain

_ARRAYS = ("covariance", "replicates", "noise_factors", "residuals")
_NOT_WRITTEN = {"loss", "rows"}  # as such: JSON has the fields of the loss, and no rows


class Derived(NamedTuple):
    """A number that follows from the parameters.

    Attributes:
        value: The number at the estimates.
        standard_error: Standard deviation over the replicates.
        interval: (low, high): percentiles of the replicates.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class FitResult:
    """A law fitted to rows by `analysis.fitting.fit.fit`.

    Attributes:
        law: The law.
        params: Estimates by name, in the units of x and y.
        standard_errors: Standard errors of the estimates, by name; `sqrt(diag(covariance))`.
        covariance: Covariance of the estimates, shape `(n_params, n_params)`, in the order of
            `params`: that of the replicates, carried to first order from log A to A where A is
            fitted as log A.
        intervals: (low, high) by name: percentiles of the replicates.
        level: Nominal coverage of the intervals.
        bootstrap: How the intervals were made.
        replicates: The law's coordinates (`theta`) refitted to redrawn rows, in the units of x
            and y, shape `(n_replicates, n_params)`; `law.to_params` makes them parameters.
        verdict: The gravest doubt about the fit, or none.
        reason: The verdict in a sentence or more.
        objective: Weighted sum over rows of half the squared residual, or of Huber's loss.
        loss: The loss, and the scale of its residuals.
        fixed: Names of the parameters that were held rather than fitted.
        n_points: Rows fitted.
        n_starts: Starts tried.
        n_starts_agreeing: Starts that ended at the best objective, to a part in a million.
        n_optima: Separate places, of those that the starts ended at, with an objective as low.
        gradient_norm: Largest projection of the residuals on a direction in which a parameter may
            move, in units of log y, or of y over its geometric mean; 0 at a perfect minimum.
        bounds_hit: Names of the parameters that lie on a bound.
        condition_number: Condition number of the Jacobian in centred units, columns of length 1.
            1 is best.
        noise: Standard deviation of a run about the curve, on the scale of the residuals, with the
            unbiased variance `sum w r^2 / (n - p) / mean(w)` for p parameters fitted; p is more
            where rows come in clusters, whose common noise the fit follows. Of one curve, whose
            residuals are smaller than its noise, the median of the replicates.
        noise_factors: Factor of `noise` in each replicate, shape `(n_replicates,)`: it allows for a
            noise level that few rows leave uncertain.
        noise_trend: How the noise changes over the inputs; None of few rows.
        residuals: `log y - log f(x)` or, on the linear scale, `y - f(x)` for each row in the order
            given, shape `(n_points,)`.
        rows: The rows that were fitted, in the order given; None of a result read back from JSON,
            which holds no rows.
    """

    law: Law
    params: Mapping[str, float]
    standard_errors: Mapping[str, float]
    covariance: Floats = field(repr=False)
    intervals: Mapping[str, tuple[float, float]]
    level: float
    bootstrap: BootstrapRecord
    replicates: Floats = field(repr=False)
    verdict: Verdict
    reason: str
    objective: float
    loss: Loss
    fixed: tuple[str, ...]
    n_points: int
    n_starts: int
    n_starts_agreeing: int
    n_optima: int
    gradient_norm: float
    bounds_hit: tuple[str, ...]
    condition_number: float
    noise: float
    noise_factors: Floats = field(repr=False)
    noise_trend: NoiseTrend | None
    residuals: Floats = field(repr=False)
    rows: FittedRows | None = field(default=None, repr=False)

    @property
    def has_unequal_noise(self) -> bool:
        """Whether the noise has a trend, and nobody asked for noise of one size."""
        found = self.noise_trend is not None and self.noise_trend.is_unequal
        return found and not self.bootstrap.takes_noise_as_equal

    def require_rows(self) -> FittedRows:
        """Returns the rows that were fitted.

        Raises:
            ValueError: A result read back from JSON.
        """
        if self.rows is None:
            raise ValueError(
                "This fit was read from JSON, which holds no rows; profiles and figures of "
                "residuals need them. Fit the rows again."
            )
        return self.rows

    def predict(self, x: ArrayLike) -> Floats:
        """Returns the fitted curve.

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
        """Returns the confidence band of the curve, for each x by itself.

        The band is for the curve, not for a new observation, which scatters about it
        (`prediction_interval`).

        Args:
            x: Inputs, as `predict` takes them.
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

    def prediction_interval(
        self, x: ArrayLike, level: float | None = None
    ) -> tuple[Floats, Floats]:
        """Returns the band that holds a new run, for each x by itself.

        The curve of each replicate, and the noise of one run about it: normal, of the standard
        deviation `noise`, times the replicate's factor of it, which allows for a noise level that
        few rows leave uncertain. For a law linear in theta and normal noise that is Student's
        prediction interval. A 95 % band also held 93 to 99 % of new runs where the noise was
        skewed, heavy-tailed or uniform. Where the noise has a trend (`noise_trend`), a run has the
        noise of its x; else all runs are taken to be equally noisy, those of the mean weight where
        rows have weights. Of clusters it is a run of another cluster. The same fit gives the same
        band.

        Args:
            x: Inputs, as `predict` takes them.
            level: Probability of holding a new run at one x; that of the fit unless given.

        Returns:
            Lower and upper end, each of shape `(n,)`. On the linear scale the lower end may be
            negative, as normal noise may be.

        Raises:
            ValueError: x of another shape, or not positive and finite; an impossible level; a fit
                with `above` other than 1, about whose curve runs do not scatter alike.
        """
        if self.loss.above != 1:
            raise ValueError(
                f"above = {self.loss.above:g}: runs scatter mostly upwards from a curve that seeks "
                "their floor. Predict runs from a fit with above=1."
            )
        level = self.level if level is None else level
        # The replicates have another stream of the same seed.
        n, stream = len(self.replicates), np.random.default_rng([self.bootstrap.seed, 1])
        places = (stream.permutation(n) + 0.5) / n
        log_x, trend = self._log_inputs(x), self.noise_trend
        spread: float | Floats = self.noise
        if trend is not None and self.has_unequal_noise and self.bootstrap.n_clusters is None:
            spread = trend.at(log_x)
        noise = (self.noise_factors * ndtri(places))[:, None] * spread
        curves = self.law.log_predict(self.replicates, log_x)
        if self.loss.scale == "linear":
            return percentile_interval(np.exp(curves) + noise, level)
        low, high = percentile_interval(curves + noise, level)
        return np.exp(low), np.exp(high)

    def derived(self) -> dict[str, Derived]:
        """Returns what the law derives from its parameters, e.g. exponents of optimal growth.

        Returns:
            By name; empty where the law derives nothing. Where more replicates than lie beyond an
            end do not define a number (an exponent of 0), its error and interval are NaN. Where a
            few replicates outweigh all others, so that the standard deviation exceeds the interval,
            the error alone is.
        """
        estimates = self.law.derived(np.array([self.params[name] for name in self.law.params]))
        with np.errstate(over="ignore", under="ignore"):
            replicates = self.law.derived(self.law.to_params(self.replicates))
        found = {}
        for name, value in estimates.items():
            defined = replicates[name][np.isfinite(replicates[name])]
            error = low = high = np.nan
            if 1 - len(defined) / len(self.replicates) <= (1 - self.level) / 2:
                # What follows from held parameters alone is the same in every replicate.
                with np.errstate(over="ignore"):
                    error = float(np.std(defined, ddof=1)) if np.ptp(defined) > 0 else 0.0
                low, high = (float(ends[0]) for ends in percentiles(defined[:, None], self.level))
                error = error if error <= high - low else np.nan
            found[name] = Derived(float(value), error, (low, high))
        return found

    def table(self) -> FitTable:
        """The numbers and words of the fit's table."""
        fitted = (
            TableRow(name, value, None, None)
            if name in self.fixed
            else TableRow(name, value, self.standard_errors[name], self.intervals[name])
            for name, value in self.params.items()
        )
        return FitTable(
            name=self.law.name,
            formula=self.law.formula,
            verdict=str(self.verdict),
            reason=self.reason,
            level=self.level,
            params=tuple(fitted),
            derived=tuple(TableRow(name, *each) for name, each in self.derived().items()),
            n_points=self.n_points,
            rms=float(np.sqrt(np.mean(self.residuals**2))),
            objective=self.objective,
            loss=self.loss,
            n_starts=self.n_starts,
            n_starts_agreeing=self.n_starts_agreeing,
            gradient_norm=self.gradient_norm,
            condition_number=self.condition_number,
            bootstrap=self.bootstrap,
            noise_trend=self.noise_trend,
        )

    def summary(self) -> str:
        """The fit as a plain-text table."""
        return plain_table(self.table())

    def to_latex(self) -> str:
        """The fit as a LaTeX table with its caption (`analysis.fitting.render`)."""
        return latex_table(self.table())

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values, without its rows."""
        names = [each.name for each in fields(self) if each.name not in _NOT_WRITTEN]
        values = {name: getattr(self, name) for name in names}
        values |= asdict(self.loss)
        values["law"] = self.law.name
        values["bootstrap"] = asdict(self.bootstrap)
        values["noise_trend"] = None if self.noise_trend is None else asdict(self.noise_trend)
        return plain(values)

    def to_json(self) -> str:
        """The result as strict JSON, from which `from_json` restores every digit."""
        return dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str, law: Law | None = None) -> "FitResult":
        """Returns the result that `to_json` wrote, without its rows.

        Args:
            text: The text that it wrote.
            law: The law that was fitted, where it is none of `analysis.laws.LAWS`: a text holds
                only the name of a law.

        Raises:
            ValueError: Not such a text, a law that this version does not know, or another law than
                the one given.
        """
        return cls.from_dict(json.loads(text), law)

    @classmethod
    def from_dict(cls, values: Any, law: Law | None = None) -> "FitResult":
        """The result that `to_dict` returned; arguments and errors as of `from_json`."""
        of_loss = {each.name for each in fields(Loss)}
        expected = {each.name for each in fields(cls)} - _NOT_WRITTEN | of_loss
        _require_fields("a FitResult", values, expected)
        of_bootstrap = {each.name for each in fields(BootstrapRecord)}
        _require_fields("the bootstrap of a FitResult", values["bootstrap"], of_bootstrap)
        read: dict[str, Any] = {
            name: value for name, value in values.items() if name not in of_loss
        }
        read |= {name: read_only(read[name]) for name in _ARRAYS}
        read |= {name: tuple(read[name]) for name in ("bounds_hit", "fixed")}
        read["law"] = _law_of(read, law)
        read["bootstrap"] = BootstrapRecord(**read["bootstrap"])
        if (trend := read["noise_trend"]) is not None:
            trend = trend | {"log_range": tuple(trend["log_range"])}
            read["noise_trend"] = NoiseTrend(**trend)
        read["loss"] = Loss(**{name: values[name] for name in of_loss})
        read["verdict"] = Verdict(read["verdict"])
        read["intervals"] = {name: tuple(ends) for name, ends in read["intervals"].items()}
        return cls(**read)

    def _log_inputs(self, x: ArrayLike) -> Floats:
        return np.log(as_inputs(self.law, x))


def _require_fields(what: str, values: Any, expected: set[str]) -> None:
    found = set(values) if isinstance(values, dict) else set()
    if found != expected:
        raise ValueError(
            f"Not {what}: missing fields {sorted(expected - found)}, unknown fields "
            f"{sorted(found - expected)}. Give what FitResult.to_json of this version wrote, or "
            "fit the rows again."
        )


def _law_of(values: Mapping[str, Any], given: Law | None) -> Law:
    """The law of a text: the one given, or the known one of its name."""
    name, law = values["law"], LAWS.get(values["law"]) if given is None else given
    if law is None:
        raise ValueError(
            f"no law {name!r}; {nearest_name(str(name), LAWS)}. If it is a law of your own, give "
            "it: FitResult.from_json(text, law)."
        )
    if law.name != name or tuple(values["params"]) != law.params:
        raise ValueError(
            f"The text is a fit of {name} ({', '.join(values['params'])}), but the law is "
            f"{law.name} ({', '.join(law.params)}). Give the law that was fitted."
        )
    return law
