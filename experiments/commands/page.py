"""`scaling report`: finished reports of results folders as one page that needs nothing else."""

from collections.abc import Iterator
from pathlib import Path

from analysis.writing import replace_file
from experiments import catalogue
from experiments.commands import report, run
from experiments.commands.console import console
from experiments.commands.options import PlanOptions, ReportOptions
from experiments.experiment import Experiment, Gathering
from experiments.pages.report_page import Shown, State, page
from scaling.record import RunRecord
from sweeps.files import storing
from sweeps.store import Store


def write(options: ReportOptions) -> int:
    """Writes the page of every report that lies in the folders given.

    Raises:
        ValueError: A folder without a report.
    """
    found = [shown for folder in options.results for shown in _shown(Path(folder))]
    stale = [each.name for each in found if each.state == "stale"]
    path = Path(options.to)
    text = page(found)
    with storing(path):
        replace_file(path, text.encode())
    console.print(f"{path}: {len(found)} reports, {len(text.encode()) / 1e6:.2f} MB")
    for name in stale:
        console.print(f"{name} is stale: `scaling run {name}` draws it anew")
    return 0


def _shown(folder: Path) -> Iterator[Shown]:
    """The reports of a results folder, or of those in it."""
    files = sorted(folder.glob("reports/*/report.json")) or sorted(
        folder.glob("*/reports/*/report.json")
    )
    if not files:
        raise ValueError(
            f"{folder} holds no report: give a results folder such as results/NAME, after "
            "`scaling run NAME`"
        )
    for path in files:
        made = report.parse(path.read_text(encoding="utf-8"))
        if made is None or not (path.parent / "figure.png").is_file():
            raise ValueError(
                f"{path} is no report that this version reads, or its figure is gone: "
                "`scaling run` with the same options makes it anew"
            )
        yield _one(made, path.parent)


def _one(made: report.Report, folder: Path) -> Shown:
    results = folder.parent.parent.parent
    try:
        experiment = catalogue.load(made.experiment)
    except ValueError:
        return _as_found(made, folder, "unknown", "", [])
    records, plan_id = _records(experiment, made, results)
    state: State = "fresh" if report.source(experiment, records) == made.source else "stale"
    if isinstance(experiment, Gathering):
        return _as_found(made, folder, state, experiment.card, [])
    return _as_found(made, folder, state, experiment.card, records, experiment, plan_id)


def _records(
    experiment: Experiment | Gathering, made: report.Report, results: Path
) -> tuple[list[RunRecord], str]:
    """Records of every part of an experiment at the size and overrides of a report."""
    options = PlanOptions(
        name=made.experiment,
        budget=made.budget,  # pyright: ignore[reportArgumentType]  # as a report keeps it
        overrides=tuple(made.overrides),
        results=str(results),
    )
    jobs = run.jobs_for(experiment, options)
    records = [record for job in jobs for record in Store.open(job.root).read(job.plan)]
    return records, jobs[0].plan.plan_id


def _as_found(
    made: report.Report,
    folder: Path,
    state: State,
    card: str,
    records: list[RunRecord],
    experiment: Experiment | None = None,
    plan_id: str = "",
) -> Shown:
    return Shown(
        name=made.experiment,
        budget=made.budget,
        overrides=made.overrides,
        state=state,
        card=card,
        expected=() if experiment is None else experiment.expected,
        verdict=made.verdict,
        measured=made.measured,
        doubts=made.doubts,
        more=made.more,
        folder=folder,
        records=records,
        plan_id=plan_id,
        source=made.source,
    )
