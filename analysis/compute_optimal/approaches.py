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

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.compute_optimal.approaches_result import Approach, Approaches, ApproachKind, Detail
from analysis.compute_optimal.budgets import nominal_budgets
from analysis.compute_optimal.envelope import envelope
from analysis.compute_optimal.growth import Exponents, Growth, Trend, fitted_growth
from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.isoflop_result import ONE_MINIMUM, IsoflopResult
from analysis.compute_optimal.learning_curves import (
    LearningCurve,
    covered_budgets,
    learning_curves,
    read_off,
)
from analysis.compute_optimal.points import SeedNoise, spread_of
from analysis.compute_optimal.valley import AKIMA, Curve
from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.bootstrap.replicates import require_resolvable
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.guards import positive, positive_column
from analysis.laws import CHINCHILLA
from analysis.planning.allocate import FAR
from analysis.planning.training_cost import ONE_MULTIPLE, TrainingCost, fit_cost
from analysis.tables import results

HUBER = 1e-3
"""Threshold on log loss of Hoffmann et al. 2022, section 3.3."""

N_BUDGETS = 9
"""Number of budgets at which curves are read off where none are given, as in Hoffmann et al."""

SIZES_COVERED = 5
"""Number of sizes whose curves must reach a budget."""

_LARGE_MISFIT = 2.0


def three_approaches(
    table: pd.DataFrame,
    *,
    curves: bool = False,
    budgets: ArrayLike | None = None,
    span: float | None = None,
    noise: SeedNoise | None = None,
    flops: float | None = None,
    bootstrap: Bootstrap = Bootstrap(),
) -> Approaches:
    """Applies each approach; one that the table does not allow is a row with the reason.

    Args:
        table: Columns N, D, C and loss (nats), as of `analysis.tables.read`; with `curves` also
            `run`.
        curves: Whether rows are evaluations along runs, which `run` labels. Approach 2 then reads
            the curves off at the budgets, and approach 3 takes the last evaluation of each run.
        budgets: FLOPs of the budgets of approach 2. Unless given: the groups that the table's C
            fall into, or for curves 9 over the compute that 5 sizes cover.
        span: Span of the parabolas (`analysis.compute_optimal.valley.Curve`).
        noise: Noise of the loss over seeds, nats; where `sd` has one value a row, approach 3 weighs
            the rows by it. Unless given: from repeated runs, or from the scatter about the
            parabolas, for the Akima curves too.
        flops: The compute at which optima are reported, FLOPs; the largest of the table unless
            given.
        bootstrap: Replicates of each approach, and the level of the intervals; each approach
            redraws in its own way.

    Raises:
        ValueError: A column is missing or at fault, or an impossible level, span, noise or
            budget.
        FitError: No approach can be done, with the reason for each.
    """
    bootstrap.require_kind(None, "what each approach knows")
    require_resolvable(bootstrap.level, bootstrap.n)
    parabola = Curve("parabola", span)

    # 1. The rows that each approach takes.
    rows = _rows_of(table, curves=curves, noise=noise)
    compute = (float(rows.flops.min()), float(rows.flops.max()))
    at = compute[1] if flops is None else float(positive("flops", flops))
    if curves:
        run = results.column(table, "run")
        learning = learning_curves(
            run, rows.n_params, rows.loss, flops=rows.flops, tokens=rows.tokens
        )
        first, final = by_envelope(learning, at, bootstrap), _ends(learning)
        points, notes = _points_of_curves(learning, budgets)
    else:
        reason = "no learning curves: every row is the end of a run"
        first, final = Approach(ApproachKind.ENVELOPE, "not applicable", reason), rows
        points, notes = _near(rows, budgets)

    # 2. Each approach. Akima curves leave no residuals: they take their noise from the parabolas.
    attempt = partial(_attempt, at)
    by_parabola = attempt(
        ApproachKind.PARABOLA, lambda: _by_isoflop(points, parabola, noise, bootstrap)
    )
    of_akima = noise or _scatter(by_parabola.detail)
    cost = fit_cost(final.n_params, final.tokens, final.flops)
    by_fit = partial(_by_fit, final, cost, at, bootstrap)
    found = (
        first,
        by_parabola,
        attempt(ApproachKind.AKIMA, lambda: _by_isoflop(points, AKIMA, of_akima, bootstrap)),
        attempt(ApproachKind.HUBER, lambda: by_fit(Loss(HUBER))),
        attempt(ApproachKind.SQUARED, lambda: by_fit(Loss(scale="linear"))),
    )

    # 3. What to distrust.
    if all(approach.exponents is None for approach in found):
        reasons = "; ".join(f"{each.kind.title}: {each.reason.rstrip('.')}" for each in found)
        raise FitError(f"No approach can be done: {reasons}")
    if at > FAR * compute[1]:
        notes.append(
            f"{at:.4g} FLOPs: extrapolated {at / compute[1]:.3g} times beyond the largest compute "
            "of the table; the intervals assume that every power law still holds there."
        )
    notes += _of_cost(cost, final)
    notes += _scattered(found) + _disagreements(found)
    return Approaches(at, compute, bootstrap.level, found, tuple(notes))


