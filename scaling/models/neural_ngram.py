"""Neural n-gram: a feed-forward network on the embeddings of the last tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Count
from scaling.models.parametrization import Parameter, Tree
from scaling.models.residual_stack import ResidualStack, feed_forward, feed_forward_parameters

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Params


@dataclass(frozen=True, kw_only=True)
class NeuralNGram(ResidualStack):
    """Feed-forward layers in pre-norm residual blocks, on the last `order` tokens side by side.

    x = [embeddings of the last tokens] W_join, with zeros before the first token of a sequence; x
    += gelu(norm(x) W_in) W_out, of a width of 4 (Bengio et al. 2003, "A neural probabilistic
    language model", which has one hidden layer of tanh and no residual stream).

    Attributes:
        order: Tokens that a prediction sees.
    """

    kind: ClassVar[str] = "neural_ngram"
    order: Count = 8

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Parameters of the stack, and the matrix that joins embeddings, oldest token first."""
        fan_in = self.order * self.width
        join = Parameter((fan_in, self.width), "hidden", "join", fan_in)
        return {**super().parameters(n_inputs, n_outputs), "join": join}

    def block_parameters(self) -> Mapping[str, Parameter]:
        """Parameters of a feed-forward layer."""
        return feed_forward_parameters(self.width)

    def embed(self, params: Params, tokens: Array) -> Array:
        """Joins the embeddings of the last tokens in one vector."""
        from scaling.models.residual_stack_apply import causal_patches, product

        embedded = params["embedding"][tokens].astype(self.compute_dtype)
        return product(causal_patches(embedded, self.order), params["join"])

    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after a feed-forward layer."""
        return x + self.branch_multiplier * feed_forward(x, layer)
