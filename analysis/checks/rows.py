"""Checks of a table of runs before a fit: every doubtful row with its reason; none is dropped.

Tables are those of `analysis.tables.read`: those of the columns N, D, C, U and loss that the file
has, and the labels `run`, `seed` and `group`. Rows of different groups are never compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.special import fdtrc, gammaincinv

from analysis.checks import budgets
from analysis.checks.flags import Flag, Reason, flag_table, place
from analysis.checks.surface import deviations
from analysis.estimate import Floats
from analysis.tables.cells import scalar

SMALLEST_DEVIATION = 0.01
"""Deviation of log loss (about a relative one) below which no run is an outlier."""
MANY_DEVIATIONS = 5.0
"""Robust standard deviations beyond which a run is an outlier."""
SPREAD_PROBABILITY = 1e-3
"""Chance of a false flag in a table whose repeats all scatter alike."""
UNITS_GAP = 1e3
"""Gap between neighbouring values of a column, as a factor, from which units seem mixed."""
FLOPS_GAP = 1e2
"""Factor between C / (N D) of a row and of the others from which units seem mixed."""


def check(
    table: pd.DataFrame, law_inputs: Sequence[str] = (), output: str = "loss"
) -> pd.DataFrame:
    """Returns every doubt about the rows of a table.

    - duplicate: all columns but `run` equal those of an earlier row, which is not flagged;
    - mixed units suspected: values of a column lie a factor of 1,000 from all others, or C / (N D)
      a factor of 100 from that of the other rows;
    - decreasing D: within a `run` of several rows, D falls below that of an earlier row;
    - outlier: log loss lies more than 5 robust standard deviations, and more than 1 %, from a
      smooth surface through the other rows of its group (`analysis.checks.surface`). A feature
      narrower than a third of the data, such as a sharp double-descent peak, is not smooth and may
      be flagged. Groups with fewer rows than 3 per coefficient (9 in one input, 18 in two)
      are not judged;
    - repeats far apart: runs at the same sizes scatter more than other repeats do, by an F-test
      against the median variance;
    - too few sizes, budget off-centre: see `analysis.checks.budgets`.

    Args:
        table: The table; its index labels the rows, each once.
        law_inputs: Inputs of the law that is to be fitted.
        output: The column that depends on them.

    Returns:
        Columns `row` (label of the index), `reason` (a `Reason`) and `detail` (a sentence); a row
        may have several flags. Ordered by reason, then as in the table.

    Raises:
        ValueError: Two rows with one label.
    """
    if not table.index.is_unique:
        raise ValueError(
            "the index gives two rows one label, but a flag needs a label for each; pass "
            "table.reset_index(drop=True)"
        )
    table = scalar(table)
    copies = duplicated(table)
    once = table.loc[~copies]
    flags = [*_duplicates(table, copies), *_mixed_units(once), *_decreasing_data(once)]
    names = inputs(table, law_inputs)
    if output in once and names:
        for group in _groups(_finite(once, [*names, output])):
            flags += _outliers(group, names, output)
            flags += _seed_spread(group, names, output)
    if "loss" in once:
        for group in _groups(_finite(once, [*inputs(once), "loss"])):
            flags += budgets.check_budgets(group)
    found = flag_table(flags)
    order = {str(reason): place for place, reason in enumerate(Reason)}
    return found.sort_values("reason", key=lambda r: r.map(order), kind="stable", ignore_index=True)


def duplicated(table: pd.DataFrame) -> pd.Series:
    """Returns for each row whether an earlier one has its values in every column but `run`."""
    return scalar(table).drop(columns="run", errors="ignore").duplicated()


def inputs(table: pd.DataFrame, law_inputs: Sequence[str] = ()) -> list[str]:
    """Returns the columns that a loss depends on: N, D, U and a law's other inputs.

    C, M and epochs are left out beside the columns that they follow from; C is taken where it is
    the only one.
    """
    there = [name for name in ("N", "D", "U") if name in table]
    follow = {"C": "ND", "M": "ND", "epochs": "DU"}
    for name in law_inputs:
        known = name in there or (name in follow and set(follow[name]) <= set(there))
        if name in table and not known:
            there.append(name)
    return there or [name for name in ("C",) if name in table]


def _duplicates(table: pd.DataFrame, copies: pd.Series) -> Iterator[Flag]:
    """Flags rows that repeat an earlier one, with its name."""
    if not copies.any():
        return
    same = table.drop(columns="run", errors="ignore")
    involved = same.loc[same.duplicated(keep=False)]
    number = involved.groupby(list(involved.columns), dropna=False, sort=False).ngroup()
    first = number.drop_duplicates()
    first_row = dict(zip(first, first.index, strict=True))
    for row, same_as in number.loc[copies.loc[number.index]].items():
        original = first_row[same_as]
        yield Flag(
            row,
            Reason.DUPLICATE,
            f"{place(table, row)} repeats {place(table, original)} in every column; take it out, "
            "or it counts twice",
        )


def _mixed_units(table: pd.DataFrame) -> Iterator[Flag]:
    """Flags values across a gap from most others, and rows whose C / (N D) is far from theirs."""
    last = table.drop_duplicates("run", keep="last") if "run" in table else table
    for name in (name for name in ("N", "D", "C", "U", "loss") if name in table):
        # Within a learning curve D and C run over decades, so that only its end is compared.
        values = last[name].to_numpy(dtype=np.float64)
        usable = np.isfinite(values) & (values > 0)
        ordered = np.unique(values[usable])
        jumps = np.flatnonzero(ordered[1:] >= UNITS_GAP * ordered[:-1])
        flagged = np.zeros(len(values), dtype=bool)
        for below, above in zip(ordered[jumps], ordered[jumps + 1], strict=True):
            low = usable & (values <= below)
            odd = (low if low.sum() <= usable.sum() / 2 else usable & ~low) & ~flagged
            flagged |= odd
            for row, value in zip(last.index[odd], values[odd], strict=True):
                yield Flag(
                    row,
                    Reason.MIXED_UNITS,
                    f"{place(table, row)}, column {name}: {value:g} lies across a gap from "
                    f"{below:g} to {above:g} that no value fills; if it is in another unit, "
                    "convert it",
                )
    if all(name in table for name in ("N", "D", "C")):
        ratio = (table["C"] / (table["N"] * table["D"])).to_numpy(dtype=np.float64)
        typical = float(np.median(ratio[np.isfinite(ratio)])) if len(ratio) else 1.0
        odd = ~((ratio > typical / FLOPS_GAP) & (ratio < typical * FLOPS_GAP))
        for row, value in zip(table.index[odd], ratio[odd], strict=True):
            yield Flag(
                row,
                Reason.MIXED_UNITS,
                f"{place(table, row)}: C / (N D) is {value:.3g}, typically {typical:.3g}; check "
                "the units of C, N and D there",
            )


def _decreasing_data(table: pd.DataFrame) -> Iterator[Flag]:
    """Flags rows of a run whose D is below that of an earlier row."""
    if not {"run", "D"} <= set(table):
        return
    runs = table.groupby("run", sort=False, dropna=True)["D"]
    before = runs.cummax().groupby(table["run"], sort=False).shift()
    falls = (table["D"] < before).to_numpy(dtype=bool)
    fallen = table.loc[falls]
    columns = (fallen.index, fallen["run"], fallen["D"], before.loc[falls])
    for row, run, now, was in zip(*columns, strict=True):
        yield Flag(
            row,
            Reason.DECREASING_DATA,
            f"{place(table, row)}, column D: {now:g} after {was:g} in run {run!r}; D must grow "
            "along a learning curve; sort the rows, or keep one of two where the run was resumed "
            "from an earlier step",
        )


def _finite(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Rows with a positive, finite value in every column named."""
    values = table[names].to_numpy(dtype=np.float64)
    return table.loc[np.all(np.isfinite(values) & (values > 0), axis=1)]


