"""Finished reports of results folders, with the experiments and runs behind them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import catalogue
from experiments.commands import report, run, sweep
from experiments.commands.options import PlanOptions
from experiments.commands.report import Report
from experiments.commands.run import Job
from experiments.experiment import Experiment, Gathering
from experiments.pages.report_page import State
from scaling.record import RunRecord
from sweeps.store import Store


@dataclass(frozen=True)
class Finished:
    """A report and what it was made from.

    Attributes:
        made: The report.
        folder: Where it and its figure lie.
        experiment: The experiment; None where its file is not at hand.
        jobs: Its parts at the size and overrides of the report.
        records: Runs of each part.
        state: Whether it still follows from runs and code.
    """

    made: Report
    folder: Path
    experiment: Experiment | Gathering | None
    jobs: Sequence[Job]
    records: Sequence[Sequence[RunRecord]]
    state: State

    @property
    def runs(self) -> Sequence[RunRecord]:
        """Runs of an experiment; none of one that gathers others, whose parts have them."""
        return self.records[0] if isinstance(self.experiment, Experiment) else ()

    @property
    def plan_id(self) -> str:
        """Identity of the plan of an experiment; empty of one that gathers others."""
        return self.jobs[0].plan.plan_id if isinstance(self.experiment, Experiment) else ""


def finished(
    folders: Iterable[str], own: Sequence[str] = (), budget: str | None = None
) -> list[Finished]:
    """Returns the reports in results folders, and those of the parts of what gathers others.

    Args:
        folders: Results folders, or folders of several.
        own: Files of experiments that are none of this package.
        budget: Name of the reports to take, such as "cpu"; all unless given.

    Raises:
        ValueError: A folder without a report, or a report that cannot be read.
    """
    paths = dict.fromkeys(path for folder in folders for path in _reports(Path(folder), budget))
    files = {Path(each).stem: each for each in own}
    found = {path: _one(path, files) for path in paths}
    for each in list(found.values()):
        if isinstance(each.experiment, Gathering):
            for job in each.jobs:
                path = job.folder / "report.json"
                if path not in found and path.is_file():
                    found[path] = _one(path, files)
    return list(found.values())


def _reports(folder: Path, budget: str | None) -> Iterator[Path]:
    """The reports of a results folder, or of those in it."""
    name = budget or "*"
    here = sorted(folder.glob(f"reports/{name}/report.json"))
    files = here or sorted(folder.glob(f"*/reports/{name}/report.json"))
    if not files:
        size = f" of size {budget}" if budget else ""
        raise ValueError(
            f"{folder} holds no report{size}: give a results folder such as results/NAME, after "
            "`scaling run NAME`"
        )
    yield from files


def _one(path: Path, files: dict[str, str]) -> Finished:
    made, folder = report.read(path), path.parent
    if made is None or not (folder / "figure.png").is_file():
        raise ValueError(
            f"{path} is no report that this version reads, or its figure is gone: "
            "`scaling run` with the same options makes it anew"
        )
    try:
        experiment = catalogue.load(files.get(made.experiment, made.experiment))
    except ValueError:
        return _of_sweep(made, folder)
    options = PlanOptions(
        name=made.experiment,
        budget=made.budget,  # pyright: ignore[reportArgumentType]  # as a report keeps it
        overrides=tuple(made.overrides),
        results=str(folder.parent.parent.parent),
    )
    return _with_runs(made, folder, experiment, run.jobs_for(experiment, options))


def _of_sweep(made: Report, folder: Path) -> Finished:
    """A report of a sweep that a command declared; one of an experiment that is not at hand."""
    job = sweep.job_of_plan(Store.open(folder.parent.parent), folder.name)
    if job is None:
        return Finished(made, folder, None, (), (), "unknown")
    return _with_runs(made, folder, job.experiment, [job])


def _with_runs(
    made: Report, folder: Path, experiment: Experiment | Gathering, jobs: Sequence[Job]
) -> Finished:
    records = [Store.open(job.root).read(job.plan) for job in jobs]
    source = report.source(experiment, [record for part in records for record in part])
    return Finished(
        made, folder, experiment, jobs, records, "fresh" if source == made.source else "stale"
    )
