"""TokenDataset: a long row of tokens, read as sequences in an order that needs no memory."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Int, UInt, UInt16

from scaling.data.permutation import in_order, spread
from scaling.fields import Checked, Count

Reader = Callable[[], UInt[np.ndarray, " tokens"]]
"""Function that reads a row of tokens. It maps a file anew, which frees pages read before."""

_READ_AT_ONCE = 1024  # windows: a mapping keeps up to 64 kB of memory a window until it ends


@dataclass(frozen=True)
class TokenDataset:
    """Training and held-out sequences of one run.

    The row of training tokens is cut into windows of `context` predicted tokens, one after
    another; a sequence is a window with the token before it, which is predicted by none.

    Attributes:
        read: The row of training tokens: documents one after another, each ended by
            `end_of_document`.
        n_windows: Number of windows in the row.
        eval_tokens: Held-out sequences, evenly spaced over the held-out text.
        bytes_per_token: Mean bytes of the tokens predicted in `eval_tokens`, so that bits per byte
            are nats / ln 2 / bytes_per_token; NaN where the bytes of tokens are not known.
        end_of_document: The token that ends a document; None where none does.
        separated: Whether tokens are to be predicted from their own document alone.
        sampled_from: Number of windows of which the `n_windows` are a random sample; None where
            they are the first of the row.
    """

    read: Reader
    n_windows: int
    eval_tokens: Int[np.ndarray, "n_eval length"]
    bytes_per_token: float
    end_of_document: int | None
    separated: bool = False
    sampled_from: int | None = None

    @property
    def context(self) -> int:
        """Tokens predicted in a sequence."""
        return self.eval_tokens.shape[1] - 1

    @property
    def n_train_tokens(self) -> int:
        """Tokens predicted in one pass over the training data."""
        return self.n_windows * self.context

    @property
    def separator(self) -> int | None:
        """The token that no prediction looks beyond; None where predictions see all before."""
        return self.end_of_document if self.separated else None

    @property
    def train(self) -> UInt[np.ndarray, " tokens"]:
        """The training tokens that are used, as one row.

        A sample of windows follows its order, and of each the token before it is left out.
        """
        if self.sampled_from is None:
            return self.read()[: self.n_train_tokens + 1]
        windows = self._windows(np.arange(self.n_windows))
        return windows[:, 1:].reshape(-1).astype(self.read().dtype)

    def sequences(
        self, seed: int, first: int, count: int
    ) -> Int[np.ndarray, "{count} {self.context}+1"]:
        """Training sequences number `first` to `first + count` of the run with this seed.

        Each is a function of seed and number alone. Every pass over the data is a new permutation
        of the windows.
        """
        return self.numbered(seed, np.arange(first, first + count))

    def numbered(
        self, seed: int, numbers: Int[np.ndarray, " count"]
    ) -> Int[np.ndarray, "count {self.context}+1"]:
        """Training sequences of these numbers."""
        return self._windows(in_order(seed, numbers, self.n_windows))

    def _windows(
        self, places: Int[np.ndarray, " count"]
    ) -> Int[np.ndarray, "count {self.context}+1"]:
        """Windows at these places among those that are used."""
        if self.sampled_from is not None:
            places = spread(places, self.sampled_from)
        return _gathered(self.read, places, self.context)


class TokenRow(NamedTuple):
    """A row of tokens that is read when it is needed."""

    read: Reader
    n_tokens: int


def token_dataset(
    train: TokenRow,
    held_out: TokenRow,
    *,
    context: int,
    n_eval: int,
    n_tokens: int | None = None,
    byte_lengths: Int[np.ndarray, " vocab_size"] | None = None,
    end_of_document: int | None = None,
    separated: bool = False,
) -> TokenDataset:
    """Cuts rows of tokens into training windows and held-out sequences.

    Args:
        train: Training tokens.
        held_out: Held-out tokens.
        context: Tokens predicted in a sequence.
        n_eval: Held-out sequences.
        n_tokens: Training tokens to use, the first of the row; None for all.
        byte_lengths: Number of bytes of each token, if known.
        end_of_document: As in `TokenDataset`.
        separated: As in `TokenDataset`.

    Raises:
        ValueError: there are fewer tokens than asked for, or than one sequence takes.
    """
    available = max(train.n_tokens - 1, 0)
    if context > available:
        raise ValueError(
            f"data.context = {context:,} is longer than the {available:,} tokens to predict in "
            "training: give a shorter context, or more data"
        )
    used = available if n_tokens is None else n_tokens
    if used > available:
        raise ValueError(
            f"data.n_tokens = {n_tokens:,} exceeds the {available:,} tokens to train on: give "
            "fewer, or more data"
        )
    if used < context:
        raise ValueError(
            f"data.n_tokens = {n_tokens:,} is less than data.context = {context:,}, the tokens of "
            "one sequence: give more of them, or a shorter context"
        )
    n_windows = max(held_out.n_tokens - 1, 0) // context
    if n_eval > n_windows:
        raise ValueError(
            f"data.n_eval = {n_eval:,} exceeds the {n_windows:,} sequences of {context:,} tokens "
            f"in the {held_out.n_tokens:,} tokens held out: give fewer, a shorter context, or more "
            "data"
        )
    spaced = np.arange(n_eval) * n_windows // n_eval
    eval_tokens = _gathered(held_out.read, spaced, context)
    eval_tokens.flags.writeable = False  # shared between runs
    lengths = np.nan if byte_lengths is None else byte_lengths[eval_tokens[:, 1:]]
    return TokenDataset(
        read=train.read,
        n_windows=used // context,
        eval_tokens=eval_tokens,
        bytes_per_token=float(np.mean(lengths)),
        end_of_document=end_of_document,
        separated=separated,
    )


@dataclass(frozen=True, kw_only=True)
class TokenSource(Checked, ABC):
    """A base of sources of tokens: what follows from the sequences that they load."""

    context: Count
    repeat: bool
    n_classes: ClassVar[int | None] = None

    @abstractmethod
    def load(self, seed: int) -> TokenDataset:
        """The sequences of one run; the same tokens for every seed.

        Raises:
            ValueError: data that cannot be read, or are too few for what is asked of them.
        """

    @property
    def n_inputs(self) -> int:
        """Tokens that a model sees at once."""
        return self.context

    @property
    def n_train(self) -> int:
        """Examples to train on: different sequences."""
        return self.load(0).n_windows

    def check_tokens(self, n_tokens: int) -> float:
        """Passes over the training data that a run of `n_tokens` makes.

        Raises:
            ValueError: more than one without `repeat`, or as `load`.
        """
        available = self.load(0).n_train_tokens
        if n_tokens > available and not self.repeat:
            raise ValueError(
                f"the run takes {n_tokens:,} tokens and data has {available:,} to train on: train "
                "on fewer, give more data (data.path, data.n_tokens), or set data.repeat = true"
            )
        return n_tokens / available


def _gathered(
    read: Reader, windows: Int[np.ndarray, " count"], context: int
) -> Int[np.ndarray, "count {context}+1"]:
    sequences = np.empty((len(windows), context + 1), dtype=np.int32)
    within = np.arange(context + 1)
    for start in range(0, len(windows), _READ_AT_ONCE):
        part = slice(start, start + _READ_AT_ONCE)
        sequences[part] = read()[windows[part, None] * context + within]
    return sequences


@dataclass(frozen=True, kw_only=True)
class DrawnSource(TokenSource):
    """A base of sources whose tokens are drawn, the same for every run."""

    n_tokens: Count
    n_eval: Count

    @abstractmethod
    def row(self, n_windows: int, stream: str) -> UInt16[np.ndarray, " tokens"]:
        """Tokens of so many windows in a row, and one more; of the stream "data" or "eval"."""

    def load(self, seed: int) -> TokenDataset:
        """The sequences of one run; the same tokens for every seed."""
        return _drawn(self)


@functools.lru_cache(maxsize=8)
def _drawn(source: DrawnSource) -> TokenDataset:
    context, n_windows = source.context, -(-source.n_tokens // source.context)
    held_out = source.row(source.n_eval, "eval")
    # A plan of runs asks only for their number.
    read_train = functools.cache(lambda: source.row(n_windows, "data"))
    return token_dataset(
        train=TokenRow(read_train, n_windows * context + 1),
        held_out=TokenRow(lambda: held_out, len(held_out)),
        context=context,
        n_tokens=source.n_tokens,
        n_eval=source.n_eval,
    )
