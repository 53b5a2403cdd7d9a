"""From a name to a verdict: plan, run, read, analyse, draw, report. Every stage reruns alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd

from analysis import tables
from analysis.errors import FitError
from analysis.plots import style
from experiments import catalogue, reports, screen
from experiments.experiment import Budget, Findings
from experiments.reports import Report
from scaling.record import RunRecord, row
from sweeps.plan import Plan, make_plan
from sweeps.space import overridden
from sweeps.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Job:
    """One experiment at one size: its plan, its results folder and where its report goes."""

    experiment: ModuleType
    plan: Plan
    root: Path
    folder: Path


def jobs_for(name: str, budget: Budget, overrides: Sequence[str], results: str) -> list[Job]:
    """Resolves a command into jobs, without spending or writing anything.

    Reports of a declared size lie under its name; overridden ones under a name of their own.

    Raises:
        ValueError: no such experiment, or an override that a run cannot take.
    """
    jobs = []
    for part in catalogue.parts(catalogue.load(name)):
        title = catalogue.title(part)
        plan = make_plan(title, overridden(part.SWEEP[budget](), overrides))
        folder = _report_folder(results, part, budget, overrides)
        jobs.append(Job(part, plan, Path(results) / title, folder))
    return jobs


def show_plan(name: str, budget: Budget, overrides: Sequence[str], results: str) -> int:
    """Prints what a run would do and cost."""
    jobs = jobs_for(name, budget, overrides, results)
    screen.print_plans([(job.plan, len(job.plan.runs) - _n_pending(job)) for job in jobs])
    return 0


def run(
    name: str, budget: Budget, overrides: Sequence[str], results: str, workers: int | None
) -> int:
    """Plans, runs, analyses, draws and prints expected beside measured.

    Returns:
        0 where every expectation passes; 1 where one fails or runs are missing; 130 where
        interrupted.
    """
    from sweeps.progress import show_progress
    from sweeps.runner import run_sweeps

    jobs = jobs_for(name, budget, overrides, results)
    stores = [Store.create(job.root) for job in jobs]
    # Reading first sets aside what is damaged, so that it is run again.
    records = [store.read(job.plan) for store, job in zip(stores, jobs, strict=True)]
    with show_progress() as progress:
        summary = run_sweeps(
            [(job.root, job.plan) for job in jobs], workers=workers, progress=progress
        )
    screen.print_summary(summary)
    if summary.interrupted:
        return 130

    ok = summary.complete
    sources: list[str] = []
    for i, (job, told) in enumerate(zip(jobs, summary.jobs, strict=True)):
        if told.already < told.planned:
            records[i] = stores[i].read(job.plan)
        sources.append(reports.source(job.experiment, records[i]))
        made = reports.load(job.folder, sources[-1]) or _make(job, records[i], sources[-1])
        if made is None:
            ok = False
        else:
            judged = screen.print_findings(job.experiment, made, budget, job.folder)
            ok &= "fail" not in judged
    whole = catalogue.load(name)
    if hasattr(whole, "PARTS"):
        folder = _report_folder(results, whole, budget, overrides)
        if reports.load(folder, "".join(sources)) or _gather(whole, folder, jobs, records, sources):
            screen.print_figure(catalogue.title(whole), folder)
    return 0 if ok else 1


def _report_folder(
    results: str, experiment: ModuleType, budget: Budget, overrides: Sequence[str]
) -> Path:
    label: str = budget
    if overrides:
        digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:8]
        label = f"{budget}-{digest}"
    return Path(results) / catalogue.title(experiment) / "reports" / label


def _n_pending(job: Job) -> int:
    ids = [run.run_id for run in job.plan.runs]
    return len(Store.open(job.root).pending(ids)) if job.root.exists() else len(ids)


def _make(job: Job, records: Sequence[RunRecord], source: str) -> Report | None:
    """Analyses and draws one experiment; None, with the reason printed, where that cannot be."""
    table = tables.frame(map(row, records))
    try:
        findings: Findings = job.experiment.analyse(table)
    except (ValueError, FitError) as error:
        screen.print_unanalysed(job.plan.name, table, error)
        return None
    made = Report(source, findings.verdict, findings.measured, findings.report)
    _publish(job.folder, job.experiment.figure(findings), findings.shown, made)
    return made


def _gather(
    whole: ModuleType,
    folder: Path,
    jobs: Sequence[Job],
    records: Sequence[Sequence[RunRecord]],
    sources: Sequence[str],
) -> bool:
    """Draws the parts of an experiment together; whether all could be analysed."""
    found: dict[str, Findings] = {}
    for job, rows in zip(jobs, records, strict=True):
        try:
            found[job.plan.name] = job.experiment.analyse(tables.frame(map(row, rows)))
        except (ValueError, FitError):
            return False
    shown = pd.concat([f.shown.assign(experiment=name) for name, f in found.items()])
    made = Report("".join(sources), "\n".join(f.verdict for f in found.values()), {}, {})
    _publish(folder, whole.figure(found), shown, made)
    return True


def _publish(folder: Path, figure: Figure, shown: pd.DataFrame, made: Report) -> None:
    """Writes a figure as PDF and PNG, the numbers it shows as CSV, and last what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    style.save(figure, folder / "figure")
    tables.write(shown, folder / "figure.csv")
    reports.save(folder, made)
