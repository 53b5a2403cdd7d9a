"""Captions: declared or by default, numbers filled in, sentences without their number left out."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import latex
from experiments import catalogue
from experiments.experiment import Findings, Gathering, Measured
from experiments.shared import captions

TINY = Path(__file__).parents[1] / "tiny.py"
PEAK = {"peak": Measured(value=1.0, low=0.9, high=1.1)}


def declaring(tmp_path, name, text):
    path = tmp_path / f"{name}.py"
    path.write_text(f"{TINY.read_text()}\n{text}\n")
    return catalogue.load(str(path))


def test_declared_sentences_carry_their_numbers(tmp_path):
    found = declaring(tmp_path, "said", 'CAPTION = ("Risk.", "It peaks at {peak}, {thus}.")')
    measured = PEAK | {"thus": Measured(value=2.0)}
    said = captions.caption(found, measured)
    assert captions.plain(said, found, measured) == "Risk. It peaks at 1 [0.9, 1.1], 2."
    written = captions.filled(said, lambda n: rf"\{n}", str.upper)
    assert written == r"RISK. IT PEAKS AT \peak, \thus."


def test_sentences_whose_number_has_no_value_are_left_out(tmp_path):
    found = declaring(tmp_path, "few", 'CAPTION = ("Risk.", "At {peak}.")\nALT = ("At {peak}.",)')
    none = {"peak": Measured(value=None)}
    for measured in (none, {}):  # measured at other sizes alone
        assert captions.caption(found, measured) == [["Risk."]]
    # Where nothing is left, it is as if nothing were declared.
    seen = captions.alternative(found, none, "Flat")
    assert captions.plain(seen, found, none) == "few: Flat."


def test_a_card_without_a_caption_has_its_question_and_numbers():
    tiny = catalogue.load(str(TINY))
    said = captions.plain(captions.caption(tiny, PEAK), tiny, PEAK)
    assert said == "A question small enough to be asked often. peak, p/n: 1 [0.9, 1.1]."
    seen = captions.plain(captions.alternative(tiny, PEAK, "A peak.\nMore."), tiny, PEAK)
    assert seen == "tiny: A peak. peak, p/n: 1 [0.9, 1.1]."
    none = {"peak": Measured(value=None)}
    assert captions.plain(captions.alternative(tiny, none, "Flat"), tiny, none) == "tiny: Flat."


def test_what_gathers_others_names_the_numbers_of_its_parts():
    tiny = catalogue.load(str(TINY))
    both = Gathering(
        name="both", file=TINY, card="Both?", parts=(tiny,), figure=lambda found: None,
        caption=[["At ", captions.Named("tiny.peak"), "."]],
    )  # fmt: skip
    found = {"tiny": Findings(measured=PEAK, verdict="", shown=SimpleNamespace())}
    measured = captions.numbers(both, found)
    assert captions.plain(captions.caption(both, measured), both, measured) == "At 1 [0.9, 1.1]."


def test_a_number_that_is_not_measured_is_refused(tmp_path):
    found = declaring(tmp_path, "wrong", 'ALT = ("It peaks at {peek}.",)')
    with pytest.raises(ValueError, match=r"ALT names \{peek\}.*did you mean 'peak'"):
        captions.alternative(found, PEAK, "")


@pytest.mark.parametrize("declared", ['"One."', "(1,)"])
def test_sentences_are_a_tuple(declared, tmp_path):
    with pytest.raises(ValueError, match="CAPTION must hold sentences"):
        declaring(tmp_path, "bare", f"CAPTION = {declared}")


def test_words_of_a_caption_are_escaped_and_its_macros_are_not():
    said = [["50 % of ", captions.Named("peak")]]
    written = captions.filled(said, lambda name: r"\Peak{}", latex.escaped)
    assert written == r"50 \% of \Peak{}"
