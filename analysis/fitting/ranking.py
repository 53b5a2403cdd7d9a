"""Choosing among laws by what they predict, with information criteria and verdicts beside it.

A ranking compares laws on the same rows, and first of all by their extrapolation error
(`analysis.fitting.extrapolation`), which is what a law is for. AIC and BIC judge the fit to the
rows at hand and charge for parameters; they know nothing of where a curve goes beyond its data.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.extrapolation import Extrapolation, Window, extrapolation, pooled_rmsle
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.writing import dumps, plain

__all__ = ["Information", "RankedLaw", "Ranking", "extrapolation", "information", "rank"]


class Information(NamedTuple):
    """Information criteria; the lower, the better. Only differences between laws mean something.

    Attributes:
        aic: Akaike's criterion.
        aicc: The same, corrected for few rows; infinite where rows are too few to correct for.
        bic: Schwarz's criterion.
    """

    aic: float
    aicc: float
    bic: float


def information(result: FitResult) -> Information:
    """AIC, AICc and BIC of a fit by squared log error.

    The likelihood is that of independent normal log residuals of one variance, at its maximum. The
    variance counts as a parameter, so that with p parameters fitted, k = p + 1:

        AIC = n log(2 pi RSS / n) + n + 2 k
        AICc = AIC + 2 k (k + 1) / (n - k - 1)
        BIC = AIC - 2 k + k log n

    It is the density of log y; that of y adds 2 sum(log y), the same for every law. Burnham and
    Anderson 2002, Model Selection and Multimodel Inference, sections 2.2 to 2.4 and 6.4.

    Args:
        result: A fit on the log scale, by squared error, without weights.

    Returns:
        The criteria; -inf where the curve goes through every row exactly.

    Raises:
        ValueError: A fit on the linear scale or with another loss, whose optimum is not the
            maximum of this likelihood, or one whose weights differ from 1.
    """
    if result.loss != Loss():
        raise ValueError(
            f"A fit on the {result.loss.scale} scale by {result.loss} does not maximise a normal "
            "likelihood. For AIC and BIC fit with loss=Loss(): squared error of logs."
        )
    rss = math.fsum(result.residuals**2)  # exact, so that the order of rows does not matter
    if not math.isclose(rss, 2 * result.objective, rel_tol=1e-6, abs_tol=1e-20):
        raise ValueError(
            f"The squared residuals sum to {rss:.6g}, but to {2 * result.objective:.6g} with their "
            "weights. For AIC and BIC fit without weights."
        )
    n, k = result.n_points, len(result.params) - len(result.fixed) + 1
    deviance = n * math.log(2 * math.pi * rss / n) + n if rss > 0 else -math.inf
    aic = deviance + 2 * k
    aicc = aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else math.inf
    return Information(aic, aicc, bic=deviance + k * math.log(n))


@dataclass(frozen=True)
class RankedLaw:
    """A law's row in a ranking; what does not apply is None.

    Attributes:
        law: The law.
        error: RMSLE of extrapolation over the windows of `Ranking.windows`; None where the law is
            not ranked.
        extrapolation: All windows of the law.
        fit: The fit to all rows.
        information: AIC, AICc and BIC of that fit; None under a loss other than squared error.
        reason: Why the law is not ranked; of one that is, what its verdict says.
    """

    law: Law
    error: float | None
    extrapolation: Extrapolation | None
    fit: FitResult | None
    information: Information | None
    reason: str

    @property
    def largest_error(self) -> float | None:
        """RMSLE at the largest size, by a fit to all others."""
        return None if self.extrapolation is None else self.extrapolation.largest.rmsle

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the law; none where it takes other inputs."""
        return () if self.extrapolation is None else self.extrapolation.windows

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON values; what is not finite or does not apply is None."""
        criteria = self.information or Information(math.nan, math.nan, math.nan)
        return plain(
            {
                "law": self.law.name,
                "n_params": len(self.law.params),
                "extrapolation_rmsle": self.error,
                "largest_rmsle": self.largest_error,
                **criteria._asdict(),
                "verdict": None if self.fit is None else str(self.fit.verdict),
                "reason": self.reason,
                "params": None if self.fit is None else dict(self.fit.params),
                "windows": [each._asdict() for each in self.windows],
            }
        )


@dataclass(frozen=True)
class Ranking:
    """Laws by their error of extrapolation.

    Attributes:
        rows: The laws, the least error first; after them those that could not be ranked.
        windows: Numbers of the windows that laws are compared on: every ranked law has a fit in
            each.
        n_windows: Windows in all.
    """

    rows: tuple[RankedLaw, ...]
    windows: tuple[int, ...]
    n_windows: int

    @property
    def best(self) -> RankedLaw:
        """The law with the least error of extrapolation."""
        return self.rows[0]

    def summary(self) -> str:
        """The ranking as a plain-text table."""
        width = max(len("law"), *(len(row.law.name) for row in self.rows))
        ranked = [row for row in self.rows if row.error is not None]
        lines = [
            f"{'law':<{width}} {'params':>6} {'extrapolation':>13} {'largest':>9} {'AIC':>9} "
            f"{'AICc':>9} {'BIC':>9}  verdict",
            *(_line(row, width) for row in ranked),
            "",
            f"extrapolation, largest: root mean squared log error in {len(self.windows)} of "
            f"{self.n_windows} windows, those with a fit of every law above; of the largest size "
            "left out",
            *(f"{row.law.name}: not ranked. {row.reason}" for row in self.rows[len(ranked) :]),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The ranking as JSON values; numbers that are not finite or do not apply are None."""
        return plain(
            {
                "windows_compared": self.windows,
                "n_windows": self.n_windows,
                "laws": [row.to_dict() for row in self.rows],
            }
        )

    def to_json(self) -> str:
        """The ranking as strict JSON."""
        return dumps(self.to_dict())


