"""A page of Markdown with every reproduction: published beside refitted, findings, figures."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.writing import replace_file
from experiments.experiment import Findings
from experiments.reproductions.published import Judgement, Published, Reproduction
from experiments.shared.words import number
from sweeps.files import storing

_DPI = 110  # enough for a screen, in a tenth of the bytes of print


class Paper(NamedTuple):
    """A paper, what was found, and how each of its numbers came out."""

    paper: Reproduction
    findings: Findings[Any]
    judgements: Sequence[Judgement]


def write(papers: Sequence[Paper], page: Path) -> list[Path]:
    """Writes the page, and its figures into a folder of its name; returns the paths."""
    folder, written = page.with_suffix(""), [page]
    with storing(page):
        for each in papers:
            path = folder / f"{each.paper.name}.png"
            replace_file(path, _png(each))
            written.append(path)
        replace_file(page, "\n".join(_lines(papers, folder.name)).encode() + b"\n")
    return written


def _png(each: Paper) -> bytes:
    drawn = io.BytesIO()
    each.paper.figure(each.findings).savefig(
        drawn, format="png", dpi=_DPI, metadata={"Software": None}
    )
    return drawn.getvalue()


def _lines(papers: Sequence[Paper], folder: str) -> Iterator[str]:
    yield "# Published results, reproduced"
    yield ""
    yield "`scaling reproduce all --page docs/results/reproductions.md` makes this page. A number"
    yield "passes within the tolerance that its file states: the digits printed, what the rounding"
    yield "of printed constants leaves, or the interval of the refit. A *finding* is a number that"
    yield "does not follow from what its paper says it follows from."
    yield ""
    yield "| paper | numbers | pass | finding | fail |"
    yield "|---|---|---|---|---|"
    for each in papers:
        counts = [each.judgements.count(judgement) for judgement in ("pass", "finding", "fail")]
        cells = " | ".join(map(str, (len(each.judgements), *counts)))
        yield f"| [{each.paper.name}](#{each.paper.name}) | {cells} |"
    totals = [
        sum(each.judgements.count(judgement) for each in papers)
        for judgement in ("pass", "finding", "fail")
    ]
    yield f"| **{len(papers)} papers** | {' | '.join(map(str, (sum(totals), *totals)))} |"
    for each in papers:
        yield from _section(each, folder)


def _section(each: Paper, folder: str) -> Iterator[str]:
    paper, findings = each.paper, each.findings
    title, _, card = paper.card.partition("\n")
    yield ""
    yield f"## {paper.name}"
    yield ""
    yield title
    yield ""
    yield f"*{_field(card, 'Paper')}*"
    yield ""
    yield f"![{paper.name}]({folder}/{paper.name}.png)"
    yield ""
    yield findings.verdict
    for published in paper.published:
        if published.finding:
            yield ""
            yield f"- Finding, {published.says}: {published.finding}."
    yield ""
    yield "| | published | here | |"
    yield "|---|---|---|---|"
    for published, judgement in zip(paper.published, each.judgements, strict=True):
        yield _row(published, findings, judgement)


def _field(card: str, name: str) -> str:
    """A field of a card on one line, such as its paper."""
    _, _, after = card.partition(f"\n{name}: ")
    text: list[str] = []
    for line in after.splitlines():
        if text and line.partition(":")[0].istitle() and ": " in line:
            break
        text.append(line)
    return " ".join(text)


def _row(published: Published, findings: Findings[Any], judgement: Judgement) -> str:
    refitted = findings.measured[published.name]
    says = published.says.replace("|", "\\|")
    return f"| {says} | {published.value:.7g} | {number(refitted, digits=5)} | {judgement} |"
