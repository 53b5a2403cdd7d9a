"""One-way mirrors of a results folder in the formats of other programs, on this machine alone.

The folder stays the record: a mirror is written from it, and may be deleted and written again.
Beside what is mirrored lies `mirrored.jsonl`, with a line for each program and run, its results
folder, and the checksum of its record. A run whose record stands there is passed over, so that the
same command adds what is new; one that was cut short, or has another result by now, is written in
place of what there is of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from experiments.commands.mirror_formats import MIRRORS, Mirrored, Point, Setting
from scaling.fields import flatten
from scaling.record import column, row_of_text
from scaling.sealed import DamagedFileError, sha256
from sweeps.files import MANY_BYTES, read_bytes
from sweeps.places import place
from sweeps.store import Store

_LEDGER = "mirrored.jsonl"
_ENTRIES = {"program", "sweep", "run_id", "sha256"}


class Became(NamedTuple):
    """What became of the runs of a mirror."""

    written: int
    kept: int  # mirrored before
    damaged: list[str]  # learning curves that could not be read, and why


def mirror(stores: list[Store], program: str, folder: Path) -> Became:
    """Mirrors the published runs of results folders that are not mirrored yet.

    Raises:
        ValueError: the package of the program is not installed or cannot write there, the folder
            is one of results, or it has a sweep of the same name from elsewhere.
    """
    if any(Store.is_at(above) for above in (folder, *folder.absolute().parents)):
        raise ValueError(
            f"--to {folder} lies in a results folder, and a mirror is kept apart from what it is "
            "written from: give another folder"
        )
    known = [line for line in _lines(folder) if line["program"] == program]
    _require_same_folders(stores, known, folder)
    with _explaining(program, folder):
        writer = MIRRORS[program](folder.absolute())
    folder.mkdir(parents=True, exist_ok=True)
    digests = {(line["sweep"], line["run_id"]): line["sha256"] for line in known}
    written, kept, damaged = 0, 0, list[str]()
    with (folder / _LEDGER).open("a", encoding="utf-8") as ledger:
        for store, text in _published(stores):
            run_id, digest = column(text, "run_id"), sha256(text)
            if digests.get((store.root.name, run_id)) == digest:
                kept += 1
                continue
            try:
                run = _mirrored(store, text)
            except DamagedFileError as error:
                damaged.append(str(error))
                continue
            with _explaining(program, folder):
                writer.replace(run)
            line = {
                "program": program,
                "sweep": store.root.name,
                "folder": str(store.root),
                "run_id": run_id,
                "sha256": digest,
            }
            ledger.write(f"\n{json.dumps(line)}")  # a line that was cut short stays apart
            ledger.flush()
            written += 1
    return Became(written, kept, damaged)


@contextlib.contextmanager
def _explaining(program: str, folder: Path) -> Generator[None]:
    """Says in a sentence what the package of a program raises, which has errors of its own."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ValueError(
            f"--format {program} cannot write into {folder}: {lines[0].rstrip('.')}. Remove what "
            "is there of it, or give another folder"
        ) from error


def _published(stores: list[Store]) -> Iterator[tuple[Store, bytes]]:
    for store in stores:
        for text in store.texts():
            if column(text, "status") in ("done", "diverged"):
                yield store, text


def _mirrored(store: Store, text: bytes) -> Mirrored:
    columns = row_of_text(text)
    settings = flatten(column(text, "config"))
    curve = store.curve(columns["run_id"])
    return Mirrored(
        sweep=store.root.name,
        run_id=columns["run_id"],
        settings={name: _setting(value) for name, value in settings.items() if value is not None},
        numbers=_numbers({k: v for k, v in columns.items() if k not in settings}),
        curve=tuple(Point(point.step, _numbers(flatten(asdict(point)))) for point in curve),
    )


def _setting(value: Any) -> Setting:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _numbers(columns: Mapping[str, Any]) -> dict[str, float]:
    """The columns that hold numbers, those of the environment apart."""
    return {
        name: float(value)
        for name, value in columns.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if not name.startswith("environment.") and name != "step"
    }


def _require_same_folders(
    stores: list[Store], known: Sequence[Mapping[str, str]], folder: Path
) -> None:
    """Refuses a results folder whose name in the mirror is that of another which is still there."""
    earlier = {line["sweep"]: line["folder"] for line in known if "folder" in line}
    for store in stores:
        other = earlier.get(store.root.name, str(store.root))
        if other != str(store.root) and Store.is_at(place(other)):
            raise ValueError(
                f"--to {folder} mirrors {other}, which has the name of {store.root}: runs of both "
                "would be one sweep there. Give another folder"
            )


def _lines(folder: Path) -> list[dict[str, str]]:
    """What is mirrored, a line a run; one that was cut short or damaged counts for nothing."""
    found: list[dict[str, str]] = []
    with contextlib.suppress(FileNotFoundError):
        for line in read_bytes(folder / _LEDGER, MANY_BYTES).splitlines():
            with contextlib.suppress(ValueError):
                each = json.loads(line)
                is_whole = isinstance(each, dict) and _ENTRIES <= each.keys()
                if is_whole and all(isinstance(entry, str) for entry in each.values()):
                    found.append(each)
    return found
