"""`scaling design`: a fit and a budget -> the runs that shrink one interval most, as a sweep.

An experiment's file runs them as they were written:

    from analysis import sources
    from sweeps.sizes import at_sizes

    def _sweep():
        cells = sources.read("cells.csv", needs=("N", "D")).table
        runs = cells.loc[cells.index.repeat(cells["runs"])]
        return at_sizes(BASE, zip(runs["N"], runs["D"]), size="model.width")

    SWEEP = {"cpu": _sweep}
"""

from __future__ import annotations

from pathlib import Path

from analysis.planning.design import Design, next_cells
from analysis.tables import results
from experiments.commands import fit_files
from experiments.commands.console import console
from experiments.commands.pairs import AT
from sweeps.files import storing


def run(
    path: str,
    *,
    flops: float,
    quantity: str,
    at: str | None,
    cells: int,
    sizes: tuple[float, float] | None,
    tokens: tuple[float, float] | None,
    to: str | None,
) -> int:
    """Plans the next runs by a fit; prints them beside what is expected, and writes them."""
    if to is not None:
        results.check_format(Path(to))
    fitted = fit_files.read(path)
    design = next_cells(
        fitted.result,
        flops,
        quantity=quantity,
        at=None if at is None else AT.parse_numbers(at),
        sizes=sizes,
        tokens=tokens,
        fitted=fitted.ranges,
        n_cells=cells,
    )
    console.print(design.summary(), markup=False)
    if to is not None:
        _write(design, Path(to))
        console.print(f"{to}: written", markup=False)
    return 0


def _write(design: Design, path: Path) -> None:
    with storing(path):
        results.write(design.table(), path)
