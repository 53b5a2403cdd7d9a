"""Families of tokens as one would write them in flax.linen, and our parameters in their places.

`train_step.py --families` steps them from Python beside the trainer of this project.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from scaling.models.convolutional import KERNEL, Convolutional
from scaling.models.gru import GRU
from scaling.models.lstm import FORGET_BIAS, LSTM
from scaling.models.min_gru import GATE_BIASES, MinGRU
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.neural_ngram import NeuralNGram

Params = Any
HEAD_SIZE = 16


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


class Experts(nn.Module):
    """A switch layer by one-hot dispatch, as in Fedus et al. 2021, appendix F; sows its balance."""

    ours: MixtureOfExperts

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        n, width = self.ours.n_experts, x.shape[-1]
        rows = x.reshape(-1, width)
        places = math.ceil(self.ours.capacity_factor * len(rows) / n)
        chances = nn.softmax(nn.Dense(n, use_bias=False)(rows))
        chosen = jax.nn.one_hot(jnp.argmax(chances, axis=-1), n)
        balance = n * jnp.sum(chosen.mean(axis=0) * chances.mean(axis=0))
        self.sow("losses", "balance", self.ours.balance * balance)
        place = jnp.sum(jnp.cumsum(chosen, axis=0) * chosen, axis=-1) - 1
        sent_to = jnp.einsum("tn,tc->tnc", chosen, jax.nn.one_hot(place, places))
        sent = jnp.einsum("tnc,td->ncd", sent_to, rows)
        normal = nn.initializers.normal()
        into = self.param("into", normal, (n, width, 4 * width))
        out = self.param("out", normal, (n, 4 * width, width))
        hidden = nn.gelu(jnp.einsum("ncd,ndf->ncf", sent, into))
        made = jnp.einsum("ncf,nfd->ncd", hidden, out)
        gate = n * jnp.max(chances, axis=-1)
        return jnp.einsum("tnc,ncd,t->td", sent_to, made, gate).reshape(x.shape)


class Mixed(nn.Module):
    """Attention, and experts."""

    ours: MixtureOfExperts

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        mask, heads = nn.make_causal_mask(x[..., 0]), self.ours.sizes.heads
        attention = nn.MultiHeadDotProductAttention(heads, use_bias=False)
        x = x + attention(nn.RMSNorm()(x), mask=mask)
        return x + Experts(self.ours)(nn.RMSNorm()(x))


class Network(nn.Module):
    """Embedding, blocks, read-out; `order` above 1 joins the embeddings of the last tokens.

    `positions` above 0 are learned.
    """

    vocab: int
    width: int
    blocks: tuple[Callable[[], nn.Module], ...]
    order: int = 1
    positions: int = 0

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Tokens -> logits."""
        x = nn.Embed(self.vocab, self.width)(tokens)
        if self.positions:
            x = x + nn.Embed(self.positions, self.width)(jnp.arange(tokens.shape[1]))
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
        positions: As there.
    """

    ours: Any
    name: str
    block: Callable[[int], Callable[[], nn.Module]]
    mapped: Callable[[Params], Params]
    order: int = 1
    positions: int = 0

    def network(self, vocab: int) -> Network:
        """The whole network."""
        blocks = tuple(self.block(i) for i in range(self.ours.depth))
        return Network(vocab, self.ours.width, blocks, self.order, self.positions)

    def params(self, params: Params) -> Params:
        """Our parameters where the network keeps them."""
        blocks = params["blocks"]
        named = {
            f"{self.name}_{i}": self.mapped({key: leaf[i] for key, leaf in blocks.items()})
            for i in range(self.ours.depth)
        }
        ends = {"Embed_0": {"embedding": params["embedding"]}, "RMSNorm_0": _scale(params, "final")}
        if "positions" in params:
            ends["Embed_1"] = {"embedding": params["positions"]}
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


def attention(layer: Params, head_size: int) -> Params:
    """Parameters of the attention of a Transformer's block where linen keeps them."""
    width = len(layer["qkv"])
    heads = (width // head_size, head_size)
    named = {
        name: {"kernel": part.reshape(width, *heads)}
        for name, part in zip(
            ("query", "key", "value"), jnp.split(layer["qkv"], 3, axis=1), strict=True
        )
    }
    return named | {"out": {"kernel": layer["attention_out"].reshape(*heads, width)}}


def _mixture(layer: Params) -> Params:
    return {
        "RMSNorm_0": _scale(layer, "attention"),
        "MultiHeadDotProductAttention_0": attention(layer, HEAD_SIZE),
        "RMSNorm_1": _scale(layer, "ff"),
        "Experts_0": {
            "into": layer["ff_in"],
            "out": layer["ff_out"],
            **_kernels(Dense_0=layer["router"]),
        },
    }


def families(width: int, context: int) -> list[Plain]:
    """Two layers of every family at a width."""
    size = {"width": width, "depth": 2}
    mixture = MixtureOfExperts(
        **size, head_size=HEAD_SIZE, positions="learned", activation="gelu", expansion=8
    )
    return [
        Plain(
            LSTM(**size), "Recurrent",
            lambda _: lambda: Recurrent(nn.OptimizedLSTMCell), _lstm,
        ),
        Plain(GRU(**size), "Recurrent", lambda _: lambda: Recurrent(nn.GRUCell), _gru),
        Plain(MinGRU(**size), "Minimal", lambda _: Minimal, _min_gru),
        Plain(Convolutional(**size), "Gated", lambda i: lambda: Gated(2**i), _convolution),
        Plain(NeuralNGram(**size), "FeedForward", lambda _: FeedForward, _feed_forward, order=8),
        Plain(
            mixture, "Mixed", lambda _: lambda: Mixed(mixture), _mixture, positions=context,
        ),
    ]  # fmt: skip
