"""One experiment as a paper shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.fitting.result import FitResult
from experiments.experiment import Expected, Json, Measured, Sentence
from scaling.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Study:
    """What an experiment asked, ran, measured and drew.

    Attributes:
        label: Its name; no two of a paper share it.
        card: Claim, paper, command, cost, expected numbers.
        budget: Declared size.
        overrides: Fields that the command set.
        expected: Its predictions at this size.
        measured: The numbers, by name.
        verdict: The answer.
        doubts: Reasons to distrust the answer, in full.
        fits: Its fitted laws, by a name that is unique in it.
        more: Its report's fits and settings.
        caption: Sentences under its figure.
        alt: What the figure shows, for those who do not see it.
        records: Its runs, in the order of its plan; none of one that gathers others.
        plans: Declared sweeps as the results folder keeps them, by identity.
        points: What the figure shows.
        drawing: The figure as PDF.
        width: Width of the figure, inches.
        wide: Whether the figure takes the width of the page, and not of a column.
    """

    label: str
    card: str
    budget: str
    overrides: Sequence[str]
    expected: Sequence[Expected]
    measured: Mapping[str, Measured]
    verdict: str
    doubts: Sequence[str]
    fits: Mapping[str, FitResult]
    more: Mapping[str, Json]
    caption: Sequence[Sentence]
    alt: str
    records: Sequence[RunRecord]
    plans: Mapping[str, bytes]
    points: pd.DataFrame
    drawing: bytes
    width: float
    wide: bool

    @property
    def question(self) -> str:
        """The first line of the card."""
        return self.card.partition("\n")[0] or self.label

    def says(self, name: str) -> str:
        """What a measured number is, in words."""
        return next((each.says for each in self.expected if each.name == name), name)

    def prediction(self, name: str) -> Expected | None:
        """What was expected of a measured number, if anything."""
        return next((each for each in self.expected if each.name == name), None)
