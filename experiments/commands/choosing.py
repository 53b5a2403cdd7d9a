"""Sweeps that choose their runs as results arrive: `scaling run` and `scaling sweep`.

The runs are those of the plain sweep, in its folder: the same command without `--tune` or `--adapt`
does those that were left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.commands import engines, show
from experiments.commands.chooser import Chooser
from experiments.commands.console import write_json
from experiments.commands.options.training import ChoosingOptions
from sweeps.costs import check_fits
from sweeps.deciding import Decided, check_independent, run_deciding
from sweeps.places import Place
from sweeps.plan import Plan
from sweeps.pool import Stops
from sweeps.runner import Summary
from sweeps.store import Store


def is_asked(options: ChoosingOptions) -> bool:
    """Whether runs are to be chosen.

    Raises:
        ValueError: two rules to choose by.
    """
    if options.tune and options.adapt is not None:
        raise ValueError("--tune and --adapt choose by different rules: give one of them")
    return bool(options.tune) or options.adapt is not None


def chooser_of(sweeps: Sequence[tuple[Place, Plan]], options: ChoosingOptions) -> Chooser:
    """The policy that chooses the runs of a sweep, by the options of a command.

    Raises:
        ValueError: options that do not go together, several sweeps, or runs that the policy cannot
            choose between.
    """
    from experiments.commands import adapting, tuning

    engines.check(options)
    flag = "--tune" if options.tune else "--adapt"
    if options.hosts or (options.detach and options.executor == "slurm") or options.beside:
        given = "--hosts" if options.hosts else "--beside" if options.beside else "--detach"
        raise ValueError(f"{given} does not go with {flag}: leave it out")
    if len(sweeps) > 1:
        names = ", ".join(plan.name for _, plan in sweeps)
        raise ValueError(
            f"{flag} is for one sweep, and these are {len(sweeps)}: give one of {names}"
        )
    ((_, plan),) = sweeps
    if not plan.runs:
        raise ValueError(
            f"{plan.name}: nothing is trained, so {flag} has no runs to choose from: leave it out"
        )
    check_independent(plan)
    return (tuning if options.tune else adapting).chooser(plan, options)


def carry_out(sweeps: Sequence[tuple[Place, Plan]], options: ChoosingOptions) -> int:
    """Does those runs of a sweep that a policy chooses, and prints what they say.

    Args:
        sweeps: The results folder and the plan of the sweep.
        options: Of the command.

    Returns:
        0 where nothing more is to be chosen; 1 where runs are lacking; 130 where interrupted.

    Raises:
        ValueError: what `chooser_of` refuses, or runs that do not fit into memory.
    """
    chooser = chooser_of(sweeps, options)
    ((root, plan),) = sweeps
    if options.executor == "local":
        check_fits(plan, Store(root).is_published)
    decided = _decided(root, plan, chooser, options)
    if decided is None:
        return 0
    write_json(options.json, chooser.say(decided))
    summary = decided.summary
    if summary is not None and summary.interrupted:
        return 0 if summary.preempted else 130
    return 0 if decided.complete else 1


def _decided(root: Place, plan: Plan, chooser: Chooser, options: ChoosingOptions) -> Decided | None:
    """Decides and does runs; None where this goes on in the background."""
    from sweeps.progress import show_progress
    from sweeps.runner import run_sweeps

    engine = engines.engine_of(options, plan.name, [root])
    if engine == "background":
        return None

    def perform(stops: Stops) -> Summary:
        with show_progress() as progress:
            summary = run_sweeps(
                [(root, plan)],
                workers=options.workers,
                progress=progress,
                engine=engine,
                stops=stops,
            )
        show.print_summary(summary)
        return summary

    return run_deciding(Store.create(root), plan, chooser.policy, chooser.about, perform)
