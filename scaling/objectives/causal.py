"""Prediction of each token from those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Int

from scaling.models.family import Visibility
from scaling.objectives.objective import Examples, Objective, SpecialTokens

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class Causal(Objective):
    """Predicts every token from those before it, as GPT does (Radford et al. 2018)."""

    kind: ClassVar[str] = "causal"
    draws: ClassVar[bool] = False

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """No position sees a later one."""
        return ("causal",)

    def n_predicted(self, context: int) -> float:
        """Every position predicts."""
        return context

    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """Targets are the inputs moved by one."""
        del key, special
        return Examples(windows[:, :-1], windows[:, 1:])


CAUSAL = Causal()
"""The objective of a run that names none."""
