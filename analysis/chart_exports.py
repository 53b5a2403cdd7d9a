"""W&B's export of a chart -> one row for each run and step, as its export of a table has them."""

from __future__ import annotations

from collections.abc import Hashable

import pandas as pd

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
