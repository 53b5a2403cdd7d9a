"""Image networks: sizes in closed form, batch norm with running statistics, training of both."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from products import flops_by_xla

from scaling.data.images import Images
from scaling.model import RUNNING, parameters_of
from scaling.models.built import built
from scaling.models.image_cnn import ImageCNN
from scaling.models.image_shape import image_shape
from scaling.models.preact_resnet18 import PreActResNet18
from scaling.trainers.gradient_step import Batch, make_trainer
from scaling.training import SGD, Adam, Gradient

NETWORKS = [ImageCNN(width=2), PreActResNet18(width=2)]
SIDE = 8
N_INPUTS = SIDE * SIDE * 3


@pytest.mark.parametrize("config", NETWORKS, ids=str)
@pytest.mark.parametrize("shape", [(N_INPUTS, 10), (16 * 16, 3)])
def test_parameter_count_is_that_of_the_pytree(config, shape):
    params = jax.eval_shape(config.build(*shape).init, jax.random.key(0))
    counted = sum(leaf.size for leaf in jax.tree.leaves(parameters_of(params)))
    assert sum(config.count_params(*shape).values()) == counted


def test_sizes_at_full_width_are_the_published_ones():
    """ResNet18 on CIFAR has 11.2 million parameters; the CNN at k = 64, 1.6 million."""
    assert sum(PreActResNet18(width=64).count_params(3072, 10).values()) == 11_171_146
    cnn = 27 * 64 + 9 * (64 * 128 + 128 * 256 + 256 * 512) + 3 * 15 * 64 + 5130
    assert sum(ImageCNN(width=64).count_params(3072, 10).values()) == cnn


@pytest.mark.parametrize("config", [ImageCNN(width=64), PreActResNet18(width=64)], ids=str)
def test_flops_are_those_of_xla_unrolled(config):
    """Nothing is computed. Norms, pooling and sums of branches are the rest."""
    model = config.build(N_INPUTS, 10)
    params = jax.eval_shape(model.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((8, N_INPUTS), jnp.float32)
    counted = flops_by_xla(model.apply, params, x)
    assert config.flops_forward(N_INPUTS, 10) * 8 == pytest.approx(counted, rel=0.03)


BOTH = [NETWORKS[0], pytest.param(NETWORKS[1], marks=pytest.mark.slow)]
"""The ResNet takes seconds to compile."""


@functools.cache
def initial(config):
    """Parameters as they are drawn: to draw them takes as long to compile as to train them."""
    init = jax.jit(built(config, N_INPUTS, 2).init)
    return jax.tree.map(np.asarray, init(jax.random.key(0)))


@pytest.mark.medium
@pytest.mark.parametrize("config", BOTH, ids=str)
def test_training_uses_the_statistics_of_the_batch_and_moves_the_running_ones(config):
    model = built(config, N_INPUTS, 2)
    apply, train = map(jax.jit, (model.apply, model.train))
    params = initial(config)
    x = np.random.default_rng(1).normal(3, 2, (16, N_INPUTS)).astype("f4")
    outputs, statistics = jax.tree.map(np.asarray, train(params, x))
    # From 0 and 1 the running statistics move a tenth of the way to those of the batch.
    moved = jax.tree.map(lambda new, old: old + 10 * (new - old), statistics, params[RUNNING])
    np.testing.assert_allclose(apply(params | {RUNNING: moved}, x), outputs, atol=2e-2)
    assert np.abs(np.asarray(apply(params, x)) - outputs).max() > 0.1
    np.testing.assert_allclose(train(params | {RUNNING: moved}, x)[0], outputs, atol=1e-5)


def advanced(config, optimizer, steps):
    plan = Gradient(optimizer=optimizer, batch_size=16, steps=steps, schedule="inverse_sqrt")
    params = initial(config)
    model = built(config, N_INPUTS, 2)._replace(init=lambda key: params)
    trainer = make_trainer(model, plan, 64, 2)
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=64).astype("i4")
    inputs = rng.normal(size=(64, N_INPUTS)) + 0.3 * labels[:, None]
    data = Batch(*jax.device_put((inputs.astype("f4"), labels, labels)))
    state = jax.jit(trainer.init)(jax.random.key(0))
    rate, keys = np.float32(optimizer.learning_rate), jax.random.key(1)
    return jax.jit(trainer.advance)(state, np.int32(steps), data, rate, np.int32(steps), keys)


@pytest.mark.parametrize("config", BOTH, ids=str)
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(learning_rate=0.1),
        pytest.param(Adam(learning_rate=1e-3, weight_decay=0.1), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_running_statistics_follow_the_data_and_no_gradient(config, optimizer):
    params = advanced(config, optimizer, 30).params
    variances = [
        leaf for path, leaf in jax.tree.leaves_with_path(params[RUNNING]) if "var" in str(path[-1])
    ]
    assert variances and all(np.asarray(leaf).min() > 0 for leaf in variances)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(("n", "shape"), [(3072, (32, 32, 3)), (784, (28, 28, 1)), (1, (1, 1, 1))])
def test_images_are_square(n, shape):
    assert image_shape(n) == shape


@pytest.mark.parametrize("config", NETWORKS, ids=str)
@pytest.mark.parametrize(("n", "says"), [(40, "no square image"), (784, "28 x 28 pixels cannot")])
def test_inputs_that_are_no_such_images_are_refused(config, n, says):
    with pytest.raises(ValueError, match=says):
        config.check(n)


def test_cifar_fits_both():
    for config in NETWORKS:
        config.check(Images(dataset="cifar10", n_train=1).n_inputs)
