"""A small standard library in place of the real one, for tests of what is read from it."""

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scaling.data import byte_kinds, text, tokenised

CACHED = (
    tokenised.summary_of,
    tokenised.tokenizer_of,
    tokenised.halves_of,
    text._load,
    byte_kinds._text_and_kinds,
    byte_kinds._load,
)
"""What a process remembers of the library; other tests in it read the real one."""


@contextmanager
def small_library(folder: Path) -> Iterator[None]:
    """200 files whose comments and code name them, as long as the block runs."""
    root = folder / "lib"
    root.mkdir()
    for i in range(200):
        (root / f"m{i}.py").write_text(f"# c{i:03} words\nx{i:03} = {i % 7}\n" * 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_CACHE_DIR", str(folder / "cache"))
        patch.setattr(sysconfig, "get_path", lambda name: str({"stdlib": root}[name]))
        for function in CACHED:
            function.cache_clear()
        yield
    for function in CACHED:
        function.cache_clear()
