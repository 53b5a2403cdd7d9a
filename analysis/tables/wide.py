"""Tables with a column for each size become long, a row for each; sizes are read from names."""

from __future__ import annotations

import re

import pandas as pd

from analysis.tables import results
from analysis.tables.units import number

CELLS = "loss"
"""The column of the cells of a table that was wide."""

SIZE = "run.size"
"""The column of the sizes that stand in the names of runs."""

_COUNTS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_COUNTED = re.compile(r"(\d+(?:\.\d+)?)([kmbt])", re.IGNORECASE)
_LOSS_AT = re.compile(r".*loss[^a-z0-9]+(\d+(?:\.\d+)?[kmbt])", re.IGNORECASE)
_SIZE_IN_NAME = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([kmb])(?![a-z0-9])", re.IGNORECASE)


def size(name: str) -> float | None:
    """Returns the size that a text is, such as 64, 1e6, 1.3B or loss_1.3B; None for any other."""
    if found := _LOSS_AT.fullmatch(name.strip()):
        name = found[1]
    if found := _COUNTED.fullmatch(name.strip()):
        return float(found[1]) * _COUNTS[found[2].lower()]
    return number(name)


def sized(frame: pd.DataFrame) -> list[str]:
    """Returns the columns whose names are sizes."""
    return [name for name in map(str, frame.columns) if size(name) is not None]


def melted(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Returns a wide table in long form: one row for each filled cell under a size.

    Args:
        frame: A table with columns such as `64`, `128`, `1.3B`, whose cells are losses.
        quantity: Name of the column that takes the sizes.

    Returns:
        The other columns, `quantity` and `loss`. A row is named after its line and its column, as
        `3 (128)`.

    Raises:
        ValueError: Fewer than two columns named for a size, or a column that has one of the names.
    """
    wide = sized(frame)
    if len(wide) < 2:
        raise ValueError(
            f"--melt {quantity}: {len(wide) or 'no'} column is named for a size, such as 64 or "
            f"1.3B; leave --melt out where the table has a row for each size (there are "
            f"{', '.join(map(repr, frame.columns))})"
        )
    taken = [name for name in (quantity, CELLS) if name in frame.columns]
    if taken:
        raise ValueError(
            f"--melt {quantity}: the table has a column {taken[0]!r} already; rename it, or leave "
            "--melt out"
        )
    kept = frame.drop(columns=wide)
    parts = []
    for name in wide:
        part = kept.assign(**{quantity: size(name), CELLS: results.column(frame, name)})
        part.index = pd.Index([f"{row} ({name})" for row in frame.index], name=frame.index.name)
        parts.append(part.loc[part[CELLS].notna()])
    return pd.concat(parts)


def with_sizes_in_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds the column `run.size` where the name of every run holds one size: `pythia-70m`."""
    found = {run: _SIZE_IN_NAME.findall(str(run)) for run in frame["run"].unique()}
    if any(len(sizes) != 1 for sizes in found.values()):
        return frame
    sizes = {run: float(amount) * _COUNTS[unit.lower()] for run, [(amount, unit)] in found.items()}
    return frame.assign(**{SIZE: [sizes[run] for run in frame["run"]]})
