"""Compiled programs of workers, kept on disk for each other and for every later sweep.

JAX keeps them, by program, compiler options and versions. A program whose entry cannot be written
is compiled once more; one whose entry was damaged is compiled again by every process until the
entry is deleted. All entries can be deleted at any time.

Damage is noticed because workers have JAX keep entries as zlib, which has a checksum. Where the
package zstandard is installed JAX would keep them as zstd frames without one, and a flipped bit
would give another number, or a worker that dies of it again and again.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.machinery
import os
import platform
import stat
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from scaling.data.cache import cache_folder, sha256_of

# Lines of /proc/cpuinfo that distinguish processors: two of x86, three of Arm.
_DISTINGUISHING = ("model name", "flags", "Features", "CPU implementer", "CPU part")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Variables by which a worker finds compiled programs, except those already `given`.

    The folder is made for its user alone. One that another user owns or may write is left alone:
    what is loaded from it is executed.
    """
    folder = cache_folder() / "compiled" / processor()
    chosen = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    if _is_private(folder):
        chosen["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    return {name: value for name, value in chosen.items() if name not in given}


def have_checksums() -> None:
    """Has JAX keep compiled programs as zlib in this process, whatever else is installed."""
    if not any(isinstance(finder, _WithoutZstd) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutZstd())


class _WithoutZstd(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads JAX's module of its cache, and that module alone, as if there were no zstd."""

    _module = "jax._src.compilation_cache"
    _zstd = ("zstandard", "compression.zstd")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        self._loader, spec.loader = spec.loader, self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        with self._hidden():
            self._loader.exec_module(module)

    @contextlib.contextmanager
    def _hidden(self) -> Generator[None]:
        there = {name: sys.modules[name] for name in self._zstd if name in sys.modules}
        sys.modules.update(dict.fromkeys(self._zstd))  # pyrefly: ignore[no-matching-overload]  # None refuses an import
        try:
            yield
        finally:
            for name in self._zstd:
                del sys.modules[name]
            sys.modules.update(there)


def _is_private(folder: Path) -> bool:
    """Whether a folder is this user's alone, which makes it where there is none."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        own = not hasattr(os, "getuid") or state.st_uid == os.getuid()
        return own and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return False


@functools.cache
def processor() -> str:
    """A name for processors of this kind: machines may share a folder but not compiled code."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = sorted({line for line in lines if line.startswith(_DISTINGUISHING)})
    return sha256_of([platform.system(), platform.machine(), platform.processor(), facts])[:16]
