"""Closed-form runs against independent solvers."""

import dataclasses

import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher, PowerLaw
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.models.linear import Linear
from scaling.models.random_features import RandomFeatures
from scaling.run import run
from scaling.solving import OptimalRidge, Ridge, Ridgeless
from scaling.trainers.solve import solve


def teacher(p: int, train, n: int = 40, dimension: int | None = None, **data) -> RunConfig:
    return RunConfig(
        model=Linear(n_features=p),
        data=GaussianTeacher(n_train=n, dimension=dimension or p, noise_variance=0.3, **data),
        train=train,
        seed=5,
    )


@pytest.mark.parametrize("p", [10, 40, 90])
def test_ridgeless_is_the_pseudo_inverse(p):
    config = teacher(p, Ridgeless())
    data = config.data.load(config.seed)
    columns = solve(config, data)
    b = np.linalg.pinv(data.train_inputs) @ data.train_targets
    assert columns["weight_norm_l2"] == pytest.approx(np.linalg.norm(b), rel=1e-8)
    excess = np.sum((b - data.teacher.coefficients) ** 2)
    assert columns["eval_excess_risk"] == pytest.approx(excess, rel=1e-8)
    assert columns["eval_squared_error"] == pytest.approx(excess + 0.3, rel=1e-8)
    assert columns["rank"] == min(p, 40)
    assert (columns["train_squared_error"] < 1e-20) == (p >= 40)


@pytest.mark.parametrize("p", [10, 90])
def test_ridge_is_that_of_scikit_learn(p):
    config = teacher(p, Ridge(ridge=0.7))
    data = config.data.load(config.seed)
    peer = SklearnRidge(alpha=40 * 0.7, fit_intercept=False)  # scikit-learn does not divide by n
    peer.fit(data.train_inputs, data.train_targets)
    columns = solve(config, data)
    assert columns["weight_norm_l2"] == pytest.approx(np.linalg.norm(peer.coef_), rel=1e-8)
    residual = data.train_targets - peer.predict(data.train_inputs)
    assert columns["train_squared_error"] == pytest.approx(np.mean(residual**2), rel=1e-8)


def test_exact_risk_is_what_a_test_set_measures():
    spectrum = PowerLaw(eigenvalue_exponent=1.5, target_exponent=1.8)
    config = teacher(20, Ridge(ridge=0.05), n=60, dimension=30, spectrum=spectrum, n_eval=200_000)
    data = config.data.load(config.seed)
    features = data.train_inputs[:, :20]
    b = np.linalg.solve(
        features.T @ features + 60 * 0.05 * np.eye(20), features.T @ data.train_targets
    )
    errors = (data.eval_inputs[:, :20] @ b - data.eval_targets) ** 2
    sem = np.std(errors) / np.sqrt(len(errors))
    assert abs(solve(config, data)["eval_squared_error"] - np.mean(errors)) < 4 * sem


def test_optimal_ridge_is_better_than_its_neighbours():
    config = teacher(60, OptimalRidge())
    optimum = OptimalRidge().resolve(config.model, config.data).ridge

    def mean_risk(factor):
        train = Ridge(ridge=optimum * factor)
        runs = (dataclasses.replace(config, train=train, seed=seed) for seed in range(60))
        return np.mean([run(each)[0].eval_excess_risk for each in runs])

    assert mean_risk(1.0) < min(mean_risk(0.5), mean_risk(2.0))


def test_cut_off_ignores_small_singular_values():
    # With n = p the smallest singular value is tiny: a generous cut-off removes it, and the peak.
    sharp = solve(c := teacher(40, Ridgeless()), c.data.load(5))
    blunt = solve(c := teacher(40, Ridgeless(rcond=0.2)), c.data.load(5))
    assert blunt["rank"] < sharp["rank"] == 40
    assert blunt["rcond"] == 0.2
    assert blunt["eval_excess_risk"] < sharp["eval_excess_risk"]


@pytest.mark.parametrize(
    "data", [MNIST1D(n_train=60), Digits(n_train=60)], ids=["mnist1d", "digits"]
)
def test_random_features_interpolate_from_n_features_on(data):
    def error(n_features):
        config = RunConfig(
            model=RandomFeatures(n_features=n_features, weight_scale=0.35),
            data=data,
            train=Ridgeless(),
        )
        return run(config)[0].train_squared_error

    assert error(59) > 1e-6
    assert error(60) < 1e-18


def test_random_features_are_solved_in_double_precision():
    config = RunConfig(
        model=RandomFeatures(n_features=30, weight_scale=0.35),
        data=MNIST1D(n_train=50, label_noise=LabelNoise(fraction=0.3)),
        train=Ridge(ridge=1e-3),
        seed=2,
    )
    data = config.data.load(2)
    features = config.model.feature_map(40)
    key = key_for(2, "init")
    params = jax.tree.map(np.asarray, compile_quickly(features.init, key)(key))
    phi = np.sqrt(2 / 30) * np.cos(
        data.train_inputs @ params["directions"].astype(np.float64) + params["phases"]
    )
    targets = np.eye(10)[data.train_targets]
    b = np.linalg.solve(phi.T @ phi + 50 * 1e-3 * np.eye(30), phi.T @ targets)
    record, curve = run(config)
    assert curve == ()
    assert record.weight_norm_l2 == pytest.approx(np.linalg.norm(b), rel=1e-9)
    assert record.train_error == np.mean(np.argmax(phi @ b, axis=1) != data.train_targets)
    assert record.train_error_clean == np.mean(
        np.argmax(phi @ b, axis=1) != data.train_targets_clean
    )
    assert record.label_noise_fraction == np.mean(data.train_targets != data.train_targets_clean)
    assert record.label_noise_fraction > 0


def test_same_configuration_same_bits():
    config = teacher(70, OptimalRidge())
    first, again = (run(config)[0] for _ in range(2))
    assert first.eval_excess_risk == again.eval_excess_risk
    assert first.run_id == again.run_id
    assert first.config == again.config
