"""Atomic, durable file operations: nothing is replaced, and nothing unread is deleted.

A file is published by writing it under another name, fsync, and `os.link`, which refuses to
replace; then fsync of the folder. Every call of the operating system that changes a results
folder is made here, so that tests can make each of them fail in turn. Those that are `operation`s
take places of other kinds as well (`objects`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import IO, Any, TypeVar

from scaling.sealed import parse
from sweeps.places import ObjectPath, Place

T = TypeVar("T")

operation = functools.singledispatch
"""A function that does something else for each kind of place, its first argument."""

NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Errors where there is no file of this name."""

MOST_BYTES = 2**20
"""Most bytes of a file that holds one thing, such as a result; one that is larger is damaged."""

MANY_BYTES = 2**26
"""Most bytes of a file that holds many things: a learning curve, or a plan of older code."""


class StoreError(Exception):
    """A results folder cannot be used now: the fault is the machine's, not a run's."""


@contextlib.contextmanager
def storing(path: Place) -> Generator[None]:
    """Turns an operating system's error while `path` is written or read into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: {error.strerror or error}{_free(path)}. Nothing that was "
            "finished is lost. Put this right, and the same command resumes"
        ) from error


@operation
def exists(path: Place) -> bool:
    """Whether there is a file, folder or link of this name."""
    return os.path.lexists(path)


@operation
def is_folder(path: Place) -> bool:
    """Whether there is a folder of this name: not a file, nor a link to elsewhere."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


@operation
def names(folder: Place) -> list[str]:
    """Names in a folder, in no order; none where there is no folder."""
    try:
        return os.listdir(folder)
    except NO_FILE:
        return []


@operation
def mapped(place: Place, read: Callable[[str], T], names: Iterable[str]) -> Iterator[T]:
    """What `read` finds for each name, in order; several at once where answers take long."""
    return map(read, names)


@operation
def names_below(folder: Place) -> list[str]:
    """Names two levels below a folder whose first level is their first two letters, in no order."""
    return [name for above in names(folder) for name in names(folder / above) if name[:2] == above]


@operation
def costs_requests(place: Place) -> bool:
    """Whether every file there costs a request: what other files say is then not written again."""
    return False


@operation
def note_published(root: Place, run_id: str) -> None:
    """Helps `seems_published`, after a run of a results folder was published."""


@operation
def seems_published(root: Place, run_id: str, path: Place) -> bool:
    """Whether a run, whose result has this path, is published: true only if it is or was."""
    return exists(path)


@operation
def write_new(path: Place, data: bytes, *, durable: bool) -> None:
    """Creates a file; `durable` waits until its content is on the disk."""
    _write(path, data, os.O_EXCL, durable=durable)


@operation
def overwrite(path: Place, data: bytes) -> None:
    """Writes a small file in place: for content that may be lost, such as a heartbeat."""
    _write(path, data, getattr(os, "O_NOFOLLOW", 0), durable=False)


