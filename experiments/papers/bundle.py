"""All files of a bundle, in memory: the same results give the same bytes."""

import hashlib
import importlib.metadata
import io
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template

import pandas as pd

from analysis import latex
from analysis.plots.venues import Venue
from analysis.tables import results as run_tables
from experiments.papers.appendix import appendix
from experiments.papers.figures import figure
from experiments.papers.methods import methods
from experiments.papers.numbers import definitions, macros, word
from experiments.papers.references import bibliography
from experiments.papers.study import Study
from experiments.papers.tables import HEADINGS, csv_text, file_name, measured_rows, tables
from scaling.fields import flatten
from scaling.record import row

MANIFEST = "MANIFEST"
RECIPE = "bundle.json"
TEXTS = frozenset({"main.tex", "README.md", "Makefile", "CITATION.cff"})
"""Files that an author goes on with: once changed they are the author's."""
PROSE = TEXTS | {MANIFEST, RECIPE}
"""Files that hold no result."""

_LIBRARIES = ("scaling-descent", "numpy", "scipy", "pandas", "pyarrow", "matplotlib")
_SYNTHETIC = "drawn by this program: no licence is needed"
_LICENCES: Mapping[str, str] = {
    **dict.fromkeys(
        ("gaussian", "graph_nodes", "modular_arithmetic", "ngram", "power_law_features",
         "sparse_parity", "sphere"),
        _SYNTHETIC,
    ),
    "mnist1d": "made by the package mnist1d (Apache-2.0); Greydanus and Kobak, arXiv 2011.14439",
    "digits": "carried by scikit-learn (BSD-3-Clause)",
    "small_table": "carried by scikit-learn (BSD-3-Clause)",
    "text": "source of Python's standard library (PSF licence) unless data.path names a corpus",
}  # fmt: skip
_UNKNOWN = "not recorded here: ask its authors"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a bundle is made from, kept in it, so that `--check` needs no more.

    Attributes:
        results: Results folders, from the folder of the bundle.
        experiments: Files of experiments that are none of this package, from there too.
        budget: Name of the reports to take; None where each experiment has one.
        style: Name of the venue.
        drawn_with: Versions of the libraries that drew it.
    """

    results: Sequence[str]
    experiments: Sequence[str]
    budget: str | None
    style: str
    drawn_with: Mapping[str, str]


def libraries() -> dict[str, str]:
    """Returns the versions of the libraries that a bundle is drawn with."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def contents(studies: Sequence[Study], recipe: Recipe, venue: Venue) -> dict[str, bytes]:
    """Returns the files of a bundle by path, the manifest among them.

    Raises:
        ValueError: Two figures or two numbers have one label.
    """
    _check_labels(studies)
    made: dict[str, str | bytes] = {
        "numbers.tex": definitions(macros(studies)),
        "results.tex": _results(studies),
        "methods.tex": methods(studies),
        "appendix_runs.tex": appendix(studies),
        "references.bib": bibliography(each.card for each in studies),
        "tables/measured.csv": csv_text(HEADINGS, [r for s in studies for r in measured_rows(s)]),
        "runs.parquet": _runs(studies),
        "environment.json": _environment(studies),
        "DATA.md": _data(studies),
        RECIPE: json.dumps(asdict(recipe), indent=1) + "\n",
        **_prose(studies, recipe, venue),
    }
    for study in studies:
        name = file_name(study.label)
        made[f"figures/{name}.pdf"] = study.drawing
        made[f"figures/{name}.csv"] = as_csv(study.points)
        made[f"figures/{name}.tex"] = figure(study)
        made |= tables(study)
        made |= {f"plans/{plan}.json": text for plan, text in study.plans.items()}
    data = {path: each.encode() if isinstance(each, str) else each for path, each in made.items()}
    return data | {MANIFEST: manifest(data)}


def renewed(path: str) -> str:
    """Returns where the results' version of a piece goes that a hand has changed."""
    return str(PurePosixPath(path).with_suffix(f".new{PurePosixPath(path).suffix}"))


def manifest(data: Mapping[str, bytes]) -> bytes:
    """Returns the SHA-256 of every file but the manifest itself, as `sha256sum -c` reads it."""
    lines = (
        f"{hashlib.sha256(each).hexdigest()}  {path}\n"
        for path, each in sorted(data.items())
        if path != MANIFEST
    )
    return "".join(lines).encode()


def digests(text: str) -> dict[str, str]:
    """Returns the digests of a manifest by path."""
    pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
    return {path: digest for digest, path in pairs}


