"""`scaling report`: finished reports of results folders as one page that needs nothing else."""

from pathlib import Path

from analysis.writing import replace_file
from experiments.commands.console import console, write_json
from experiments.commands.finished import Finished, finished
from experiments.commands.options.folders import ReportOptions
from experiments.experiment import Experiment
from experiments.pages.report_page import Shown, page
from experiments.shared.words import several, shown_bytes
from sweeps.files import storing


def write(options: ReportOptions) -> int:
    """Writes the page of every report that lies in the folders given.

    Raises:
        ValueError: A folder without a report.
    """
    found = [_shown(each) for each in finished(options.results, options.experiments, failed=True)]
    stale = [each.name for each in found if each.state == "stale" and not each.failed]
    path = Path(options.to)
    text = page(found)
    with storing(path):
        replace_file(path, text.encode())
    console.print(f"{path}: {several(len(found), 'report')}, {shown_bytes(len(text.encode()))}")
    for name in stale:
        console.print(f"{name} is stale: `scaling run {name}` draws it anew")
    for each in found:
        if each.failed:
            console.print(f"{each.name} failed: {each.failed}")
    listed = [
        {"name": e.name, "size": e.folder.name, "state": e.state, "failed": e.failed} for e in found
    ]
    write_json(options.json, {"page": str(path), "reports": listed})
    return 0


def _shown(found: Finished) -> Shown:
    made, experiment = found.made, found.experiment
    expected = experiment.expected if isinstance(experiment, Experiment) else ()
    return Shown(
        name=made.experiment,
        budget=made.budget,
        overrides=made.overrides,
        state=found.state,
        failed=found.failed,
        card="" if experiment is None else experiment.card,
        expected=expected,
        verdict=made.verdict,
        measured=made.measured,
        doubts=made.doubts,
        more=made.more,
        fits=made.fits,
        caption=made.caption,
        alt=made.alt,
        folder=found.folder,
        records=found.runs,
        plan_id=found.plan_id,
        source=made.source,
    )
