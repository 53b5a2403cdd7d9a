"""Runs solved together: nested features, shared factorisations, kernels, effective parameters."""

from dataclasses import replace

import numpy as np
import pytest

from scaling.config import RunConfig, compile_key, resolved
from scaling.data.gaussian import GaussianTeacher
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.data.sphere import SphereTeacher
from scaling.models.kernel import Kernel
from scaling.models.linear import Linear
from scaling.models.random_features import RandomFeatures
from scaling.packs import pack_of
from scaling.solving import Ridge, Ridgeless
from scaling.trainers.read_out import features_of
from scaling.trainers.solve import COARSE_CUT_OFF, solve, solve_together
from scaling.training import SGD, Gradient

N = 40
WEIGHTS = 0.35


def features(p: int, train=None, *, noise: float = 0.0, **model) -> RunConfig:
    return RunConfig(
        model=RandomFeatures(**{"n_features": p, "weight_scale": WEIGHTS, "nested": True} | model),
        data=MNIST1D(n_train=N, label_noise=LabelNoise(fraction=noise)),
        train=train or Ridgeless(),
        seed=3,
    )


def together(configs):
    return solve_together(configs, [config.data.load(config.seed) for config in configs])


def test_nested_sizes_and_estimators_equal_separate_solves():
    sizes = (10, 40, 90)
    ways = (Ridgeless(), Ridgeless(rcond=0.05), Ridge(ridge=1e-3), Ridge(ridge=10.0))
    configs = [features(p, way) for p in sizes for way in ways]
    configs += [features(p, noise=0.3) for p in sizes]
    for config, found in zip(configs, together(configs), strict=True):
        alone = solve(config, config.data.load(config.seed))
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-18), (config, name)


def test_solutions_are_those_of_numpy():
    configs = [features(p) for p in (10, 40, 90)]
    data = configs[0].data.load(3)
    inputs = np.concatenate([data.train_inputs, data.eval_inputs])
    widest = features_of(configs[-1], inputs)
    for config, found in zip(configs, together(configs), strict=True):
        p = config.model.n_features
        phi, held_out = np.split(np.sqrt(90 / p) * widest[:, :p], [N])
        readout = np.linalg.lstsq(phi, np.eye(10)[data.train_targets])[0]
        off = held_out @ readout - np.eye(10)[data.eval_targets]
        error = np.mean(np.sum(off**2, axis=1))
        assert found["eval_squared_error"] == pytest.approx(error, rel=1e-6)
        assert found["weight_norm_l2"] == pytest.approx(np.linalg.norm(readout), rel=1e-6)


def test_closed_form_runs_on_the_same_inputs_may_be_packed():
    def pack(config):
        return pack_of(resolved(config), compile_key(config), "cpu")

    first = features(10)
    for other in (features(90), features(10, Ridge(ridge=0.1)), features(10, noise=0.3)):
        assert pack(other) == pack(first) is not None
    for other in (
        replace(first, seed=4),
        replace(first, data=MNIST1D(n_train=N + 1)),
        features(10, activation="relu"),
        features(10, nested=False),
    ):
        assert pack(other) != pack(first)
    assert pack(features(10, nested=False)) != pack(features(11, nested=False))


def test_ridge_tends_to_ridgeless():
    ridged, bare = together([features(90, Ridge(ridge=1e-10)), features(90)])
    for name in ("eval_squared_error", "weight_norm_l2", "effective_params_eval"):
        assert ridged[name] == pytest.approx(bare[name], rel=1e-6)


@pytest.mark.medium
@pytest.mark.parametrize(("activation", "kernel"), [("fourier", "rbf"), ("relu", "arc_cosine")])
def test_random_features_tend_to_their_kernel(activation, kernel):
    way = Ridge(ridge=0.01)
    many = features(30_000, way, activation=activation)
    limit = replace(many, model=Kernel(kernel=kernel, length=1 / WEIGHTS))
    found, expected = (together([config])[0] for config in (many, limit))
    for name in ("eval_squared_error", "weight_norm_l2", "effective_params_eval"):
        assert found[name] == pytest.approx(expected[name], rel=0.03)


