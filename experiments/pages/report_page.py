"""The page of one or more experiments: what was asked, expected, measured, drawn and run."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from experiments.experiment import Expected, Json, Measured, passes
from experiments.pages import parts
from experiments.pages.fits import fits_shown
from experiments.shared.fits import ShownFit
from experiments.shared.words import accepted, counted, number, several, shown_seconds
from scaling.record import RunRecord, row

State = Literal["fresh", "stale", "unknown"]
"""Whether a report follows from the records and the code as they are; unknown where the experiment
is not at hand."""

MOST_ROWS = 1000
"""Most rows of a table of points or runs; the files have all."""

MOST_LISTED = 12
"""Most values of a list that a cell has; report.json has all."""

_WORDS: Mapping[State, str] = {
    "fresh": "fresh",
    "stale": "stale: records or code have changed since; the same command draws it anew",
    "unknown": "age unknown: the experiment's file is not here",
}
_NUMBERS = (
    "eval_loss_nats",
    "eval_error",
    "eval_squared_error",
    "train_loss_nats",
    "train_error",
    "n_params_total",
    "flops_train",
    "wall_seconds",
)
_LIBRARIES = ("python", "scaling-descent", "jax", "flax", "optax", "numpy", "scipy", "device")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An experiment as the page shows it.

    Attributes:
        name: Its name.
        budget: Its declared size.
        overrides: Fields that the command set.
        state: Whether its report still stands.
        failed: Why its runs as they are cannot be analysed; empty where they can.
        card: Claim, paper and command; empty where the experiment is not at hand.
        expected: Its predictions.
        verdict: The answer.
        measured: The numbers.
        doubts: Reasons to distrust the answer.
        more: Settings, and what else the analysis keeps.
        fits: Its fitted laws.
        caption: Words under its figure; empty of a report that older code wrote.
        alt: What the figure shows, for those who do not see it; likewise.
        folder: Holds its figure and numbers.
        records: Its runs; none of one that gathers others.
        plan_id: Of its sweep; empty of one that gathers others.
        source: Digest of what the report follows from.
    """

    name: str
    budget: str
    overrides: Sequence[str]
    state: State
    failed: str
    card: str
    expected: Sequence[Expected]
    verdict: str
    measured: Mapping[str, Measured]
    doubts: Sequence[str]
    more: Mapping[str, Json]
    fits: Sequence[ShownFit]
    caption: str
    alt: str
    folder: Path
    records: Sequence[RunRecord]
    plan_id: str
    source: str

    @property
    def label(self) -> str:
        """Name and size, unique on a page."""
        return f"{self.name}-{self.folder.name}"


def page(found: Sequence[Shown]) -> str:
    """Returns the page of some experiments as one self-contained HTML text."""
    title = ", ".join(dict.fromkeys(each.name for each in found))
    sections = "".join(_section(each, number) for number, each in enumerate(found, 1))
    return parts.page(title, f"{_head(title, found)}{sections}{_environment(found)}")


def _head(title: str, found: Sequence[Shown]) -> str:
    records = {record.run_id: record for each in found for record in each.records}
    counts = Counter(record.status for record in records.values())
    seconds = sum(record.wall_seconds or 0.0 for record in records.values())
    flops = sum(record.flops_train or 0.0 for record in records.values())
    devices = sorted({str(record.environment.get("device", "")) for record in records.values()})
    judged = Counter(
        passes(each, shown.measured[each.name])
        for shown in found
        for each in shown.expected
        if each.name in shown.measured
    )
    lead = (
        f"{several(len(found), 'report')} of {len(records):,} runs "
        f"({counted(counts)}): {flops:.3g} FLOPs in {shown_seconds(seconds)} of worker time"
        f"{' on ' + ', '.join(filter(None, devices)) if any(devices) else ''}. "
        f"{judged[True]} of {judged.total()} expected numbers were met."
    )
    links = "".join(
        f'<li><a href="#{parts.text(each.label)}">{parts.text(each.name)}</a></li>'
        for each in found
    )
    return (
        f"<header><h1>{parts.text(title)}</h1>{parts.paragraph(lead, 'lead')}</header>"
        f'<nav aria-label="experiments"><ul>{links}</ul></nav>'
    )


