"""The inner step of variable projection: the best linear coefficients for given exponents."""

import numpy as np

from analysis.batched_least_squares import Project
from analysis.laws.law import Floats, Law
from analysis.laws.nonnegative import coefficients
from analysis.laws.scales import linear_basis


def projection(law: Law) -> Project:
    """Sets the parameters in which y is linear to their best, squared error in y.

    Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2), 413. Coefficients that would leave the
    law's bounds (a negative E, A or B) are left as they came: there the caller's own step, which
    respects bounds, goes on in all coordinates.

    Args:
        law: A law with `linear` parameters, not its view on the linear scale.

    Returns:
        `(theta, log_x, y, weights) -> theta`.
    """
    linear = np.flatnonzero(law.is_linear)
    is_log, lower = law.is_log[linear], np.array(law.lower)[linear]

    def project(theta: Floats, log_x: Floats, y: Floats, weights: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            basis = linear_basis(law, theta, log_x)
            usable = np.isfinite(np.sum(basis, axis=(-2, -1)))
            best = coefficients(np.where(usable[:, None, None], basis, 0.0), y, weights)
        inside = usable & (best > np.where(is_log, 0.0, lower)).all(axis=-1)
        logs = np.log(np.where(is_log & inside[:, None], best, 1.0))
        projected = theta.copy()
        projected[:, linear] = np.where(
            inside[:, None], np.where(is_log, logs, best), theta[:, linear]
        )
        return projected

    return project
