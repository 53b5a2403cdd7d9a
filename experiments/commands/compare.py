"""`scaling compare`: two results, two sizes or two fits side by side, in standard errors."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.checks.comparison import FAR, Known, apart, cells, error_of
from analysis.plots import style
from analysis.plots.differences import draw_differences
from analysis.tables import results as tables
from experiments.commands import fit_files
from experiments.commands.console import console, print_table, write_json
from experiments.commands.finished import Finished, finished
from experiments.commands.options.folders import CompareOptions
from experiments.experiment import Expected, Experiment, Measured, passes
from experiments.shared.words import number
from scaling.fields import flatten
from scaling.record import RunRecord, row
from sweeps.files import storing

_MOST_CELLS = 12
_VALUES = ("eval_loss_nats", "eval_error", "eval_excess_risk", "eval_squared_error")
"""Columns of which the first that both sides have is compared."""


@dataclass(frozen=True)
class Difference:
    """A number on both sides.

    Attributes:
        name: What it is.
        first: As the first side has it.
        second: As the second has it.
        apart: By how many standard errors the second exceeds the first; None where unknown.
        first_judged: Whether it is as expected on the first side, "" where nothing was expected
            at its size.
        second_judged: The same of the second.
    """

    name: str
    first: Measured
    second: Measured
    apart: float | None
    first_judged: str = ""
    second_judged: str = ""

    @property
    def changes(self) -> bool:
        """Whether a conclusion is another on the second side."""
        both = self.first_judged and self.second_judged
        return bool(both) and self.first_judged != self.second_judged


def compare(options: CompareOptions) -> int:
    """Prints how two results differ, and writes table and figure where asked.

    Returns:
        1 where a conclusion changes, else 0.

    Raises:
        ValueError: Nothing to compare.
    """
    if options.first.endswith(".json") or options.second.endswith(".json"):
        differences, table, title = _fits(options.first, options.second)
    else:
        differences, table, title = _results(options)
    _print_differences(differences)
    if not table.empty:
        _print_cells(table)
    changed = [each.name for each in differences if each.changes]
    for name in changed:
        console.print(f"conclusion changes: {name}")
    if not changed:
        console.print("no conclusion changes")
    numbers = [asdict(each) | {"changes": each.changes} for each in differences]
    cells = table.to_dict(orient="records")
    write_json(options.json, {"title": title, "numbers": numbers, "cells": cells})
    if options.to is not None:
        _write(Path(options.to), differences, table, title)
    return 1 if changed else 0


def _fits(first: str, second: str) -> tuple[list[Difference], pd.DataFrame, str]:
    one, other = (fit_files.read(path).result for path in (first, second))
    if one.law.name != other.law.name:
        raise ValueError(
            f"{first} is a fit of {one.law.name}, {second} one of {other.law.name}: their "
            "parameters mean different things. Give two fits of one law."
        )
    sides = [
        {row.name: row for row in (*fit.table().params, *fit.table().derived)}
        for fit in (one, other)
    ]
    differences = []
    for name, row_one in sides[0].items():
        row_two = sides[1][name]
        (low, high), (low_two, high_two) = (
            each.interval or (None, None) for each in (row_one, row_two)
        )
        known = Known(row_one.value, row_one.error), Known(row_two.value, row_two.error)
        first_number = Measured(value=row_one.value, low=low, high=high)
        second_number = Measured(value=row_two.value, low=low_two, high=high_two)
        differences.append(Difference(name, first_number, second_number, apart(*known)))
    verdicts = (str(one.verdict), str(other.verdict))
    nothing = Measured(value=None)
    differences.append(Difference("verdict", nothing, nothing, None, *verdicts))
    return differences, pd.DataFrame(), one.law.name


def _results(options: CompareOptions) -> tuple[list[Difference], pd.DataFrame, str]:
    one, other = (
        _report(path, options.budget, options.experiments)
        for path in (options.first, options.second)
    )
    if one.made.experiment != other.made.experiment:
        raise ValueError(
            f"{options.first} is of {one.made.experiment}, {options.second} of "
            f"{other.made.experiment}. Give two results of one experiment."
        )
    for side, each in zip("AB", (one, other), strict=True):
        console.print(f"{side}: {each.folder}, {each.state}")
    return _numbers(one, other), _cells(one.runs, other.runs), one.made.experiment


def _report(path: str, budget: str | None, own: Sequence[str]) -> Finished:
    """The one report of a results folder, or of a folder of reports/."""
    folder = Path(path)
    if (folder / "report.json").is_file():
        budget, folder = folder.name, folder.parent.parent
    found = [each for each in finished([str(folder)], own, budget)
             if isinstance(each.experiment, Experiment) or each.experiment is None]  # fmt: skip
    if len(found) != 1:
        names = ", ".join(str(each.folder) for each in found)
        raise ValueError(f"{path} holds {len(found)} reports. Give one of them: {names}.")
    return found[0]


def _numbers(one: Finished, other: Finished) -> list[Difference]:
    expected, expected_other = map(_expected, (one, other))
    differences = []
    for name, first in one.made.measured.items():
        second = other.made.measured.get(name)
        if second is None:
            continue
        known = [
            Known(m.value, error_of(m.low, m.high)) for m in (first, second) if m.value is not None
        ]
        wanted = expected.get(name), expected_other.get(name)
        judged = [
            "" if each is None else "pass" if passes(each, found) else "fail"
            for each, found in zip(wanted, (first, second), strict=True)
        ]
        says = next((each.says for each in wanted if each is not None), name)
        distance = apart(*known) if len(known) == 2 else None
        differences.append(Difference(says, first, second, distance, *judged))
    return differences


def _expected(each: Finished) -> dict[str, Expected]:
    """Predictions of the experiment at its size, by name."""
    if not isinstance(each.experiment, Experiment):
        return {}
    return {wanted.name: wanted for wanted in each.experiment.expected_at(each.made.budget)}


def _cells(first: Sequence[RunRecord], second: Sequence[RunRecord]) -> pd.DataFrame:
    """Cells that both sides have; the settings that all of them share are left out."""
    sides = [
        tables.frame(map(row, (r for r in runs if r.status == "done"))) for runs in (first, second)
    ]
    if any(side.empty for side in sides):
        return pd.DataFrame()
    shared = [name for name in _VALUES if all(side[name].notna().any() for side in sides)]
    configs = {name for runs in (first, second) for r in runs for name in flatten(r.config)}
    fields = sorted(configs - {"seed"})
    by_name = {name: [set(side[name].map(str)) for side in sides] for name in fields
               if all(name in side for side in sides)}  # fmt: skip
    differ = [name for name, (one, other) in by_name.items() if len(one | other) > 1]
    # What is one thing in all of A and another in all of B is what is compared.
    apart_in = [name for name in differ if all(len(values) == 1 for values in by_name[name])]
    for name in apart_in:
        one, other = (min(values) for values in by_name[name])
        console.print(f"{name} is {one} in A, {other} in B")
    differ = [name for name in differ if name not in apart_in]
    if not shared or not differ:
        return pd.DataFrame()
    sides = [
        side.reindex(columns=[*differ, shared[0]]).dropna(subset=[shared[0]]) for side in sides
    ]
    found = cells(sides[0], sides[1], shared[0], differ)
    only = [len(side[differ].map(str).drop_duplicates()) - len(found) for side in sides]
    n_far = np.sum(np.abs(found["apart"].to_numpy()) > FAR)
    console.print(
        f"{shared[0]}: {len(found)} cells on both sides, {only[0]} in A alone, {only[1]} in B "
        f"alone; {n_far} differ by more than {FAR:g} standard errors"
    )
    return found.rename(columns={"first": f"{shared[0]}_A", "second": f"{shared[0]}_B"})


def _print_differences(differences: Sequence[Difference]) -> None:
    rows = [
        (each.name, _shown(each.first, each.first_judged), _shown(each.second, each.second_judged),
         "" if each.apart is None else f"{each.apart:+.2f}")
        for each in differences
    ]  # fmt: skip
    print_table(("", "A", "B", "apart (s.e.)"), rows)


def _shown(measured: Measured, judged: str) -> str:
    return " ".join(filter(None, (number(measured) if measured.value is not None else "", judged)))


def _print_cells(table: pd.DataFrame) -> None:
    top = table.head(_MOST_CELLS)
    if top.empty:
        return
    rows = [[_cell(value) for value in values] for values in top.itertuples(index=False)]
    print_table([str(name) for name in top], rows)
    if len(table) > _MOST_CELLS:
        console.print(f"and {len(table) - _MOST_CELLS} nearer cells")


def _cell(value: object) -> str:
    """A number to four digits, also one that is a setting, in words; other words as they are."""
    try:
        return f"{float(str(value)):.4g}"
    except ValueError:
        return str(value)


def _write(stem: Path, differences: Sequence[Difference], table: pd.DataFrame, title: str) -> None:
    kept = [(each.name, each.apart) for each in differences if each.apart is not None]
    numbers = pd.DataFrame([_as_row(each) for each in differences])
    with storing(stem.parent), style.paper_style():
        panels = 1 if table.empty else 2
        figure, axes = style.new_figure(
            1, panels, width=style.DOUBLE_COLUMN, height=0.9 + 0.25 * max(len(kept), 4)
        )
        draw_differences(axes[0, 0], [n for n, _ in kept], [d for _, d in kept], FAR)
        axes[0, 0].set_title(title)
        if not table.empty:
            draw_differences(axes[0, 1], [""] * len(table), table["apart"], FAR)
            axes[0, 1].set_title("runs of equal settings")
        style.outer_legend(figure, axes.flat, "outside lower center", 2)
        style.save(figure, stem)
        tables.write(numbers, stem.with_suffix(".csv"))
        if not table.empty:
            tables.write(table, stem.with_name(f"{stem.name}-cells.csv"))
    console.print(f"{stem}.pdf .png .csv: written")


def _as_row(each: Difference) -> dict[str, object]:
    sides = {"A": (each.first, each.first_judged), "B": (each.second, each.second_judged)}
    numbers = {
        name: value
        for side, (found, judged) in sides.items()
        for name, value in (
            (side, found.value),
            (f"{side}_low", found.low),
            (f"{side}_high", found.high),
            (f"{side}_judged", judged),
        )
    }
    return {"what": each.name, **numbers, "apart": each.apart}
