"""Choosing among laws by what they predict, with information criteria and verdicts beside it.

A ranking compares laws on the same rows, and first of all by their extrapolation error
(`analysis.fitting.extrapolation`), which is what a law is for. AIC and BIC judge the fit to the
rows at hand and charge for parameters; they know nothing of where a curve goes beyond its data.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.ending import EXACT_RESIDUAL
from analysis.fitting.engine.loss import Loss
from analysis.fitting.extrapolation import Extrapolation, Window, extrapolation, pooled_rmsle
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.writing import dumps, plain

__all__ = ["Information", "RankedLaw", "Ranking", "extrapolation", "information", "rank"]

_LEAST_FREEDOM = 2  # rows of a window less parameters: with fewer a curve goes through all rows
_SAME_CURVE = 1e-3  # of the residuals: what two curves may differ by and be one
_ALIKE = 1.5  # times the least error: laws that the few windows of a table cannot tell apart


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
        error: RMSLE of extrapolation over the windows of `Ranking.windows`. Of a law without a fit
            in some of them, the RMSLE of the reference in all, times the ratio of the two in the
            windows that both have. None where the law is not ranked.
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


class Blind(NamedTuple):
    """Errors in windows that had no say in what is scored, RMSLE over all of them in turn.

    Attributes:
        combined: Of laws combined by their errors in the other windows.
        best: Of the law with the least error in the other windows.
    """

    combined: float
    best: float


@dataclass(frozen=True)
class Ranking:
    """Laws by their error of extrapolation.

    Attributes:
        rows: The laws, the least error first; after them those that could not be ranked.
        windows: Numbers of the windows that laws are compared on: those of the reference.
        n_windows: Windows in all.
        reference: Name of the law that the others are compared with, window by window.
        weights: Weights of the laws that are combined, by name; they sum to 1. Of the best alone
            where windows do not show that a combination errs less.
        blind: How the combination and the best law fare in windows that had no say; None without a
            horizon.
        horizon: Factor beyond its rows up to which each window is scored; None where windows share
            out the sizes.
    """

    rows: tuple[RankedLaw, ...]
    windows: tuple[int, ...]
    n_windows: int
    reference: str
    weights: Mapping[str, float]
    blind: Blind | None
    horizon: float | None

    @property
    def best(self) -> RankedLaw:
        """The law with the least error of extrapolation."""
        return self.rows[0]

    def predict(self, x: ArrayLike) -> Floats:
        """The combined prediction: the weighted geometric mean of the laws' curves.

        Args:
            x: Inputs, shape `(n,)`, or `(n, n_inputs)`; positive.

        Returns:
            y, shape `(n,)`.
        """
        fits = {row.law.name: row.fit for row in self.rows if row.fit is not None}
        logs = [weight * np.log(fits[name].predict(x)) for name, weight in self.weights.items()]
        return np.exp(np.sum(logs, axis=0))

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
            f"{self.n_windows} windows{self._reach()}; of the largest size left out",
            f"a law without a fit in some windows is compared with {self.reference} in the others",
            self._combined(),
            *(f"{row.law.name}: not ranked. {row.reason}" for row in self.rows[len(ranked) :]),
        ]
        return "\n".join(lines)

    def _combined(self) -> str:
        names = ", ".join(f"{weight:.2f} {name}" for name, weight in self.weights.items())
        if self.blind is None:
            return f"combined: {names}"
        combined, best = self.blind
        return (
            f"combined: {names} (each window by what the others choose: a combination errs by "
            f"{combined:.4g}, the best law by {best:.4g})"
        )

    def _reach(self) -> str:
        if self.horizon is None:
            return ""
        return f", each up to {self.horizon:.3g} times beyond the sizes that it fits"

    def to_dict(self) -> dict[str, Any]:
        """The ranking as JSON values; numbers that are not finite or do not apply are None."""
        return plain(
            {
                "windows_compared": self.windows,
                "n_windows": self.n_windows,
                "reference": self.reference,
                "weights": dict(self.weights),
                "blind": None if self.blind is None else self.blind._asdict(),
                "horizon": self.horizon,
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
    to: float | None = None,
    loss: Loss = Loss(),
    bootstrap: Bootstrap = Bootstrap(),
) -> Ranking:
    """Ranks laws by the error with which they extrapolate.

    Laws are compared in pairs, each with the best of those that have a fit in the most windows, on
    the windows that both have: no law takes the windows of small sizes from the
    others, or gains by having none there. With a horizon, a window whose rows exceed the
    parameters of a law by less than two does not count for it (where any law has others): its curve
    goes nearly through all of them. A law that is left with
    fewer than half of the windows is not ranked.

    With a horizon, the laws within 1.5 times the least error are combined, with weights as the
    inverse squares of their errors: of laws that windows cannot tell apart the mean often errs less
    than a choice. It is used where windows say so: each is scored by laws combined, and by a law
    chosen, by the others. Laws with the same curve count once. Without a horizon the best law
    stands alone: farther out than any window reaches, one of several may go anywhere.

    Args:
        laws: The laws, such as `analysis.laws.LAWS.values()`. Those for another number of inputs
            are listed as such. Of two alike in error and number of parameters the first leads.
        x: Inputs, as `extrapolation` takes them; columns are the inputs of every law, in its order.
        y: Values, as `extrapolation` takes them.
        along: What orders rows by size, as in `extrapolation`.
        n_windows: Windows, as in `extrapolation`.
        to: The size to predict, as in `extrapolation`: windows are then scored as far beyond.
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
            law,
            x,
            y,
            along=along,
            n_windows=n_windows,
            to=to,
            loss=loss,
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
    """The rows with their errors beside the reference, sorted."""
    n_windows = max((len(row.windows) for row in judged), default=0)
    horizons = [row.extrapolation.horizon for row in judged if row.extrapolation is not None]
    freedom = 1 if not horizons or horizons[0] is None else _LEAST_FREEDOM
    compared = _comparable(judged, n_windows, freedom) or _comparable(judged, n_windows, 1)
    if not compared:
        reasons = " ".join(f"{row.law.name}: {row.reason}" for row in judged if row.fit is None)
        raise FitError(
            "No law can be ranked: none has a fit to all rows and in half of the windows. Give "
            f"rows at more sizes, or laws with fewer parameters. {reasons}".rstrip()
        )
    most = max(map(len, compared.values()))
    standard = min(
        (number for number in compared if len(compared[number]) == most),
        key=lambda number: _pooled(judged[number], compared[number]),
    )
    reference, everywhere = judged[standard], compared[standard]
    rows = [
        replace(row, error=_beside(row, compared[number], reference, everywhere))
        if number in compared
        else replace(row, reason=_why_not(row, freedom))
        for number, row in enumerate(judged)
    ]
    # The sort is stable: laws alike in both, and those not ranked, stay in the caller's order.
    rows.sort(key=_place)
    horizon = None if reference.extrapolation is None else reference.extrapolation.horizon
    different = _different(rows)
    weights = _combined(different)
    # Windows that share out the sizes say nothing of how laws part farther beyond.
    blind = None if horizon is None else _blind(different, everywhere)
    if blind is None or blind.combined > blind.best:
        weights = {rows[0].law.name: 1.0}
    return Ranking(
        tuple(rows),
        tuple(sorted(everywhere)),
        n_windows,
        reference.law.name,
        weights,
        blind,
        horizon,
    )


