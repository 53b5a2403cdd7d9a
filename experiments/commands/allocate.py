"""`scaling allocate`: a law and a budget -> the model to train, what it costs, and alternatives."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.planning.allocate import FAR, allocate, laws_of
from analysis.planning.allocation import Allocation
from analysis.planning.best_models import Family
from analysis.planning.device_prices import Accelerator, accelerator
from analysis.published import library
from analysis.published.allocating import allocate_published, family_of
from analysis.tables import results
from experiments.commands import fit_files
from experiments.commands.console import console, write_text
from experiments.commands.options.analyses import AllocateOptions
from experiments.commands.predict import WHICH
from sweeps.files import storing

_WAYS = (
    "give the budget in one way: --flops; or --hours with --gpu and --mfu; or --price with --gpu, "
    "--mfu and --dollars-per-hour"
)
_BELOW, _BEYOND = 100.0, 10.0  # drawn, in multiples of the budget or of the largest fitted
_N_BUDGETS = 31
_FACTORS = np.geomspace(0.125, 8.0, 49)  # in multiples of the optimal size


@dataclass(frozen=True)
class _Allocated:
    """An allocation, and the law behind it.

    Attributes:
        allocation: The allocation.
        origin: Which law, for the JSON file.
        largest_flops: Largest compute of the data behind the law; None where unknown.
        family: The law with its replicates, and the level of their intervals, once they are needed.
    """

    allocation: Allocation
    origin: Mapping[str, object]
    largest_flops: float | None
    family: Callable[[], tuple[Family, float]]


def run(options: AllocateOptions) -> int:
    """Allocates a budget by a fit or a published law; prints, writes and draws the allocation."""
    if (options.fit is None) == (options.law is None):
        raise ValueError(WHICH)
    device = _device(options)
    budget = _budget(device, options)
    found = _by_law(options, budget) if options.law is not None else _by_fit(options, budget)
    family = None if options.figure is None else found.family()
    console.print(found.allocation.summary(), soft_wrap=True)
    if device is not None:
        console.print(f"\n{_costs(device, found.allocation)}")
    if options.json is not None:
        write_text(options.json, _as_json(found, device))
    if family is not None:
        _draw(found, *family, Path(str(options.figure)))
    return 0


def _by_fit(options: AllocateOptions, budget: float) -> _Allocated:
    fitted = fit_files.read(str(options.fit))
    allocation = allocate(
        fitted.result,
        budget,
        inference_tokens=options.inference_tokens,
        unique_tokens=options.unique_tokens,
        largest_flops=fitted.largest_flops,
        far=options.far,
        cost=fitted.cost,
    )

    allocation = replace(allocation, notes=(*allocation.notes, *_below(allocation, fitted.ranges)))

    def family() -> tuple[Family, float]:
        return laws_of(fitted.result, options.unique_tokens, None, fitted.cost)

    origin = {"fit": {"path": str(fitted.path), "sha256": fitted.sha256}}
    return _Allocated(allocation, origin, fitted.largest_flops, family)


def _below(allocation: Allocation, ranges: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Notes on an optimum far below the rows of the fit."""
    optimum = {"N": allocation.parameters.value, "D": allocation.tokens.value}
    for name in ranges.keys() & optimum:
        least = ranges[name][0]
        if optimum[name] * FAR < least:
            yield (
                f"{name} = {optimum[name]:.4g} lies {least / optimum[name]:.3g} times below the "
                f"least {name} of the fit, {least:.4g}; the intervals assume that the law still "
                "holds there."
            )


def _by_law(options: AllocateOptions, budget: float) -> _Allocated:
    entry = library.find(str(options.law))
    allocation = allocate_published(
        entry,
        budget,
        curve=options.curve,
        inference_tokens=options.inference_tokens,
        unique_tokens=options.unique_tokens,
        far=options.far,
    )

    def family() -> tuple[Family, float]:
        return family_of(entry, options.curve, options.unique_tokens), math.nan

    origin = {"law": {"name": entry.name, "paper": entry.paper, "curve": options.curve}}
    return _Allocated(allocation, origin, None, family)


