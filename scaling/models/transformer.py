"""Decoder-only Transformer: pre-norm residual blocks of causal attention and feed-forward layers.

The configuration, what it counts and what it costs; `transformer_apply` holds the computation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from scaling.fields import Checked, Count, Decay
from scaling.models.architecture import Architecture
from scaling.models.family import Family
from scaling.models.parametrization import Parameter, Parametrization, Role, Rule, Standard, Tree

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


class Sizes(NamedTuple):
    """Sizes that a configuration may leave open, filled in."""

    heads: int
    kv_heads: int
    head_size: int
    ff_width: int


@dataclass(frozen=True, kw_only=True)
class Transformer(Checked, Family):
    """Maps tokens (batch, context) to logits (batch, context, vocabulary) of the token after each.

    x = embedding[tokens] (+ learned positions); in each block x += attention(norm(x)), then
    x += feed_forward(norm(x)); logits = norm(x) @ readout. No layer has a bias (Chowdhery et al.
    2022, arXiv 2204.02311, section 2).

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

    kind: ClassVar[str] = "transformer"
    takes_tokens: ClassVar[bool] = True
    takes_segments: ClassVar[bool] = True
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
    def architecture(self) -> Architecture:
        """Sizes, choices and multipliers that the computation depends on."""
        heads, kv_heads, head_size, _ = self.sizes
        rule = functools.partial(self.parametrization.rule, width=self.width, depth=self.depth)
        readout = "tied_embedding" if self.tied else "readout"
        return Architecture(
            depth=self.depth,
            heads=heads,
            kv_heads=kv_heads,
            head_size=head_size,
            learned_positions=self.positions == "learned",
            centred_norm=self.norm == "layer",
            gated=self.activation == "swiglu",
            qk_norm=self.qk_norm,
            tied=self.tied,
            dropout=self.dropout,
            attention_scale=self.parametrization.attention_scale(head_size),
            branch_multiplier=rule("branch_out", fan_in=1, in_block=True).output,
            logit_multiplier=rule(readout, fan_in=self.width, in_block=False).output,
            compute_dtype=self.compute_dtype,
            remat=self.remat,
        )

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

        parameters = self.parameters(n_inputs, n_outputs)
        return transformer_apply.build(self.architecture, parameters, self.rule)

    def activations(
        self, params: Params, tokens: Array, *, segments: Array | None = None
    ) -> dict[str, Array]:
        """Output of every part of the model, by name, each (batch, context, features).

        "embedding"; "block_i.attention" and "block_i.feed_forward" as they are added to the
        residual stream, and "block_i.residual" after both; "logits".
        """
        from scaling.models import transformer_apply

        return transformer_apply.activations(self.architecture, params, tokens, segments)

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name; those of blocks are stacked on a first axis of length depth.

        Columns of "qkv" are all query heads, all key heads, all value heads; those of a SwiGLU
        "ff_in" all gates, then all that they gate.
        """
        heads, kv_heads, head_size, ff_width = self.sizes
        width, attended, gated = self.width, heads * head_size, self.activation == "swiglu"

        def matrix(fan_in: int, fan_out: int, role: Role, group: str) -> Parameter:
            return Parameter((self.depth, fan_in, fan_out), role, group, fan_in, in_block=True)

        def gain(size: int) -> Parameter:
            return Parameter((self.depth, size), "gain", "norm", 1, in_block=True)

        blocks = {
            "attention_norm": gain(width),
            "qkv": matrix(width, attended + 2 * kv_heads * head_size, "hidden", "attention"),
            "attention_out": matrix(attended, width, "branch_out", "attention"),
            "ff_norm": gain(width),
            "ff_in": matrix(width, (1 + gated) * ff_width, "hidden", "feed_forward"),
            "ff_out": matrix(ff_width, width, "branch_out", "feed_forward"),
        }
        if self.qk_norm:
            blocks |= {"query_norm": gain(head_size), "key_norm": gain(head_size)}
        embedding: Role = "tied_embedding" if self.tied else "embedding"
        tree: dict[str, Any] = {
            "embedding": Parameter((n_outputs, width), embedding, "embedding", 1),
            "blocks": blocks,
            "final_norm": Parameter((width,), "gain", "norm", 1),
        }
        if self.positions == "learned":
            tree["positions"] = Parameter((n_inputs, width), "embedding", "embedding", 1)
        if not self.tied:
            tree["readout"] = Parameter((width, n_outputs), "readout", "readout", width)
        return tree

    def rule(self, parameter: Parameter) -> Rule:
        """Rule by which a parameter is drawn, multiplied and trained."""
        return self.parametrization.rule(
            parameter.role, parameter.fan_in, parameter.in_block, self.width, self.depth
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; learned positions count as embedding, a tied read-out as 0."""
        counts: dict[str, int] = dict.fromkeys(
            ("embedding", "attention", "feed_forward", "norm", "readout"), 0
        )
        for parameter in _leaves(self.parameters(n_inputs, n_outputs)):
            counts[parameter.group] += math.prod(parameter.shape)
        return counts

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


def _leaves(tree: Tree) -> Iterator[Parameter]:
    for entry in tree.values():
        if isinstance(entry, Parameter):
            yield entry
        else:
            yield from _leaves(entry)
