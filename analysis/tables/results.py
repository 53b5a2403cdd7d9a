"""Tables of our own runs: a results folder, CSV or Parquet -> a DataFrame with units, and back.

Columns follow `scaling.record.RunRecord`, with the configuration in dotted columns
(`model.width`, `data.n_train`, `train.optimizer.learning_rate`) and the environment under
`environment.`. `DataFrame.attrs["units"]` gives the unit of every numeric column; Parquet keeps it.
"""

from __future__ import annotations

import io
import math
import os
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import nearest_name
from analysis.tables.files import read_bytes
from analysis.writing import replace_file
from scaling import record

FORMATS = {".csv": "CSV", ".parquet": "Parquet"}

_UNITS = (
    (r"flops_.*", "FLOPs"),
    (r"n_params_.*|effective_params_.*", "parameters"),
    (r"(data\.)?n_.*examples.*|data\.n_(train|eval|samples)", "examples"),
    (r"n_tokens_.*|(.*[._])?tokens", "tokens"),
    (r"eval_by\.(.* )?(likelihood|share)", "fraction of examples"),
    (r"eval_by\..* squared .*", "squared target units"),
    (r".*_loss(_sem)?_nats|eval_by(\..*)?", "nats per prediction"),
    (r".*_bits_per_byte", "bits per byte"),
    (r"gradient_squared_norm", "squared nats per prediction"),
    (r"gradient_covariance_trace", "squared nats per prediction, times tokens"),
    (r".*_squared_error(_sem|_at_other_rcond)?|eval_excess_risk", "squared target units"),
    (r".*_error(_clean|_sem)?|.*_fraction|.*\.fraction", "fraction of examples"),
    (r".*_seconds", "s"),
    (r".*_bytes", "bytes"),
    (r"(n_)?tokens_per_second", "1/s"),
    (r"model_flops_per_second", "FLOP/s"),
    (r"model_flops_utilisation", "fraction of peak"),
    (r"steps|diverged_at_step|train\.steps", "optimizer steps"),
    (r"epochs|train\.epochs", "epochs"),
)
"""Units by pattern of the full column name; the first that fits holds."""


def unit(column: str) -> str:
    """Returns the unit of a numeric column by its name; a count or pure number has the unit 1."""
    return next((name for pattern, name in _UNITS if re.fullmatch(pattern, column)), "1")


def frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Returns a table of flat rows (`scaling.record.row`), with integer columns kept integers.

    A quantity that does not apply to a row is missing there, never zero.
    """
    table = pd.DataFrame(_columns(rows))
    for name, annotation in typing.get_type_hints(record.RunRecord).items():
        if name in table and annotation == int | None:
            table[name] = table[name].astype("Int64")
        elif name in table and annotation == float | None:
            table[name] = table[name].astype("float64")
    return with_units(table)


def _columns(rows: Iterable[Mapping[str, object]]) -> dict[str, list[object]]:
    """Values by column, read row by row; each text is kept once, however many rows have it."""
    columns: dict[str, list[object]] = {}
    texts: dict[object, object] = {}
    for place, flat in enumerate(rows):
        for name, value in flat.items():
            if name not in columns:
                columns[name] = [math.nan] * place
            columns[name].append(texts.setdefault(value, value) if type(value) is str else value)
        if len(flat) < len(columns):
            for name in columns.keys() - flat.keys():
                columns[name].append(math.nan)
    return columns


RECORD_COLUMNS = frozenset({"run_id", "schema_version", "status"})
"""Columns by which a table is known to hold records of this project's runs."""


def are_records(table: pd.DataFrame) -> bool:
    """Returns whether rows are records of this project's runs, whose units are known."""
    return RECORD_COLUMNS <= set(table.columns)


def evaluations(path: Path) -> pd.DataFrame:
    """Reads the histories of a results folder: a row for each evaluation after the first step.

    Columns are those of the record, with `step`, `epochs`, `n_examples_seen`, `train_loss_nats`,
    `train_error`, `eval_loss_nats`, `eval_error` and `eval_by.*` of the evaluation in the place of
    the run's, and `best_loss_nats` and `best_error`: the least of the run's history.

    Raises:
        ValueError: A folder without results, or without any history, or a damaged file of it (with
            its path).
    """
    rows = []
    for file in record.published_files(path):
        run = _record(file)
        curve = file.parent / "attempts" / f"{run.attempt or 0:04d}" / "curve.jsonl"
        if run.status != "done" or not (curve.exists() or run.n_curve_points):
            continue
        flat = record.row(run)
        for point in _curve(curve, run):
            if point.step > 0:
                rows.append(flat | _evaluation(point, run.n_train_examples))
    if not rows:
        raise ValueError(
            f"{path}: no run has a history; give the results folder of a sweep of trained networks"
        )
    table = frame(rows)
    for kind in ("error", "loss_nats"):
        least = table.groupby("run_id")[f"eval_{kind}"].transform("min")
        table[f"best_{kind}"] = least
    return with_units(table)


