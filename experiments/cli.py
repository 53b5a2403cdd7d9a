"""The front door: the `scaling` command.

Nothing heavy is imported until a command needs it, so that help comes at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, TypeVar

from tyro.conf import arg
from tyro.extras import SubcommandApp

import scaling
from experiments.commands.options.analyses import (
    AllocateOptions,
    AuditOptions,
    DescentOptions,
    DesignOptions,
    FitOptions,
    IsoflopOptions,
    LawsOptions,
    ModelsOptions,
    PredictOptions,
    RankOptions,
    ReproduceOptions,
)
from experiments.commands.options.folders import (
    CompareOptions,
    DoctorOptions,
    ExportOptions,
    ImportOptions,
    PaperOptions,
    PruneOptions,
    ReportOptions,
    RetryOptions,
    StatusOptions,
    TableOptions,
    VerifyOptions,
    WatchOptions,
)
from experiments.commands.options.program import CompletionOptions, ListOptions, ShowOptions
from experiments.commands.options.training import (
    ExtendOptions,
    RunOptions,
    ShowPlanOptions,
    SweepOptions,
)

app = SubcommandApp()

T = TypeVar("T")
Flags = Annotated[T, arg(name="")]
"""Options whose flags carry no prefix: --budget, not --options.budget."""


@app.command(name="list")
def list_experiments(options: Flags[ListOptions]) -> int:
    """List the experiments with the claim that each one tests."""
    from experiments.commands import show

    return show.print_list(options)


@app.command
def show(options: Flags[ShowOptions]) -> int:
    """Show the card of an experiment: claim, paper, command, cost, expected numbers."""
    from experiments.commands import show

    return show.print_card(options)


@app.command
def plan(options: Flags[ShowPlanOptions]) -> int:
    """Print what a run would do and cost, and how much of it is done; spends nothing."""
    from experiments.commands import run

    return run.show_plan(options)


@app.command
def run(options: Flags[RunOptions]) -> int:
    """Plan, run, fit and draw; print what was expected beside what was measured.

    Finished runs are kept: the same command resumes after any interruption, and redraws without
    training once all is done. Exit status 1 where an expectation fails or runs are missing.
    """
    from experiments.commands import run

    return run.run(options)


@app.command
def sweep(options: Flags[SweepOptions]) -> int:
    """Run a sweep that the command line or a file declares, as `scaling run` runs experiments."""
    from experiments.commands import sweep

    return sweep.run(options)


@app.command
def extend(options: Flags[ExtendOptions]) -> int:
    """Run more values of a sweep that `scaling sweep` made; what is done is kept."""
    from experiments.commands import sweep

    return sweep.extend(options)


@app.command(name="import")
def import_folder(options: Flags[ImportOptions]) -> int:
    """Take finished runs of another results folder; none is replaced, and none is run again."""
    from experiments.commands import folder

    return folder.import_runs(options)


@app.command
def export(options: Flags[ExportOptions]) -> int:
    """Write a results folder as two tables, runs and learning curves, for other programs."""
    from experiments.commands import folder

    return folder.export(options)


@app.command
def status(options: Flags[StatusOptions]) -> int:
    """Print what a results folder holds: runs by status, where runs lack, mixed versions."""
    from experiments.commands import status

    return status.print_status(options)


@app.command
def doctor(options: Flags[DoctorOptions]) -> int:
    """Print a sentence for each run that is not done, and what to do about it."""
    from experiments.commands import status

    return status.print_doctor(options)


@app.command
def table(options: Flags[TableOptions]) -> int:
    """Write the tidy table of a results folder, one row a run, failed and missing ones too."""
    from experiments.commands import folder

    return folder.write_table(options)


@app.command
def retry(options: Flags[RetryOptions]) -> int:
    """Open published runs again, so that the command that made them does them once more."""
    from experiments.commands import folder

    return folder.retry(options)


@app.command
def verify(options: Flags[VerifyOptions]) -> int:
    """Do a random part of the published runs again, and compare. Exit status 1 on a difference."""
    from experiments.commands import verify

    return verify.verify(options)


@app.command
def prune(options: Flags[PruneOptions]) -> int:
    """Remove what only saves time, such as trunks; prints what takes how much room."""
    from experiments.commands import folder

    return folder.prune(options)


@app.command
def fit(options: Flags[FitOptions]) -> int:
    """Fit a scaling law to a table, with intervals, a verdict, and fits under other choices."""
    from experiments.commands import fit

    return fit.run(options)


@app.command
def rank(options: Flags[RankOptions]) -> int:
    """Rank the laws that apply to a table by how well they predict its larger sizes."""
    from experiments.commands import rank

    return rank.run(options)


@app.command
def isoflop(options: Flags[IsoflopOptions]) -> int:
    """Find the best size at each compute, by approaches 1, 2 and 3 of Hoffmann et al."""
    from experiments.commands import isoflop

    return isoflop.run(options)


@app.command
def descent(options: Flags[DescentOptions]) -> int:
    """Find threshold, peak and second descent of a curve, and judge them in a sentence."""
    from experiments.commands import descent

    return descent.run(options)


@app.command
def allocate(options: Flags[AllocateOptions]) -> int:
    """Find what to train on a budget, what being off costs, and what serving it changes."""
    from experiments.commands import allocate

    return allocate.run(options)


@app.command
def design(options: Flags[DesignOptions]) -> int:
    """Find the runs that shrink the interval of a number most, and write them as a sweep."""
    from experiments.commands import design

    return design.run(options)


@app.command
def reproduce(options: Flags[ReproduceOptions]) -> int:
    """Refit a published result; print published beside refitted. Exit status 1 on drift."""
    from experiments.commands import reproduce

    return reproduce.run(options)


@app.command
def report(options: Flags[ReportOptions]) -> int:
    """Write finished reports as one self-contained page: numbers, figures, runs, environment."""
    from experiments.commands import page

    return page.write(options)


@app.command
def paper(options: Flags[PaperOptions]) -> int:
    """Write a paper's pieces from results, or check those that are written against the results."""
    from experiments.commands import paper

    return paper.write(options)


