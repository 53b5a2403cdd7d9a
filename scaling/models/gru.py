"""GRU: a recurrent network whose state is its memory, between two gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.models.parametrization import Parameter
from scaling.models.residual_stack import ResidualStack, bias, gain, matrix

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Params


@dataclass(frozen=True, kw_only=True)
class GRU(ResidualStack):
    """Gated recurrent units in pre-norm residual blocks: x += h, of inputs norm(x).

    h_t = (1 - z_t) n_t + z_t h_(t-1) with n_t = tanh(a_t + r_t b_t): gates r, z are sigmoids of
    norm(x_t) W + h_(t-1) U + b, while a_t and b_t are the two products of the candidate apart (Cho
    et al. 2014, arXiv 1406.1078, with the reset after the product, as cuDNN and `flax.nnx.GRUCell`
    have it; but the candidate's recurrent part has no bias here). A sequence begins at h = 0.
    """

    kind: ClassVar[str] = "gru"

    def block_parameters(self) -> Mapping[str, Parameter]:
        """Columns of the matrices are all of r, all of z, all of the candidate."""
        return {
            "norm": gain(self.width),
            "input": matrix(self.width, 3 * self.width, "recurrent"),
            "recurrent": matrix(self.width, 3 * self.width, "recurrent"),
            "bias": bias(3 * self.width),
        }

    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after a layer of the recurrent network."""
        from scaling.models.layers import normalise
        from scaling.models.recurrence import recurrence
        from scaling.models.residual_stack_apply import product

        given = product(normalise(x, layer["norm"], centred=False), layer["input"])
        given = given.astype("float32") + layer["bias"][None, None]
        h = recurrence(_cell, 1, layer["recurrent"], given)
        return x + (self.branch_multiplier * h).astype(x.dtype)


def _cell(states: tuple[Array, ...], given: Array, product: Array) -> tuple[Array, ...]:
    import jax
    import jax.numpy as jnp

    (before,) = states
    r_given, z_given, n_given = jnp.split(given, 3, axis=-1)
    r_product, z_product, n_product = jnp.split(product, 3, axis=-1)
    reset, keep = jax.nn.sigmoid(r_given + r_product), jax.nn.sigmoid(z_given + z_product)
    new = jnp.tanh(n_given + reset * n_product)
    return (new + keep * (before - new),)
