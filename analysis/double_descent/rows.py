"""The rows of one curve, checked: one run a row with its size, metrics and seed.

Curves with very many sizes, such as histories over epochs, are averaged over even steps of log
size, so that noise is judged between points that differ.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import DROP_ROWS, finite, positive_column

MOST_SIZES = 48
"""Sizes above which neighbours are averaged."""
MOST = 1e100
"""Largest magnitude of a value; its inverse is the smallest but 0."""


class RunsNotToldApart(ValueError):
    """A size occurs in several rows, and no column of seeds says which run each belongs to."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Rows of one curve, each column of shape (n_rows,).

    Attributes:
        size: Size (width, parameters, epochs, samples, ...), positive.
        test: Test metric.
        seed: Codes of the seeds, 0, 1, ...
        weight: How many rows each is the mean of.
        train: Train metric; None where there is none.
        best: Test metric of each run when stopped early; None where there is none.
        n_averaged: Sizes before neighbours were averaged.
    """

    size: Floats
    test: Floats
    seed: Floats
    weight: Floats
    train: Floats | None
    best: Floats | None
    n_averaged: int

    @property
    def n_seeds(self) -> int:
        """Distinct seeds."""
        return len(np.unique(self.seed))

    @property
    def fewest_seeds(self) -> int:
        """Runs at the size that has fewest."""
        return int(np.unique(self.size, return_counts=True)[1].min())

    @property
    def size_of_fewest(self) -> float:
        """The first such size."""
        sizes, counts = np.unique(self.size, return_counts=True)
        return float(sizes[np.argmin(counts)])


def curve_rows(
    size: ArrayLike,
    test: ArrayLike,
    seed: ArrayLike | None = None,
    *,
    train: ArrayLike | None = None,
    best: ArrayLike | None = None,
    most: int = MOST_SIZES,
) -> Curve:
    """Checks the rows of a curve and averages neighbours where there are very many sizes.

    Args:
        size: Size of each row, positive, shape (n_rows,).
        test: Test metric, shape (n_rows,).
        seed: Seed label, shape (n_rows,); None for one curve.
        train: Train metric, shape (n_rows,).
        best: Test metric of each run when stopped early, shape (n_rows,).
        most: Sizes above which neighbours are averaged.

    Raises:
        ValueError: Columns of unlike length, values that are not finite or beyond 1e100, fewer
            than 3 sizes, or a size that occurs twice with one seed.
        RunsNotToldApart: A size occurs twice, and there are no seeds.
    """
    sizes = positive_column("size", size)
    columns = {"test": test, "train": train, "best": best}
    metrics = {
        name: finite(name, values, DROP_ROWS)
        for name, values in columns.items()
        if values is not None
    }
    for name, values in {"size": sizes, **metrics}.items():
        _require_magnitude(name, values)
    labels = np.zeros(len(sizes)) if seed is None else np.asarray(seed)
    for name, values in {**metrics, "seed": labels}.items():
        if values.shape != sizes.shape:
            raise ValueError(
                f"{name} has shape {values.shape}, not {sizes.shape}: give columns of the same "
                "length"
            )
    codes = np.unique(labels, return_inverse=True)[1].astype(np.float64)
    _require_runs(sizes, codes, seed is not None)
    distinct = np.unique(sizes)
    if len(distinct) < 3:
        n = "1 distinct size is" if len(distinct) == 1 else f"{len(distinct)} distinct sizes are"
        raise ValueError(f"{n} too few: a curve needs 3. Add sizes.")
    place = sizes
    if len(distinct) > most:
        logs = np.log(distinct)
        bins = np.floor((logs - logs[0]) / (logs[-1] - logs[0]) * most).clip(0, most - 1)
        means = {b: np.exp(logs[bins == b].mean()) for b in np.unique(bins)}
        place = np.array([means[b] for b in bins[np.searchsorted(distinct, sizes)]])
    cells, rows = np.unique(np.stack([place, codes]), axis=1, return_inverse=True)
    rows, weight = rows.ravel(), np.bincount(rows.ravel()).astype(np.float64)
    means = {name: np.bincount(rows, values) / weight for name, values in metrics.items()}
    return Curve(
        cells[0], means["test"], cells[1], weight,
        means.get("train"), means.get("best"), len(distinct),
    )  # fmt: skip


def _require_magnitude(name: str, values: Floats) -> None:
    """Refuses values whose squares and exponentials would leave the range of float64."""
    wrong = np.flatnonzero((np.abs(values) > MOST) | ((values != 0) & (np.abs(values) < 1 / MOST)))
    if len(wrong):
        raise ValueError(
            f"{name}[{wrong[0]}] = {values[wrong[0]]:g}, but a value other than 0 lies between "
            f"{1 / MOST:g} and {MOST:g} in magnitude: give it in a unit that suits it"
        )


def _require_runs(sizes: Floats, codes: Floats, has_seeds: bool) -> None:
    pairs, counts = np.unique(np.stack([sizes, codes]), axis=1, return_counts=True)
    if counts.max() == 1:
        return
    at = int(np.argmax(counts > 1))
    if has_seeds:
        raise ValueError(
            f"size {pairs[0, at]:g} occurs {counts[at]} times with one seed: give every run its "
            "own seed, or take repeats out"
        )
    raise RunsNotToldApart(
        f"size {pairs[0, at]:g} occurs {counts[at]} times, but no column tells runs apart: name "
        "that of the seeds, or that of the group that each row belongs to"
    )
