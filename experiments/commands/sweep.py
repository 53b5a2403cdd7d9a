"""`scaling sweep`: a sweep declared on the command line or in a file, run as an experiment is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import tyro

from experiments import catalogue
from experiments.commands import choosing
from experiments.commands import run as commands
from experiments.commands.console import console
from experiments.commands.jobs import Job
from experiments.commands.options.shared import refusal
from experiments.commands.options.training import ExtendOptions, SweepOptions
from experiments.shared.swept import experiment_of
from sweeps import sweep_file
from sweeps.axes import split
from sweeps.declared import Declaration, check_name, configs_of, extended
from sweeps.files import names
from sweeps.places import Place, place, shown
from sweeps.plan import make_plan
from sweeps.store import Store

BUDGET = "sweep"
"""What reports call the size of a sweep, which has but one."""


def run(options: SweepOptions) -> int:
    """Declares a sweep, and runs it as `scaling run` does; with `--plan` prints its plan alone.

    Returns:
        What `commands.run` returns.
    """
    declared, ignored = declaration(options)
    job = job_of(declared, options.results)
    _check_place(declared.name, place(options.results))
    if ignored:
        console.print(f"--from {options.source}: has no meaning here: {', '.join(ignored)}")
    chooses = choosing.is_asked(options)
    if options.plan:
        if chooses:  # what cannot be chosen by is said before its cost
            choosing.chooser_of([(job.root, job.plan)], options)
        return commands.print_plan([job], options)
    if chooses:
        return choosing.carry_out([(job.root, job.plan)], options)
    return commands.carry_out(job.experiment, [job], options)


def extend(options: ExtendOptions) -> int:
    """Runs more values of a sweep, as `run` does; its plans and runs stay.

    Raises:
        ValueError: the folder has no sweep that a command declared, or nothing is added.
    """
    store = Store.open(options.folder)
    commands_of = [plan.command for plan in store.plans() if plan.command is not None]
    if not commands_of:
        raise ValueError(
            f"{options.folder} holds no sweep that `scaling sweep` made. The runs of an experiment "
            "are those that its file declares"
        )
    declared = [declared_by(command) for command in commands_of]
    largest = max(declared, key=lambda each: len(configs_of(each)))
    job = job_of(extended(largest, options.grid, options.draws), str(store.root.parent))
    if options.plan:
        return commands.print_plan([job], options)
    return commands.carry_out(job.experiment, [job], options)


def declaration(options: SweepOptions) -> tuple[Declaration, tuple[str, ...]]:
    """The sweep that options declare, over what a file declares, and keys of the file left aside.

    Raises:
        ValueError: no name, a file that is none, or numbers of what is drawn where nothing is.
    """
    found = sweep_file.SweepFile({})
    if options.source is not None:
        found = sweep_file.read(options.source)
    own = {
        name: value
        for name, value in vars(options).items()
        if name in Declaration.__dataclass_fields__ and value not in (None, ())
    }
    kinds = [
        f"{name}={kind}"
        for name in ("model", "data", "train")
        if (kind := getattr(options, name)) is not None
    ]
    own["set"] = (*kinds, *own.get("set", ()))
    merged = _over(found.declared, own)
    if not merged.get("name"):
        raise ValueError("the sweep has no name: give --name, which names its results folder")
    # A file may declare what is drawn, which options alone (`Of`) do not know.
    for name, owners in (("draws", ("draw",)), ("random_seed", ("draw", "sample"))):
        if name in own and not any(merged.get(each) for each in owners):
            raise refusal(f"--{name.replace('_', '-')}", [f"--{each}" for each in owners])
    declared = Declaration(**merged)
    check_name(declared.name)
    return declared, found.ignored


def _over(declared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a file declares with what a command declares, which wins where both name a field."""
    named = {split(text)[0] for texts in own.values() if isinstance(texts, tuple) for text in texts}
    kept = {
        name: tuple(each for each in value if split(each)[0] not in named)
        if isinstance(value, tuple)
        else value
        for name, value in declared.items()
    }
    return kept | {
        name: (*kept.get(name, ()), *value) if isinstance(value, tuple) else value
        for name, value in own.items()
    }


def job_of(declared: Declaration, results: str) -> Job:
    """A sweep as the one part of an experiment; its report lies under the identity of its plan."""
    configs = configs_of(declared)
    plan = replace(make_plan(declared.name, configs), command=declared.command())
    root = place(results) / declared.name
    return Job(
        experiment=experiment_of(declared.name, configs, declared.axes()),
        plan=plan,
        root=root,
        folder=shown(root) / "reports" / f"{BUDGET}-{plan.plan_id[:8]}",
        budget=BUDGET,
        overrides=(),
    )


def declared_by(command: str) -> Declaration:
    """The sweep that a command declares, as a plan keeps it.

    Raises:
        ValueError: it is no such command.
    """
    words = shlex.split(command)
    if words[:2] != ["scaling", "sweep"]:
        raise ValueError(f"{command[:80]!r} declares no sweep")
    options = tyro.cli(_Command, args=words[2:], use_underscores=False).options
    return declaration(options)[0]


@dataclass(frozen=True)
class _Command:
    options: tyro.conf.OmitArgPrefixes[SweepOptions]


def _check_place(name: str, results: Place) -> None:
    """Refuses a results folder of another sweep: an experiment's, or one that differs in case."""
    if name in catalogue.names():
        raise ValueError(
            f"--name {name}: an experiment has this name, and its runs this folder. Give another"
        )
    twins = [each for each in names(results) if each.lower() == name.lower()]
    if twin := next((twin for twin in twins if twin != name), None):
        raise ValueError(
            f"--name {name}: {results / twin} differs from it in case alone, and is the same "
            f"folder on some machines. Give {twin}, or another name"
        )
