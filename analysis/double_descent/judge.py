"""Anybody's curve judged: by its seeds, by its smoothness without them, or not at all."""

import numpy as np

from analysis.double_descent.critical_size import RESAMPLES
from analysis.double_descent.curve_judgement import by_smoothness
from analysis.double_descent.judgement import Judgement
from analysis.double_descent.rows import Curve
from analysis.double_descent.seeds import Statistic
from analysis.double_descent.seeds_judgement import by_seeds
from analysis.double_descent.verdict import Verdict
from analysis.estimate import Bootstrap

MIN_POINTS = 8
"""Fewest sizes of one curve: fewer leave too little scatter to judge by."""


def judge(
    curve: Curve,
    *,
    tolerance: float | None = None,
    statistic: Statistic = "median",
    bootstrap: Bootstrap = RESAMPLES,
) -> Judgement:
    """Judges a curve by its seeds, or by its smoothness where it has none.

    Args:
        curve: The runs, from `analysis.double_descent.rows`.
        tolerance: Train metric that counts as interpolation; needed where the curve has one.
        statistic: Centre over seeds.
        bootstrap: Number of resamples or draws, their seed, and the level of intervals.

    Raises:
        ValueError: A train metric without tolerance, or as `analysis.double_descent.verdict`.
    """
    if curve.train is not None and tolerance is None:
        raise ValueError("tolerance = None, but a train metric needs one: give e.g. 0.01")
    n_sizes, fewest = len(np.unique(curve.size)), curve.fewest_seeds
    if curve.n_seeds == 1:
        if n_sizes >= MIN_POINTS:
            return by_smoothness(curve, tolerance, bootstrap)
        needs = f"One curve of {n_sizes} sizes is too short for an interval: give {MIN_POINTS}"
    elif fewest >= 2 and n_sizes >= 4:
        return by_seeds(curve, tolerance, statistic, bootstrap)
    elif fewest < 2:
        lone = curve.size_of_fewest
        needs = f"Size {lone:.4g} has a single seed; an interval needs 2 at every size, a verdict 3"
    else:
        needs = f"{n_sizes} sizes are too few: a verdict needs 5"
    reason = f"{needs}. The curve is drawn without intervals. Add runs, or take sizes out."
    return Judgement("none", n_sizes, fewest, Verdict.NOT_RESOLVED, reason)
