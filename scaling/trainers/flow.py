"""Gradient flow of a linear read-out, followed exactly through one singular value decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.record import Curve, CurvePoint
from scaling.solving import GradientFlow
from scaling.trainers.read_out import linear_problem, measured


def follow(config: RunConfig, dataset: Dataset) -> tuple[dict[str, Any], Curve]:
    """Follows the flow of `|y - Phi b|^2 / (2 n)` from b = 0 and measures it as it goes.

    With Phi = U diag(s) V', the share `1 - exp(-s^2 t / n)` of the minimum-norm solution is reached
    along each singular direction at time t: no step is ever taken, whatever the time.

    Returns:
        Columns of a RunRecord at the end, and the learning curve; losses are squared errors.
    """
    plan = config.train
    assert isinstance(plan, GradientFlow)
    problem = linear_problem(config, dataset)
    n = len(problem.features)
    left, s, right = scipy.linalg.svd(problem.features, full_matrices=False, check_finite=False)
    along = left.T @ problem.targets
    columns: dict[str, Any] = {}
    curve = []
    for step in plan.evaluated_at():
        # -expm1 keeps the digits of what is hardly learnt; its quotient by s is 0 where s is.
        share = -np.expm1(-(s**2) * (step * plan.time_per_step / n))
        inverse = np.divide(share, s, out=np.zeros_like(s), where=s > 0)
        columns = measured(problem, right.T @ (inverse[:, None] * along))
        curve.append(
            CurvePoint(
                step=step,
                n_examples_seen=step * n,
                train_loss=columns["train_squared_error"],
                train_error=columns.get("train_error"),
                eval_loss=columns["eval_squared_error"],
                eval_error=columns.get("eval_error"),
            )
        )
    return columns, tuple(curve)
