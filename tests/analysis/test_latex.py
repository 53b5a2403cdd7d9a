"""Words and numbers as LaTeX prints them."""

import pytest

from analysis import latex


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("50 % of a_b & #1 costs $2", r"50 \% of a\_b \& \#1 costs \$2"),
        ("naïve Größe Åse", r"na\"{\i}ve Gr\"{o}{\ss}e \r{A}se".replace(r"{\i}", "{i}")),
        ("α ≤ Ω²", r"\ensuremath{\alpha} \ensuremath{\leq} \ensuremath{\Omega}\ensuremath{^2}"),
        ("a < b | c", r"a \ensuremath{<} b \ensuremath{|} c"),
        ("--budget", "-{}-budget"),
        ("---", "-{}-{}-"),
        ("“x” – y…", r"``x'' \textendash{} y\dots{}"),
        ("中", r"\texttt{U+4E2D}"),
        ("one\n\ntwo\x07", r"one two\textbackslash{}x07"),
    ],
)
def test_texts_of_others_are_printed_as_they_are(text, printed):
    assert latex.escaped(text) == printed
    assert latex.escaped(text).isascii()


def test_every_greek_letter_is_one_of_latex():
    letters = "αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΥΦΨΩ"
    made = [latex.escaped(each) for each in letters]
    assert len(set(made)) == len(letters) and all(r"\ensuremath{\\"[:-1] in each for each in made)
    assert latex.escaped("π") == r"\ensuremath{\pi}"
    assert latex.escaped("ω") == r"\ensuremath{\omega}"
    assert latex.escaped("ξ") == r"\ensuremath{\xi}"


def test_numbers_have_the_digits_that_an_error_supports():
    assert latex.place_of(0.029) == -3
    assert latex.number(0.55179, latex.place_of(0.029)) == "$0.552$"
    assert latex.interval(0.4972, 0.6135, -3) == r"$[0.497,\, 0.614]$"
    assert latex.number(1.84e12, 10) == r"$1.84 \times 10^{12}$"
    assert [latex.place_of(each) for each in (None, 0.0, float("inf"))] == [None] * 3
    assert latex.number(float("nan")) == "--"


def test_a_ruled_table_leaves_out_empty_blocks():
    rows = latex.ruled("lr", ["a & b"], [], ["1 & 2"])
    assert rows[1:-1] == [r"\toprule", r"a & b \\", r"\midrule", r"1 & 2 \\", r"\bottomrule"]
