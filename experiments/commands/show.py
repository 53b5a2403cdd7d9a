"""What the `scaling` command prints: cards, plans, summaries, expected beside measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from experiments import catalogue
from experiments.commands.console import console, print_table, write_json
from experiments.commands.options.program import ListOptions, ShowOptions
from experiments.experiment import Experiment, passes
from experiments.shared.words import accepted, counted, number

if TYPE_CHECKING:
    from experiments.commands.report import Report
    from sweeps.runner import Summary
    from sweeps.space import Folded

MOST_FAILURES = 5
"""Runs that failed which are listed one by one; `scaling doctor` lists all."""

Judgement = Literal["pass", "fail"]
_COLOURS: dict[Judgement, str] = {"pass": "green", "fail": "red"}


def print_list(options: ListOptions) -> int:
    """Prints one line per experiment: its name and the first line of its card."""
    rows = catalogue.questions().items()
    print_table(("experiment", "question"), rows)
    console.print("\nscaling show NAME prints a card, scaling run NAME runs it.")
    listed = [{"name": name, "question": question} for name, question in rows]
    write_json(options.json, {"experiments": listed})
    return 0


def print_card(options: ShowOptions) -> int:
    """Prints the card of an experiment, its declared sizes and what it expects."""
    experiment, parts = catalogue.load(options.name), []
    console.print(experiment.card)
    for part in experiment.parts:
        n_runs = {budget: len(sweep()) for budget, sweep in part.sweep.items()}
        sizes = ", ".join(f"{budget} {n}" for budget, n in n_runs.items())
        runs = "nothing is trained" if part.facts else f"runs at each budget: {sizes}"
        console.print(f"\n{part.name}: {runs}")
        expectations = [asdict(each) for each in part.expected]
        parts.append({"name": part.name, "runs": n_runs, "expected": expectations})
        for expected in part.expected:
            sizes = ", ".join(budget for budget in expected.budgets if budget in part.sweep)
            at = "" if set(part.sweep) <= set(expected.budgets) else f", at {sizes}"
            line = f"  {expected.says}{at}: {accepted(expected)}  ({expected.source})"
            console.print(line)
    described = {"name": experiment.name, "card": experiment.card, "parts": parts}
    write_json(options.json, described)
    return 0


def print_folded(name: str, overrides: Sequence[str], folded: Folded) -> None:
    """Prints that overrides left fewer runs than the sweep declares, and why."""
    console.print(
        f"{name}: --set {' --set '.join(overrides)} makes {folded.after:,} runs of "
        f"{folded.before:,}: those that differ in {', '.join(folded.fields)} alone are now one run "
        "each"
    )


def print_doubts(name: str, doubts: Sequence[str]) -> None:
    """Prints what a plan says against itself: a threshold that is missed, a weak teacher."""
    for line in doubts:
        console.print(f"{name}: {line}", soft_wrap=True)


def print_damaged_curve(name: str, damage: str, *, repeated: bool) -> None:
    """Prints that a learning curve is damaged, and what follows."""
    then = (
        "its run is done again"
        if repeated
        else "these findings do not need it; `scaling retry` with --damaged-curves does it again"
    )
    console.print(f"{name}: {damage}; {then}")


def print_summary(summary: Summary) -> None:
    """Prints what became of the runs of a command."""
    for job in (job for job in summary.jobs if job.planned):
        counts = {"kept": job.already, "done": job.done, "diverged": job.diverged}
        counts |= {"paused": job.paused, "failed": len(job.failed), "missing": len(job.missing)}
        became = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
        console.print(f"{job.name}: {job.planned:,} runs: {became}")
        for failure in job.failed[:MOST_FAILURES]:
            why = f"{failure.reason}: {failure.message}"
            console.print(f"  {failure.run_id} failed, {why}")
        if job.failed or job.missing:
            console.print(f"  the same command tries them again ({job.root})")
    for notice in summary.notices:
        console.print(notice)
    if summary.interrupted:
        how = "preempted" if summary.preempted else "interrupted"
        console.print(f"{how}; the same command resumes where this one stopped")


def print_unanalysed(name: str, counts: Mapping[str, int], error: Exception) -> None:
    """Prints why an experiment has no findings, and what became of its runs."""
    why = f": cannot be analysed ({counted(counts)}): {error}"
    console.print(Text.assemble("\n", (name, "bold"), why))


def print_findings(experiment: Experiment, made: Report, folder: Path) -> list[Judgement]:
    """Prints the verdict, expected beside measured, the doubts, and where the files lie."""
    rows, judged = [], []
    for expected in experiment.expected_at(made.budget):
        measured = made.measured[expected.name]
        judgement: Judgement = "pass" if passes(expected, measured) else "fail"
        cells = expected.says, accepted(expected), number(measured, unit=expected.unit)
        rows.append((*cells, Text(judgement, _COLOURS[judgement]), measured.note))
        judged.append(judgement)
    print_title(experiment.name)
    console.print(f"{made.verdict}\n")
    if rows:
        print_table(("", "expected", "measured", "", ""), rows)
    for doubt in made.doubts:
        console.print(f"doubt: {doubt}")
    print_files(folder)
    return judged


def as_json(summary: Summary, reports: Sequence[tuple[Path, Report]]) -> dict[str, Any]:
    """Returns what a command that ran sweeps has to say, as JSON values."""
    sweeps = [
        {
            "name": job.name,
            "planned": job.planned,
            "kept": job.already,
            "done": job.done,
            "diverged": job.diverged,
            "paused": job.paused,
            "failed": [asdict(each) for each in job.failed],
            "missing": list(job.missing),
        }
        for job in summary.jobs
    ]
    found = [
        {
            "name": made.experiment,
            "folder": str(folder),
            "verdict": made.verdict,
            "measured": {name: asdict(each) for name, each in made.measured.items()},
            "doubts": list(made.doubts),
        }
        for folder, made in reports
    ]
    return {"complete": summary.complete, "sweeps": sweeps, "reports": found}


def print_gathering(name: str, folder: Path) -> None:
    """Prints where the figure of several experiments lies."""
    print_title(name)
    print_files(folder)


def print_title(name: str) -> None:
    """Prints the name of an experiment over its findings."""
    console.print(Text(f"\n{name}", "bold"))


def print_files(folder: Path) -> None:
    """Prints where the figure and the report of an experiment lie."""
    console.print(f"{folder}/figure.pdf .png .csv, report.json")
