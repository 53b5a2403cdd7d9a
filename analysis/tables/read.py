"""Anybody's table of runs -> N, D, C and loss in this project's units, or a sentence why not.

N parameters, D tokens (or examples), C training FLOPs (one multiply-add = 2), loss in nats per
prediction, and as far as they are there U unique tokens, `run`, `group`, `seed` and whatever else
a law takes. Of N, D and C any two give the third, by C = 6 N D unless told otherwise; where a law
needs them, tokens per parameter M follow from N and D, and epochs from D and U.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.tables import columns as naming
from analysis.tables import results
from analysis.tables.formats import read_raw
from analysis.tables.units import FLOPS_PER_PARAM_TOKEN
from analysis.tables.values import UNITS, read_values

_ENDED = frozenset({"done", "finished", "completed", "complete", "success", "succeeded"})
_NOT_ENDED = frozenset(
    {"crashed", "failed", "killed", "running", "pending", "preempting", "preempted", "queued"}
    | {"diverged", "missing"}
)
_RATIOS = (("M", "D", "N"), ("epochs", "D", "U"))


@dataclass(frozen=True)
class Source:
    """A table of runs, and how it came to be.

    Attributes:
        path: What was read.
        format: What it was read as.
        sha256: Digest of the file; None for a results folder, whose records carry their own.
        table: N, D, C, U, loss, labels (those that there are), then the other columns as they
            stand. The index numbers rows as in the file, its name says how (see `RawTable`).
        excluded: Rows of runs that did not finish, and rows without loss and sizes, with `why`.
        taken: A sentence for each quantity: from which column, in which unit, or how derived.
        convention: How N, D and C hang together, e.g. `C = 6 N D`.
    """

    path: Path
    format: str
    sha256: str | None
    table: pd.DataFrame
    excluded: pd.DataFrame
    taken: Mapping[str, str]
    convention: str

    def provenance(self) -> dict[str, object]:
        """Where the rows are from, as strict JSON can hold it."""
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "format": self.format,
            "rows": len(self.table),
            "taken": dict(self.taken),
            "convention": self.convention,
        }

    def describe(self) -> str:
        """What was read and taken, in a few lines."""
        lines = [f"{self.path}: {self.format}, {len(self.table):,} rows", *self.taken.values()]
        if len(self.excluded):
            counts = self.excluded["why"].value_counts()
            shown = ", ".join(f"{count} {why}" for why, count in counts.items())
            lines.append(f"{len(self.excluded)} rows left out: {shown}")
        return "\n".join(lines)


def read(
    path: str | os.PathLike[str],
    columns: str | Mapping[str, str] | None = None,
    *,
    needs: Sequence[str] = ("loss",),
    flops_per_parameter_and_token: float = FLOPS_PER_PARAM_TOKEN,
) -> Source:
    """Reads a table of runs and checks every number that a fit would use.

    Args:
        path: CSV, TSV, JSON lines, JSON, Parquet (a W&B export is one of these), or the results
            folder of a sweep.
        columns: Quantities and the columns that hold them, as `N=params[1e6],D=tokens` or a
            mapping. Quantities not declared are recognised by well-known names; `Source.taken`
            says which. `group=Domain+Model` makes a label of several columns.
        needs: Quantities that have to be there in the end and above 0, such as a law's inputs and
            its output.
        flops_per_parameter_and_token: k of C = k N D, by which the third of N, D and C follows.

    Returns:
        The table with its provenance.

    Raises:
        ValueError: A file, column, unit or value at fault: names row, column, value and remedy.
    """
    path = Path(path)
    if not 0 < flops_per_parameter_and_token < np.inf:
        raise ValueError(
            f"flops_per_parameter_and_token = {flops_per_parameter_and_token}: give k > 0 of "
            "C = k N D, such as 6"
        )
    declared = naming.parse_columns(columns) if isinstance(columns, str) else dict(columns or {})
    raw = read_raw(path)
    ended, excluded = _ended(raw.frame)
    if ended.empty:
        counts = excluded["why"].value_counts()
        shown = ", ".join(f"{count} {why}" for why, count in counts.items())
        raise ValueError(f"{path}: no run has finished ({shown}); give a table of finished runs")
    try:
        choices = naming.choose(ended, declared, needs)
        ended, excluded = _filled(ended, excluded, choices)
        values = {
            choice.quantity: read_values(ended, choice, positive=choice.quantity in needs)
            for choice in choices
        }
        taken = {choice.quantity: str(choice) for choice in choices}
        k = float(flops_per_parameter_and_token)
        convention = f"C = {k:g} N D"
        _derive(values, taken, k)
        _derive_needed(values, taken, needs)
        for quantity in needs:
            if quantity not in values:
                raise ValueError(_lacking(ended, quantity, values))
            if quantity in ("N", "D", "C", "M"):
                _require_distinct(quantity, values[quantity])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    used = [column for choice in choices for column in choice.columns]
    others = ended.drop(columns=used)
    others = others.rename(columns={name: f"file.{name}" for name in others if name in values})
    order = [name for name in (*UNITS, *naming.LABELS) if name in values]
    order += [name for name in values if name not in order]
    table = pd.concat([pd.DataFrame({name: values[name] for name in order}), others], axis=1)
    results.with_units(table)
    table.attrs["units"] |= {name: UNITS[name] for name in order if name in UNITS}
    return Source(
        path=path,
        format=raw.format,
        sha256=None if path.is_dir() else _sha256(path),
        table=table,
        excluded=excluded,
        taken={name: taken[name] for name in order},
        convention=convention,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ended(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of finished runs, and the others with `why`; all rows where no column tells."""
    for name in ("status", "State", "state"):
        if name not in frame:
            continue
        states = frame[name].astype(str).str.lower()
        if states.isin(_ENDED | _NOT_ENDED).all():
            out = ~states.isin(_ENDED)
            return frame.loc[~out], frame.loc[out].assign(why=states[out])
    return frame, frame.iloc[:0].assign(why=pd.Series(dtype=str))


