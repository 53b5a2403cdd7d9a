"""Published constants, judged by the objective that they are said to minimise.

Constants that were rounded, or whose search stopped early, have a larger objective than the best
fit. An audit evaluates both.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Bootstrap
from analysis.fitting.engine.coordinates import require_known, require_value
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.fitting.engine.problem import pose
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws.law import Law

TOLERANCE = 1e-3
"""Share of the objective that constants may lose, for instance to rounding, and be the optimum."""


def objective_of(
    law: Law,
    params: Mapping[str, float],
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    loss: Loss = Loss(),
) -> float:
    """Returns the objective of a fit at given constants: the weighted sum of losses of the rows.

    Args:
        law: The law.
        params: A value for each parameter, in the units of x and y.
        x: Inputs, as `fit` takes them.
        y: Values, as `fit` takes them.
        weights: Weights of the rows, as `fit` takes them.
        loss: The loss.

    Returns:
        The sum; `FitResult.objective` is that at the parameters of a fit.

    Raises:
        ValueError: A parameter without a value, or one out of bounds; rows that are no rows.
    """
    require_known(law, params)
    for name in law.params:
        if name not in params:
            raise ValueError(f"params has no {name}. Give each of {', '.join(law.params)} a value.")
        require_value(law, name, params[name])
    rows = observe(law, checked_rows(law, x, y, weights))
    problem = pose(law, rows, loss)
    raw = law.to_theta(np.array([params[name] for name in law.params]))
    theta = law.rescale(raw, -rows.log_x_scale, -rows.log_y_scale)
    return float(rows.weights @ loss.value(problem.unit * problem.residuals(theta)))


@dataclass(frozen=True)
class Audit:
    """Published constants beside the best fit under the same objective.

    Attributes:
        published: The constants, by name.
        objective: Objective at the published constants.
        refit: The best fit, those constants held that were not to be free.
        ratio: The published objective over that of the refit: 1 at the optimum.
        outside: Names of the free constants that lie outside the interval of the refit.
    """

    published: Mapping[str, float]
    objective: float
    refit: FitResult
    ratio: float
    outside: tuple[str, ...]

    @property
    def is_optimum(self) -> bool:
        """Whether no other constants do better by more than `TOLERANCE`."""
        return self.ratio <= 1 + TOLERANCE

    @property
    def reason(self) -> str:
        """The finding, in a sentence or two."""
        refit = self.refit
        held = f", {', '.join(refit.fixed)} held" if refit.fixed else ""
        costs = f"{self.objective:.6g} against {refit.objective:.6g} ({refit.loss}{held})"
        verb = "are" if self.is_optimum else "are not"
        more = f", {self.ratio:.3g} times it" if self.ratio > 2 else f", {self.ratio - 1:.3%} more"
        first = (
            f"The published constants {verb} the optimum of their objective: {costs}"
            f"{'' if self.is_optimum else more}."
        )
        if not self.outside:
            return f"{first} Each lies inside the interval of the refit."
        each = ", ".join(
            f"{name} = {self.published[name]:.6g} outside "
            f"[{refit.intervals[name][0]:.6g}, {refit.intervals[name][1]:.6g}]"
            for name in self.outside
        )
        return f"{first} At the {100 * refit.level:g} % level: {each}."


def audit(
    law: Law,
    published: Mapping[str, float],
    x: ArrayLike,
    y: ArrayLike,
    *,
    free: Collection[str] | None = None,
    weights: ArrayLike | None = None,
    loss: Loss = Loss(),
    bootstrap: Bootstrap = Bootstrap(kind="rows"),
) -> Audit:
    """Says whether published constants are the optimum of their own objective.

    Args:
        law: The law.
        published: The constants, by name, in the units of x and y.
        x: Inputs, as `fit` takes them.
        y: Values, as `fit` takes them.
        free: Names of the constants that the search may move, such as those that the paper fitted;
            all unless given. The others are held as published.
        weights: Weights of the rows, as `fit` takes them.
        loss: The loss.
        bootstrap: How the intervals of the refit are made, as `fit` takes it: from redrawn rows
            unless given, which assumes least of rows that others collected. Where rows come in
            clusters, fit them with these and ask `audit_by`.

    Raises:
        ValueError: A constant that is missing, unknown or out of bounds; another argument at fault.
        FitError: The rows do not support the refit.
    """
    objective_of(law, published, x, y, weights=weights, loss=loss)  # refuses what is at fault
    free = law.params if free is None else free
    require_known(law, free)
    refit = fit(
        law,
        x,
        y,
        weights=weights,
        loss=loss,
        bootstrap=bootstrap,
        fixed={name: value for name, value in published.items() if name not in free},
    )
    return audit_by(refit, published)


def audit_by(refit: FitResult, published: Mapping[str, float]) -> Audit:
    """Judges published constants by a fit that knows more of its rows, such as clusters.

    Args:
        refit: The fit, with the rows that it saw; constants that are not to be free are held.
        published: The constants, by name, in the units of x and y.

    Raises:
        ValueError: A constant that is missing, unknown or out of bounds; a fit without its rows.
    """
    rows = refit.require_rows()
    objective = objective_of(
        refit.law, published, rows.x, rows.y, weights=rows.weights, loss=refit.loss
    )
    at_zero = 1.0 if objective == 0 else math.inf
    ratio = objective / refit.objective if refit.objective > 0 else at_zero
    outside = tuple(
        name
        for name, (low, high) in refit.intervals.items()
        if name not in refit.fixed and not low <= published[name] <= high
    )
    return Audit(dict(published), objective, refit, ratio, outside)
