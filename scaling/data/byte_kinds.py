"""Bytes of source code, each labelled by its kind: labels that are free, exact and of real text.

A kind is what Python's own `tokenize` makes of a byte. An example is a stretch of code and, as a
token of its own, the kind of its last byte. The tokens of kinds are bytes that no text has, so that
a model of text takes the examples as they are.
"""

from __future__ import annotations

import functools
import io
import keyword
import tokenize
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int, UInt8

from scaling.data.permutation import spread
from scaling.data.token_cache import halves_of, summary_of
from scaling.data.token_dataset import TokenDataset, TokenRow, TokenSource, token_dataset
from scaling.data.tokenizing import END_OF_DOCUMENT_BYTE, Bytes
from scaling.fields import Count

KINDS = ("other", "comment", "string", "number", "operator", "keyword", "name")
FIRST_KIND = 0xF5
"""Token of the first kind; UTF-8 has no byte from here on."""

_READ = 2**20
"""Bytes of training text, and of held-out text, that labels are drawn from."""

_KIND_OF = {
    tokenize.COMMENT: 1,
    tokenize.STRING: 2,
    tokenize.NUMBER: 3,
    tokenize.OP: 4,
    tokenize.NAME: 6,
}


@dataclass(frozen=True, kw_only=True)
class ByteKinds(TokenSource):
    """Stretches of the standard library's source code, each with the kind of its last byte.

    A sequence is an end of a document, `context` - 2 bytes, the token of the kind, and an end. The
    training labels are a sample that is the same for every seed, and a smaller one is the beginning
    of a larger. Held-out labels are from the files that `Text` holds out.

    Attributes:
        context: Tokens predicted in a sequence.
        n_labels: Labels to train on.
        n_eval: Held-out labels, the same for every run.
        repeat: Whether a run may take more sequences than there are labels.
    """

    kind: ClassVar[str] = "byte_kinds"
    context: Count = 64
    n_labels: Count
    n_eval: Count = 512
    repeat: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.context < 3:
            raise ValueError(
                f"byte_kinds.context = {self.context} holds no byte beside a label and an end: "
                "give at least 3"
            )

    @property
    def n_outputs(self) -> int:
        """Tokens of the vocabulary: all bytes, of which text leaves some for kinds."""
        return 256

    def fingerprint(self) -> str:
        """Version, and SHA-256 of the documents."""
        return f"byte_kinds/1/{summary_of(None, 'text').sha256}"

    def load(self, seed: int) -> TokenDataset:
        """The sequences of one run; the same for every seed.

        Raises:
            ValueError: more labels than the text has, or labels of one kind alone.
        """
        return _load(self)


@functools.lru_cache(maxsize=32)
def _load(config: ByteKinds) -> TokenDataset:
    train, held_out = (
        _labelled(half, config.context, n)
        for half, n in (("train", config.n_labels), ("held_out", config.n_eval))
    )
    labels = train[config.context - 1 :: config.context]
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"data.n_labels = {config.n_labels} labels are all of the kind "
            f"{KINDS[labels[0] - FIRST_KIND]!r}, which leaves nothing to tell apart: give more"
        )
    return token_dataset(
        TokenRow(lambda: train, len(train)),
        TokenRow(lambda: held_out, len(held_out)),
        context=config.context,
        n_eval=config.n_eval,
        end_of_document=END_OF_DOCUMENT_BYTE,
    )


def _labelled(half: str, context: int, n: int) -> UInt8[np.ndarray, " tokens"]:
    """A row of examples one after another: an end, bytes, the kind of the last; and an end."""
    text, kinds = _text_and_kinds(half)
    size = context - 2
    available = len(text) // size
    if n > available:
        field = "n_labels" if half == "train" else "n_eval"
        raise ValueError(
            f"data.{field} = {n:,} exceeds the {available:,} stretches of {size} bytes there are: "
            "give fewer"
        )
    first = spread(np.arange(n), available) * size
    row = np.full((n, context), END_OF_DOCUMENT_BYTE, np.uint8)
    row[:, 1:-1] = text[first[:, None] + np.arange(size)]
    row[:, -1] = FIRST_KIND + kinds[first + size - 1]
    return np.append(row.reshape(-1), np.uint8(END_OF_DOCUMENT_BYTE))


@functools.cache
def _text_and_kinds(half: str) -> tuple[UInt8[np.ndarray, " bytes"], UInt8[np.ndarray, " bytes"]]:
    """The first documents of a half of the standard library, and the kind of every byte."""
    text = getattr(halves_of(None, "text", Bytes()), half).read()[:_READ]
    documents = text.tobytes().split(bytes([END_OF_DOCUMENT_BYTE]))[:-1]
    kept = sum(len(each) + 1 for each in documents)
    end = np.zeros(1, np.uint8)
    kinds = np.concatenate([part for each in documents for part in (kinds_of(each), end)])
    return np.array(text[:kept]), kinds


def kinds_of(source: bytes) -> UInt8[np.ndarray, " bytes"]:
    """The kind of every byte of a source, UTF-8, as its number in `KINDS`.

    What is no Python is of the kind "other" throughout.
    """
    kinds = np.zeros(len(source), np.uint8)
    lines = list(io.StringIO(source.decode(), newline="\n"))
    begins = _begins(lines)
    try:
        tokens = list(tokenize.generate_tokens(iter(lines).__next__))
    except (tokenize.TokenError, SyntaxError):
        return kinds
    for token in tokens:
        if (kind := _KIND_OF.get(token.type, 0)) and token.string:
            if kind == 6 and keyword.iskeyword(token.string):
                kind = 5
            (row, column), (last, end) = token.start, token.end
            first = begins[row - 1] + len(lines[row - 1][:column].encode())
            kinds[first : begins[last - 1] + len(lines[last - 1][:end].encode())] = kind
    return kinds


def _begins(lines: list[str]) -> Int[np.ndarray, " lines"]:
    """Place of the first byte of every line."""
    sizes = np.array([len(line.encode()) for line in lines], np.int64)
    return np.cumsum(sizes) - sizes
