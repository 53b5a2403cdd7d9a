"""Anybody's table of runs becomes N, D, C and loss in this project's units, or is refused.

N parameters, D tokens (or examples), C training FLOPs (one multiply-add = 2), loss in nats per
prediction, and where the table has them U unique tokens, `run`, `group`, `seed` and whatever else
a law takes. Any two of N, D and C give the third, by C = 6 N D unless another factor is given;
where a law needs them, tokens per parameter M follow from N and D, and epochs from D and U.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.guards import positive
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.tables import columns as naming
from analysis.tables import plausibility, results, selection, states, wide
from analysis.tables.cells import scalar
from analysis.tables.formats import RawTable, read_raw
from analysis.tables.origins import RATIOS, Column, Origin, Product
from analysis.tables.selection import Condition, Selection
from analysis.tables.values import UNITS, lenient_values, read_values


class FlopsRatio(NamedTuple):
    """How far a column of C agrees with k N D: quantiles of C / (k N D) over the rows."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True)
class Source:
    """A table of runs, and where its values come from.

    Attributes:
        path: What was read.
        format: What it was read as.
        sha256: Digest of the file or files; None for a results folder, whose records carry theirs.
        table: N, D, C, U, loss, labels (those that the file has), then its other columns
            unchanged. The index numbers rows as in the file, its name says how (see `RawTable`).
        excluded: Rows of runs that did not finish, and rows without loss and sizes, with `why`.
        origins: Where the values of each quantity come from.
        product: C = k N D with the k by which the third of N, D and C follows.
        flops_ratio: C over k N D where the file gives all three; else None.
        selection: The rows that were asked for; None for all.
        doubts: What speaks against what was read, a sentence each: columns passed over, states and
            units that are not sure.
    """

    path: Path
    format: str
    sha256: str | None
    table: pd.DataFrame
    excluded: pd.DataFrame
    origins: Mapping[str, Origin]
    product: Product
    flops_ratio: FlopsRatio | None = None
    selection: Selection | None = None
    doubts: tuple[str, ...] = ()

    def provenance(self) -> dict[str, object]:
        """Returns where the rows come from, as values of strict JSON."""
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "format": self.format,
            "rows": len(self.table),
            "taken": self._sentences(),
            "doubts": list(self.doubts),
            "convention": str(self.product),
        }

    def describe(self) -> str:
        """Returns what was read, from which columns, and what was left out, in a few lines."""
        rows = f"{self.path}: {self.format}, {len(self.table):,} rows"
        lines = [rows, *self._sentences().values()]
        if self.selection is not None:
            lines.append(str(self.selection))
        if len(self.excluded):
            lines.append(f"{len(self.excluded)} rows left out: {_reasons(self.excluded)}")
        lines += [f"doubt: {doubt}" for doubt in self.doubts]
        return "\n".join(lines)

    def _sentences(self) -> dict[str, str]:
        """The origin of each quantity in words."""
        sentences = {name: str(origin) for name, origin in self.origins.items()}
        if self.flops_ratio is not None:
            least, median, greatest = (f"{each:.3g}" for each in self.flops_ratio)
            k = self.product.flops
            sentences["C"] += f"; it is {median} ({least} to {greatest}) times {k:g} N D"
        return sentences


