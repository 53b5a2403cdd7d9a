"""Fits as files: what `scaling fit --json` or `FitResult.to_json` wrote, read back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from analysis.fitting.result import FitResult
from analysis.planning.paid_growth import counting_paid
from analysis.planning.training_cost import SIX_N_D, TrainingCost
from analysis.tables.files import loads, require_shallow

MOST_BYTES = 2**26
"""Most bytes of a fit: a hundred times those of 4,000 replicates of nine parameters."""


@dataclass(frozen=True)
class FitFile:
    """A fit, and what its file says about the rows behind it.

    Attributes:
        path: The file.
        sha256: Digest of its content.
        result: The fit; its derived growth counts compute as `cost` does.
        largest_flops: Largest compute of the rows, counted as `cost` does; None where unknown.
        ranges: Least and largest value of each input; empty where unknown.
        cost: What training a size cost the rows; 6 N D where the file does not say.
    """

    path: Path
    sha256: str
    result: FitResult
    largest_flops: float | None
    ranges: Mapping[str, tuple[float, float]]
    cost: TrainingCost = SIX_N_D


def read(path: str) -> FitFile:
    """Reads a fit.

    Raises:
        ValueError: No such file, or one that holds no fit.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"{path}: no such file. Give a file that holds a fit; `scaling fit TABLE --law LAW "
            f"--json {path}` writes one"
        )
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(
            f"{path} is larger than {MOST_BYTES >> 20} MiB, which no fit is. Give a file that "
            "`scaling fit TABLE --law LAW --json FILE` writes"
        )
    content = file.read_bytes()
    require_shallow(file, content)
    try:
        values = loads(content)
        fitted = values["fit"] if isinstance(values, dict) and "fit" in values else values
        result = FitResult.from_dict(fitted)
        source = _mapping(values, "source") if fitted is not values else {}
        ranges = {
            name: (float(low), float(high))
            for name, (low, high) in _mapping(source, "range").items()
        }
        cost = _cost(source)
        if (middle := source.get("middle_flops")) is not None:
            result = replace(result, law=counting_paid(result.law, cost, float(middle)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} holds no fit that this version reads ({str(error).rstrip('.')}). Give a file "
            "that `scaling fit TABLE --law LAW --json FILE` writes"
        ) from None
    largest = source.get("largest_flops")
    return FitFile(
        file,
        sha256(content).hexdigest(),
        result,
        None if largest is None else float(largest),
        ranges,
        cost,
    )


def _cost(source: Mapping[str, Any]) -> TrainingCost:
    """Returns the cost that a file states; 6 N D for files of before there was one."""
    found = _mapping(source, "cost")
    if not found:
        return SIX_N_D
    low, high = map(float, found["sizes"])
    names = ("per_product", "extra", "power", "misfit")
    cost = TrainingCost(*(float(found[name]) for name in names), sizes=(low, high))
    if not (0 < cost.power <= 1 and cost.per_product > 0 and 0 < low <= high < math.inf):
        raise ValueError(f"'cost' is {found!r}, which is no cost of training.")
    if not np.all(cost.ratio(np.log([low, high])) > 0):
        raise ValueError(f"'cost' is {found!r}, which is not positive at its sizes.")
    return cost


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{name!r} is {found!r}, not an object.")
    return found