@pytest.mark.parametrize("kernel", ["rbf", "laplace", "arc_cosine"])
def test_kernel_regression_is_that_of_numpy(kernel):
    model = Kernel(kernel=kernel, length=3.0)
    base = RunConfig(model=model, data=MNIST1D(n_train=N), train=Ridge(ridge=0.01), seed=3)
    data = base.data.load(3)
    k, across = (model.gram(x, data.train_inputs) for x in (data.train_inputs, data.eval_inputs))
    smoother = across @ np.linalg.inv(k + N * 0.01 * np.eye(N))
    targets = np.eye(10)[data.train_targets]
    error = np.sum((smoother @ targets - np.eye(10)[data.eval_targets]) ** 2, axis=1)
    found, bare = together([base, replace(base, train=Ridgeless())])
    assert found["eval_squared_error"] == pytest.approx(np.mean(error), rel=1e-8)
    effective = N * np.mean(np.sum(smoother[:128] ** 2, axis=1))
    assert found["effective_params_eval"] == pytest.approx(effective, rel=1e-8)
    assert bare["train_squared_error"] < 1e-18 and bare["rank"] == N


def test_kernels_at_known_points():
    one = np.array([[3.0, 4.0]])
    zero = np.zeros((1, 2))
    assert Kernel(kernel="rbf", length=5.0).gram(one, zero) == pytest.approx(np.exp(-0.5))
    assert Kernel(kernel="laplace", length=5.0).gram(one, zero) == pytest.approx(np.exp(-1))
    arc = Kernel(kernel="arc_cosine").gram
    assert arc(one, one) == pytest.approx(25) and arc(one, zero) == 0
    assert arc(one, -one) == pytest.approx(0, abs=1e-12)


def test_effective_parameters_of_least_squares_are_its_features():
    sizes = (1, 7, 39)
    linear = RunConfig(
        model=Linear(n_features=1),
        data=GaussianTeacher(n_train=N, dimension=60, noise_variance=0.3),
        train=Ridgeless(),
    )
    for configs in (
        [replace(linear, model=Linear(n_features=p)) for p in sizes],
        [features(p) for p in sizes],
    ):
        found = [columns["effective_params_train"] for columns in together(configs)]
        assert found == pytest.approx(sizes, rel=1e-9)


def test_both_answers_where_the_cut_off_matters():
    fine, coarse, far = together([features(N), features(N, Ridgeless(rcond=0.05)), features(90)])
    assert fine.get("other_rcond", COARSE_CUT_OFF) == COARSE_CUT_OFF
    assert coarse["other_rcond"] == pytest.approx(N * np.finfo(float).eps)
    assert coarse["eval_squared_error_at_other_rcond"] == pytest.approx(
        fine["eval_squared_error"], rel=1e-9
    )
    assert "other_rcond" not in far


def test_inputs_on_the_sphere_carry_their_powers():
    data = SphereTeacher(
        n_train=4000, dimension=30, linear_power=2.0, nonlinear_power=0.5, noise_variance=0.25
    ).load(1)
    assert np.sum(data.train_inputs**2, axis=1) == pytest.approx(30)
    x, clean = data.train_inputs, data.train_targets_clean
    linear = x @ np.linalg.lstsq(x, clean)[0]
    assert np.var(linear) == pytest.approx(2.0, rel=0.1)
    assert np.var(clean - linear) == pytest.approx(0.5, rel=0.1)
    assert np.var(data.train_targets - clean) == pytest.approx(0.25, rel=0.1)


def test_what_a_kernel_and_features_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"no parameters that gradients could train"):
        RunConfig(
            model=Kernel(),
            data=MNIST1D(n_train=N),
            train=Gradient(optimizer=SGD(learning_rate=0.1), steps=1),
        )
    with pytest.raises(ValueError, match=r"centred = True is for activation = 'relu'"):
        RandomFeatures(n_features=3, centred=True)