def _record(file: Path) -> record.RunRecord:
    try:
        return record.load_record(read_bytes(file, None))
    except record.DamagedFileError as error:
        raise ValueError(
            f"{file}: {error}; run the sweep again, which sets the file aside and repeats the run"
        ) from None


def _curve(file: Path, run: record.RunRecord) -> record.Curve:
    try:
        return record.load_curve(read_bytes(file, None), run)
    except (record.DamagedFileError, FileNotFoundError) as error:
        raise ValueError(
            f"{file}: {error}; `scaling retry` with --damaged-curves repeats the run"
        ) from None


def _evaluation(point: record.CurvePoint, n_train: int | None) -> dict[str, object]:
    return {
        "step": point.step,
        "steps": point.step,
        "n_examples_seen": point.n_examples_seen,
        "epochs": point.n_examples_seen / n_train if n_train else None,
        "train_loss_nats": point.train_loss,
        "train_error": point.train_error,
        "eval_loss_nats": point.eval_loss,
        "eval_error": point.eval_error,
        **{f"eval_by.{name}": loss for name, loss in (point.eval_by or {}).items()},
    }


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """Sets `attrs["units"]` of a table for every numeric column, and returns the table."""
    numeric = table.select_dtypes("number").columns
    table.attrs["units"] = {str(name): unit(str(name)) for name in numeric}
    return table


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads a results folder, or a table written as CSV or Parquet.

    Raises:
        ValueError: No such file, another format, a folder without results, or a damaged record
            (with its path).
    """
    path = Path(path)
    if path.is_dir():
        records = [_record(file) for file in record.published_files(path)]
        if not records:
            raise ValueError(f"{path}: the folder has no results; give the folder of one sweep")
        return frame(map(record.row, records))
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; check the path")
    check_format(path)
    if path.suffix == ".csv":
        return with_units(pd.read_csv(path, dtype={"run_id": str}))
    return with_units(pd.read_parquet(path))


def write(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Writes a table as CSV or Parquet, by the ending of its name, replacing an older one.

    Raises:
        ValueError: Another ending.
    """
    path = Path(path)
    check_format(path)
    data = io.BytesIO()
    if path.suffix == ".csv":
        table.to_csv(data, index=False)
    else:
        table.to_parquet(data, index=False)
    replace_file(path, data.getvalue())


def check_format(path: Path) -> None:
    """Refuses a file name whose ending is none of `FORMATS`.

    Raises:
        ValueError: The message lists the endings that are.
    """
    if path.suffix not in FORMATS:
        raise ValueError(
            f"{path}: the ending {path.suffix!r} names no format; give a name that ends in "
            f"{' or '.join(FORMATS)}"
        )


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """Returns one column.

    Raises:
        ValueError: No such column; the message names the nearest.
    """
    if name not in table:
        raise ValueError(f"no column {name!r}; {nearest_name(name, map(str, table.columns))}")
    return table.loc[:, name]


def usable(table: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits a table into rows that an analysis of `columns` can use, and the others.

    Returns:
        The rows of runs that are done and have a value in every column; and the others, with the
        reason in the column `why`: missing, failed, diverged, or the column without a value.
    """
    why = pd.Series("", index=table.index)
    for name in reversed(columns):
        values = pd.Series(pd.to_numeric(column(table, name), errors="coerce"))
        why = why.mask(values.isna(), f"no {name}")
    why = why.mask(table["status"] != "done", table["status"])
    left_out = why != ""
    return table.loc[~left_out], table.loc[left_out].assign(why=why[left_out])


def summarise(table: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Summarises replicates of one quantity, in one row for each combination of `by`.

    Returns:
        Columns `by`, then `mean`, `sem` (standard error of the mean), `median`, `q16` and `q84`
        (quantiles: one standard deviation of a Gaussian), `n_runs`, and `run_ids`, the ids of the
        replicates, joined by spaces.
    """
    groups = table.groupby(list(by), sort=True)
    values = groups[value]
    summary = values.agg(
        mean="mean",
        sem="sem",
        median="median",
        q16=lambda v: np.quantile(v, 0.16),
        q84=lambda v: np.quantile(v, 0.84),
        n_runs="size",
    )
    summary["run_ids"] = groups["run_id"].agg(" ".join)
    return summary.reset_index()
