"""Errors of models that regress inside a prompt, beside both Bayes estimates, as tables."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import theory
from analysis.estimate import Floats
from scaling.data.stream import MOST_EXAMPLES

SIMULATED = 4000
"""Prompts that least squares answers."""


class Floor(NamedTuple):
    """Errors of both regressions after k = 0, 1, ... examples.

    Attributes:
        ridge: Exact, the least that any answer has.
        least_squares: Exact, infinite where k is within 1 of D.
        simulated: Mean of least squares over simulated prompts.
    """

    ridge: Floats
    least_squares: Floats
    simulated: Floats


def floor_of(dimension: int, length: int, noise: float) -> Floor:
    """Errors of ridge and of least squares for prompts of so many examples."""
    places, variance = range(length), noise**2
    of = {"dimension": dimension, "noise_variance": variance}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SIMULATED, length, dimension))
    y = np.sum(x * rng.standard_normal((SIMULATED, 1, dimension)), axis=-1)
    y += noise * rng.standard_normal(y.shape)
    return Floor(
        np.array([theory.ridge_in_context(k, **of) for k in places]),
        np.array([theory.least_squares_in_context(k, **of) for k in places]),
        np.mean((theory.least_squares_answers(x, y) - y) ** 2, axis=0),
    )


def _measured(runs: pd.DataFrame, name: str, length: int) -> Floats:
    """What `LinearTasks` measures under a name, after each number of examples, (runs, K)."""
    return runs[[f"eval_by.{name} {k}" for k in range(length)]].to_numpy(np.float64)


def _from_ridge(runs: pd.DataFrame, length: int) -> Floats:
    """Mean squared distance from ridge over both halves of the prompts, (runs, K).

    Ridge is the mean of the answer given the prompt, so that this is what a model's expected error
    lies above the exact floor, with none of the noise of the answers.
    """
    parts = [_measured(runs, f"{part} squared distance ridge", length) for part in ("own", "new")]
    return np.mean(parts, axis=0)


def errors_by_examples(endless: pd.DataFrame, floor: Floor) -> pd.DataFrame:
    """Mean error over seeds, by width and examples."""
    length = len(floor.ridge)
    rows = []
    for width, group in endless.groupby("model.width"):
        ridge = [_measured(group, f"{part} squared error ridge", length) for part in ("own", "new")]
        excess = _from_ridge(group, length).mean(axis=0)
        rows.append(
            pd.DataFrame(
                {
                    "width": width,
                    "examples": np.arange(length),
                    "floor": floor.ridge,
                    "error": floor.ridge + excess,
                    "ridge_error": np.mean(ridge, axis=(0, 1)),
                    "run_ids": " ".join(group["run_id"]),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def excess_by_size(endless: pd.DataFrame, length: int) -> pd.DataFrame:
    """Excess over the floor of each run, mean over examples."""
    return pd.DataFrame(
        {
            "width": endless["model.width"].to_numpy(),
            "n_params": endless["n_params_total"].to_numpy(np.float64),
            "seed": endless["seed"].to_numpy(),
            "excess": _from_ridge(endless, length).mean(axis=1),
            "run_ids": endless["run_id"].to_numpy(),
        }
    )


def errors_by_tasks(runs: pd.DataFrame, length: int) -> pd.DataFrame:
    """Means over examples and seeds, a row a number of tasks, of the width that has several."""
    widths = runs.loc[runs["data.tasks"] < MOST_EXAMPLES, "model.width"]
    rows = []
    for tasks, group in runs.loc[runs["model.width"].isin(widths)].groupby("data.tasks"):
        means = {
            f"{part}_{kind}_{of}": _measured(group, f"{part} squared {kind} {of}", length).mean()
            for part in ("own", "new")
            for kind, of in (
                ("error", "model"), ("error", "ridge"), ("error", "discrete"),
                ("distance", "ridge"), ("distance", "discrete"),
            )
        }  # fmt: skip
        rows.append({"tasks": tasks, **means, "run_ids": " ".join(group["run_id"])})
    return pd.DataFrame(rows)


def columns(rows: pd.DataFrame, *names: str) -> list[Floats]:
    """Columns of a table as float64."""
    return [rows[name].to_numpy(np.float64) for name in names]
