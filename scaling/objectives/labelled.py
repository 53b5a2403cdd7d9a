"""Prediction of the label that ends an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from jaxtyping import Int

from scaling.fields import Newer
from scaling.models.family import Visibility
from scaling.objectives.objective import Examples, Objective, SpecialTokens

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class Labelled(Objective):
    """Predicts the label of each example, its last token but one, from what is before it.

    This is for data such as `scaling.data.byte_kinds.ByteKinds`. All else is read and not
    predicted, as in the fine-tuning of Radford et al. 2018 without its auxiliary objective. The
    share of held-out labels that are predicted wrongly is the `eval_error` of a run.

    Attributes:
        view: What positions before the label see: "causal" what came before them, "full" each
            other, as models that were trained to fill in do. None sees the label.
    """

    kind: ClassVar[str] = "labelled"
    draws: ClassVar[bool] = False
    predicts_labels: ClassVar[bool] = True
    view: Annotated[Literal["causal", "full"], Newer()] = "causal"

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """All before the label is a prefix that sees itself, or no position sees a later one."""
        return ("prefix",) if self.view == "full" else ("causal",)

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
        if self.view == "causal":
            return Examples(inputs, targets, weights)
        # The label is the last input, and what follows it does not count.
        return Examples(inputs, targets, weights, jnp.full(len(inputs), inputs.shape[1] - 1))