def read(
    path: str | os.PathLike[str],
    columns: str | Mapping[str, str] | None = None,
    *,
    needs: Sequence[str] = ("loss",),
    where: str | None = None,
    melt: str | None = None,
    seek: Sequence[str] | None = None,
    evaluations: bool = False,
    flops_per_parameter_and_token: float = FLOPS_PER_PARAMETER_AND_TOKEN,
) -> Source:
    """Reads a table of runs and checks every number that a fit uses.

    Args:
        path: CSV, TSV, JSON lines, JSON, Parquet (exports of trackers are among these), a folder
            of such files, or the results folder of a sweep.
        columns: Quantities and the columns that hold them, as `N=params[1e6],D=tokens` or a
            mapping. Quantities not declared are recognised by well-known names; `Source.origins`
            says which. `group=Domain+Model` makes a label of several columns.
        needs: Quantities that the result must have, with values above 0, such as a law's inputs
            and its output.
        where: Conditions on rows, as `analysis.tables.selection` reads them. Rows that it leaves
            out are not judged.
        melt: Quantity whose values are the names of columns, such as `64`, `128`, `1.3B`, over
            losses; see `analysis.tables.wide.melted`.
        seek: Quantities that are recognised by their names besides those needed; N, D, C, U, loss
            and labels unless given.
        evaluations: Whether a results folder gives a row for each evaluation of each run, rather
            than one for each run.
        flops_per_parameter_and_token: k of C = k N D, by which the third of N, D and C follows.

    Returns:
        The table with its provenance.

    Raises:
        ValueError: A faulty file, column, unit or value. The message names the row, column,
            value and remedy.
    """
    path = Path(path)
    k = positive(
        "flops_per_parameter_and_token",
        flops_per_parameter_and_token,
        "give k > 0 of C = k N D, such as 6",
    )
    declared = naming.parse_columns(columns) if isinstance(columns, str) else dict(columns or {})
    conditions = selection.parse(where) if where else ()
    raw = _raw(path, melt, evaluations)
    product = Product("C", float(k))
    try:
        # Rows are chosen first, then the columns, then every value of these is judged.
        asked = selection.by_columns(scalar(raw.frame), conditions, declared)
        ended, excluded, unsure = states.ended(asked, [each.name for each in conditions])
        if ended.empty:
            raise ValueError(
                f"no run has finished ({_reasons(excluded)}); give a table of finished runs"
            )
        sought = {} if seek is None else {"seek": seek}
        read_from, passed_over = naming.choose(ended, declared, needs, **sought)
        chosen = _chosen(ended, conditions, read_from, product)
        not_asked = len(raw.frame) - len(asked) + len(ended) - len(chosen)
        ended, excluded = _filled(chosen, excluded, read_from)
        values = {
            each.quantity: read_values(ended, each, positive=each.quantity in needs)
            for each in read_from
        }
        flops_ratio = _flops_ratio(values, product)
        origins: dict[str, Origin] = {each.quantity: each for each in read_from}
        origins |= _derive(values, needs, product.flops)
        for quantity in needs:
            if quantity not in values:
                raise ValueError(_lacking(ended, quantity, values))
            if quantity in ("N", "D", "C", "M"):
                _require_distinct(quantity, values[quantity])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    judged = {} if results.are_records(raw.frame) and not declared else origins
    doubts = [*unsure, *passed_over, *plausibility.doubts(values, judged, product)]
    used = [column for each in read_from for column in each.columns]
    others = ended.drop(columns=used)
    others = others.rename(columns={name: f"file.{name}" for name in others if name in values})
    order = [name for name in dict.fromkeys((*UNITS, *naming.LABELS, *values)) if name in values]
    table = pd.concat([pd.DataFrame({name: values[name] for name in order}), others], axis=1)
    if table.index.name in table.columns:  # pandas takes no name for a column and the index
        table.index.name = f"{table.index.name} of the file"
    results.with_units(table)
    table.attrs["units"] |= {name: UNITS[name] for name in order if name in UNITS}
    n_rows = len(raw.frame)
    return Source(
        path=path,
        format=raw.format,
        sha256=_sha256(raw.files),
        table=table,
        excluded=excluded,
        origins={name: origins[name] for name in order},
        product=product,
        flops_ratio=flops_ratio,
        selection=Selection(where, n_rows - not_asked, n_rows) if where else None,
        doubts=(*selection.passed_over(raw.frame, conditions), *doubts),
    )


def _chosen(
    frame: pd.DataFrame,
    conditions: Sequence[Condition],
    read_from: Sequence[Column],
    product: Product,
) -> pd.DataFrame:
    """The rows that fulfil the conditions on quantities, none of which has been judged yet."""
    if not conditions:
        return frame
    quantities = {each.quantity: lenient_values(frame, each) for each in read_from}
    _derive(quantities, [ratio.quantity for ratio in RATIOS], product.flops)
    declared = [each.quantity for each in read_from if each.declared]
    return selection.by_quantities(frame, conditions, quantities, declared)


