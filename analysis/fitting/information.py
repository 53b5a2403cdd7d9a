"""Information criteria of a fit: AIC, AICc and BIC."""

import math
from typing import NamedTuple

from analysis.fitting.engine.loss import Loss
from analysis.fitting.result import FitResult


class Information(NamedTuple):
    """Information criteria; the lower, the better. Only differences between laws mean something.

    Attributes:
        aic: Akaike's criterion.
        aicc: The same, corrected for few rows; infinite where rows are too few to correct for.
        bic: Schwarz's criterion.
    """

    aic: float
    aicc: float
    bic: float


def information(result: FitResult) -> Information:
    """AIC, AICc and BIC of a fit by squared log error.

    The likelihood is that of independent normal log residuals of one variance, at its maximum. The
    variance counts as a parameter, so that with p parameters fitted, k = p + 1:

        AIC = n log(2 pi RSS / n) + n + 2 k
        AICc = AIC + 2 k (k + 1) / (n - k - 1)
        BIC = AIC - 2 k + k log n

    It is the density of log y; that of y adds 2 sum(log y), the same for every law. Burnham and
    Anderson 2002, Model Selection and Multimodel Inference, sections 2.2 to 2.4 and 6.4.

    Args:
        result: A fit on the log scale, by squared error, without weights.

    Returns:
        The criteria; -inf where the curve goes through every row exactly.

    Raises:
        ValueError: A fit on the linear scale or with another loss, whose optimum is not the
            maximum of this likelihood, or one whose weights differ from 1.
    """
    if result.loss != Loss():
        raise ValueError(
            f"A fit on the {result.loss.scale} scale by {result.loss} does not maximise a normal "
            "likelihood. For AIC and BIC fit with loss=Loss(): squared error of logs."
        )
    rss = math.fsum(result.residuals**2)  # exact, so that the order of rows does not matter
    if not math.isclose(rss, 2 * result.objective, rel_tol=1e-6, abs_tol=1e-20):
        raise ValueError(
            f"The squared residuals sum to {rss:.6g}, but to {2 * result.objective:.6g} with their "
            "weights. For AIC and BIC fit without weights."
        )
    n, k = result.n_points, len(result.params) - len(result.fixed) + 1
    deviance = n * math.log(2 * math.pi * rss / n) + n if rss > 0 else -math.inf
    aic = deviance + 2 * k
    aicc = aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else math.inf
    return Information(aic, aicc, bic=deviance + k * math.log(n))
