"""A reward model: one network that gives each of two responses its reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scaling.fields import Checked, Count
from scaling.models.family import Family
from scaling.models.mlp import MLP

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class RewardModel(Checked, Family):
    """A perceptron from a response to a reward, applied to each of two with the same weights.

    An input is two responses of equal size, one after the other; the outputs are their rewards, so
    that cross-entropy is the likelihood of Bradley and Terry.

    Attributes:
        width: Units of each hidden layer.
        depth: Number of hidden layers.
    """

    kind: ClassVar[str] = "reward_model"
    width: Count
    depth: Count = 1

    def check(self, n_inputs: int) -> None:
        """Refuses an input that is not two responses."""
        if n_inputs % 2:
            raise ValueError(
                f"model.kind = 'reward_model' takes two responses, and {n_inputs} inputs are odd: "
                "use data.kind = 'preferences'"
            )

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model, (batch, n_inputs) -> (batch, 2)."""
        from scaling.model import Model

        one = self._of_one.build(n_inputs // 2, 1)

        def apply(params: Params, inputs: Array) -> Array:
            responses = inputs.reshape(-1, n_inputs // 2)
            return one.apply(params, responses).reshape(-1, 2)

        return Model(one.init, apply)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group."""
        return self._of_one.count_params(n_inputs // 2, 1)

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example."""
        return 2 * self._of_one.flops_forward(n_inputs // 2, 1)

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example."""
        return 2 * self._of_one.flops_backward(n_inputs // 2, 1)

    @property
    def _of_one(self) -> MLP:
        return MLP(width=self.width, depth=self.depth)
