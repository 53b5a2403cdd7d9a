"""What the computation of a Transformer depends on: sizes, choices and multipliers."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Architecture(NamedTuple):
    """Sizes in full, choices between layers, and the multipliers of the parametrization.

    Attributes:
        depth: Number of blocks.
        heads: Number of query heads.
        kv_heads: Number of key and value heads.
        head_size: Size of each head.
        learned_positions: Whether positions are learned vectors; else they are rotary.
        centred_norm: Whether norms subtract the mean.
        gated: Whether the feed-forward layer is SwiGLU; else it is GELU.
        qk_norm: Whether queries and keys are normalised in each head.
        tied: Whether the embedding is also the read-out.
        dropout: Fraction of activations that training sets to zero.
        attention_scale: Multiplier of the inner products of queries and keys.
        branch_multiplier: Multiplier of what each branch adds to the residual stream.
        logit_multiplier: Multiplier of the logits.
        compute_dtype: Type of activations and products.
        remat: What a backward pass computes again.
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
