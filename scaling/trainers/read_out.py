"""What closed-form runs share: features of both sets, coded targets, and measures of a read-out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.models.family import LinearFamily
from scaling.models.linear import Linear

Matrix = Float[np.ndarray, "_ _"]


class Problem(NamedTuple):
    """A linear problem of one run: what is read out, and what the read-out should give.

    Attributes:
        config: The run.
        dataset: Its examples.
        features: Features of the training inputs, shape (n_train, p).
        held_out: Features of the held-out inputs, shape (n_eval, p).
        targets: Coded training targets, shape (n_train, outputs).
    """

    config: RunConfig
    dataset: Dataset
    features: Matrix
    held_out: Matrix
    targets: Matrix


def linear_problem(config: RunConfig, dataset: Dataset) -> Problem:
    """Computes the features of a run, in float64, and codes its targets."""
    inputs = np.concatenate([dataset.train_inputs, dataset.eval_inputs])
    features, held_out = np.split(features_of(config, inputs), [config.data.n_train])
    return Problem(config, dataset, features, held_out, coded(config, dataset.train_targets))


def coded(config: RunConfig, targets: np.ndarray) -> Matrix:
    """Targets of squared error: the numbers themselves, one-hot classes, or signs.

    Two classes on one output are -1 and 1.
    """
    if config.data.n_classes is None:
        return targets[:, None]
    if config.data.n_outputs == 1:
        return (2.0 * targets - 1)[:, None]
    return np.eye(config.data.n_classes)[targets]


def measured(problem: Problem, readout: Matrix) -> dict[str, float]:
    """Columns of a RunRecord that measure a read-out, shape (p, outputs)."""
    config, dataset, features, held_out, _ = problem
    outputs = Outputs(features @ readout, held_out @ readout, readout)
    return {"weight_norm_l2": float(np.linalg.norm(readout)), **errors(config, dataset, outputs)}


class Outputs(NamedTuple):
    """What a solution predicts.

    Attributes:
        fitted: Outputs for the training examples, shape (n_train, outputs).
        predicted: Outputs for the held-out examples, shape (n_eval, outputs).
        readout: The read-out, shape (p, outputs); None for a kernel.
    """

    fitted: Matrix
    predicted: Matrix
    readout: Matrix | None


def errors(config: RunConfig, dataset: Dataset, outputs: Outputs) -> dict[str, float]:
    """Columns of a RunRecord that measure outputs."""
    fitted, predicted, readout = outputs
    targets = coded(config, dataset.train_targets)
    columns = {"train_squared_error": float(np.mean(_squared(fitted, targets)))}
    if dataset.teacher is not None and isinstance(config.model, Linear) and readout is not None:
        excess = _excess_risk(readout[:, 0], dataset)
        columns["eval_excess_risk"] = excess
        columns["eval_squared_error"] = excess + dataset.teacher.noise_variance
        return columns
    if len(predicted):
        losses = _squared(predicted, coded(config, dataset.eval_targets))
        columns |= _mean_and_sem("eval_squared_error", losses)
    if config.data.n_classes is not None:
        guess = _classes(fitted)
        columns["train_error"] = float(np.mean(guess != dataset.train_targets))
        columns["train_error_clean"] = float(np.mean(guess != dataset.train_targets_clean))
        wrong = _classes(predicted) != dataset.eval_targets
        columns |= _mean_and_sem("eval_error", wrong.astype(np.float64))
    return columns


def features_of(config: RunConfig, inputs: Matrix) -> Matrix:
    """Features of inputs, in float64, shape (examples, p)."""
    if isinstance(config.model, Linear):  # no device needed to take the first columns
        return inputs[:, : config.model.n_features]

    import jax

    assert isinstance(config.model, LinearFamily)
    init, apply = _compiled_features(config.model, *inputs.shape)
    params = init(key_for(config.seed, "init"))
    with jax.enable_x64(True):
        return np.asarray(apply(params, inputs))


@functools.lru_cache(maxsize=8)
def _compiled_features(
    model: LinearFamily, n_rows: int, n_inputs: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The feature map of a shape, its inputs and outputs in float64."""
    import jax

    feature_map = model.feature_map(n_inputs)
    key = jax.eval_shape(lambda: jax.random.key(0))
    init = compile_quickly(feature_map.init, key)
    with jax.enable_x64(True):
        inputs = jax.ShapeDtypeStruct((n_rows, n_inputs), jax.numpy.float64)
        params = jax.eval_shape(feature_map.init, key)
        return init, compile_quickly(feature_map.apply, params, inputs)


def _excess_risk(readout: Float[np.ndarray, " p"], dataset: Dataset) -> float:
    """E (x'(b - beta))^2 over x ~ N(0, diag(eigenvalues)): exact, no test set needed."""
    teacher = dataset.teacher
    assert teacher is not None
    off = -teacher.coefficients
    off[: len(readout)] += readout
    return float(np.sum(teacher.eigenvalues * off**2))


def _classes(outputs: Matrix) -> np.ndarray:
    """Class that outputs name: the largest, or the sign of a single one."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0).astype(np.int64)
    return np.argmax(outputs, axis=1)


def _squared(outputs: Matrix, targets: Matrix) -> Float[np.ndarray, " rows"]:
    return np.sum((outputs - targets) ** 2, axis=1)


def _mean_and_sem(name: str, values: Float[np.ndarray, " rows"]) -> dict[str, float]:
    sem = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return {name: float(np.mean(values)), f"{name}_sem": float(sem)}
