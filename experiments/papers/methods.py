"""Methods of a paper: runs, settings, counts, hardware, seeds, exclusions and fits, in full.

What papers on scaling laws leave out, this states: the loss of a fit and its threshold, starts,
optimizer, bootstrap, rows left out, and how parameters and compute were counted.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from analysis import latex
from analysis.fitting.render import REDRAWN
from analysis.fitting.result import FitResult
from experiments.papers.references import keys_cited
from experiments.papers.study import Study
from scaling.fields import flatten
from scaling.record import RunRecord

COUNTS: Mapping[str, str] = {
    "n_params_total": "all parameters",
    "n_params_non_embedding": "parameters without embedding and read-out",
    "n_params_matmul": "parameters in matrix products: with the read-out, without the embedding",
    "n_features": "features",
    "n_train_examples": "training examples",
    "n_tokens_seen": "tokens seen, repetitions counted",
    "n_examples_seen": "examples seen, repetitions counted",
    "steps": "optimizer steps",
    "flops_train": "training FLOPs, the exact sum over matrix products forward and backward, "
    "attention included, a multiply-add counted as 2",
}
"""Counts of a run that methods give the range of, in words."""

_LIBRARIES = ("python", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scaling-descent")
_MOST_VALUES = 12
_MOST_LETTERS = 40
_HASH = re.compile(r"\b[0-9a-f]{32,}\b")


def methods(studies: Sequence[Study]) -> str:
    """Returns the section on methods, a subsection a study."""
    lines = ["% Made by `scaling paper`.", *(line for each in studies for line in _study(each))]
    return "\n".join(lines) + "\n"


def code(name: str) -> str:
    """Returns the name of a field in typewriter type; it may break after dots and underscores."""
    return _typewriter(name, r"(\\_|[./])")


def value(text: str) -> str:
    """Returns the value of a field in typewriter type, which breaks nowhere inside a number."""
    return _typewriter(text, r"(\\_|[/=,])")


def _typewriter(text: str, ends: str) -> str:
    broken = re.sub(ends, r"\1\\allowbreak{}", latex.escaped(text))
    return rf"\texttt{{{broken}}}"


def varied(configs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Splits flat configurations into what all share and what differs, its values in order.

    A field that some configurations lack differs too.
    """
    names = dict.fromkeys(name for each in configs for name in each)
    shared: dict[str, Any] = {}
    different: dict[str, list[Any]] = {}
    for name in names:
        values = {repr(each.get(name)): each.get(name) for each in configs}
        if len(values) == 1:
            shared[name] = next(iter(values.values()))
        else:
            known = [value for value in values.values() if value is not None]
            plain = all(isinstance(value, int | float) for value in known)
            different[name] = sorted(known, key=None if plain else str)
    return shared, different


def _study(study: Study) -> Iterator[str]:
    yield rf"\subsection*{{{latex.escaped(study.label)}}}"
    yield r"\begingroup\raggedright"
    size = ", ".join((f"size {study.budget}", *study.overrides))
    cited = ", ".join(rf"\cite{{{key}}}" for key in keys_cited(study.card))
    yield f"{latex.escaped(study.question)} ({latex.escaped(size)}){f': {cited}' if cited else ''}."
    if study.records:
        yield from _paragraph("Runs", _runs(study.records))
        shared, different = varied([flatten(record.config) for record in study.records])
        seeds = different.pop("seed", [shared.pop("seed", None)])
        yield from _paragraph("Settings of all runs", _settings(shared))
        yield from _paragraph("Settings that differ", _different(different))
        yield from _paragraph("Seeds", [latex.escaped(_values(seeds))])
        yield from _paragraph("Counts", _counts(study.records, study.more.get("counts")))
        yield from _paragraph("Computed with", _computed(study.records))
        yield from _paragraph("Left out", _left_out(study))
    for name, fit in study.fits.items():
        yield from _paragraph(f"Fit {name}", _fit(fit))
    yield from _paragraph("Doubts", map(latex.escaped, study.doubts))
    yield r"\par\endgroup"


def _paragraph(title: str, sentences: Iterable[str]) -> Iterator[str]:
    said = [each if each.endswith(".") else f"{each}." for each in sentences]
    if said:
        yield ""
        yield rf"\textbf{{{latex.escaped(title)}.}} {' '.join(said)}"


