"""The five-layer CNN of Nakkiran et al. 2019 (arXiv 1912.02292), in its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.image_layers import STAGES, Convolution, batch_norm, check_image, conv, read_out
from scaling.models.image_shape import image_shape

if TYPE_CHECKING:
    from flax import nnx

    from scaling.model import Model


@dataclass(frozen=True, kw_only=True)
class ImageCNN(Checked, Family):
    """Four blocks of convolution, batch norm, ReLU and max-pooling, and a linear read-out.

    The blocks have k, 2k, 4k and 8k channels for a `width` of k, windows of 3 x 3, and pool over 1,
    2, 2 and the rest (8 on CIFAR).
    """

    kind: ClassVar[str] = "image_cnn"
    width: Count

    def check(self, n_inputs: int) -> None:
        """Refuses inputs that are no image which can be halved three times."""
        check_image(n_inputs)

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, n_outputs)."""
        from flax import nnx

        from scaling.model import from_nnx

        shape = image_shape(n_inputs)
        convolutions = self._convolutions(n_inputs)
        side = convolutions[-1].side
        pools = (1, 2, 2, side)

        def pool(window: int) -> Any:
            return lambda x: nnx.max_pool(x, (window, window), (window, window))

        def make(rngs: nnx.Rngs) -> nnx.Module:
            layers: list[Any] = [lambda x: x.reshape(len(x), *shape)]
            for each, window in zip(convolutions, pools, strict=True):
                layers += [conv(each, 1, True, rngs), batch_norm(each.fan_out, rngs), nnx.relu]
                layers += [pool(window)] if window > 1 else []
            layers += [
                lambda x: x.reshape(len(x), -1),
                read_out(convolutions[-1].fan_out, n_outputs, rngs),
            ]
            return nnx.Sequential(*layers)

        return from_nnx(make)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        convolutions = self._convolutions(n_inputs)
        return {
            "hidden": sum(each.n_weights + each.fan_out for each in convolutions),
            "norm": sum(2 * each.fan_out for each in convolutions),
            "readout": (STAGES[-1] * self.width + 1) * n_outputs,
        }

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example; padding counts as data."""
        readout = 2 * STAGES[-1] * self.width * n_outputs
        return sum(each.flops for each in self._convolutions(n_inputs)) + readout

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: no gradient of the image is taken."""
        first = self._convolutions(n_inputs)[0]
        return 2 * self.flops_forward(n_inputs, n_outputs) - first.flops

    def _convolutions(self, n_inputs: int) -> list[Convolution]:
        side, _, channels = image_shape(n_inputs)
        widths = [channels, *(stage * self.width for stage in STAGES)]
        sides = (side, side, side // 2, side // 4)
        return [
            Convolution(3, fan_in, fan_out, at)
            for fan_in, fan_out, at in zip(widths[:-1], widths[1:], sides, strict=True)
        ]
