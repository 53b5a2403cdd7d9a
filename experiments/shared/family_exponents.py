"""Exponents of allocation of several families over one text: one law, one floor for all."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Estimate, interval_text
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws.shared_floor import shared_floor
from experiments.shared.tuned import RATE

LEAST_CELLS = 5
"""Sizes and lengths that a family must have: its own part of the law has four parameters."""


class FamilyExponents(NamedTuple):
    """What one law says of several families.

    Attributes:
        cells: Rows of family, flops, N, D, the mean loss over seeds and the runs.
        families: Those in the law, in the order of its numbers.
        law: The fit; None where there is none.
        reason: Why there is none.
    """

    cells: pd.DataFrame
    families: tuple[str, ...] = ()
    law: FitResult | None = None
    reason: str = ""

    def of_parameters(self) -> dict[str, Estimate]:
        """The exponent of each family's compute-optimal parameters in compute."""
        if self.law is None:
            return {}
        found = self.law.derived()
        each = [found[f"a_{number}"] for number in range(1, len(self.families) + 1)]
        return {
            family: Estimate(a.value, *a.interval, self.law.level)
            for family, a in zip(self.families, each, strict=True)
        }

    def line(self) -> str:
        """The exponents in words."""
        if self.law is None:
            return f"no exponents of allocation: {self.reason}"
        listed = ", ".join(
            f"{family} {a.value:.2f} {interval_text(a.low, a.high, '.2f')}"
            for family, a in self.of_parameters().items()
        )
        floor = self.law.params["E"]
        return (
            f"compute-optimal parameters over one floor of {floor:.2f} nats grow as C^a: {listed}"
        )


def family_exponents(runs: pd.DataFrame, rates: Mapping[str, float]) -> FamilyExponents:
    """Fits one Chinchilla law a family, with one floor for all, to the runs at given rates.

    Args:
        runs: Runs of families at several sizes and lengths; others than at `rates` are left out.
        rates: Learning rate of each family.
    """
    compared = np.isclose(
        runs[RATE].to_numpy(np.float64), np.array([rates[kind] for kind in runs["model.kind"]])
    )
    kept = runs.loc[compared].rename(
        columns={"model.kind": "family", "n_params_matmul": "N", "n_tokens_seen": "D"}
    )
    by = kept.groupby(["family", "flops_train", "N", "D"])
    cells = by.agg(loss=("eval_loss_nats", "mean"), run_ids=("run_id", " ".join)).reset_index()
    counts = cells["family"].value_counts()
    families = tuple(name for name in rates if counts.get(name, 0) >= LEAST_CELLS)
    if len(families) < 2:
        reason = f"fewer than two families have {LEAST_CELLS} sizes and lengths"
        return FamilyExponents(cells, reason=reason)
    rows = cells.loc[cells["family"].isin(families)]
    number = np.array([1.0 + families.index(name) for name in rows["family"]])
    x = np.column_stack([rows[["N", "D"]].to_numpy(np.float64), number])
    losses = rows["loss"].to_numpy(np.float64)
    try:
        law = fit(shared_floor(len(families)), x, losses, bootstrap=Bootstrap(n=400))
    except FitError as error:
        return FamilyExponents(cells, families, reason=str(error))
    return FamilyExponents(cells, families, law)