def _place(row: RankedLaw) -> tuple[bool, float, int]:
    """What laws are sorted by: the error as it is printed, then the number of parameters."""
    if row.error is None:
        return True, math.inf, 0
    return False, float(f"{row.error:.4g}"), len(row.law.params)


def _comparable(judged: list[RankedLaw], n_windows: int, freedom: int) -> dict[int, set[int]]:
    """Windows that count, by the number of each law with a fit and half of the windows."""
    counted = {number: _counted(row, freedom) for number, row in enumerate(judged)}
    return {
        number: windows
        for number, windows in counted.items()
        if judged[number].fit is not None and windows and 2 * len(windows) >= n_windows
    }


def _counted(row: RankedLaw, freedom: int) -> set[int]:
    """Numbers of the windows with a fit that has so many degrees of freedom."""
    least = len(row.law.params) + freedom
    return {
        number
        for number, each in enumerate(row.windows)
        if each.rmsle is not None and each.n_fitted >= least
    }


def _beside(row: RankedLaw, windows: set[int], reference: RankedLaw, everywhere: set[int]) -> float:
    """Error of a law in all windows of the reference, from those that both have."""
    both = windows & everywhere
    if not both:
        return _pooled(row, windows)
    own, beside, scale = (
        _pooled(row, both),
        _pooled(reference, both),
        _pooled(reference, everywhere),
    )
    return own if both == everywhere or not 0 < beside < math.inf else own * (scale / beside)


