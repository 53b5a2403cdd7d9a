"""Sharpness: quadratics with a known spectrum, small networks against their dense Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher
from scaling.measures.sharpness import hessian_product, sharpness, top_eigenvalue
from scaling.measures.trained import trained
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.solving import Ridgeless
from scaling.trainers import objectives
from scaling.training import SGD, Adam, Gradient


def symmetric(values, seed=0):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    return turn @ np.diag(values) @ turn.T


@pytest.mark.parametrize(
    "values",
    [
        np.arange(60.0),
        np.r_[np.full(59, 1.0), 1.001],  # hardly apart
        np.linspace(-50, 3, 40),  # the largest is not the one of largest size
        np.full(30, -2.0),  # one distinct eigenvalue: the Krylov space ends at once
        np.zeros(5),
        np.array([4.0]),
    ],
)
def test_quadratics_have_their_largest_eigenvalue(values):
    matrix = symmetric(values)
    found = top_eigenvalue(lambda v: matrix @ v, len(values), tolerance=1e-9)
    assert found.value == pytest.approx(max(values), abs=1e-7)
    assert found.n_products <= len(values)
    assert np.min(np.abs(values - found.value)) <= found.residual + 1e-12


def test_it_ends_after_the_products_allowed_and_says_how_far_it_came():
    matrix = symmetric(np.linspace(0, 1, 300))
    found = top_eigenvalue(lambda v: matrix @ v, 300, tolerance=1e-12, most_products=5)
    assert found.n_products == 5 and found.value < 1
    assert 0.01 < found.residual  # so large that some eigenvalue lies that close is all it says


@pytest.mark.medium
def test_products_with_the_hessian_are_those_of_the_dense_one():
    params = {"a": np.arange(3, dtype=np.float32), "b": np.ones((2, 2), np.float32)}

    def loss(p):
        return jnp.sum(jnp.sin(p["a"])) * jnp.sum(p["b"] ** 3) + jnp.prod(p["a"] + 1)

    flat, restore = ravel_pytree(params)
    dense = jax.jit(jax.hessian(lambda w: loss(restore(w))))(flat)
    product, n = hessian_product(loss, params)
    assert n == 7
    found = np.array([product(row) for row in np.eye(7)])
    np.testing.assert_allclose(found, dense, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        GaussianTeacher(n_train=20, dimension=4, noise_variance=0.1, n_eval=1),
        pytest.param(Digits(n_train=40), marks=pytest.mark.slow),
    ],
)
def test_that_of_a_trained_network_is_that_of_its_dense_hessian(data):
    objective = "squared_error" if data.n_classes is None else "cross_entropy"
    plan = Gradient(optimizer=Adam(learning_rate=3e-3), steps=60, objective=objective)
    config = RunConfig(model=MLP(width=2, depth=1), data=data, train=plan, seed=1)
    known = trained(config)
    targets = jnp.asarray(known.dataset.train_targets)

    def loss(weights):
        inputs = jnp.asarray(known.dataset.train_inputs, jnp.float32)
        outputs = known.model.apply(weights, inputs)
        if objective == "squared_error":
            return jnp.mean((outputs[:, 0] - targets) ** 2)
        return jnp.mean(objectives.cross_entropy(outputs, targets))

    product, n = hessian_product(loss, known.params)
    dense = np.array([product(row) for row in np.eye(n)], np.float64)
    np.testing.assert_allclose(dense, dense.T, atol=1e-4 * np.abs(dense).max())
    found = sharpness(known, plan)
    assert found.value == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-3)


def test_that_of_linear_regression_is_twice_the_top_of_its_covariance():
    plan = Gradient(optimizer=SGD(learning_rate=0.1), steps=1, objective="squared_error")
    data = GaussianTeacher(n_train=30, dimension=8, n_eval=1)
    config = RunConfig(model=Linear(n_features=8), data=data, train=plan)
    x = data.load(0).train_inputs
    expected = 2 * np.linalg.eigvalsh(x.T @ x / 30)[-1]
    assert sharpness(config).value == pytest.approx(expected, rel=1e-4)


def test_what_has_no_weights_is_refused():
    data = GaussianTeacher(n_train=30, dimension=8)
    closed = RunConfig(model=Linear(n_features=8), data=data, train=Ridgeless())
    with pytest.raises(ValueError, match=r"keeps no weights: use train.kind = 'gradient'"):
        sharpness(closed)
    with pytest.raises(ValueError, match="is not finite: the weights have diverged"):
        top_eigenvalue(lambda v: v * np.nan, 3)
    with pytest.raises(ValueError, match="n = 0: a matrix has 1 row or more"):
        top_eigenvalue(lambda v: v, 0)
