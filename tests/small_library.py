"""A small standard library in place of the real one, for tests of what is read from it."""

import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import UInt8

from scaling.data import byte_kinds, text, token_cache
from scaling.data.token_dataset import TokenSource
from scaling.data.token_files import Halves
from scaling.data.tokenizing import BPE, Bytes

CACHED = (
    token_cache.summary_of,
    token_cache.tokenizer_of,
    token_cache.halves_of,
    text._load,
    byte_kinds._text_and_kinds,
    byte_kinds._load,
)
"""What a process remembers of the library; other tests in it read the real one."""


TOKENS = {
    (Bytes(), None): (30_093_006, 1_380_292),
    (Bytes(), "english"): (5_301_699, 269_700),
    (Bytes(), "code"): (23_700_326, 1_060_873),
    (BPE(vocab_size=8192), None): (8_255_358, 376_332),
}
"""Tokens to train on and held out in the standard library of Python 3.11.7."""


class Ones(NamedTuple):
    """So many tokens, each of them a one."""

    n_tokens: int

    def read(self) -> UInt8[np.ndarray, " n_tokens"]:
        return np.ones(self.n_tokens, np.uint8)


@contextmanager
def _forgetting() -> Iterator[None]:
    """What was remembered of the library before the block is forgotten in it, and after it."""
    for function in CACHED:
        function.cache_clear()
    try:
        yield
    finally:
        for function in CACHED:
            function.cache_clear()


@contextmanager
def small_library(folder: Path) -> Iterator[None]:
    """200 files whose comments and code name them, as long as the block runs."""
    root = folder / "lib"
    root.mkdir()
    for i in range(200):
        (root / f"m{i}.py").write_text(f"# c{i:03} words\nx{i:03} = {i % 7}\n" * 10)
    with pytest.MonkeyPatch.context() as patch, _forgetting():
        patch.setenv("SCALING_CACHE_DIR", str(folder / "cache"))
        patch.setattr(sysconfig, "get_path", lambda name: str({"stdlib": root}[name]))
        yield


def _any(source: TokenSource) -> str:
    return "text/any"


@contextmanager
def unread_library(fingerprint: Callable[[TokenSource], str] = _any) -> Iterator[None]:
    """The real library by the number of its tokens alone, and bytes of two kinds in turn.

    A plan asks for no more. To find byte pairs in all of it takes a quarter of a minute, what is
    English in it half of one, and what kinds its bytes are a second.
    """

    def tokenizer_of(path, text_field, choice):
        return SimpleNamespace(
            byte_lengths=np.ones(getattr(choice, "vocab_size", 256), int), end_of_document=0
        )

    def halves_of(path, text_field, choice, part=None):
        return Halves(*(Ones(n) for n in TOKENS[choice, part]))

    def text_and_kinds(half):
        kinds = np.repeat(np.arange(2**13, dtype=np.uint8) % 2, 128)
        return np.ones_like(kinds), kinds

    with pytest.MonkeyPatch.context() as patch, _forgetting():
        for source in (text.Text, byte_kinds.ByteKinds):
            patch.setattr(source, "fingerprint", lambda self: fingerprint(self))
        patch.setattr(text, "tokenizer_of", tokenizer_of)
        patch.setattr(text, "halves_of", halves_of)
        patch.setattr(byte_kinds, "_text_and_kinds", text_and_kinds)
        yield
