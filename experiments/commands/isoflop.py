"""`scaling isoflop`: a table -> minima at each budget, exponents, and three approaches at once."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.approaches_result import Approach, Approaches
from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.compute_optimal.points import SeedNoise
from analysis.plots import style
from analysis.plots.approaches import approaches_figure
from analysis.tables import results
from analysis.writing import replace_file
from experiments.commands import doubts
from experiments.commands.console import console, print_table, write_json
from experiments.commands.options.analyses import IsoflopOptions
from experiments.commands.rows import read_rows
from experiments.shared.panels import growth_rows, size_cells
from sweeps.files import storing


def run(options: IsoflopOptions) -> int:
    """Reads a table, finds minima and exponents by every approach, prints, draws and writes them.

    Raises:
        ValueError: An option or a cell is at fault.
        FitError: No approach can be done.
    """
    needs = ("N", "D", "C", "loss", *(["run"] if options.curves else []))
    source = read_rows(options, needs)
    chosen = source.table
    found = three_approaches(
        chosen,
        curves=options.curves,
        budgets=None if options.budgets is None else _numbers(options.budgets),
        span=options.span,
        noise=None if options.noise is None else SeedNoise(options.noise),
        flops=options.flops,
    )
    # The answer, the numbers behind it, the doubts, the files.
    headings, *rows = found.cells()
    console.print()
    print_table(headings, rows)
    console.print(f"\n{found.legend()}", soft_wrap=True)
    _print_minima(found)
    for each in _envelopes(found):
        console.print(f"\n{each.summary()}", soft_wrap=True)
    about_rows = doubts.about(chosen)
    if said := [*found.doubts(), *_refusals(found), *about_rows]:
        console.print("\n" + "\n".join(said), soft_wrap=True)
    selection = {
        "where": options.where,
        "rows": len(chosen),
        "curves": options.curves,
        "budgets": options.budgets,
        "span": options.span,
        "noise": options.noise,
    }
    report = {
        "source": source.provenance(),
        "selection": selection,
        "about_rows": about_rows,
        **found.to_dict(),
        "details": found.details(),
    }
    write_json(options.json, report)
    if options.out is not None:
        folder = Path(options.out)
        with storing(folder):
            style.save(approaches_figure(found), folder / "figure")
            results.write(pd.DataFrame(list(_shown(found))), folder / "figure.csv")
            text = json.dumps(report, indent=1, allow_nan=False) + "\n"
            replace_file(folder / "report.json", text.encode())
        console.print(f"{folder}: figure.pdf .png .csv report.json")
    return 0


def _numbers(text: str) -> list[float]:
    try:
        budgets = [float(part) for part in text.split(",")]
    except ValueError:
        budgets = [math.nan]
    if not all(0 < each < math.inf for each in budgets):
        raise ValueError(
            f"--budgets {text}: not numbers with commas between, each above 0; give FLOPs such as "
            "6e18,1e19,3e19"
        )
    return budgets


def _isoflops(found: Approaches) -> list[tuple[Approach, IsoflopResult]]:
    return [(row, row.detail) for row in found.rows if isinstance(row.detail, IsoflopResult)]


def _envelopes(found: Approaches) -> list[EnvelopeResult]:
    return [row.detail for row in found.rows if isinstance(row.detail, EnvelopeResult)]


def _print_minima(found: Approaches) -> None:
    """The minima of every budget by each method."""
    analyses = _isoflops(found)
    if not analyses:
        return
    headings = ("FLOPs", "sizes", *(f"N*, {row.kind.title}" for row, _ in analyses))
    rows = []
    for valleys in zip(*(result.valleys for _, result in analyses), strict=True):
        cells = ("refused" if each.refusal else str(each.optimal_params) for each in valleys)
        rows.append((f"{valleys[0].flops:.3g}", str(len(valleys[0].n_params)), *cells))
    console.print()
    print_table(headings, rows, ("right", "right", *("left" for _ in analyses)))


def _refusals(found: Approaches) -> Iterator[str]:
    """Why a budget has no minimum, or a doubtful one, by each method."""
    analyses = _isoflops(found)
    for valleys in zip(*(result.valleys for _, result in analyses), strict=True):
        for (row, _), valley in zip(analyses, valleys, strict=True):
            if valley.reason:
                what = f"refused, {valley.refusal}" if valley.refusal else "doubtful"
                yield f"{valley.flops:.3g} FLOPs, {row.kind.title}, {what}: {valley.reason}"


def _shown(found: Approaches) -> Iterator[dict[str, Any]]:
    """The numbers that the figure shows, a row each."""
    for row, result in _isoflops(found):
        for valley in result.valleys:
            at = {"approach": row.kind.title, "flops": valley.flops}
            for size, data, loss, used in zip(
                valley.n_params, valley.tokens, valley.loss, valley.used, strict=True
            ):
                kind = "point" if used else "point not used"
                yield at | {"kind": kind, "n_params": size, "tokens": data, "loss_nats": loss}
            size, data, loss = valley.optimal_params, valley.optimal_tokens, valley.lowest_loss
            if size is None or data is None or loss is None:
                yield at | {"note": valley.reason, "kind": "refused"}
            else:
                best = {"tokens": data.value, "loss_nats": loss.value}
                yield at | {"note": valley.reason, "kind": "minimum"} | size_cells(size) | best
    for row in found.rows:
        if isinstance(row.detail, EnvelopeResult):
            for each in row.detail.hand_overs:
                at = {"approach": row.kind.title, "kind": "hand-over", "flops": each.flops}
                yield at | {"n_params": each.n_params, "tokens": each.tokens}
        yield from growth_rows(row, sorted({*found.compute, found.flops}))
