"""Published trainings that the plan is held against."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from analysis.errors import nearest_name
from analysis.parallelism import devices
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Layout, Recipe
from analysis.parallelism.plan import Plan, plan
from analysis.parallelism.shape import TransformerShape

_FILE = Path(__file__).with_name("published_runs.toml")


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """A training as its paper describes it.

    Attributes:
        name: Its name.
        shape: The model.
        device: The accelerator, with the links that this run had.
        layout: Devices along each axis.
        recipe: How a step was computed.
        utilisation: The share of the peak that was reported.
        counted: Which FLOPs it counts: the model's, or those of the hardware with recomputation.
        sets: The constant of `step_time` that this run set; "" where it is predicted, "nothing"
            where the plan misses it for a reason that `note` gives.
        source: Paper and table.
        note: What the paper does not say, and what stands in its place; may be empty.
    """

    name: str
    shape: TransformerShape
    device: Device
    layout: Layout
    recipe: Recipe
    utilisation: float
    counted: Literal["model", "hardware"]
    sets: str
    source: str
    note: str

    def plan(self) -> Plan:
        """Returns the plan of its set-up."""
        return plan(self.shape, self.device, self.layout, self.recipe)

    def planned_utilisation(self) -> float:
        """Returns the utilisation by the plan, counted as reported."""
        of = self.plan()
        return of.utilisation if self.counted == "model" else of.hardware_utilisation


def predicted_runs() -> tuple[PublishedRun, ...]:
    """Returns the runs that the plan is held against."""
    return tuple(run for run in published_runs().values() if not run.sets)


@cache
def published_runs() -> Mapping[str, PublishedRun]:
    """Returns all runs by name."""
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _run(name, row) for name, row in table.items()}


def find(name: str) -> PublishedRun:
    """Returns a run by name.

    Raises:
        ValueError: An unknown name, with the nearest.
    """
    known = published_runs()
    if name not in known:
        raise ValueError(f"no published run {name!r}: {nearest_name(name, known)}")
    return known[name]


def _run(name: str, row: Mapping[str, Any]) -> PublishedRun:
    device = devices.find(row["device"])
    if "between" in row:
        device = replace(device, between=row["between"])
    return PublishedRun(
        name=name,
        shape=TransformerShape(**row["shape"]),
        device=device,
        layout=Layout(**row["layout"]),
        recipe=Recipe(**row["recipe"]),
        utilisation=row["utilisation"],
        counted=row["counted"],
        sets=row.get("sets", ""),
        source=row["source"],
        note=row.get("note", ""),
    )
