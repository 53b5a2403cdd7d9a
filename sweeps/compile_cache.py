"""Compiled programs of workers, kept on disk for each other and for every later sweep.

JAX keeps them, by program, compiler options and versions. A program whose entry cannot be written
is compiled once more; one whose entry was cut off is compiled again by every process until the
entry is deleted. All entries can be deleted at any time.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from pathlib import Path

from scaling.data.cache import cache_folder, sha256_of

# Lines of /proc/cpuinfo that distinguish processors: two of x86, three of Arm.
_DISTINGUISHING = ("model name", "flags", "Features", "CPU implementer", "CPU part")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Variables by which a worker finds compiled programs, except those already `given`."""
    chosen = {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder() / "compiled" / _processor()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    return {name: value for name, value in chosen.items() if name not in given}


@functools.cache
def _processor() -> str:
    """A name for processors of this kind: machines may share a folder but not compiled code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = sorted({line for line in lines if line.startswith(_DISTINGUISHING)})
    return sha256_of([platform.system(), platform.machine(), platform.processor(), facts])[:16]
