"""Several objectives at once, a sequence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Int

from scaling.fields import Positive
from scaling.models.family import Visibility
from scaling.objectives.causal import Causal
from scaling.objectives.masked import Masked
from scaling.objectives.objective import Examples, Objective, SpecialTokens
from scaling.objectives.prefix import Prefix
from scaling.objectives.span import Span

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class Mixture(Objective):
    """Draws the objective of every sequence, as UL2 does (Tay et al. 2022, arXiv 2205.05131).

    Every prediction counts alike, so that an objective that predicts more tokens weighs more.

    Attributes:
        parts: The objectives.
        shares: How often each is drawn, relative to the others.
    """

    kind: ClassVar[str] = "mixture"
    parts: tuple[Causal | Prefix | Masked | Span, ...]
    shares: tuple[Positive, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or len(self.parts) != len(self.shares):
            raise ValueError(
                f"mixture.shares has {len(self.shares)} numbers for {len(self.parts)} parts: give "
                "one for each objective, and at least one objective"
            )

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """Visibilities that any of the objectives needs."""
        return tuple(sorted({needed for part in self.parts for needed in part.visibilities}))

    def n_predicted(self, context: int) -> float:
        """Mean predictions of a sequence over the objectives that are drawn."""
        each = zip(self.parts, self.shares, strict=True)
        return sum(part.n_predicted(context) * share for part, share in each) / sum(self.shares)

    def n_special(self, context: int) -> int:
        """Tokens of the objective that has most: they are in one order for all."""
        return max(part.n_special(context) for part in self.parts)

    def check(self, context: int) -> None:
        """Refuses a context that one of the objectives refuses."""
        for part in self.parts:
            part.check(context)

    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """Every sequence is an example of one objective."""
        import jax
        import jax.numpy as jnp

        assert key is not None
        choosing, *keys = jax.random.split(key, 1 + len(self.parts))
        odds = jnp.log(jnp.array(self.shares))
        drawn = jax.random.categorical(choosing, odds, shape=(len(windows),))
        found = [
            _filled(part.examples(windows, own, special))
            for part, own in zip(self.parts, keys, strict=True)
        ]
        return jax.tree.map(lambda *each: jnp.stack(each)[drawn, jnp.arange(len(drawn))], *found)


def _filled(examples: Examples) -> Examples:
    """Examples whose weights and visible positions are numbers."""
    import jax.numpy as jnp

    inputs, targets, weights, visible = examples
    if weights is None:
        weights = jnp.ones(inputs.shape, jnp.float32)
    if visible is None:
        visible = jnp.zeros(len(inputs), jnp.int32)
    return Examples(inputs, targets, weights, visible)
