"""iso-FLOP analysis: points of equal compute -> minima -> how the optimal size grows.

Approach 2 of Hoffmann et al. (arXiv:2203.15556, section 3.2), with the minima by a parabola or by
Akima's interpolation as in Porian et al. (arXiv:2406.19146, section 3 and appendix C):

    N*(C) = argmin over N of L(N, C),     N* ~ C^a,     D* ~ C^b

Seed noise is carried from losses to minima to exponents by a parametric bootstrap: normal noise is
added to the points, every curve is made again, and the line goes through the new minima. Intervals
therefore hold for noise; a bias of the method is not in them (`analysis.compute_optimal.valley`
gives that of the parabola). Akima curves have little bias, but follow the noise: on seven sizes a
budget their exponents scatter six times as widely as those of parabolas.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from analysis.compute_optimal.budgets import Budget, group_by_budget
from analysis.compute_optimal.growth import Trend, fit_trend
from analysis.compute_optimal.isoflop_result import IsoflopResult, Trends
from analysis.compute_optimal.seed_noise import SeedNoise, parabola_weights, seed_noise
from analysis.compute_optimal.valley import (
    MIN_SIZES,
    Method,
    Minima,
    Refusal,
    Valley,
    akima_minima,
    clamped_estimate,
    parabola_minima,
    refuse,
    sampled_curve,
    used_points,
)
from analysis.errors import FitError
from analysis.estimate import Estimate, Floats
from analysis.fitting.bootstrap.replicates import percentile_interval, require_resolvable

# Of a minimum, in units of the mean spacing of sizes in log N: what noise does not tell of the
# error of a curve between its points. The value is that of Porian et al.'s code.
_ERROR_FLOOR = 0.33

_OUTSIDE = (
    "noise moves the minimum of this curve to one side, so that it lies outside its own interval; "
    "use parabolas, or add seeds"
)


def isoflop(
    n_params: ArrayLike,
    loss: ArrayLike,
    *,
    flops: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    method: Method = "parabola",
    span: float | None = None,
    noise: ArrayLike | None = None,
    noise_df: float = np.inf,
    tolerance: float = 0.1,
    level: float = 0.95,
    n_replicates: int = 1000,
    seed: int = 0,
) -> IsoflopResult:
    """Minima over model size at each compute budget, and their growth with compute.

    A budget without a trustworthy minimum is kept in the result with the reason; the power laws
    are those of the other budgets, weighted by one over the squared standard error of the log of
    the optimum, which counts as no less than a third of the mean spacing of the sizes.

    Args:
        n_params: Parameters of each run, shape `(n_runs,)`.
        loss: Final loss of each run, nats, shape `(n_runs,)`.
        flops: Training FLOPs of each run, shape `(n_runs,)`; 6 N D unless given.
        tokens: Training tokens of each run, shape `(n_runs,)`; C / (6 N) unless given.
        method: "parabola" or "akima".
        span: A parabola is fitted to sizes within this factor of the one with the lowest loss.
            None: to all; a wide grid biases it (`analysis.compute_optimal.valley`).
        noise: Standard deviation of the loss over seeds, nats: a number, or shape `(n_runs,)`.
            Unless given: from repeated runs if there are enough, else, for parabolas, from the
            scatter about them.
        noise_df: Degrees of freedom with which a noise that is given was estimated.
        tolerance: Relative difference in FLOPs of runs of one budget.
        level: Probability with which an interval is to cover.
        n_replicates: Bootstrap replicates.
        seed: Seed of the bootstrap: the same rows and seed give the same result.

    Returns:
        The result.

    Raises:
        ValueError: An argument is at fault (`analysis.compute_optimal.budgets.group_by_budget` says
            how columns can be).
        FitError: No budget has a minimum, with the reason for each; or the noise is unknown.
    """
    require_resolvable(level, n_replicates)
    if method not in get_args(Method):
        raise ValueError(f"method = {method!r}, but it is one of {', '.join(get_args(Method))}.")
    if span is not None and (method != "parabola" or not 1 < span < np.inf):
        raise ValueError(
            f"span = {span} with method {method!r}: give a factor above 1 with 'parabola', and "
            "none with 'akima', whose curves are local."
        )
    budgets = group_by_budget(
        n_params, loss, flops=flops, tokens=tokens, noise=noise, tolerance=tolerance
    )
    enough = [b for b in budgets if used_points(b, span).sum() >= MIN_SIZES]
    if not enough:
        raise _none_left([_too_few(budget, span) for budget in budgets])
    known = seed_noise(enough, method, span, noise_df)

    rng = np.random.default_rng(seed)
    df = known.degrees_of_freedom
    # Student's t, as in `analysis.fitting.bootstrap.replicates`: one estimate of the noise serves
    # all budgets.
    scales = np.ones(n_replicates)
    if np.isfinite(df):
        scales = np.sqrt(df / rng.chisquare(df, size=n_replicates))
    # All of it before any stand-in: the same runs, counted in two ways, are given the same noise.
    errors = [
        scales * rng.standard_normal((len(budget.n_params), n_replicates)) for budget in budgets
    ]

    valleys: list[Valley] = []
    optima: list[_Optimum] = []
    for budget, error in zip(budgets, errors, strict=True):
        used = used_points(budget, span)
        if used.sum() < MIN_SIZES:
            valleys.append(_too_few(budget, span))
            continue
        valley, optimum = _measure(budget, used, method, known, error, level, rng)
        valleys.append(valley)
        optima += [] if optimum is None else [optimum]
    if not optima:
        raise _none_left(valleys)
    return IsoflopResult(
        method=method,
        span=span,
        noise=known,
        level=level,
        n_replicates=n_replicates,
        seed=seed,
        valleys=tuple(valleys),
        trends=_trends(optima, level) if len(optima) > 1 else None,
    )


class _Optimum(NamedTuple):
    """(log N*, log D*) of a budget, with replicates and the least error to weigh them by."""

    flops: float
    value: Floats  # (2,)
    replicates: Floats  # (2, n_replicates)
    share_inside: float
    spacing: float


def _measure(
    budget: Budget,
    used: np.ndarray,
    method: Method,
    noise: SeedNoise,
    errors: Floats,
    level: float,
    rng: np.random.Generator,
) -> tuple[Valley, _Optimum | None]:
    """The valley of a budget with enough sizes, and its optimum where there is one.

    Args:
        budget: The budget.
        used: Which of its sizes the curve is made from.
        method: How.
        noise: Of the loss of a run.
        errors: Of the replicates, in units of that noise, shape `(n_sizes, n_replicates)`.
        level: Of the intervals.
        rng: Of the stand-ins for replicates without a minimum.
    """
    log_n, log_d = np.log(budget.n_params[used]), np.log(budget.tokens[used])
    loss = budget.loss[used]
    weights = parabola_weights(budget)[used] if method == "parabola" else None

    def minima(error: Floats) -> Minima:
        if weights is None:
            # On log L, whose slopes change less across a valley than those of L.
            found = akima_minima(log_n, np.log(loss)[:, None] + error / loss[:, None])
            return found._replace(loss=np.exp(found.loss))
        return parabola_minima(log_n, loss[:, None] + error, weights)

    sd = noise.of_means(budget)[used, None]
    best = minima(np.zeros((len(loss), 1)))
    noisy = minima(sd * errors[used])
    share = float(noisy.inside.mean())
    refusal, reason = refuse(budget, used, best, noisy, weights)

    curve_n, curve_loss = sampled_curve(log_n, loss, weights)
    params = data = lowest = optimum = None
    if refusal is None:
        at = np.interp(best.log_n, log_n, log_d)
        noisy_at = np.interp(noisy.log_n, log_n, log_d)
        columns = np.stack([noisy.log_n, noisy_at, noisy.loss], axis=1)
        low, high = percentile_interval(columns, level)
        grid_n, grid_d = (log_n[0], log_n[-1]), (min(log_d), max(log_d))
        params = clamped_estimate(best.log_n[0], (low[0], high[0]), grid_n, level)
        data = clamped_estimate(at[0], (low[1], high[1]), grid_d, level)
        lowest = Estimate(float(best.loss[0]), float(low[2]), float(high[2]), level)
        if not low[0] <= best.log_n[0] <= high[0]:
            reason = f"{reason}; {_OUTSIDE}" if reason else _OUTSIDE
        inside = np.flatnonzero(noisy.inside)
        rows = np.arange(errors.shape[1])
        # Where a replicate has no minimum inside, another of the same budget stands in.
        rows[~noisy.inside] = rng.choice(inside, len(rows) - len(inside))
        optimum = _Optimum(
            flops=budget.flops,
            value=np.array([best.log_n[0], at[0]]),
            replicates=np.stack([noisy.log_n, noisy_at])[:, rows],
            share_inside=share,
            spacing=float(np.mean(np.diff(log_n))),
        )
    valley = replace(
        _bare(budget, used),
        curve_n_params=tuple(curve_n.tolist()),
        curve_loss=tuple(curve_loss.tolist()),
        refusal=refusal,
        reason=reason,
        optimal_params=params,
        optimal_tokens=data,
        lowest_loss=lowest,
        share_inside=share,
        loss_sd=tuple(noise.of_means(budget).tolist()),
    )
    return valley, optimum


def _trends(optima: Sequence[_Optimum], level: float) -> Trends:
    flops = np.array([optimum.flops for optimum in optima])
    values = np.array([optimum.value for optimum in optima])
    replicates = np.array([optimum.replicates for optimum in optima])
    shares = np.array([optimum.share_inside for optimum in optima])
    spacings = np.array([optimum.spacing for optimum in optima])

    def trend(of: Floats) -> Trend:
        """Of the combination `of` of log N* and log D*."""
        noisy = np.einsum("k,bkr->br", of, replicates)
        floor = _ERROR_FLOOR * np.abs(of).sum() * spacings
        errors = np.maximum(noisy.std(axis=1), floor) / shares
        return fit_trend(flops, values @ of, noisy, errors, level)

    return Trends(
        params=trend(np.array([1.0, 0.0])),
        tokens=trend(np.array([0.0, 1.0])),
        tokens_per_param=trend(np.array([-1.0, 1.0])),
    )


def _bare(budget: Budget, used: np.ndarray) -> Valley:
    """The valley of a budget that has no curve."""
    return Valley(
        flops=budget.flops,
        n_params=tuple(budget.n_params.tolist()),
        tokens=tuple(budget.tokens.tolist()),
        loss=tuple(budget.loss.tolist()),
        n_runs=tuple(budget.counts.astype(int).tolist()),
        used=tuple(used.tolist()),
        curve_n_params=(),
        curve_loss=(),
        refusal=None,
        reason="",
        optimal_params=None,
        optimal_tokens=None,
        lowest_loss=None,
        share_inside=0.0,
        loss_sd=(),
    )


def _too_few(budget: Budget, span: float | None) -> Valley:
    used = used_points(budget, span)
    within = "" if span is None else f" within a factor {span:g} of the lowest loss"
    return replace(
        _bare(budget, used),
        refusal=Refusal.TOO_FEW_SIZES,
        reason=f"a minimum needs {MIN_SIZES} distinct sizes, not {used.sum()}{within}: add sizes",
    )


def _none_left(valleys: Sequence[Valley]) -> FitError:
    reasons = "; ".join(f"{v.flops:.3g} FLOPs: {v.reason}" for v in valleys)
    return FitError(f"no budget has a minimum to fit: {reasons}.")
