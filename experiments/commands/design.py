"""`scaling design`: a fit and a budget -> the runs that shrink one interval most, as a sweep.

An experiment's file runs the cells that were written:

    from analysis.tables import read
    from sweeps.sizes import at_sizes

    def _sweep():
        cells = read.read("cells.csv", needs=("N", "D")).table
        runs = cells.loc[cells.index.repeat(cells["runs"])]
        return at_sizes(BASE, zip(runs["N"], runs["D"]), size="model.width")

    SWEEP = {"cpu": _sweep}
"""

from pathlib import Path

from analysis.planning.design import Candidates, next_cells
from analysis.tables import results
from experiments.commands import fit_files
from experiments.commands.console import console, write_json
from experiments.commands.options.analyses import DesignOptions
from experiments.commands.pairs import AT
from sweeps.files import storing


def run(options: DesignOptions) -> int:
    """Plans the next runs by a fit; prints them with the interval to expect, and writes them."""
    to = None if options.to is None else Path(options.to)
    if to is not None:
        results.check_format(to)
    fitted = fit_files.read(options.fit)
    design = next_cells(
        fitted.result,
        options.flops,
        quantity=options.quantity,
        at=None if options.at is None else AT.parse_numbers(options.at),
        candidates=Candidates(options.sizes, options.tokens, fitted.ranges, fitted.cost),
        n_cells=options.cells,
    )
    console.print(design.summary())
    write_json(options.json, {"cells": design.table().to_dict(orient="records")})
    if to is not None:
        with storing(to):
            results.write(design.table(), to)
        console.print(f"{to}: written")
    return 0
