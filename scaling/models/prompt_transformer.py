"""A causal Transformer over vectors, which gives a number after each: it learns from a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.parametrization import Parameter, Tree, count_groups
from scaling.models.transformer import Transformer

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class PromptTransformer(Checked, Family):
    """Blocks of `Transformer` over as many tokens as there are outputs, one of which each gives.

    A token is a vector of numbers, an equal part of the input: x = tokens @ embedding + positions.
    An output depends on its own token and those before it alone.

    Attributes:
        width: Width of the residual stream.
        depth: Number of blocks.
        heads: Number of heads, a divisor of the width.
    """

    kind: ClassVar[str] = "prompt_transformer"
    width: Count
    depth: Count = 2
    heads: Count = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(
                f"prompt_transformer.heads = {self.heads} does not divide width = {self.width}: "
                "give a divisor"
            )

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        from scaling.model import Model
        from scaling.models import initial, transformer_apply

        size = _token_size(n_inputs, n_outputs)

        def init(key: Array) -> Params:
            return initial.drawn(self.parameters(n_inputs, n_outputs), self._blocks.rule, key)

        def apply(params: Params, inputs: Array) -> Array:
            tokens = inputs.reshape(-1, n_outputs, size)
            x = tokens @ params["embedding"] + params["positions"][None]
            return transformer_apply.read_out(self._blocks, params, x)[..., 0]

        return Model(init, apply)

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name; those of blocks are stacked on a first axis."""
        size = _token_size(n_inputs, n_outputs)
        return {
            **self._blocks.parameters(n_outputs, 1),
            "embedding": Parameter((size, self.width), "hidden", "embedding", size),
        }

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; positions count as embedding."""
        return count_groups(self.parameters(n_inputs, n_outputs))

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example.

        Attention is counted in full, as if no token were masked.
        """
        return 2 * n_inputs * self.width + self._blocks.flops_forward(n_outputs, 1)

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: no gradient of the tokens is needed."""
        return 2 * self.flops_forward(n_inputs, n_outputs) - 2 * n_inputs * self.width

    @property
    def _blocks(self) -> Transformer:
        return Transformer(
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            positions="learned",
            activation="gelu",
        )


def _token_size(n_inputs: int, n_outputs: int) -> int:
    """Numbers of a token.

    Raises:
        ValueError: the inputs are no whole number of them.
    """
    if n_inputs % n_outputs:
        raise ValueError(
            f"model.kind = 'prompt_transformer' takes a token for each of {n_outputs} outputs, and "
            f"{n_inputs} inputs are not so many equal parts: use data.kind = 'linear_tasks'"
        )
    return n_inputs // n_outputs
