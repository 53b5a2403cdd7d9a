"""ResNet18 with normalisation before convolutions, in its width: the network of Nakkiran et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.image_layers import STAGES, Convolution, batch_norm, check_image, conv, read_out
from scaling.models.image_shape import image_shape

if TYPE_CHECKING:
    from flax import nnx

    from scaling.model import Model


class ResidualBlock(NamedTuple):
    """A residual block: its two convolutions, the one beside them if any, and its stride."""

    first: Convolution
    second: Convolution
    beside: Convolution | None
    stride: int

    @property
    def convolutions(self) -> list[Convolution]:
        """All convolutions of the block."""
        return [self.first, self.second, *([self.beside] if self.beside else [])]


@dataclass(frozen=True, kw_only=True)
class PreActResNet18(Checked, Family):
    """ResNet18 with normalisation before convolutions, of k, 2k, 4k and 8k channels.

    Eight blocks (He et al. 2016, arXiv 1603.05027), two a stage, without biases; the first of the
    later stages halves the image. The mean over the image is read out. `width` is k; ResNet18
    itself has 64.
    """

    kind: ClassVar[str] = "preact_resnet18"
    width: Count

    def check(self, n_inputs: int) -> None:
        """Refuses inputs that are no image which can be halved three times."""
        check_image(n_inputs)

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        import jax.numpy as jnp
        from flax import nnx
        from jaxtyping import Array

        from scaling.model import from_nnx

        shape, blocks, stem = image_shape(n_inputs), self._blocks(n_inputs), self._stem(n_inputs)

        class Block(nnx.Module):
            def __init__(self, block: ResidualBlock, rngs: nnx.Rngs) -> None:
                first, second, beside, stride = block
                self.first_norm, self.second_norm = (
                    batch_norm(each.fan_in, rngs) for each in (first, second)
                )
                self.first = conv(first, stride, False, rngs)
                self.second = conv(second, 1, False, rngs)
                self.beside = conv(beside, stride, False, rngs) if beside else None

            def __call__(self, x: Array) -> Array:
                y = nnx.relu(self.first_norm(x))
                kept = x if self.beside is None else self.beside(y)
                y = self.first(y)
                return kept + self.second(nnx.relu(self.second_norm(y)))

        def make(rngs: nnx.Rngs) -> nnx.Module:
            return nnx.Sequential(
                lambda x: x.reshape(len(x), *shape),
                conv(stem, 1, False, rngs),
                *(Block(block, rngs) for block in blocks),
                lambda x: jnp.mean(x, axis=(1, 2)),
                read_out(blocks[-1].second.fan_out, n_outputs, rngs),
            )

        return from_nnx(make)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        norms = [each.fan_in for block in self._blocks(n_inputs) for each in block[:2]]
        return {
            "hidden": sum(each.n_weights for each in self._convolutions(n_inputs)),
            "norm": 2 * sum(norms),
            "readout": (STAGES[-1] * self.width + 1) * n_outputs,
        }

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example; padding counts as data."""
        readout = 2 * STAGES[-1] * self.width * n_outputs
        return sum(each.flops for each in self._convolutions(n_inputs)) + readout

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: no gradient of the image is taken."""
        return 2 * self.flops_forward(n_inputs, n_outputs) - self._stem(n_inputs).flops

    def _stem(self, n_inputs: int) -> Convolution:
        side, _, channels = image_shape(n_inputs)
        return Convolution(3, channels, self.width, side)

    def _blocks(self, n_inputs: int) -> list[ResidualBlock]:
        side, fan_in = image_shape(n_inputs)[0], self.width
        blocks = []
        for number in range(2 * len(STAGES)):
            fan_out = STAGES[number // 2] * self.width
            stride = 2 if fan_out > fan_in else 1
            side //= stride
            changed = Convolution(1, fan_in, fan_out, side) if stride > 1 else None
            first, second = (Convolution(3, each, fan_out, side) for each in (fan_in, fan_out))
            blocks.append(ResidualBlock(first, second, changed, stride))
            fan_in = fan_out
        return blocks

    def _convolutions(self, n_inputs: int) -> list[Convolution]:
        within = [each for block in self._blocks(n_inputs) for each in block.convolutions]
        return [self._stem(n_inputs), *within]
