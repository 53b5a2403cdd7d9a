"""Encoder-decoder Transformer: an encoder that sees its source whole, a decoder that looks back.

The configuration, what it counts and what it costs; `encoder_decoder_apply` holds the computation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Checked, Count
from scaling.models.family import Family

if TYPE_CHECKING:
    from scaling.model import Model

FF_WIDTHS = 4
"""Width of the feed-forward layers over that of the residual stream."""


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

        sizes = computation.Sizes(self.width, self.depth, self.heads, n_outputs, self.source_length)
        return computation.build(sizes)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; the read-out is the embedding, and counts as 0."""
        attention = 4 * self.width * (self.width + 1)
        feed_forward = 2 * FF_WIDTHS * self.width**2 + (FF_WIDTHS + 1) * self.width
        return {
            "embedding": n_outputs * self.width,
            "attention": 3 * self.depth * attention,
            "feed_forward": 2 * self.depth * feed_forward,
            "norm": 2 * self.width * (5 * self.depth + 2),
            "readout": 0,
        }

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