def _section(shown: Shown, number: int) -> str:
    size = f"size {shown.budget}" + "".join(f", {each}" for each in shown.overrides)
    return "".join(
        [
            f'<section id="{parts.text(shown.label)}"><h2>{parts.text(shown.name)} ',
            *_badges(shown),
            "</h2>",
            parts.paragraph(f"Failed: {shown.failed}", "failed") if shown.failed else "",
            parts.paragraph(size, "quiet"),
            parts.paragraph(shown.verdict),
            _judged(shown),
            _doubts(shown.doubts),
            *_drawn(shown, number),
            parts.details("Card", parts.preformatted(shown.card)) if shown.card else "",
            fits_shown(shown.fits),
            _settings(shown),
            _runs(shown),
            f'<p class="quiet">report {parts.text(shown.source)}'
            f"{', plan ' + parts.text(shown.plan_id) if shown.plan_id else ''}</p></section>",
        ]
    )


def _badges(shown: Shown) -> Iterator[str]:
    """Whether the report still stands, and how many of the expected numbers were met."""
    if shown.failed:
        yield parts.badge("failed: the runs as they are cannot be analysed", "failed")
    else:
        kind = "fresh" if shown.state == "fresh" else "stale"
        yield parts.badge(_WORDS[shown.state], kind)
    judged = [
        passes(each, shown.measured[each.name])
        for each in shown.expected
        if each.name in shown.measured
    ]
    if judged:
        met = f"{sum(judged)} of {len(judged)} expected numbers met"
        yield " " + parts.badge(met, "fresh" if all(judged) else "failed")


def _drawn(shown: Shown, number: int) -> Iterator[str]:
    """The figure and its points; nothing where the runs could never be analysed."""
    if (shown.folder / "figure.png").is_file():
        caption, alt = shown.caption or shown.name, shown.alt or shown.verdict
        yield parts.figure(shown.folder, number, caption, alt)
        yield _points(shown)


def _says(shown: Shown, name: str) -> str:
    return next((each.says for each in shown.expected if each.name == name), name)


def _judged(shown: Shown) -> str:
    """Expected beside measured; measured alone where nothing was expected."""
    if not shown.measured:
        return ""
    by_name = {each.name: each for each in shown.expected}
    rows, kinds = [], []
    for name, measured in shown.measured.items():
        expected = by_name.get(name)
        judgement = ""
        if expected is not None:
            judgement = "pass" if passes(expected, measured) else "fail"
        rows.append(
            (
                _says(shown, name),
                "" if expected is None else accepted(expected),
                number(measured, unit="1" if expected is None else expected.unit)
                + (f" ({measured.note})" if measured.note else ""),
                "" if expected is None else expected.source,
                judgement,
            )
        )
        kinds.append(judgement)
    headings = ("what", "expected", "measured", "source", "judged")
    return parts.table(headings, rows, f"{shown.name}: expected beside measured", kinds=kinds)


def _doubts(doubts: Sequence[str]) -> str:
    if not doubts:
        return ""
    lines = "".join(f"<li>{parts.text(doubt)}</li>" for doubt in doubts)
    return f"<h3>Doubts</h3><ul>{lines}</ul>"


def _points(shown: Shown) -> str:
    """The numbers that the figure shows, which unfold, and a link that saves them all."""
    path = shown.folder / "figure.csv"
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        headings = next(reader, [])
        rows = [[_short(cell) for cell in cells] for cells in islice(reader, MOST_ROWS)]
        more = sum(1 for _ in reader)
    if not headings:
        return ""
    caption = f"{shown.name}: points of the figure" + (f", the first {MOST_ROWS:,}" if more else "")
    listing = parts.table(headings, rows, caption, sortable=True)
    link = parts.csv_link(path, f"{shown.label}.csv")
    return parts.details(f"Points of the figure ({len(rows) + more:,} rows)", link + listing)


