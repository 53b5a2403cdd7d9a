"""`scaling paper`: what results folders hold as a bundle that compiles, and what of it drifted."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.errors import FitError, nearest_name
from analysis.plots import style
from analysis.plots.venues import VENUES, Venue
from experiments.commands import analysing
from experiments.commands.console import console, write_json
from experiments.commands.finished import Finished, finished
from experiments.commands.jobs import Job
from experiments.commands.options.folders import PaperOptions
from experiments.experiment import Experiment, Findings, Gathering
from experiments.papers.bundle import RECIPE, Recipe, as_csv, contents, libraries, renewed
from experiments.papers.drift import drifts
from experiments.papers.folder import Written
from experiments.papers.folder import write as write_folder
from experiments.papers.numbers import macros, word
from experiments.papers.prose import remarks
from experiments.papers.study import Study
from experiments.shared import captions
from experiments.shared.fits import fits_of
from experiments.shared.words import several
from scaling.record import RunRecord
from sweeps.files import MANY_BYTES, exists, read_bytes, storing
from sweeps.store import Store

_MOST_LINES = 40


def write(options: PaperOptions) -> int:
    """Writes a bundle, or with `check` compares one with its results.

    Returns:
        0; with `check` 1 where something drifted or a text should be changed.

    Raises:
        ValueError: No results, a venue that is not known, a folder that is no bundle.
    """
    if options.check is not None:
        return _check(options, Path(options.check))
    if not options.results:
        raise ValueError("No results folder is given. Give one or more, such as results/NAME.")
    venue, folder = _venue(options.style), Path(options.to)
    recipe = Recipe(
        results=_from(folder, options.results),
        experiments=_from(folder, options.experiments),
        budget=options.budget,
        style=options.style,
        drawn_with=libraries(),
    )
    studies = _studies(options.results, recipe.budget, options.experiments, venue)
    with storing(folder):
        written = write_folder(folder, contents(studies, recipe, venue))
    _say_kept(folder, written)
    numbers = sum(len(each.measured) for each in studies)
    runs = len({record.run_id for each in studies for record in each.records})
    console.print(
        f"{folder}: {several(len(studies), 'experiment')}, {several(runs, 'run')}, "
        f"{several(numbers, 'number')}, for {venue.name}. `make -C {folder}` builds main.pdf"
    )
    write_json(options.json, {"folder": str(folder), "drifts": [], "written": asdict(written)})
    return 0


def _say_kept(folder: Path, written: Written) -> None:
    """Says which files a hand has changed, and what there is to do about them."""
    if written.texts:
        console.print(f"{folder}: your own text is left as it is: {', '.join(written.texts)}")
    for path in written.edited:
        console.print(
            f"{folder / path}: changed by hand and left as it is; what the results give now is in "
            f"{renewed(path)} beside it. Take the change over into your text, and delete the "
            "piece: the same command writes it anew."
        )
    if written.orphaned:
        console.print(
            f"{folder}: changed by hand, and no result gives it any more: "
            f"{', '.join(written.orphaned)}. Delete what you do not use."
        )
    if written.texts and written.added:
        console.print(f"{folder}: new pieces to take in: {', '.join(written.added)}")


def _check(options: PaperOptions, folder: Path) -> int:
    recipe = _recipe(folder)
    for each in options.text:
        if not Path(each).is_file():
            raise ValueError(f"--text {each} is no file: give the LaTeX whose numbers to look at")
    results = options.results or [os.path.join(folder, each) for each in recipe.results]
    own = options.experiments or tuple(os.path.join(folder, e) for e in recipe.experiments)
    venue = _venue(recipe.style)
    studies = _studies(results, recipe.budget, own, venue)
    same = dict(recipe.drawn_with) == libraries()
    if not same:
        console.print("Drawn with other versions of libraries: figures are compared by points.")
    found = list(map(str, drifts(folder, contents(studies, recipe, venue), same)))
    made, stems = macros(studies), [word(each.label) for each in studies]
    # Of the bundle's own text only macros are looked at, unless it is given.
    own_text = folder / "main.tex"
    texts = {str(own_text): False} if own_text.is_file() else {}
    for path, with_numbers in (texts | dict.fromkeys(options.text, True)).items():
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        said = remarks(text, made, stems, with_numbers=with_numbers)
        found += [f"{path}, line {each.line}: {each.says}" for each in said]
    for line in found[:_MOST_LINES]:
        console.print(line, soft_wrap=True)
    if len(found) > _MOST_LINES:
        console.print(f"and {len(found) - _MOST_LINES} more")
    if found:
        console.print(
            f"{folder}: {several(len(found), 'drift')}; `scaling paper` with its results writes it"
        )
    else:
        console.print(f"{folder}: every macro, table and figure is as the results give it")
    write_json(options.json, {"folder": str(folder), "drifts": found, "written": None})
    return 1 if found else 0


def _recipe(folder: Path) -> Recipe:
    try:
        return Recipe(**json.loads((folder / RECIPE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"{folder} is no bundle: its {RECIPE} cannot be read ({error}). Give a folder that "
            "`scaling paper` has made."
        ) from None


def _venue(name: str) -> Venue:
    if name not in VENUES:
        raise ValueError(f"--style {name!r} is no venue; {nearest_name(name, VENUES)}")
    return VENUES[name]


def _from(folder: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """Paths as the bundle's Makefile needs them: from its folder."""
    return tuple(os.path.relpath(os.path.realpath(p), os.path.realpath(folder)) for p in paths)


