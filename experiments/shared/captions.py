"""Words under a figure and for those who do not see it, with the measured numbers filled in.

A card may declare both (`CAPTION`, `ALT`); the others are given the question and the numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from analysis.errors import nearest_name
from experiments.experiment import Experiment, Findings, Gathering, Measured, Named, Sentence
from experiments.shared.words import number

MOST_NUMBERS = 4
"""Numbers that a caption repeats where a card declares none; the table has all."""


def numbers(
    experiment: Experiment | Gathering, found: Mapping[str, Findings[Any]]
) -> dict[str, Measured]:
    """Returns the numbers that sentences may name: of what gathers others, as `part.number`.

    Args:
        experiment: The experiment.
        found: Findings of its parts by name.
    """
    if isinstance(experiment, Experiment):
        return dict(found[experiment.name].measured)
    return {
        f"{part}.{name}": measured
        for part, findings in found.items()
        for name, measured in findings.measured.items()
    }


def caption(
    experiment: Experiment | Gathering, measured: Mapping[str, Measured]
) -> Sequence[Sentence]:
    """Returns what stands under the figure: as declared, or the question and the first numbers.

    A declared sentence of which a number has no value is left out.

    Raises:
        ValueError: A declared sentence names a number that is neither measured nor expected.
    """
    if declared := _declared(experiment, experiment.caption, "CAPTION", measured):
        return declared
    question = experiment.card.partition("\n")[0] or experiment.name
    if isinstance(experiment, Gathering):
        return [(question,)]
    known = _known(measured)[:MOST_NUMBERS]
    return [(question,), *([(*_listed(experiment, known), ".")] if known else [])]


def alternative(
    experiment: Experiment | Gathering, measured: Mapping[str, Measured], verdict: str
) -> Sequence[Sentence]:
    """Returns what the figure shows, for those who do not see it.

    As declared, or the first line of the verdict and the numbers; otherwise as `caption`.
    """
    if declared := _declared(experiment, experiment.alt, "ALT", measured):
        return declared
    answer = (f"{experiment.name}: {verdict.partition(chr(10))[0].rstrip('.')}.",)
    known = _known(measured)
    if isinstance(experiment, Gathering) or not known:
        return [answer]
    return [answer, (*_listed(experiment, known), ".")]


def plain(
    sentences: Sequence[Sentence],
    experiment: Experiment | Gathering,
    measured: Mapping[str, Measured],
) -> str:
    """Returns sentences as plain text, numbers with interval and unit."""
    units = _units(experiment)

    def shown(name: str) -> str:
        return number(measured[name], unit=units.get(name, "1"))

    return filled(sentences, shown)


def filled(
    sentences: Sequence[Sentence], shown: Callable[[str], str], words: Callable[[str], str] = str
) -> str:
    """Returns sentences with their numbers.

    Args:
        sentences: What to write.
        shown: Writes the number of a name.
        words: Writes words.
    """
    return " ".join(
        "".join(shown(each.name) if isinstance(each, Named) else words(each) for each in sentence)
        for sentence in sentences
    )


def _units(experiment: Experiment | Gathering) -> dict[str, str]:
    """The unit of every number that is expected, by the name that sentences have for it."""
    return {
        each.name if isinstance(experiment, Experiment) else f"{part.name}.{each.name}": each.unit
        for part in experiment.parts
        for each in part.expected
    }


def _known(measured: Mapping[str, Measured]) -> list[str]:
    return [name for name, each in measured.items() if each.value is not None]


def _names(sentence: Sentence) -> Iterator[str]:
    return (each.name for each in sentence if isinstance(each, Named))


def _listed(experiment: Experiment, names: Sequence[str]) -> Iterator[str | Named]:
    says = {each.name: each.says for each in experiment.expected}
    for at, name in enumerate(names):
        yield f"{'; ' if at else ''}{says.get(name, name)}: "
        yield Named(name)


def _declared(
    experiment: Experiment | Gathering,
    sentences: Sequence[Sentence],
    declared: str,
    measured: Mapping[str, Measured],
) -> list[Sentence]:
    """The declared sentences whose numbers all have a value."""
    # Some numbers are expected, and measured, at some declared sizes alone.
    names, known = {*measured, *_units(experiment)}, _known(measured)
    for name in (name for sentence in sentences for name in _names(sentence)):
        if name not in names:
            raise ValueError(
                f"{experiment.file}: {declared} names {{{name}}}, which analyse does not measure. "
                f"Write words alone, or a number; {nearest_name(name, names)}"
            )
    return [each for each in sentences if all(name in known for name in _names(each))]
