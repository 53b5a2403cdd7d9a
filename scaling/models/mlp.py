"""Multi-layer perceptron: ReLU layers of one width."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from scaling.fields import Checked, Count, Newer
from scaling.models.family import Family

if TYPE_CHECKING:
    from flax import nnx

    from scaling.model import Model


@dataclass(frozen=True, kw_only=True)
class MLP(Checked, Family):
    """`depth` hidden ReLU layers of `width` units, with biases.

    Attributes:
        width: Units of each hidden layer.
        depth: Number of hidden layers.
        initial: "lecun_normal" draws weights of variance 1 / fan-in and starts biases at 0; "torch"
            draws both as PyTorch does by default.
    """

    kind: ClassVar[str] = "mlp"
    width: Count
    depth: Count = 2
    initial: Annotated[Literal["lecun_normal", "torch"], Newer()] = "lecun_normal"

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        from flax import nnx

        from scaling.model import from_nnx
        from scaling.models.initial import torch_default

        def make(rngs: nnx.Rngs) -> nnx.Module:
            *hidden, last = (
                nnx.Linear(
                    fan_in,
                    fan_out,
                    rngs=rngs,
                    **torch_default(fan_in) if self.initial == "torch" else {},
                )
                for fan_in, fan_out in self._layers(n_inputs, n_outputs)
            )
            activated = itertools.chain.from_iterable((layer, nnx.relu) for layer in hidden)
            return nnx.Sequential(*activated, last)

        return from_nnx(make)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        *hidden, last = (fan_in * out + out for fan_in, out in self._layers(n_inputs, n_outputs))
        return {"hidden": sum(hidden), "readout": last}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example."""
        return sum(2 * fan_in * out for fan_in, out in self._layers(n_inputs, n_outputs))

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example.

        Twice the forward pass (gradients of weights and of activations), less the gradient of the
        first layer's input, which nobody needs.
        """
        return 2 * self.flops_forward(n_inputs, n_outputs) - 2 * n_inputs * self.width

    def _layers(self, n_inputs: int, n_outputs: int) -> list[tuple[int, int]]:
        return list(itertools.pairwise([n_inputs, *[self.width] * self.depth, n_outputs]))
