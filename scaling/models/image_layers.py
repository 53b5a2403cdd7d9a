"""Layers of the image networks of Nakkiran et al. 2019, and what they cost.

Source: arXiv 1912.02292, appendix B.1. Weights start as PyTorch draws them by default. Batches are
normalised by their own statistics in training, and by running ones in evaluation, which move a
tenth of the way at every step; they are no parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaling.models.image_shape import image_shape

if TYPE_CHECKING:
    from flax import nnx

STAGES = (1, 2, 4, 8)
"""Channels of the stages of both networks, over the width."""

_MOMENTUM = 0.9
_SMALLEST = 8
"""Side of the smallest image: each network halves it three times."""


class Convolution(NamedTuple):
    """A convolution of square windows: its window, channels in and out, side of what it gives."""

    window: int
    fan_in: int
    fan_out: int
    side: int

    @property
    def n_weights(self) -> int:
        """Weights, without a bias."""
        return self.window**2 * self.fan_in * self.fan_out

    @property
    def flops(self) -> int:
        """FLOPs of one forward pass, an example; padding counts as data."""
        return 2 * self.side**2 * self.n_weights


def check_image(n_inputs: int) -> None:
    """Refuses inputs that are no image which can be halved three times."""
    side, _, _ = image_shape(n_inputs)
    if side % _SMALLEST:
        raise ValueError(
            f"images of {side} x {side} pixels cannot be halved three times: give a side that is a "
            f"multiple of {_SMALLEST}, such as data.dataset = 'cifar10'"
        )


def conv(convolution: Convolution, stride: int, bias: bool, rngs: nnx.Rngs) -> nnx.Conv:
    """A convolution that keeps the side of an image, or divides it by the stride."""
    from flax import nnx

    from scaling.models.convolution import convolution as convolve
    from scaling.models.initial import torch_default

    window = convolution.window
    return nnx.Conv(
        convolution.fan_in,
        convolution.fan_out,
        (window, window),
        stride,
        padding=window // 2,
        use_bias=bias,
        conv_general_dilated=convolve,
        rngs=rngs,
        **torch_default(window**2 * convolution.fan_in),
    )


def batch_norm(n_channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """A normalisation of channels."""
    from flax import nnx

    return nnx.BatchNorm(n_channels, momentum=_MOMENTUM, rngs=rngs)


def read_out(n_features: int, n_outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """The linear read-out."""
    from flax import nnx

    from scaling.models.initial import torch_default

    return nnx.Linear(n_features, n_outputs, rngs=rngs, **torch_default(n_features))
