"""Rows whose standard errors are known: their weights, and whether the fit scatters beyond them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from analysis.estimate import Floats
from analysis.fitting.engine.loss import Scale
from analysis.fitting.result import FitResult

DOUBTFUL = 0.01
"""Scatter that errors explain with a smaller probability is excess scatter."""


def weights_of(errors: Floats, y: Floats, scale: Scale) -> Floats:
    """Returns inverse variances of residuals: of log y, to first order, or of y.

    Args:
        errors: Standard errors in units of y, positive, shape `(n_rows,)`.
        y: Values, the same shape.
        scale: The scale of the residuals.
    """
    return (y / errors) ** 2 if scale == "log" else errors**-2.0


@dataclass(frozen=True)
class GoodnessOfFit:
    """Squared residuals over known variances.

    Attributes:
        chi_square: Their sum.
        degrees_of_freedom: Rows less parameters fitted.
        p_value: Probability of as much where the law holds and the errors are right.
    """

    chi_square: float
    degrees_of_freedom: int
    p_value: float

    @property
    def is_excess(self) -> bool:
        """Whether rows scatter beyond their errors."""
        return self.p_value < DOUBTFUL

    def __str__(self) -> str:
        ratio = self.chi_square / self.degrees_of_freedom
        first = (
            f"chi-square {self.chi_square:.4g} on {self.degrees_of_freedom} degrees of freedom "
            f"(p = {self.p_value:.2g})"
        )
        if not self.is_excess:
            return first
        return (
            f"{first}: rows scatter {ratio**0.5:.2g} times as much as their errors say, so that "
            "the law or the errors are wrong. Bootstrap and profiles go by the scatter."
        )


def goodness_of_fit(result: FitResult) -> GoodnessOfFit:
    """Returns the goodness of a fit whose weights are inverse variances (`weights_of`).

    Raises:
        ValueError: A fit without its rows.
    """
    weights = result.require_rows().weights
    chi_square = float(np.sum(weights * result.residuals**2))
    df = result.n_points - len(result.params) + len(result.fixed)
    return GoodnessOfFit(chi_square, df, float(chdtrc(df, chi_square)))
