"""`scaling reproduce`: a published law refitted from its data, published beside refitted."""

import importlib
import importlib.metadata
import inspect
import json
import platform
from pathlib import Path
from typing import Any

from rich.text import Text

from analysis.plots import style
from analysis.tables import results
from analysis.writing import replace_file
from experiments import reproductions
from experiments.catalogue import declaring
from experiments.commands import show
from experiments.commands.console import console, print_table
from experiments.commands.options import ReproduceOptions
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.data import PublishedFile
from experiments.reproductions.published import Published, Reproduction, accepted, agrees
from experiments.shared.words import ends, number
from scaling.fields import nearest
from sweeps.files import storing

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
        raise ValueError(f"no reproduction {name!r}; {nearest(name, names())}")
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
        ValueError: No such reproduction, or no data.
    """
    paper = load(options.name)
    obtained = data.obtain(paper.data)
    findings = paper.refit(obtained.table)
    folder = Path(options.out) / paper.name
    with storing(folder):
        style.save(paper.figure(findings), folder / "figure")
        results.write(findings.shown, folder / "figure.csv")
        report = json.dumps(_report(paper, obtained, findings), indent=1, allow_nan=False)
        replace_file(folder / "report.json", f"{report}\n".encode())
    _print(paper, findings, folder)
    return 0 if _passed(paper, findings) else 1


def _passed(paper: Reproduction, findings: Findings) -> bool:
    return all(agrees(each, findings.measured[each.name]) for each in paper.published)


def _report(paper: Reproduction, obtained: PublishedFile, findings: Findings) -> dict[str, Any]:
    """Returns the report of a reproduction as plain JSON values."""
    return {
        "reproduction": paper.name,
        "passed": _passed(paper, findings),
        "verdict": findings.verdict,
        "numbers": [_number(each, findings.measured[each.name]) for each in paper.published],
        "data": {
            "file": paper.data.file,
            "sha256": paper.data.sha256,
            "from": obtained.origin,
            "source": paper.data.source,
            "licence": paper.data.licence,
            "rows": len(obtained.table),
        },
        "versions": {"python": platform.python_version()}
        | {library: importlib.metadata.version(library) for library in _LIBRARIES},
        "more": dict(findings.report),
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
        "passed": agrees(published, refitted),
    }


def _print(paper: Reproduction, findings: Findings, folder: Path) -> None:
    """Prints the verdict, published beside refitted, and where the files lie."""
    rows = []
    for published in paper.published:
        refitted = findings.measured[published.name]
        judged = ("pass", "green") if agrees(published, refitted) else ("fail", "red")
        cells = (published.says, f"{published.value:.7g}", _passes(published), _number_of(refitted))
        rows.append((*cells, Text(*judged)))
    show.print_title(paper.name)
    console.print(f"{findings.verdict}\n")
    print_table(("", "published", "passes", "refitted", ""), rows)
    show.print_files(folder)


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
