"""Closed-form runs: ridgeless and ridge regression on a model's features, in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.models.family import LinearFamily
from scaling.models.linear import Linear
from scaling.training import Ridge, Ridgeless

Matrix = Float[np.ndarray, "rows columns"]


def solve(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Fits the read-out of a run exactly and measures it.

    One thin singular value decomposition Phi = U diag(s) V' of the (n, p) training features gives
    both estimators: the read-out V diag(f) U'y has f = 1/s above the cut-off and 0 below it
    (ridgeless), or f = s / (s^2 + n ridge).

    Returns:
        Columns of a RunRecord.
    """
    estimator = config.train.resolve(config.model, config.data)
    features, held_out = _features(config, dataset)
    targets = _targets(config, dataset.train_targets)
    n = len(features)

    left, s, right = scipy.linalg.svd(features, full_matrices=False, check_finite=False)
    if isinstance(estimator, Ridgeless):
        assert estimator.rcond is not None
        kept = s > estimator.rcond * s[0]
        inverse = np.divide(1.0, s, out=np.zeros_like(s), where=kept)
        penalty: dict[str, Any] = {"rcond": estimator.rcond, "rank": int(kept.sum())}
    else:
        assert isinstance(estimator, Ridge)
        inverse = s / (s**2 + n * estimator.ridge)
        penalty = {"ridge": estimator.ridge}
    readout = right.T @ (inverse[:, None] * (left.T @ targets))

    columns = {"weight_norm_l2": float(np.linalg.norm(readout)), **penalty}
    fitted = features @ readout
    columns["train_squared_error"] = float(np.mean(_squared(fitted, targets)))
    if dataset.teacher is not None and isinstance(config.model, Linear):
        excess = _excess_risk(readout[:, 0], dataset)
        columns["eval_excess_risk"] = excess
        columns["eval_squared_error"] = excess + dataset.teacher.noise_variance
    elif len(held_out):
        losses = _squared(held_out @ readout, _targets(config, dataset.eval_targets))
        columns |= _mean_and_sem("eval_squared_error", losses)
    if config.data.n_classes is not None:
        guess = np.argmax(fitted, axis=1)
        columns["train_error"] = float(np.mean(guess != dataset.train_targets))
        columns["train_error_clean"] = float(np.mean(guess != dataset.train_targets_clean))
        wrong = np.argmax(held_out @ readout, axis=1) != dataset.eval_targets
        columns |= _mean_and_sem("eval_error", wrong.astype(np.float64))
    return columns


def _features(
    config: RunConfig, dataset: Dataset
) -> tuple[Float[np.ndarray, "n_train columns"], Float[np.ndarray, "n_eval columns"]]:
    """Feature matrices of the training and held-out inputs, in float64."""
    if isinstance(config.model, Linear):  # no device needed to take the first columns
        p = config.model.n_features
        return dataset.train_inputs[:, :p], dataset.eval_inputs[:, :p]

    import jax

    assert isinstance(config.model, LinearFamily)
    inputs = np.concatenate([dataset.train_inputs, dataset.eval_inputs])
    init, apply = _compiled_features(config.model, *inputs.shape)
    params = init(key_for(config.seed, "init"))
    with jax.enable_x64(True):
        features = np.asarray(apply(params, inputs))
    return features[: config.data.n_train], features[config.data.n_train :]


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


def _targets(config: RunConfig, targets: np.ndarray) -> Matrix:
    if config.data.n_classes is None:
        return targets[:, None]
    return np.eye(config.data.n_classes)[targets]


def _excess_risk(readout: Float[np.ndarray, " p"], dataset: Dataset) -> float:
    """E (x'(b - beta))^2 over x ~ N(0, diag(eigenvalues)): exact, no test set needed."""
    teacher = dataset.teacher
    assert teacher is not None
    off = -teacher.coefficients
    off[: len(readout)] += readout
    return float(np.sum(teacher.eigenvalues * off**2))


def _squared(outputs: Matrix, targets: Matrix) -> Float[np.ndarray, " rows"]:
    return np.sum((outputs - targets) ** 2, axis=1)


def _mean_and_sem(name: str, values: Float[np.ndarray, " rows"]) -> dict[str, float]:
    sem = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return {name: float(np.mean(values)), f"{name}_sem": float(sem)}
