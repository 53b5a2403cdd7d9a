"""What the computation of a Transformer depends on: sizes, choices and multipliers."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Architecture(NamedTuple):
    """Sizes in full, choices between layers, and the multipliers of the parametrization.

    `Transformer` describes the fields that it has too; the others follow from them.

    Attributes:
        learned_positions: Whether positions are learned vectors; else they are rotary.
        centred_norm: Whether norms subtract the mean.
        gated: Whether the feed-forward layer is SwiGLU; else it is GELU.
        attention_scale: Multiplier of the inner products of queries and keys.
        branch_multiplier: Multiplier of what each branch adds to the residual stream.
    """

    depth: int
    heads: int
    kv_heads: int
    head_size: int
    learned_positions: bool
    centred_norm: bool
    gated: bool
    qk_norm: bool
    tied: bool
    dropout: float
    attention_scale: float
    branch_multiplier: float
    logit_multiplier: float
    compute_dtype: Literal["float32", "bfloat16"]
    remat: Literal["none", "dots", "full"]
