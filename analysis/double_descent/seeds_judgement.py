"""A curve with seeds judged: tests and confidences of `verdict`, the peak on a smooth curve."""

from dataclasses import replace

import numpy as np

from analysis.double_descent.critical_size import MetricCurves, SeedSample, sample_seeds
from analysis.double_descent.drawn_shape import drawn_shape, interval
from analysis.double_descent.judgement import (
    EarlyStopping,
    Judgement,
    LowPoint,
    about_peak,
    beats,
    fine_grid,
    hill_of,
    smooth_line,
    still_falls,
)
from analysis.double_descent.rows import Curve
from analysis.double_descent.seeds import Statistic, centre, resampled_centre, stretch
from analysis.double_descent.smooth_curve import seeds_noise, smoother
from analysis.double_descent.verdict import shape_of
from analysis.estimate import Bootstrap, Estimate, Floats

_MEDIAN = float(np.sqrt(np.pi / 2))
"""Standard error of a median over that of a mean, of normal noise."""


def by_seeds(
    curve: Curve, tolerance: float | None, statistic: Statistic, bootstrap: Bootstrap
) -> Judgement:
    """Judges a curve with two seeds or more at every size; arguments as of `judge.judge`."""
    columns = {"test": curve.test, "train_error": curve.train, "best": curve.best}
    given = {name: each for name, each in columns.items() if each is not None}
    sample = sample_seeds(curve.size, curve.seed, bootstrap, **given)
    curves = sample.curves(statistic)
    bumps = sample.bumps(curves)
    shape = shape_of(sample, curves, bumps, bootstrap.seed)
    threshold = None
    if tolerance is not None and curve.train is not None:
        threshold = sample.located(sample.crossings(tolerance))
    along = fine_grid(sample.log_size)
    noise = seeds_noise(
        _errors(sample, curves), curves.of_runs.correlation, float(np.sum(sample.runs.counts - 1))
    )
    smooth = smoother(sample.log_size, noise, along)
    draws = smooth.draws(curves.full, bootstrap.n, bootstrap.seed)
    drawn = drawn_shape(along, draws, curves.is_log)
    judged = Judgement(
        basis="seeds",
        n_sizes=len(sample.runs.sizes),
        n_seeds=int(sample.runs.counts.min()),
        verdict=shape.verdict,
        reason=shape.reason,
        threshold=threshold,
        smooth=smooth_line(along, draws, curves.is_log, bootstrap.level),
    )
    found, low, high = shape.peak, shape.first_minimum, shape.final_minimum
    if found is None or low is None or high is None:
        return judged
    metric = _metric(curves)
    hill = hill_of(drawn, sample.runs.sizes, metric[0], bootstrap.level, found.p_value)
    sizes = np.exp(drawn.first_at), np.exp(drawn.final_at)
    first, final = (
        LowPoint(interval(at, bootstrap.level, value=each.size), each.value)
        for at, each in zip(sizes, (low, high), strict=True)
    )
    ends = tuple(int(np.searchsorted(sample.runs.sizes, each.size)) for each in (low, high))
    judged = replace(
        judged,
        peak=replace(hill, height=found.height, prominence=found.prominence),
        first=first,
        final=final,
        second=_difference(sample, metric, ends),
        confidence_below=shape.confidence_below,
        confidence_above=shape.confidence_above,
        still_falls=still_falls(drawn, bootstrap.level),
    )
    early = None if curve.best is None else _early(sample, curves, ends[1])
    reason = about_peak(judged) if shape.verdict.has_peak else shape.reason
    return replace(judged, early=early, reason=reason)


def _errors(sample: SeedSample, curves: MetricCurves) -> Floats:
    """Standard errors of the centres, their variance averaged with those of the neighbours.

    `seed_noise` takes the larger of the two, which a test may; an interval would be too wide.
    """
    values = sample.runs.values["test"]
    values = tuple(np.log(each) for each in values) if curves.is_log else values
    raw = np.array([each.var(ddof=1) for each in values])
    padded = np.pad(raw, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    floor = (1e-9 * max(float(np.abs(curves.full).max()), 1e-300)) ** 2
    errors = np.sqrt(np.maximum(smooth, floor) / sample.runs.counts)
    return errors * (_MEDIAN if curves.statistic == "median" else 1.0)


def _metric(curves: MetricCurves) -> tuple[Floats, Floats]:
    """Centres and resampled centres in the metric's own units."""
    resampled = curves.full + curves.noise
    if curves.is_log:
        with np.errstate(over="ignore"):
            return np.exp(curves.full), np.exp(resampled)
    return curves.full, resampled


def _difference(
    sample: SeedSample, metric: tuple[Floats, Floats], ends: tuple[int, ...]
) -> Estimate:
    """Returns the metric at the second size less that at the first, paired over seeds."""
    full, resampled = metric
    first, final = ends
    return _stretched(sample, full[final] - full[first], resampled[:, final] - resampled[:, first])


def _stretched(sample: SeedSample, value: float, resampled: Floats) -> Estimate:
    wide = stretch(int(sample.runs.counts.min()), sample.level, n_sizes=2)
    low, high = np.quantile(resampled - value, [(1 - sample.level) / 2, (1 + sample.level) / 2])
    ends = value + wide * min(float(low), 0.0), value + wide * max(float(high), 0.0)
    return Estimate(float(value), *ends, sample.level)


def _early(sample: SeedSample, curves: MetricCurves, final: int) -> EarlyStopping:
    """Returns the final minimum against the best of early stopping, paired over seeds."""
    values = sample.runs.values["best"]
    best = centre(values, curves.statistic)
    at = int(np.argmin(best))
    resampled = resampled_centre(values, sample.draws, curves.statistic)[:, at]
    full, of_final = _metric(curves)
    excess = _stretched(sample, float(full[final] - best[at]), of_final[:, final] - resampled)
    return EarlyStopping(float(best[at]), excess, beats(excess))
