"""The GPT of `train_step` in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F


def _linear(n_in: int, n_out: int) -> torch.nn.Linear:
    return torch.nn.Linear(n_in, n_out, bias=False)


def _layer_norm(width: int) -> torch.nn.LayerNorm:
    return torch.nn.LayerNorm(width, eps=1e-6, bias=False)


class Block(torch.nn.Module):
    """A residual block: attention, then two products with GELU between."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, width // heads
        self.attention_norm, self.ff_norm = _layer_norm(width), _layer_norm(width)
        self.qkv, self.attention_out = _linear(width, 3 * width), _linear(width, width)
        self.ff_in, self.ff_out = _linear(width, 4 * width), _linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, context, width) -> the same."""
        q, k, v = (
            part.unflatten(-1, (self.heads, self.head_size)).transpose(1, 2)
            for part in self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).flatten(-2))
        hidden = F.gelu(self.ff_in(self.ff_norm(x)), approximate="tanh")
        return x + self.ff_out(hidden)


class GPT(torch.nn.Module):
    """The model: learned positions, an untied read-out, no bias."""

    def __init__(self, width: int, depth: int, heads: int, vocab: int, context: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab, width)
        self.positions = torch.nn.Embedding(context, width)
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_norm, self.readout = _layer_norm(width), _linear(width, vocab)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens -> logits."""
        x = self.embedding(tokens) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return self.readout(self.final_norm(x))

    def take(self, params: Any) -> None:
        """Takes the parameters of a `Transformer` of the same shape."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                first, *rest = name.removesuffix(".weight").split(".")
                leaf = params["blocks"][rest[1]][int(rest[0])] if rest else params[first]
                leaf = np.asarray(leaf)
                is_product = leaf.ndim == 2 and first not in ("embedding", "positions")
                weight.copy_(torch.tensor(leaf.T if is_product else leaf))
