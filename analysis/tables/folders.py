"""Folders of files, one a run: trainer logs, evaluations, curves; each file names its run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.tables.files import loads, read_bytes, require_size
from analysis.tables.names import is_run
from analysis.tables.wandb import flatten_record

LOG = "trainer_state.json"
SETTINGS = "config.json"
"""A file beside a log, whose settings become columns `config.NAME`."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def find(folder: Path, endings: Iterable[str]) -> list[Path]:
    """Returns the files of a folder that hold its runs, by name, with numbers by value.

    Trainer logs (`trainer_state.json`), else evaluations (`results*.json`), else all tables. Of the
    checkpoints of one training (`checkpoint-500/`, ...), each of which holds the whole log up to
    it, the latest is taken, and one beside them before it.

    Args:
        folder: The folder; those below it are searched too.
        endings: Endings of the files that are tables.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"), key=_counted)
        if path.name.lower().endswith(tuple(endings)) and path.name != SETTINGS and path.is_file()
    ]
    logs: dict[Path, dict[float, Path]] = {}
    for path in (path for path in files if path.name == LOG):
        found = _CHECKPOINT.fullmatch(path.parent.name)
        logs.setdefault(_home(path), {})[int(found[1]) if found else float("inf")] = path
    if logs:
        return [
            steps[max(steps)]
            for _, steps in sorted(logs.items(), key=lambda item: _counted(item[0]))
        ]
    scores = [path for path in files if re.fullmatch(r"results.*\.json", path.name)]
    return scores or files


def joined(folder: Path, tables: Iterable[tuple[Path, pd.DataFrame]]) -> pd.DataFrame:
    """Returns the tables of a folder, one below the other.

    A table that does not tell its runs apart gets the column `run`: the path of its folder, or its
    own where the file lies in `folder` itself. Rows are named after file and row.
    """
    parts = []
    for path, frame in tables:
        place = path.relative_to(folder)
        home = _home(path).relative_to(folder)
        label = place.with_suffix("") if home == Path() else home
        new: dict[str, Any] = {} if any(map(is_run, frame.columns)) else {"run": label.as_posix()}
        new |= {name: value for name, value in _settings(path) if name not in frame}
        frame = frame.assign(**new)
        frame.index = pd.Index([f"{place.as_posix()}:{row}" for row in frame.index], name="row")
        parts.append(frame)
    return pd.concat(parts)


def _counted(path: Path) -> list[str]:
    """A key that sorts numbers in names by their value, so that step 900 comes before 1000."""
    return [part.zfill(20) for part in re.split(r"(\d+)", path.as_posix())]


def require_sizes(folder: Path, files: Iterable[Path]) -> None:
    """Refuses files that are more than a table together, as `files.require_size` does."""
    require_size(folder, sum(path.stat().st_size for path in files))


def _home(path: Path) -> Path:
    """The folder of a training: that of its log, or the one above a checkpoint."""
    above = path.parent
    return above.parent if _CHECKPOINT.fullmatch(above.name) else above


def _settings(path: Path) -> Iterator[tuple[str, object]]:
    """Numbers, words and truth values of the settings beside a file or its training."""
    for folder in dict.fromkeys((path.parent, _home(path))):
        file = folder / SETTINGS
        if file.is_file():
            try:
                settings = loads(read_bytes(file, None))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{file}: not JSON ({error}); correct it or take it out") from None
            record = settings if isinstance(settings, dict) else {}
            for name, value in flatten_record(record).items():
                if isinstance(value, bool | int | float | str):
                    yield f"config.{name}", value
            return
