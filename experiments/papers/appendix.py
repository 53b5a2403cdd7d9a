"""The appendix of all runs: a row for each setting, its seeds together, and every run that failed.

All runs one by one, with every column, are in runs.parquet.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis import latex
from experiments.papers.methods import code, value, varied
from experiments.papers.study import Study
from scaling.fields import flatten
from scaling.record import RunRecord

RESULTS = {
    "eval_loss_nats": "test loss (nats)",
    "eval_error": "test error",
    "eval_excess_risk": "excess risk",
    "eval_squared_error": "test squared error",
}
"""Columns of which a study shows the first that its runs have."""

_MOST_FIELDS = 5
"""Fields of the configuration that a row names; runs.parquet has all."""


def appendix(studies: Sequence[Study]) -> str:
    """Returns a long table a study."""
    lines = ["% Made by `scaling paper`."]
    for study in studies:
        if study.records:
            lines += _study(study)
    return "\n".join(lines) + "\n"


def _study(study: Study) -> Iterator[str]:
    flat = [flatten(record.config) for record in study.records]
    _, different = varied(flat)
    fields = [name for name in different if name != "seed"]
    # What many settings share says least about one of them.
    named = sorted(fields, key=lambda name: (-len(different[name]), name))[:_MOST_FIELDS]
    column = next((c for c in RESULTS if any(_has(r, c) for r in study.records)), None)
    what = RESULTS.get(column or "", "result")
    yield rf"\subsection*{{{latex.escaped(study.label)}}}"
    yield r"\begingroup\scriptsize\setlength{\tabcolsep}{3pt}"
    ragged = r">{\raggedright\arraybackslash}"
    yield (
        rf"\begin{{longtable}}{{{ragged}p{{0.42\linewidth}}{ragged}p{{0.19\linewidth}}"
        rf"r{ragged}p{{0.15\linewidth}}r}}"
    )
    yield rf"\toprule Setting & Seeds & Done & {latex.escaped(what)} & FLOPs \\ \midrule \endhead"
    yield r"\bottomrule \endfoot"
    for rows in _by_setting(flat, fields).values():
        records = [study.records[at] for at in rows]
        setting = "; ".join(f"{code(_short(name))} {value(_cell(flat[rows[0]].get(name)))}"
                            for name in named if flat[rows[0]].get(name) is not None)  # fmt: skip
        done = sum(record.status == "done" for record in records)
        cells = (
            setting or "all",
            _seeds(flat[at].get("seed") for at in rows),
            f"{done}/{len(rows)}",
            _spread([getattr(r, column) for r in records if column and _has(r, column)]),
            _flops(records),
        )
        yield rf"{' & '.join(cells)} \\"
    yield r"\end{longtable}"
    yield from _troubled(study.records)
    yield r"\endgroup"


def _by_setting(
    flat: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> dict[tuple[str, ...], list[int]]:
    """Places of the runs that differ in their seed alone, by setting."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, each in enumerate(flat):
        groups.setdefault(tuple(repr(each.get(name)) for name in fields), []).append(at)
    return groups


def _troubled(records: Sequence[RunRecord]) -> Iterator[str]:
    for record in records:
        if record.status != "done":
            at = "" if record.diverged_at_step is None else f" at step {record.diverged_at_step}"
            why = record.message or record.reason or ""
            said = latex.escaped(f"{record.status}{at} {why}".rstrip())
            yield rf"\noindent {code(record.run_id[:12])} {said}\par"


def _has(record: RunRecord, column: str) -> bool:
    return record.status == "done" and getattr(record, column) is not None


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _cell(given: Any) -> str:
    return f"{given:.4g}" if isinstance(given, float) else str(given)[:30]


def _seeds(seeds: Iterator[Any]) -> str:
    known = sorted({seed for seed in seeds if isinstance(seed, int)})
    if len(known) > 2 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    if len(known) > 6:
        return f"{len(known)} of {known[0]} to {known[-1]}"
    return ", ".join(map(str, known))


def _spread(values: Sequence[float]) -> str:
    """The mean, and the standard deviation over runs where there are several."""
    if not values:
        return "--"
    mean = latex.number(float(f"{statistics.fmean(values):.4g}"))
    if len(values) == 1:
        return mean
    return rf"{mean} $\pm$ {latex.number(float(f'{statistics.stdev(values):.2g}'))}"


def _flops(records: Sequence[RunRecord]) -> str:
    flops = [record.flops_train for record in records if record.flops_train is not None]
    return latex.number(float(f"{max(flops):.3g}")) if flops else "--"
