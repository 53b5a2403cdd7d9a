"""What an experiment is: one question from the literature, declared as data.

A file of this package is an experiment when its docstring is the card (claim, paper, command,
cost, expected numbers) and it declares

- `SWEEP`: runs for each budget;
- `LAW`: the law that is fitted, or None;
- `EXPECTED`: the numbers that theory or the literature predicts;
- `analyse(table) -> Findings`: what was measured, and the exact numbers that the figure shows;
- `figure(findings) -> Figure`, and `overview(ax, findings)`, its main panel.

An experiment that only gathers others declares `PARTS` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from analysis.double_descent import DoubleDescent
    from analysis.replicates import Estimate
    from scaling.config import RunConfig

Budget = Literal["smoke", "cpu", "gpu"]

Sweep = Mapping[Budget, "Callable[[], list[RunConfig]]"]
"""The declared sizes of an experiment, expanded only when asked for."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A prediction. It passes if the measured value lies in [low, high].

    Where `target` is given instead, it passes if the measured interval contains the target.
    A budget too small to decide is left out of `budgets`: the number is then shown, not judged.
    """

    name: str
    says: str
    source: str
    low: float | None = None
    high: float | None = None
    target: float | None = None
    budgets: tuple[Budget, ...] = ("smoke", "cpu", "gpu")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measured number, with its interval where it has one; None where it could not be had."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an experiment found.

    `shown` holds the exact numbers of the figure, one row a point, with the `run_ids` behind it.
    `details` holds what the figure needs beyond them (fits, thresholds, peaks), `report` the same
    as plain JSON values.
    """

    measured: Mapping[str, Measured]
    verdict: str
    shown: pd.DataFrame
    details: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)


def passes(expected: Expected, measured: Measured) -> bool:
    """Whether a measurement agrees with a prediction."""
    if measured.value is None:
        return False
    if expected.target is not None:
        return (
            measured.low is not None
            and measured.high is not None
            and measured.low <= expected.target <= measured.high
        )
    above = expected.low is None or measured.value >= expected.low
    return above and (expected.high is None or measured.value <= expected.high)


def measured(estimate: Estimate | None) -> Measured:
    """An estimate of the analysis as a measured number; what lies beyond the grid has no value."""
    if estimate is None or estimate.censored:
        return Measured(value=None, note="not found" if estimate is None else str(estimate))
    return Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def peak_of(descent: DoubleDescent, estimate: Estimate | None = None) -> Measured:
    """Location of a peak, or another estimate that hangs on it, if there is a peak at all.

    A bump that could be seed noise has a location too; to report it would be to claim a peak.
    """
    from analysis.double_descent import Verdict

    if descent.peak is None or descent.verdict not in (Verdict.PEAK, Verdict.SECOND_DESCENT_BELOW):
        return Measured(value=None, note=descent.verdict.value)
    return measured(estimate or descent.peak.location)


def mark_excluded(ax: Axes, findings: Findings, x: str) -> None:
    """Shows on the axis where runs are missing from a figure, and of which kind.

    Args:
        ax: the panel.
        findings: `details["excluded"]` is the second table of `analysis.tables.usable`.
        x: the column that the panel's axis shows.
    """
    from analysis.plots import marks

    excluded = findings.details["excluded"]
    diverged = excluded["why"] == "diverged"
    marks.mark_missing(ax, diverged=excluded[x][diverged], failed=excluded[x][~diverged])
