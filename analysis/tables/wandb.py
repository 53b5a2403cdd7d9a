"""Nested records -> flat columns with dotted names, as W&B and other trackers leave them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.tables import results

_NOT_A_LITERAL = re.compile(r"(?<=[:\[,(] )(?:nan|-?inf)\b")


def flatten_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row of a nested record: `{"config": {"n": 1}}` has the column `config.n`.

    W&B's `{"value": 1, "desc": null}` is its value; a list is kept as JSON text.
    """
    return dict(_walk(record, ""))


def expand_dictionaries(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that hold dictionaries as text, such as `config` and `summary`, one column a key.

    W&B's own recipe for an export writes them so: as Python literals or JSON. They are parsed as
    literals, never run.
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


def _walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value) if isinstance(value, list) else value


def _is_dictionary(column: pd.Series) -> bool:
    filled = column.dropna()
    return len(filled) > 0 and str(filled.iloc[0]).startswith("{")


def _dictionary(text: Any) -> dict[str, Any] | None:
    if not isinstance(text, str):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(_NOT_A_LITERAL.sub("None", text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return value if isinstance(value, dict) else None


_ENDS = ("__MIN", "__MAX")


def unpivoted(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a chart's export in long form; any other table as it stands.

    A chart of `metric` is exported as a column of steps, and for each run the columns
    `run - metric`, `run - metric__MIN` and `run - metric__MAX`: the mean, least and greatest of
    what was logged between two steps.

    Args:
        frame: A table as it was read; its index numbers the rows of the file.

    Returns:
        Columns `run`, that of the steps, and one for each metric; a row of the file appears once
        for each run that has a value in it, under its number.
    """
    series = [
        name
        for name in frame
        if " - " in name and all(f"{name}{end}" in frame.columns for end in _ENDS)
    ]
    charted = {name: name.rpartition(" - ") for name in series}
    steps = [name for name in frame if not any(name in (s, *_ends(s)) for s in series)]
    if not series or len(steps) != 1:
        return frame
    parts: dict[Hashable, list[pd.DataFrame]] = {}
    for name, (run, _, metric) in charted.items():
        part = pd.DataFrame({steps[0]: frame[steps[0]], metric: frame[name]}).dropna()
        parts.setdefault(run, []).append(part.set_index(steps[0], append=True))
    joined = {run: pd.concat(columns, axis=1) for run, columns in parts.items()}
    long = pd.concat(joined, names=["run", frame.index.name, steps[0]])
    return long.reset_index(level=["run", steps[0]])


def _ends(name: str) -> list[str]:
    return [f"{name}{end}" for end in _ENDS]
