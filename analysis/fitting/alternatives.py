"""A law refitted under the other choices that a table allows."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.estimate import FEW_REPLICATES, Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.tables.conventions import SAME, Convention, conventions, recount
from analysis.tables.read import Source
from analysis.tables.values import FRACTIONS

HUBER = 1e-3
"""The usual threshold on log loss (Hoffmann et al. 2022, arXiv 2203.15556, section 3.3)."""

Fitted = TypeVar("Fitted")
"""A fit, or its parameters alone."""


def other_losses(law: Law, loss: Loss) -> list[Loss]:
    """Returns the losses beside one: Huber's or squared error, and of logs or of values."""
    others = [replace(loss, delta=HUBER if loss.delta is None else None)]
    if loss.above == 1 and law.output not in FRACTIONS:
        others.append(Loss(scale="linear" if loss.scale == "log" else "log"))
    return others


def refit_under_losses(result: FitResult) -> list[tuple[Loss, FitResult | str]]:
    """Fits the rows of a result under the other losses.

    Returns:
        Each loss with its fit, whose intervals are of few replicates, or with the reason why there
        is none.

    Raises:
        ValueError: A fit without its rows.
    """
    rows, refits = result.require_rows(), []
    clusters = np.zeros(len(rows.y)) if rows.one_run else rows.clusters
    for loss in other_losses(result.law, result.loss):
        try:
            found: FitResult | str = fit(
                result.law,
                rows.x,
                rows.y,
                weights=rows.weights,
                clusters=clusters,
                loss=loss,
                bootstrap=Bootstrap(n=FEW_REPLICATES),
                fixed={name: result.params[name] for name in result.fixed},
            )
        except (ValueError, FitError) as error:
            found = str(error)
        refits.append((loss, found))
    return refits


def refit_under(
    fitted: Callable[..., Fitted],
    law: Law,
    source: Source,
    *,
    loss: Loss = Loss(),
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> list[tuple[Convention, Fitted | str]]:
    """Fits a law under every convention that changes one of its inputs.

    Args:
        fitted: `analysis.fitting.fit.fit`, or `estimate` for parameters alone.
        law: The law.
        source: The table.
        loss: The loss.
        weights: Weights of the rows.
        clusters: Labels of the rows.

    Returns:
        Each convention with its fit, or with the reason why there is none.
    """
    inputs = list(law.inputs)
    refits: list[tuple[Convention, Fitted | str]] = []
    seen = [source.table[inputs].to_numpy(np.float64)]
    for convention in conventions(source):
        try:
            x = recount(source, convention)[inputs].to_numpy(np.float64)
            if any(np.allclose(x, other, rtol=SAME, atol=0) for other in seen):
                continue
            seen.append(x)
            found = fitted(
                law, x, source.table[law.output], loss=loss, weights=weights, clusters=clusters
            )
        except (ValueError, FitError) as error:
            refits.append((convention, str(error)))
        else:
            refits.append((convention, found))
    return refits
