"""Augmentation of images in training: drawn anew for each image of each batch, on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scaling.models.image_shape import image_shape

PADDING = 4
"""Pixels of zeros around an image, out of which it is cropped (Nakkiran et al., appendix B.1)."""


def crop_and_flip(key: Array, images: Float[Array, "batch inputs"]) -> Float[Array, "batch inputs"]:
    """Shifts each image by up to 4 pixels either way, and mirrors half of them left to right.

    Args:
        key: Key of this batch.
        images: Images as rows of numbers, channels last.
    """
    height, width, channels = image_shape(images.shape[1])
    n = len(images)
    of_place, of_side = jax.random.split(key)
    places = jax.random.randint(of_place, (n, 2), 0, 2 * PADDING + 1)
    mirrored = jax.random.bernoulli(of_side, shape=(n, 1, 1, 1))
    around = (PADDING, PADDING)
    padded = jnp.pad(images.reshape(n, height, width, channels), ((0, 0), around, around, (0, 0)))

    def cropped(image: Array, place: Array) -> Array:
        start = (place[0], place[1], jnp.zeros_like(place[0]))
        return jax.lax.dynamic_slice(image, start, (height, width, channels))

    crops = jax.vmap(cropped)(padded, places)
    return jnp.where(mirrored, crops[:, :, ::-1], crops).reshape(n, -1)