def rank(
    laws: Iterable[Law],
    x: ArrayLike,
    y: ArrayLike,
    *,
    along: ArrayLike = 0,
    n_windows: int = 5,
    always_fitted: float = 0.5,
    loss: Loss = Loss(),
    bootstrap: Bootstrap = Bootstrap(),
) -> Ranking:
    """Ranks laws by the error with which they extrapolate.

    Laws are compared on the windows in which each of them has a fit, at least half of all. Where
    the laws share fewer, those with a fit in the fewest windows are not ranked: a law of many
    parameters does not take the windows of small sizes from all others.

    Args:
        laws: The laws, such as `analysis.laws.LAWS.values()`. Those for another number of inputs
            are listed as such. Of two alike in error and number of parameters the first leads.
        x: Inputs, as `extrapolation` takes them; columns are the inputs of every law, in its order.
        y: Values, as `extrapolation` takes them.
        along: What orders rows by size, as in `extrapolation`.
        n_windows: Windows, as in `extrapolation`.
        always_fitted: Share of the sizes that no window scores, as in `extrapolation`.
        loss: The loss of every fit.
        bootstrap: How the intervals of the fits to all rows are made; windows have none.

    Returns:
        The ranking, with a row for every law.

    Raises:
        ValueError: An argument is at fault.
        FitError: No law can be ranked, or every row has the same size.
    """
    n_columns = 1 if np.ndim(x) < 2 else np.shape(x)[-1]
    judged: list[RankedLaw] = []
    for law in laws:
        if len(law.inputs) != n_columns:
            reason = (
                f"It takes {len(law.inputs)} input(s) ({', '.join(law.inputs)}), but x has "
                f"{n_columns} column(s)."
            )
            judged.append(RankedLaw(law, None, None, None, None, reason))
            continue
        found = extrapolation(
            law, x, y, along=along, n_windows=n_windows, always_fitted=always_fitted, loss=loss
        )
        try:
            result = fit(law, x, y, loss=loss, bootstrap=bootstrap)
        except FitError as error:
            judged.append(RankedLaw(law, None, found, None, None, str(error)))
            continue
        criteria = information(result) if loss == Loss() else None
        judged.append(RankedLaw(law, None, found, result, criteria, result.reason))
    return _ranked(judged)


def _ranked(judged: list[RankedLaw]) -> Ranking:
    """The rows with their errors over the windows that they share, sorted."""
    compared = {
        number: {window for window, each in enumerate(row.windows) if each.rmsle is not None}
        for number, row in enumerate(judged)
        if row.fit is not None
    }
    n_windows = max((len(row.windows) for row in judged), default=0)
    shared = set[int]()
    while compared:
        shared = set.intersection(*compared.values())
        if 2 * len(shared) >= n_windows:
            break
        del compared[min(compared, key=lambda i: (len(compared[i]), -len(judged[i].law.params)))]
    if not compared:
        reasons = " ".join(f"{row.law.name}: {row.reason}" for row in judged if row.fit is None)
        raise FitError(
            "No law can be ranked: none has a fit to all rows and in half of the windows. Give "
            f"rows at more sizes, or laws with fewer parameters. {reasons}".rstrip()
        )
    rows = [
        replace(row, error=pooled_rmsle(row.windows[window] for window in sorted(shared)))
        if number in compared
        else replace(row, reason=_why_not(row))
        for number, row in enumerate(judged)
    ]
    # The sort is stable: laws alike in both, and those not ranked, stay in the caller's order.
    rows.sort(
        key=lambda row: (1, 0.0, 0) if row.error is None else (0, row.error, len(row.law.params))
    )
    return Ranking(tuple(rows), tuple(sorted(shared)), n_windows)


def _why_not(row: RankedLaw) -> str:
    if row.fit is None:
        return row.reason
    failures = [each.reason for each in row.windows if each.reason is not None]
    n_windows = len(row.windows)
    return (
        f"It has a fit in {n_windows - len(failures)} of {n_windows} windows, too few to "
        f"compare it with the others. The last failure: {failures[-1]}"
    )


def _line(row: RankedLaw, width: int) -> str:
    assert row.fit is not None
    criteria = row.information or (None, None, None)
    return (
        f"{row.law.name:<{width}} {len(row.law.params):>6} {_shown(row.error, '.4g'):>13} "
        f"{_shown(row.largest_error, '.3g'):>9} "
        + " ".join(f"{_shown(value, '.2f'):>9}" for value in criteria)
        + f"  {row.fit.verdict}"
    )


def _shown(value: float | None, how: str) -> str:
    return "-" if value is None else f"{value:{how}}"
