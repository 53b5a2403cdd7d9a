"""What sweeps would cost, what of this machine is known, and how near a prediction came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict

from analysis.planning.device_prices import accelerator
from experiments.commands.console import Justify, console, print_table, write_json
from experiments.commands.options.training import CostOptions
from experiments.shared.words import several, shown_bytes, shown_seconds
from scaling.record import RunRecord
from sweeps.accelerators import accelerators
from sweeps.costs import Cost, check_fits, cost_of
from sweeps.executors.local import usable_cores
from sweeps.plan import Plan
from sweeps.speeds import Speeds, seconds_of

_MFU = 0.4  # where none is given
_RIGHT: tuple[Justify, ...] = ("right",) * 9
_SIDES: tuple[Justify, ...] = ("left", *_RIGHT)


def print_plans(plans: Sequence[tuple[Plan, Collection[str]]], options: CostOptions) -> None:
    """Prints what is not done of sweeps, what it takes, and on an accelerator its price.

    Args:
        plans: Each with the runs of it that are done.
        options: Of the command.

    Raises:
        ValueError: a run that does not fit this machine, once all else is printed; or an unknown
            accelerator.
    """
    device = None
    if options.gpu is not None:
        device = accelerator(
            options.gpu, _MFU if options.mfu is None else options.mfu, options.dollars_per_hour
        )
    speeds = Speeds.load()
    if options.calibrate:
        from sweeps.calibration import calibrate

        for plan, _ in plans:
            speeds = calibrate(plan, speeds)
        speeds.save()
    workers = _workers()
    costs = [cost_of(plan, done, speeds, workers) for plan, done in plans]
    rows = [_row(plan, cost) for (plan, _), cost in zip(plans, costs, strict=True)]
    print_table(
        (
            *("sweep", "runs", "done", "shapes", "FLOPs", "6 N D", "memory a run"),
            *("core-seconds", "time", "disk"),
        ),
        rows,
        _SIDES,
    )
    sweeps = [
        {"name": plan.name, "plan_id": plan.plan_id, "runs": len(plan.runs), "done": len(done)}
        | asdict(cost)
        for (plan, done), cost in zip(plans, costs, strict=True)
    ]
    write_json(options.json, {"sweeps": sweeps})
    for (plan, _), cost in zip(plans, costs, strict=True):
        _say_of(plan, cost)
        if device is not None:
            hours, dollars = device.hours(cost.flops_left), device.dollars(cost.flops_left)
            price = "" if dollars is None else f", {dollars:,.2f} dollars"
            console.print(
                f"{plan.name}: {hours:.3g} hours of {device.name} at {100 * device.mfu:g} % of its "
                f"peak{price}"
            )
    if not all(cost.is_measured for cost in costs) and device is None:
        console.print("Times are guesses, since nothing alike was run here: --calibrate measures.")
    if device is None:
        for plan, done in plans:
            check_fits(plan, done.__contains__)


def learn(plan: Plan, before: Sequence[RunRecord], after: Sequence[RunRecord]) -> None:
    """Says how long the runs of a command took beside what was predicted, and remembers it."""
    was_done = {record.run_id for record in before if record.status == "done"}
    new = [
        (config, run.group, record)
        for config, run, record in zip(plan.configs, plan.runs, after, strict=True)
        if record.status == "done" and record.run_id not in was_done
    ]
    taken = [seconds for _, _, record in new if (seconds := seconds_of(record)) is not None]
    if not taken:
        return
    speeds = Speeds.load()
    others = {run.run_id for run in plan.runs} - {record.run_id for _, _, record in new}
    cost, actual = cost_of(plan, others, speeds, _workers()), sum(taken)
    took = f"{plan.name}: {several(len(taken), 'run')} took {actual:.3g} core-seconds"
    if cost.is_measured:  # a guess taught nothing
        off = cost.seconds / actual - 1
        took += f"; the prediction was {cost.seconds:.3g} ({100 * off:+.0f} %)"
    console.print(took)
    try:
        speeds.learning(new).save()
    except ValueError as error:  # a cache that cannot be written costs only the next prediction
        console.print(f"{plan.name}: {error}")


def _workers() -> int:
    found = accelerators()
    return len(usable_cores()) if found is None else found.places(1)


def _row(plan: Plan, cost: Cost) -> tuple[str, ...]:
    by_rule = cost.flops_6n_total_d
    return (
        plan.name,
        f"{len(plan.runs):,}",
        f"{len(plan.runs) - cost.n_left:,}",
        f"{plan.n_groups:,}",
        f"{cost.flops:.2g}",
        "" if by_rule is None else f"{by_rule:.2g}",
        shown_bytes(cost.peak_bytes),
        f"{'' if cost.is_measured else '~'}{cost.seconds:.0f}",
        f"{'' if cost.is_measured else '~'}{shown_seconds(cost.wall_seconds)}",
        shown_bytes(cost.disk_bytes),
    )


def _say_of(plan: Plan, cost: Cost) -> None:
    """Says what trunks save, and what Kaplan's count of FLOPs is."""
    if saved := plan.flops_saved:
        share = saved / (plan.flops + saved)
        console.print(
            f"{plan.name}: Shared prefixes are trained once: saves {saved:.2g} FLOPs "
            f"({100 * share:.0f} %)."
        )
    kaplan = cost.flops_6n_non_embedding_d
    if kaplan is not None and kaplan != cost.flops_6n_total_d:
        console.print(f"{plan.name}: {kaplan:.2g} FLOPs as 6 N D without embeddings.")
