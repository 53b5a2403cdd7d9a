"""Figures of a study: the environment that places it, its caption and its alternative text."""

from analysis import latex
from experiments.papers.numbers import word
from experiments.papers.study import Study
from experiments.papers.tables import file_name
from experiments.shared import captions


def figure(study: Study) -> str:
    """Returns the `figure` of a study, its caption with macros for its numbers."""
    kind = "figure*" if study.wide else "figure"
    name = file_name(study.label)
    width = r"\linewidth" if study.wide else f"{study.width:.4g}in"
    lines = (
        rf"\begin{{{kind}}}[tbp]",
        r"\centering",
        # Braces keep commas and brackets of the text from ending the option.
        rf"\includegraphics[alt={{{latex.escaped(study.alt)}}},width={width},"
        rf"height=0.75\textheight,keepaspectratio]{{figures/{name}.pdf}}",
        rf"\caption{{{_caption(study)}}}",
        rf"\label{{fig:{name}}}",
        rf"\end{{{kind}}}",
    )
    return "\n".join(lines) + "\n"


def _caption(study: Study) -> str:
    stem = word(study.label)

    def macro(name: str) -> str:
        return rf"\{stem}{word(name)}Full{{}}"

    return captions.filled(study.caption, macro, latex.escaped)
