"""What the `scaling` command tells: cards, plans, summaries, expected beside measured."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from rich.text import Text

from experiments import catalogue
from experiments.commands.console import console
from experiments.experiment import Expected, Measured, passes

if TYPE_CHECKING:
    import pandas as pd

    from experiments.commands.report import Report
    from sweeps.plan import Plan
    from sweeps.runner import Summary
    from sweeps.store import Store

MOST_FAILURES = 5
"""Failed runs told one by one; `scaling status` tells all."""

Judgement = Literal["pass", "fail"]
_COLOURS: dict[Judgement, str] = {"pass": "green", "fail": "red"}


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
        listing.add_column(
            heading, justify="left" if heading == "sweep" else "right", no_wrap=heading == "sweep"
        )
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
    for plan, _ in plans:
        if saved := plan.flops_saved:
            share = saved / (plan.flops + saved)
            console.print(
                f"{plan.name}: trunks that runs share are trained once, which saves {saved:.2g} "
                f"FLOPs, {share:.0%} of what the runs take alone",
                markup=False,
            )


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


def print_findings(experiment: ModuleType, made: Report, folder: Path) -> list[Judgement]:
    """Expected beside measured, the verdict, and where the figure lies."""
    listing = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "expected", "measured", ""):
        listing.add_column(heading)
    judged: list[Judgement] = []
    for expected in experiment.EXPECTED:
        measured = made.measured[expected.name]
        judged.append("pass" if passes(expected, measured) else "fail")
        cells = (expected.says, _range(expected), _told(measured))
        listing.add_row(*map(Text, cells), Text(judged[-1], _COLOURS[judged[-1]]))
    print_figure(catalogue.title(experiment), folder)
    console.print(listing)
    console.print(made.verdict, markup=False)
    return judged


def print_figure(title: str, folder: Path) -> None:
    """Where the figure of an experiment lies."""
    console.print(Text(f"\n{title}", "bold"), Text(f"{folder}/figure.pdf .png .csv"))


def print_status(results: str) -> int:
    """What a results folder, or a folder of several, holds."""
    ok = True
    for store in _stores(results):
        records = store.scan()
        counts = Counter(record.status for record in records)
        told = ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items()))
        console.print(f"{store.root}: {len(records):,} runs: {told}", markup=False)
        troubled = [record for record in records if record.status != "done"]
        for record in troubled[:MOST_FAILURES]:
            why = record.message or record.reason or ""
            at = "" if record.diverged_at_step is None else f" at step {record.diverged_at_step}"
            console.print(f"  {record.run_id} {record.status}{at} {why}".rstrip(), markup=False)
        if len(troubled) > MOST_FAILURES:
            more = len(troubled) - MOST_FAILURES
            console.print(f"  and {more:,} more: `scaling table` tells all", markup=False)
        ok &= not counts["failed"] and not counts["missing"]
    return 0 if ok else 1


def write_table(results: str, to: str) -> int:
    """The tidy table of a results folder, or of several below one folder."""
    from analysis.tables import results as tables
    from scaling.record import row
    from sweeps.files import storing

    tables.check_format(Path(to))
    records = [record for store in _stores(results) for record in store.scan()]
    table = tables.frame(map(row, records))
    with storing(Path(to)):
        tables.write(table, to)
    counts = Counter(record.status for record in records)
    told = ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items()))
    console.print(f"{to}: {len(table):,} rows ({told}), {len(table.columns)} columns", markup=False)
    return 1 if counts["failed"] or counts["missing"] else 0


def _stores(results: str) -> list[Store]:
    """The results folder of that name, or those in it."""
    from sweeps.store import Store

    if (Path(results) / "store.json").exists():
        return [Store.open(results)]
    below = sorted(marker.parent for marker in Path(results).glob("*/store.json"))
    return [Store.open(folder) for folder in below] or [Store.open(results)]


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
