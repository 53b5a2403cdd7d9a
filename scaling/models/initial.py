"""Initial weights that other libraries give a layer by default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from jaxtyping import Array


def torch_default(fan_in: int) -> dict[str, Any]:
    """Initialisers of a layer of flax.nnx as PyTorch's `Linear` and `Conv` draw theirs.

    Weights and biases are uniform between -1/sqrt(fan_in) and 1/sqrt(fan_in) (He et al. 2015, arXiv
    1502.01852, with the leak sqrt(5) of a leaky ReLU, which makes the bound this).

    Args:
        fan_in: Terms in each sum of the layer: inputs, or channels times the size of the window.
    """
    bound = 1 / math.sqrt(fan_in)

    def uniform(key: Array, shape: Any, dtype: Any = float, out_sharding: Any = None) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return {"kernel_init": uniform, "bias_init": uniform}
