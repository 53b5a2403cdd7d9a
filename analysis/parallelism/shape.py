"""Sizes of a Transformer, and what they cost.

| symbol | meaning | unit |
|---|---|---|
| L, h, a | layers, width, attention heads | 1 |
| s, V | context, vocabulary | tokens |
| N | parameters | 1 |
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """A decoder-only Transformer, dense or with experts in every block.

    Attributes:
        layers: L.
        width: h.
        heads: a, query heads.
        kv_heads: Heads of keys and values.
        head_size: Features of a head.
        ff_width: Features inside a feed-forward layer, of one expert where there are several.
        gated: Whether the feed-forward layer multiplies two products (SwiGLU, GeGLU).
        vocabulary: V.
        context: s.
        experts: Feed-forward layers of a block; 1 for a dense model.
        chosen: Experts that a token goes to.
        parallel_blocks: Whether attention and feed-forward layer of a block read the same input, so
            that their outputs are added up over devices at once (Chowdhery et al. 2022, arXiv
            2204.02311, section 2).
        capacity: Places of the experts, over what tokens would take if all were chosen evenly.
        tied: Whether the embedding is the read-out too.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    ff_width: int
    gated: bool = False
    vocabulary: int
    context: int
    experts: int = 1
    chosen: int = 1
    parallel_blocks: bool = False
    capacity: float = 1.25
    tied: bool = True

    @property
    def attention_parameters(self) -> int:
        """Parameters of the attention of one block."""
        return 2 * self.width * self.head_size * (self.heads + self.kv_heads)

    @property
    def expert_parameters(self) -> int:
        """Parameters of one expert; of the feed-forward layer where there is one."""
        return (3 if self.gated else 2) * self.width * self.ff_width

    @property
    def readout_parameters(self) -> int:
        """Parameters of the last product, into the vocabulary."""
        return self.width * self.vocabulary

    @property
    def parameters(self) -> int:
        """N; gains and routers are left out."""
        block = self.attention_parameters + self.experts * self.expert_parameters
        return self.layers * block + (1 if self.tied else 2) * self.readout_parameters

    @property
    def block_flops(self) -> float:
        """FLOPs of one block, forward, a token; attention in full, as if none were masked."""
        scores = 2 * self.context * self.heads * self.head_size
        return 2.0 * (self.attention_parameters + self.chosen * self.expert_parameters + scores)

    @property
    def score_flops(self) -> float:
        """The part of `block_flops` in scores and their mixing, which no weights take part in."""
        return 4.0 * self.context * self.heads * self.head_size

    @property
    def readout_flops(self) -> float:
        """FLOPs of the read-out, forward, a token."""
        return 2.0 * self.readout_parameters

    @property
    def training_flops(self) -> float:
        """FLOPs of a training step, a token: three times the forward pass."""
        return 3 * (self.layers * self.block_flops + self.readout_flops)
