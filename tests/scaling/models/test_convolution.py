"""Convolution by patches: equal to the library's, in values and gradients; chosen by device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling.models.convolution import convolution, patches_product

NUMBERS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}
CASES = [  # space, window, strides, padding
    ((11,), (5,), (2,), [(1, 1)]),
    ((11,), (5,), (2,), [(0, 3)]),
    ((9,), (3,), (1,), "SAME"),
    ((8,), (4,), (3,), "SAME"),
    ((6,), (6,), (1,), "VALID"),
    ((7,), (1,), (2,), "VALID"),
    ((7, 6), (3, 3), (1, 1), "SAME"),
    ((7, 6), (3, 2), (2, 1), [(1, 1), (0, 1)]),
    ((8, 8), (1, 1), (2, 2), "SAME"),
    ((5, 9), (2, 3), (2, 3), "VALID"),
]


def both(space, window, strides, padding):
    """The two convolutions of one case, as functions of images and kernel, and such arrays."""
    axes = len(space)
    random = np.random.default_rng(axes)
    images, kernel = (
        random.normal(size=shape).astype("f4") for shape in ((2, *space, 3), (*window, 3, 4))
    )

    def by_library(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, dimension_numbers=NUMBERS[axes], precision="highest"
        )

    return lambda x, w: patches_product(x, w, strides, padding), by_library, (images, kernel)


@pytest.mark.parametrize(("space", "window", "strides", "padding"), CASES)
def test_patches_give_values_and_gradients_of_the_library(space, window, strides, padding):
    ours, theirs, arrays = both(space, window, strides, padding)

    def value_and_gradients(convolve, arrays):
        def scalar(*arrays):
            out = convolve(*arrays)
            return jnp.sum(jnp.sin(out)), out

        (_, out), gradients = jax.value_and_grad(scalar, (0, 1), has_aux=True)(*arrays)
        return out, gradients

    (out, gradients), (expected, expected_gradients) = jax.jit(
        lambda *arrays: [value_and_gradients(each, arrays) for each in (ours, theirs)]
    )(*arrays)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)


def lowered(platform, **dilation):
    convolve = jax.jit(
        lambda x, w: convolution(x, w, (1,), [(1, 1)], dimension_numbers=NUMBERS[1], **dilation)
    )
    arrays = np.zeros((2, 9, 3), "f4"), np.zeros((3, 3, 4), "f4")
    return convolve.trace(*arrays).lower(lowering_platforms=(platform,)).as_text()


def test_the_device_chooses():
    assert "stablehlo.convolution" not in lowered("cpu")
    assert "stablehlo.convolution" in lowered("cuda")
    assert "stablehlo.convolution" in lowered("cpu", rhs_dilation=(2,))
    assert "stablehlo.convolution" in lowered("cpu", lhs_dilation=(2,))


@pytest.mark.parametrize("more", [{}, {"kernel_dilation": 2}, {"feature_group_count": 2}], ids=str)
def test_a_layer_computes_what_it_would_with_the_library(more):
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("f4")

    @jax.jit
    def both(x):
        ways = {"conv_general_dilated": convolution}, {}
        return [nnx.Conv(4, 6, (3, 3), rngs=nnx.Rngs(0), **more, **own)(x) for own in ways]

    ours, theirs = both(x)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
