"""Result of `analysis.planning.design.next_cells`: the models to train next."""

import math
from dataclasses import dataclass

import pandas as pd

from analysis.planning.training_cost import SIX_N_D, TrainingCost
from analysis.writing import JsonResult


@dataclass(frozen=True)
class Cell:
    """Runs of one model size and one number of tokens.

    Attributes:
        parameters: N.
        tokens: D.
        flops: Compute of all its runs.
        runs: Number of its runs, each with a seed of its own.
        share: Share of the initial variance of the quantity that this cell removes, after the cells
            before it.
    """

    parameters: float
    tokens: float
    flops: float
    runs: int
    share: float


@dataclass(frozen=True)
class Design(JsonResult):
    """The runs to do next, from `next_cells`.

    Attributes:
        law: Name of the fitted law.
        quantity: The number whose uncertainty is to shrink.
        value: Its estimate.
        flops: Budget, as the sum of the runs' FLOPs.
        residual_sd: Noise of one run: of log loss, or of the loss for a fit on the linear scale.
        cells: The cells, the one that removes most variance first.
        before: Standard error of the quantity now.
        after: Expected standard error once the runs are in.
        naive: Expected standard error after as many runs of the same total compute on one iso-FLOP
            curve, spread evenly in log N over the candidates; None where they allow none.
        notes: Sentences on what to distrust; may be empty.
        cost: How FLOPs are counted.
    """

    law: str
    quantity: str
    value: float
    flops: float
    residual_sd: float
    cells: tuple[Cell, ...]
    before: float
    after: float
    naive: float | None
    notes: tuple[str, ...]
    cost: TrainingCost = SIX_N_D

    def table(self) -> pd.DataFrame:
        """Returns a row for each cell: N, D, flops (of one run), runs, share."""
        rows = [
            (cell.parameters, cell.tokens, cell.flops / cell.runs, cell.runs, cell.share)
            for cell in self.cells
        ]
        return pd.DataFrame(rows, columns=["N", "D", "flops", "runs", "share"])

    def _counted(self) -> str:
        return "" if self.cost == SIX_N_D else f" by the table's own count, {self.cost}"

    def summary(self) -> str:
        """Returns the design as a plain-text table."""
        spent = math.fsum(cell.flops for cell in self.cells)
        naive = "none within the candidates" if self.naive is None else f"{self.naive:.3g}"
        lines = [
            f"next runs for {self.quantity} of {self.law}",
            f"budget {self.flops:.4g} FLOPs{self._counted()}, {spent:.4g} used",
            "",
            f"{'parameters':>11} {'tokens':>11} {'runs':>5} {'FLOPs':>11} {'of FLOPs':>9} "
            f"{'of variance':>12}",
            *(
                f"{cell.parameters:>11.4g} {cell.tokens:>11.4g} {cell.runs:>5} "
                f"{cell.flops:>11.4g} {100 * cell.flops / spent:>8.1f}% {100 * cell.share:>11.1f}%"
                for cell in self.cells
            ),
            "",
            f"{self.quantity}: {self.value:.6g}",
            f"standard error now                  {self.before:.3g}",
            f"expected after these runs           {self.after:.3g}",
            f"the same from one iso-FLOP curve    {naive}",
        ]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)
