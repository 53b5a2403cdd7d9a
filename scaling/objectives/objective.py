"""What an objective of pre-training offers: a frozen dataclass that turns windows into examples.

An objective may need tokens that no text has. Their numbers follow those of the data, in one order
for all objectives, so that none collides with text and a model moves from one objective to another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from jaxtyping import Bool, Float, Int

from scaling.fields import Checked
from scaling.models.family import Visibility

if TYPE_CHECKING:
    from jax import Array


class Examples(NamedTuple):
    """Sequences as a model is trained on them.

    Attributes:
        inputs: What the model reads.
        targets: What it is to predict at each position.
        weights: What each prediction counts; None where all count alike. The loss of some
            sequences is sum(weights * cross-entropy) / sum(weights).
        visible: First positions of each sequence that see each other. All others see what came
            before them. None where no position sees a later one.
    """

    inputs: Int[Array, "batch context"]
    targets: Int[Array, "batch context"]
    weights: Float[Array, "batch context"] | None = None
    visible: Int[Array, " batch"] | None = None

    def after(self, source: int, parts: int = 1) -> Examples:
        """The examples as an encoder-decoder takes them: it predicts what follows a source.

        Where sequences are divided into parts, each part of the inputs has one of the source, and
        after it one of the target.
        """
        weights = None if self.weights is None else self.weights[:, source:]
        return Examples(_in_parts(self.inputs, source, parts), self.targets[:, source:], weights)


def _in_parts(inputs: Array, source: int, parts: int) -> Array:
    """Inputs in the order of `Examples.after`."""
    import jax.numpy as jnp

    if parts == 1:
        return inputs
    both = (inputs[:, :source], inputs[:, source:])
    divided = [tokens.reshape(len(tokens), parts, -1) for tokens in both]
    return jnp.concatenate(divided, axis=2).reshape(inputs.shape)


class SpecialTokens(NamedTuple):
    """Numbers of the tokens that no text has.

    Attributes:
        first: Number of tokens of the data: text has those below.
    """

    first: int

    @property
    def mask(self) -> int:
        """Number of the token that hides one to be predicted."""
        return self.first

    @property
    def end(self) -> int:
        """Number of the token that ends an answer."""
        return self.first + 1

    @property
    def first_sentinel(self) -> int:
        """Number of the first token that stands for a span; those of later spans follow it."""
        return self.first + 2


class Objective(Checked, ABC):
    """A base of objectives: what follows from the examples that they make.

    Attributes:
        kind: Name of the objective in configurations, tables and named losses.
        draws: Whether its examples are drawn at random, anew at every step.
        predicts_labels: Whether what it predicts is right or wrong, so that errors are measured.
    """

    kind: ClassVar[str]
    draws: ClassVar[bool] = True
    predicts_labels: ClassVar[bool] = False

    @property
    @abstractmethod
    def visibilities(self) -> tuple[Visibility, ...]:
        """Visibilities that a family must offer for the objective."""

    @abstractmethod
    def n_predicted(self, context: int) -> float:
        """Predictions of a sequence that count: their mean number."""

    @abstractmethod
    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """Examples of windows of text, of static shapes (batch, context).

        Args:
            windows: Tokens, one more than the context.
            key: What they are drawn from; None where nothing is drawn.
            special: Numbers of the tokens that no text has.
        """

    def source(self, context: int) -> int | None:
        """Tokens that an encoder reads, where a decoder predicts all that counts from the others.

        None where its examples do not come apart so; here, none do.
        """
        del context
        return None

    def n_special(self, context: int) -> int:
        """Tokens beyond those of the data that its examples may have; here, none."""
        del context
        return 0

    def check(self, context: int) -> None:
        """Refuses a context too short for its examples; here, none."""


def drawn_places(key: Array, rows: int, places: int, number: int) -> Bool[Array, "rows places"]:
    """Marks `number` places of each row, every choice of them as likely as any other."""
    import jax
    import jax.numpy as jnp

    _, chosen = jax.lax.top_k(jax.random.uniform(key, (rows, places)), number)
    return jnp.zeros((rows, places), bool).at[jnp.arange(rows)[:, None], chosen].set(True)
