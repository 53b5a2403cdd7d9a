"""What the `scaling` command tells: cards, plans, summaries, expected beside measured."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments import catalogue
from experiments.experiment import Budget, Expected, Measured, passes

if TYPE_CHECKING:
    import pandas as pd

    from experiments.reports import Report
    from sweeps.plan import Plan
    from sweeps.runner import Summary

console = Console(highlight=False)
if not console.is_terminal:
    console.width = 120  # a file or a pipe: room for a line to stay one

MOST_FAILURES = 5
"""Failed runs told one by one; `scaling status` tells all."""

Judgement = Literal["pass", "fail", "not judged"]


def judge(expected: Expected, measured: Measured, budget: Budget) -> Judgement:
    """Pass or fail, unless the budget is too small to decide."""
    if budget not in expected.budgets:
        return "not judged"
    return "pass" if passes(expected, measured) else "fail"


def print_list() -> int:
    """One line an experiment: its name and the first line of its card."""
    listing = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("experiment", "question"):
        listing.add_column(heading)
    for name in catalogue.names():
        card = inspect.getdoc(catalogue.load(name)) or ""
        listing.add_row(name, card.splitlines()[0])
    console.print(listing)
    console.print("\nscaling show NAME prints a card, scaling run NAME runs it.")
    return 0


def print_card(name: str) -> int:
    """The whole card of an experiment, and its declared sizes."""
    experiment = catalogue.load(name)
    console.print(inspect.getdoc(experiment), markup=False)
    for part in catalogue.parts(experiment):
        sizes = ", ".join(f"{budget} {len(sweep())}" for budget, sweep in part.SWEEP.items())
        console.print(f"\n{catalogue.title(part)}: runs at each budget: {sizes}")
        for expected in part.EXPECTED:
            console.print(f"  {expected.says}: {_range(expected)}  ({expected.source})")
    return 0


def print_plans(plans: Sequence[tuple[Plan, int]]) -> None:
    """What sweeps would do and cost."""
    listing = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("sweep", "runs", "done", "shapes", "FLOPs", "core-seconds", "disk"):
        listing.add_column(heading, justify="left" if heading == "sweep" else "right")
    for plan, done in plans:
        listing.add_row(
            plan.name,
            f"{len(plan.runs):,}",
            f"{done:,}",
            f"{plan.n_groups:,}",
            f"{plan.flops:.2g}",
            f"~{plan.seconds:.0f}",
            f"{plan.disk_bytes / 1e6:.1f} MB",
        )
    console.print(listing)


def print_summary(summary: Summary) -> None:
    """What became of the runs of a command."""
    for job in summary.jobs:
        counts = {"kept": job.already, "done": job.done, "diverged": job.diverged}
        counts |= {"failed": len(job.failed), "missing": len(job.missing)}
        told = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
        console.print(f"{job.name}: {job.planned:,} runs: {told}", markup=False)
        for failure in job.failed[:MOST_FAILURES]:
            why = f"{failure.reason}: {failure.message}"
            console.print(f"  {failure.run_id} failed, {why}", markup=False)
        if job.failed or job.missing:
            console.print(f"  the same command tries them again ({job.root})", markup=False)
    for notice in summary.notices:
        console.print(notice, markup=False)
    if summary.interrupted:
        console.print("interrupted; the same command resumes where this one stopped")


def print_unanalysed(name: str, table: pd.DataFrame, error: Exception) -> None:
    """Why an experiment has no findings."""
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    console.print(f"\n[bold]{name}[/bold]: cannot be analysed ({counts}): {error}")


def print_findings(
    experiment: ModuleType, made: Report, budget: Budget, folder: Path
) -> list[Judgement]:
    """Expected beside measured, the verdict, and where the figure lies."""
    listing = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "expected", "measured", ""):
        listing.add_column(heading)
    judged = []
    for expected in experiment.EXPECTED:
        measured = made.measured[expected.name]
        judged.append(judge(expected, measured, budget))
        colour = {"pass": "green", "fail": "red", "not judged": "yellow"}[judged[-1]]
        cells = (expected.says, _range(expected), _told(measured))
        listing.add_row(*map(Text, cells), Text(judged[-1], colour))
    print_figure(catalogue.title(experiment), folder)
    console.print(listing)
    console.print(made.verdict, markup=False)
    return judged


def print_figure(title: str, folder: Path) -> None:
    """Where the figure of an experiment lies."""
    console.print(Text(f"\n{title}", "bold"), Text(f"{folder}/figure.pdf .png .csv"))


def print_status(results: str) -> int:
    """What a results folder holds."""
    from sweeps.store import Store

    store = Store.open(results)
    records = store.scan()
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    console.print(f"{store.root}: {len(records):,} runs", markup=False)
    for status, count in sorted(counts.items()):
        console.print(f"  {status}: {count:,}")
    for record in records:
        if record.status in ("failed", "diverged"):
            why = record.message or record.reason
            console.print(f"  {record.run_id} {record.status}: {why}", markup=False)
    return 1 if counts.get("failed", 0) + counts.get("missing", 0) else 0


def write_table(results: str, to: str) -> int:
    """The tidy table of a results folder."""
    from analysis import tables
    from scaling.record import row
    from sweeps.store import Store

    tables.check_format(Path(to))
    table = tables.frame(map(row, Store.open(results).scan()))
    tables.write(table, to)
    counts = ", ".join(f"{n:,} {status}" for status, n in table["status"].value_counts().items())
    console.print(f"{to}: {len(table):,} rows ({counts}), {len(table.columns)} columns")
    return 0


def _range(expected: Expected) -> str:
    if expected.target is not None:
        return f"interval holds {expected.target:.4g}"
    low, high = expected.low, expected.high
    if low is None or high is None:
        return f"at most {high:g}" if low is None else f"at least {low:g}"
    return f"{low:g} to {high:g}"


def _told(measured: Measured) -> str:
    if measured.value is None:
        return measured.note or "not measured"
    text = f"{measured.value:.4g}"
    if measured.low is not None and measured.high is not None:
        text += f" [{measured.low:.4g}, {measured.high:.4g}]"
    return f"{text} ({measured.note})" if measured.note else text
