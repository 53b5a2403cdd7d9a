"""Minimal GRU: a recurrent network whose gates do not see its state, so that no step waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.models.parametrization import Parameter
from scaling.models.residual_stack import (
    ResidualStack,
    bias,
    feed_forward,
    feed_forward_parameters,
    gain,
    matrix,
    matrix_out,
)

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Params

GATE_BIASES = (-4.0, 1.0)
"""First and last of the evenly spaced numbers that are added to the gates: states that remember for
1 to 50 tokens from the start."""


@dataclass(frozen=True, kw_only=True)
class MinGRU(ResidualStack):
    """Minimal gated recurrent units and feed-forward layers in pre-norm residual blocks.

    h_t = (1 - z_t) h_(t-1) + z_t c_t with z_t = sigmoid(norm(x_t) W_z + b) and c_t = norm(x_t) W_c
    (Feng et al. 2024, arXiv 2410.01201, section 3.1); x += h W_out, and then x += gelu(norm(x)
    W_in) W_out, of a width of 4. A sequence begins at h = 0.
    """

    kind: ClassVar[str] = "min_gru"

    def block_parameters(self) -> Mapping[str, Parameter]:
        """Columns of "input" are all gates, then all candidates."""
        return {
            "norm": gain(self.width),
            "input": matrix(self.width, 2 * self.width, "recurrent"),
            "gate_bias": bias(self.width),
            "out": matrix_out(self.width, self.width, "recurrent"),
            **feed_forward_parameters(self.width),
        }

    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after the recurrent and the feed-forward layer."""
        import jax
        import jax.numpy as jnp

        from scaling.models.layers import normalise
        from scaling.models.recurrence import linear_recurrence
        from scaling.models.residual_stack_apply import product

        both = product(normalise(x, layer["norm"], centred=False), layer["input"])
        gate, candidate = jnp.split(both.astype("float32"), 2, axis=-1)
        biases = layer["gate_bias"] + jnp.linspace(*GATE_BIASES, self.width)
        z = jax.nn.sigmoid(gate + biases[None, None])
        h = linear_recurrence(1 - z, z * candidate).astype(x.dtype)
        x = x + self.branch_multiplier * product(h, layer["out"])
        return x + self.branch_multiplier * feed_forward(x, layer)
