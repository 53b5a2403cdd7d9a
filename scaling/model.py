"""Model: a pair of pure functions. Nothing else is a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from flax import nnx
    from jax import Array

Params = Any
"""A pytree of arrays."""


class Model(NamedTuple):
    """`init(key) -> params` and `apply(params, inputs) -> outputs`, batch axis first.

    A model of tokens takes two more inputs by name if its family says so, each only where a run
    asks for it: `segments` (batch, context), the document of each token, outside which it sees
    nothing; and `dropout_key`, without which nothing is dropped.

    The interface follows optax's `GradientTransformation`: a NamedTuple of functions, so that
    `jax.jit`, `grad`, `vmap` and `eval_shape` apply to it without ceremony.
    """

    init: Callable[[Array], Params]
    apply: Callable[..., Array]


def from_nnx(make: Callable[[nnx.Rngs], nnx.Module]) -> Model:
    """Splits a flax.nnx module, at once, into pure functions over its `nnx.Param` state.

    Args:
        make: builds the module from its random streams; called once for each `init`.
    """
    from flax import nnx

    graphdef = nnx.graphdef(nnx.eval_shape(lambda: make(nnx.Rngs(params=0))))

    def init(key: Array) -> Params:
        return nnx.to_pure_dict(nnx.state(make(nnx.Rngs(params=key)), nnx.Param))

    def apply(params: Params, inputs: Array) -> Array:
        return nnx.merge(graphdef, params)(inputs)

    return Model(init, apply)
