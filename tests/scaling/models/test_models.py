"""Model families: counts in closed form against real parameters and against XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from products import flops_by_xla
from random_parameters import random_parameters

from scaling.accounting import account, flops_least_squares
from scaling.config import RunConfig
from scaling.data.mnist1d import MNIST1D
from scaling.keys import key_for
from scaling.models.cnn_1d import CNN1D
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.models.random_features import RandomFeatures
from scaling.models.summed_embeddings import SummedEmbeddings
from scaling.training import SGD, Gradient

FAMILIES = [
    Linear(n_features=7),
    RandomFeatures(n_features=50, activation="fourier"),
    RandomFeatures(n_features=50, activation="relu"),
    MLP(width=16, depth=1),
    MLP(width=24, depth=3),
    MLP(width=16, initial="torch"),
    CNN1D(width=6),
    SummedEmbeddings(width=16, activation="square"),
    SummedEmbeddings(width=16, activation="relu"),
]


@pytest.mark.parametrize("config", FAMILIES, ids=str)
def test_parameter_count_is_that_of_the_pytree(config):
    params = jax.eval_shape(config.build(9, 4).init, jax.random.key(0))
    counted = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sum(config.count_params(9, 4).values()) == counted


@pytest.mark.medium
@pytest.mark.parametrize("config", FAMILIES, ids=str)
def test_trainable_count_is_what_gradients_reach(config):
    model = config.build(9, 4)
    x = np.random.default_rng(1).normal(size=(64, 9)).astype("f4")
    gradient = jax.jit(jax.grad(lambda p, x: jnp.mean(model.apply(p, x) ** 2)))
    leaves = map(np.asarray, jax.tree.leaves(gradient(random_parameters(model), x)))
    reached = sum(bool(leaf.any()) * leaf.size for leaf in leaves)
    assert config.count_trainable(9, 4) == reached


@pytest.mark.parametrize(
    "config",
    [
        MLP(width=256, depth=1),
        MLP(width=256, depth=3),
        Linear(n_features=300),
        CNN1D(width=256),
        SummedEmbeddings(width=256),
    ],
    ids=str,
)
def test_flops_are_those_of_xla_unrolled(config):
    model = config.build(300, 100)
    params = jax.eval_shape(model.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((128, 300), jnp.float32)
    forward = flops_by_xla(model.apply, params, x)
    assert config.flops_forward(300, 100) * 128 == pytest.approx(forward, rel=0.02)

    def gradient(p, x):
        return jax.grad(lambda q: jnp.sum(model.apply(q, x) ** 2))(p)

    both = config.flops_forward(300, 100) + config.flops_backward(300, 100)
    assert both * 128 == pytest.approx(flops_by_xla(gradient, params, x), rel=0.02)


def test_cnn_of_mnist_1d_has_the_sizes_of_its_notebook():
    """Channels c: 5 c + c, twice 3 c^2 + c, and 10 (5 c + 1) with five places left of forty."""
    for width in (18, 24):
        counted = 6 * width + 2 * (3 * width**2 + width) + 10 * (5 * width + 1)
        assert sum(CNN1D(width=width).count_params(40, 10).values()) == counted


def test_signals_too_short_for_the_windows_are_refused():
    with pytest.raises(ValueError, match="at least 3 points, and the data have 2: use"):
        CNN1D(width=4).check(2)


@pytest.mark.parametrize(
    ("config", "fan_ins"),
    [
        (MLP(width=50, depth=2, initial="torch"), (40, 50, 50)),
        (CNN1D(width=50), (5, 150, 150, 250)),
    ],
    ids=str,
)
def test_initial_weights_of_torch_are_uniform_within_one_over_root_fan_in(config, fan_ins):
    params = jax.jit(config.build(40, 10).init)(jax.random.key(0))
    leaves = map(np.asarray, jax.tree.leaves(params))
    by_bound = sorted(fan_in**-0.5 for fan_in in fan_ins for _ in range(2))
    found = sorted(leaves, key=lambda leaf: np.abs(leaf).max())
    for leaf, bound in zip(found, by_bound, strict=True):
        largest, n = np.abs(leaf).max(), leaf.size
        assert bound * (1 - 12 / n) <= largest <= bound
        assert abs(leaf.mean()) < 5 * bound / np.sqrt(3 * n)
    weights = np.concatenate([np.ravel(leaf) / np.max(np.abs(leaf)) for leaf in found])
    assert np.std(weights) == pytest.approx(3**-0.5, rel=0.03)


def test_summed_embeddings_are_a_sum_over_symbols():
    """With one-hot inputs, rows of E are added, squared and read out; z begins with variance 1."""
    family = SummedEmbeddings(width=4000)
    model = family.build(10, 3)
    params = jax.tree.map(np.asarray, model.init(jax.random.key(0)))
    x = np.concatenate([np.eye(5)[[2, 4]], np.eye(5)[[0, 4]]], axis=1).astype("f4")
    z = params["embedding"][np.array([2, 4])] + params["embedding"][np.array([5, 9])]
    np.testing.assert_allclose(jax.jit(model.apply)(params, x), z**2 @ params["readout"], rtol=1e-4)
    assert np.var(z, axis=1) == pytest.approx([1, 1], rel=0.1)


def test_account_of_a_gradient_run():
    config = RunConfig(
        model=MLP(width=8, depth=1),
        data=MNIST1D(n_train=100),
        train=Gradient(optimizer=SGD(learning_rate=1), batch_size=10, epochs=3),
    )
    counts = account(config)
    n = 40 * 8 + 8 + 8 * 10 + 10
    assert counts.n_params_total == counts.n_params_trainable == n
    assert (counts.steps, counts.n_examples_seen, counts.epochs) == (30, 300, 3.0)
    assert counts.flops_train_6n_total_d == counts.flops_train_6n_non_embedding_d == 6 * n * 300
    # Forward and weight gradients of both layers, activation gradient of the second alone.
    assert counts.flops_train == 300 * (4 * (40 * 8 + 8 * 10) + 2 * 8 * 10)


def test_least_squares_count_is_symmetric():
    assert flops_least_squares(30, 70, 2) == flops_least_squares(70, 30, 2)


init = jax.jit(RandomFeatures(n_features=5).feature_map(3).init)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_seeds_give_their_own_features_and_always_the_same(seed):
    same = [np.asarray(init(key_for(seed, "init"))["directions"]) for _ in range(2)]
    assert np.array_equal(*same)
    other = init(key_for((seed + 1) % 2**32, "init"))["directions"]
    assert not np.array_equal(same[0], np.asarray(other))


@pytest.mark.parametrize(
    ("activation", "kernel"),
    [
        ("fourier", lambda x, y: np.exp(-0.5 * np.sum((x - y) ** 2) * 0.7**2)),
        ("relu", lambda x, y: 0.7**2 * _arc_cosine(x, y)),
    ],
)
def test_features_tend_to_their_kernel(activation, kernel):
    features = RandomFeatures(n_features=200_000, activation=activation, weight_scale=0.7)
    map_ = features.feature_map(3)
    x = np.array([[0.3, -1.0, 0.5], [1.0, 0.2, -0.4]], dtype=np.float32)
    phi = np.asarray(jax.jit(lambda key: map_.apply(map_.init(key), x))(jax.random.key(0)))
    assert float(phi[0] @ phi[1]) == pytest.approx(kernel(x[0], x[1]), abs=0.01)


def _arc_cosine(x, y):
    """Arc-cosine kernel of degree 1 (Cho & Saul 2009, equation 6)."""
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    angle = np.arccos(x @ y / norms)
    return norms / np.pi * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
