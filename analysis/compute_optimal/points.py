"""Runs grouped into curves of loss over x: the points of each curve, and their seed noise."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import positive, positive_column, require_tolerance

_LEAST_NOISE, _MOST_NOISE = 1e-50, 1e50  # weights are its square, inverted

NoiseSource = Literal["given", "repeats", "residuals"]
"""Source of the noise of a run: the caller, runs repeated at one point, or the scatter of points
about the parabolas of all curves, which includes the misfit of the parabolas."""


@dataclass(frozen=True, eq=False)
class SeedNoise:
    """The noise of the loss of a run over seeds, as far as a caller knows it.

    Attributes:
        sd: Standard deviation: a number for all runs, or one a run, shape `(n_runs,)`.
        degrees_of_freedom: Degrees of freedom of the estimate `sd`; infinite where it is exact.
    """

    sd: ArrayLike
    degrees_of_freedom: float = np.inf


@dataclass(frozen=True, eq=False)
class Points:
    """The runs of one curve, one point for each x, in ascending order of x.

    Attributes:
        group: What the runs have in common, such as a compute budget: geometric mean over x.
        x: Position of each point along the curve, such as its parameters, shape `(n_points,)`.
        other: Another quantity, such as tokens: geometric mean over repeats, shape `(n_points,)`;
            None where there is none.
        loss: Mean over repeats, shape `(n_points,)`.
        counts: Runs behind each mean, shape `(n_points,)`.
        squares: Sum of squared deviations of the runs from these means.
        noise: Standard deviation of each mean where the noise of runs was given, shape
            `(n_points,)`; None where it was not.
    """

    group: float
    x: Floats
    other: Floats | None
    loss: Floats
    counts: Floats
    squares: float
    noise: Floats | None


@dataclass(frozen=True)
class KnownNoise:
    """The noise of the loss of one run, and its source.

    Attributes:
        source: Source of `sd`.
        sd: Standard deviation, in units of the loss; None where it was given, and may differ from
            run to run.
        degrees_of_freedom: Degrees of freedom of `sd`; infinite where it was given as exact.
    """

    source: NoiseSource
    sd: float | None
    degrees_of_freedom: float

    def of_means(self, points: Points) -> Floats:
        """Returns the standard deviation of the mean loss of each point, shape `(n_points,)`."""
        if points.noise is not None:
            return points.noise
        assert self.sd is not None
        return self.sd / np.sqrt(points.counts)


def group_points(
    x: ArrayLike,
    loss: ArrayLike,
    group: ArrayLike,
    *,
    other: ArrayLike | None = None,
    noise: SeedNoise | None = None,
    tolerance: float = 0.1,
) -> tuple[Points, ...]:
    """Groups rows, one a run, into curves.

    Rows belong to one curve if their groups lie within a factor `1 + tolerance`. Rows of one curve
    and x are repeats: their losses are averaged. From a hyper-parameter sweep take the best run of
    each x before the call.

    Args:
        x: Position of each run along its curve, such as its parameters, shape `(n_runs,)`.
        loss: Loss of each run, shape `(n_runs,)`.
        group: Curve that each run belongs to, such as its FLOPs, shape `(n_runs,)`.
        other: Another quantity of each run, such as its tokens, shape `(n_runs,)`.
        noise: Noise of the loss over seeds; its `sd` a number, or shape `(n_runs,)`.
        tolerance: Relative difference of the groups within a curve.

    Returns:
        The curves, in ascending order of group; the order of the rows makes no difference.

    Raises:
        ValueError: Columns of different lengths, a value that is not positive and finite, or
            groups that cannot be separated.
    """
    sizes = positive_column("x", x)
    groups = positive_column("group", group, len(sizes))
    others = np.ones(len(sizes)) if other is None else positive_column("other", other, len(sizes))
    columns = [groups, sizes, others, positive_column("loss", loss, len(sizes))]
    if noise is not None:
        columns.append(spread_of(noise, len(sizes)))
    require_tolerance(tolerance)

    table = np.stack(columns)
    # By every column, so that sums too come out the same to the last bit in any order of rows.
    table = table[:, np.lexsort(table[::-1])]
    cuts = np.flatnonzero(np.diff(np.log(table[0])) > np.log1p(tolerance)) + 1
    parts = np.split(table, cuts, axis=1)
    for part in parts:
        if part[0, -1] > part[0, 0] * (1 + tolerance) * (1 + 1e-12):
            raise ValueError(
                f"The budgets cannot be separated: from {part[0, 0]:.6g} to {part[0, -1]:.6g} no "
                f"gap is wider than the tolerance, {tolerance:g}. Give the nominal budgets, or a "
                "smaller tolerance."
            )
    return tuple(_points(part, with_other=other is not None) for part in parts)


def spread_of(noise: SeedNoise, n_runs: int) -> Floats:
    """Returns the standard deviation of each run's loss, checked, shape `(n_runs,)`."""
    if np.ndim(noise.sd) > 0:
        return positive_column("noise", noise.sd, n_runs)
    remedy = "give the standard deviation of a loss over seeds, e.g. 0.01"
    sd = positive("noise", noise.sd, remedy)
    if not _LEAST_NOISE <= sd <= _MOST_NOISE:
        raise ValueError(
            f"noise = {float(sd):g}, but it is between {_LEAST_NOISE:g} and {_MOST_NOISE:g}: "
            f"{remedy}."
        )
    return np.full(n_runs, sd)


def _points(table: Floats, *, with_other: bool) -> Points:
    """The points of rows (group, x, other, loss[, noise]), shape `(n_columns, n_rows)`."""
    sizes, at, counts = np.unique(table[1], return_inverse=True, return_counts=True)

    def mean(column: Floats) -> Floats:
        return np.bincount(at, column) / counts

    loss, log_ratio = mean(table[3]), np.log(table[0] / table[0, 0])
    given = len(table) == 5
    return Points(
        # Points count alike: one with more repeats must not pull the group towards itself.
        group=float(table[0, 0] * np.exp(np.mean(mean(log_ratio)))),
        x=sizes,
        other=np.exp(mean(np.log(table[2]))) if with_other else None,
        loss=loss,
        counts=counts.astype(np.float64),
        squares=float(np.sum((table[3] - loss[at]) ** 2)),
        noise=np.sqrt(mean(table[4] ** 2) / counts) if given else None,
    )
