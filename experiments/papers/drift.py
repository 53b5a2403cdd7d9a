"""What in a bundle differs from what its results give, thing by thing."""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.papers.bundle import MANIFEST, PROSE, digests, renewed
from experiments.papers.references import entries_of
from experiments.shared.words import several

_DEFINITION = re.compile(r"\\newcommand\{\\([A-Za-z]+)\}\{(.*)\}$", re.MULTILINE)
POINTS = re.compile(rb"/Keywords \(points ([0-9a-f]{64})\)")
"""The digest of the drawn points in a figure's PDF."""


class Drift(NamedTuple):
    """A file of a bundle, and in what it differs from the results."""

    path: str
    says: str

    def __str__(self) -> str:
        return f"{self.path}: {self.says}"


def drifts(folder: Path, made: Mapping[str, bytes], same_libraries: bool) -> list[Drift]:
    """Returns what in a folder differs from its results.

    Args:
        folder: The bundle.
        made: The files that its results give now.
        same_libraries: Whether it was drawn with the libraries that are here; if not, figures are
            compared by the points that they show.
    """
    written = digests(_text(folder / MANIFEST))
    found = []
    for path in sorted(made.keys() - PROSE):
        file = folder / path
        if not file.is_file():
            found.append(Drift(path, "is gone"))
        elif (data := file.read_bytes()) != made[path]:
            found += [Drift(path, each) for each in _differs(path, data, made, same_libraries)]
        elif written.get(path) != hashlib.sha256(data).hexdigest():
            found.append(Drift(path, f"{MANIFEST} has another digest of it"))
    stale = written.keys() - made.keys() - PROSE - {renewed(path) for path in made}
    return found + [Drift(p, "is stale: no result gives it") for p in sorted(stale)
                    if (folder / p).exists()]  # fmt: skip


def definitions_in(text: str) -> dict[str, str]:
    """Returns what each macro that a file defines prints, by name."""
    return {found[1]: found[2] for found in _DEFINITION.finditer(text)}


def _differs(
    path: str, data: bytes, made: Mapping[str, bytes], same_libraries: bool
) -> Iterator[str]:
    if path == "numbers.tex":
        yield from _macros(data.decode("utf-8", "replace"), made[path].decode())
    elif path == "references.bib":
        known, needed = (entries_of(each.decode("utf-8", "replace")) for each in (data, made[path]))
        for key, entry in needed.items():
            if known.get(key) != entry:
                yield f"{key} is {'changed' if key in known else 'missing'}"
    elif path == "runs.parquet":
        yield from _runs(data, made[path])
    elif path.endswith(".pdf"):
        points = hashlib.sha256(made[f"{path[:-4]}.csv"]).hexdigest().encode()
        shown = POINTS.search(data)
        if shown is None or shown[1] != points:
            yield "shows other points than the results"
        elif same_libraries:
            yield "is not as the results draw it"
    else:
        yield _lines(data.decode("utf-8", "replace"), made[path].decode())


def _macros(text: str, right: str) -> Iterator[str]:
    has, gives = definitions_in(text), definitions_in(right)
    for name in sorted(gives.keys() | has.keys()):
        if name not in gives:
            yield f"\\{name} is stale: no result gives it"
        elif name not in has:
            yield f"\\{name} is missing; the results give {gives[name]}"
        elif has[name] != gives[name]:
            yield f"\\{name} is {has[name]}; the results give {gives[name]}"
    if has == gives:
        yield "comments or order differ"


def _runs(data: bytes, right: bytes) -> Iterator[str]:
    try:
        has, gives = (pd.read_parquet(io.BytesIO(each)) for each in (data, right))
    except (OSError, ValueError) as error:
        yield f"cannot be read ({error})"
        return
    if has.equals(gives):
        return
    before, now = (dict(zip(each["run_id"], each["status"], strict=True)) for each in (has, gives))
    for what, ids in (
        ("that the results lack", before.keys() - now.keys()),
        ("fewer than the results", now.keys() - before.keys()),
        ("of another status", {i for i in before.keys() & now.keys() if before[i] != now[i]}),
    ):
        if ids:
            yield f"{several(len(ids), 'run')} {what}, such as {min(ids)}"
    if before == now:
        columns = [name for name in gives if name not in has or not gives[name].equals(has[name])]
        yield f"other values of {', '.join(map(str, columns[:5]))}"


def _lines(text: str, right: str) -> str:
    has, gives = text.splitlines(), right.splitlines()
    pairs = list(zip(has, gives, strict=False))
    for number, (line, wanted) in enumerate(pairs, 1):
        if line != wanted:
            return f"line {number} is {_cut(line)!r}; the results give {_cut(wanted)!r}"
    return f"has {len(has)} lines; the results give {len(gives)}"


def _cut(line: str, most: int = 100) -> str:
    return line if len(line) <= most else f"{line[:most]}..."


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