def _runs(records: Sequence[RunRecord]) -> Iterator[str]:
    counts = Counter(record.status for record in records)
    became = ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items()))
    flops = sum(record.flops_train or 0.0 for record in records)
    seconds = sum(record.wall_seconds or 0.0 for record in records)
    yield f"{len(records):,} runs were planned ({became})"
    yield (
        f"They took {latex.number(float(f'{flops:.3g}'))} FLOPs and "
        f"{latex.number(float(f'{seconds / 3600:.2g}'))} hours of worker time"
    )


def _settings(shared: Mapping[str, Any]) -> list[str]:
    said = [f"{code(name)} {value(_short(given))}" for name, given in sorted(shared.items())
            if given is not None]  # fmt: skip
    return ["; ".join(said)] if said else []


def _different(different: Mapping[str, Sequence[Any]]) -> list[str]:
    return [
        "; ".join(f"{code(name)} {value(_values(values))}" for name, values in different.items())
    ] if different else []  # fmt: skip


def _values(values: Sequence[Any]) -> str:
    if len(values) <= _MOST_VALUES:
        return ", ".join(map(_short, values))
    return f"{_short(values[0])} to {_short(values[-1])} ({len(values)} values)"


def _short(given: Any) -> str:
    text = f"{given:.6g}" if isinstance(given, float) else str(given)
    text = _HASH.sub(lambda found: f"{found[0][:12]}...", text)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def _counts(records: Sequence[RunRecord], letters: Any) -> Iterator[str]:
    if isinstance(letters, Mapping):
        for letter, column in letters.items():
            yield f"{latex.escaped(str(letter))} is {COUNTS.get(str(column), code(str(column)))}"
    total = [each.n_params_total for each in records]
    for column, says in COUNTS.items():
        every = [getattr(each, column) for each in records]
        known = [count for count in every if count is not None]
        if known and (column == "n_params_total" or every != total):
            low, high = (latex.number(float(f"{end(known):.3g}")) for end in (min, max))
            yield f"{says[0].upper()}{says[1:]}: {low if low == high else f'{low} to {high}'}"


def _computed(records: Sequence[RunRecord]) -> Iterator[str]:
    for name in ("device", "platform", "cores", "precision", *_LIBRARIES, "git_commit"):
        counts = Counter(
            str(record.environment[name])
            for record in records
            if record.environment.get(name) is not None
        )
        if counts:
            several = len(counts) > 1
            said = ", ".join(
                f"{value(name_of)}{f' ({n:,} runs)' if several else ''}"
                for name_of, n in sorted(counts.items())
            )
            yield f"{code(name)} {said}"


def _left_out(study: Study) -> Iterator[str]:
    """Runs that are not done with their reasons, and rows that the analysis left out."""
    reasons = Counter(
        f"{record.status}: {record.reason or record.message or 'no reason given'}"
        for record in study.records
        if record.status != "done"
    )
    if "why" in study.points:
        reasons |= Counter(str(why) for why in study.points["why"].dropna() if str(why))
    if not reasons:
        yield "No run"
    for reason, n in sorted(reasons.items()):
        yield f"{n:,} with the reason: {latex.escaped(reason)}"


def _fit(fit: FitResult) -> Iterator[str]:
    how, loss = fit.bootstrap, fit.loss
    threshold = (
        "squared error" if loss.delta is None
        else f"Huber's loss with threshold {latex.number(loss.delta)}"
    )  # fmt: skip
    residuals = "logarithms" if loss.scale == "log" else "values"
    yield f"The law is {code(fit.law.formula)}, fitted to {fit.n_points} rows"
    yield f"It minimises {threshold} of residuals of {residuals} of {code(fit.law.output)}"
    if loss.above != 1:
        yield f"Rows above the curve weigh {latex.number(loss.above)} times as much"
    yield (
        f"Levenberg--Marquardt from {fit.n_starts} starts, of which {fit.n_starts_agreeing} agree "
        "on the best objective, then SciPy's dogbox from the best of them"
    )
    if fit.fixed:
        yield f"Held: {', '.join(f'{code(n)} {latex.number(fit.params[n])}' for n in fit.fixed)}"
    if fit.bounds_hit:
        yield f"On a bound: {', '.join(map(code, fit.bounds_hit))}"
    clusters = "" if how.n_clusters is None else f" in {how.n_clusters} clusters"
    yield (
        rf"Intervals of {100 * fit.level:g}\,\% are percentiles of {how.n_replicates} bootstrap "
        f"replicates ({latex.escaped(REDRAWN[how.resampling])}{clusters}), seed {how.seed}"
    )
    yield f"Verdict: {latex.escaped(str(fit.verdict))}. {latex.escaped(fit.reason)}"
