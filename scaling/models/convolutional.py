"""Convolutional language model: causal, gated, dilated, with a receptive field that is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.models.parametrization import Parameter
from scaling.models.residual_stack import ResidualStack, bias, gain, matrix, matrix_out

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Params

KERNEL = 3
"""Tokens in a window of a convolution."""


@dataclass(frozen=True, kw_only=True)
class Convolutional(ResidualStack):
    """Gated convolutions over past tokens in pre-norm residual blocks.

    x += (a sigmoid(b)) W_out, where a and b are two convolutions of norm(x) over a window of 3
    tokens that ends at the present one (gated linear units, Dauphin et al. 2017, arXiv 1612.08083),
    which in block i are 2^i tokens apart (van den Oord et al. 2016, arXiv 1609.03499). Before the
    first token of a sequence there are zeros.
    """

    kind: ClassVar[str] = "convolutional"

    @property
    def receptive_field(self) -> int:
        """Tokens that a prediction sees, the present one among them: 1 + 2 (2^depth - 1)."""
        return 1 + (KERNEL - 1) * (2**self.depth - 1)

    def block_parameters(self) -> Mapping[str, Parameter]:
        """Rows of "window" are the oldest token of a window first; columns are all a, then all b.

        They are as for a product with patches, the tokens of each window side by side.
        """
        return {
            "norm": gain(self.width),
            "window": matrix(KERNEL * self.width, 2 * self.width, "convolution"),
            "bias": bias(2 * self.width),
            "out": matrix_out(self.width, self.width, "convolution"),
        }

    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after a convolution."""
        import jax
        import jax.numpy as jnp

        from scaling.models.layers import normalise
        from scaling.models.residual_stack_apply import causal_convolution, product

        normed = normalise(x, layer["norm"], centred=False)
        both = causal_convolution(normed, layer["window"], KERNEL, 2**place)
        both = both + layer["bias"].astype(x.dtype)[None, None]
        value, gate = jnp.split(both, 2, axis=-1)
        return x + self.branch_multiplier * product(value * jax.nn.sigmoid(gate), layer["out"])