def _raw(path: Path, melt: str | None, evaluations: bool) -> RawTable:
    """The file as it is, or in long form, or the histories of a results folder."""
    raw = read_raw(path)
    if evaluations:
        if not results.are_records(raw.frame) or not path.is_dir():
            raise ValueError(f"{path}: only a results folder has histories; give one")
        histories = results.evaluations(path)
        histories.index = pd.Index(
            histories["run_id"].str.cat(histories["step"].astype(str), sep=" at step "),
            name="evaluation",
        )
        return raw._replace(frame=histories, format="histories of a results folder")
    if melt is None:
        return raw
    try:
        frame = wide.melted(raw.frame, melt)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    n_wide = len(wide.sized(raw.frame))
    empty = n_wide * len(raw.frame) - len(frame)
    holes = f", {empty:,} of them empty cells" if empty else ""
    how = f"{raw.format}, {n_wide} columns of {melt}{holes}"
    return raw._replace(frame=frame, format=how)


def _sha256(files: Sequence[Path]) -> str | None:
    """Digest of a file; of several, the digest of theirs; None for none."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) <= 1:
        return digests[0] if digests else None
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _filled(
    frame: pd.DataFrame, excluded: pd.DataFrame, columns: Sequence[Column]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sets aside rows without loss and sizes: empty cells of a grid, not runs.

    A row that has one of them and lacks another is a mistake; it stays, and is refused later.
    """
    read_from = {each.quantity: each.columns[0] for each in columns}
    sizes = [name for name in ("N", "D") if name in read_from] or ["C"]
    needed = [name for name in (*sizes, "loss") if name in read_from]
    if len(needed) <= 1 or "loss" not in needed:
        return frame, excluded
    empty = np.logical_and.reduce([frame[read_from[name]].isna() for name in needed])
    if not empty.any() or empty.all():
        return frame, excluded
    out = frame.loc[empty].assign(why=f"no {', '.join(needed)}")
    return frame.loc[~empty], pd.concat([excluded, out]) if len(excluded) else out


def _reasons(excluded: pd.DataFrame) -> str:
    """How many rows were left out for each reason."""
    return ", ".join(f"{count} {why}" for why, count in excluded["why"].value_counts().items())


def _flops_ratio(values: Mapping[str, pd.Series], product: Product) -> FlopsRatio | None:
    if not {"N", "D", "C"} <= set(values):
        return None
    ratio = values["C"] / product.of(values)
    return FlopsRatio(*map(float, np.quantile(ratio, [0.0, 0.5, 1.0])))


def _derive(
    values: dict[str, pd.Series], needs: Sequence[str], flops_per_product: float
) -> dict[str, Origin]:
    """Adds the third of N, D and C, and the ratios that are needed; returns their origins."""
    found: dict[str, Origin] = {}
    lacking = [name for name in ("N", "D", "C") if name not in values]
    if len(lacking) == 1:
        third = Product(lacking[0], flops_per_product)
        found[third.quantity], values[third.quantity] = third, third.of(values)
    for ratio in RATIOS:
        name = ratio.quantity
        if name in needs and name not in values and {ratio.over, ratio.under} <= set(values):
            found[name], values[name] = ratio, ratio.of(values)
    return found


def _lacking(frame: pd.DataFrame, quantity: str, values: Mapping[str, pd.Series]) -> str:
    """The message where a needed quantity has no column and follows from no others."""
    message = naming.missing(frame, quantity)
    if quantity in ("N", "D", "C"):
        have = [name for name in ("N", "D", "C") if name in values]
        message += (
            f"; any two of N, D and C give the third; the table has {' and '.join(have) or 'none'}"
        )
    for ratio in RATIOS:
        if quantity == ratio.quantity:
            have = [name for name in (ratio.over, ratio.under) if name in values]
            message += f"; {ratio}; the table has {' and '.join(have) or 'neither'}"
    sizes = wide.sized(frame)
    if len(sizes) > 1 and wide.CELLS not in frame.columns:
        shown = ", ".join(map(repr, sizes[:3]))
        free = [name for name in (quantity, "N", "D", "x") if name not in (*values, wide.CELLS)]
        message += (
            f"; columns are named for sizes ({shown}): where their cells are losses, give --melt "
            f"NAME, with the quantity that the sizes are, such as --melt {free[0]}"
        )
    return message


def _require_distinct(quantity: str, values: pd.Series) -> None:
    """Refuses a quantity with one value in all rows."""
    if values.nunique() < 2:
        raise ValueError(
            f"{quantity} is {values.iloc[0]:g} in every {values.index.name}; one value cannot show "
            f"how the loss depends on {quantity}; add runs at others, or fit a law without "
            f"{quantity}"
        )
