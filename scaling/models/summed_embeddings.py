"""Two-layer network on one-hot inputs: the sum of their embeddings, an activation, a read-out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from scaling.fields import Checked, Count
from scaling.models.family import Family

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class SummedEmbeddings(Checked, Family):
    """Outputs g(x E) W, without biases, for g(z) = z^2 or ReLU.

    An input holds `n_symbols` one-hot vectors, one after the other, so that x E is the sum of one
    embedding for each. With "square" it is the network of Gromov (2023, arXiv 2301.02679), which
    has weights in closed form that solve modular addition. Weights are normal: with variance
    1 / n_symbols in E and 1 / width in W, z begins with variance 1.
    """

    kind: ClassVar[str] = "summed_embeddings"
    width: Count
    n_symbols: Count = 2
    activation: Literal["square", "relu"] = "square"

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        import jax
        import jax.numpy as jnp

        from scaling.model import Model

        def init(key: Array) -> Params:
            first, second = jax.random.split(key)
            embedding = jax.random.normal(first, (n_inputs, self.width), jnp.float32)
            readout = jax.random.normal(second, (self.width, n_outputs), jnp.float32)
            return {
                "embedding": embedding / math.sqrt(self.n_symbols),
                "readout": readout / math.sqrt(self.width),
            }

        def apply(params: Params, x: Array) -> Array:
            z = x @ params["embedding"]
            z = jnp.square(z) if self.activation == "square" else jax.nn.relu(z)
            return z @ params["readout"]

        return Model(init, apply)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        return {"hidden": n_inputs * self.width, "readout": self.width * n_outputs}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example."""
        return 2 * self.width * (n_inputs + n_outputs)

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example; nobody needs the gradient of the input."""
        return 2 * self.flops_forward(n_inputs, n_outputs) - 2 * n_inputs * self.width
