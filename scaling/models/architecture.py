"""What the computation of a Transformer depends on: sizes, choices and multipliers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from scaling.fields import Checked, Count, Decay
from scaling.models.parametrization import Parametrization, Standard


class Sizes(NamedTuple):
    """Sizes that a configuration may leave open, filled in."""

    heads: int
    kv_heads: int
    head_size: int
    ff_width: int


def fits_fused_kernel(dtype: str, head_size: int) -> bool:
    """Whether cuDNN's flash attention takes heads of a type and size."""
    return dtype == "bfloat16" and head_size % 8 == 0 and head_size <= 128


@dataclass(frozen=True, kw_only=True)
class Architecture(Checked):
    """Sizes of a Transformer, choices between layers, and how it scales.

    Attributes:
        width: Width of the residual stream.
        depth: Number of blocks.
        heads: Number of query heads. None: width / head_size.
        head_size: Size of each head. None: width / heads.
        kv_heads: Number of key and value heads, each for heads / kv_heads query heads
            (grouped-query attention, Ainslie et al. 2023, arXiv 2305.13245). None: one for each
            query head.
        ff_width: Width of the feed-forward layer. None: 4 widths; for SwiGLU, which has a third
            matrix, 8/3 widths rounded up to a multiple of 8.
        positions: "rotary" rotates queries and keys (Su et al. 2021, arXiv 2104.09864); "learned"
            adds a trained vector for each position of the context.
        norm: "rms" or "layer", which also subtracts the mean; both with a gain.
        activation: "swiglu" (Shazeer 2020, arXiv 2002.05202) or "gelu".
        tied: Whether the embedding is the read-out too.
        dropout: Fraction of the embedding and of what each branch adds to the residual stream that
            training sets to zero, the rest scaled up (Vaswani et al. 2017, arXiv 1706.03762,
            section 5.4). Most pre-training sees its data once, and goes without.
        qk_norm: Whether queries and keys are RMS-normalised in each head, with a gain.
        parametrization: How initial scales and learning rates follow the shape.
        compute_dtype: Type of activations and products. Parameters, statistics of norms and
            softmaxes, and logits are float32 always.
        remat: What a backward pass computes again for lack of memory: nothing; all but matrix
            products with weights ("dots"); whole blocks ("full").
    """

    width: Count
    depth: Count
    heads: Count | None = None
    head_size: Count | None = None
    kv_heads: Count | None = None
    ff_width: Count | None = None
    positions: Literal["rotary", "learned"] = "rotary"
    norm: Literal["rms", "layer"] = "rms"
    activation: Literal["swiglu", "gelu"] = "swiglu"
    tied: bool = False
    qk_norm: bool = False
    dropout: Decay = 0.0
    parametrization: Parametrization = field(default_factory=Standard)
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    remat: Literal["none", "dots", "full"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads is None and self.head_size is None:
            raise ValueError("transformer: give heads, head_size or both")
        for name, given in (("heads", self.heads), ("head_size", self.head_size)):
            if given is not None and None in (self.heads, self.head_size) and self.width % given:
                raise ValueError(
                    f"transformer.{name} = {given} does not divide width = {self.width}: "
                    "give a divisor, or both heads and head_size"
                )
        heads, kv_heads, head_size, _ = self.sizes
        if heads % kv_heads:
            raise ValueError(
                f"transformer.kv_heads = {kv_heads} does not divide heads = {heads}: give a divisor"
            )
        if self.positions == "rotary" and head_size % 2:
            raise ValueError(
                f"transformer.head_size = {head_size} must be even for rotary positions: give an "
                "even head_size, or positions = 'learned'"
            )
        if self.tied and getattr(self.parametrization, "zero_readout", False):
            raise ValueError(
                "transformer.parametrization.zero_readout = True would start a tied embedding at "
                "zero: give tied = False or zero_readout = False"
            )

    @property
    def sizes(self) -> Sizes:
        """Sizes with every open one filled in."""
        heads = self.heads or self.width // (self.head_size or 1)
        head_size = self.head_size or self.width // heads
        if self.ff_width is not None:
            ff_width = self.ff_width
        elif self.activation == "gelu":
            ff_width = 4 * self.width
        else:
            ff_width = 8 * math.ceil(self.width / 3)
        return Sizes(heads, self.kv_heads or heads, head_size, ff_width)

    @property
    def attention_scale(self) -> float:
        """Multiplier of the inner products of queries and keys."""
        return self.parametrization.attention_scale(self.sizes.head_size)

    @property
    def branch_multiplier(self) -> float:
        """Multiplier of what each branch adds to the residual stream."""
        return self.parametrization.rule("branch_out", 1, True, self.width, self.depth).output

    @property
    def logit_multiplier(self) -> float:
        """Multiplier of the logits."""
        role = "tied_embedding" if self.tied else "readout"
        return self.parametrization.rule(role, self.width, False, self.width, self.depth).output
