"""Objects of JSON that hold a table -> records, every value beside those of its own row."""

from __future__ import annotations

from typing import cast

from analysis.tables.names import is_known, plain
from analysis.tables.units import number


def records(document: dict[str, object]) -> list[dict[str, object]] | None:
    """Returns the records of an object by their keys; None where its form is not known.

    Known are `{column: [values]}` and three forms of pandas:
    `{column: {row: value}}`, `{row: {column: value}}`, and `columns`, `index` and `data` apart.
    Keys that name rows, rather than count them, become the column `run` where there is none.
    """
    if set(document) == {"schema", "data"} and isinstance(document["data"], list):
        return document["data"]  # pandas' form `table` holds records beside their types
    if {"columns", "data"} <= set(document) <= {"columns", "data", "index"}:
        return _records_of_split(document)
    values = list(document.values())
    if values and all(isinstance(each, dict) for each in values):
        by_key = cast(dict[str, dict[str, object]], document)
        inner = dict.fromkeys(key for each in by_key.values() for key in each)
        if _are_rows(list(by_key), list(inner)):
            return _labelled(list(by_key), list(by_key.values()))
        rows = [
            {name: cells[row] for name, cells in by_key.items() if row in cells} for row in inner
        ]
        return _labelled(list(inner), rows)
    columns = [each for each in values if isinstance(each, list)]
    if len(columns) != len(values) or len({len(column) for column in columns}) != 1:
        return None
    return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]


def _records_of_split(document: dict[str, object]) -> list[dict[str, object]] | None:
    names, data = document["columns"], document["data"]
    if not isinstance(names, list) or not isinstance(data, list):
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    rows = [dict(zip(map(str, names), row, strict=True)) for row in data]
    index = document.get("index", list(range(len(rows))))
    if not isinstance(index, list) or len(index) != len(rows):
        return None
    return _labelled(list(map(str, index)), rows)


def _are_rows(outer: list[str], inner: list[str]) -> bool:
    """Whether the outer keys of two levels name rows, and the inner ones columns."""
    for rows, columns, answer in ((outer, inner, True), (inner, outer, False)):
        if all(number(key) is not None for key in rows) and not all(
            number(key) is not None for key in columns
        ):
            return answer
    return sum(map(is_known, inner)) > sum(map(is_known, outer))


def _labelled(keys: list[str], rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows with their keys as `run`, unless these are numbers or the rows name their runs."""
    counted = all(number(key) is not None for key in keys)
    if counted or any(plain(name) in ("run", "runid") for row in rows for name in row):
        return rows
    return [{"run": key, **row} for key, row in zip(keys, rows, strict=True)]
