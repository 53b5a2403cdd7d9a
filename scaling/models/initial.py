"""Initial weights: by the rules of a parametrization, and as other libraries draw them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from scaling.models.parametrization import Parameter, Rule, Tree

if TYPE_CHECKING:
    from jaxtyping import Array

    from scaling.model import Params


def drawn(parameters: Tree, rule: Callable[[Parameter], Rule], key: Array) -> Params:
    """Initial arrays of all parameters: each from a random stream named after it.

    A parameter that is added to a tree therefore leaves the others as they were.
    """

    def draw(path: Any, parameter: Parameter) -> Array:
        if parameter.role == "gain":
            return jnp.ones(parameter.shape, jnp.float32)
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        own = jax.random.fold_in(key, zlib.crc32(name.encode()))
        normal = jax.random.normal(own, parameter.shape, jnp.float32)
        return rule(parameter).init_sd * normal

    return jax.tree.map_with_path(draw, dict(parameters))


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
