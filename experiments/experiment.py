"""The contract of an experiment: one question from the literature, declared as data.

A file of this package is an experiment if its docstring is the card (claim, paper, command, cost,
expected numbers) and it declares

- `SWEEP`: the runs at each budget;
- `EXPECTED`: the numbers that theory or the literature predicts;
- `analyse(table) -> Findings`: what was measured, and the exact numbers that the figure shows;
- `figure(findings) -> Figure`.

It may also declare

- `overview(ax, findings)`: its main panel, for experiments that gather it;
- `CURVES = True`: `analyse(table, curves)` then takes the learning curves too, one row per
  evaluation with its `run_id` and the fields of `scaling.record.CurvePoint`;
- `RUNS_OF = "name"`: its runs lie in the results folder of that experiment, so that runs which
  both ask for are trained once;
- `CAPTION` and `ALT`: sentences under its figure, and for those who do not see it, with measured
  numbers by name (`"The peak lies at {peak}."`); a sentence whose number is not there is left out;
- `THRESHOLD_ALONG = "model.width"`: the size along which its runs are to cross the interpolation
  threshold; `scaling plan` and `scaling run` say so before anything runs if they do not.

An experiment of published facts, for which nothing is trained, declares `FACTS` in place of
`SWEEP`: a function that reads what `analyse` takes. All of its budgets are one.

An experiment that only gathers others declares `PARTS`, their modules, and `figure`, which takes
findings by name, instead. `experiments.catalogue` checks a file once and makes an `Experiment` or a
`Gathering` of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from scaling.config import RunConfig

Budget = Literal["smoke", "cpu", "gpu", "full"]

Sweep = Mapping[Budget, "Callable[[], list[RunConfig]]"]
"""The declared sizes of an experiment, expanded only when asked for."""

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A plain JSON value."""


class Named(NamedTuple):
    """A measured number in a sentence."""

    name: str


Sentence: TypeAlias = "Sequence[str | Named]"
"""Words and measured numbers that are written one after another."""

Details = TypeVar("Details")
"""What a card's figure needs beyond `shown`: a NamedTuple or dataclass that the card declares."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A prediction. It passes if the measured value lies in [low, high].

    Where `target` is given instead, it passes if the measured interval contains the target. It is
    made for the declared sizes that `budgets` names. `unit` is that of the number; "1" of a pure
    number.
    """

    name: str
    says: str
    source: str
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    target: float | None = None
    budgets: tuple[Budget, ...] = ("smoke", "cpu", "gpu")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measured number, with its interval where it has one; None where there is no number."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings(Generic[Details]):
    """What an experiment found.

    Attributes:
        measured: The numbers, by the name of what was expected of them.
        verdict: The answer, in a line or a few.
        shown: The exact numbers of the figure, one row a point, with the `run_ids` behind it.
        details: What the figure needs beyond them: fits, thresholds, peaks.
        doubts: Reasons to distrust the answer, one line each.
        report: Fits and settings as plain JSON values, kept in report.json.
    """

    measured: Mapping[str, Measured]
    verdict: str
    shown: pd.DataFrame
    details: Details = None  # pyrefly: ignore[bad-assignment]  # a figure may need no more
    doubts: Sequence[str] = ()
    report: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What every experiment has.

    Attributes:
        name: Name of its file, and of its results folder.
        file: Its source.
        card: Claim, paper, command, cost and expected numbers.
        caption: Sentences under its figure; none where the card declares none.
        alt: Sentences for those who do not see the figure, likewise.
    """

    name: str
    file: Path
    card: str
    caption: Sequence[Sentence] = ()
    alt: Sequence[Sentence] = ()


@dataclass(frozen=True, kw_only=True)
class Experiment(Declared):
    """One question, checked and ready to run.

    Attributes:
        sweep: Its declared sizes.
        expected: Its predictions.
        analyse: Findings from the table of its runs; the second argument reads their curves, and
            is called only where the card asks for curves.
        figure: Draws the findings.
        takes_curves: Whether its findings need the learning curves of its runs.
        runs_of: Name of the experiment in whose results folder the runs lie.
        threshold_along: Path of the size along which the interpolation threshold is crossed.
        facts: Reads what `analyse` takes in place of a table, where nothing is trained.
    """

    sweep: Sweep
    expected: Sequence[Expected]
    analyse: Callable[[Any, Callable[[], pd.DataFrame]], Findings[Any]]
    figure: Callable[[Findings[Any]], Figure]
    takes_curves: bool
    runs_of: str
    threshold_along: str | None = None
    facts: Callable[[], Any] | None = None

    @property
    def parts(self) -> tuple[Experiment, ...]:
        """The experiment alone: its own only part."""
        return (self,)

    def expected_at(self, budget: str) -> list[Expected]:
        """Predictions of the experiment for one of its declared sizes."""
        return [each for each in self.expected if budget in each.budgets]


@dataclass(frozen=True, kw_only=True)
class Gathering(Declared):
    """Experiments that are run one after another and drawn together.

    Attributes:
        parts: The experiments.
        figure: Draws the findings of the parts, by name, together.
    """

    parts: tuple[Experiment, ...]
    figure: Callable[[Mapping[str, Findings[Any]]], Figure]


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
