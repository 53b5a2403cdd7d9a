"""The user's cache folder: files that are made once, mostly from text, and read by later runs.

All writes are atomic, even where several processes make the same file. The folder can be deleted
at any time: its files are made again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from scaling.sealed import DamagedFileError, seal, unseal

FOLDER = "SCALING_CACHE_DIR"
"""Environment variable that names the cache folder; without it, the platform's place for caches."""

_NAME = "scaling-descent"
_REFUSALS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST,
    errno.ENOENT,
)  # fmt: skip
_SETTLED_NS = 2 * 10**9
"""A file changed more recently may change again without a new time of modification."""


def cache_folder() -> Path:
    """The folder of the cache."""
    if named := os.environ.get(FOLDER):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path(_NAME)


@contextlib.contextmanager
def writing(folder: Path) -> Generator[None]:
    """Makes a folder of the cache, and says what to do where it cannot be written.

    Raises:
        ValueError: writing is not allowed, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        place = folder if error.filename is None else Path(error.filename)
        here = place.is_relative_to(folder) or folder.is_relative_to(place)
        if not here or error.errno not in _REFUSALS:
            raise
        raise ValueError(
            f"the cache at {folder} cannot be written ({error.strerror}): set {FOLDER} to a folder "
            "that is writable and has room"
        ) from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Generator[BinaryIO]:
    """Opens a file to write, which replaces an older one of its name once it is complete.

    Raises:
        ValueError: the folder cannot be written, or is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with writing(path.parent):
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remember(path: Path, name: str, content: Any) -> None:
    """Writes JSON values beside their checksum."""
    with atomic_write(path) as file:
        file.write(seal(name, content).encode())


def recall(path: Path, name: str) -> Any | None:
    """Reads what `remember` wrote; None where it is missing or damaged."""
    try:
        return unseal(name, path.read_bytes())
    except (OSError, DamagedFileError):
        return None


def sha256_of(values: Any) -> str:
    """SHA-256 of JSON values, in hex."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def settled_signature(files: Iterable[Path], *particulars: Any) -> str | None:
    """SHA-256 of the names, sizes and times of files: a key for what was read from them.

    None where one has changed within the last two seconds: its next change may leave its time.
    """
    facts = []
    newest = 0
    for file in files:
        state = file.stat()
        newest = max(newest, state.st_mtime_ns)
        facts.append([str(file.absolute()), state.st_size, state.st_mtime_ns])
    if newest > time.time_ns() - _SETTLED_NS:
        return None
    return sha256_of([facts, *particulars])
