"""Prediction of the rest of a sequence from a beginning that is seen from both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from jaxtyping import Int

from scaling.fields import Range
from scaling.models.family import Visibility
from scaling.objectives.objective import Examples, Objective, SpecialTokens

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class Prefix(Objective):
    """Predicts what follows a prefix, whose positions see each other, token by token.

    This is the prefix language model, or non-causal decoder, of Raffel et al. 2019 (arXiv
    1910.10683, section 3.2.1) and Wang et al. 2022 (arXiv 2204.05832). Predictions within the
    prefix do not count.

    Attributes:
        share: Share of the context that is prefix. None draws its length for each sequence,
            uniform from 1 to the context.
    """

    kind: ClassVar[str] = "prefix"
    share: Annotated[float, Range(low=0, high=1, low_excluded=True)] | None = None

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """The prefix sees itself."""
        return ("prefix",)

    def n_predicted(self, context: int) -> float:
        """The last of a prefix of p tokens predicts, and so do all after it: context - p + 1."""
        if self.share is None:
            return (context + 1) / 2
        return context - self._length(context) + 1

    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """Inputs and targets of causal prediction, of which those beyond the prefix count."""
        import jax
        import jax.numpy as jnp

        del special
        batch, context = windows.shape[0], windows.shape[1] - 1
        if self.share is None:
            assert key is not None
            visible = jax.random.randint(key, (batch,), 1, context + 1)
        else:
            visible = jnp.full((batch,), self._length(context), jnp.int32)
        weights = jnp.arange(context)[None] >= visible[:, None] - 1
        return Examples(windows[:, :-1], windows[:, 1:], weights.astype(jnp.float32), visible)

    def _length(self, context: int) -> int:
        return max(1, round((self.share or 0) * context))
