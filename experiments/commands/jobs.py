"""Jobs: the parts of an experiment at one size, each with its plan and its folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.commands.options.training import PlanOptions
from experiments.experiment import Experiment, Gathering
from scaling.fields import nearest
from sweeps.places import Place, place, shown
from sweeps.plan import Plan, empty_plan, make_plan
from sweeps.space import Folded, folded, overridden


@dataclass(frozen=True)
class Job:
    """One experiment at one size: its plan, its results folder and where its report goes.

    `folded` says which of its runs the overrides made equal, if any.
    """

    experiment: Experiment
    plan: Plan
    root: Place
    folder: Path
    budget: str
    overrides: Sequence[str]
    folded: Folded | None = None


def jobs_for(experiment: Experiment | Gathering, options: PlanOptions) -> list[Job]:
    """Resolves a command into jobs, without spending or writing anything.

    Reports of a declared size lie under its name; those of any other sweep under the name of the
    size and the plan's identity.

    Raises:
        ValueError: No such budget, or an override that a run cannot take.
    """
    budget, overrides = options.budget, options.overrides
    jobs = []
    for part in experiment.parts:
        name = part.name
        if budget not in part.sweep:
            raise ValueError(f"{name}: no budget {budget!r}; {nearest(budget, part.sweep)}")
        if part.facts is not None:
            jobs.append(_untrained(part, options))
            continue
        configs = part.sweep[budget]()
        declared = plan = make_plan(name, configs)
        fewer = None
        if overrides:
            try:
                changed = overridden(configs, overrides)
                plan, fewer = make_plan(name, changed), folded(configs, changed)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        label = budget if plan == declared else f"{budget}-{plan.plan_id[:8]}"
        results = place(options.results)
        folder = shown(results) / name / "reports" / label
        root = results / part.runs_of
        jobs.append(Job(part, plan, root, folder, budget, overrides, fewer))
    return jobs


def _untrained(part: Experiment, options: PlanOptions) -> Job:
    """The job of an experiment of facts, which has no runs."""
    if options.overrides:
        raise ValueError(
            f"{part.name}: --set {' --set '.join(options.overrides)} has no run to change, since "
            "nothing is trained: leave it out"
        )
    root = place(options.results) / part.name
    folder = shown(root) / "reports" / options.budget
    return Job(part, empty_plan(part.name), root, folder, options.budget, ())