def _studies(
    results: Sequence[str], budget: str | None, own: Sequence[str], venue: Venue
) -> list[Study]:
    """Every report as a study: analysed anew from its runs, and drawn for the venue."""
    reports = sorted(finished(results, own, budget), key=lambda each: each.made.experiment)
    found: dict[Path, Findings[Any]] = {}
    return [_study(each, found, venue) for each in reports]


def _study(each: Finished, found: dict[Path, Findings[Any]], venue: Venue) -> Study:
    name, experiment = each.made.experiment, each.experiment
    if experiment is None:
        raise ValueError(
            f"{each.folder}: {name} is no experiment of this package. Give its file by "
            "--experiment FILE."
        )
    for job, records in zip(each.jobs, each.records, strict=True):
        if job.folder not in found:
            _say_unfinished(job, records)
            found[job.folder] = _analysed(job, records)
    parts = {job.plan.name: found[job.folder] for job in each.jobs}
    with style.drawn_for(venue):
        if isinstance(experiment, Gathering):
            figure, shown, expected = experiment.figure(parts), analysing.gathered(parts), ()
        else:
            figure, shown = experiment.figure(parts[name]), parts[name].shown
            expected = experiment.expected_at(each.made.budget)
        keywords = hashlib.sha256(as_csv(shown).encode()).hexdigest()
        drawing = style.as_pdf(figure, f"points {keywords}")
    alone = parts[name] if isinstance(experiment, Experiment) else None
    verdict = alone.verdict if alone else analysing.verdicts(parts)
    under, alt = analysing.described(experiment, parts, verdict)
    return Study(
        label=name,
        card=experiment.card,
        budget=each.folder.name,
        overrides=each.made.overrides,
        expected=expected,
        measured=alone.measured if alone else {},
        verdict=verdict,
        doubts=alone.doubts if alone else (),
        fits=fits_of(alone.details) if alone else {},
        more=alone.report if alone else {},
        # What gathers others has no macros of its own.
        caption=captions.caption(experiment, alone.measured) if alone else [(under,)],
        alt=alt,
        records=each.runs,
        plans=_plans(each.jobs),
        points=shown,
        drawing=drawing,
        width=figure.get_figwidth(),
        wide=bool(figure.get_figwidth() > venue.column),
    )


def _analysed(job: Job, records: Sequence[RunRecord]) -> Findings[Any]:
    try:
        return analysing.findings_of(job, records)
    except (ValueError, FitError) as error:
        raise ValueError(
            f"{job.plan.name} cannot be analysed: {error} `scaling run {job.plan.name}` runs what "
            "is missing."
        ) from None


def _say_unfinished(job: Job, records: Sequence[RunRecord]) -> None:
    """Says that runs are missing, as they are while a sweep is under way."""
    missing = sum(record.status not in ("done", "diverged") for record in records)
    if missing:
        console.print(
            f"{job.plan.name}: {missing:,} of {len(records):,} runs are not there, so that its "
            "numbers are of the others. Wait for the sweep, or run `scaling run "
            f"{job.plan.name}`, and write the bundle again."
        )


def _plans(jobs: Sequence[Job]) -> Mapping[str, bytes]:
    """The plans of the jobs as their results folders keep them."""
    paths = {job.plan.plan_id: Store.open(job.root).plan_path(job.plan.plan_id) for job in jobs}
    return {
        plan_id: read_bytes(path, MANY_BYTES) for plan_id, path in paths.items() if exists(path)
    }
