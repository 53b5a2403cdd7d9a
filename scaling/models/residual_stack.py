"""What families of tokens that are a stack of residual blocks have in common.

A family gives the parameters of one block and the function that goes through it. Embedding, norm
and read-out, counts, FLOPs and scales are those of `ResidualStack`; `residual_stack_apply` holds
the computation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.parametrization import (
    Parameter,
    Parametrization,
    Rule,
    Standard,
    Tree,
    count_groups,
)

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class ResidualStack(Checked, Family, ABC):
    """A base of families that map tokens (batch, context) to logits (batch, context, vocabulary).

    x = embedding[tokens]; each block adds to x; logits = norm(x) @ readout. Norms are
    root-mean-square norms with a gain.

    Attributes:
        width: Width of the residual stream.
        depth: Number of blocks.
        parametrization: How initial scales and learning rates follow the shape.
        compute_dtype: Type of activations and products. Parameters, statistics of norms, states of
            recurrences and logits are float32 always.
    """

    takes_tokens: ClassVar[bool] = True
    width: Count
    depth: Count
    parametrization: Parametrization = field(default_factory=Standard)
    compute_dtype: Literal["float32", "bfloat16"] = "float32"

    @abstractmethod
    def block_parameters(self) -> Mapping[str, Parameter]:
        """Parameters of one block by name; each fan-in is that of one block."""

    @abstractmethod
    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after a block.

        Args:
            x: The stream before it, (context, batch, width): time first.
            layer: Arrays of the block, by the names of `block_parameters`.
            place: Number of the block, from 0.
        """

    def embed(self, params: Params, tokens: Array) -> Array:
        """The residual stream before the first block, (context, batch, width)."""
        return params["embedding"][tokens]

    @property
    def branch_multiplier(self) -> float:
        """Multiplier of what each branch adds to the residual stream."""
        return self.parametrization.rule("branch_out", 1, True, self.width, self.depth).output

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model of any context, from a vocabulary of `n_outputs`."""
        from scaling.models.residual_stack_apply import Stack, build

        readout = self.parametrization.rule("readout", 1, False, self.width, self.depth)
        return build(
            Stack(
                self.parameters(n_inputs, n_outputs),
                self.rule,
                self.embed,
                self.block,
                self.compute_dtype,
                readout.output,
            )
        )

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name; those of blocks are stacked on a first axis of length depth."""
        blocks = {
            name: replace(each, shape=(self.depth, *each.shape), in_block=True)
            for name, each in self.block_parameters().items()
        }
        return {
            "embedding": Parameter((n_outputs, self.width), "embedding", "embedding", 1),
            "blocks": blocks,
            "final_norm": Parameter((self.width,), "gain", "norm", 1),
            "readout": Parameter((self.width, n_outputs), "readout", "readout", self.width),
        }

    def rule(self, parameter: Parameter) -> Rule:
        """Rule by which a parameter is drawn, multiplied and trained."""
        return self.parametrization.rule(
            parameter.role, parameter.fan_in, parameter.in_block, self.width, self.depth
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; biases count with the norms."""
        return count_groups(self.parameters(n_inputs, n_outputs))

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example of `n_inputs` tokens.

        Every matrix is multiplied once a token.
        """
        return 2 * n_inputs * self.count_matmul(n_inputs, n_outputs)


def matrix(fan_in: int, fan_out: int, group: str) -> Parameter:
    """A matrix between activations inside a block."""
    return Parameter((fan_in, fan_out), "hidden", group, fan_in)


def matrix_out(fan_in: int, fan_out: int, group: str) -> Parameter:
    """A matrix whose product is added to the residual stream."""
    return Parameter((fan_in, fan_out), "branch_out", group, fan_in)


def gain(size: int) -> Parameter:
    """Gain of a norm."""
    return Parameter((size,), "gain", "norm", 1)


def bias(size: int) -> Parameter:
    """Numbers that are added to activations."""
    return Parameter((size,), "bias", "norm", 1)


def feed_forward_parameters(width: int) -> dict[str, Parameter]:
    """Parameters of a feed-forward layer that is four times as wide inside."""
    return {
        "ff_norm": gain(width),
        "ff_in": matrix(width, 4 * width, "feed_forward"),
        "ff_out": matrix_out(4 * width, width, "feed_forward"),
    }


def feed_forward(x: Array, layer: Params) -> Array:
    """What a feed-forward layer adds to the residual stream: gelu(norm(x) W_in) W_out."""
    import jax

    from scaling.models.layers import normalise
    from scaling.models.residual_stack_apply import product

    hidden = product(normalise(x, layer["ff_norm"], centred=False), layer["ff_in"])
    return product(jax.nn.gelu(hidden), layer["ff_out"])
