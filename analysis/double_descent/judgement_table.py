"""A judgement as a table, as JSON values and as LaTeX."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from analysis.double_descent.judgement import Judgement
from analysis.estimate import Estimate
from analysis.latex import escaped, tabular
from analysis.writing import plain

HEADINGS = (
    "threshold",
    "peak at",
    "height",
    "peak width",
    "p",
    "first minimum",
    "at",
    "final minimum",
    "at",
    "final - first",
)


def cells(judged: Judgement) -> tuple[str, ...]:
    """Returns the cells of one curve under `HEADINGS`; "-" where there is nothing."""
    peak, first, final = judged.peak, judged.first, judged.final
    return (
        _cell(judged.threshold),
        _cell(peak and peak.location),
        _cell(peak and peak.height),
        _cell(peak and peak.width),
        "-" if peak is None else f"{peak.p_value:.2g}",
        _cell(first and first.value),
        _cell(first and first.size),
        _cell(final and final.value),
        _cell(final and final.size),
        _cell(judged.second),
    )


def limits(judged: Judgement, *, has_train: bool, is_time: bool) -> list[str]:
    """Returns what the curve cannot show, a sentence each.

    Args:
        judged: The judgement.
        has_train: Whether there is a train metric.
        is_time: Whether the x-axis is training time, so that the points of a run err together.
    """
    said = []
    if judged.basis == "smoothness":
        said.append(
            "One curve shows how far its points scatter about a smooth line, and not how another "
            "seed, initialisation or data set would run: at the critical size that can be several "
            "times as much. Add seeds."
        )
        if is_time:
            said.append(
                "Evaluations of one run err together, so that its intervals are too narrow. Add "
                "seeds."
            )
    if judged.peak is not None and not judged.peak.resolved:
        said.append(
            "The peak is narrower than the grid about it: its interval reaches to the neighbouring "
            "sizes, and its height is that of the highest of them. Add sizes there."
        )
    if not has_train:
        said.append("Without a train metric there is no interpolation threshold. Give --train.")
    return said


def early_sentence(judged: Judgement) -> str:
    """Says whether the second descent beats early stopping; empty where nothing shows it."""
    early = judged.early
    if early is None:
        return ""
    says = {True: "beats", False: "does not beat", None: "is not shown to beat"}[early.beats]
    return (
        f"The second descent {says} early stopping: the final minimum less the best of runs "
        f"stopped early, {early.best:.4g}, is {early.excess}."
    )


def to_dict(judged: Judgement) -> dict[str, Any]:
    """Returns a judgement as values of strict JSON, without the smooth curve."""
    values = {
        each.name: _plain(getattr(judged, each.name))
        for each in fields(judged)
        if each.name != "smooth"
    }
    return plain(values)


def latex(judged: Mapping[str, Judgement], caption: str, label: str = "descent") -> str:
    r"""Returns the table of several curves for a paper; it needs `\usepackage{booktabs}`.

    Args:
        judged: Judgements by the name of their curve; one alone may be nameless ("").
        caption: Caption of the table.
        label: Label of the table.
    """
    names = [*(["curve"] if any(judged) else []), *HEADINGS, "verdict"]
    rows = (
        [*([name] if any(judged) else []), *cells(each), each.verdict.value]
        for name, each in judged.items()
    )
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{tab:{label}}}",
        *tabular(names, rows, "l" * len(names)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value
