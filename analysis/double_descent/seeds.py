"""Runs grouped by size, resampled over seeds, and the intervals that follow.

Input columns are long: one row a run, with its `size`, its `seed` label and its metrics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from analysis.estimate import Bootstrap, Floats
from analysis.guards import DROP_ROWS, finite, positive

Statistic = Literal["mean", "median"]
IntArray = NDArray[np.intp]


def _median(values: Floats, axis: int) -> Floats:
    """Medians of many short rows; `np.median` takes ten times as long for 20 runs."""
    ordered, n = np.moveaxis(np.sort(values, axis=axis), axis, -1), values.shape[axis]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2


_CENTRES = {"mean": np.mean, "median": _median}


@dataclass(frozen=True)
class Replicates:
    """Runs grouped by size, in ascending order of size and then of seed label.

    Attributes:
        sizes: Distinct sizes, ascending, shape (n_sizes,).
        seeds: For each size the codes (0 .. n_labels - 1) of the seed labels that ran there.
        values: For each metric name, one array of run values for each size, aligned with `seeds`.
        n_labels: Number of distinct seed labels over all sizes.
    """

    sizes: Floats
    seeds: tuple[IntArray, ...]
    values: dict[str, tuple[Floats, ...]]
    n_labels: int

    @property
    def counts(self) -> IntArray:
        """Runs at each size, shape (n_sizes,)."""
        return np.array([len(codes) for codes in self.seeds], dtype=np.intp)


def group_by_size(size: ArrayLike, seed: ArrayLike, **metrics: ArrayLike) -> Replicates:
    """Groups columns with one row a run by size.

    Args:
        size: Size of each run (width, N/n, ...), positive, shape (n_runs,).
        seed: Seed label of each run, any sortable type, shape (n_runs,).
        **metrics: Named metric columns, each of shape (n_runs,).

    Returns:
        The runs by size; the order of the rows makes no difference.

    Raises:
        ValueError: If columns differ in length, a size is not positive, a value is not finite, or a
            (size, seed) pair occurs twice.
    """
    sizes = positive("size", size, f"sizes are compared by their logarithm; {DROP_ROWS}")
    labels = np.asarray(seed)
    columns = {name: finite(name, values, DROP_ROWS) for name, values in metrics.items()}
    shapes = {"size": sizes.shape, "seed": labels.shape} | {k: v.shape for k, v in columns.items()}
    if sizes.ndim != 1 or len(sizes) == 0 or len(set(shapes.values())) != 1:
        raise ValueError(
            f"columns have shapes {shapes}; give non-empty 1-D columns of the same length, "
            "one row for each run"
        )
    codes = np.unique(labels, return_inverse=True)[1]
    distinct, rows = np.unique(sizes, return_inverse=True)
    order = np.lexsort((codes, rows))
    rows, codes = rows[order], codes[order]
    repeated = (np.diff(rows) == 0) & (np.diff(codes) == 0)
    if np.any(repeated):
        at = order[np.flatnonzero(repeated)[0]]
        raise ValueError(
            f"size {sizes[at]:g} with seed {labels[at]!s} occurs more than once "
            f"({repeated.sum()} repeats in all): drop the duplicates or give each run its own label"
        )
    cuts = np.searchsorted(rows, np.arange(1, len(distinct)))
    return Replicates(
        sizes=distinct,
        seeds=tuple(np.split(codes, cuts)),
        values={name: tuple(np.split(v[order], cuts)) for name, v in columns.items()},
        n_labels=int(codes.max()) + 1,
    )


def resample(replicates: Replicates, bootstrap: Bootstrap) -> tuple[IntArray, ...]:
    """Draws the runs of each size for a bootstrap over seeds.

    Seed labels are drawn with replacement once for all sizes: a drawn label brings its runs at
    every size, which keeps the dependence between sizes (shared data, shared label noise).
    Where a drawn label has no run at a size, a run of that size is drawn instead: labels used at
    one size only are therefore resampled independently at each size.

    Args:
        replicates: Runs by size.
        bootstrap: Number of replicates and seed; the same seed gives the same draws for every
            metric.

    Returns:
        For each size an index array of shape (n_replicates, n_runs_at_size).
    """
    rng = np.random.default_rng(bootstrap.seed)
    counts = replicates.counts
    drawn = rng.integers(replicates.n_labels, size=(bootstrap.n, counts.max()))
    result = []
    for codes, count in zip(replicates.seeds, counts, strict=True):
        if count == replicates.n_labels:  # every label has a run here
            result.append(drawn)
            continue
        row_of_label = np.full(replicates.n_labels, -1, dtype=np.intp)
        row_of_label[codes] = np.arange(count)
        rows = row_of_label[drawn[:, :count]]
        absent = rows < 0
        rows[absent] = rng.integers(count, size=int(absent.sum()))
        result.append(rows)
    return tuple(result)


def centre(values: tuple[Floats, ...], statistic: Statistic) -> Floats:
    """Returns the mean or median over the runs at each size, shape (n_sizes,)."""
    if statistic not in _CENTRES:
        raise ValueError(f"statistic is {statistic!r}: choose one of {', '.join(_CENTRES)}")
    return over_runs(_CENTRES[statistic], values)


def centres_of(samples: Sequence[Floats], statistic: Statistic) -> Floats:
    """Returns centres (n_samples, n_sizes) of samples (n_samples, n_runs) at each size."""
    return over_runs(_CENTRES[statistic], samples)


def over_runs(of: Callable[..., Floats], values: Sequence[Floats]) -> Floats:
    """A statistic over the last axis, the runs, of the values at each size; sizes come last.

    Sizes with as many runs are one call.
    """
    alike = len({each.shape for each in values}) == 1
    found = of(np.stack(values), axis=-1) if alike else [of(each, axis=-1) for each in values]
    return np.ascontiguousarray(np.moveaxis(np.asarray(found), 0, -1))


def resampled_centre(
    values: tuple[Floats, ...], draws: tuple[IntArray, ...], statistic: Statistic
) -> Floats:
    """Returns the mean or median over resampled runs, shape (n_replicates, n_sizes)."""
    drawn = [each[rows] for each, rows in zip(values, draws, strict=True)]
    return centres_of(drawn, statistic)


def stretch(n_seeds: int, level: float, n_sizes: int = 1) -> float:
    """Returns the factor by which deviations between resamples of few seeds are too small.

    sqrt(n / (n - 1)) restores the variance that resampling n values loses; t / z, Student's over
    the normal quantile, allows for that variance being itself an estimate: 2.7 for three seeds, 1.1
    for twenty at level 0.95. Hesterberg, arXiv:1411.5279, makes the same correction through the
    quantile levels; stretching also reaches beyond the observed values, which three seeds need.

    Args:
        n_seeds: Seeds at a size, at least 2.
        level: Nominal coverage.
        n_sizes: Number of sizes compared; t has n_sizes * (n_seeds - 1) degrees of freedom.
    """
    upper = (1 + level) / 2
    student = special.stdtrit(n_sizes * (n_seeds - 1), upper) / special.ndtri(upper)
    return float(np.sqrt(n_seeds / (n_seeds - 1)) * student)
