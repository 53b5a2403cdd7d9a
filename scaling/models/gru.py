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
    from scaling.models.recurrence import Pulled, States

    Kept = tuple[Array, ...]


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
        from scaling.models.recurrence import Cell, recurrence
        from scaling.models.residual_stack_apply import product

        given = product(normalise(x, layer["norm"], centred=False), layer["input"])
        given = given.astype("float32") + layer["bias"][None, None]
        h = recurrence(Cell(1, _forward, _back), layer["recurrent"], given)
        return x + (self.branch_multiplier * h).astype(x.dtype)


def _forward(states: States, given: Array, product: Array) -> tuple[States, Kept]:
    import jax
    import jax.numpy as jnp

    (before,) = states
    r_given, z_given, n_given = jnp.split(given, 3, axis=-1)
    r_product, z_product, n_product = jnp.split(product, 3, axis=-1)
    reset, keep = jax.nn.sigmoid(r_given + r_product), jax.nn.sigmoid(z_given + z_product)
    new = jnp.tanh(n_given + reset * n_product)
    return (new + keep * (before - new),), (reset, keep, new, n_product, before)


def _back(kept: Kept, later: States) -> Pulled:
    import jax.numpy as jnp

    from scaling.models.recurrence import Pulled

    reset, keep, new, n_product, before = kept
    (output,) = later
    of_new = output * (1 - keep) * (1 - new * new)
    of_keep = output * (before - new) * keep * (1 - keep)
    of_reset = of_new * n_product * reset * (1 - reset)
    of_given = jnp.concatenate([of_reset, of_keep, of_new], axis=-1)
    of_product = jnp.concatenate([of_reset, of_keep, of_new * reset], axis=-1)
    return Pulled((output * keep,), of_given, of_product)
