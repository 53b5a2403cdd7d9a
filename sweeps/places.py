"""Where a results folder lies: a folder of a file system, or a prefix in an object store."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import NoReturn

from scaling.data.cache import cache_folder

_STORE = re.compile(r"(s3|gs|az)://([^/]+)(/.+)?")


class ObjectPath(PurePosixPath):
    """A place in an object store, such as s3://bucket/results/widths.

    It has the parts of a path and opens nothing. The operating system does not know it.
    """

    def __str__(self) -> str:
        """The address, as people and stores write it."""
        return super().__str__().replace(":/", "://", 1)

    @property
    def bucket(self) -> str:
        """Address of the bucket or container."""
        return f"{self.parts[0]}//{self.parts[1]}"

    @property
    def key(self) -> str:
        """Name within the bucket."""
        return "/".join(self.parts[2:])

    def __fspath__(self) -> NoReturn:
        raise TypeError(f"{self} is no path of this machine")


Place = Path | ObjectPath


def place(name: str | os.PathLike[str] | ObjectPath) -> Place:
    """The place with this name: an address such as s3://bucket/folder, or a path.

    Raises:
        ValueError: an address of a kind that cannot hold results.
    """
    if isinstance(name, ObjectPath):
        return name
    text = os.fspath(name)
    if "://" not in text:
        return Path(text)
    if not _STORE.fullmatch(text):
        raise ValueError(
            f"{text} is no place for results: give a folder, or s3://BUCKET/FOLDER, "
            "gs://BUCKET/FOLDER or az://CONTAINER/FOLDER"
        )
    return ObjectPath(text)


def shown(where: Place) -> Path:
    """Folder for what people look at, reports above all: that of the results, or one here."""
    return where if isinstance(where, Path) else Path("results", *where.parts[1:])


def local(where: Place) -> Path:
    """Folder of this machine for what an object store cannot hold; a folder itself."""
    if isinstance(where, Path):
        return where
    name = hashlib.sha256(str(where).encode()).hexdigest()[:16]
    return cache_folder() / "object_stores" / f"{where.name}-{name}"
