"""One pass of stochastic gradient descent over the examples, in float64 on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.record import Curve, CurvePoint
from scaling.solving import OnePassSGD, spread_steps
from scaling.trainers.read_out import linear_problem, measured

BEYOND = 1e100
"""Squared error from which training counts as diverged: its squares soon leave float64."""


def pass_once(config: RunConfig, dataset: Dataset) -> tuple[dict[str, Any], Curve]:
    """Sees every example once and measures the read-out along the way.

    The training loss of the curve is the mean squared error of the examples since the evaluation
    before, each taken before it moves the read-out.

    Returns:
        Columns of a RunRecord, `done` or `diverged`, and the learning curve.
    """
    plan = config.train
    assert isinstance(plan, OnePassSGD)
    problem = linear_problem(config, dataset)
    features, targets = problem.features, problem.targets
    readout = np.zeros((features.shape[1], targets.shape[1]))
    columns: dict[str, Any] = {}
    curve: list[CurvePoint] = []
    done = 0
    for step in spread_steps(len(features), plan.evaluations):
        squared = 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # of a step size that is too large
            for x, y in zip(features[done:step], targets[done:step], strict=True):
                off = x @ readout - y
                squared += float(off @ off)
                readout -= plan.step_size * np.multiply.outer(x, off)
        online = squared / (step - done)
        if not online < BEYOND:
            last = curve[-1].train_loss if curve else None
            return {
                "status": "diverged",
                "steps": step,
                "diverged_at_step": step,
                "last_finite_train_loss": last,
            }, tuple(curve)
        columns = {"status": "done", "steps": step, **measured(problem, readout)}
        curve.append(
            CurvePoint(
                step=step,
                n_examples_seen=step,
                train_loss=online,
                train_error=columns.get("train_error"),
                eval_loss=columns["eval_squared_error"],
                eval_error=columns.get("eval_error"),
            )
        )
        done = step
    return columns, tuple(curve)
