"""Two encoders, one for each view of a pair, whose vectors are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.mlp import MLP

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params

FIRST = 32
"""Numbers of the first view; those of the second follow."""

START, MOST = 1 / 0.07, 100.0
"""Factor of the inner products of unit vectors at the start, and the largest it may become."""


@dataclass(frozen=True, kw_only=True)
class TwoEncoders(Checked, Family):
    """A perceptron for each view, whose outputs are unit vectors times the root of one factor.

    The factor is trained, as its logarithm (Radford et al. 2021, arXiv 2103.00020, section 2.5). An
    output is both vectors, one after the other.

    Attributes:
        width: Units of each hidden layer.
        depth: Number of hidden layers.
    """

    kind: ClassVar[str] = "two_encoders"
    width: Count
    depth: Count = 2

    def check(self, n_inputs: int) -> None:
        """Refuses inputs that are not two views."""
        if n_inputs <= FIRST:
            raise ValueError(
                f"model.kind = 'two_encoders' takes {FIRST} numbers of a first view and those of a "
                f"second, not {n_inputs}: use data.kind = 'paired_views'"
            )

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        import jax
        import jax.numpy as jnp

        from scaling.model import Model

        encoders = [self._of_one.build(size, n_outputs // 2) for size in self._sizes(n_inputs)]

        def init(key: Array) -> Params:
            first, second = jax.random.split(key)
            return {
                "first": encoders[0].init(first),
                "second": encoders[1].init(second),
                "log_factor": jnp.float32(math.log(START)),
            }

        def apply(params: Params, inputs: Array) -> Array:
            views = jnp.split(inputs, [FIRST], axis=1)
            factor = jnp.minimum(jnp.exp(params["log_factor"]), MOST)
            vectors = []
            for encoder, name, view in zip(encoders, ("first", "second"), views, strict=True):
                vector = encoder.apply(params[name], view)
                length = jnp.sqrt(jnp.sum(jnp.square(vector), axis=1, keepdims=True) + 1e-12)
                vectors.append(jnp.sqrt(factor) * vector / length)
            return jnp.concatenate(vectors, axis=1)

        return Model(init, apply)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        counts = [
            sum(self._of_one.count_params(size, n_outputs // 2).values())
            for size in self._sizes(n_inputs)
        ]
        return {"first": counts[0], "second": counts[1], "factor": 1}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example; comparisons are not in."""
        sizes = self._sizes(n_inputs)
        return sum(self._of_one.flops_forward(size, n_outputs // 2) for size in sizes)

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example."""
        sizes = self._sizes(n_inputs)
        return sum(self._of_one.flops_backward(size, n_outputs // 2) for size in sizes)

    @property
    def _of_one(self) -> MLP:
        return MLP(width=self.width, depth=self.depth)

    def _sizes(self, n_inputs: int) -> tuple[int, int]:
        return FIRST, n_inputs - FIRST
