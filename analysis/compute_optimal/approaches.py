"""Approaches 1, 2 and 3 of Hoffmann et al. (arXiv:2203.15556, section 3) side by side.

1. The envelope of learning curves over model sizes (`analysis.compute_optimal.envelope`).
2. Minima over size at fixed compute, by parabola and by Akima interpolation
   (`analysis.compute_optimal.isoflop`).
3. A parametric fit of `L = E + A N^-alpha + B D^-beta` (`analysis.fitting.fit`), by Huber's loss
   with delta = 1e-3 on log loss, theirs, and by squared error through variable projection, which
   of the common ways errs least on planted data (Open-Athena, scaling-law-analysis).

Each gives N* = k C^a and D* = k' C^b with intervals of its own kind: over resampled runs (1), over
seed noise (2), over redrawn runs or residuals (3). None holds the bias of its approach: where they
differ by more than their intervals, at least one is biased.
"""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.compute_optimal.approach_rows import SIZES_COVERED, Rows, last_of_each, points_of
from analysis.compute_optimal.approaches_result import Approach, Approaches, Detail, Exponents
from analysis.compute_optimal.envelope import envelope
from analysis.compute_optimal.fitted_growth import fitted_growth
from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.compute_optimal.valley import Method
from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.bootstrap.replicates import require_resolvable
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.guards import positive_column
from analysis.laws import CHINCHILLA
from analysis.planning.allocate import FAR
from analysis.tables import results

HUBER = 1e-3
"""Threshold on log loss of Hoffmann et al. 2022, section 3.3."""

_LARGEST_MISFIT = 2.0
_ONE_CONVENTION = 0.05


def three_approaches(
    table: pd.DataFrame,
    *,
    curves: bool = False,
    budgets: ArrayLike | None = None,
    span: float | None = None,
    noise: ArrayLike | None = None,
    noise_df: float = np.inf,
    flops: float | None = None,
    level: float = 0.95,
    n_replicates: int = 1000,
    seed: int = 0,
) -> Approaches:
    """All approaches that a table allows; one that it does not is a row with the reason.

    Args:
        table: Columns N, D, C and loss (nats), as of `analysis.tables.read`; with `curves` also
            `run`.
        curves: Whether rows are evaluations along runs, which `run` labels. Approach 2 then reads
            the curves off at the budgets, and approach 3 takes the last evaluation of each run.
        budgets: FLOPs of the budgets of approach 2. Unless given: the groups that the table's C
            fall into, or for curves 9 over the compute that 5 sizes cover.
        span: As of `isoflop`, for the parabolas.
        noise: Standard deviation of the loss over seeds, nats: a number, or one a row, by which
            approach 3 then weighs the rows. Unless given: from repeated runs, or from the scatter
            about the parabolas, for the Akima curves too.
        noise_df: Degrees of freedom with which a noise that is given was estimated.
        flops: The compute at which optima are told, FLOPs; the largest of the table unless given.
        level: Probability with which an interval is to cover.
        n_replicates: Bootstrap replicates of each approach.
        seed: Seed of the bootstraps.

    Returns:
        The approaches, in order.

    Raises:
        ValueError: A column is missing or at fault, or an impossible level, span, noise or
            budget.
        FitError: No approach can be done, with the reason for each.
    """
    require_resolvable(level, n_replicates)
    if span is not None and not 1 < span < np.inf:
        raise ValueError(f"span = {span}: give a factor above 1, such as 5, or none")
    by_row = np.ndim(noise if noise is not None else 0.0) > 0
    if curves and by_row:
        raise ValueError("noise one a row with curves, which are read off: give one number for all")
    rows = Rows(
        *(positive_column(name, results.column(table, name)) for name in ("N", "D", "C", "loss")),
        run=np.asarray(results.column(table, "run")) if curves else None,
        noise=positive_column("noise", noise, len(table)) if noise is not None and by_row else None,
    )
    of_all = None
    if noise is not None and not by_row:
        of_all = float(positive_column("noise", np.atleast_1d(noise))[0])
    compute = (float(rows.flops.min()), float(rows.flops.max()))
    at = compute[1] if flops is None else float(positive_column("flops", [flops])[0])
    options = _Options(level, n_replicates, seed)
    of_seeds = _Noise(of_all, float(noise_df))
    final = rows if rows.run is None else last_of_each(rows, rows.run)
    points, notes = points_of(rows, budgets)

    told = [_attempt("1 envelope", at, lambda: _by_envelope(rows, options))]
    told.append(_attempt("2 parabola", at, lambda: _by_isoflop(points, span, of_seeds, options)))
    of_akima = of_seeds if noise is not None else _Noise(_scatter(told[-1].detail))
    told.append(
        _attempt("2 Akima", at, lambda: _by_isoflop(points, None, of_akima, options, "akima"))
    )
    told.append(_attempt(f"3 Huber {HUBER:g}", at, lambda: _by_fit(final, options, Loss(HUBER))))
    told.append(
        _attempt("3 squared error", at, lambda: _by_fit(final, options, Loss(scale="linear")))
    )
    if all(approach.exponents is None for approach in told):
        reasons = "; ".join(f"{approach.name}: {approach.reason}" for approach in told)
        raise FitError(f"no approach can be done: {reasons}")
    if at > FAR * compute[1]:
        notes.append(
            f"{at:.4g} FLOPs are {at / compute[1]:.3g} times the largest compute of the table: the "
            "intervals take every power law to hold that far, which no row shows"
        )
    notes += _disagreements(told)
    return Approaches(at, compute, level, tuple(told), tuple(notes))