def _device(options: AllocateOptions) -> Accelerator | None:
    """The accelerator of the options; None where none is named.

    Raises:
        ValueError: Options that belong together, one of which is missing.
    """
    gpu, mfu, dollars_per_hour = options.gpu, options.mfu, options.dollars_per_hour
    if gpu is None and mfu is None and dollars_per_hour is None:
        return None
    if gpu is None or mfu is None:
        missing = "--gpu" if gpu is None else "--mfu"
        raise ValueError(
            f"{missing} is missing: hours and dollars follow from --gpu and --mfu together, e.g. "
            "--gpu h100 --mfu 0.4"
        )
    return accelerator(gpu, mfu, dollars_per_hour)


def _budget(device: Accelerator | None, options: AllocateOptions) -> float:
    """FLOPs of the one budget that is given.

    Raises:
        ValueError: No budget, more than one, or one without what turns it into FLOPs.
    """
    flops, hours, price = options.flops, options.hours, options.price
    given = {"--flops": flops, "--hours": hours, "--price": price}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise ValueError(f"{_WAYS}; given: {' and '.join(named) or 'none'}")
    if flops is not None:
        return flops
    if device is None or (price is not None and device.dollars_per_hour is None):
        raise ValueError(f"{named[0]} alone is no compute; {_WAYS}")
    if hours is None:
        assert price is not None
        hours = device.hours_for(price)
    return device.flops(hours)


def _costs(device: Accelerator, allocation: Allocation) -> str:
    """Returns hours and dollars of the trainings of an allocation."""
    lines = [f"training on {device.name} at {100 * device.mfu:g} % of its peak"]
    for name, flops in _trainings(allocation).items():
        dollars = device.dollars(flops)
        cost = "" if dollars is None else f"{dollars:>16,.0f} dollars"
        lines.append(f"{name:<21} {device.hours(flops):>14,.1f} hours{cost}")
    return "\n".join(lines)


def _trainings(allocation: Allocation) -> dict[str, float]:
    """FLOPs of each training by name."""
    trainings = {"compute-optimal": allocation.flops}
    if allocation.over_trained is not None:
        trainings["over-trained"] = allocation.over_trained.training_flops.value
    return trainings


def _as_json(found: _Allocated, device: Accelerator | None) -> str:
    """Returns an allocation, its costs and the law behind it as JSON."""
    costs = None
    if device is not None:
        costs = {
            "accelerator": device.name,
            "peak_flops": device.peak_flops,
            "mfu": device.mfu,
            "dollars_per_hour": device.dollars_per_hour,
            "training": {
                name: {"hours": device.hours(flops), "dollars": device.dollars(flops)}
                for name, flops in _trainings(found.allocation).items()
            },
        }
    values = {"allocation": found.allocation.to_dict(), "costs": costs, **found.origin}
    return json.dumps(values, indent=1, allow_nan=False)


def _draw(found: _Allocated, family: Family, level: float, stem: Path) -> None:
    """Draws the allocation, with the numbers shown in tables beside it."""
    from analysis.planning.allocation_curves import growth_table, penalty_table
    from analysis.plots import style
    from analysis.plots.allocation import allocation_figure

    budget, largest = found.allocation.flops, found.largest_flops
    known = (budget, budget if largest is None else largest)
    budgets = np.geomspace(min(known) / _BELOW, max(known) * _BEYOND, _N_BUDGETS)
    growth = growth_table(family, budgets, level=level, largest_flops=largest)
    penalty = penalty_table(family, budget, _FACTORS, level=level)
    drawing = allocation_figure(found.allocation, growth, penalty, largest)
    with storing(stem):
        written = style.save(drawing, stem)
        for name, table in (("growth", growth), ("penalty", penalty)):
            written.append(stem.with_name(f"{stem.name}.{name}.csv"))
            results.write(table, written[-1])
    console.print(f"{', '.join(map(str, written))}: written")
