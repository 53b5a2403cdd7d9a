"""`scaling descent`: anybody's curve -> threshold, peak, minima, second descent, and a verdict."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.checks.mixed_shares import first_of_other_unit
from analysis.double_descent.judge import judge
from analysis.double_descent.judgement import Judgement
from analysis.double_descent.judgement_table import (
    HEADINGS,
    cells,
    early_sentence,
    latex,
    limits,
    to_dict,
)
from analysis.double_descent.missing_sizes import missing_sizes, sizes_beyond
from analysis.double_descent.rows import Curve, RunsNotToldApart, curve_rows
from analysis.double_descent.seeds import Statistic
from analysis.double_descent.verdict import Verdict
from analysis.errors import typed
from analysis.estimate import Floats
from analysis.tables import columns as naming
from analysis.tables import read, results, selection
from analysis.tables.names import words
from analysis.writing import dumps, replace_file
from experiments.commands import doubts
from experiments.commands.console import console, print_table, write_json
from experiments.commands.options.analyses import DescentOptions
from sweeps.files import storing

if TYPE_CHECKING:
    from analysis.plots.descent_axes import SizeAxis

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
_TIMES = frozenset("epoch epochs step steps iteration iterations".split())


class Named(NamedTuple):
    """A curve of the table: its name (empty for one alone), rows, and parameters against them."""

    name: str
    curve: Curve
    rows: pd.DataFrame


def run(options: DescentOptions) -> int:
    """Reads a table, judges each of its curves, prints, draws and writes what was found.

    Raises:
        ValueError: An option, a column or a cell is at fault.
    """
    source = _source(options)
    tolerance, says = _tolerance(options, source.table)
    curves = list(_curves(options, source))
    statistic = options.statistic or ("mean" if _is_share(options.test) else "median")
    judged = {
        each.name: judge(
            each.curve, tolerance=tolerance if options.train else None, statistic=statistic
        )
        for each in curves
    }
    # The verdict of each curve, the numbers behind it, the doubts, the files.
    console.print()
    for each in curves:
        _print_verdict(each, judged[each.name], options)
    if any(found.basis != "none" for found in judged.values()):
        name = ("curve",) if len(curves) > 1 else ()
        rows = [(*([key] if name else []), *cells(found)) for key, found in judged.items()]
        print_table((*name, *HEADINGS), rows)
        console.print(f"\n{_legend(options, curves, judged, statistic, says)}", soft_wrap=True)
    about_rows = doubts.about(source.table.drop(columns="group", errors="ignore"), ("x",))
    of_table = [*_of_logarithm(options.x), *_unlike_units(source.table), *_copies(curves)]
    doubts.print_about([*of_table, *about_rows])
    report = _report(options, source, judged, about_rows)
    write_json(options.json, report)
    if options.out is not None:
        _write(options, curves, judged, report)
    return 0


def _source(options: DescentOptions) -> read.Source:
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
        if role in source.table and _is_share(name):
            _require_one_unit(source.table, role, name)
        if role in source.table and (_SHARES | _SQUARES) & _said(name):
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
        if role in _METRICS and _HIGHER_IS_BETTER & _said(name):
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


def _is_share(name: str) -> bool:
    return bool(_SHARES & _said(name)) and not _SQUARES & _said(name)


def _said(name: str) -> set[str]:
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


def _tolerance(options: DescentOptions, table: pd.DataFrame) -> tuple[float, str]:
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
    if _is_share(options.train or ""):
        return (1.0, "1 per cent") if train.max() > 1 else (0.01, "1 per cent of the samples")
    return 0.01 * float(train.max()), "a hundredth of the largest train metric"


def _curves(options: DescentOptions, source: read.Source) -> Iterator[Named]:
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
    if not _LOGS & _said(name):
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


def _print_verdict(each: Named, found: Judgement, options: DescentOptions) -> None:
    """The verdict in sentences: of the curve, of early stopping, of the grid, of its limits."""
    where = f"{each.name}: " if each.name else ""
    said = [found.reason]
    if found.threshold is not None:
        said.append(f"The interpolation threshold is {found.threshold}.")
    if _is_time(options) and found.verdict.has_peak and found.early is None:
        said.append(_of_time(found))
    said += [early_sentence(found), _of_grid(each, found, options)]
    said += limits(found, has_train=options.train is not None, is_time=_is_time(options))
    console.print(f"{where}{found.verdict.value}", soft_wrap=True)
    console.print("  " + "\n  ".join(filter(None, said)) + "\n", soft_wrap=True)


def _is_time(options: DescentOptions) -> bool:
    return bool(_TIMES & _said(options.x))


def _of_time(found: Judgement) -> str:
    """Along training the first minimum is where early stopping stops."""
    wins = {
        Verdict.SECOND_DESCENT_BELOW: "beats",
        Verdict.SECOND_DESCENT_ABOVE: "does not beat",
    }.get(found.verdict, "is not shown to beat")
    return f"The second descent {wins} early stopping, which ends at the first minimum."


def _of_grid(each: Named, found: Judgement, options: DescentOptions) -> str:
    """Says that the grid misses the threshold, and which sizes to add."""
    threshold = found.threshold
    if threshold is None or threshold.censored is None:
        return ""
    above = threshold.censored == "above"
    size, counts, constraints = _parameters(each.rows, options)
    add, why = sizes_beyond(each.curve.size, above=above), ""
    if counts is not None and constraints is not None:
        expected = missing_sizes(size, counts, constraints)
        if expected.inside:
            return (
                "The grid does not reach the interpolation threshold, although its parameters "
                f"equal samples times outputs, {constraints:.4g}, at {expected.expected:.4g}: "
                "train longer, regularise less, or raise --tolerance."
            )
        if expected.add:
            add = expected.add
            why = (
                f" The parameters equal samples times outputs, {constraints:.4g}, at "
                f"{expected.expected:.4g}."
            )
    side = "beyond the largest" if above else "below the smallest"
    shown = ", ".join(f"{value:g}" for value in add)
    return (
        f"The grid misses the interpolation threshold, which lies {side} {options.x}.{why} Add "
        f"{options.x} {shown}."
    )


def _parameters(
    rows: pd.DataFrame, options: DescentOptions
) -> tuple[Floats, Floats | None, float | None]:
    """Sizes with the parameters of each, and samples times outputs; None where unknown."""
    size, constraints = rows["x"].to_numpy(np.float64), options.constraints
    name = "parameters" if options.parameters else "n_params_total"
    if constraints is None and {"n_train_examples", "n_outputs"} <= set(rows):
        known = np.unique((rows["n_train_examples"] * rows["n_outputs"]).dropna().to_numpy())
        constraints = float(known[0]) if len(known) == 1 else None
    if name not in rows or bool(rows[name].isna().any()):
        return size, None, constraints
    counts = rows[name].to_numpy(np.float64)
    at, first = np.unique(size, return_index=True)
    grows = len(at) > 1 and bool(np.all(np.diff(counts[first]) > 0))
    same = bool(np.all(counts == counts[first][np.searchsorted(at, size)]))
    return (at, counts[first], constraints) if grows and same else (at, None, constraints)


def _legend(
    options: DescentOptions,
    curves: list[Named],
    judged: dict[str, Judgement],
    statistic: Statistic,
    tolerance: str,
) -> str:
    """What the numbers are."""
    said = [
        f"{options.x} and {options.test} with 95 % intervals; the peak's width is the ratio of the "
        "sizes between which it stands above half its prominence."
    ]
    bases = {found.basis for found in judged.values()}
    if "seeds" in bases:
        said.append(f"Intervals are over seeds (their {statistic}).")
    if "smoothness" in bases:
        said.append(
            "Intervals of one curve come from the scatter of its points about a smooth one."
        )
    if options.train is not None:
        said.append(f"Interpolation: {options.train} at most {tolerance}.")
    averaged = [each.curve for each in curves if each.curve.n_averaged > len(set(each.curve.size))]
    if averaged:
        n, m = averaged[0].n_averaged, len(set(averaged[0].size))
        said.append(f"{n:,} sizes were averaged to {m}, even in their logarithm.")
    return " ".join(said)


def _axis(each: Named, options: DescentOptions) -> "SizeAxis":
    """What the curve is drawn over: its sizes, or the median over its runs of another column."""
    from analysis.plots.descent_axes import axis_of_runs, own_axis

    if options.axis is None:
        return own_axis(options.x)
    runs = np.arange(len(each.rows))  # a row is a run: the median is over all of a size
    return axis_of_runs(options.axis, each.rows["x"], each.rows["axis"], runs)


def _report(
    options: DescentOptions,
    source: read.Source,
    judged: dict[str, Judgement],
    about_rows: list[str],
) -> dict[str, Any]:
    """What was asked and found, as JSON values."""
    return {
        "source": source.provenance(),
        "x": options.x,
        "test": options.test,
        "train": options.train,
        "axis": options.axis or options.x,
        "where": options.where,
        "about_rows": about_rows,
        "curves": {name: to_dict(found) for name, found in judged.items()},
    }


def _write(
    options: DescentOptions,
    curves: list[Named],
    judged: dict[str, Judgement],
    report: dict[str, Any],
) -> None:
    """Writes figure.pdf .png .csv, report.json and table.tex."""
    from analysis.plots import style
    from analysis.plots.descent_axes import size_label
    from analysis.plots.descent_figure import Judged, descent_figure, descent_table

    assert options.out is not None
    folder = Path(options.out)
    drawn = [
        Judged(each.name, each.curve, judged[each.name], _axis(each, options)) for each in curves
    ]
    label = size_label(options.x)
    figure = descent_figure(drawn, size=label, test=options.test, train=options.train)
    caption = f"Double descent of {options.test} over {options.x}; 95 % intervals."
    with storing(folder):
        style.save(figure, folder / "figure")
        results.write(descent_table(drawn), folder / "figure.csv")
        replace_file(folder / "report.json", (dumps(report) + "\n").encode())
        replace_file(folder / "table.tex", latex(judged, caption).encode())
    console.print(f"{folder}: figure.pdf .png .csv report.json table.tex")
