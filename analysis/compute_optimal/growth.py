"""How an optimum grows with compute: a weighted straight line on logarithms, with its band."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Estimate, Floats
from analysis.fitting.bootstrap.replicates import percentiles
from analysis.guards import positive_column


@dataclass(frozen=True, eq=False)
class Growth:
    """A power law `y = y_ref (C / C_ref)^exponent` with its replicates.

    Attributes:
        exponent: With its interval.
        exponent_se: Standard deviation of its replicates.
        flops_ref: C_ref, FLOPs.
        value_ref: y_ref, with its interval.
        replicates: (log y_ref, exponent) of each bootstrap replicate, shape `(n_replicates, 2)`.
    """

    exponent: Estimate
    exponent_se: float
    flops_ref: float
    value_ref: Estimate
    replicates: Floats = field(repr=False)

    @property
    def coefficient(self) -> float:
        """K of `y = k C^exponent`, C in FLOPs."""
        return self.value_ref.value * self.flops_ref**-self.exponent.value

    def predict(self, flops: ArrayLike) -> Floats:
        """Y at the given compute, shape `(n,)`."""
        ratio = positive_column("flops", flops) / self.flops_ref
        return self.value_ref.value * ratio**self.exponent.value

    def predict_interval(self, flops: ArrayLike) -> tuple[Floats, Floats]:
        """Confidence band of the line, for each compute by itself, at the level of `exponent`.

        The band holds where the power law does: it knows nothing of a bend beyond the budgets.

        Args:
            flops: Compute, FLOPs, shape `(n,)`.

        Returns:
            Lower and upper end, each of shape `(n,)`.
        """
        log_ratio = np.log(positive_column("flops", flops) / self.flops_ref)
        lines = self.replicates[:, :1] + self.replicates[:, 1:] * log_ratio
        low, high = percentiles(lines, self.exponent.level)
        return np.exp(low), np.exp(high)

    def at(self, flops: float) -> Estimate:
        """Y at one compute, FLOPs, with its interval."""
        low, high = self.predict_interval([flops])
        value = self.predict([flops])
        return Estimate(float(value[0]), float(low[0]), float(high[0]), self.exponent.level)


@dataclass(frozen=True, eq=False)
class Trend(Growth):
    """A power law through the optima of several budgets.

    Attributes:
        r_squared: Weighted share of the variance of log y that the line explains; NaN where the
            optima do not differ.
        misfit: Scatter of the optima about the line in units of the noise of their replicates; well
            above 1, the budgets err by more than seed noise, and intervals are too narrow. NaN for
            two budgets, or without noise.
        n_budgets: Budgets on the line.
    """

    r_squared: float
    misfit: float
    n_budgets: int


def growth(
    line: tuple[float, float], replicates: Floats, *, flops_ref: float, level: float
) -> Growth:
    """A power law from its line on logarithms.

    Args:
        line: log y_ref and the exponent.
        replicates: The same of bootstrap replicates, shape `(n_replicates, 2)`.
        flops_ref: C_ref, FLOPs.
        level: Of the intervals.

    Returns:
        The power law.
    """
    low, high = percentiles(replicates, level)
    value, value_low, value_high = np.exp([line[0], low[0], high[0]]).tolist()
    kept = replicates.copy()
    kept.flags.writeable = False
    return Growth(
        exponent=Estimate(float(line[1]), float(low[1]), float(high[1]), level),
        exponent_se=float(np.std(kept[:, 1], ddof=1)),
        flops_ref=float(flops_ref),
        value_ref=Estimate(value, value_low, value_high, level),
        replicates=kept,
    )


def fit_trend(
    flops: Floats, log_values: Floats, log_replicates: Floats, errors: Floats, level: float
) -> Trend:
    """Regress log y on log C, weights `1 / errors^2`, for the optima and for each replicate.

    Args:
        flops: Budgets, shape `(n_budgets,)`, at least two and distinct.
        log_values: log y at each, shape `(n_budgets,)`.
        log_replicates: log y of noisy replicates, shape `(n_budgets, n_replicates)`.
        errors: Standard errors of log y, positive, shape `(n_budgets,)`.
        level: Of the intervals.

    Returns:
        The line.
    """
    share = errors**-2.0 / np.sum(errors**-2.0)
    log_flops = np.log(flops)
    centre = share @ log_flops
    moment = share * (log_flops - centre)
    to_line = np.stack([share, moment / (moment @ log_flops)])
    height, exponent = (to_line @ log_values).tolist()
    replicates = (to_line @ log_replicates).T

    residual = log_values - height - exponent * (log_flops - centre)
    noise, spare = log_replicates.var(axis=1), len(flops) - 2
    testable = spare > 0 and bool(np.all(noise > 0))
    variance = share @ (log_values - height) ** 2
    line = growth((height, exponent), replicates, flops_ref=float(np.exp(centre)), level=level)
    return Trend(
        **vars(line),
        r_squared=float(1 - share @ residual**2 / variance) if variance > 0 else float("nan"),
        misfit=float(np.sqrt(np.sum(residual**2 / noise) / spare)) if testable else float("nan"),
        n_budgets=len(flops),
    )
