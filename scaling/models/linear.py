"""Linear model on the first coordinates of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Count, check_fields
from scaling.models.family import Family

if TYPE_CHECKING:
    from scaling.model import Model


@dataclass(frozen=True, kw_only=True)
class Linear(Family):
    """y = x[:n_features] W, without a bias.

    With fewer features than the data have dimensions the model is misspecified: the coordinates
    that it does not see act as noise (Hastie et al., arXiv 1903.08560, section 5.1).
    """

    kind: ClassVar[str] = "linear"
    n_features: Count

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, n_inputs: int) -> None:
        """Refuses more features than the input has coordinates."""
        if self.n_features > n_inputs:
            raise ValueError(
                f"model.n_features = {self.n_features} exceeds the {n_inputs} inputs of the data"
            )

    def feature_map(self, n_inputs: int) -> Model:
        """The map whose outputs, (batch, n_features), a linear read-out is fitted to."""
        from scaling.model import Model

        return Model(init=lambda key: {}, apply=lambda params, x: x[:, : self.n_features])

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The trainable model, (batch, n_inputs) -> (batch, n_outputs), from zero weights."""
        import jax.numpy as jnp

        from scaling.model import Model

        return Model(
            init=lambda key: {"readout": jnp.zeros((self.n_features, n_outputs))},
            apply=lambda params, x: x[:, : self.n_features] @ params["readout"],
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        return {"readout": self.n_features * n_outputs}

    def count_trainable(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters that training changes."""
        return self.n_features * n_outputs

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one forward pass, an example."""
        return 2 * self.n_features * n_outputs

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: the gradient of the weights alone."""
        return 2 * self.n_features * n_outputs
