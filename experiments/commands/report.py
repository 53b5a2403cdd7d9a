"""A report: what an experiment measured, on disk, and whether it is still valid.

A report names its source, a digest of the records and the code that it was made from, and the
checksums of its figures and of itself. While all of them hold, the same command prints it again
without analysing or drawing.
"""

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import analysis
import experiments
from analysis.writing import replace_file
from experiments.experiment import Experiment, Gathering, Json, Measured
from experiments.shared.fits import ShownFit
from scaling.fields import from_dict
from scaling.record import RunRecord
from scaling.sealed import DamagedFileError, parse, sha256, sha256_of_file, sign, signed
from sweeps.files import MANY_BYTES, read_bytes

FIGURES = ("figure.pdf", "figure.png", "figure.svg", "figure.csv")
FAILURE = "failure.json"
_MOST_BYTES = 2**24
_READ = (".py", ".toml", ".csv")
"""Files of the packages that findings follow from: code, published laws, and facts."""


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
        more: Settings, and what else the analysis keeps.
        fits: Its fitted laws.
        caption: Words under the figure.
        alt: What the figure shows, for those who do not see it.
        figures: SHA-256 of each file of the figure, by name.
    """

    source: str
    experiment: str
    budget: str
    overrides: Sequence[str]
    verdict: str
    measured: Mapping[str, Measured]
    doubts: Sequence[str]
    more: Mapping[str, Json]
    fits: Sequence[ShownFit] = ()
    caption: str = ""
    alt: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)


def source(experiment: Experiment | Gathering, records: Iterable[RunRecord]) -> str:
    """Digest of what a report follows from: records, the code of analysis, and libraries."""
    digest = hashlib.sha256(_code().encode())
    digest.update(experiment.file.read_bytes())
    digest.update(b"\0")
    for record in records:
        digest.update(json.dumps(vars(record), sort_keys=True).encode())
    return digest.hexdigest()[:32]


def save(folder: Path, report: Report) -> None:
    """Writes the report of figures that are there as strict JSON, atomically; last of its files."""
    figures = {name: sha256_of_file(folder / name) for name in FIGURES}
    content = sign(asdict(replace(report, figures=figures)))
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    replace_file(folder / "report.json", text.encode())
    (folder / FAILURE).unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why runs could not be analysed, kept in failure.json until they can.

    Attributes:
        source: Digest of the runs and the code, as of a report.
        experiment: Name of the experiment.
        budget: Declared size.
        overrides: Fields that the command set, as it gave them.
        why: The reason.
    """

    source: str
    experiment: str
    budget: str
    overrides: tuple[str, ...]
    why: str


def save_failure(folder: Path, failure: Failure) -> None:
    """Writes why there is no report of the runs as they are; an older report stays."""
    text = json.dumps(sign(asdict(failure)), indent=1, allow_nan=False) + "\n"
    replace_file(folder / FAILURE, text.encode())


def read_failure(folder: Path) -> Failure | None:
    """Reads what `save_failure` wrote into a folder; None where there is nothing of the kind."""
    try:
        return from_dict(Failure, signed(parse(read_bytes(folder / FAILURE, _MOST_BYTES))))
    except (OSError, DamagedFileError, ValueError):
        return None


def load(folder: Path, source: str) -> Report | None:
    """Loads the report if it follows from that source and its figures are as drawn; else None."""
    report = read(folder / "report.json")
    if report is None or report.source != source or report.figures.keys() != set(FIGURES):
        return None
    try:
        drawn = {name: sha256(read_bytes(folder / name, MANY_BYTES)) for name in FIGURES}
    except OSError:
        return None
    return report if drawn == report.figures else None


def read(path: Path) -> Report | None:
    """Reads what `save` wrote; None where it is something else, or not as it was written.

    A report that older code wrote has no checksum and is read as it is.
    """
    try:
        plain = parse(read_bytes(path, _MOST_BYTES))
        if "sha256" in plain:
            plain = signed(plain)
        measured = {name: Measured(**m) for name, m in plain["measured"].items()}
        fits = [from_dict(ShownFit, each) for each in plain.get("fits", ())]
        fields: dict[str, Any] = {**plain, "measured": measured, "fits": fits}
        return Report(**fields)
    except (OSError, DamagedFileError, ValueError, TypeError, KeyError, AttributeError):
        return None


@functools.cache
def _code() -> str:
    digest = hashlib.sha256()
    for package in (analysis, experiments):
        for path in sorted(Path(package.__path__[0]).rglob("*")):
            if path.suffix in _READ:
                digest.update(path.read_bytes())
    for name in ("numpy", "scipy", "pandas", "matplotlib"):
        digest.update(importlib.metadata.version(name).encode())
    return digest.hexdigest()
