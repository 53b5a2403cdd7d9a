"""Writing a bundle into its folder: what a hand has changed there stays as it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.writing import replace_file
from experiments.papers.bundle import MANIFEST, TEXTS, digests, manifest, renewed


@dataclass(frozen=True)
class Written:
    """What became of a folder.

    Attributes:
        texts: Texts of the author, left as they are.
        edited: Pieces that a hand has changed, left as they are; what the results give now lies
            beside each (`renewed`).
        orphaned: Pieces that a hand has changed and that no result gives any more, left too.
        added: Pieces of LaTeX that the folder did not have, for the author's text to take in; none
            of a new folder.
    """

    texts: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    orphaned: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def write(folder: Path, made: Mapping[str, bytes]) -> Written:
    """Writes a bundle into a new folder, or renews that of an older one.

    Files that an older bundle left and this one lacks are removed, unless a hand has changed them;
    files of others stay.

    Raises:
        ValueError: The folder holds files, and is no bundle.
        OSError: A file cannot be written.
    """
    old = _older(folder)
    changed = _changed(folder, old, made)
    texts = tuple(path for path in changed if path in TEXTS)
    edited = tuple(path for path in changed if path in made.keys() - TEXTS)
    orphaned = tuple(path for path in changed if path not in made.keys() | TEXTS)
    beside = {renewed(path): made[path] for path in edited}
    for path, data in {**made, **beside}.items():
        if path != MANIFEST and path not in changed and _bytes(folder / path) != data:
            replace_file(folder / path, data)
    for path in old.keys() - made.keys() - beside.keys() - set(changed):
        (folder / path).unlink(missing_ok=True)
    # The manifest goes last: a bundle that was cut off is recognised by its files. It has the
    # digests of what the results give, so that a changed file stays known as changed.
    replace_file(folder / MANIFEST, manifest({**made, **beside}))
    added = sorted(path for path in made.keys() - old.keys() if old and path.endswith(".tex"))
    return Written(texts, edited, orphaned, tuple(added))


def _older(folder: Path) -> dict[str, str]:
    """Digests of the bundle that a folder holds; none of a new or empty folder."""
    if folder.is_file():
        raise ValueError(f"{folder} is a file. Give a folder for the bundle.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return {}
    data = _bytes(folder / MANIFEST)
    if not data:
        raise ValueError(
            f"{folder} holds files but no {MANIFEST}, so it is no bundle. Give a new or an empty "
            "folder."
        )
    return digests(data.decode("utf-8", "replace"))


def _changed(folder: Path, old: Mapping[str, str], made: Mapping[str, bytes]) -> tuple[str, ...]:
    """Files of a folder that are neither as the older bundle nor as this one has them."""
    found = []
    for path in sorted(made.keys() | old.keys()):
        data = _bytes(folder / path)
        if path == MANIFEST or data is None or data == made.get(path):
            continue
        if hashlib.sha256(data).hexdigest() != old.get(path):
            found.append(path)
    return tuple(found)


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