def _pooled(row: RankedLaw, numbers: set[int]) -> float:
    error = pooled_rmsle(row.windows[number] for number in sorted(numbers))
    assert error is not None
    return error


def _different(rows: list[RankedLaw]) -> list[RankedLaw]:
    """The ranked laws, of those with the same curve the first alone."""
    found: list[RankedLaw] = []
    for row in rows:
        if row.error is None or row.fit is None:
            continue
        own = row.fit.residuals
        # Residuals of a noise-free curve are rounding, and differ between laws as rounding does.
        noise = _SAME_CURVE * float(np.sqrt(np.mean(own**2))) + EXACT_RESIDUAL
        if not any(
            other.fit is not None and np.allclose(other.fit.residuals, own, rtol=0, atol=noise)
            for other in found
        ):
            found.append(row)
    return found


def _combined(rows: Iterable[RankedLaw]) -> dict[str, float]:
    """Weights of the laws that windows cannot tell from the best."""
    return _shares({row.law.name: row.error for row in rows if row.error is not None})


def _shares(errors: Mapping[str, float]) -> dict[str, float]:
    """Weights by inverse squared error of the laws near the least; of the least where it is 0."""
    least = min(errors.values())
    if not 0 < least < math.inf:
        return {next(name for name, error in errors.items() if error == least): 1.0}
    shares = {
        name: (least / error) ** 2 for name, error in errors.items() if error <= _ALIKE * least
    }
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def _blind(rows: list[RankedLaw], everywhere: set[int]) -> Blind | None:
    """Each window scored by what the others choose; None where fewer than two laws can be."""
    whole = [row for row in rows if all(row.windows[n].rmsle is not None for n in everywhere)]
    if len(whole) < 2 or len(everywhere) < 2:
        return None
    off = {
        row.law.name: {number: np.array(row.windows[number].log_errors) for number in everywhere}
        for row in whole
    }
    squares: dict[str, list[Floats]] = {"combined": [], "best": []}
    for number in sorted(everywhere):
        errors = {row.law.name: _pooled(row, everywhere - {number}) for row in whole}
        shares, best = _shares(errors), min(errors, key=lambda name: errors[name])
        # log y - log f is linear in log f, whose weighted mean is the combination.
        mean = np.sum([share * off[name][number] for name, share in shares.items()], axis=0)
        squares["combined"].append(mean**2)
        squares["best"].append(off[best][number] ** 2)
    combined, best = (float(np.sqrt(np.mean(np.concatenate(each)))) for each in squares.values())
    return Blind(combined, best)


def _why_not(row: RankedLaw, freedom: int) -> str:
    if row.fit is None:
        return row.reason
    counted, n_windows = len(_counted(row, freedom)), len(row.windows)
    failures = [each.reason for each in row.windows if each.reason is not None]
    last = f" The last failure: {failures[-1]}" if failures else ""
    return (
        f"It has a fit, with at least {freedom} more row(s) than parameters, in {counted} of "
        f"{n_windows} windows, too few to compare it with the others.{last}"
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
    return "-" if value is None or not math.isfinite(value) else f"{value:{how}}"
