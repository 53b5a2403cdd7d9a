"""From a name to a verdict: plan, run, read, analyse, draw, report. Every stage reruns alone."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.errors import FitError
from analysis.parallelism.published_runs import published_runs
from analysis.plots import style
from analysis.tables import results as tables
from experiments import catalogue
from experiments.commands import choosing, costing, engines, overlay, plan_devices, report, show
from experiments.commands.analysing import described, findings_of, gathered, report_of, verdicts
from experiments.commands.console import write_json
from experiments.commands.grids import missed_thresholds
from experiments.commands.jobs import Job, jobs_for
from experiments.commands.options.training import (
    CostOptions,
    RunningOptions,
    RunOptions,
    ShowPlanOptions,
)
from experiments.commands.report import Report
from experiments.commands.teachers import outgrown
from experiments.experiment import Experiment, Findings, Gathering
from scaling.fields import nearest
from scaling.record import RunRecord
from sweeps.costs import check_fits
from sweeps.files import storing
from sweeps.places import shown
from sweeps.store import Store


def show_plan(options: ShowPlanOptions) -> int:
    """Prints what a run would do and cost; over many devices, what its largest run would."""
    if options.devices is not None and (options.gpu is not None or options.calibrate):
        other = "--calibrate" if options.gpu is None else "--gpu"
        raise ValueError(
            f"{other} prices a whole sweep, and --devices plans one run: leave one out"
        )
    if options.name in published_runs():
        return plan_devices.show_published(published_runs()[options.name], options)
    known = (*catalogue.names(), *published_runs())
    if (
        options.devices is not None
        and not options.name.endswith(".py")
        and options.name not in known
    ):
        raise ValueError(
            f"no experiment or published run {options.name!r}; {nearest(options.name, known)}"
        )
    jobs = jobs_for(catalogue.load(options.name), options)
    if options.devices is not None:
        return plan_devices.show([each for job in jobs for each in job.plan.configs], options)
    return print_plan(jobs, options)


def print_plan(jobs: Sequence[Job], options: CostOptions) -> int:
    """Prints what jobs would do and cost; raises as `costing.print_plans` does."""
    _say_of_grids(jobs)
    costing.print_plans([(job.plan, _done(job)) for job in jobs], options)
    return 0


def run(options: RunOptions) -> int:
    """Plans, runs, analyses, draws and prints expected beside measured."""
    experiment = catalogue.load(options.name)
    jobs = jobs_for(experiment, options)
    if choosing.is_asked(options):
        return choosing.carry_out([(job.root, job.plan) for job in jobs], options)
    return carry_out(experiment, jobs, options)


def carry_out(
    experiment: Experiment | Gathering, jobs: Sequence[Job], options: RunningOptions
) -> int:
    """Runs the jobs of an experiment, analyses, draws and prints expected beside measured.

    With `options.hosts` several processes run this together: the first does all of it, the others
    help it train.

    Returns:
        0 where every expectation passes, or a scheduler took the machine away (SIGTERM, SIGUSR1,
        SIGUSR2); 1 where an expectation fails or runs are missing; 130 where interrupted.
    """
    from sweeps.progress import show_progress
    from sweeps.runner import run_sweeps

    engines.check(options)
    # 1. Mistakes end here, before anything is written.
    laws = overlay.laws(options.beside, [job.plan for job in jobs], options.bytes_per_token)
    if options.hosts and not _leads():
        return 0
    _say_of_grids(jobs)
    if options.executor == "local" and not options.hosts:
        for job in jobs:
            check_fits(job.plan, Store(job.root).is_published)
    engine = engines.engine_of(options, experiment.name, [job.root for job in jobs])
    if engine == "background":
        return 0
    # 2. Read what is done. This sets aside what is damaged, so that it is run again.
    stores = [Store.create(job.root) for job in jobs]
    records = [store.read(job.plan) for store, job in zip(stores, jobs, strict=True)]
    for store, job in zip(stores, jobs, strict=True):
        _say_of_curves(store, job)
    # 3. Train what is missing, of all parts in one queue.
    with show_progress() as progress:
        summary = run_sweeps(
            [(job.root, job.plan) for job in jobs],
            workers=options.workers,
            progress=progress,
            engine=engine,
        )
    if options.detach and not summary.complete:
        engines.say_queued(summary)
        return 0
    show.print_summary(summary)
    if summary.interrupted:
        return 0 if summary.preempted else 130

    # 4. Analyse and draw each part, unless its report still stands, and print it.
    ok, reports = summary.complete, []
    found: dict[str, Findings[Any]] = {}
    for i, (job, became) in enumerate(zip(jobs, summary.jobs, strict=True)):
        if became.already < became.planned:
            before, records[i] = records[i], stores[i].read(job.plan)
            costing.learn(job.plan, before, records[i])
        source = report.source(job.experiment, records[i])
        made = report.load(job.folder, source)
        if made is None:
            findings = _analyse(job, records[i])
            if isinstance(findings, Findings):
                found[job.plan.name] = findings
                made = report_of(job, source, findings, records[i])
                _publish(job.folder, job.experiment.figure(findings), findings.shown, made)
            else:
                _say_failed(job, source, findings, records[i])
        if made is None:
            ok = False
        else:
            judged = show.print_findings(job.experiment, made, job.folder)
            reports.append((job.folder, made))
            overlay.show(laws, records[i], job.folder)
            ok &= "fail" not in judged
    # 5. Draw the parts together.
    if isinstance(experiment, Gathering):
        ok &= _gather(experiment, jobs, records, found)
    write_json(options.json, show.as_json(summary, reports))
    return 0 if ok else 1


def _say_of_curves(store: Store, job: Job) -> None:
    """Says which learning curves are damaged; where findings need them, their runs are repeated."""
    for run_id, damage in store.damaged_curves(run.run_id for run in job.plan.runs):
        if job.experiment.takes_curves:
            store.reopen(run_id, damage)
        show.print_damaged_curve(job.plan.name, damage, repeated=job.experiment.takes_curves)


def _say_of_grids(jobs: Sequence[Job]) -> None:
    """Says which runs overrides made equal, and what of their plans is doubtful."""
    for job in jobs:
        if job.folded is not None:
            show.print_folded(job.plan.name, job.overrides, job.folded)
        if (size := job.experiment.threshold_along) is not None:
            show.print_doubts(job.plan.name, missed_thresholds(job.plan.configs, size))
        show.print_doubts(job.plan.name, outgrown(job.plan.configs))


def _leads() -> bool:
    """Whether this process is the first of several; others help until the first has finished."""
    from scaling.devices.processes import is_first, join
    from sweeps.processes import follow

    join()
    if not is_first():
        follow()
        return False
    return True


def _gather(
    gathering: Gathering,
    jobs: Sequence[Job],
    records: Sequence[Sequence[RunRecord]],
    found: dict[str, Findings[Any]],
) -> bool:
    """Draws the parts of an experiment together; returns whether all could be analysed.

    Args:
        gathering: The experiment that gathers.
        jobs: Its parts.
        records: Records of each part.
        found: Findings of the parts that were analysed just now, by name.
    """
    name, label = gathering.name, jobs[0].budget
    if any(job.folder.name != label for job in jobs):
        plans = "".join(job.plan.plan_id for job in jobs)
        label = f"{label}-{hashlib.sha256(plans.encode()).hexdigest()[:8]}"
    folder = shown(jobs[0].root).parent / name / "reports" / label
    source = report.source(gathering, [record for part in records for record in part])
    if report.load(folder, source) is None:
        for job, rows in zip(jobs, records, strict=True):
            findings = found.get(job.plan.name) or _analyse(job, rows)
            if not isinstance(findings, Findings):
                return False
            found[job.plan.name] = findings
        parts = {job.plan.name: found[job.plan.name] for job in jobs}
        verdict = verdicts(parts)
        caption, alt = described(gathering, parts, verdict)
        made = Report(
            source=source,
            experiment=name,
            budget=jobs[0].budget,
            overrides=jobs[0].overrides,
            verdict=verdict,
            measured={},
            doubts=[f"{part}: {doubt}" for part, f in parts.items() for doubt in f.doubts],
            more={},
            caption=caption,
            alt=alt,
        )
        _publish(folder, gathering.figure(parts), gathered(parts), made)
    show.print_gathering(name, folder)
    return True


def _done(job: Job) -> set[str]:
    """The runs of a job that are published."""
    ids = {run.run_id for run in job.plan.runs}
    return ids - Store.open(job.root).pending(ids).keys() if Store.is_at(job.root) else set()


def _analyse(job: Job, records: Sequence[RunRecord]) -> Findings[Any] | Exception:
    """What one experiment found, or why it cannot be analysed."""
    try:
        return findings_of(job, records)
    except (ValueError, FitError) as error:
        return error


def _say_failed(job: Job, source: str, error: Exception, records: Sequence[RunRecord]) -> None:
    """Prints why an experiment cannot be analysed, and keeps the reason for its page."""
    show.print_unanalysed(job.plan.name, Counter(record.status for record in records), error)
    failure = report.Failure(
        source=source,
        experiment=job.plan.name,
        budget=job.budget,
        overrides=tuple(job.overrides),
        why=str(error),
    )
    with storing(job.folder):
        report.save_failure(job.folder, failure)


def _publish(folder: Path, figure: Figure, shown: pd.DataFrame, made: Report) -> None:
    """Writes a figure as PDF, PNG and SVG, its numbers as CSV, and last the report."""
    with storing(folder):
        style.save(figure, folder / "figure")
        style.save_svg(figure, folder / "figure.svg")
        tables.write(shown, folder / "figure.csv")
        report.save(folder, made)