def _short(cell: str) -> str:
    """A number to six digits, a list of runs by its length, other words as they are."""
    try:
        return f"{float(cell):.6g}"
    except ValueError:
        names = cell.split()
        return f"{len(names)} runs" if len(names) > 2 and len(names[0]) == 32 else cell


def _settings(shown: Shown) -> str:
    """What else the analysis keeps, a row a value; long lists are in report.json."""
    rows = [(name, _short_value(value)) for name, value in _flat(shown.more)]
    if not rows:
        return ""
    cut = f", the first {MOST_ROWS:,}; report.json has all" if len(rows) > MOST_ROWS else ""
    caption = f"{shown.name}: settings and numbers of the analysis{cut}"
    listing = parts.table(("what", "value"), rows[:MOST_ROWS], caption, sortable=True)
    return parts.details("Settings and numbers of the analysis", listing)


def _flat(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """The values of nested mappings and of lists of them, each behind its path."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(each, list | dict) for each in value):
        for at, each in enumerate(value):
            yield from _flat(each, f"{path}[{at}]")
    else:
        yield path, value


def _short_value(value: Json) -> str:
    if not isinstance(value, list):
        return "none" if value is None else _cell(value)
    shown = ", ".join("none" if each is None else _cell(each) for each in value[:MOST_LISTED])
    return shown if len(value) <= MOST_LISTED else f"{shown}, ... ({len(value):,} in all)"


def _runs(shown: Shown) -> str:
    """The runs, those in trouble first."""
    if not shown.records:
        return ""
    ordered = sorted(shown.records, key=lambda record: (record.status == "done", record.run_id))
    rows = [row(record) for record in ordered[:MOST_ROWS]]
    varied = _varied(rows)
    numbers = [name for name in _NUMBERS if any(each.get(name) is not None for each in rows)]
    cells = [
        (
            str(each["run_id"])[:12],
            str(each["status"]),
            str(each.get("message") or each.get("reason") or ""),
            *(_cell(each.get(name)) for name in (*varied, *numbers)),
        )
        for each in rows
    ]
    headings = ("run", "status", "why", *varied, *numbers)
    cut = f", the first {MOST_ROWS:,}; scaling table lists all" if len(ordered) > MOST_ROWS else ""
    listing = parts.table(headings, cells, f"{shown.name}: runs{cut}", sortable=True)
    troubled = [record for record in ordered if record.status != "done"]
    summary = f"Runs ({len(ordered):,}" + (f", {len(troubled):,} not done)" if troubled else ")")
    return parts.details(summary, listing)


def _varied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fields of the configuration in which runs differ."""
    names = dict.fromkeys(name for each in rows for name in each if "." in name)
    return [
        name
        for name in names
        if not name.startswith("environment.") and len({repr(each.get(name)) for each in rows}) > 1
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _environment(found: Iterable[Shown]) -> str:
    """What the runs were computed with, counted."""
    seen: set[str] = set()
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*_LIBRARIES, "git_commit")}
    for record in _unique(found, seen):
        for name, counter in counts.items():
            if record.environment.get(name) is not None:
                counter[str(record.environment[name])] += 1
    rows = [
        (name, ", ".join(f"{value} ({n:,} runs)" for value, n in counter.most_common()))
        for name, counter in counts.items()
        if counter
    ]
    if not rows:
        return ""
    listing = parts.table(("what", "runs"), rows, "Computed with")
    return f"<section><h2>Environment</h2>{listing}</section>"


def _unique(found: Iterable[Shown], seen: set[str]) -> Iterator[RunRecord]:
    for shown in found:
        for record in shown.records:
            if record.run_id not in seen:
                seen.add(record.run_id)
                yield record
