"""Tokenizers, as configurations and as functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from scaling.extras import needed
from scaling.fields import Checked, Range, nearest

END_OF_DOCUMENT_BYTE = 0xFF
"""Byte that occurs nowhere in UTF-8."""

_MAX_VOCABULARY = 2**31 - 1

Tokens = UInt[np.ndarray, " tokens"]


@dataclass(frozen=True, kw_only=True)
class Bytes(Checked):
    """Each byte is a token; 0xFF, which UTF-8 never contains, ends a document."""

    kind: ClassVar[str] = "bytes"


@dataclass(frozen=True, kw_only=True)
class BPE(Checked):
    """Byte-level byte-pair encoding (as GPT-2's), trained on the corpus; the package `tokenizers`.

    `vocab_size` counts the 256 bytes, the merges, and the end of a document. It is trained on
    training documents alone, the first 32 MiB of them, whatever `n_tokens` is: all data sizes of
    one corpus share it.
    """

    kind: ClassVar[str] = "bpe"
    vocab_size: Annotated[int, Range(low=257, high=_MAX_VOCABULARY)] = 4096


@dataclass(frozen=True, kw_only=True)
class Tiktoken(Checked):
    """A published encoding by its name in the package `tiktoken`, which fetches it once."""

    kind: ClassVar[str] = "tiktoken"
    name: str = "gpt2"


@dataclass(frozen=True, kw_only=True)
class Tokenized(Checked):
    """Tokens that the user gives: raw little-endian numbers in `.bin` files.

    `end_of_document` is the token that ends a document, where there is one.
    """

    kind: ClassVar[str] = "tokenized"
    vocab_size: Annotated[int, Range(low=2, high=_MAX_VOCABULARY)]
    dtype: Literal["uint16", "uint32"] = "uint16"
    end_of_document: Annotated[int, Range(low=0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end_of_document is not None and self.end_of_document >= self.vocab_size:
            raise ValueError(
                f"tokenized.end_of_document = {self.end_of_document} is outside vocab_size = "
                f"{self.vocab_size}: declare a larger vocabulary"
            )


class Tokenizer(NamedTuple):
    """A tokenizer as functions.

    Attributes:
        identity: Identity, which no other tokenizer has; it depends on the result of training.
        vocab_size: Number of different tokens.
        end_of_document: The token that ends a document, which no text is encoded as.
        byte_lengths: Number of bytes of each token; the end of a document counts as one, so
            that bits per byte of one text compare between tokenizers.
        encode: Texts -> tokens of each; UTF-8 unless the tokenizer is `Bytes`.
        decode: Tokens -> the text, byte by byte.
    """

    identity: str
    vocab_size: int
    end_of_document: int
    byte_lengths: Int[np.ndarray, " vocab_size"]
    encode: Callable[[Sequence[bytes]], list[Tokens]]
    decode: Callable[[Iterable[int]], bytes]


def smallest_dtype(vocab_size: int) -> np.dtype:
    """The smallest unsigned numbers, in the byte order of files, that hold every token."""
    return np.min_scalar_type(vocab_size - 1).newbyteorder("<")


def byte_tokenizer() -> Tokenizer:
    """The tokenizer in which every byte is its own token."""
    return Tokenizer(
        identity="bytes/1",
        vocab_size=256,
        end_of_document=END_OF_DOCUMENT_BYTE,
        byte_lengths=np.ones(256, dtype=np.int64),
        encode=lambda texts: [np.frombuffer(text, dtype=np.uint8) for text in texts],
        decode=lambda tokens: bytes(int(token) for token in tokens),
    )


@functools.cache
def tiktoken_tokenizer(name: str) -> Tokenizer:
    """A published encoding. Text that spells its special tokens is encoded as text.

    Raises:
        ValueError: the package `tiktoken` is missing, knows no such name, or cannot fetch it.
    """
    user = "data.tokenizer.kind = 'tiktoken'"
    tiktoken = needed("tiktoken", user, extra="text", otherwise="use kind = 'bytes'")
    known = tiktoken.list_encoding_names()
    if name not in known:
        raise ValueError(f"data.tokenizer.name = {name!r}: {nearest(name, known)}")
    try:
        encoding = tiktoken.get_encoding(name)
    except OSError as error:
        raise ValueError(
            f"data.tokenizer.name = {name!r} cannot be fetched ({type(error).__name__}): try "
            "again with a network, or use kind = 'bpe'"
        ) from error
    size, end = encoding.n_vocab, encoding.eot_token
    lengths = np.zeros(size, dtype=np.int64)  # numbers that no token has stay at 0
    for token in encoding.token_byte_values():
        lengths[encoding.encode_single_token(token)] = len(token)
    lengths[end] = 1
    dtype = smallest_dtype(size)
    return Tokenizer(
        identity=f"tiktoken/{name}",
        vocab_size=size,
        end_of_document=end,
        byte_lengths=lengths,
        encode=lambda texts: [
            np.array(tokens, dtype=dtype)
            for tokens in encoding.encode_ordinary_batch([text.decode() for text in texts])
        ],
        decode=lambda tokens: encoding.decode_bytes([int(token) for token in tokens]),
    )
