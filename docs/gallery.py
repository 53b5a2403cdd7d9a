"""A page for every experiment, made from its card and its figure whenever the site is built.

Figures come from the runs that are stored for tests, at the smallest size, so that nothing is
trained: the `scaling run` command finds them done, analyses and draws. What it drew before stays in
`build/gallery` and is drawn again only where runs or code have changed.

The setting `gallery_figures` says which figures are made: "all", or "few", those of the experiments
whose turn it is today, to check that the site can be built. Other pages show what was drawn
before, or no figure.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import stored_runs
from house import HOUSE
from smoke_choice import GROUPS, chosen
from sphinx.application import Sphinx
from sphinx.config import ENUM
from sphinx.util.logging import getLogger

from experiments import catalogue
from experiments.cli import main
from experiments.commands import report
from experiments.commands.report import Report
from experiments.experiment import Experiment, Gathering, passes
from experiments.shared.words import accepted, number

log = getLogger(__name__)

DRAWN = HOUSE / "build" / "gallery"
BUDGET = "smoke"
_IN_THIS_PROCESS = 6
"""Figures that are drawn in less time than two processes take to start."""

HEAD = """# Gallery

Every experiment with its figure, drawn from runs at the smallest size, which take seconds: enough
to see what an experiment shows, not to answer its question. `scaling run NAME` does it in full.

"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the gallery with Sphinx."""
    app.add_config_value("gallery_figures", "all", "env", ENUM("all", "few"))
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}


def write(app: Sphinx) -> None:
    """Draws the figures that are asked for and writes the pages into the sources of the site."""
    today = chosen(set(), day=int(time.time() // 86_400))
    draw(catalogue.names() if app.config.gallery_figures == "all" else today)
    folder = Path(app.srcdir) / "gallery"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pages = {name: _page(catalogue.load(name), folder) for name in catalogue.names()}
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)
    cards = "\n".join(_thumbnail(catalogue.load(name), folder) for name in pages)
    (folder / "index.md").write_text(f"{HEAD}::::{{container}} gallery\n{cards}\n::::\n")


def draw(names: Iterable[str]) -> None:
    """Draws experiments from their stored runs, those that share runs one after another."""
    wanted = {part.name for name in names for part in catalogue.load(name).parts}
    groups = [[name for name in group if name in wanted] for group in GROUPS.values()]
    gathering = [[name] for name in names if isinstance(catalogue.load(name), Gathering)]
    with _applying(len(wanted)) as apply:
        # What gathers others comes after them.
        for failed in (*apply(_draw, filter(None, groups)), *apply(_draw, gathering)):
            if failed:
                log.warning("gallery: %s cannot be drawn from its stored runs", failed)


@contextlib.contextmanager
def _applying(n_figures: int) -> Iterator[Callable[..., Iterable[str | None]]]:
    """As `map`; two figures at once, each on a core, where they are many."""
    if n_figures <= _IN_THIS_PROCESS:
        yield map
        return
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool.map


def _draw(group: list[str]) -> str | None:
    """Runs experiments on one results folder; returns the first that fails."""
    for name in group:
        for part in catalogue.load(name).parts:
            if not (DRAWN / part.runs_of).exists():
                stored_runs.restore(part.runs_of, DRAWN)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            status = main(["run", name, "--budget", BUDGET, "--results", str(DRAWN)])
        if status == 2 or not (_folder(name) / "figure.svg").is_file():
            return name
    return None


def _folder(name: str) -> Path:
    return DRAWN / name / "reports" / BUDGET


def _page(experiment: Experiment | Gathering, folder: Path) -> str:
    """The page of an experiment: card, figure, and what was expected beside what was measured."""
    question, _, card = experiment.card.partition("\n")
    # They stand in no list of the sidebar, where forty names would hide all others.
    parts = ["---\norphan: true\n---", f"# {experiment.name}", f"*{question}*"]
    made = report.read(_folder(experiment.name) / "report.json")
    if made is not None:
        shutil.copy(_folder(experiment.name) / "figure.svg", folder / f"{experiment.name}.svg")
        parts += [_figure(experiment.name, made), _verdict(made)]
    parts.append(_card(card))
    if isinstance(experiment, Experiment):
        parts.append(_expectations(experiment, made))
    else:
        parts.append("Parts: " + ", ".join(f"[](./{part.name}.md)" for part in experiment.parts))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figure(name: str, made: Report) -> str:
    alt = " ".join(made.alt.split())
    return f"```{{figure}} {name}.svg\n:alt: {alt}\n\n{_plain(made.caption)}\n```"


def _verdict(made: Report) -> str:
    lines = ["At the smallest size:", *made.verdict.splitlines()]
    return "\\\n".join(map(_plain, lines)) if made.verdict else ""


def _card(card: str) -> str:
    """The card as Markdown: a paragraph a fact, its name in bold."""
    named = re.sub(r"^(Claim|Paper|Command|Cost|Expected):", r"\n**\1.**", card, flags=re.MULTILINE)
    command = re.sub(r"(\*\*Command\.\*\*) (.*)", r"\1 `\2`", named)
    return _plain(command.strip(), but="*`")


def _plain(text: str, but: str = "") -> str:
    """Text with the signs of Markdown that it does not mean escaped."""
    signs = "".join(sign for sign in "\\*_$<>[]" if sign not in but)
    kept = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(f"([{re.escape(signs)}])", r"\\\1", part)
        for part in kept
    )


def _expectations(experiment: Experiment, made: Report | None) -> str:
    """The table of expectations, with what the stored runs give."""
    rows = ["| expected | accepted | at the smallest size | source |", "|---|---|---|---|"]
    for expected in experiment.expected:
        measured = made.measured.get(expected.name) if made is not None else None
        if measured is None or measured.value is None or BUDGET not in expected.budgets:
            found = ""
        else:
            judged = "passes" if passes(expected, measured) else "fails"
            found = f"{number(measured, unit=expected.unit)}, {judged}"
        cells = (expected.says, accepted(expected), found, expected.source)
        rows.append("| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) if experiment.expected else ""


def _thumbnail(experiment: Experiment | Gathering, folder: Path) -> str:
    """An entry of the gallery: the figure, small, the name and the question."""
    name, question = experiment.name, experiment.card.partition("\n")[0]
    picture = f"[![{_plain(question)}]({name}.svg)](./{name}.md)\n\n"
    if not (folder / f"{name}.svg").exists():
        picture = ""
    return f":::{{container}} entry\n{picture}[{name}](./{name}.md)\n\n{_plain(question)}\n:::"
