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
from analysis.fit import FitError
from analysis.plots import style
from experiments import catalogue, report
from experiments.experiment import Budget, Findings
from scaling import record
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
    report: Path
    budget: Budget


def jobs_for(name: str, budget: Budget, overrides: Sequence[str], results: str) -> list[Job]:
    """Resolves a command into jobs, without spending or writing anything.

    Reports of a declared size lie under its name; overridden ones under a name of their own.

    Raises:
        ValueError: no such experiment, or an override that a run cannot take.
    """
    label = budget
    if overrides:
        digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:8]
        label = f"{budget}-{digest}"
    jobs = []
    for part in catalogue.parts(catalogue.load(name)):
        title = catalogue.title(part)
        configs = overridden(part.SWEEP[budget](), overrides)
        root = Path(results) / title
        jobs.append(Job(part, make_plan(title, configs), root, root / "reports" / label, budget))
    return jobs


def show_plan(name: str, budget: Budget, overrides: Sequence[str], results: str) -> int:
    """Prints what a run would do and cost."""
    jobs = jobs_for(name, budget, overrides, results)
    report.print_plans([(job.plan, len(job.plan.runs) - _n_pending(job)) for job in jobs])
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
    before = [store.read(job.plan) for store, job in zip(stores, jobs, strict=True)]
    with show_progress() as progress:
        summary = run_sweeps(
            [(job.root, job.plan) for job in jobs], workers=workers, progress=progress
        )
    report.print_summary(summary)
    if summary.interrupted:
        return 130

    found: dict[str, Findings | None] = {}
    for job, store, records, told in zip(jobs, stores, before, summary.jobs, strict=True):
        records = records if told.already == told.planned else store.read(job.plan)
        found[job.plan.name] = _analyse(job, tables.frame(map(record.row, records)))
    whole = catalogue.load(name)
    if hasattr(whole, "PARTS") and all(found.values()):
        folder = Path(results) / catalogue.title(whole) / "reports" / jobs[0].report.name
        shown = pd.concat([f.shown.assign(experiment=name) for name, f in found.items() if f])
        _publish(folder, whole.figure(found), shown)
        report.print_figure(catalogue.title(whole), folder)
    judged = [
        report.judge(expected, findings.measured[expected.name], budget)
        for job, findings in zip(jobs, found.values(), strict=True)
        if findings is not None
        for expected in job.experiment.EXPECTED
    ]
    return 0 if summary.complete and all(found.values()) and "fail" not in judged else 1


def _n_pending(job: Job) -> int:
    ids = [run.run_id for run in job.plan.runs]
    return len(Store.open(job.root).pending(ids)) if job.root.exists() else len(ids)


def _analyse(job: Job, table: pd.DataFrame) -> Findings | None:
    """Findings of one experiment, their files and their lines on the screen.

    None where the table cannot support the analysis; the reason is printed.
    """
    try:
        findings = job.experiment.analyse(table)
    except (ValueError, FitError) as error:
        report.print_unanalysed(job.plan.name, table, error)
        return None
    _publish(job.report, job.experiment.figure(findings), findings.shown)
    report.write_json(job.report / "report.json", job.plan, job.experiment.EXPECTED, findings)
    report.print_findings(job.experiment, findings, job.budget, job.report)
    return findings


def _publish(folder: Path, figure: Figure, shown: pd.DataFrame) -> None:
    """Writes a figure as PDF and PNG, and the exact numbers it shows beside it as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    style.save(figure, folder / "figure")
    tables.write(shown, folder / "figure.csv")
