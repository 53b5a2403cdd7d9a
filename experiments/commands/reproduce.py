"""`scaling reproduce`: a published law refitted from its data, published beside refitted."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import pkgutil
import platform
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.text import Text

from analysis.plots import style
from analysis.tables import results
from analysis.writing import replace_file
from experiments import reproductions
from experiments.commands import show
from experiments.commands.console import console, print_table
from experiments.commands.options import ReproduceOptions
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.data import Obtained
from experiments.reproductions.published import Published, accepted, agrees
from scaling.fields import nearest
from sweeps.files import storing

_LIBRARIES = ("scaling-descent", "numpy", "scipy", "pandas", "matplotlib")


def names() -> list[str]:
    """Names of the papers that can be reproduced."""
    found = []
    for module in pkgutil.iter_modules(reproductions.__path__):
        spec = importlib.util.find_spec(f"{reproductions.__name__}.{module.name}")
        source = Path(spec.origin).read_text() if spec and spec.origin else ""
        if "\nPUBLISHED" in source:
            found.append(module.name.replace("_", "-"))
    return sorted(found)


def load(name: str) -> ModuleType:
    """The reproduction of that name.

    Raises:
        ValueError: No such reproduction; the nearest name is given.
    """
    if name not in names():
        raise ValueError(f"no reproduction {name!r}; {nearest(name, names())}")
    return importlib.import_module(f"{reproductions.__name__}.{name.replace('-', '_')}")


def run(options: ReproduceOptions) -> int:
    """Obtains the data of a paper, refits, draws, and prints published beside refitted.

    Args:
        options: A name, one of `names()`, and the folder that holds a folder of that name for the
            results.

    Returns:
        0 where every number agrees, 1 where one has drifted.

    Raises:
        ValueError: No such reproduction, or no data.
    """
    name = options.name
    paper = load(name)
    obtained = data.obtain(paper.DATA)
    findings = paper.refit(obtained.table)
    folder = Path(options.out) / name
    with storing(folder):
        style.save(paper.figure(findings), folder / "figure")
        results.write(findings.shown, folder / "figure.csv")
        report = json.dumps(_report(name, paper, obtained, findings), indent=1, allow_nan=False)
        replace_file(folder / "report.json", f"{report}\n".encode())
    _print(name, paper, findings, folder)
    return 0 if _passed(paper, findings) else 1


def _passed(paper: ModuleType, findings: Findings) -> bool:
    return all(agrees(each, findings.measured[each.name]) for each in paper.PUBLISHED)


def _report(name: str, paper: ModuleType, obtained: Obtained, findings: Findings) -> dict[str, Any]:
    """What is kept of a reproduction, as plain JSON values."""
    return {
        "reproduction": name,
        "passed": _passed(paper, findings),
        "verdict": findings.verdict,
        "numbers": [_number(each, findings.measured[each.name]) for each in paper.PUBLISHED],
        "data": {
            "file": paper.DATA.file,
            "sha256": paper.DATA.sha256,
            "from": obtained.origin,
            "source": paper.DATA.source,
            "licence": paper.DATA.licence,
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


def _print(name: str, paper: ModuleType, findings: Findings, folder: Path) -> None:
    """Published beside refitted, the verdict, and where the figure lies."""
    rows = []
    for published in paper.PUBLISHED:
        refitted = findings.measured[published.name]
        judged = ("pass", "green") if agrees(published, refitted) else ("fail", "red")
        cells = (published.says, f"{published.value:.7g}", _passes(published), _told(refitted))
        rows.append((*cells, Text(*judged)))
    show.print_title(name)
    console.print(f"{findings.verdict}\n", markup=False)
    print_table(("", "published", "passes", "refitted", ""), rows)
    show.print_files(folder)


def _passes(published: Published) -> str:
    if published.covered:
        return "in the interval"
    if published.tolerance is not None:
        return f"± {published.tolerance:.2g}"
    low, high = published.low, published.high
    if low is None or high is None:
        return f"at most {high:.6g}" if low is None else f"at least {low:.6g}"
    return f"{low:.6g} to {high:.6g}"


def _told(refitted: Measured) -> str:
    if refitted.value is None:
        return refitted.note or "not refitted"
    text = f"{refitted.value:.7g}"
    if refitted.low is not None and refitted.high is not None:
        text += f" [{refitted.low:.4g}, {refitted.high:.4g}]"
    return f"{text} ({refitted.note})" if refitted.note else text
