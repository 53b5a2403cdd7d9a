"""The text of an author: macros that no result gives, and numbers that should be macros."""

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.papers.numbers import Macro

_COMMENT = re.compile(r"(?<!\\)%.*")
_COMMANDS = re.compile(
    r"\\(?:includegraphics|cite\w*|ref|eqref|label|input|include|bibliography\w*|usepackage|"
    r"documentclass|begin|end|url|href|vspace|hspace|setlength|newcommand)\*?(?:\[[^\]]*\])?"
    r"(?:\{[^{}]*\})*"
)
_LENGTH = re.compile(r"\d*\.?\d+\s*(?:pt|in|cm|mm|em|ex|\\\w*(?:width|height))\b")
_NUMBER = re.compile(
    r"(?<![\w.])(?P<mantissa>-?\d+(?:\.\d+)?)"
    r"(?:\s*\\times\s*10\^\{?(?P<power>-?\d+)\}?|e(?P<e>-?\d+))?(?![\w]|\.\d)"
)
_MACRO = re.compile(r"\\([A-Z][A-Za-z]+)")
_LEAST_DIGITS = 2


class Remark(NamedTuple):
    """A line of a text and what is wrong with it."""

    line: int
    says: str


def remarks(
    text: str, made: Sequence[Macro], stems: Sequence[str], *, with_numbers: bool
) -> list[Remark]:
    """Returns the macros of a text that no result gives, and its numbers that should be macros.

    Args:
        text: LaTeX.
        made: The macros of the results.
        stems: Beginnings of their names, one an experiment: macros of others are not looked at.
        with_numbers: Whether to look for numbers.
    """
    names = {each.name for each in made}
    found, inside = [], r"\begin{document}" not in text
    for number, line in enumerate(text.splitlines(), 1):
        inside = inside or r"\begin{document}" in line
        bare = _COMMENT.sub("", line)
        found += [Remark(number, each) for each in _unknown(bare, names, stems)]
        if inside and with_numbers:
            found += [Remark(number, each) for each in _numbers(bare, made)]
    return found


def _unknown(line: str, names: set[str], stems: Sequence[str]) -> Iterator[str]:
    for found in _MACRO.finditer(line):
        name = found[1]
        if name not in names and any(name.startswith(stem) for stem in stems):
            near = difflib.get_close_matches(name, names, n=1)
            remedy = f"; did you mean \\{near[0]}?" if near else ""
            yield f"\\{name} is no macro that the results give{remedy}"


def _numbers(line: str, made: Sequence[Macro]) -> Iterator[str]:
    bare = _LENGTH.sub(" ", _COMMANDS.sub(" ", line))
    for found in _NUMBER.finditer(bare):
        mantissa = found["mantissa"]
        power = int(found["power"] or found["e"] or 0)
        digits = mantissa.lstrip("-0.").replace(".", "")
        if len(digits) < _LEAST_DIGITS or ("." not in mantissa and len(digits) < 3 and not power):
            continue
        place = power - len(mantissa.partition(".")[2])
        value = float(mantissa) * 10.0**power
        same = [each.name for each in made if each.value is not None
                and _is(value, each.value, place)]  # fmt: skip
        if same:
            others = f" (or \\{', '.join(same[1:3])})" if len(same) > 1 else ""
            yield f"{found[0]} should be \\{same[0]}{{}}{others}"


def _is(shown: float, value: float, place: int) -> bool:
    """Whether a number, rounded to the place that is shown, is the one shown."""
    return math.isfinite(value) and abs(value - shown) <= 0.5000001 * 10.0**place
