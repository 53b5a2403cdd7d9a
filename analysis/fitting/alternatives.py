"""A law refitted under the other choices that a table allows."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.tables.conventions import SAME, Convention, conventions, recount
from analysis.tables.read import Source


def refit_under(
    law: Law,
    source: Source,
    *,
    loss: Loss = Loss(),
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> list[tuple[Convention, FitResult | str]]:
    """Fits a law under every convention that changes one of its inputs.

    Returns:
        Each convention with its fit, or with the reason why there is none.
    """
    inputs = list(law.inputs)
    refits: list[tuple[Convention, FitResult | str]] = []
    seen = [source.table[inputs].to_numpy(np.float64)]
    for convention in conventions(source):
        try:
            x = recount(source, convention)[inputs].to_numpy(np.float64)
            if any(np.allclose(x, other, rtol=SAME, atol=0) for other in seen):
                continue
            seen.append(x)
            found = fit(
                law, x, source.table[law.output], loss=loss, weights=weights, clusters=clusters
            )
        except (ValueError, FitError) as error:
            refits.append((convention, str(error)))
        else:
            refits.append((convention, found))
    return refits
