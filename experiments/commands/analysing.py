"""Runs of a job analysed: what they show, and what is printed and kept of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from analysis.tables import results as tables
from experiments.commands import provenance
from experiments.commands.jobs import Job
from experiments.commands.report import Report
from experiments.experiment import Experiment, Findings, Gathering
from experiments.shared import captions
from experiments.shared.fits import shown_fits
from experiments.shared.words import counted
from scaling.record import RunRecord, row
from scaling.sealed import DamagedFileError
from sweeps.store import Store


def findings_of(job: Job, records: Sequence[RunRecord]) -> Findings[Any]:
    """Returns what one experiment found in its runs.

    Raises:
        ValueError: No run is done, or the card cannot analyse them.
        FitError: The data do not support a fit that the card needs.
    """
    findings = job.experiment.analyse(_analysed(job, records), lambda: _curves(job, records))
    expected = [each.name for each in job.experiment.expected_at(job.budget)]
    if missing := [name for name in expected if name not in findings.measured]:
        raise ValueError(
            f"analyse measured no {', '.join(missing)}, which EXPECTED names. Add it to `measured`."
        )
    return findings


def _analysed(job: Job, records: Sequence[RunRecord]) -> Any:
    """The table of the runs, or the facts of an experiment that has none."""
    if job.experiment.facts is not None:
        return job.experiment.facts()
    table = tables.frame(map(row, records))
    if "done" not in set(table["status"]):
        raise ValueError("no run is done. The same command tries again.")
    return table


def _curves(job: Job, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Reads every evaluation of every run that is done, one row each.

    Raises:
        ValueError: A curve was damaged since the command began.
    """
    store = Store.open(job.root)
    try:
        return pd.DataFrame(
            {"run_id": record.run_id, **asdict(point)}
            for record in records
            if record.status == "done"
            for point in store.curve(record.run_id)
        )
    except DamagedFileError as error:
        raise ValueError(f"{error}. The same command does its run again.") from None


def report_of(
    job: Job, source: str, findings: Findings[Any], records: Sequence[RunRecord]
) -> Report:
    """Returns what is kept of the findings, with runs left out and mixed code as doubts."""
    lost = Counter(record.status for record in records if record.status != "done")
    became = f"{lost.total():,} of {len(records):,} runs are left out: {counted(lost)}"
    left_out = [became] if lost else []
    computed = provenance.differences((record.environment, 1) for record in records)
    caption, alt = described(job.experiment, {job.plan.name: findings}, findings.verdict)
    return Report(
        source=source,
        experiment=job.plan.name,
        budget=job.budget,
        overrides=job.overrides,
        verdict=findings.verdict,
        measured=findings.measured,
        doubts=[*findings.doubts, *left_out, *computed],
        more=findings.report,
        fits=shown_fits(findings.details),
        caption=caption,
        alt=alt,
    )


def described(
    experiment: Experiment | Gathering, found: Mapping[str, Findings[Any]], verdict: str
) -> tuple[str, str]:
    """Returns what stands under a figure, and what it shows, as plain text.

    Args:
        experiment: The experiment.
        found: Findings of its parts by name.
        verdict: The answer.
    """
    measured = captions.numbers(experiment, found)
    under = captions.caption(experiment, measured)
    alt = captions.alternative(experiment, measured, verdict)
    return (captions.plain(under, experiment, measured), captions.plain(alt, experiment, measured))


def gathered(parts: Mapping[str, Findings[Any]]) -> pd.DataFrame:
    """Returns the points of several experiments as one table, with their names in a column."""
    return pd.concat([f.shown.assign(experiment=part) for part, f in parts.items()])


def verdicts(parts: Mapping[str, Findings[Any]]) -> str:
    """Returns the answers of several experiments, each behind its name."""
    return "\n".join(f"{part}: {f.verdict}" for part, f in parts.items())