def by_envelope(
    curves: Sequence[LearningCurve], flops: float, bootstrap: Bootstrap = Bootstrap()
) -> Approach:
    """Returns approach 1 on learning curves, with its optima at a compute in FLOPs."""

    def find() -> _Found:
        found = envelope(curves, bootstrap=bootstrap)
        return _Found(found.trends, "", found)

    return _attempt(flops, ApproachKind.ENVELOPE, find)


class _Rows(NamedTuple):
    """Columns of a table, each of shape `(n_rows,)`.

    Attributes:
        n_params: Parameters.
        tokens: Training tokens.
        flops: Training FLOPs.
        loss: Loss, nats.
        noise: Standard deviation of the loss over seeds; None where it is not known row by row.
    """

    n_params: Floats
    tokens: Floats
    flops: Floats
    loss: Floats
    noise: Floats | None = None


def _rows_of(table: pd.DataFrame, *, curves: bool, noise: SeedNoise | None) -> _Rows:
    by_row = noise is not None and np.ndim(noise.sd) > 0
    if curves and by_row:
        raise ValueError("With curves, `noise` must be one number.")
    spread = None if noise is None else spread_of(noise, len(table))
    return _Rows(
        *(positive_column(name, results.column(table, name)) for name in ("N", "D", "C", "loss")),
        noise=spread if by_row else None,
    )


def _ends(curves: Sequence[LearningCurve]) -> _Rows:
    """The last evaluation of each run."""
    last = ((each.n_params, each.tokens[-1], each.flops[-1], each.loss[-1]) for each in curves)
    return _Rows(*np.array(list(last)).T)


def _near(rows: _Rows, budgets: ArrayLike | None) -> tuple[_Rows, list[str]]:
    """The rows near budgets, all rows without budgets; and a note on them."""
    if budgets is None:
        return rows, []
    nominal, near = nominal_budgets(rows.flops, budgets)
    note = f"approach 2 takes the {near.sum()} of {len(near)} rows near a budget that was given"
    noise = None if rows.noise is None else rows.noise[near]
    kept = _Rows(rows.n_params[near], rows.tokens[near], nominal[near], rows.loss[near], noise)
    return kept, [note]


def _points_of_curves(
    curves: Sequence[LearningCurve], budgets: ArrayLike | None
) -> tuple[_Rows, list[str]]:
    """The losses of curves at budgets, and a note on them."""
    if budgets is None:
        budgets = covered_budgets(curves, SIZES_COVERED, N_BUDGETS)
        if not len(budgets):
            return _Rows(*np.empty((4, 0))), []
    read = read_off(curves, budgets)
    note = (
        f"approach 2 takes {len(read.loss)} losses read off learning curves, approach 3 the last "
        "of each curve"
    )
    if read.unread:
        note += f"; {len(read.unread)} times a curve has no evaluation near a budget"
    return _Rows(read.n_params, read.tokens, read.flops, read.loss), [note]


class _Found(NamedTuple):
    """What an approach found, with its doubts in sentences."""

    exponents: Exponents[Growth]
    doubts: str
    detail: Detail
    there: Exponents[Growth] | None = None  # at the compute of the optima, where growth bends


def _attempt(flops: float, kind: ApproachKind, find: Callable[[], _Found]) -> Approach:
    """Returns an approach with its optima at a compute, or with the reason for its refusal."""
    try:
        found = find()
    except FitError as error:
        return Approach(kind, "refused", error.reason, error.detail)
    except ValueError as error:
        return Approach(kind, "refused", str(error))
    there = found.there or found.exponents
    return Approach(
        kind=kind,
        status="doubtful" if found.doubts else "estimated",
        reason=found.doubts,
        exponents=found.exponents,
        optimal_params=there.params.at(flops),
        tokens_per_param=there.tokens_per_param.at(flops),
        detail=found.detail,
    )


