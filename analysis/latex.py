"""Texts and numbers as LaTeX prints them: the one place that escapes words of others.

What is made here is ASCII, compiles with pdfLaTeX, XeLaTeX and LuaLaTeX, and needs no package but
`booktabs` for the rules of tables.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from analysis.errors import visible

_DIGITS_OF_AN_ERROR = 2
_MOST_DIGITS = 6  # of a number without an error
_SMALLEST, _LARGEST = 1e-3, 1e5  # beyond them a number is written with a power of ten

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # In LaTeX's own font encoding these three are other signs.
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\u00a0": "~",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
    **dict(
        zip("ßæÆøØłŁœŒı", (rf"{{\{x}}}" for x in "ss ae AE o O l L oe OE i".split()), strict=True)
    ),
}
_SIGNS = {
    "×": r"\times", "·": r"\cdot", "±": r"\pm", "−": "-", "≤": r"\leq", "≥": r"\geq",
    "≈": r"\approx", "≠": r"\neq", "∞": r"\infty", "→": r"\to", "←": r"\leftarrow",
    "∝": r"\propto", "√": r"\surd", "°": r"^\circ", "¹": "^1", "²": "^2", "³": "^3",
    "∂": r"\partial", "∑": r"\sum", "∈": r"\in", "µ": r"\mu",
    **{chr(first + at): rf"\{name}" for first, names in (
        (0x3B1, "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"),
        (0x3C0, "pi rho varsigma sigma tau upsilon phi chi psi omega"),
    ) for at, name in enumerate(names.split())},
    **dict(zip("ΓΔΘΛΞΠΣΥΦΨΩ", (
        rf"\{name}" for name in
        "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
    ), strict=True)),
}  # fmt: skip
"""Signs that are mathematics."""
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
    "\u0328": "k",
}  # fmt: skip


def escaped(text: str) -> str:
    """Returns a text as LaTeX prints it, on one line.

    Letters with accents become commands, Greek letters and signs mathematics, and a character that
    LaTeX's fonts lack its code point.
    """
    line = re.sub(r"[\n\t\r]+", " ", visible(text))
    return re.sub("-(?=-)", "-{}", "".join(map(_escaped, line)))


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character in _SIGNS:
        return rf"\ensuremath{{{_SIGNS[character]}}}"
    if character.isascii():
        return character
    letter, *marks = unicodedata.normalize("NFD", character)
    if letter.isascii() and len(marks) == 1 and marks[0] in _ACCENTS:
        return rf"\{_ACCENTS[marks[0]]}{{{letter}}}"
    return rf"\texttt{{U+{ord(character):04X}}}"


def tabular(headings: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> list[str]:
    """Returns the lines of a `tabular` of texts, each as LaTeX prints it.

    Args:
        headings: One a column.
        rows: Cells, one a column in each row.
        sides: Columns as LaTeX declares them, such as "lrr".
    """
    return ruled(
        sides, [" & ".join(map(escaped, headings))], [" & ".join(map(escaped, row)) for row in rows]
    )


def ruled(sides: str, *blocks: Sequence[str]) -> list[str]:
    """Returns the lines of a `tabular` of rows that are LaTeX already, a rule between two blocks.

    Args:
        sides: Columns as LaTeX declares them, such as "lrr".
        blocks: Rows without their line ends; an empty block is left out.
    """
    parts = [[rf"{row} \\" for row in block] for block in blocks if block]
    inside = [line for part in parts for line in (r"\midrule", *part)][1:]
    return [
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        *inside,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def place_of(error: float | None) -> int | None:
    """Returns the power of ten of the last digit that a standard error supports, its second.

    None where there is no error, or none that is a positive number.
    """
    if error is None or not math.isfinite(error) or error <= 0:
        return None
    return _exponent(error) - _DIGITS_OF_AN_ERROR + 1


def number(value: float, place: int | None = None) -> str:
    """Returns a number in mathematics, rounded to the place `10^place`, to one digit at least.

    Without a place it has up to six digits.
    """
    if not math.isfinite(value):
        return "--" if math.isnan(value) else rf"${'-' if value < 0 else ''}\infty$"
    if value == 0:
        return "$0$"
    exponent = _exponent(value)
    last = exponent - _MOST_DIGITS + 1 if place is None else min(place, exponent)
    if _SMALLEST <= abs(value) < _LARGEST:
        text = f"{round(value, -last):.{max(-last, 0)}f}"
        return f"${_without_zeros(text) if place is None else text}$"
    mantissa, _, power = f"{value:.{exponent - last}e}".partition("e")
    mantissa = _without_zeros(mantissa) if place is None else mantissa
    return rf"${mantissa} \times 10^{{{int(power)}}}$"


def interval(low: float, high: float, place: int | None = None) -> str:
    """Returns an interval in mathematics, its ends rounded to the place `10^place`."""
    first, last = (number(end, place).strip("$") for end in (low, high))
    return rf"$[{first},\, {last}]$"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exponent(value: float) -> int:
    """The power of ten of the first digit, once rounded as it will be shown."""
    return int(f"{value:.{_DIGITS_OF_AN_ERROR - 1}e}".partition("e")[2])
