"""The file operations of `files` on an object store: conditional creation in place of links.

An object appears complete or not at all, and `If-None-Match: *` has the store refuse to replace it:
that is all that publishing and claims need. There are no folders, no links that lead outside, and
nothing to wait for: what is acknowledged is durable. What a store cannot do is refused in words: it
moves no file without a moment in which another could take its place, so nothing is set aside.

Listing a prefix is dear, so every published run has an empty object under `published/` as well.
Workers list that from time to time instead of asking for every run. It comes after the result, and
nothing that is counted or reported is read from it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from scaling.extras import needed
from sweeps import files
from sweeps.files import StoreError
from sweeps.places import ObjectPath

SECONDS_BETWEEN_LISTS = 1.0
"""Least age at which the list of published runs is made again; twenty times as long as it takes,
where that is more."""

_SHARE = 0.05
_AT_ONCE = 32  # requests; a store answers each in some 20 ms, however many there are
_LISTED = "published"


def require() -> Any:
    """The package that speaks to object stores.

    Raises:
        ValueError: it is not installed.
    """
    return needed(
        "obstore", "an object store", extra="store", otherwise="give a folder of this machine"
    )


@functools.cache
def _bucket(address: str) -> Any:
    """A bucket, with the credentials and the address of the service that the environment names."""
    from obstore.store import from_url

    return from_url(address)


@contextlib.contextmanager
def _asking(path: ObjectPath) -> Generator[Any]:
    """Turns what a store refuses into an error of the operating system; yields its functions."""
    obstore = require()
    refused = obstore.exceptions
    try:
        yield obstore
    except (FileNotFoundError, refused.NotFoundError):
        raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from None
    except refused.AlreadyExistsError:
        raise FileExistsError(errno.EEXIST, "there is such an object", str(path)) from None
    except (refused.PermissionDeniedError, refused.UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, _first_line(error), str(path)) from None
    except refused.BaseError as error:
        raise OSError(errno.EIO, _first_line(error), str(path)) from None


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:300]


def _create(path: ObjectPath, data: bytes) -> None:
    with _asking(path) as store:
        store.put(_bucket(path.bucket), path.key, data, mode="create")


@files.write_new.register
def _write_new(path: ObjectPath, data: bytes, *, durable: bool) -> None:
    _create(path, data)


@files.overwrite.register
def _overwrite(path: ObjectPath, data: bytes) -> None:
    with _asking(path) as store:
        store.put(_bucket(path.bucket), path.key, data)


@files.publish.register
def _publish(path: ObjectPath, data: bytes, *, scratch: ObjectPath, durable: bool) -> bool:
    try:
        _create(path, data)
    except FileExistsError:
        # A request whose answer was lost may have been repeated: is it ours after all?
        return files.read_bytes(path, files.MANY_BYTES) == data
    return True


@files.read_bytes.register
def _read_bytes(path: ObjectPath, most: int = files.MOST_BYTES) -> bytes:
    with _asking(path) as store:
        found = store.get(_bucket(path.bucket), path.key)
        size = found.meta["size"]
        if size > most:
            raise files.too_large(path, size, most)
        return bytes(found.bytes())


@files.opened.register
@contextlib.contextmanager
def _opened(path: ObjectPath, most: float = files.MANY_BYTES) -> Generator[IO[bytes]]:
    yield io.BytesIO(files.read_bytes(path, int(min(most, files.MANY_BYTES))))


@files.exists.register
def _exists(path: ObjectPath) -> bool:
    try:
        with _asking(path) as store:
            store.head(_bucket(path.bucket), path.key)
    except FileNotFoundError:
        return False
    return True


@files.is_folder.register
def _is_folder(path: ObjectPath) -> bool:
    return True  # a name below which others may be


@files.names.register
def _names(folder: ObjectPath) -> list[str]:
    with _asking(folder) as store:
        found = store.list_with_delimiter(_bucket(folder.bucket), folder.key)
    below = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
    return [name.rstrip("/").rsplit("/", 1)[-1] for name in below]


@files.mapped.register
def _mapped(place: ObjectPath, read: Callable[[str], Any], names: Iterable[str]) -> Iterator[Any]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked = deque[Future[Any]]()
        for name in names:
            asked.append(threads.submit(read, name))
            if len(asked) > 2 * _AT_ONCE:
                yield asked.popleft().result()
        yield from (each.result() for each in asked)


@files.names_below.register
def _names_below(folder: ObjectPath) -> list[str]:
    # Everything below, a thousand objects in a request: up to 256 folders would take one each.
    depth = len(folder.parts) - 2
    found = {(*path.split("/")[depth : depth + 2],) for path in _keys(folder)}
    return [name for above, name in (each for each in found if len(each) == 2) if name[:2] == above]


@files.costs_requests.register
def _costs_requests(place: ObjectPath) -> bool:
    return True


@files.sync_folder.register
@files.check_inside.register
def _nothing(folder: ObjectPath, *_: object) -> None:
    """There are no folders: an object is durable when it is acknowledged, and no link leads out."""


@files.make_folder.register
def _make_folder(folder: ObjectPath) -> bool:
    return False


@files.make_filled_folder.register
def _make_filled_folder(folder: ObjectPath, name: str, data: bytes) -> bool:
    try:
        _create(folder / name, data)
    except FileExistsError:
        return False
    return True


@files.set_aside.register
def _set_aside(path: ObjectPath, quarantine: ObjectPath, name: str, reason: str) -> None:
    raise OSError(
        errno.ENOTSUP,
        "an object store cannot move an object atomically; remove it by hand when no worker is at "
        "work",
        str(path),
    )


@files.probe.register
def _probe(folder: ObjectPath) -> None:
    target = folder / ".probes" / files.token()
    with files.storing(folder):
        _create(target, b"probe\n")
        try:
            _create(target, b"another\n")
        except FileExistsError:
            return
        finally:
            with _asking(target) as store:
                store.delete(_bucket(target.bucket), target.key)
    raise StoreError(
        f"{folder}: the store replaces an object although it is asked not to (If-None-Match: *): "
        "two workers could publish two results for one run. Use a store that honours it, such as "
        "Amazon S3, Google Cloud Storage, Azure Blob Storage or MinIO"
    )


class _Published:
    """The runs below `published/`, as they were when they were last listed."""

    def __init__(self, folder: ObjectPath) -> None:
        self._folder = folder
        self._known: set[str] = set()
        self._next = -float("inf")

    def holds(self, run_id: str) -> bool:
        if run_id not in self._known and time.monotonic() >= self._next:
            began = time.monotonic()
            self._known |= {key.rsplit("/", 1)[-1] for key in _keys(self._folder)}
            now = time.monotonic()
            self._next = now + max(SECONDS_BETWEEN_LISTS, (now - began) / _SHARE)
        return run_id in self._known


known_as_published = functools.cache(_Published)


@files.note_published.register
def _note_published(root: ObjectPath, run_id: str) -> None:
    _overwrite(root / _LISTED / run_id, b"")


@files.seems_published.register
def _seems_published(root: ObjectPath, run_id: str, path: ObjectPath) -> bool:
    return known_as_published(root / _LISTED).holds(run_id)


def _keys(folder: ObjectPath) -> Iterator[str]:
    with _asking(folder) as store:
        for chunk in store.list(_bucket(folder.bucket), folder.key):
            yield from (each["path"] for each in chunk)
