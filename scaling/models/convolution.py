"""Convolution: products of patches with one matrix on a CPU, the library's own elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "batch *space channels"]
Padding = str | Sequence[tuple[int, int]]


def convolution(
    images: Images,
    kernel: Float[Array, "*window channels_a_group features"],
    window_strides: Sequence[int],
    padding: Padding,
    **options: Any,
) -> Float[Array, "batch *out_space features"]:
    """`jax.lax.conv_general_dilated` of images whose channels come last, as `nnx.Conv` calls it.

    On a CPU, XLA's convolution takes 4 to 20 times as long as one matrix product of all patches
    (`benchmarks/convolution.py`); on an accelerator the library's is right. The choice is made by
    the device for which the program is compiled. Convolutions that are dilated or grouped are the
    library's everywhere.

    Args:
        images: Batch of arrays over any number of axes of space, channels last.
        kernel: Weights of a window; it is not flipped.
        window_strides: Step of the window along each axis of space.
        padding: Zeros before and after each axis, or "SAME" or "VALID".
        **options: What else the library takes; `dimension_numbers` must say channels last.
    """

    def by_library(images: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(images, kernel, window_strides, padding, **options)

    def by_patches(images: Array, kernel: Array) -> Array:
        return patches_product(images, kernel, window_strides, padding)

    dilations = (options.get(name) or () for name in ("lhs_dilation", "rhs_dilation"))
    spread = itertools.chain.from_iterable(dilations)
    if options.get("feature_group_count", 1) > 1 or any(each > 1 for each in spread):
        return by_library(images, kernel)
    return jax.lax.platform_dependent(images, kernel, cpu=by_patches, default=by_library)


def patches_product(
    images: Images,
    kernel: Float[Array, "*window channels features"],
    window_strides: Sequence[int],
    padding: Padding,
) -> Float[Array, "batch *out_space features"]:
    """The convolution as one matrix product: a row for each patch of an image, flattened."""
    *window, channels, features = kernel.shape
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(images.shape[1:-1], window, window_strides, padding)
    padded = jnp.pad(images, [(0, 0), *padding, (0, 0)])
    places = [
        (size - width) // stride + 1
        for size, width, stride in zip(padded.shape[1:-1], window, window_strides, strict=True)
    ]
    strides = (1, *window_strides, 1)

    def shifted(offset: Sequence[int]) -> Array:
        """The pixel at one place of the window, of every patch."""
        ends = [
            start + (n - 1) * stride + 1
            for start, n, stride in zip(offset, places, window_strides, strict=True)
        ]
        begins, ends = (0, *offset, 0), (len(images), *ends, channels)
        return jax.lax.slice(padded, begins, ends, strides)

    # The order of a kernel's rows: the last axis of the window runs fastest.
    offsets = itertools.product(*map(range, window))
    patches = jnp.concatenate([shifted(offset) for offset in offsets], axis=-1)
    # Two axes and not more: XLA's CPU passes such a product to its fastest routine.
    rows = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, features)
    return rows.reshape(len(images), *places, features)
