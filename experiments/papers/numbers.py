r"""Measured numbers as macros of LaTeX, so that a text cannot drift from its data.

A number `peak_over_threshold` of the experiment `label_noise` is `\LabelNoisePeakOverThreshold`;
with `Interval`, `Unit`, `Expected` and `Full` (number, interval and unit) behind it, what belongs
to it. Digits are spelled out, since names of macros hold letters alone. Parameters of fits stand
behind `Fit` and the law's name; `Small` stands before one that is a lower-case letter, for laws
have both a and A.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from analysis import latex
from analysis.errors import visible
from experiments.experiment import Measured
from experiments.papers.study import Study
from experiments.shared.words import accepted

_DIGITS = "Zero One Two Three Four Five Six Seven Eight Nine".split()
_MOST_DIGITS = 4  # of a number without an interval


class Printed(NamedTuple):
    """A number as it is printed, in LaTeX: to the digits that its interval supports."""

    value: str
    interval: str


class Macro(NamedTuple):
    """A macro and what it stands for.

    Attributes:
        name: Its name, without the backslash.
        text: What it prints.
        says: What that is, in words.
        value: The number in full; None of what is no number.
    """

    name: str
    text: str
    says: str
    value: float | None = None


def printed(measured: Measured) -> Printed:
    """Returns a measured number and its interval as LaTeX; "--" where it has no interval."""
    value, low, high = measured.value, measured.low, measured.high
    if value is None:
        return Printed("not measured", "--")
    if low is None or high is None:
        rounded = float(f"{value:.{_MOST_DIGITS}g}") if math.isfinite(value) else value
        return Printed(latex.number(rounded), "--")
    # An interval of 95 % is four standard errors wide.
    place = latex.place_of((high - low) / 4)
    return Printed(latex.number(value, place), latex.interval(low, high, place))


def macros(studies: Iterable[Study]) -> list[Macro]:
    """Returns the macros of some studies, in their order.

    Raises:
        ValueError: Two numbers have one name.
    """
    made = [macro for study in studies for macro in _of_study(study)]
    twice = [name for name, n in Counter(each.name for each in made).items() if n > 1]
    if twice:
        said = "; ".join(each.says for each in made if each.name == twice[0])
        raise ValueError(
            f"Two numbers would be the macro \\{twice[0]} ({said}). Names must differ in letters "
            "and digits: rename one of them."
        )
    return made


def definitions(made: Sequence[Macro]) -> str:
    """Returns the file that defines macros, a comment before each that says what it is."""
    lines = [
        "% Made by `scaling paper`: change the runs, not this file.",
        r"% In a sentence write \Name{}, with the braces, so that a space after it stays.",
    ]
    for each in made:
        lines += [
            f"% {' '.join(visible(each.says).split())}",
            rf"\newcommand{{\{each.name}}}{{{each.text}}}",
        ]
    return "\n".join(lines) + "\n"


def word(name: str) -> str:
    """Returns a name in letters alone, each part capitalised: `limit_0.5` is LimitZeroPointFive."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"(?<=\d)\.(?=\d)", " point ", plain)
    parts = re.findall(r"[A-Za-z]+|\d", plain)
    return "".join(
        _DIGITS[int(part)] if part.isdigit() else part[0].upper() + part[1:] for part in parts
    )


def _of_study(study: Study) -> Iterator[Macro]:
    stem = word(study.label)
    done = [record for record in study.records if record.status == "done"]
    if study.records:
        says = f"{study.label}: runs"
        yield Macro(f"{stem}Runs", f"{len(study.records)}", f"{says} planned")
        yield Macro(f"{stem}RunsDone", f"{len(done)}", f"{says} that are done")
        flops = sum(record.flops_train or 0.0 for record in study.records)
        text = _anywhere(latex.number(float(f"{flops:.3g}")))
        yield Macro(f"{stem}Flops", text, f"{says}: training FLOPs in all", flops)
    for name, measured in study.measured.items():
        yield from _of_number(f"{stem}{word(name)}", study, name, measured)
    for name, fit in study.fits.items():
        prefix = f"{stem}Fit{word(name)}"
        table = fit.table()
        for row in (*table.params, *table.derived):
            letter = "Small" if len(row.name) == 1 and row.name.islower() else ""
            low, high = row.interval or (None, None)
            yield from _pair(
                f"{prefix}{letter}{word(row.name)}",
                Measured(value=row.value, low=low, high=high),
                f"{study.label}, fit {name}: {row.name}",
            )


def _of_number(stem: str, study: Study, name: str, measured: Measured) -> Iterator[Macro]:
    expected = study.prediction(name)
    says = f"{study.label}: {study.says(name)}"
    unit = "" if expected is None or expected.unit == "1" else latex.escaped(expected.unit)
    yield from _pair(stem, measured, says, f"~{unit}" if unit else "")
    if unit:
        yield Macro(f"{stem}Unit", unit, f"{says}, unit")
    if expected is not None:
        yield Macro(f"{stem}Expected", latex.escaped(accepted(expected)), f"{says}, expected")


def _pair(stem: str, measured: Measured, says: str, unit: str = "") -> Iterator[Macro]:
    """The number, its interval where it has one, and both with the unit."""
    value, interval = map(_anywhere, printed(measured))
    yield Macro(stem, value, says, measured.value)
    if interval == "--":
        yield Macro(f"{stem}Full", f"{value}{unit}", f"{says}, with unit")
    else:
        yield Macro(f"{stem}Interval", interval, f"{says}, interval")
        yield Macro(f"{stem}Full", f"{value} {interval}{unit}", f"{says}, with interval and unit")


def _anywhere(text: str) -> str:
    """Mathematics that may stand in mathematics too."""
    inner = text.removeprefix("$").removesuffix("$")
    return rf"\ensuremath{{{inner}}}" if text.startswith("$") else text
