"""Byte-level byte-pair encoding: trained by the package `tokenizers`, used through `Tokenizer`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from scaling.data.tokenizing import Tokenizer, smallest_dtype
from scaling.extras import needed

LEAST_FREQUENCY = 2
"""Number of times that a pair must occur."""


def train_bpe(texts: Iterable[bytes], vocab_size: int) -> str:
    """Trains an encoding on UTF-8 texts; their order does not matter.

    Returns:
        The encoding in the package's own JSON.

    Raises:
        ValueError: the package is missing, or the texts hold too few pairs for the vocabulary.
    """
    library = _library()
    encoding = library.Tokenizer(library.models.BPE())
    encoding.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # the last is the end of a document, which no text spells
        min_frequency=LEAST_FREQUENCY,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    encoding.train_from_iterator((text.decode() for text in texts), trainer)
    if (found := encoding.get_vocab_size() + 1) < vocab_size:
        raise ValueError(
            f"data.tokenizer.vocab_size = {vocab_size:,}, but this text gives only {found:,} "
            f"tokens: give at most {found:,}, or more text"
        )
    return encoding.to_str()


def bpe_tokenizer(trained: str) -> Tokenizer:
    """The tokenizer of a trained encoding; raises a ValueError without the package."""
    encoding = _library().Tokenizer.from_str(trained)
    end = encoding.get_vocab_size()
    byte_of = {character: byte for byte, character in enumerate(_spelling())}
    table = [b""] * end + [b""]
    for token, number in encoding.get_vocab().items():
        table[number] = bytes(byte_of[character] for character in token)
    lengths = np.array([len(token) for token in table], dtype=np.int64)
    lengths[end] = 1
    dtype = smallest_dtype(end + 1)

    def encode(texts: Iterable[bytes]) -> list[np.ndarray]:
        batch = encoding.encode_batch_fast([text.decode() for text in texts])
        return [np.array(encoded.ids, dtype=dtype) for encoded in batch]

    return Tokenizer(
        identity=f"bpe/{hashlib.sha256(trained.encode()).hexdigest()}",
        vocab_size=end + 1,
        end_of_document=end,
        byte_lengths=lengths,
        encode=encode,
        decode=lambda tokens: b"".join(table[token] for token in tokens),
    )


def _library() -> Any:
    user = "data.tokenizer.kind = 'bpe'"
    return needed("tokenizers", user, extra="text", otherwise="use kind = 'bytes'")


def _spelling() -> list[str]:
    """The printable character by which byte-level encodings spell each byte (GPT-2's table).

    Printable bytes of Latin-1 are their own characters, the others those from 256 on.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
