"""Measured numbers as macros: names, digits, units, and numbers of a text that should be macros."""

import pandas as pd
import pytest

from experiments.experiment import Expected, Measured
from experiments.papers import numbers
from experiments.papers.prose import remarks
from experiments.papers.study import Study


def study(measured, label="label_noise", expected=()):
    return Study(
        label=label, card="What?", budget="smoke", overrides=(), expected=expected,
        measured=measured, verdict="yes", doubts=(), fits={}, more={}, caption=(), alt="",
        records=(), plans={}, points=pd.DataFrame(), drawing=b"", width=3.4, wide=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("peak_over_threshold", "PeakOverThreshold"),
        ("within_3_standard_errors", "WithinThreeStandardErrors"),
        ("limit_0.5", "LimitZeroPointFive"),
        ("größe 2B", "GroeTwoB"),
        ("E", "E"),
    ],
)
def test_names_hold_letters_alone(name, spelled):
    assert numbers.word(name) == spelled


def test_a_number_brings_its_interval_unit_and_expectation():
    loss = Expected(name="loss", says="loss", source="x", unit="nats", high=3)
    found = study({"loss": Measured(value=2.34567, low=2.3, high=2.4)}, expected=[loss])
    made = {each.name: each for each in numbers.macros([found])}
    assert made["LabelNoiseLoss"].text == r"\ensuremath{2.346}"
    assert made["LabelNoiseLoss"].value == 2.34567
    assert made["LabelNoiseLossInterval"].text == r"\ensuremath{[2.300,\, 2.400]}"
    assert made["LabelNoiseLossUnit"].text == "nats"
    full = r"\ensuremath{2.346} \ensuremath{[2.300,\, 2.400]}~nats"
    assert made["LabelNoiseLossFull"].text == full
    assert made["LabelNoiseLossExpected"].text == "at most 3"


def test_a_number_that_is_not_there_says_so():
    (value, full) = numbers.macros([study({"peak": Measured(value=None)})])
    assert (value.text, full.text) == ("not measured", "not measured")


def test_two_numbers_of_one_name_are_refused():
    measured = {"a_b": Measured(value=1.0), "a b": Measured(value=2.0)}
    with pytest.raises(ValueError, match=r"Two numbers would be the macro \\LabelNoiseAB"):
        numbers.macros([study(measured)])


TEXT = r"""\documentclass{article}  % 2.346 here is of nobody
\setlength{\parskip}{2.346pt}
\begin{document}
We find 2.346 and 2.35, not 2.34 or 2.4. % and not 2.346
\includegraphics[width=2.346in]{2.346.pdf} \cite{a2.346} \ref{2.346}
About $1.2 \times 10^{9}$ FLOPs; \LabelNoiseLoss{}, \LabelNoiseLos{}, \OtherThing.
\end{document}
"""


def test_numbers_of_a_text_that_should_be_macros_are_pointed_out():
    measured = {"loss": Measured(value=2.34567), "flops": Measured(value=1.2345e9)}
    made = numbers.macros([study(measured)])
    said = remarks(TEXT, made, ["LabelNoise"], with_numbers=True)
    assert [(each.line, each.says.partition(" ")[0]) for each in said] == [
        (4, "2.346"), (4, "2.35"), (6, "\\LabelNoiseLos"), (6, "1.2"),
    ]  # fmt: skip
    assert "did you mean \\LabelNoiseLoss?" in said[2].says
    only = remarks(TEXT, made, ["LabelNoise"], with_numbers=False)
    assert [each.line for each in only] == [6]
