"""A report: what an experiment measured, on disk, and whether it is still valid.

A report names its source, a digest of the records and the code that it was made from. While that is
unchanged and its files are there, the same command prints it again without analysing or drawing.
"""

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import analysis
import experiments
from analysis.writing import replace_file
from experiments.experiment import Experiment, Gathering, Json, Measured
from scaling.record import RunRecord

FILES = ("figure.pdf", "figure.png", "figure.svg", "figure.csv", "report.json")


@dataclass(frozen=True)
class Report:
    """What an experiment found, as it is printed and kept in report.json.

    Attributes:
        source: Digest of what it follows from.
        experiment: Name of the experiment.
        budget: Declared size.
        overrides: Fields that the command set, as it gave them.
        verdict: The answer.
        measured: The numbers.
        doubts: Reasons to distrust the answer.
        more: Fits and settings.
    """

    source: str
    experiment: str
    budget: str
    overrides: Sequence[str]
    verdict: str
    measured: Mapping[str, Measured]
    doubts: Sequence[str]
    more: Mapping[str, Json]


def source(experiment: Experiment | Gathering, records: Iterable[RunRecord]) -> str:
    """Digest of what a report follows from: records, the code of analysis, and libraries."""
    digest = hashlib.sha256(_code().encode())
    digest.update(experiment.file.read_bytes())
    digest.update(b"\0")
    for record in records:
        digest.update(json.dumps(asdict(record), sort_keys=True).encode())
    return digest.hexdigest()[:32]


def save(folder: Path, report: Report) -> None:
    """Writes the report as strict JSON, atomically; last of its files."""
    text = json.dumps(asdict(report), indent=1, allow_nan=False) + "\n"
    replace_file(folder / "report.json", text.encode())


def load(folder: Path, source: str) -> Report | None:
    """Loads the report if it follows from that source and its figures are there; else None."""
    if not all((folder / name).exists() for name in FILES):
        return None
    report = parse((folder / "report.json").read_text())
    return report if report is not None and report.source == source else None


def parse(text: str) -> Report | None:
    """Reads what `save` wrote; None where it is something else."""
    try:
        plain = json.loads(text)
        measured = {name: Measured(**m) for name, m in plain["measured"].items()}
        return Report(**plain | {"measured": measured})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


@functools.cache
def _code() -> str:
    digest = hashlib.sha256()
    for package in (analysis, experiments):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(path.read_bytes())
    for name in ("numpy", "scipy", "pandas", "matplotlib"):
        digest.update(importlib.metadata.version(name).encode())
    return digest.hexdigest()