@app.command
def compare(options: Flags[CompareOptions]) -> int:
    """Compare two results, sizes or fits in standard errors. Exit status 1 on other conclusions."""
    from experiments.commands import compare

    return compare.compare(options)


@app.command
def watch(options: Flags[WatchOptions]) -> int:
    """Show live what a sweep does that runs elsewhere, from its results folder alone."""
    from experiments.commands import watch

    return watch.watch(options)


@app.command
def laws(options: Flags[LawsOptions]) -> int:
    """List the published laws, show one of them, or compare the models that they call best."""
    from experiments.commands import laws

    return laws.run(options)


@app.command
def models(options: Flags[ModelsOptions]) -> int:
    """Report what named models took: size, tokens, compute, cost, and how far from the optimum."""
    from experiments.commands import models

    return models.run(options)


@app.command
def predict(options: Flags[PredictOptions]) -> int:
    """Predict by a fit or a published law, with intervals and the distance from its data."""
    from experiments.commands import predict

    return predict.run(options)


@app.command
def audit(options: Flags[AuditOptions]) -> int:
    """Judge a published law by a table: its objective there beside that of the best fit."""
    from experiments.commands import audit

    return audit.run(options)


@app.command
def completion(options: Flags[CompletionOptions]) -> int:
    """Print the script by which a shell completes commands and options."""
    words = ["--tyro-write-completion", options.shell, "-"]
    with contextlib.suppress(SystemExit):  # tyro ends once it has printed
        app.cli(prog="scaling", args=words, use_underscores=False)
    return 0


def _beside_output(args: list[str]) -> contextlib.AbstractContextManager[None]:
    """Keeps all but the result from the standard output, where the result is to go there."""
    if "-" not in args:
        return contextlib.nullcontext()
    from experiments.commands.console import beside_output

    return beside_output(args)


def main(args: list[str] | None = None) -> int:
    """Runs the `scaling` command; returns its exit status."""
    args = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in args
    if debug:
        args.remove("--debug")
    if args == ["--version"]:
        print(f"scaling {scaling.__version__}")
        return 0
    try:
        with _beside_output(args):
            status = app.cli(
                prog="scaling",
                description="Scaling-law and double-descent experiments. "
                "--debug shows the traceback of an error, --version the version.",
                args=args,
                use_underscores=False,
            )
            if sys.stdout is not None:  # where it is closed, there is none
                sys.stdout.flush()
            return status
    except BrokenPipeError:  # the reader has seen enough
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from analysis.errors import FitError, visible
        from sweeps.files import StoreError

        if debug or not isinstance(error, ValueError | StoreError | FitError | OSError):
            raise
        print(f"scaling: {visible(str(error))}", file=sys.stderr)
        return 2
