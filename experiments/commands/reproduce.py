"""`scaling reproduce`: a published law refitted from its data, published beside refitted."""

import importlib
import importlib.metadata
import inspect
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from analysis.plots import style
from analysis.tables import results
from analysis.writing import replace_file
from experiments import reproductions
from experiments.catalogue import declaring
from experiments.commands import show
from experiments.commands.console import console, print_table, write_json
from experiments.commands.options.analyses import ReproduceOptions
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.data import Dataset, PublishedFile
from experiments.reproductions.published import (
    Judgement,
    Published,
    Reproduction,
    accepted,
    judged,
    judgements,
)
from experiments.shared.words import ends, number
from scaling.fields import nearest
from sweeps.files import storing

ALL = "all"
"""The name that stands for every paper."""

_LIBRARIES = ("scaling-descent", "numpy", "scipy", "pandas", "matplotlib")


def names() -> list[str]:
    """Names of the papers that can be reproduced."""
    return [name.replace("_", "-") for name in declaring(reproductions, "PUBLISHED")]


def load(name: str) -> Reproduction:
    """Returns the reproduction of that name.

    Raises:
        ValueError: No such reproduction; the nearest name is given.
    """
    if name not in names():
        raise ValueError(f"no reproduction {name!r}; {nearest(name, [*names(), ALL])}")
    paper = importlib.import_module(f"{reproductions.__name__}.{name.replace('-', '_')}")
    return Reproduction(
        name=name,
        card=inspect.getdoc(paper) or "",
        data=paper.DATA,
        published=paper.PUBLISHED,
        refit=paper.refit,
        figure=paper.figure,
    )


def run(options: ReproduceOptions) -> int:
    """Obtains the data of a paper, refits, draws, and prints published beside refitted.

    Returns:
        0 where every number agrees, 1 where one has drifted.

    Raises:
        ValueError: No such reproduction, no data, or a page that cannot be written.
    """
    if options.page is not None:
        _check_page(options.name, Path(options.page))
    if options.name == ALL:
        return _run_all(options)
    paper = load(options.name)
    made = _made(paper, Path(options.out) / paper.name)
    _print(paper, made)
    write_json(options.json, _plain({paper.name: (paper, made)}, {}))
    return 0 if made.passed else 1


def _check_page(name: str, page: Path) -> None:
    """Refuses a page that is asked of one paper, or that is no Markdown, before any refit."""
    if name != ALL:
        raise ValueError(f"--page takes every paper: give {ALL} in place of {name}, or no --page")
    if page.suffix != ".md":
        raise ValueError(f"--page {page} must be a Markdown file: give a name that ends in .md")


@dataclass(frozen=True)
class Made:
    """A reproduction as it came out.

    Attributes:
        findings: What was found.
        judgements: How each published number came out, in their order.
        folder: Where its files lie.
    """

    findings: Findings[Any]
    judgements: tuple[Judgement, ...]
    folder: Path

    @property
    def passed(self) -> bool:
        """Whether every number agrees or is a known finding."""
        return "fail" not in self.judgements


def _made(paper: Reproduction, folder: Path) -> Made:
    """Obtains the data of a paper, refits, draws and writes the report."""
    obtained = data.obtain(paper.data) if isinstance(paper.data, Dataset) else None
    findings = paper.refit() if obtained is None else paper.refit(obtained.table)
    made = Made(findings, judgements(paper.published, findings.measured), folder)
    with storing(folder):
        style.save(paper.figure(findings), folder / "figure")
        results.write(findings.shown, folder / "figure.csv")
        report = json.dumps(_report(paper, obtained, made), indent=1, allow_nan=False)
        replace_file(folder / "report.json", f"{report}\n".encode())
    return made


