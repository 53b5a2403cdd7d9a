"""Tables of a study: expected beside measured, and each fit; as LaTeX and as CSV."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from analysis import latex
from analysis.fitting.render import latex_caption, latex_rows
from experiments.experiment import passes
from experiments.papers.numbers import printed
from experiments.papers.study import Study
from experiments.shared.words import accepted

HEADINGS = ("experiment", "name", "what", "value", "low", "high", "unit", "expected", "source",
            "judged", "note")  # fmt: skip
"""Columns of the table of measured numbers."""


def file_name(text: str) -> str:
    """Returns a name in letters, digits, hyphens and underscores, for files and labels."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")


def tables(study: Study) -> dict[str, str]:
    """Returns the tables of a study by path in the bundle."""
    made: dict[str, str] = {}
    stem = f"tables/{file_name(study.label)}"
    if study.measured:
        made[f"{stem}.tex"] = _measured(study)
        made[f"{stem}.csv"] = csv_text(HEADINGS, measured_rows(study))
    for name, fit in study.fits.items():
        label = f"{file_name(study.label)}-{file_name(name)}"
        table = fit.table()
        rows = latex_rows(table)
        made[f"tables/{label}.tex"] = environment(latex_caption(table), f"tab:{label}", rows)
        cells = [
            (row.name, row.value, row.error, *(row.interval or (None, None)))
            for row in (*table.params, *table.derived)
        ]
        headings = ("parameter", "estimate", "standard_error", "low", "high")
        made[f"tables/{label}.csv"] = csv_text(headings, cells)
    return made


def measured_rows(study: Study) -> list[tuple[object, ...]]:
    """Returns a row for each measured number, in the columns `HEADINGS`."""
    rows: list[tuple[object, ...]] = []
    for name, measured in study.measured.items():
        expected = study.prediction(name)
        said = ("", "", "", "")
        if expected is not None:
            judged = "pass" if passes(expected, measured) else "fail"
            said = (expected.unit, accepted(expected), expected.source, judged)
        numbers = (measured.value, measured.low, measured.high)
        rows.append((study.label, name, study.says(name), *numbers, *said, measured.note))
    return rows


def csv_text(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a table as CSV, numbers in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return text.getvalue()


def environment(caption: str, label: str, rows: Sequence[str]) -> str:
    """Returns a `table*` of rows that are LaTeX, its caption above it."""
    lines = (
        r"\begin{table*}[tbp]",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        *rows,
        r"\end{table*}",
    )
    return "\n".join(lines) + "\n"


def _measured(study: Study) -> str:
    rows = []
    for name, measured in study.measured.items():
        expected, shown = study.prediction(name), printed(measured)
        unit = (
            "" if expected is None or expected.unit == "1" else f"~{latex.escaped(expected.unit)}"
        )
        cells = [latex.escaped(study.says(name)), "", f"{shown.value}{unit}", shown.interval, ""]
        if expected is not None:
            cells[1] = latex.escaped(accepted(expected))
            cells[4] = "yes" if passes(expected, measured) else "no"
        rows.append(" & ".join(cells))
    # The first two columns break their lines, so that the table is no wider than a page.
    ragged = r">{\raggedright\arraybackslash}"
    sides = rf"{ragged}p{{0.31\linewidth}}{ragged}p{{0.15\linewidth}}rll"
    head = "What & Expected & Measured & Interval & Met"
    caption = (
        f"{latex.escaped(study.question)} Expected beside measured (\\texttt{{"
        f"{latex.escaped(study.label)}}}, size {latex.escaped(study.budget)})."
    )
    label = f"tab:{file_name(study.label)}"
    return environment(caption, label, latex.ruled(sides, [head], rows))
