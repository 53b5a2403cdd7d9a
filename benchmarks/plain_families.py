"""Families of tokens as one would write them in flax.linen, and our parameters in their places.

`train_step.py --families` steps them from Python beside the trainer of this project.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from scaling.models.convolutional import KERNEL, Convolutional
from scaling.models.gru import GRU
from scaling.models.lstm import FORGET_BIAS, LSTM
from scaling.models.min_gru import GATE_BIASES, MinGRU
from scaling.models.neural_ngram import NeuralNGram

Params = Any


class Recurrent(nn.Module):
    """A recurrent layer: `cell` over time."""

    cell: Callable[[int], nn.RNNCellBase]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        return x + nn.RNN(self.cell(x.shape[-1]))(nn.RMSNorm()(x))


class FeedForward(nn.Module):
    """A feed-forward layer four times as wide inside."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        hidden = nn.gelu(nn.Dense(4 * x.shape[-1], use_bias=False)(nn.RMSNorm()(x)))
        return x + nn.Dense(x.shape[-1], use_bias=False)(hidden)


class Minimal(nn.Module):
    """A minimal GRU by an associative scan, and a feed-forward layer."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        width, normed = x.shape[-1], nn.RMSNorm()(x)
        gate = nn.Dense(width)(normed) + jnp.linspace(*GATE_BIASES, width)
        z, candidate = nn.sigmoid(gate), nn.Dense(width, use_bias=False)(normed)

        def composed(one: Any, two: Any) -> Any:
            return one[0] * two[0], one[1] * two[0] + two[1]

        _, h = jax.lax.associative_scan(composed, (1 - z, z * candidate), axis=1)
        return FeedForward()(x + nn.Dense(width, use_bias=False)(h))


class Gated(nn.Module):
    """A causal convolution with a gate."""

    apart: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        width = x.shape[-1]
        window = nn.Conv(2 * width, (KERNEL,), padding="CAUSAL", kernel_dilation=self.apart)
        value, gate = jnp.split(window(nn.RMSNorm()(x)), 2, axis=-1)
        return x + nn.Dense(width, use_bias=False)(value * nn.sigmoid(gate))


class Network(nn.Module):
    """Embedding, blocks, read-out; `order` above 1 joins the embeddings of the last tokens."""

    vocab: int
    width: int
    blocks: tuple[Callable[[], nn.Module], ...]
    order: int = 1

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Tokens -> logits."""
        x = nn.Embed(self.vocab, self.width)(tokens)
        if self.order > 1:
            padded = jnp.pad(x, ((0, 0), (self.order - 1, 0), (0, 0)))
            last = [padded[:, k : k + x.shape[1]] for k in range(self.order)]
            x = nn.Dense(self.width, use_bias=False)(jnp.concatenate(last, axis=-1))
        for block in self.blocks:
            x = block()(x)
        return nn.Dense(self.vocab, use_bias=False)(nn.RMSNorm()(x))


class Plain(NamedTuple):
    """A family in flax.linen.

    Attributes:
        ours: Its configuration here.
        name: Name of a block's module.
        block: Makes block number i.
        mapped: Parameters of a block of ours -> those of the module.
        order: As in `Network`.
    """

    ours: Any
    name: str
    block: Callable[[int], Callable[[], nn.Module]]
    mapped: Callable[[Params], Params]
    order: int = 1

    def network(self, vocab: int) -> Network:
        """The whole network."""
        blocks = tuple(self.block(i) for i in range(self.ours.depth))
        return Network(vocab, self.ours.width, blocks, self.order)

    def params(self, params: Params) -> Params:
        """Our parameters where the network keeps them."""
        blocks = params["blocks"]
        named = {
            f"{self.name}_{i}": self.mapped({key: leaf[i] for key, leaf in blocks.items()})
            for i in range(self.ours.depth)
        }
        ends = {"Embed_0": {"embedding": params["embedding"]}, "RMSNorm_0": _scale(params, "final")}
        readout = {"kernel": params["readout"]}
        if "join" in params:
            return named | ends | {"Dense_0": {"kernel": params["join"]}, "Dense_1": readout}
        return named | ends | {"Dense_0": readout}


def _scale(layer: Params, name: str = "") -> Params:
    return {"scale": layer[f"{name}_norm" if name else "norm"]}


def _kernels(**each: jax.Array) -> Params:
    return {name: {"kernel": kernel} for name, kernel in each.items()}


def _lstm(layer: Params) -> Params:
    given, recalled, shift = (
        jnp.split(layer[name], 4, axis=-1) for name in ("input", "recurrent", "bias")
    )
    cell = _kernels(**dict(zip(("ii", "if", "ig", "io"), given, strict=True)))
    for place, name in enumerate(("hi", "hf", "hg", "ho")):
        bias = shift[place] + (FORGET_BIAS if name == "hf" else 0.0)
        cell[name] = {"kernel": recalled[place], "bias": bias}
    return {"RMSNorm_0": _scale(layer), "OptimizedLSTMCell_0": cell}


def _gru(layer: Params) -> Params:
    given, recalled, shift = (
        jnp.split(layer[name], 3, axis=-1) for name in ("input", "recurrent", "bias")
    )
    cell = {
        name: {"kernel": given[i], "bias": shift[i]} for i, name in enumerate(("ir", "iz", "in"))
    }
    cell |= _kernels(hr=recalled[0], hz=recalled[1])
    cell["hn"] = {"kernel": recalled[2], "bias": jnp.zeros_like(shift[2])}
    return {"RMSNorm_0": _scale(layer), "GRUCell_0": cell}


def _feed_forward(layer: Params) -> Params:
    dense = _kernels(Dense_0=layer["ff_in"], Dense_1=layer["ff_out"])
    return {"RMSNorm_0": _scale(layer, "ff"), **dense}


def _min_gru(layer: Params) -> Params:
    gate, candidate = jnp.split(layer["input"], 2, axis=-1)
    return {
        "RMSNorm_0": _scale(layer),
        "Dense_0": {"kernel": gate, "bias": layer["gate_bias"]},
        **_kernels(Dense_1=candidate, Dense_2=layer["out"]),
        "FeedForward_0": _feed_forward(layer),
    }


def _convolution(layer: Params) -> Params:
    window, width = layer["window"], layer["out"].shape[0]
    conv = {"kernel": window.reshape(KERNEL, width, 2 * width), "bias": layer["bias"]}
    return {"RMSNorm_0": _scale(layer), "Conv_0": conv, **_kernels(Dense_0=layer["out"])}


def families(width: int) -> list[Plain]:
    """Two layers of every family at a width."""
    size = {"width": width, "depth": 2}
    return [
        Plain(
            LSTM(**size), "Recurrent",
            lambda _: lambda: Recurrent(nn.OptimizedLSTMCell), _lstm,
        ),
        Plain(GRU(**size), "Recurrent", lambda _: lambda: Recurrent(nn.GRUCell), _gru),
        Plain(MinGRU(**size), "Minimal", lambda _: Minimal, _min_gru),
        Plain(Convolutional(**size), "Gated", lambda i: lambda: Gated(2**i), _convolution),
        Plain(NeuralNGram(**size), "FeedForward", lambda _: FeedForward, _feed_forward, order=8),
    ]  # fmt: skip
