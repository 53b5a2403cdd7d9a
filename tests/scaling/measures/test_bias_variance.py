"""Bias and variance: identity, planted parts, exact variance of least squares, disjoint splits."""

import dataclasses

import numpy as np
import pytest

from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher
from scaling.data.label_noise import LabelNoise
from scaling.data.modular import ModularArithmetic
from scaling.data.ngram import NGram
from scaling.measures.bias_variance import bias_variance, split_error
from scaling.measures.trained import disjoint_splits, predictions
from scaling.models.linear import Linear
from scaling.models.random_features import RandomFeatures
from scaling.run import run
from scaling.solving import GradientFlow, Ridge, Ridgeless
from scaling.training import Adam, Gradient


def planted(rng, n_splits, n_seeds, sds, offset=0.7, examples=200):
    of_split, of_seed, both = (
        sd * rng.normal(size=(*shape, examples, 2))
        for sd, shape in zip(sds, ((n_splits, 1), (1, n_seeds), (n_splits, n_seeds)), strict=True)
    )
    return of_split + of_seed + both + offset, np.zeros((examples, 2))


@pytest.mark.parametrize("shape", [(2, 1), (2, 2), (5, 3), (3, 1)])
def test_parts_add_up_to_the_error(shape):
    outputs, targets = planted(np.random.default_rng(0), *shape, (1.0, 0.5, 0.3))
    parts = split_error(outputs, targets)
    assert parts.bias2 + parts.variance == pytest.approx(parts.error, rel=1e-12)
    assert parts.error == pytest.approx(np.mean(np.sum(outputs**2, axis=-1)))


def test_planted_parts_are_found_without_bias():
    rng, sds = np.random.default_rng(1), (1.0, 0.5, 0.3)
    found = [split_error(*planted(rng, 2, 3, sds)) for _ in range(200)]
    for name, truth in (
        ("bias2", 2 * 0.7**2),
        ("from_examples", 2 * sds[0] ** 2),
        ("from_initial", 2 * sds[1] ** 2),
        ("from_both", 2 * sds[2] ** 2),
    ):
        values = [getattr(each, name) for each in found]
        assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / np.sqrt(200))


def test_the_variance_of_least_squares_is_that_of_theory():
    p, n, s2 = 20, 60, 0.4
    data = GaussianTeacher(n_train=n, dimension=p, noise_variance=s2, n_eval=2000)
    config = RunConfig(model=Linear(n_features=p), data=data, train=Ridgeless())
    parts = bias_variance(config, n_splits=40, seeds=[0])
    assert parts.from_initial is None
    assert parts.variance == pytest.approx(s2 * p / (n - p - 1), rel=0.15)
    assert parts.bias2 == pytest.approx(s2, rel=0.1)  # the noise of the held-out targets


def test_random_features_vary_with_their_draw():
    data = Digits(n_train=60, label_noise=LabelNoise(fraction=0.2))
    model = RandomFeatures(n_features=30, activation="relu")
    config = RunConfig(model=model, data=data, train=Ridge(ridge=0.1))
    parts = bias_variance(config, n_splits=3, seeds=[0, 1])
    assert parts.from_initial > 0 and parts.from_examples > 0


def test_predictions_are_those_of_the_run():
    data = GaussianTeacher(n_train=30, dimension=5, noise_variance=0.1, n_eval=9)
    config = RunConfig(model=Linear(n_features=5), data=data, train=Ridge(ridge=0.3), seed=4)
    loaded = data.load(4)
    record, _ = run(config)
    off = predictions(config) - loaded.eval_inputs @ loaded.teacher.coefficients[:, None]
    assert off.shape == (9, 1)
    assert np.mean(off**2) == pytest.approx(record.eval_excess_risk, rel=1)
    plan = Gradient(optimizer=Adam(learning_rate=1e-2), steps=20, objective="squared_error")
    trained = dataclasses.replace(config, train=plan)
    record, _ = run(trained)
    errors = predictions(trained)[:, 0] - loaded.eval_targets
    assert np.mean(errors**2) == pytest.approx(record.eval_squared_error, rel=1e-5)


def test_splits_share_nothing_but_the_problem():
    data = Digits(n_train=300, label_noise=LabelNoise(fraction=0.2))
    splits = disjoint_splits(data, 4, seed=2)
    rows = np.concatenate([each.train_inputs for each in splits])
    assert len(np.unique(rows, axis=0)) == len(np.unique(rows, axis=0).round(9))
    whole = dataclasses.replace(data, n_train=1200).load(2)
    np.testing.assert_array_equal(rows, whole.train_inputs)
    first = data.load(2)
    np.testing.assert_array_equal(first.train_targets, splits[0].train_targets)
    np.testing.assert_array_equal(first.eval_inputs, splits[3].eval_inputs)
    with pytest.raises(ValueError, match=r"digits.n_train = 1500 exceeds the 1437 images"):
        disjoint_splits(data, 5, seed=2)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="of 2 splits or more"):
        split_error(np.zeros((1, 2, 3, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="n_splits = 0"):
        disjoint_splits(Digits(n_train=3), 0, seed=0)
    with pytest.raises(ValueError, match="'ngram' is a stream, which has no splits"):
        disjoint_splits(NGram(), 2, seed=0)
    with pytest.raises(ValueError, match="no field 'n_train' in modular"):
        disjoint_splits(ModularArithmetic(modulus=7), 2, seed=0)
    none = GaussianTeacher(n_train=5, dimension=5)
    closed = RunConfig(model=Linear(n_features=5), data=none, train=Ridgeless())
    with pytest.raises(ValueError, match=r"no held-out inputs.*n_eval >= 1"):
        predictions(closed)
    flow = GradientFlow(time_per_step=1.0, steps=3)
    some = dataclasses.replace(none, n_eval=3)
    with pytest.raises(ValueError, match="keeps its curve and not its outputs"):
        predictions(RunConfig(model=Linear(n_features=5), data=some, train=flow))
