"""LSTM: a recurrent network with a memory that gates write, erase and read."""

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

FORGET_BIAS = 1.0
"""What is added to the forget gate, so that a memory lasts from the start (Jozefowicz et al. 2015,
"An empirical exploration of recurrent network architectures", section 2.2)."""


@dataclass(frozen=True, kw_only=True)
class LSTM(ResidualStack):
    """Long short-term memory in pre-norm residual blocks: x += h, of inputs norm(x).

    c_t = f_t c_(t-1) + i_t g_t and h_t = o_t tanh(c_t), with sigmoid gates i, f, o and g = tanh,
    each of norm(x_t) W + h_(t-1) U + b (Hochreiter & Schmidhuber 1997; Gers et al. 2000, with the
    forget gate). The numbers are those of `flax.nnx.LSTMCell`; the products with W are made for all
    times at once. A sequence begins without memory.
    """

    kind: ClassVar[str] = "lstm"

    def block_parameters(self) -> Mapping[str, Parameter]:
        """Columns of the matrices are all of i, all of f, all of g, all of o."""
        return {
            "norm": gain(self.width),
            "input": matrix(self.width, 4 * self.width, "recurrent"),
            "recurrent": matrix(self.width, 4 * self.width, "recurrent"),
            "bias": bias(4 * self.width),
        }

    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after a layer of the recurrent network."""
        from scaling.models.layers import normalise
        from scaling.models.recurrence import Cell, recurrence
        from scaling.models.residual_stack_apply import product

        given = product(normalise(x, layer["norm"], centred=False), layer["input"])
        given = given.astype("float32") + layer["bias"][None, None]
        h = recurrence(Cell(2, _forward, _back), layer["recurrent"], given)
        return x + (self.branch_multiplier * h).astype(x.dtype)


def _forward(states: States, given: Array, product: Array) -> tuple[States, Kept]:
    import jax
    import jax.numpy as jnp

    write, keep, new, read = jnp.split(given + product, 4, axis=-1)
    i, f, o = map(jax.nn.sigmoid, (write, keep + FORGET_BIAS, read))
    g, before = jnp.tanh(new), states[1]
    memory = f * before + i * g
    shown = jnp.tanh(memory)
    return (o * shown, memory), (i, f, g, o, before, shown)


def _back(kept: Kept, later: States) -> Pulled:
    import jax.numpy as jnp

    from scaling.models.recurrence import Pulled

    i, f, g, o, before, shown = kept
    output, memory = later
    memory = memory + output * o * (1 - shown * shown)
    of_gates = [
        memory * g * i * (1 - i),
        memory * before * f * (1 - f),
        memory * i * (1 - g * g),
        output * shown * o * (1 - o),
    ]
    return Pulled((jnp.zeros_like(output), memory * f), jnp.concatenate(of_gates, axis=-1))
