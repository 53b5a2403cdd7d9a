"""Replicates of very many rows, from the normal limit of redrawing them.

A fit to redrawn rows moves from the estimate, to first order, by `H^-1 sum_i (c_i - 1) g_i`: c_i
the times that row i was drawn, g_i the gradient of its loss, H the sum of second derivatives. Over
many rows that sum is normal, with covariance `H^-1 (sum_i g_i g_i') H^-1` (Huber 1967; White 1980,
Econometrica 48(4), 817), and drawing from it replaces thousands of fits to all rows. Rows of one
cluster are drawn together, so that their gradients are summed first.
"""

import numpy as np

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.engine.ending import EXACT_RESIDUAL
from analysis.fitting.engine.problem import Problem

FROM = 20_000
"""Number of rows above which the limit replaces refits."""

_STATIONARY = 1e-6  # cosine between the residuals and a coordinate that nothing pushes


def draw(problem: Problem, theta: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
    """Returns coordinates of fits to redrawn rows.

    Args:
        problem: The problem.
        theta: The estimate, shape `(n_params,)`. A coordinate pushed against a bound stays there.
        n_draws: Replicates.
        rng: Generator.

    Returns:
        Coordinates, shape `(n_draws, n_params)`, within the bounds.

    Raises:
        FitError: The parameters are not identifiable from the rows.
    """
    law, rows, loss = problem.law, problem.rows, problem.loss
    lower, upper = np.array(law.lower), np.array(law.upper)
    residuals = problem.residuals(theta)
    influence = loss.influence(residuals)
    bent = influence if loss.delta is None else influence * (np.abs(residuals) <= loss.delta)
    jacobian, slopes = law.jacobian(theta, rows.log_x), rows.weights * influence * residuals
    lengths = np.linalg.norm(jacobian, axis=0)
    lengths = np.where(lengths > 0, lengths, 1.0)
    is_pushed = np.abs(slopes @ jacobian) / lengths > (
        _STATIONARY * np.linalg.norm(slopes) + EXACT_RESIDUAL
    )
    free = ((theta > lower) & (theta < upper)) | ~is_pushed
    jacobian, lengths = (jacobian / lengths)[:, free], lengths[free]
    gradients = jacobian * slopes[:, None]
    if rows.clusters is not None:
        gradients = np.stack([np.bincount(rows.clusters, column) for column in gradients.T], axis=1)
    hessian = (jacobian * (rows.weights * bent)[:, None]).T @ jacobian
    if np.linalg.cond(hessian) > 1 / np.finfo(float).eps:
        raise FitError(
            f"{law.name}: the parameters are not identifiable from these {len(residuals):,} rows. "
            f"Give rows at more {' and '.join(law.inputs)}, or fit a law with fewer parameters."
        )
    moves = np.linalg.solve(hessian, gradients.T)
    # Cholesky's factor of moves @ moves.T, which has no full rank where clusters are few.
    root = np.linalg.qr(moves.T, mode="r")
    root *= np.where(np.diag(root) < 0, -1, 1)[:, None]
    found = np.tile(theta, (n_draws, 1))
    found[:, free] += rng.standard_normal((n_draws, len(root))) @ root / lengths
    return np.clip(found, lower, upper)
