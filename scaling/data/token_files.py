"""Files of tokens: raw numbers, memory-mapped; files that the user gives are checked once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt

from scaling.data.cache import cache_folder, recall, remember, settled_signature
from scaling.data.tokenizing import Tokenized

CHUNK = 2**24
"""Bytes that are read at a time."""

ONE_HELD_OUT_IN = 20
"""The last one in so many tokens of a single file is held out."""


class TokenFile(NamedTuple):
    """A stretch of a file of tokens: `n_tokens` of them from the one numbered `first`."""

    path: Path
    dtype: str
    first: int
    n_tokens: int

    def read(self) -> UInt[np.ndarray, " n_tokens"]:
        """Maps the tokens anew: pages that are read stay in memory until the array is deleted."""
        offset = self.first * np.dtype(self.dtype).itemsize
        mapped = np.memmap(self.path, self.dtype, mode="r", offset=offset, shape=(self.n_tokens,))
        return mapped.view(np.ndarray)


class Halves(NamedTuple):
    """Files of the training tokens of a corpus, and of those held out."""

    train: TokenFile
    held_out: TokenFile


class Scan(NamedTuple):
    """Result of reading a file of tokens: SHA-256 of its bytes, and the largest token."""

    sha256: str
    largest: int


def given_halves(path: str, tokenizer: Tokenized) -> Halves:
    """Training and held-out part of tokens that the user gives.

    A folder holds them as `train.bin` and `val.bin`; of a single file the last twentieth is held
    out, wherever its documents begin and end.

    Raises:
        ValueError: no such files, empty ones, or ones of a size that the type cannot have.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return Halves(*(_whole_file(place / f"{half}.bin", tokenizer) for half in ("train", "val")))
    file = _whole_file(place, tokenizer)
    n_held_out = file.n_tokens // ONE_HELD_OUT_IN
    n_tokens = file.n_tokens - n_held_out
    return Halves(
        file._replace(n_tokens=n_tokens), file._replace(first=n_tokens, n_tokens=n_held_out)
    )


def given_sha256(path: str, tokenizer: Tokenized) -> str:
    """SHA-256 of the content of `given_halves`; the files are read once, and the cache keeps it.

    Raises:
        ValueError: as `given_halves`, or a token outside the vocabulary.
    """
    halves = given_halves(path, tokenizer)
    files = dict.fromkeys((halves.train.path, halves.held_out.path))
    scans = {file: _scan(file, tokenizer.dtype) for file in files}
    for file, found in scans.items():
        if found.largest >= tokenizer.vocab_size:
            raise ValueError(
                f"{file} holds token {found.largest:,}, outside data.tokenizer.vocab_size = "
                f"{tokenizer.vocab_size:,}: declare at least {found.largest + 1:,}, or another "
                f"dtype than {tokenizer.dtype}"
            )
    return hashlib.sha256("".join(found.sha256 for found in scans.values()).encode()).hexdigest()


def _whole_file(path: Path, tokenizer: Tokenized) -> TokenFile:
    if not path.is_file():
        raise ValueError(
            f"data.path: there is no file {path}: give a .bin file, or a folder with train.bin and "
            "val.bin"
        )
    dtype = np.dtype(tokenizer.dtype).newbyteorder("<")
    n_tokens, rest = divmod(path.stat().st_size, dtype.itemsize)
    if rest:
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes, not a multiple of the {dtype.itemsize} of "
            f"a {tokenizer.dtype}: give a complete file, or another data.tokenizer.dtype"
        )
    if not n_tokens:
        raise ValueError(f"{path} is empty: give a file with tokens")
    return TokenFile(path.absolute(), dtype.str, 0, n_tokens)


def _scan(path: Path, dtype: str) -> Scan:
    signature = settled_signature([path], "scan/1", dtype)
    note = cache_folder() / "scans" / f"{signature}.json"
    if signature is not None and (known := recall(note, "scan")) is not None:
        return Scan(**known)
    digest, largest = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            largest = max(
                largest, int(np.frombuffer(chunk, np.dtype(dtype).newbyteorder("<")).max())
            )
    found = Scan(digest.hexdigest(), largest)
    if signature is not None:
        remember(note, "scan", found._asdict())
    return found
