"""Closed-form runs: ridgeless and ridge regression on a model's features, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.trainers.read_out import Matrix, Problem, linear_problem, measured
from scaling.training import Ridge, Ridgeless


def solve(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Fits the read-out of a run exactly and measures it.

    Returns:
        Columns of a RunRecord.
    """
    problem, readout, penalty = fit(config, dataset)
    return {**penalty, **measured(problem, readout)}


def fit(config: RunConfig, dataset: Dataset) -> tuple[Problem, Matrix, dict[str, Any]]:
    """Fits the read-out of a run exactly.

    One thin singular value decomposition Phi = U diag(s) V' of the (n, p) training features gives
    both estimators: the read-out V diag(f) U'y has f = 1/s above the cut-off and 0 below it
    (ridgeless), or f = s / (s^2 + n ridge).

    Returns:
        The linear problem, the read-out, shape (p, outputs), and the columns of a RunRecord that
        say how it was penalised.
    """
    estimator = config.train.resolve(config.model, config.data)
    problem = linear_problem(config, dataset)
    features = problem.features

    left, s, right = scipy.linalg.svd(features, full_matrices=False, check_finite=False)
    if isinstance(estimator, Ridgeless):
        assert estimator.rcond is not None
        kept = s > estimator.rcond * s[0]
        inverse = np.divide(1.0, s, out=np.zeros_like(s), where=kept)
        penalty: dict[str, Any] = {"rcond": estimator.rcond, "rank": int(kept.sum())}
    else:
        assert isinstance(estimator, Ridge)
        inverse = s / (s**2 + len(features) * estimator.ridge)
        penalty = {"ridge": estimator.ridge}
    readout = right.T @ (inverse[:, None] * (left.T @ problem.targets))
    return problem, readout, penalty
