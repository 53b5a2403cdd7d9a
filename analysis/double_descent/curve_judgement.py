"""One curve without seeds judged, by its smoothness (`smooth_curve`, `lone_point`)."""

from dataclasses import replace

import numpy as np

from analysis.double_descent.critical_size import p_value
from analysis.double_descent.curve_shape import falling_crossing, falling_fit
from analysis.double_descent.drawn_shape import DrawnShape, drawn_shape, interval
from analysis.double_descent.judgement import (
    EarlyStopping,
    Hill,
    Judgement,
    LowPoint,
    about_peak,
    beats,
    fine_grid,
    hill_of,
    smooth_line,
    still_falls,
)
from analysis.double_descent.lone_point import likeliest, simulated, standing
from analysis.double_descent.rows import Curve
from analysis.double_descent.smooth_curve import one_curve_noise, smoother
from analysis.double_descent.verdict import NEGLIGIBLE_RISE, Verdict
from analysis.estimate import Bootstrap, Estimate, Floats

_FLAT = 1e-6
"""Change over the largest value, up to which a curve is flat."""


def by_smoothness(curve: Curve, tolerance: float | None, bootstrap: Bootstrap) -> Judgement:
    """Judges one curve; arguments as of `judge.judge`."""
    order = np.argsort(curve.size)
    log_size, test = np.log(curve.size[order]), curve.test[order]
    is_log = bool(np.all(test > 0))
    points = np.log(test) if is_log else test
    along = fine_grid(log_size)
    smooth = smoother(log_size, one_curve_noise(log_size, curve.weight[order]), along)
    draws = smooth.draws(points, bootstrap.n, bootstrap.seed)
    drawn = drawn_shape(along, draws, is_log)
    best = likeliest(smooth, points)
    stands = standing(smooth, points[np.newaxis])
    n_simulated = max(bootstrap.n // 2 - 1, 199)
    p_bump = p_rise = 1.0
    varies = np.ptp(points) > _FLAT * np.abs(points).max()
    if varies and stands.bump[0] > 0:
        null = standing(smooth, simulated(best, n_simulated, bootstrap.seed, bump=True))
        p_bump = p_value(null.bump, stands.bump[0])
    if varies and stands.rise[0] > 0 and p_bump > 1 - bootstrap.level:
        null = standing(smooth, simulated(best, n_simulated, bootstrap.seed, bump=False))
        p_rise = p_value(null.rise, stands.rise[0])
    threshold = None
    if curve.train is not None and tolerance is not None:
        threshold = _one_crossing(log_size, curve.train[order], tolerance, bootstrap.level)
    judged = Judgement(
        basis="smoothness",
        n_sizes=len(log_size),
        n_seeds=1,
        verdict=Verdict.NOT_RESOLVED,
        reason="",
        threshold=threshold,
        smooth=smooth_line(along, draws, is_log, bootstrap.level),
    )
    if not np.isnan(drawn.location[0]):
        hill = hill_of(drawn, np.exp(log_size), test, bootstrap.level, p_bump)
        judged = _with_peak(judged, drawn, hill, bootstrap.level)
        if curve.best is not None:
            spread = float(np.sqrt(np.mean(np.diag(best.covariance))))
            early = _early_of_one(judged, curve.best, spread, is_log, bootstrap.level)
            judged = replace(judged, early=early)
    verdict, reason = _verdict_of_one(judged, draws, p_rise, bootstrap.level)
    return replace(judged, verdict=verdict, reason=reason)


def _with_peak(judged: Judgement, drawn: DrawnShape, hill: Hill, level: float) -> Judgement:
    """Adds peak, minima and their difference, all from the draws."""
    change = drawn.final - drawn.first
    known = change[1:][np.isfinite(change[1:])]
    return replace(
        judged,
        peak=hill,
        first=LowPoint(interval(np.exp(drawn.first_at), level), interval(drawn.first, level)),
        final=LowPoint(interval(np.exp(drawn.final_at), level), interval(drawn.final, level)),
        second=interval(change, level),
        confidence_below=float(np.mean(known < 0)),
        confidence_above=float(np.mean(known > 0)),
        still_falls=still_falls(drawn, level),
    )


def _verdict_of_one(
    judged: Judgement, draws: Floats, p_rise: float, level: float
) -> tuple[Verdict, str]:
    """Returns the verdict on one curve, by the rules of `verdict.descent`, and its reason."""
    hill, below, above = judged.peak, judged.confidence_below or 0.0, judged.confidence_above or 0.0
    if hill is not None:
        if hill.p_value <= 1 - level:
            verdict = Verdict.PEAK
            if below >= level:
                verdict = Verdict.SECOND_DESCENT_BELOW
            elif above >= level:
                verdict = Verdict.SECOND_DESCENT_ABOVE
            return verdict, about_peak(replace(judged, verdict=verdict))
        bump = (
            f"The maximum at size {hill.location.value:.4g} is within the scatter of the points, "
            f"or rests on one of them alone (p = {hill.p_value:.2g})."
        )
    else:
        bump = "The smooth curve has no interior maximum."
    if p_rise <= 1 - level:
        return Verdict.NOT_AT_THIS_HORIZON, (
            f"{bump} But the curve rises (p = {p_rise:.2g}) and is not shown to fall again: a peak "
            "lies near the largest size or beyond. Add larger sizes."
        )
    rises = np.max(draws[1:] - np.minimum.accumulate(draws[1:], axis=1), axis=1)
    fall = float(draws[0, 0] - draws[0, -1])
    if fall <= _FLAT * float(np.abs(draws[0]).max()):
        return Verdict.NOT_RESOLVED, (
            f"{bump} The curve does not fall from its smallest size to its largest. Add sizes."
        )
    visible = float(np.quantile(rises, level)) / fall
    if visible > NEGLIGIBLE_RISE:
        return Verdict.NOT_RESOLVED, (
            f"{bump} The scatter of the points could hide a rise of {visible:.2g} of the total "
            f"fall, more than {NEGLIGIBLE_RISE:g}. Add seeds or sizes."
        )
    return Verdict.MONOTONE, (
        f"{bump} The points exclude a rise of more than {visible:.2g} of the total fall."
    )


def _one_crossing(log_size: Floats, train: Floats, tolerance: float, level: float) -> Estimate:
    """Returns the threshold of one curve: the crossing of its non-increasing fit.

    Its interval is the grid step of the crossing and, where the train metric is noisy, every size
    at which the fit lies within its scatter of the tolerance.
    """
    weights = np.ones(len(train))
    fit = falling_fit(train[np.newaxis], weights)[0]
    scatter = 2 * float(np.sqrt(np.mean((train - fit) ** 2)))
    targets = np.array([tolerance, tolerance + scatter, max(tolerance - scatter, 0.0)])
    crossings = [falling_crossing(log_size, train[np.newaxis], weights, each) for each in targets]
    value = float(np.exp(crossings[0].value[0]))
    low = float(np.exp(min(crossings[0].low[0], crossings[1].low[0])))
    high = float(np.exp(max(crossings[0].high[0], crossings[2].high[0])))
    if np.isnan(value):
        reached = np.isfinite(crossings[0].high[0])
        return Estimate(value, low, high, level, "below" if reached else "above")
    return Estimate(value, low, high, level)


def _early_of_one(
    judged: Judgement, best: Floats, spread: float, is_log: bool, level: float
) -> EarlyStopping:
    """Compares with early stopping; both values scatter as the points do about the curve."""
    assert judged.final is not None
    final, lowest = judged.final.value, float(best.min())
    scatter = 1.96 * spread * (lowest if is_log else 1.0)
    below = np.hypot(final.value - final.low, scatter)
    above = np.hypot(final.high - final.value, scatter)
    value = final.value - lowest
    excess = Estimate(value, float(value - below), float(value + above), level)
    return EarlyStopping(lowest, excess, beats(excess))
