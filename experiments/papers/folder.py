"""Writing a bundle: never over what a hand has changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.writing import replace_file
from experiments.papers.bundle import MANIFEST, digests


@dataclass(frozen=True)
class Written:
    """Where a bundle went.

    Attributes:
        folder: The folder that was written.
        edited: Files of the folder asked for that a hand has changed; then `folder` is another.
    """

    folder: Path
    edited: tuple[str, ...] = ()


def write(folder: Path, made: Mapping[str, bytes]) -> Written:
    """Writes a bundle, beside the folder if a hand has changed a file in it.

    Files that an older bundle left and this one lacks are removed; files of others stay.

    Raises:
        ValueError: The folder holds files, and is no bundle.
        OSError: A file cannot be written.
    """
    changed = edited(folder, made)
    free = folder
    # `make redraw` writes into ".", which has no name that another could stand beside.
    named = folder.resolve() if folder.name in ("", "..") else folder
    for number in range(2, 1000):
        if not edited(free, made):
            break
        free = named.with_name(f"{named.name}-{number}")
    old = _manifest(free)
    # The manifest goes last: a bundle that was cut off is recognised by its files.
    for path, data in made.items():
        if path != MANIFEST and _bytes(free / path) != data:
            replace_file(free / path, data)
    for path in old.keys() - made.keys():
        (free / path).unlink(missing_ok=True)
    replace_file(free / MANIFEST, made[MANIFEST])
    return Written(free, changed)


def edited(folder: Path, made: Mapping[str, bytes]) -> tuple[str, ...]:
    """Returns the files of a folder that are neither as an older bundle nor as this one has them.

    Raises:
        ValueError: The folder holds files, and is no bundle.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file. Give a folder for the bundle.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return ()
    old = _manifest(folder)
    if not old:
        raise ValueError(
            f"{folder} holds files but no {MANIFEST}, so it is no bundle. Give a new or an empty "
            "folder."
        )
    found = []
    for path in sorted(made.keys() | old.keys()):
        data = _bytes(folder / path)
        if path == MANIFEST or data is None or data == made.get(path):
            continue
        if hashlib.sha256(data).hexdigest() != old.get(path):
            found.append(path)
    return tuple(found)


def _manifest(folder: Path) -> dict[str, str]:
    data = _bytes(folder / MANIFEST)
    return digests(data.decode("utf-8", "replace")) if data else {}


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
