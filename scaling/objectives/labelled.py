"""Prediction of the label that ends an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Int

from scaling.models.family import Visibility
from scaling.objectives.objective import Examples, Objective, SpecialTokens

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class Labelled(Objective):
    """Predicts the label of each example, its last token but one, from what is before it.

    This is for data such as `scaling.data.byte_kinds.ByteKinds`. All else is read and not
    predicted, as in the fine-tuning of Radford et al. 2018 without its auxiliary objective.
    """

    kind: ClassVar[str] = "labelled"
    draws: ClassVar[bool] = False

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """No position sees a later one."""
        return ("causal",)

    def n_predicted(self, context: int) -> float:
        """One label a sequence."""
        del context
        return 1

    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """Targets are the inputs moved by one, of which the label counts."""
        import jax.numpy as jnp

        del key, special
        inputs, targets = windows[:, :-1], windows[:, 1:]
        weights = jnp.zeros(inputs.shape, jnp.float32).at[:, -2].set(1.0)
        return Examples(inputs, targets, weights)
