"""Tables of `scaling descent` as curves: which column is what, and what is refused or doubtful."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.checks.mixed_shares import first_of_other_unit
from analysis.double_descent.rows import Curve, RunsNotToldApart, curve_rows
from analysis.errors import typed
from analysis.estimate import Floats
from analysis.tables import columns as naming
from analysis.tables import read, results, selection
from analysis.tables.names import words
from experiments.commands.console import console
from experiments.commands.options.analyses import DescentOptions

HISTORIES = ("epochs", "epoch", "steps", "step", "examples")
"""Axes that a results folder has in the histories of its runs."""
MOST_CURVES = 7
"""Curves of one figure: as many as there are colours."""
_QUANTITIES = ("N", "D", "C", "U", "loss")
"""Names that mean quantities in the units of this project, whatever their columns are called."""
_METRICS = ("test", "train", "best")
_SHARES = frozenset("error err errors".split())
_HIGHER_IS_BETTER = frozenset("accuracy accuracies acc".split())
_SQUARES = frozenset("squared square mse rmse absolute".split())
_LOGS = frozenset("log log2 log10 ln log1p".split())


class Named(NamedTuple):
    """A curve of the table: its name (empty for one alone), rows, and parameters against them."""

    name: str
    curve: Curve
    rows: pd.DataFrame


def source_of(options: DescentOptions) -> read.Source:
    """The rows, with the columns that were asked for under the names of their roles."""
    given = naming.parse_columns(options.columns) if options.columns else {}
    asked = {
        "x": options.x,
        "test": options.test,
        "train": options.train,
        "best": options.best,
        "seed": options.seed,
        "group": options.group,
        "axis": options.axis,
        "parameters": options.parameters,
    }
    named = {role: name for role, name in asked.items() if name is not None}
    _require_roles(named)
    quantities = {role: name for role, name in named.items() if name in (*_QUANTITIES, *given)}
    roles = {role: name for role, name in named.items() if role not in quantities}
    histories = Path(options.table).is_dir() and options.x in HISTORIES
    source = read.read(
        options.table,
        {**given, **roles},
        needs=(quantities.get("x", "x"), *sorted(set(quantities.values()) & set(_QUANTITIES))),
        where=options.where,
        melt=options.melt,
        seek=("seed", *_chosen_by(options.where)),
        evaluations=histories and _has_records(options.table),
    )
    console.print(source.describe())
    table = source.table.assign(**{role: source.table[name] for role, name in quantities.items()})
    source = replace(source, table=table)
    for role in _METRICS:
        name = asked[role] or ""
        if role in source.table and is_share(name):
            _require_one_unit(source.table, role, name)
        if role in source.table and (_SHARES | _SQUARES) & words_of(name):
            _require_at_least(0.0, source.table, role, name, "an error is at least 0")
    if options.axis is not None:
        above = np.nextafter(0.0, 1.0)
        _require_at_least(above, table, "axis", options.axis, "a logarithmic axis starts above 0")
    return source


def _require_at_least(low: float, table: pd.DataFrame, role: str, name: str, why: str) -> None:
    """Refuses a column with a value below the least that it may have."""
    wrong = table.loc[table[role] < low, role]
    if len(wrong):
        raise ValueError(
            f"{table.index.name} {wrong.index[0]}, column {name!r}: {wrong.iloc[0]:g}, but {why}; "
            "correct it, take the row out, or name another column"
        )


def _require_roles(named: dict[str, str]) -> None:
    """Refuses a column that has two roles, and a metric that is better where it is higher."""
    roles: dict[str, str] = {}
    for role, name in named.items():
        if role not in ("group", "parameters") and name in roles:
            raise ValueError(
                f"--{roles[name]} {name} and --{role} {name} are one column: give each its own"
            )
        roles[name] = role
        if role in _METRICS and _HIGHER_IS_BETTER & words_of(name):
            raise ValueError(
                f"--{role} {name}: a curve is judged by its falls, and an accuracy is better where "
                "it is higher; give a column of the error, 1 - accuracy (or 100 - accuracy in per "
                "cent)"
            )


def _chosen_by(where: str | None) -> list[str]:
    """Quantities that rows are chosen by."""
    conditions = selection.parse(where) if where else ()
    return [each.name for each in conditions if each.name in _QUANTITIES]


def _has_records(table: str) -> bool:
    return next(results.record.published_files(Path(table)), None) is not None


def is_share(name: str) -> bool:
    """Whether a column is named for a share of examples, such as an error."""
    return bool(_SHARES & words_of(name)) and not _SQUARES & words_of(name)


def words_of(name: str) -> set[str]:
    """The words of a column's name."""
    return {word.lower() for word in words(name)}


def _require_one_unit(table: pd.DataFrame, role: str, name: str) -> None:
    """Refuses a column of errors of which some are in per cent and others fractions."""
    values = table[role].to_numpy(np.float64)
    at = first_of_other_unit(values)
    if at is None:
        return
    other = values[values > 1][0] if values[at] <= 1 else values[values <= 1][0]
    raise ValueError(
        f"{table.index.name} {table.index[at]}, column {name!r}: {values[at]:g} stands among "
        f"values such as {other:g}: per cent and fractions are mixed. Give every value in one "
        "unit, fractions or per cent"
    )