class _Noise(NamedTuple):
    """Seed noise of all rows alike, nats; None where it is unknown, or known row by row."""

    sd: float | None
    degrees_of_freedom: float = np.inf


class _NotApplicable(Exception):
    """The table has not what an approach needs."""


class _Options(NamedTuple):
    level: float
    n_replicates: int
    seed: int


class _Found(NamedTuple):
    """What an approach found, with its doubts in sentences."""

    exponents: Exponents
    doubts: str
    detail: Detail


def _attempt(name: str, flops: float, find: Callable[[], _Found]) -> Approach:
    try:
        found = find()
    except _NotApplicable as error:
        return Approach(name, "not applicable", str(error), None, None, None, None)
    except (ValueError, FitError) as error:
        return Approach(name, "refused", str(error), None, None, None, None)
    return Approach(
        name=name,
        status="doubtful" if found.doubts else "estimated",
        reason=found.doubts,
        exponents=found.exponents,
        optimal_params=found.exponents.params.at(flops),
        tokens_per_param=found.exponents.tokens_per_param.at(flops),
        detail=found.detail,
    )


def _disagreements(told: list[Approach]) -> list[str]:
    """A sentence where intervals of a do not overlap."""
    ends = [(each.name, each.exponents.params.exponent) for each in told if each.exponents]
    apart = [
        f"{name} and {other}"
        for (name, a), (other, b) in combinations(ends, 2)
        if a.high < b.low or b.high < a.low
    ]
    if not apart:
        return []
    return [
        f"a differs by more than its intervals between {', '.join(apart)}: at least one is biased, "
        "a parabola by a wide or off-centre grid (a span limits that), a fit by a law that does "
        "not hold over all rows"
    ]


def _scatter(parabolas: Detail | None) -> float | None:
    """The noise that Akima curves cannot tell: the scatter about parabolas, if nothing else is."""
    if isinstance(parabolas, IsoflopResult) and parabolas.noise.source == "residuals":
        return parabolas.noise.sd
    return None


def _by_envelope(rows: Rows, options: _Options) -> _Found:
    if rows.run is None:
        raise _NotApplicable("no learning curves: every row is the end of a run")
    found = envelope(
        rows.run,
        rows.n_params,
        rows.loss,
        flops=rows.flops,
        tokens=rows.tokens,
        **options._asdict(),
    )
    return _Found(Exponents(*found.trends), "", found)


def _by_isoflop(
    points: Rows,
    span: float | None,
    noise: _Noise,
    options: _Options,
    method: Method = "parabola",
) -> _Found:
    if not len(points.loss):
        raise FitError(
            f"no compute at which the curves of {SIZES_COVERED} sizes have a loss: give budgets "
            "that they reach, or train on"
        )
    found = isoflop(
        points.n_params,
        points.loss,
        flops=points.flops,
        tokens=points.tokens,
        method=method,
        span=span,
        noise=noise.sd if points.noise is None else points.noise,
        noise_df=noise.degrees_of_freedom,
        **options._asdict(),
    )
    if found.trends is None:
        raise FitError("one minimum makes no exponent: add budgets")
    n_minima, misfit = found.trends.params.n_budgets, found.trends.params.misfit
    doubts = []
    if n_minima < len(found.valleys):
        doubts.append(f"{len(found.valleys) - n_minima} of {len(found.valleys)} budgets refused")
    if n_minima == 2:
        doubts.append("two budgets leave nothing to judge the line by")
    if misfit > _LARGEST_MISFIT:
        doubts.append(
            f"minima scatter {misfit:.2g} times as widely as the noise: the intervals are too short"
        )
    return _Found(Exponents(*found.trends), "; ".join(doubts), found)


def _by_fit(rows: Rows, options: _Options, loss: Loss) -> _Found:
    x = np.stack([rows.n_params, rows.tokens], axis=1)
    weights = None
    if rows.noise is not None:
        weights = (rows.noise / (rows.loss if loss.scale == "log" else 1.0)) ** -2
        weights = weights / weights.mean()
    bootstrap = Bootstrap(n=options.n_replicates, seed=options.seed, level=options.level)
    found = fit(CHINCHILLA, x, rows.loss, weights=weights, loss=loss, bootstrap=bootstrap)
    # C = k N D, 6 unless the table counts otherwise.
    per_product = np.log(rows.flops / (rows.n_params * rows.tokens))
    doubts = [] if found.verdict is Verdict.CONVERGED else [found.reason]
    if np.ptp(per_product) > np.log1p(_ONE_CONVENTION):
        low, high = np.exp([per_product.min(), per_product.max()])
        doubts.append(f"C is {low:.3g} to {high:.3g} times N D, taken for one multiple of it")
    laws = fitted_growth(
        found,
        flops_per_product=float(np.exp(per_product.mean())),
        flops_ref=float(np.exp(np.log(rows.flops).mean())),
    )
    return _Found(laws, " ".join(doubts), found)
