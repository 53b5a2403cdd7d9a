"""How an optimum grows, for example with compute: a straight line on logarithms, with a band."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from analysis.compute_optimal.random_effects import (
    Line,
    noise_line,
    random_effects_line,
    student_over_normal,
    widened,
)
from analysis.errors import FitError
from analysis.estimate import Estimate, Floats
from analysis.fitting.bootstrap.replicates import percentiles
from analysis.fitting.result import FitResult
from analysis.guards import positive_column
from analysis.laws import CHINCHILLA
from analysis.laws.chinchilla import growth as compute_optimal_growth
from analysis.planning.paid_growth import optima
from analysis.planning.training_cost import TrainingCost


@dataclass(frozen=True, eq=False)
class Growth:
    """A power law `y = y_ref (x / x_ref)^exponent` with its replicates; x is compute or a group.

    Attributes:
        exponent: The exponent with its interval.
        exponent_se: Standard deviation of its replicates.
        x_ref: The x at which y is `value_ref`.
        value_ref: y_ref, with its interval.
        replicates: (log y_ref, exponent) of each bootstrap replicate, shape `(n_replicates, 2)`;
            percentiles at the level of `exponent` are the ends of intervals.
    """

    exponent: Estimate
    exponent_se: float
    x_ref: float
    value_ref: Estimate
    replicates: Floats = field(repr=False)

    @property
    def coefficient(self) -> float:
        """K of `y = k x^exponent`."""
        return self.value_ref.value * self.x_ref**-self.exponent.value

    def predict(self, x: ArrayLike) -> Floats:
        """Returns y at each x, shape `(n,)`."""
        ratio = positive_column("x", x) / self.x_ref
        return self.value_ref.value * ratio**self.exponent.value

    def predict_interval(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Returns the ends of the confidence band at each x by itself, each of shape `(n,)`.

        The band holds where the power law does: it does not allow for a bend beyond the data.
        """
        log_ratio = np.log(positive_column("x", x) / self.x_ref)
        lines = self.replicates[:, :1] + self.replicates[:, 1:] * log_ratio
        low, high = percentiles(lines, self.exponent.level)
        return np.exp(low), np.exp(high)

    def at(self, x: float) -> Estimate:
        """Returns y at one x, with its interval."""
        low, high = self.predict_interval([x])
        value = self.predict([x])
        return Estimate(float(value[0]), float(low[0]), float(high[0]), self.exponent.level)

    def to_dict(self) -> dict[str, Any]:
        """Returns the law over compute as plain values."""
        names = {"x_ref": "flops_ref", "n_points": "n_budgets"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Trend(Growth):
    """A power law through the optima of several groups, such as budgets.

    Attributes:
        r_squared: Weighted share of the variance of log y that the line explains; NaN where the
            optima do not differ.
        misfit: Scatter of the optima about the line in units of the noise of their replicates. NaN
            for two optima, or without noise.
        tau: Standard deviation of log y about the line beyond that noise; weights and intervals
            hold it (`analysis.compute_optimal.random_effects`). NaN where `misfit` is, and where
            the replicates resample what scatters.
        noise_alone: The power law if noise were the only error, as papers publish it: tau neither
            in weights nor in intervals. None where tau is NaN or 0, and nothing differs.
        n_points: Optima on the line.
    """

    r_squared: float
    misfit: float
    tau: float
    noise_alone: Growth | None = field(repr=False)
    n_points: int

    def __str__(self) -> str:
        return f"{self.coefficient:.4g} C^{self.exponent}, R2 {self.r_squared:.4f}"

    @property
    def by_noise(self) -> Growth:
        """The power law if noise were the only error."""
        return self if self.noise_alone is None else self.noise_alone

    def scatter(self) -> str:
        """Returns how widely the optima scatter, in words; empty where that is not known."""
        if np.isnan(self.misfit):
            return ""
        scatter = f"scatter {self.misfit:.2g} times the noise"
        return f"{scatter}, tau {self.tau:.2g} in the interval" if self.tau > 0 else scatter


Law = TypeVar("Law", bound=Growth, covariant=True)


class Exponents(NamedTuple, Generic[Law]):
    """Power laws in compute of the optimum.

    Attributes:
        params: N*, parameters; its exponent is a.
        tokens: D*, training tokens; its exponent is b.
        tokens_per_param: D* / N*.
    """

    params: Law
    tokens: Law
    tokens_per_param: Law


NAMES = ("N*", "D*", "D*/N*")
"""Symbols of the optima whose laws `Exponents` holds."""

POWERS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
"""Powers of N* and D* whose product is each of `Exponents`."""


def growth(line: tuple[float, float], replicates: Floats, x_ref: float, level: float) -> Growth:
    """Returns a power law from its line on logarithms.

    Args:
        line: log y_ref and the exponent.
        replicates: log y_ref and exponent of bootstrap replicates, shape `(n_replicates, 2)`.
        x_ref: The x of the line's height.
        level: Nominal coverage of the intervals.
    """
    low, high = percentiles(replicates, level)
    value, value_low, value_high = np.exp([line[0], low[0], high[0]]).tolist()
    kept = replicates.copy()
    kept.flags.writeable = False
    return Growth(
        exponent=Estimate(float(line[1]), float(low[1]), float(high[1]), level),
        exponent_se=float(np.std(kept[:, 1], ddof=1)),
        x_ref=float(x_ref),
        value_ref=Estimate(value, value_low, value_high, level),
        replicates=kept,
    )


def fit_trend(
    x: Floats, log_values: Floats, log_replicates: Floats, errors: Floats, level: float
) -> Trend:
    """Regresses log y on log x, for the optima and for each replicate.

    Weights are `1 / (errors^2 + tau^2)`: where optima scatter more widely than their noise, the
    excess tau enters weights and intervals.

    Args:
        x: Groups such as budgets, shape `(n,)`, at least two and distinct.
        log_values: log y at each, shape `(n,)`.
        log_replicates: log y of noisy replicates, shape `(n, n_replicates)`.
        errors: Standard errors of log y, positive, shape `(n,)`.
        level: Nominal coverage of the intervals.
    """
    log_x = np.log(x)
    noise, freedom = log_replicates.var(axis=1), len(x) - 2
    testable = freedom > 0 and bool(np.all(noise > 0))
    covariance = np.diag(noise)

    def power_law(line: Line) -> Growth:
        height, exponent = (line.to_line @ log_values).tolist()
        replicates = widened((line.to_line @ log_replicates).T, line, covariance, level)
        return growth((height, exponent), replicates, float(np.exp(line.centre)), level)

    alone = noise_line(log_x, errors)
    line = random_effects_line(log_x, log_values, errors, covariance) if testable else alone
    found = power_law(line)
    residual = line.residuals(log_x, log_values)
    variance = line.share @ (log_values - line.share @ log_values) ** 2
    scatter = alone.residuals(log_x, log_values) ** 2
    if line.tau > 0:  # a standard error is not stretched to Student's quantiles
        stretch = student_over_normal(freedom, level)
        found = replace(found, exponent_se=found.exponent_se / stretch)
    return Trend(
        **vars(found),
        r_squared=float(1 - line.share @ residual**2 / variance) if variance > 0 else float("nan"),
        misfit=float(np.sqrt(np.sum(scatter / noise) / freedom)) if testable else float("nan"),
        tau=line.tau,
        noise_alone=power_law(alone) if line.tau > 0 else None,
        n_points=len(x),
    )


def fitted_growth(result: FitResult, *, cost: TrainingCost, flops_ref: float) -> Exponents[Growth]:
    """Returns the power laws of approach 3 of Hoffmann et al. from a fitted Chinchilla law.

    Every replicate is a law with optima of its own. With C = k N D they are power laws:
    N* = G (C/k)^a and D* = (C/k)^b / G; `analysis.laws.chinchilla.growth` has G, a and b. Under
    another cost c(N) a token they bend, and the exponents are local: d log N* / d log C and
    d log D* / d log C at `flops_ref`.

    Args:
        result: A fit of the Chinchilla law.
        cost: FLOPs a token as a function of N.
        flops_ref: The compute to which the laws are referred, FLOPs.

    Returns:
        The power laws, with intervals at the level of the fit. Replicates without an optimum are
        left out.

    Raises:
        FitError: An exponent of the fit is at or near 0, or of too many replicates for an interval.
    """
    with np.errstate(over="ignore", under="ignore"):
        replicates = CHINCHILLA.to_params(result.replicates)
    params = np.vstack([[result.params[name] for name in CHINCHILLA.params], replicates])
    log_n, log_d, a, b = optima(compute_optimal_growth(params), params[:, 3:], cost, flops_ref)
    # (law, replicate, height and slope); the estimate comes first.
    lines = np.stack([[log_n, log_d, log_d - log_n], [a, b, b - a]], axis=-1)
    defined = np.all(np.isfinite(lines), axis=(0, 2))
    undefined = float(np.mean(~defined[1:]))
    if not defined[0] or undefined > (1 - result.level) / 2:
        raise FitError(
            f"an exponent is at or near 0 in {undefined:.0%} of the replicates, so that no size is "
            "optimal: give rows that span more sizes and more tokens"
        )
    return Exponents(
        *(
            growth((line[0, 0], line[0, 1]), line[1:][defined[1:]], flops_ref, result.level)
            for line in lines
        )
    )
