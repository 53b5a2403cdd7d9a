"""What an experiment is: one question from the literature, declared as data.

A file of this package is an experiment when its docstring is the card (claim, paper, command,
cost, expected numbers) and it declares

- `SWEEP`: runs for each budget;
- `LAW`: the law that is fitted, or None;
- `EXPECTED`: the numbers that theory or the literature predicts;
- `analyse(table) -> Findings`: what was measured, and the exact numbers that the figure shows;
- `figure(findings) -> Figure`, and `overview(ax, findings)`, its main panel.

It may declare `CURVES = True`: `analyse(table, curves)` is then given the learning curves too, a
row an evaluation with its `run_id` and the fields of `scaling.record.CurvePoint`. And it may
declare `RUNS_OF = "name"`: its runs lie in the results folder of that experiment, so that what both
ask for is trained once.

An experiment that only gathers others declares `PARTS` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from scaling.config import RunConfig

Budget = Literal["smoke", "cpu", "gpu"]

Sweep = Mapping[Budget, "Callable[[], list[RunConfig]]"]
"""The declared sizes of an experiment, expanded only when asked for."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A prediction. It passes if the measured value lies in [low, high].

    Where `target` is given instead, it passes if the measured interval contains the target.
    """

    name: str
    says: str
    source: str
    low: float | None = None
    high: float | None = None
    target: float | None = None


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