def _filled(
    frame: pd.DataFrame, excluded: pd.DataFrame, choices: Sequence[naming.Choice]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sets aside rows that hold neither a loss nor a size: empty cells of a grid, not runs.

    A row that has the one and lacks the other is a mistake, and stays to be refused.
    """
    read_from = {choice.quantity: choice.columns[0] for choice in choices}
    sizes = [name for name in ("N", "D") if name in read_from] or ["C"]
    needed = [name for name in (*sizes, "loss") if name in read_from]
    if len(needed) <= 1 or "loss" not in needed:
        return frame, excluded
    empty = np.logical_and.reduce([frame[read_from[name]].isna() for name in needed])
    if not empty.any() or empty.all():
        return frame, excluded
    out = frame.loc[empty].assign(why=f"no {', '.join(needed)}")
    return frame.loc[~empty], pd.concat([excluded, out]) if len(excluded) else out


def _derive(values: dict[str, pd.Series], taken: dict[str, str], k: float) -> None:
    """Adds the third of N, D and C; where all are there, says how far they agree."""
    have = [name for name in ("N", "D", "C") if name in values]
    if have == ["N", "D"]:
        values["C"] = k * values["N"] * values["D"]
        taken["C"] = f"C = {k:g} N D"
    elif have == ["N", "C"]:
        values["D"] = values["C"] / (k * values["N"])
        taken["D"] = f"D = C / ({k:g} N)"
    elif have == ["D", "C"]:
        values["N"] = values["C"] / (k * values["D"])
        taken["N"] = f"N = C / ({k:g} D)"
    elif len(have) == 3:
        ratio = values["C"] / (k * values["N"] * values["D"])
        low, middle, high = np.quantile(ratio, [0.0, 0.5, 1.0])
        taken["C"] += f"; it is {middle:.3g} ({low:.3g} to {high:.3g}) times {k:g} N D"


def _derive_needed(
    values: dict[str, pd.Series], taken: dict[str, str], needs: Sequence[str]
) -> None:
    """Adds the ratios that a law needs, where they are not given."""
    for ratio, over, under in _RATIOS:
        if ratio in needs and ratio not in values and {over, under} <= set(values):
            values[ratio] = values[over] / values[under]
            taken[ratio] = f"{ratio} = {over} / {under}"


def _lacking(frame: pd.DataFrame, quantity: str, values: Mapping[str, pd.Series]) -> str:
    message = naming.missing([str(name) for name in frame.columns], quantity)
    if quantity in ("N", "D", "C"):
        have = [name for name in ("N", "D", "C") if name in values]
        message += f"; of N, D and C two give the third, here is {' and '.join(have) or 'none'}"
    for ratio, over, under in _RATIOS:
        if quantity == ratio:
            have = [name for name in (over, under) if name in values]
            message += f"; {ratio} = {over} / {under}, here is {' and '.join(have) or 'neither'}"
    return message


def _require_distinct(quantity: str, values: pd.Series) -> None:
    if values.nunique() < 2:
        raise ValueError(
            f"{quantity} is {values.iloc[0]:g} in every {values.index.name}; how the loss depends "
            f"on {quantity} cannot be told from one value: add runs at others, or fit a law "
            f"without {quantity}"
        )