def as_csv(table: pd.DataFrame) -> str:
    """Returns a table as CSV, numbers in full."""
    return table.to_csv(index=False, lineterminator="\n")


def _check_labels(studies: Sequence[Study]) -> None:
    twice = [n for n, k in Counter(file_name(each.label) for each in studies).items() if k > 1]
    if twice:
        sizes = " and ".join(each.budget for each in studies if file_name(each.label) == twice[0])
        raise ValueError(
            f"Two figures would have the label {twice[0]!r} (sizes {sizes}). A paper takes one "
            "report an experiment: choose by --budget."
        )


def _results(studies: Sequence[Study]) -> str:
    lines = ["% Made by `scaling paper`."]
    for study in studies:
        name = file_name(study.label)
        table = rf" Table~\ref{{tab:{name}}} has the numbers." if study.measured else ""
        answer = " ".join(
            line if line.endswith((".", ":")) else f"{line}." for line in study.verdict.split("\n")
        )
        lines += [
            rf"\subsection*{{{latex.escaped(study.label)}}}",
            rf"{latex.escaped(study.question)} Figure~\ref{{fig:{name}}} shows it.{table}",
            "",
            rf"\begingroup\raggedright {latex.escaped(answer)}\par\endgroup",
        ]
    return "\n".join(lines) + "\n"


def _for_make(words: Sequence[str]) -> str:
    """Words as a variable of a Makefile hands them to a shell."""
    return shlex.join(words).replace("$", "$$").replace("#", r"\#")


def _runs(studies: Sequence[Study]) -> bytes:
    rows = [{"experiment": s.label, **row(record)} for s in studies for record in s.records]
    data = io.BytesIO()
    run_tables.frame(rows).to_parquet(data, index=False)
    return data.getvalue()


def _environment(studies: Sequence[Study]) -> str:
    """How many runs had each value of each column of the environment."""
    counts: dict[str, Counter[str]] = {}
    for record in {r.run_id: r for study in studies for r in study.records}.values():
        for name, value in flatten(record.environment).items():
            counts.setdefault(name, Counter())[str(value)] += 1
    listed = {name: dict(sorted(counter.items())) for name, counter in sorted(counts.items())}
    return json.dumps(listed, indent=1) + "\n"


def _data(studies: Sequence[Study]) -> str:
    kinds: dict[str, set[str]] = {}
    for study in studies:
        for record in study.records:
            data = record.config.get("data", {})
            fingerprints = kinds.setdefault(str(data.get("kind", "unknown")), set())
            fingerprints.add(str(data.get("fingerprint", "none")))
    lines = ["# Data and their licences", ""]
    for kind, fingerprints in sorted(kinds.items()):
        lines.append(f"- `{kind}`: {_LICENCES.get(kind, _UNKNOWN)}")
        lines += [f"  - fingerprint `{each}`" for each in sorted(fingerprints)]
    return "\n".join(lines) + "\n"


def _prose(studies: Sequence[Study], recipe: Recipe, venue: Venue) -> dict[str, str]:
    shown = []
    for study in studies:
        shown.append(rf"\input{{figures/{file_name(study.label)}}}")
        shown += [rf"\input{{{path.removesuffix('.tex')}}}" for path in tables(study)
                  if path.endswith(".tex")]  # fmt: skip
        shown.append(r"\clearpage  % LaTeX holds few floats back")
    options = ["--style", recipe.style]
    options += ["--budget", recipe.budget] if recipe.budget else []
    options += [part for each in recipe.experiments for part in ("--experiment", each)]
    lists = [
        rf"\item {latex.escaped(study.says(name))}: \{word(study.label)}{word(name)}Full{{}}"
        for study in studies
        for name in study.measured
    ]
    values = {
        "title": ", ".join(latex.escaped(each.label) for each in studies),
        "columns": ",twocolumn" if venue.columns == 2 else "",
        "width": f"{venue.page:.4g}",
        "items": "\n".join(
            [r"\begin{itemize}\raggedright", *lists, r"\end{itemize}"] if lists else []
        ),
        "shown": "\n".join(shown),
        "onecolumn": "\\onecolumn\n" if venue.columns == 2 else "",
        "results": _for_make(recipe.results),
        "options": _for_make(options),
        "experiments": ", ".join(each.label for each in studies),
        "venue": venue.name,
        "version": importlib.metadata.version("scaling-descent"),
    }
    template = files("experiments.papers") / "template"
    return {
        name: Template((template / name).read_text(encoding="utf-8")).substitute(values)
        for name in ("main.tex", "Makefile", "README.md", "CITATION.cff")
    }
