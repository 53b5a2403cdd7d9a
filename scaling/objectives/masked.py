"""Prediction of hidden tokens from all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from jaxtyping import Int

from scaling.fields import Range
from scaling.models.family import Visibility
from scaling.objectives.objective import Examples, Objective, SpecialTokens, drawn_places

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class Masked(Objective):
    """Predicts tokens that a mask hides, from all others on both sides.

    This is the masked language model of Devlin et al. 2018 (arXiv 1810.04805, section 3.1), but
    that every chosen token is hidden: none is replaced by another or left. Which are hidden is
    drawn anew for every sequence and step; their number is the same.

    Attributes:
        rate: Share of the tokens that are hidden and predicted.
    """

    kind: ClassVar[str] = "masked"
    rate: Annotated[float, Range(low=0, high=1, low_excluded=True, high_excluded=True)] = 0.15

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """Every position sees all others."""
        return ("full",)

    def n_predicted(self, context: int) -> float:
        """Hidden tokens of a sequence, at least one."""
        return self._n_hidden(context)

    def n_special(self, context: int) -> int:
        """The mask."""
        del context
        return 1

    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """Targets are the first tokens of a window themselves; hidden ones alone count."""
        import jax.numpy as jnp

        assert key is not None
        tokens, context = windows[:, :-1], windows.shape[1] - 1
        hidden = drawn_places(key, len(tokens), context, self._n_hidden(context))
        inputs = jnp.where(hidden, special.mask, tokens)
        everything = jnp.full(len(tokens), context, jnp.int32)
        return Examples(inputs, tokens, hidden.astype(jnp.float32), everything)

    def _n_hidden(self, context: int) -> int:
        return max(1, round(self.rate * context))