def _groups(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yields the rows of each group; all rows where none is labelled."""
    if "group" not in table:
        yield table
        return
    for _, rows in table.groupby("group", sort=False, dropna=False):
        yield rows


def _outliers(table: pd.DataFrame, names: list[str], output: str) -> Iterator[Flag]:
    """Flags rows far from a smooth surface through the others."""
    found = deviations(_log(table, names), _log(table, [output])[:, 0])
    if found is None:
        return
    far = np.abs(found.score) > MANY_DEVIATIONS
    far &= np.abs(found.residual) > SMALLEST_DEVIATION
    for at in np.flatnonzero(far).tolist():
        row, residual = table.index[at], found.residual[at]
        value = table[output].iloc[at]
        yield Flag(
            row,
            Reason.OUTLIER,
            f"{place(table, row)}, column {output}: {value:.5g} lies "
            f"{abs(np.expm1(residual)):.1%} "
            f"{'above' if residual > 0 else 'below'} a smooth surface through the other rows, "
            f"{abs(found.score[at]):.0f} robust standard deviations; look at the run, and fit "
            "with and without it",
        )


def _seed_spread(table: pd.DataFrame, names: list[str], output: str) -> Iterator[Flag]:
    """Flags repeats at one size whose variance is improbable beside that of other repeats."""
    # 1. The variance of each cell of repeats.
    cells = table.groupby(names, sort=False).ngroup().to_numpy()
    log_loss = _log(table, [output])[:, 0]
    count = np.bincount(cells)
    repeated = count > 1
    if repeated.sum() < 4:
        return
    mean = np.bincount(cells, log_loss) / count
    squares = np.bincount(cells, (log_loss - mean[cells]) ** 2)
    freedom = count - 1
    variance = squares[repeated] / freedom[repeated]
    # 2. The typical variance: a median over cells, which the few wide ones do not move. The median
    # of a chi-square over its degrees of freedom lies below 1, hence the divisor.
    middle = 2 * gammaincinv(freedom[repeated] / 2, 0.5)
    typical = np.median(variance / (middle / freedom[repeated]))
    typical = max(float(typical), 1e-18)
    # 3. The chance of each variance by an F-test. A median is worth about two thirds of its cells;
    # half of their degrees of freedom is on the safe side.
    known = max(1.0, 0.5 * freedom[repeated].sum())
    chance = fdtrc(freedom[repeated], known, variance / typical)
    # 4. A flag for each run of an improbable cell, unless its scatter is too small to matter.
    odd = np.zeros(len(count), dtype=bool)
    odd[repeated] = chance < SPREAD_PROBABILITY / repeated.sum()
    spread = np.sqrt(squares / np.maximum(freedom, 1))
    for at in np.flatnonzero(odd[cells] & (spread[cells] > SMALLEST_DEVIATION / 10)).tolist():
        cell, row = cells[at], table.index[at]
        sizes = ", ".join(f"{name} = {table[name].iloc[at]:g}" for name in names)
        yield Flag(
            row,
            Reason.SEED_SPREAD,
            f"{place(table, row)}: the {count[cell]} runs at {sizes} scatter by "
            f"{spread[cell]:.2%} in {output}, other repeats by {np.sqrt(typical):.2%}; look for a "
            "run that failed or has other settings",
        )


def _log(table: pd.DataFrame, names: list[str]) -> Floats:
    return np.log(table[names].to_numpy(dtype=np.float64))
