"""A run trained once more, with its weights kept: what measures of a trained model start from."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.data.stream import StreamSource
from scaling.data.token_dataset import TokenSource
from scaling.kinds import DataConfig
from scaling.model import Model, Params
from scaling.models.built import built
from scaling.overrides import replace_at
from scaling.solving import GradientFlow
from scaling.trainers.read_out import coded
from scaling.training import Gradient


class Trained(NamedTuple):
    """A trained model.

    Attributes:
        model: Its pure functions.
        params: Its weights.
        dataset: The examples that it was trained on.
    """

    model: Model
    params: Params
    dataset: Dataset


def trained(config: RunConfig, dataset: Dataset | None = None) -> Trained:
    """Trains a run by gradient descent as `scaling.run.run` does, and keeps the weights.

    Args:
        config: The run.
        dataset: Examples to train on instead of those that the run loads, as many.

    Raises:
        ValueError: A run without weights to keep: closed-form, or on tokens.
    """
    if not isinstance(config.train, Gradient):
        raise ValueError(
            f"train.kind = {config.train.kind!r} keeps no weights: use train.kind = 'gradient'"
        )
    from scaling.trainers.gradient import final_params

    examples = _examples(config) if dataset is None else dataset
    model = built(config.model, config.data.n_inputs, config.data.n_outputs)
    return Trained(model, final_params(config, examples), examples)


def predictions(
    config: RunConfig, dataset: Dataset | None = None
) -> Float[np.ndarray, "examples outputs"]:
    """Outputs of a trained run on its held-out inputs, closed-form runs included.

    Args:
        config: The run.
        dataset: Examples to train on instead of those that the run loads, as many; its held-out
            inputs are those predicted.

    Raises:
        ValueError: No held-out inputs, or a run whose outputs are not kept.
    """
    examples = _examples(config) if dataset is None else dataset
    if not len(examples.eval_inputs):
        raise ValueError("there are no held-out inputs to predict: give data.n_eval >= 1")
    if isinstance(config.train, Gradient):
        model, params, _ = trained(config, examples)
        return np.asarray(model.apply(params, examples.eval_inputs.astype(np.float32)), np.float64)
    from scaling.trainers.solve import fit

    if isinstance(config.train, GradientFlow):
        raise ValueError(
            "train.kind = 'gradient_flow' keeps its curve and not its outputs: use 'ridgeless', "
            "which is its end, or 'gradient'"
        )
    problem, readout, _ = fit(config, examples)
    return problem.held_out @ readout


def held_out_targets(config: RunConfig, dataset: Dataset) -> Float[np.ndarray, "examples outputs"]:
    """Held-out targets as a squared error takes them: numbers, one-hot classes or signs."""
    return coded(config, dataset.eval_targets)


def disjoint_splits(data: DataConfig, n_splits: int, seed: int) -> list[Dataset]:
    """Training sets of `data.n_train` examples each, no example in two, and one held-out set.

    Teacher, label noise and held-out examples are those of the seed.

    Raises:
        ValueError: Fewer than 1 split, a stream, data without a field `n_train`, or more examples
            than the data have.
    """
    if n_splits < 1:
        raise ValueError(f"n_splits = {n_splits}: ask for 1 split or more")
    if isinstance(data, TokenSource | StreamSource):
        raise ValueError(
            f"data.kind = {data.kind!r} is a stream, which has no splits: give data whose training "
            "set fits in memory"
        )
    whole = replace_at(data, "n_train", n_splits * data.n_train).load(seed)
    parts = (slice(i * data.n_train, (i + 1) * data.n_train) for i in range(n_splits))
    return [
        replace(
            whole,
            train_inputs=whole.train_inputs[part],
            train_targets=whole.train_targets[part],
            train_targets_clean=whole.train_targets_clean[part],
        )
        for part in parts
    ]


def _examples(config: RunConfig) -> Dataset:
    loaded = config.data.load(config.seed)
    if not isinstance(loaded, Dataset):
        raise ValueError(
            f"data.kind = {config.data.kind!r} is a stream of tokens: give data of examples, "
            "such as data.kind = 'mnist1d'"
        )
    return loaded
