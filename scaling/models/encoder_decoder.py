"""Encoder-decoder Transformer: an encoder that sees its source whole, a decoder that looks back.

The configuration, what it counts and what it costs; `encoder_decoder_apply` holds the computation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from scaling.devices.mesh import Axis
from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.parametrization import Along, Counted, Parameter, Role, Tree, count_groups

if TYPE_CHECKING:
    from scaling.model import Model

FF_WIDTHS = 4
"""Width of the feed-forward layers over that of the residual stream."""

_PROJECTIONS = ("query", "key", "value")

_Counted = tuple[tuple[int, Along | None], ...]
"""Sizes of the axes of an array, and what each counts."""


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder(Checked, Family):
    """Maps a source and the target so far to logits of each token of the target.

    The Transformer of Vaswani et al. 2017 (arXiv 1706.03762), with norms before the branches rather
    than after the sums (Xiong et al. 2020, arXiv 2002.04745) and one at the end of either stack.
    Feed-forward layers are four times as wide as the embedding. One matrix embeds source and target
    and reads out the logits; positions are sines and cosines.

    Attributes:
        width: Size of the embedding, d_model.
        depth: Blocks of the encoder, and as many of the decoder.
        heads: Heads of each attention; their size is width / heads.
        source_length: Tokens of an input that the encoder reads; the decoder reads the others.
    """

    kind: ClassVar[str] = "encoder_decoder"
    width: Count
    source_length: Count
    depth: Count = 6
    heads: Count = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(
                f"encoder_decoder.heads = {self.heads} does not divide width = {self.width}: give "
                f"a width that is a multiple of {self.heads}, or other heads"
            )

    def check(self, n_inputs: int) -> None:
        """Refuses inputs that have no target beside the source."""
        if self.source_length >= n_inputs:
            raise ValueError(
                f"model.source_length = {self.source_length} leaves no target in inputs of "
                f"{n_inputs} tokens: give a shorter source"
            )

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) tokens -> (batch, n_inputs - source_length, n_outputs)."""
        from scaling.models import encoder_decoder_apply as computation

        sizes = computation.Sizes(
            width=self.width, depth=self.depth, heads=self.heads, ff_width=FF_WIDTHS * self.width,
            vocab=n_outputs, source_length=self.source_length,
        )  # fmt: skip
        return computation.build(sizes, self.parameters(n_inputs, n_outputs))

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name; those of either stack have its layers on a first axis.

        They are drawn by the layers that have them, and all trained at one learning rate.
        """
        width = self.width
        residual: _Counted = ((width, "width"),)
        of_heads: _Counted = ((self.heads, "heads"), (width // self.heads, None))
        inner: _Counted = ((FF_WIDTHS * width, "hidden"),)

        def stacked(role: Role, group: str, fan_in: int, counted: _Counted) -> Parameter:
            sizes, along = zip(*counted, strict=True)
            return Parameter((self.depth, *sizes), role, group, fan_in, True, ("layers", *along))

        def linear(group: str, into: _Counted, out: _Counted) -> Tree:
            role: Role = "hidden" if into == residual else "branch_out"
            fan_in = math.prod(size for size, _ in into)
            kernel = stacked(role, group, fan_in, into + out)
            return {"kernel": kernel, "bias": stacked("bias", group, 1, out)}

        def attention() -> Tree:
            into = {name: linear("attention", residual, of_heads) for name in _PROJECTIONS}
            return {**into, "out": linear("attention", of_heads, residual)}

        norm = {
            "scale": stacked("gain", "norm", 1, residual),
            "bias": stacked("bias", "norm", 1, residual),
        }
        last_norm = {
            name: replace(each, shape=(width,), in_block=False, along=("width",))
            for name, each in norm.items()
        }
        feed_forward = {
            "norm": norm,
            "into": linear("feed_forward", residual, inner),
            "out": linear("feed_forward", inner, residual),
        }
        encoder = {"attention_norm": norm, "attention": attention(), "feed_forward": feed_forward}
        along: Counted = ("vocabulary", "width")
        table = Parameter((n_outputs, width), "tied_embedding", "embedding", 1, along=along)
        return {
            "embedding": {"embedding": table},
            "encoder": encoder,
            "encoder_norm": last_norm,
            "decoder": {**encoder, "source_norm": norm, "source_attention": attention()},
            "decoder_norm": last_norm,
        }

    def divided_by(self, axis: Axis) -> dict[str, int] | None:
        """What an axis of a mesh divides in a model, each with its number; None of an unknown."""
        match axis:
            case "tensor":
                return {"heads": self.heads}
            case "fsdp":
                return {"features of the residual stream": self.width}
            case "context":
                return {"tokens of the source": self.source_length}
            case "pipe":
                return {"layers of either stack": self.depth}
            case "data":
                return {}
            case "expert":
                return None

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; the read-out is the embedding, and counts as 0."""
        none = dict.fromkeys(("embedding", "attention", "feed_forward", "norm", "readout"), 0)
        return none | count_groups(self.parameters(n_inputs, n_outputs))

    def count_matmul(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters in products with activations: the read-out among them."""
        return super().count_matmul(n_inputs, n_outputs) + n_outputs * self.width

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example.

        Attention is counted in full, as if no token were masked.
        """
        source, target = self.source_length, n_inputs - self.source_length
        square, feed_forward = self.width**2, 2 * FF_WIDTHS * self.width**2
        encoder = source * (4 * square + feed_forward + 2 * source * self.width)
        # The decoder projects its own states six times, and the encoder's to keys and values.
        decoder = target * (6 * square + feed_forward + 2 * (target + source) * self.width)
        decoder += 2 * source * square
        return 2 * (self.depth * (encoder + decoder) + target * self.width * n_outputs)
