"""`scaling descent`: anybody's curve -> threshold, peak, minima, second descent, and a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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
from analysis.double_descent.seeds import Statistic
from analysis.double_descent.verdict import Verdict
from analysis.estimate import Floats
from analysis.tables import read, results
from analysis.writing import dumps, replace_file
from experiments.commands import doubts
from experiments.commands.console import console, print_table, write_json
from experiments.commands.descent_rows import (
    Named,
    curves_of,
    doubts_of,
    is_share,
    source_of,
    tolerance_of,
    words_of,
)
from experiments.commands.options.analyses import DescentOptions
from sweeps.files import storing

if TYPE_CHECKING:
    from analysis.plots.descent_axes import SizeAxis

_TIMES = frozenset("epoch epochs step steps iteration iterations".split())


def run(options: DescentOptions) -> int:
    """Reads a table, judges each of its curves, prints, draws and writes what was found.

    Raises:
        ValueError: An option, a column or a cell is at fault.
    """
    source = source_of(options)
    tolerance, says = tolerance_of(options, source.table)
    curves = list(curves_of(options, source))
    statistic = options.statistic or ("mean" if is_share(options.test) else "median")
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
    doubts.print_about([*doubts_of(options, source, curves), *about_rows])
    report = _report(options, source, judged, about_rows)
    write_json(options.json, report)
    if options.out is not None:
        _write(options, curves, judged, report)
    return 0


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
    return bool(_TIMES & words_of(options.x))


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
