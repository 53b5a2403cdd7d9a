"""Tables as W&B and other trackers write them -> flat columns, one row for each run and step.

Four shapes are undone: records nested as `{"config": {"n": 1}}` (JSON), dictionaries written as
text in a cell (the CSV that W&B's own recipe writes), a chart's export, which has columns for each
run side by side, and TensorBoard's, which has run and metric in the name of the file. Nothing that
is read is ever run as code.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from analysis.tables import results

_NOT_A_LITERAL = re.compile(r"(?<=[:\[,(] )(?:nan|-?inf)\b")
"""Numbers that Python prints in a dictionary and `ast.literal_eval` does not read."""

_CURVE = ["Wall time", "Step", "Value"]
_TAGGED = re.compile(r"run-(?P<run>.+)-tag-(?P<metric>.+?)\.csv")
_RANGE_ENDS = ("__MIN", "__MAX")
"""Endings of the two columns beside each mean in a chart's export."""


def flatten_record(record: Mapping[str, object]) -> dict[str, object]:
    """Returns one flat row of a nested record: `{"config": {"n": 1}}` has the column `config.n`.

    W&B's `{"value": 1, "desc": null}` becomes its value; a list is kept as JSON text.
    """
    return dict(_walk(record, ""))


def expand_dictionaries(frame: pd.DataFrame) -> pd.DataFrame:
    """Expands columns that hold dictionaries as text, such as `config`, to one column a key.

    The text is a Python literal or JSON; a column with any other text stays unchanged.
    """
    expanded = [frame]
    for name in frame.columns:
        column = results.column(frame, name)
        if pd.api.types.is_numeric_dtype(column) or not _is_dictionary(column):
            continue
        rows = [_dictionary(text) for text in column]
        if any(row is None for row in rows):
            continue
        flat = [flatten_record({str(name): row}) for row in rows]
        expanded[0] = expanded[0].drop(columns=name)
        expanded.append(pd.DataFrame(flat, index=frame.index))
    return frame if len(expanded) == 1 else pd.concat(expanded, axis=1)


def unpivoted(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a chart's export in long form, any other table unchanged.

    A chart of `metric` is exported as a column of steps, and for each run the columns
    `run - metric`, `run - metric__MIN` and `run - metric__MAX`: the mean, least and greatest of
    what was logged between two steps.

    Args:
        frame: A table as it was read; its index numbers the rows of the file.

    Returns:
        Columns `run`, that of the steps, and one for each metric. A row of the file appears once
        for each run that has a value in it, named after both, as `3 (run)`.
    """
    # 1. The means, each with its range, and the one column that is left: the steps.
    means = [
        name
        for name in map(str, frame)
        if " - " in name and all(end in frame.columns for end in _range_ends(name))
    ]
    known = {column for name in means for column in (name, *_range_ends(name))}
    steps = [name for name in map(str, frame) if name not in known]
    if not means or len(steps) != 1:
        return frame
    # 2. A table of each mean by row and step, without the steps at which its run logged nothing.
    parts: dict[Hashable, list[pd.DataFrame]] = {}
    for name in means:
        run, _, metric = name.rpartition(" - ")
        part = pd.DataFrame({steps[0]: frame[steps[0]], metric: frame[name]}).dropna()
        parts.setdefault(run, []).append(part.set_index(steps[0], append=True))
    # 3. The metrics of a run side by side, the runs one below the other.
    joined = {run: pd.concat(columns, axis=1) for run, columns in parts.items()}
    long = pd.concat(joined, names=["run", frame.index.name, steps[0]])
    long = long.reset_index(level=["run", steps[0]])
    labels = [f"{row} ({run})" for row, run in zip(long.index, long["run"], strict=True)]
    return long.set_axis(pd.Index(labels, name=frame.index.name))


def tagged(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Returns TensorBoard's export of one curve with its run and metric, any other unchanged.

    The export has the columns `Wall time`, `Step` and `Value`. Its file is named
    `run-RUN-tag-METRIC.csv`, with `.` for a curve that is of no run in particular; under any other
    name the column stays `Value`.
    """
    found = _TAGGED.match(path.name)
    if list(frame.columns) != _CURVE or not found:
        return frame
    named = frame.rename(columns={"Value": found["metric"]})
    return named if found["run"] == "." else named.assign(run=found["run"])


def _walk(tree: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Yields the leaves of a nested record under their dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value) if isinstance(value, list) else value


def _is_dictionary(column: pd.Series) -> bool:
    """Whether the first filled cell looks like a dictionary."""
    filled = column.dropna()
    return len(filled) > 0 and str(filled.iloc[0]).startswith("{")


def _dictionary(cell: object) -> dict[str, object] | None:
    """The dictionary that a cell holds as text: empty for an empty cell, None for other text."""
    if not isinstance(cell, str):
        return {}
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(_NOT_A_LITERAL.sub("None", cell))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return value if isinstance(value, dict) else None


def _range_ends(name: str) -> list[str]:
    return [f"{name}{end}" for end in _RANGE_ENDS]