def _disagreements(found: Sequence[Approach]) -> list[str]:
    """Returns a sentence where intervals of a do not overlap."""
    ends = [(each.kind.title, each.exponents.params.exponent) for each in found if each.exponents]
    apart = [
        f"{title} and {other}"
        for (title, a), (other, b) in combinations(ends, 2)
        if a.high < b.low or b.high < a.low
    ]
    if not apart:
        return []
    return [
        f"intervals of a do not overlap between {', '.join(apart)}: at least one is biased. "
        "Parabolas are biased on a wide or off-centre grid (give a span), fits where the law does "
        "not hold over all rows"
    ]


def _scattered(found: Sequence[Approach]) -> list[str]:
    """Returns a sentence for each approach whose minima scatter more widely than their noise."""
    return [
        f"{each.kind.title}: minima of budgets scatter {trend.misfit:.2g} times as widely as their "
        f"noise; the intervals hold the excess, {trend.tau:.2g} of log N*"
        for each in found
        if each.exponents
        and isinstance(trend := each.exponents.params, Trend)
        and trend.misfit > _LARGE_MISFIT
    ]


def _scatter(parabolas: Detail | None) -> SeedNoise | None:
    """Returns the scatter about parabolas, if the noise is known from nothing else."""
    if isinstance(parabolas, IsoflopResult) and parabolas.noise.source == "residuals":
        assert parabolas.noise.sd is not None
        return SeedNoise(parabolas.noise.sd)
    return None


def _by_isoflop(
    points: _Rows, curve: Curve, noise: SeedNoise | None, bootstrap: Bootstrap
) -> _Found:
    if not len(points.loss):
        raise FitError(
            f"No budget is covered by {SIZES_COVERED} model sizes. Choose lower budgets or train "
            "longer."
        )
    if points.noise is not None and noise is not None:
        noise = replace(noise, sd=points.noise)
    found = isoflop(
        points.n_params,
        points.loss,
        flops=points.flops,
        tokens=points.tokens,
        curve=curve,
        noise=noise,
        bootstrap=bootstrap,
    )
    if found.trends is None:
        raise FitError(ONE_MINIMUM)
    n_minima = found.trends.params.n_points
    doubts = []
    if n_minima < len(found.valleys):
        doubts.append(f"{len(found.valleys) - n_minima} of {len(found.valleys)} budgets refused")
    if n_minima == 2:
        doubts.append("two budgets leave nothing to check the line with")
    return _Found(found.trends, "; ".join(doubts), found)


def _by_fit(
    rows: _Rows, cost: TrainingCost, flops: float, bootstrap: Bootstrap, loss: Loss
) -> _Found:
    x = np.stack([rows.n_params, rows.tokens], axis=1)
    weights = None
    if rows.noise is not None:
        weights = (rows.noise / (rows.loss if loss.scale == "log" else 1.0)) ** -2
        weights = weights / weights.mean()
    found = fit(CHINCHILLA, x, rows.loss, weights=weights, loss=loss, bootstrap=bootstrap)
    doubts = [] if found.verdict is Verdict.CONVERGED else [found.reason]
    if cost.misfit > ONE_MULTIPLE:
        doubts.append(
            f"C / (N D) of a row differs by up to {cost.misfit:.0%} from the smooth function of N "
            "that stands for it"
        )
    middle = float(np.exp(np.log(rows.flops).mean()))
    laws = fitted_growth(found, cost=cost, flops_ref=middle)
    there = None if cost.extra == 0 else fitted_growth(found, cost=cost, flops_ref=flops)
    return _Found(laws, " ".join(doubts), found, there)


def _of_cost(cost: TrainingCost, rows: _Rows) -> list[str]:
    """Returns what approach 3 took for the cost of a size, where that is no multiple of N D."""
    if cost.extra == 0:
        return []
    sizes = rows.n_params.min(), rows.n_params.max()
    paid = cost.ratio(np.log(sizes))
    middle = float(np.exp(np.log(rows.flops).mean()))
    return [
        f"C is {paid[0]:.3g} N D at N = {sizes[0]:.3g} and {paid[1]:.3g} N D at {sizes[1]:.3g}: "
        "approach 3 takes this C, extrapolated beyond these sizes; its a and b are local, at "
        f"{middle:.3g} FLOPs"
    ]
