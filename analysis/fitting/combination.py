"""Weights of laws in a combined prediction: stacking by window scores, held near simple weights.

The combination is the weighted geometric mean of the laws' curves. `log y - log f` is linear in
log f, so that its error in a window is the weighted mean of the laws' errors e there. The weights
are at least 0, sum to 1 and minimise

    mean over windows of mean over rows of (sum_k w_k e_k)^2 / least^2  +  sum_k (w_k - w0_k)^2,
    w0_k ~ 1 / error_k^2,

with `least` the smallest error of a law. The first term is stacking (Breiman 1996, Stacked
Regressions): it sees that laws err to opposite sides, and gives little to one that repeats another.
The second holds the weights near those of Bates and Granger 1969 without correlations. Windows are
few and overlap, and weights that are estimated from so little often combine worse than simple ones
(Claeskens, Magnus, Vasnev and Wang 2016, The forecast combination puzzle). Its factor of 1 counts
the windows of a table as one observation, of variance `least^2`, and gives a weight a prior
variance of 1.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from analysis.estimate import Floats

_SUM = 1e4  # weight of the equation that weights sum to 1, beside the greatest coefficient


def weights_of(
    errors: Mapping[str, float], windows: Sequence[Mapping[str, Floats]]
) -> dict[str, float]:
    """Weights of laws in a combination, by name; those of weight 0 are left out.

    Args:
        errors: Error of each law over all of its windows.
        windows: Log errors of the rows scored, by law, of each window that all laws have.

    Returns:
        Weights that sum to 1. Of the law with the least error alone where that is 0 or infinite.
    """
    least = min(errors.values())
    if not 0 < least < math.inf:
        return {min(errors, key=lambda name: errors[name]): 1.0}
    names = [name for name, error in errors.items() if math.isfinite(error)]
    simple = np.array([(least / errors[name]) ** 2 for name in names])
    simple /= simple.sum()
    scored = [np.stack([each[name] for name in names], axis=1) for each in windows]
    # Non-negative least squares; rows of one window share its weight.
    rows = [each / (least * math.sqrt(len(each) * len(scored))) for each in scored]
    coefficients = np.concatenate([*rows, np.eye(len(names))])
    targets = np.zeros(len(coefficients))
    targets[-len(names) :] = simple
    whole = _SUM * float(np.abs(coefficients).max())
    found, _ = nnls(
        np.concatenate([coefficients, np.full((1, len(names)), whole)]), np.append(targets, whole)
    )
    return {
        name: float(weight)
        for name, weight in zip(names, found / found.sum(), strict=True)
        if weight > 0
    }
