"""Units of loss and ways to count parameters and compute, converted into each other.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| C | FLOPs of training, a multiply-add counting two, forward and backward | FLOPs |
"""

import math
from dataclasses import dataclass
from typing import Literal

from analysis.errors import nearest_name
from analysis.guards import positive
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN

LossUnit = Literal["nats/token", "bits/token", "nats/byte", "bits/byte"]
Count = Literal["total", "non_embedding", "matmul"]

LOSS_UNITS: tuple[LossUnit, ...] = ("nats/token", "bits/token", "nats/byte", "bits/byte")
COUNTS: tuple[Count, ...] = ("total", "non_embedding", "matmul")


def convert_loss(
    value: float, given: LossUnit, wanted: LossUnit, bytes_per_token: float | None = None
) -> float:
    """Returns a loss in another unit.

    Args:
        value: The loss.
        given: Its unit.
        wanted: The unit to turn it into.
        bytes_per_token: Bytes of text a token of the tokenizer stands for, on the text of the
            loss; None where both units are of the same kind.

    Raises:
        ValueError: An unknown unit; a loss per token beside one per byte without
            `bytes_per_token`.
    """
    for unit in (given, wanted):
        if unit not in LOSS_UNITS:
            raise ValueError(f"{unit!r} is no unit of loss: {nearest_name(unit, LOSS_UNITS)}")
    (of, per), (to, each) = given.split("/"), wanted.split("/")
    if of != to:
        value = value / math.log(2) if to == "bits" else value * math.log(2)
    if per == each:
        return value
    if bytes_per_token is None:
        raise ValueError(
            f"a loss in {given} and one in {wanted} do not compare without the bytes that a token "
            "stands for: give bytes_per_token, e.g. 4.0"
        )
    factor = float(positive("bytes_per_token", bytes_per_token, "give e.g. 4.0"))
    return value / factor if each == "byte" else value * factor


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder-only Transformer, as far as counts need it.

    Attributes:
        layers: Blocks, each of 12 width^2 weights: four of attention, eight of the feed-forward
            layer.
        width: Width of the residual stream.
        vocabulary: Tokens known.
        context: Positions; those that are learned count as an embedding.
        tied: Whether the read-out shares the token embedding.
        learned_positions: Whether positions have an embedding.
    """

    layers: int
    width: int
    vocabulary: int
    context: int
    tied: bool = True
    learned_positions: bool = False

    @property
    def blocks(self) -> float:
        """Weights of the blocks: N without embeddings, as Kaplan et al. count."""
        return 12.0 * self.layers * self.width**2

    def parameters(self, count: Count) -> float:
        """Returns N by one way to count.

        `total` counts embeddings and read-out, `non_embedding` the blocks alone, and `matmul` the
        blocks and the read-out, which are what matrix products pass through. Biases and gains,
        below a thousandth, are left out.
        """
        if count not in COUNTS:
            raise ValueError(f"{count!r} is no way to count N: {nearest_name(count, COUNTS)}")
        table = float(self.vocabulary * self.width)
        positions = float(self.context * self.width) if self.learned_positions else 0.0
        return {
            "non_embedding": self.blocks,
            "matmul": self.blocks + table,
            "total": self.blocks + table + positions + (0.0 if self.tied else table),
        }[count]

    def convert(self, n: float, given: Count, wanted: Count) -> float:
        """Returns a count of this shape's parameters by another way, from one of them."""
        return n + self.parameters(wanted) - self.parameters(given)

    def flops_per_token(self) -> float:
        """Returns FLOPs of training on a token: 6 for each matmul weight, and those of attention.

        Scores and their use take 2 * 2 * context * width a layer forward, three times that with
        the backward pass, without the saving of a causal mask: Kaplan et al. 2020, arXiv
        2001.08361, table 1.
        """
        attention = 12.0 * self.layers * self.context * self.width
        return FLOPS_PER_PARAMETER_AND_TOKEN * self.parameters("matmul") + attention

    def exact_flops(self, six_n_d: float, count: Count = "total") -> float:
        """Returns C as counted exactly, from 6 N D with N counted one way."""
        simple = FLOPS_PER_PARAMETER_AND_TOKEN * self.parameters(count)
        return six_n_d * (self.flops_per_token() / simple)

    def six_n_d(self, exact_flops: float, count: Count = "total") -> float:
        """Returns 6 N D, with N counted one way, from C as counted exactly."""
        simple = FLOPS_PER_PARAMETER_AND_TOKEN * self.parameters(count)
        return exact_flops / (self.flops_per_token() / simple)