def _write(path: Place, data: bytes, flags: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@operation
def publish(path: Place, data: bytes, *, scratch: Place, durable: bool) -> bool:
    """Makes a file appear, by an atomic write, unless there is one; returns whether it did.

    The temporary file is made in `scratch`, a folder on the same file system. `durable` waits until
    file and name are on the disk.
    """
    # 1. The content is complete, and on the disk, before anybody can see the name.
    making = scratch / f".{token()}.tmp"
    write_new(making, data, durable=durable)
    # 2. A link refuses to replace: only one of several callers succeeds.
    try:
        os.link(making, path)
        won = True
    except FileExistsError:
        # A network file system may repeat a request whose answer was lost: is it ours after all?
        won = _same_file(making, path)
    os.unlink(making)
    # 3. The name is on the disk before the caller acts on it.
    if durable:
        sync_folder(path.parent)
    return won


@operation
def sync_folder(folder: Place) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@operation
def make_folder(folder: Place) -> bool:
    """Makes a folder unless it is there; returns whether it was made."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise
        return False
    return True


@operation
def make_filled_folder(folder: Place, name: str, data: bytes) -> bool:
    """Makes a folder that holds one file, atomically; False if there is such a folder already.

    A rename cannot replace a folder that is not empty, so only one of several callers succeeds,
    and nobody ever sees the folder without the file.
    """
    making = folder.parent / f".{token()}.tmp"
    os.mkdir(making)
    write_new(making / name, data, durable=False)
    try:
        os.rename(making, folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        os.unlink(making / name)
        os.rmdir(making)
        return False
    return True


@operation
def set_aside(path: Place, quarantine: Place, name: str, reason: str) -> Place | None:
    """Moves a file into quarantine with a note of the reason; None if it has gone meanwhile."""
    check_inside(quarantine.parent, quarantine)
    make_folder(quarantine)
    target = quarantine / f"{name}-{token()}"
    try:
        os.rename(path, target)
    except FileNotFoundError:
        return None
    write_new(target.with_name(f"{target.name}.reason.txt"), f"{reason}\n".encode(), durable=False)
    return target


def keep_aside(data: bytes, quarantine: Place, name: str, reason: str) -> None:
    """Writes what came second into quarantine, with a note of the reason."""
    check_inside(quarantine.parent, quarantine)
    make_folder(quarantine)
    target = quarantine / f"{name}-{token()}"
    write_new(target, data, durable=True)
    write_new(target.with_name(f"{target.name}.reason.txt"), f"{reason}\n".encode(), durable=False)


def put_back(path: Place, original: Place) -> None:
    """Returns a file from quarantine to where it was, unless another has taken its place."""
    with contextlib.suppress(FileExistsError):
        os.link(path, original)
        sync_folder(original.parent)
        os.unlink(path)


@operation
def check_inside(root: Place, folder: Place) -> None:
    """Refuses to write where symbolic links lead out of a results folder.

    Raises:
        StoreError: `folder` is not below `root` (itself free of links).
    """
    real = os.path.realpath(folder)
    if real != str(root) and not real.startswith(f"{root}{os.sep}"):
        raise StoreError(
            f"{folder} leads out of the results folder, to {real}: nothing is written through "
            "such a link. Replace it by a folder"
        )


@operation
def probe(folder: Place) -> None:
    """Tries everything that publishing needs, before any run begins.

    Raises:
        StoreError: the folder cannot be written, or its file system has no hard links.
    """
    target = folder / f".{token()}.probe"
    with storing(folder):
        publish(target, b"probe\n", scratch=folder, durable=False)
        os.unlink(target)


@operation
@contextlib.contextmanager
def opened(path: Place, most: float = math.inf) -> Generator[IO[bytes]]:
    """Opens a file to be read. A pipe or a device is none, and is never waited for.

    Raises:
        OSError: The file cannot be read; IsADirectoryError where it is not a regular file, EFBIG
            where it holds more than `most` bytes. `is_damage` says which errors are the file's.
    """
    descriptor = _open(path, most)[0]
    with open(descriptor, "rb") as file:
        yield file


@operation
def read_bytes(path: Place, most: int = MOST_BYTES) -> bytes:
    """Content of a file; raises as `opened` does."""
    descriptor, size = _open(path, most)
    try:
        data = os.read(descriptor, size + 1)
        while len(data) < size and (more := os.read(descriptor, most)):
            data += more
        return data
    finally:
        os.close(descriptor)


def _open(path: Place, most: float) -> tuple[int, int]:
    """Descriptor and size of a regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_size <= most:
        return descriptor, state.st_size
    os.close(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, "not a regular file", str(path))
    raise too_large(path, state.st_size, most)


def too_large(path: Place, size: int, most: float) -> OSError:
    """The error of a file that holds more bytes than it may."""
    says = f"{size:,} bytes, more than the {most:,} that such a file may have"
    return OSError(errno.EFBIG, says, str(path))


def is_damage(error: OSError) -> bool:
    """Whether an error of reading is the file's: it is gone, or is none. Else the machine fails."""
    return isinstance(error, NO_FILE) or error.errno in (errno.ELOOP, errno.EFBIG, errno.ENXIO)


def read_json(path: Place) -> Any:
    """Content of a small JSON file; None where it is absent, torn or not strict JSON.

    Raises:
        StoreError: the machine refuses to read it.
    """
    with storing(path):
        try:
            return parse(read_bytes(path))
        except ValueError:
            return None
        except OSError as error:
            if is_damage(error):
                return None
            raise


def token() -> str:
    """A random name that no other process draws."""
    return secrets.token_hex(8)


def _same_file(one: Place, other: Place) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False


def _free(path: Place) -> str:
    if isinstance(path, ObjectPath):
        return ""
    for folder in (path, *path.parents):
        with contextlib.suppress(OSError):
            return f" ({shutil.disk_usage(folder).free / 1e6:,.0f} MB free)"
    return ""