def doubts_of(options: DescentOptions, source: read.Source, curves: list[Named]) -> list[str]:
    """Doubts about the table of a curve: logarithms as sizes, two units, copies of one run."""
    return [*_of_logarithm(options.x), *_unlike_units(source.table), *_copies(curves)]


def _unlike_units(table: pd.DataFrame) -> list[str]:
    """A doubt where the test metric seems to be in per cent and the train metric is not."""
    if "train" not in table:
        return []
    test, train = (table[name].to_numpy(np.float64) for name in ("test", "train"))
    if first_of_other_unit(np.concatenate([test, train[train > 0]])) is None:
        return []
    return [
        f"test is {test.min():.3g} to {test.max():.3g} and train {train.min():.3g} to "
        f"{train.max():.3g}: one may be in per cent and the other a fraction; the threshold takes "
        "train as it stands"
    ]


def tolerance_of(options: DescentOptions, table: pd.DataFrame) -> tuple[float, str]:
    """The train metric that counts as interpolation, and where it comes from."""
    if options.tolerance is not None:
        if not 0 <= options.tolerance < np.inf:
            raise ValueError(
                f"--tolerance {options.tolerance:g}: a train metric is finite and at least 0; "
                "give e.g. 0.01"
            )
        return options.tolerance, f"{options.tolerance:g} (--tolerance)"
    if "train" not in table:
        return 0.0, ""
    train = table["train"].to_numpy(np.float64)
    if is_share(options.train or ""):
        return (1.0, "1 per cent") if train.max() > 1 else (0.01, "1 per cent of the samples")
    return 0.01 * float(train.max()), "a hundredth of the largest train metric"


def curves_of(options: DescentOptions, source: read.Source) -> Iterator[Named]:
    """The curve of each group; one alone is nameless."""
    table = source.table
    if options.group is None:
        groups = [("", table)]
    else:
        kinds = np.unique(table["group"].to_numpy())
        groups = [(f"{options.group} {kind}", table.loc[table["group"] == kind]) for kind in kinds]
    if len(groups) > MOST_CURVES:
        raise ValueError(
            f"--group {options.group}: {len(groups)} curves are more than {MOST_CURVES} in one "
            "figure; take some of them by --where"
        )
    for name, rows in groups:
        where = f"{source.path}: {name}: " if name else f"{source.path}: "
        try:
            curve = curve_rows(
                rows["x"],
                rows["test"],
                rows.get("seed"),
                train=rows.get("train"),
                best=rows.get("best"),
            )
            _require_change(curve.test, options.test)
        except RunsNotToldApart as error:
            raise ValueError(f"{where}{error}{_seed_to_give(rows)}") from None
        except ValueError as error:
            leave = ""
            if len(groups) > 1:
                without = typed(f"{options.group}!={rows['group'].iloc[0]}")
                leave = f" Or leave this curve out: --where {without}"
            raise ValueError(f"{where}{str(error).removesuffix('.')}.{leave}") from None
        yield Named(name, curve, rows)


def _require_change(test: Floats, name: str) -> None:
    """Refuses a curve of one value, of which there is nothing to judge."""
    if np.all(test == test[0]):
        raise ValueError(
            f"{name} is {test[0]:g} in every row: a curve needs values that differ. Give "
            "another column, or more digits."
        )


def _copies(curves: list[Named]) -> list[str]:
    """A doubt of each curve whose seeds agree to the last digit at every size."""
    return [
        f"{f'{each.name}: ' if each.name else ''}the {each.curve.n_seeds} seeds agree to the last "
        "digit at every size, so that intervals over them say nothing: are they copies of one run?"
        for each in curves
        if each.curve.n_seeds > 1 and _most_values(each.curve.size, each.curve.test) == 1
    ]


def _most_values(size: ArrayLike, values: ArrayLike) -> int:
    """Most distinct values at one size."""
    pairs = pd.DataFrame({"size": size, "value": values}).drop_duplicates()
    return int(np.max(np.unique(pairs["size"], return_counts=True)[1]))


def _of_logarithm(name: str) -> list[str]:
    """A doubt where the sizes seem to be logarithms already."""
    if not _LOGS & words_of(name):
        return []
    return [
        f"--x {name} is named for a logarithm, and curves are judged by the logarithm of --x: give "
        "the sizes themselves"
    ]


def _seed_to_give(rows: pd.DataFrame) -> str:
    """What to type, to follow a message, where no column tells runs apart."""
    others = [each for each in rows if each not in ("x", "test", "train", "best")]
    free = [str(each) for each in others if _most_values(rows["x"], rows[each]) > 1]
    if not free:
        return (
            ". They differ in no other column: add one, e.g. 'seed', and give --seed seed; or take "
            "the mean of each size, or the copies out"
        )
    near = next((each for each in free if "seed" in each.lower()), "NAME")
    return f", as --seed {near} or --group NAME (there are {', '.join(map(repr, free))})"
