"""The convolutional network of MNIST-1D's notebook on double descent, in its number of channels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from scaling.fields import Checked, Count
from scaling.models.family import Family

if TYPE_CHECKING:
    import jax
    from flax import nnx

    from scaling.model import Model

_KERNELS = (5, 3, 3)
_STRIDE, _PADDING = 2, 1


class _Layer(NamedTuple):
    """A convolution: size of its window, channels in and out, and places at which it is applied."""

    kernel: int
    fan_in: int
    fan_out: int
    places: int

    @property
    def n_weights(self) -> int:
        return self.kernel * self.fan_in * self.fan_out


@dataclass(frozen=True, kw_only=True)
class CNN1D(Checked, Family):
    """Three ReLU convolutions of `width` channels along a signal, and a linear read-out of all.

    Windows of 5, 3 and 3 points, strides of 2, a zero at either end; biases everywhere; PyTorch's
    initial weights. Source: Greydanus & Kobak 2024 (arXiv 2011.14439), notebook "deep double
    descent".
    """

    kind: ClassVar[str] = "cnn_1d"
    width: Count

    def check(self, n_inputs: int) -> None:
        """Refuses signals that are too short for the windows."""
        if n_inputs + 2 * _PADDING < _KERNELS[0]:
            raise ValueError(
                f"model.kind = {self.kind!r} takes signals of at least "
                f"{_KERNELS[0] - 2 * _PADDING} points, and the data have {n_inputs}: use "
                "model.kind = 'mlp'"
            )

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        from flax import nnx

        from scaling.model import from_nnx
        from scaling.models.convolution import convolution
        from scaling.models.initial import torch_default

        layers = self._layers(n_inputs)

        def as_signal(x: jax.Array) -> jax.Array:
            return x[..., None]

        def flat(x: jax.Array) -> jax.Array:
            return x.reshape(len(x), -1)

        def make(rngs: nnx.Rngs) -> nnx.Module:
            convolutions = (
                nnx.Conv(
                    layer.fan_in,
                    layer.fan_out,
                    (layer.kernel,),
                    _STRIDE,
                    padding=_PADDING,
                    conv_general_dilated=convolution,
                    rngs=rngs,
                    **torch_default(layer.kernel * layer.fan_in),
                )
                for layer in layers
            )
            activated = itertools.chain.from_iterable((each, nnx.relu) for each in convolutions)
            size = self.width * layers[-1].places
            last = nnx.Linear(size, n_outputs, rngs=rngs, **torch_default(size))
            return nnx.Sequential(as_signal, *activated, flat, last)

        return from_nnx(make)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        layers = self._layers(n_inputs)
        hidden = sum(layer.n_weights + layer.fan_out for layer in layers)
        readout = (self.width * layers[-1].places + 1) * n_outputs
        return {"hidden": hidden, "readout": readout}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example; padding counts as data."""
        layers = self._layers(n_inputs)
        hidden = sum(2 * layer.places * layer.n_weights for layer in layers)
        return hidden + 2 * self.width * layers[-1].places * n_outputs

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: no gradient of the signal is taken."""
        first = self._layers(n_inputs)[0]
        return 2 * self.flops_forward(n_inputs, n_outputs) - 2 * first.places * first.n_weights

    def _layers(self, n_inputs: int) -> list[_Layer]:
        channels = itertools.pairwise([1, *[self.width] * len(_KERNELS)])
        layers, places = [], n_inputs
        for kernel, (fan_in, fan_out) in zip(_KERNELS, channels, strict=True):
            places = (places + 2 * _PADDING - kernel) // _STRIDE + 1
            layers.append(_Layer(kernel, fan_in, fan_out, places))
        return layers