def _run_all(options: ReproduceOptions) -> int:
    """Reproduces every paper whose data are at hand; prints a line each, and writes the page."""
    from experiments.pages import reproduced

    made: dict[str, tuple[Reproduction, Made]] = {}
    left_out: dict[str, str] = {}
    for name in names():
        paper = load(name)
        try:
            made[name] = paper, _made(paper, Path(options.out) / name)
        except ValueError as error:
            left_out[name] = str(error)
    rows = [
        (name, *(f"{made_.judgements.count(each)}" for each in ("pass", "finding", "fail")))
        for name, (_, made_) in made.items()
    ]
    total = ("together", *(f"{sum(int(row[at]) for row in rows)}" for at in (1, 2, 3)))
    print_table(("paper", "pass", "finding", "fail"), [*rows, total],
                ("left", "right", "right", "right"))  # fmt: skip
    for name, reason in left_out.items():
        console.print(f"left out: {name}: {reason}", soft_wrap=True)
    write_json(options.json, _plain(made, left_out))
    if options.page is not None:
        papers = [
            reproduced.Paper(paper, found.findings, found.judgements)
            for paper, found in made.values()
        ]
        for path in reproduced.write(papers, Path(options.page)):
            console.print(f"{path}: written")
    return 0 if all(found.passed for _, found in made.values()) else 1


def _plain(
    made: Mapping[str, tuple[Reproduction, Made]], left_out: Mapping[str, str]
) -> dict[str, Any]:
    """What is printed of some reproductions, as JSON values."""
    papers = [
        {
            "name": name,
            "passed": found.passed,
            "verdict": found.findings.verdict,
            "numbers": [_number(p, found.findings.measured[p.name]) for p in paper.published],
        }
        for name, (paper, found) in made.items()
    ]
    return {"papers": papers, "left_out": dict(left_out)}


def _report(paper: Reproduction, obtained: PublishedFile | None, made: Made) -> dict[str, Any]:
    """Returns the report of a reproduction as plain JSON values."""
    findings = made.findings
    return {
        "reproduction": paper.name,
        "passed": made.passed,
        "verdict": findings.verdict,
        "numbers": [_number(each, findings.measured[each.name]) for each in paper.published],
        "data": _data(paper, obtained),
        "versions": {"python": platform.python_version()}
        | {library: importlib.metadata.version(library) for library in _LIBRARIES},
        "more": dict(findings.report),
    }


def _data(paper: Reproduction, obtained: PublishedFile | None) -> dict[str, Any]:
    """Where the inputs of a reproduction come from."""
    if obtained is None or isinstance(paper.data, str):
        return {"printed": paper.data}
    return {
        "file": paper.data.file,
        "sha256": paper.data.sha256,
        "from": obtained.origin,
        "source": paper.data.source,
        "licence": paper.data.licence,
        "rows": len(obtained.table),
    }


def _number(published: Published, refitted: Measured) -> dict[str, Any]:
    return {
        "name": published.name,
        "says": published.says,
        "source": published.source,
        "published": published.value,
        "accepted": list(accepted(published)),
        "covered": published.covered,
        "refitted": refitted.value,
        "interval": [refitted.low, refitted.high],
        "note": refitted.note,
        "judgement": judged(published, refitted),
        "finding": published.finding,
    }


_COLOURS: Mapping[Judgement, str] = {"pass": "green", "finding": "yellow", "fail": "red"}


def _print(paper: Reproduction, made: Made) -> None:
    """Prints the verdict, published beside refitted, findings, and where the files lie."""
    rows = []
    for published, judgement in zip(paper.published, made.judgements, strict=True):
        refitted = made.findings.measured[published.name]
        cells = (published.says, f"{published.value:.7g}", _passes(published), _number_of(refitted))
        rows.append((*cells, Text(judgement, _COLOURS[judgement])))
    show.print_title(paper.name)
    console.print(f"{made.findings.verdict}\n")
    print_table(("", "published", "passes", "refitted", ""), rows)
    for published in paper.published:
        if published.finding:
            console.print(f"finding: {published.says}: {published.finding}", soft_wrap=True)
    show.print_files(made.folder)


def _passes(published: Published) -> str:
    if published.covered:
        return "in the interval"
    if published.tolerance is not None:
        return f"± {published.tolerance:.2g}"
    return ends(published.low, published.high)


def _number_of(refitted: Measured) -> str:
    if refitted.value is None:
        return refitted.note or "not refitted"
    note = f" ({refitted.note})" if refitted.note else ""
    return number(refitted, digits=7) + note
