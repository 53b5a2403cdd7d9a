"""The front door: the `scaling` command.

Nothing heavy is imported until a command needs it, so that help comes at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg
from tyro.extras import SubcommandApp

from experiments.commands import options as laws
from experiments.experiment import Budget

app = SubcommandApp()

Name = Annotated[
    Positional[str], arg(metavar="EXPERIMENT", help="A name from `scaling list`, or a .py file.")
]
BudgetOption = Annotated[Budget, arg(help="Declared size of the sweep.")]
Overrides = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(
        name="set",
        metavar="FIELD=VALUE",
        help="Override a field of every run, e.g. --set train.steps=500; may be repeated.",
    ),
]
Results = Annotated[str, arg(metavar="FOLDER", help="Where results are kept.")]
Folder = Annotated[
    Positional[str], arg(metavar="RESULTS", help="A results folder, e.g. results/NAME.")
]


@app.command(name="list")
def list_experiments() -> int:
    """List the experiments with the claim that each one tests."""
    from experiments.commands import show as screen

    return screen.print_list()


@app.command
def show(name: Name) -> int:
    """Show the card of an experiment: claim, paper, command, cost, expected numbers."""
    from experiments.commands import show as screen

    return screen.print_card(name)


@app.command
def plan(
    name: Name,
    budget: BudgetOption = "cpu",
    overrides: Overrides = (),
    results: Results = "results",
) -> int:
    """Say what a run would do and cost, and how much of it is done; spend nothing."""
    from experiments.commands import run as pipeline

    return pipeline.show_plan(name, budget, overrides, results)


@app.command
def run(
    name: Name,
    budget: BudgetOption = "cpu",
    overrides: Overrides = (),
    results: Results = "results",
    workers: Annotated[
        int | None, arg(help="Worker processes; by default one a core or accelerator.")
    ] = None,
    hosts: Annotated[
        bool, arg(help="This is one of several processes that train every run together.")
    ] = False,
) -> int:
    """Plan, run, fit and draw; print what was expected beside what was measured.

    Done runs are kept: the same command resumes after any interruption, and redraws without
    training once all is done. Exit status 1 where an expectation fails or runs are missing.
    """
    from experiments.commands import run as pipeline

    return pipeline.run(name, budget, overrides, results, workers, hosts)


@app.command
def status(results: Folder) -> int:
    """Say what a results folder holds: runs done, diverged, failed and missing, and why."""
    from experiments.commands import show as screen

    return screen.print_status(results)


@app.command
def table(
    results: Folder,
    to: Annotated[str, arg(metavar="FILE", help="A file that ends in .parquet or .csv.")],
) -> int:
    """Write the tidy table of a results folder, one row a run, whatever became of it."""
    from experiments.commands import show as screen

    return screen.write_table(results, to)


for command in (laws.fit, laws.rank, laws.isoflop, laws.allocate, laws.design, laws.reproduce):
    app.command(command)


def main(args: list[str] | None = None) -> int:
    """Runs the `scaling` command; returns its exit status."""
    args = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in args
    if debug:
        args.remove("--debug")
    try:
        return app.cli(
            prog="scaling",
            description="Scaling-law and double-descent experiments. "
            "--debug shows the traceback of an error.",
            args=args,
            use_underscores=False,
        )
    except KeyboardInterrupt:
        print("scaling: interrupted; the same command resumes", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from analysis.errors import FitError
        from sweeps.files import StoreError

        if debug or not isinstance(error, ValueError | StoreError | FitError | OSError):
            raise
        print(f"scaling: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
