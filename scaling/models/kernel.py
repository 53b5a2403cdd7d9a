"""Kernels in closed form: what random features tend to as their number grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from scaling.fields import Checked, Positive
from scaling.models.family import Family

if TYPE_CHECKING:
    from scaling.model import Model

Inputs = Float[np.ndarray, "_ dimension"]


@dataclass(frozen=True, kw_only=True)
class Kernel(Checked, Family):
    """Kernel regression: a sum of kernels about the training examples, solved in closed form.

    With z = |x - x'| / length, or x and x' divided by length,

    - "rbf": exp(-z^2 / 2), the limit of Fourier features of weight_scale 1 / length
      (Rahimi & Recht 2007);
    - "laplace": exp(-z);
    - "arc_cosine": |x| |x'| (sin t + (pi - t) cos t) / pi with t the angle between x and x', the
      arc-cosine kernel of degree 1 and the limit of ReLU features (Cho & Saul 2009, equation 6).

    It has a coefficient for each training example and output, which `count_params` leaves out: the
    family does not know how many examples there are.
    """

    kind: ClassVar[str] = "kernel"
    kernel: Literal["rbf", "laplace", "arc_cosine"] = "rbf"
    length: Positive = 1.0

    def gram(self, left: Inputs, right: Inputs) -> Float[np.ndarray, "_ _"]:
        """The kernel between two sets of inputs, (m, dimension) and (n, dimension): (m, n)."""
        a, b = left / self.length, right / self.length
        products = a @ b.T
        squares = np.sum(a**2, axis=1)[:, None], np.sum(b**2, axis=1)[None]
        if self.kernel == "arc_cosine":
            norms = np.sqrt(squares[0] * squares[1])
            cosine = np.divide(products, norms, out=np.ones_like(norms), where=norms > 0)
            cosine = np.clip(cosine, -1, 1)
            angle = np.arccos(cosine)
            return norms / np.pi * (np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine)
        distance2 = np.maximum(squares[0] + squares[1] - 2 * products, 0)
        if self.kernel == "rbf":
            return np.exp(-distance2 / 2)
        return np.exp(-np.sqrt(distance2))

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """Refuses to: its parameters are the training examples.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "model.kind = 'kernel' has no parameters that gradients could train: use train.kind = "
            "'ridge' or 'ridgeless'"
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group: none but the coefficients of the training examples."""
        return {}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one forward pass for each training example that it sums over."""
        return 2 * (n_inputs + n_outputs)
