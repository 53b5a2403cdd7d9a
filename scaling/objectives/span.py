"""Prediction of hidden spans, one after another, from the text around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from jaxtyping import Int

from scaling.fields import Range
from scaling.models.family import Visibility
from scaling.objectives.objective import Examples, Objective, SpecialTokens, drawn_places

if TYPE_CHECKING:
    from jax import Array


class Sizes(NamedTuple):
    """How much of a window an example takes, so that it fills the context.

    Attributes:
        text: First tokens of the window, those that it is made of.
        hidden: Tokens of these that are hidden.
        spans: Spans in which they are hidden.
    """

    text: int
    hidden: int
    spans: int

    @property
    def visible(self) -> int:
        """Tokens of the text with its holes, a sentinel in each."""
        return self.text - self.hidden + self.spans

    @property
    def predicted(self) -> int:
        """Tokens of the answer: the hidden ones, a sentinel before each span, and the end."""
        return self.hidden + self.spans + 1


@dataclass(frozen=True, kw_only=True)
class Span(Objective):
    """Predicts the spans that sentinels hide in a text, after the text.

    An example is the text with each hidden span replaced by a sentinel of its own, which sees
    itself, and after it the answer: every sentinel with what it hides, and an end. This is the
    span corruption of Raffel et al. 2019 (arXiv 1910.10683, section 3.1.4), in one sequence as a
    non-causal decoder takes it (Wang et al. 2022, arXiv 2204.05832). Numbers of spans and of hidden
    tokens are those of the means, in every sequence; where they lie is drawn anew at every step.

    Attributes:
        rate: Share of the text that is hidden.
        mean: Mean length of a span, in tokens.
    """

    kind: ClassVar[str] = "span"
    rate: Annotated[float, Range(low=0, high=1, low_excluded=True, high_excluded=True)] = 0.15
    mean: Annotated[float, Range(low=1)] = 3.0

    @property
    def visibilities(self) -> tuple[Visibility, ...]:
        """The text with its holes sees itself."""
        return ("prefix",)

    def n_predicted(self, context: int) -> float:
        """Tokens of the answer."""
        return self.sizes(context).predicted

    def source(self, context: int) -> int:
        """The text with its holes but for the last sentinel, which begins the target.

        A text ends with a hole, so that this token is the same in every example: as in Raffel et
        al. a decoder begins with a token that carries nothing.
        """
        return self.sizes(context).visible - 1

    def n_special(self, context: int) -> int:
        """The mask, which has its place in every vocabulary, the end, and a sentinel a span."""
        return 2 + self.sizes(context).spans

    def check(self, context: int) -> None:
        """Refuses a context that holds no text with a hidden span and its answer."""
        self.sizes(context)

    def sizes(self, context: int) -> Sizes:
        """Sizes of the longest text that fits with its answer.

        Raises:
            ValueError: none does.
        """
        for text in range(context, 1, -1):
            hidden = max(1, round(self.rate * text))
            found = Sizes(text, hidden, max(1, round(hidden / self.mean)))
            if found.visible + found.predicted <= context + 1 and text - hidden >= found.spans:
                return found
        raise ValueError(
            f"train.objective.kind = 'span' with rate = {self.rate:g} and mean = {self.mean:g} "
            f"has no example of {context} tokens: give a longer data.context, or a lower rate"
        )

    def examples(
        self, windows: Int[Array, "batch context+1"], key: Array | None, special: SpecialTokens
    ) -> Examples:
        """The text with its holes and the answer fill the context; the answer alone counts."""
        import jax
        import jax.numpy as jnp

        batch, context = windows.shape[0], windows.shape[1] - 1
        sizes = self.sizes(context)
        assert key is not None
        one, other = jax.random.split(key)
        kept = _lengths(one, batch, sizes.text - sizes.hidden, sizes.spans)
        hidden = _lengths(other, batch, sizes.hidden, sizes.spans)
        make = jax.vmap(lambda window, *lengths: _with_answer(window, lengths, sizes, special))
        sequences = make(windows, kept, hidden)
        answer = sizes.visible + sizes.predicted
        place = jnp.arange(1, context + 1)
        counts = (place >= sizes.visible) & (place < answer)
        weights = jnp.broadcast_to(counts.astype(jnp.float32), (batch, context))
        visible = jnp.full(batch, sizes.visible, jnp.int32)
        return Examples(sequences[:, :-1], sequences[:, 1:], weights, visible)


def _with_answer(
    window: Array, lengths: tuple[Array, ...], sizes: Sizes, special: SpecialTokens
) -> Array:
    """A text with its holes, the answer, and ends up to the length of the window.

    Kept and hidden segments of the text alternate, a kept one first; `lengths` has those of both.
    """
    import jax.numpy as jnp

    kept, hidden = lengths
    ends = jnp.cumsum(kept + hidden)
    tokens, place = window[: sizes.text], jnp.arange(sizes.text)
    span = jnp.sum(place[:, None] >= ends[None], axis=1)
    is_hidden = place >= (ends - hidden)[span]
    n_hidden = jnp.cumsum(is_hidden) - is_hidden
    # Each token and sentinel moves to its place; every hidden token comes after its sentinel.
    where = jnp.where(is_hidden, sizes.visible + n_hidden + span + 1, place - n_hidden + span)
    spans = jnp.arange(sizes.spans)
    sentinels = special.first_sentinel + spans
    sequence = jnp.full(window.shape, special.end, window.dtype)
    sequence = sequence.at[where].set(tokens)
    sequence = sequence.at[jnp.cumsum(kept) + spans].set(sentinels)
    return sequence.at[sizes.visible + jnp.cumsum(hidden) - hidden + spans].set(sentinels)


def _lengths(key: Array, rows: int, total: int, parts: int) -> Int[Array, "{rows} {parts}"]:
    """Lengths of parts of a whole, each at least 1: every division is as likely as any other."""
    import jax.numpy as jnp

    if parts == 1:
        return jnp.full((rows, 1), total)
    begins = drawn_places(key, rows, total - 1, parts - 1)
    part = jnp.pad(jnp.cumsum(begins, axis=1), ((0, 0), (1, 0)))
    return jnp.sum(part[..., None] == jnp.arange(parts)[None, None], axis=1)
