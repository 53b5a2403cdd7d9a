"""Result of `analysis.fitting.ranking.rank`: laws by their error of extrapolation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimate import Floats
from analysis.fitting.extrapolation import Extrapolation, Window
from analysis.fitting.information import Information
from analysis.fitting.result import FitResult
from analysis.laws.law import Law
from analysis.writing import dumps, plain


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
            without a horizon.
        blind: How the combination and the best law fare in windows that had no say; None without a
            horizon, and where fewer than two laws or two windows can be compared.
        horizon: Factor beyond its rows up to which each window is scored; None where windows share
            out the sizes.
        counted_from: Least log y at which a law counts in the combination.
        counted_to: Greatest log y at which it does.
    """

    rows: tuple[RankedLaw, ...]
    windows: tuple[int, ...]
    n_windows: int
    reference: str
    weights: Mapping[str, float]
    blind: Blind | None
    horizon: float | None
    counted_from: float = -math.inf
    counted_to: float = math.inf

    @property
    def best(self) -> RankedLaw:
        """The law with the least error of extrapolation."""
        return self.rows[0]

    def predict(self, x: ArrayLike) -> Floats:
        """The combined prediction: the weighted geometric mean of the laws' curves.

        A law counts where its curve is within `counted_from` and `counted_to`: one that runs off,
        as to no loss at all, would take the mean with it. Where none is, all count.

        Args:
            x: Inputs, shape `(n,)`, or `(n, n_inputs)`; positive.

        Returns:
            y, shape `(n,)`.
        """
        logs, counts = self._counted(x)
        weights = np.array(list(self.weights.values()))[:, None]
        shares = weights * counts
        counted = np.where(shares > 0, logs, 0.0)  # what does not count may be infinite
        return np.exp(np.sum(shares * counted, axis=0) / np.sum(shares, axis=0))

    def left_out(self, x: ArrayLike) -> list[str]:
        """Names of the laws of the combination that do not count at some of the inputs.

        Args:
            x: Inputs, as `predict` takes them.
        """
        _, counts = self._counted(x)
        return [name for name, each in zip(self.weights, counts, strict=True) if not each.all()]

    def runs_off(self, x: ArrayLike) -> bool:
        """Whether at some of the inputs every law runs off, so that all of them count.

        Args:
            x: Inputs, as `predict` takes them.
        """
        return not self._within(self._logs(x)).any(axis=0).all()

    def _logs(self, x: ArrayLike) -> Floats:
        """Log y of the laws that are combined, shape `(n_laws, n)`."""
        fits = {row.law.name: row.fit for row in self.rows if row.fit is not None}
        # A law may leave float64 far from its rows.
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            return np.stack([np.log(fits[name].predict(x)) for name in self.weights])

    def _within(self, logs: Floats) -> NDArray[np.bool_]:
        return (self.counted_from <= logs) & (logs <= self.counted_to)

    def _counted(self, x: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
        """Log y of the laws that are combined, and where each counts; both `(n_laws, n)`."""
        logs = self._logs(x)
        within = self._within(logs)
        return logs, within | ~within.any(axis=0)

    def nearest(self, x: ArrayLike) -> RankedLaw:
        """The law whose curve is nearest to the combination at some inputs.

        Where one law has to do for all of them, it is the choice with the least expected squared
        log error, if each law is right with the probability of its weight.

        Args:
            x: Inputs, as `predict` takes them.
        """
        logs, _ = self._counted(x)
        apart = np.sum((logs - np.log(self.predict(x))) ** 2, axis=1)
        apart = np.nan_to_num(apart, nan=math.inf)
        name = list(self.weights)[int(np.argmin(apart))]
        return next(row for row in self.rows if row.law.name == name)

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
        shown = {name: f"{weight:.2f}" for name, weight in self.weights.items()}
        names = ", ".join(f"{text} {name}" for name, text in shown.items() if text != "0.00")
        if self.blind is None:
            return f"combined: {names}"
        combined, best = self.blind
        return (
            f"combined: {names} (each window predicted by what the others choose: RMSLE "
            f"{combined:.4g}, of the best law alone {best:.4g})"
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
