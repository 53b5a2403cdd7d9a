"""Decoder-only Transformer: pre-norm residual blocks of causal attention and feed-forward layers.

The configuration, what it counts and what it costs; `transformer_apply` holds the computation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scaling.devices.mesh import Axis
from scaling.models.architecture import Architecture
from scaling.models.family import Family, Visibility
from scaling.models.parametrization import Along, Counted, Parameter, Role, Rule, Tree, count_groups

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class Transformer(Architecture, Family):
    """Maps tokens (batch, context) to logits (batch, context, vocabulary) of the token after each.

    x = embedding[tokens] (+ learned positions); in each block x += attention(norm(x)), then
    x += feed_forward(norm(x)); logits = norm(x) @ readout. No layer has a bias (Chowdhery et al.
    2022, arXiv 2204.02311, section 2).
    """

    kind: ClassVar[str] = "transformer"
    takes_tokens: ClassVar[bool] = True
    takes_segments: ClassVar[bool] = True
    visibilities: ClassVar[tuple[Visibility, ...]] = ("causal", "prefix", "full")

    @property
    def takes_dropout(self) -> bool:
        """Whether training uses dropout."""
        return self.dropout > 0

    def resolve(self) -> Self:
        """The configuration with every size filled in."""
        return replace(self, **self.sizes._asdict())

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model of a context of `n_inputs` tokens from a vocabulary of `n_outputs`.

        It takes shorter sequences too, and with rotary positions longer ones.
        """
        from scaling.models import transformer_apply

        return transformer_apply.build(self, self.parameters(n_inputs, n_outputs), self.rule)

    def activations(
        self, params: Params, tokens: Array, *, segments: Array | None = None
    ) -> dict[str, Array]:
        """Output of every part of the model, by name, each (batch, context, features).

        "embedding"; "block_i.attention" and "block_i.feed_forward" as they are added to the
        residual stream, and "block_i.residual" after both; "logits".
        """
        from scaling.models import transformer_apply

        return transformer_apply.activations(self, params, tokens, segments)

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name; those of blocks are stacked on a first axis of length depth.

        Columns of "qkv" are all query heads, all key heads, all value heads; those of a SwiGLU
        "ff_in" all gates, then all that they gate.
        """
        heads, kv_heads, head_size, ff_width = self.sizes
        width, attended, gated = self.width, heads * head_size, self.activation == "swiglu"

        def into(what: Along, *sizes: int) -> Parameter:
            """Columns of matrices side by side."""
            group = "attention" if what == "heads" else "feed_forward"
            shape, along = (self.depth, width, sum(sizes)), _counted("layers", "width", what)
            return Parameter(shape, "hidden", group, width, True, along, sizes)

        def out(what: Along, size: int) -> Parameter:
            group = "attention" if what == "heads" else "feed_forward"
            shape, along = (self.depth, size, width), _counted("layers", what, "width")
            return Parameter(shape, "branch_out", group, size, True, along)

        def gain(size: int, what: Along | None = None) -> Parameter:
            return Parameter((self.depth, size), "gain", "norm", 1, True, ("layers", what))

        of_keys = kv_heads * head_size
        blocks = {
            "attention_norm": gain(width, "width"),
            "qkv": into("heads", attended, of_keys, of_keys),
            "attention_out": out("heads", attended),
            "ff_norm": gain(width, "width"),
            "ff_in": into("hidden", *[ff_width] * (1 + gated)),
            "ff_out": out("hidden", ff_width),
        }
        if self.qk_norm:
            blocks |= {"query_norm": gain(head_size), "key_norm": gain(head_size)}
        embedding: Role = "tied_embedding" if self.tied else "embedding"
        table = _counted("vocabulary", "width")
        tree: dict[str, Any] = {
            "embedding": Parameter((n_outputs, width), embedding, "embedding", 1, along=table),
            "blocks": blocks,
            "final_norm": Parameter((width,), "gain", "norm", 1, along=("width",)),
        }
        if self.positions == "learned":
            shape, along = (n_inputs, width), _counted(None, "width")
            tree["positions"] = Parameter(shape, "embedding", "embedding", 1, along=along)
        if not self.tied:
            shape, along = (width, n_outputs), _counted("width", "vocabulary")
            tree["readout"] = Parameter(shape, "readout", "readout", width, along=along)
        return tree

    def divided_by(self, axis: Axis) -> dict[str, int] | None:
        """What an axis of a mesh divides in a model, each with its number; None of an unknown."""
        heads, kv_heads, _, ff_width = self.sizes
        match axis:
            case "tensor":
                of_heads = {"heads": heads, "heads of keys and values": kv_heads}
                return of_heads | {"features of a feed-forward layer": ff_width}
            case "pipe":
                return {"layers": self.depth}
            case "fsdp":
                return {"features of the residual stream": self.width}
            case "data" | "context":
                return {}
            case "expert":
                return None

    def rule(self, parameter: Parameter) -> Rule:
        """Rule by which a parameter is drawn, multiplied and trained."""
        return self.parametrization.rule(
            parameter.role, parameter.fan_in, parameter.in_block, self.width, self.depth
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; learned positions count as embedding, a tied read-out as 0."""
        none = dict.fromkeys(("embedding", "attention", "feed_forward", "norm", "readout"), 0)
        return none | count_groups(self.parameters(n_inputs, n_outputs))

    def count_matmul(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters in products with activations: the read-out among them, tied or not."""
        read_out_twice = self.width * n_outputs if self.tied else 0
        return super().count_matmul(n_inputs, n_outputs) + read_out_twice

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example of `n_inputs` tokens.

        Attention is counted in full, as if no token were masked, and the read-out is in; looking
        up an embedding is free (Hoffmann et al. 2022, arXiv 2203.15556, appendix F, but for that).
        """
        heads, kv_heads, head_size, ff_width = self.sizes
        projections = self.width * head_size * (2 * heads + 2 * kv_heads)
        scores_and_mixing = 2 * n_inputs * heads * head_size
        feed_forward = (3 if self.activation == "swiglu" else 2) * self.width * ff_width
        block = projections + scores_and_mixing + feed_forward
        return 2 * n_inputs * (self.depth * block + self.width * n_outputs)


def _counted(*along: Along | None) -> Counted:
    return along
