"""Finished reports of results folders, with the experiments and runs behind them.

Among them, where asked for, those of runs that cannot be analysed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import catalogue
from experiments.commands import report
from experiments.commands.jobs import Job, jobs_for
from experiments.commands.options.training import PlanOptions
from experiments.commands.report import Report
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
        failed: Why the runs as they are cannot be analysed; empty where they can. Without an older
            report `made` holds no number, and `folder` no figure.
    """

    made: Report
    folder: Path
    experiment: Experiment | Gathering | None
    jobs: Sequence[Job]
    records: Sequence[Sequence[RunRecord]]
    state: State
    failed: str = ""

    @property
    def runs(self) -> Sequence[RunRecord]:
        """Runs of an experiment; none of one that gathers others, whose parts have them."""
        return self.records[0] if isinstance(self.experiment, Experiment) else ()

    @property
    def plan_id(self) -> str:
        """Identity of the plan of an experiment; empty of one that gathers others."""
        return self.jobs[0].plan.plan_id if isinstance(self.experiment, Experiment) else ""


def finished(
    folders: Iterable[str],
    own: Sequence[str] = (),
    budget: str | None = None,
    *,
    failed: bool = False,
) -> list[Finished]:
    """Returns the reports in results folders, and those of the parts of what gathers others.

    Args:
        folders: Results folders, or folders of several.
        own: Files of experiments that are none of this package.
        budget: Name of the reports to take, such as "cpu"; all unless given.
        failed: Whether to return those of runs that could never be analysed too.

    Raises:
        ValueError: A folder without a report, or a report that cannot be read.
    """
    paths = dict.fromkeys(
        path for folder in folders for path in _reports(Path(folder), budget, failed)
    )
    files = {Path(each).stem: each for each in own}
    found = {path: _one(path, files) for path in paths}
    for each in list(found.values()):
        if isinstance(each.experiment, Gathering):
            for job in each.jobs:
                path = job.folder
                if path not in found and (path / "report.json").is_file():
                    found[path] = _one(path, files)
    return list(found.values())


def _reports(folder: Path, budget: str | None, failed: bool) -> Iterator[Path]:
    """The folders of the reports of a results folder, or of those in it."""
    kept = ("report.json", *([report.FAILURE] if failed else []))
    for within in ("reports", "*/reports"):
        places = {
            path.parent for name in kept for path in folder.glob(f"{within}/{budget or '*'}/{name}")
        }
        if places:
            yield from sorted(places)
            return
    size = f" of size {budget}" if budget else ""
    raise ValueError(
        f"{folder} holds no report{size}: give a results folder such as results/NAME, after "
        "`scaling run NAME`"
    )


def _one(folder: Path, files: dict[str, str]) -> Finished:
    made, failure = _made(folder), report.read_failure(folder)
    try:
        experiment = catalogue.load(files.get(made.experiment, made.experiment))
    except ValueError:
        failed = failure.why if failure is not None and failure.source == made.source else ""
        return Finished(made, folder, None, (), (), "unknown", failed)
    options = PlanOptions(
        name=made.experiment,
        budget=made.budget,  # pyrefly: ignore[bad-argument-type]  # as a report keeps it
        overrides=tuple(made.overrides),
        results=str(folder.parent.parent.parent),
    )
    jobs = jobs_for(experiment, options)
    records = [Store.open(job.root).read(job.plan) for job in jobs]
    source = report.source(experiment, [record for part in records for record in part])
    failed = failure.why if failure is not None and failure.source == source else ""
    fresh = source == made.source and not failed
    return Finished(made, folder, experiment, jobs, records, "fresh" if fresh else "stale", failed)


def _made(folder: Path) -> Report:
    """The report in a folder, or one without numbers where its runs could never be analysed."""
    made, failure = report.read(folder / "report.json"), report.read_failure(folder)
    if made is not None and (folder / "figure.png").is_file():
        return made
    if failure is None or (folder / "report.json").exists():
        raise ValueError(
            f"{folder / 'report.json'} is no report that this version reads, or its figure is "
            "gone: `scaling run` with the same options makes it anew"
        )
    return Report(
        source=failure.source,
        experiment=failure.experiment,
        budget=failure.budget,
        overrides=failure.overrides,
        verdict="No answer: the runs cannot be analysed.",
        measured={},
        doubts=(),
        more={},
    )
