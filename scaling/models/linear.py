"""Linear read-outs of fixed features, and the one of the first coordinates of the input."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Checked, Count
from scaling.models.family import Family

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class LinearReadOut(Checked, Family):
    """A base of families that train a linear read-out of a fixed map and nothing else."""

    n_features: Count

    @property
    def feature_scale(self) -> float:
        """Factor that all features have in common, in which nested models may differ."""
        return 1.0

    @abstractmethod
    def feature_map(self, n_inputs: int) -> Model:
        """The map whose outputs, (batch, n_features), are read out."""

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The trainable model: its fixed map takes no gradient, its read-out starts at zero."""
        import jax
        import jax.numpy as jnp

        from scaling.model import Model

        features = self.feature_map(n_inputs)

        def init(key: Array) -> Params:
            readout = jnp.zeros((self.n_features, n_outputs))
            return {"features": features.init(key), "readout": readout}

        def apply(params: Params, x: Array) -> Array:
            fixed = jax.lax.stop_gradient(params["features"])
            return features.apply(fixed, x) @ params["readout"]

        return Model(init, apply)

    def count_trainable(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters that training changes: the read-out."""
        return self.n_features * n_outputs

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: the gradient of the read-out alone."""
        return 2 * self.n_features * n_outputs


@dataclass(frozen=True, kw_only=True)
class Linear(LinearReadOut):
    """y = x[:n_features] W, without a bias.

    With fewer features than the data have dimensions the model is misspecified: the coordinates
    that it does not see act as noise (Hastie et al., arXiv 1903.08560, section 5.1).
    """

    kind: ClassVar[str] = "linear"

    def check(self, n_inputs: int) -> None:
        """Refuses more features than the input has coordinates."""
        if self.n_features > n_inputs:
            raise ValueError(
                f"model.n_features = {self.n_features} exceeds the {n_inputs} inputs of the data: "
                "give fewer"
            )

    def feature_map(self, n_inputs: int) -> Model:
        """The map to the first coordinates, (batch, n_inputs) -> (batch, n_features)."""
        from scaling.model import Model

        return Model(init=lambda key: {}, apply=lambda params, x: x[:, : self.n_features])

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        return {"readout": self.n_features * n_outputs}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one forward pass, an example."""
        return 2 * self.n_features * n_outputs
