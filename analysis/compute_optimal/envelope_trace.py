"""Learning curves at common values of compute, and which size has the lowest loss at each."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.compute_optimal.envelope_result import Step
from analysis.compute_optimal.learning_curves import LearningCurve
from analysis.compute_optimal.valley import Refusal
from analysis.estimate import Floats

N_FLOPS = 1500
"""Values of compute, evenly spaced in its logarithm, as in Hoffmann et al."""

WIDEST_GAP = 2.0
"""Largest ratio of the FLOPs of neighbouring evaluations that a curve is interpolated between."""


class Grid(NamedTuple):
    """All curves at the same values of compute; runs in ascending order of size.

    Attributes:
        log_flops: Log FLOPs, shape `(n_flops,)`.
        log_sizes: Log of the distinct sizes, ascending, shape `(n_sizes,)`.
        size: Index of the size of each run, shape `(n_runs,)`.
        log_loss: Log loss, infinite where a run has none, shape `(n_runs, n_flops)`.
        log_tokens: Mean log tokens over the runs of a size, shape `(n_sizes, n_flops)`.
    """

    log_flops: Floats
    log_sizes: Floats
    size: NDArray[np.intp]
    log_loss: Floats
    log_tokens: Floats

    @property
    def lowest_loss(self) -> Floats:
        """Lowest loss at each compute, nats, NaN where there is no curve, shape `(n_flops,)`."""
        lowest = self.log_loss.min(axis=0)
        return np.where(np.isfinite(lowest), np.exp(lowest), np.nan)


class Trace(NamedTuple):
    """The size that is on the envelope at each compute.

    Attributes:
        winner: Index of the size of the lowest loss, in order, shape `(n_flops,)`.
        bracketed: Whether the sizes next to it have a curve, shape `(n_flops,)`.
        at: Index of the last compute before each hand-over, shape `(n_hand_overs,)`.
        smaller: Index of the size before each hand-over, shape `(n_hand_overs,)`.
        larger: Index of the size after each hand-over, shape `(n_hand_overs,)`.
        share_reordered: Share of the bracketed compute whose winners were out of order.
    """

    winner: NDArray[np.intp]
    bracketed: NDArray[np.bool_]
    at: NDArray[np.intp]
    smaller: NDArray[np.intp]
    larger: NDArray[np.intp]
    share_reordered: float


def interpolate(curves: Sequence[LearningCurve]) -> Grid:
    """Returns all curves at the same values of compute; the loss is infinite beyond a curve."""
    ordered = sorted(curves, key=lambda curve: curve.n_params)
    first = min(curve.flops[0] for curve in curves)
    last = max(curve.flops[-1] for curve in curves)
    log_flops = np.linspace(np.log(first), np.log(last), N_FLOPS)
    sizes, size = np.unique([curve.n_params for curve in ordered], return_inverse=True)
    log_loss = np.full((len(ordered), N_FLOPS), np.inf)
    log_tokens = np.zeros((len(sizes), N_FLOPS))
    slack = 1e-9  # rounding of a logarithm must not move an evaluation off its curve
    for k, curve in enumerate(ordered):
        seen = np.log(curve.flops)
        covered = (log_flops >= seen[0] - slack) & (log_flops <= seen[-1] + slack)
        for gap in np.flatnonzero(np.diff(seen) > np.log(WIDEST_GAP) + slack):
            covered &= (log_flops <= seen[gap] + slack) | (log_flops >= seen[gap + 1] - slack)
        log_loss[k, covered] = np.interp(log_flops[covered], seen, np.log(curve.loss))
        # Tokens per FLOP change little along a run, so they are extrapolated beyond its curve.
        per_flop = np.interp(log_flops, seen, np.log(curve.tokens) - seen)
        log_tokens[size[k]] += (per_flop + log_flops) / np.sum(size == size[k])
    return Grid(log_flops, np.log(sizes), size, log_loss, log_tokens)


def trace(grid: Grid, runs: NDArray[np.intp]) -> Trace:
    """Returns the envelope of some of the runs, given by ascending index."""
    of_run, log_loss = grid.size[runs], grid.log_loss[runs]
    is_first = np.append(True, of_run[1:] != of_run[:-1])
    sizes = of_run[is_first]
    if len(sizes) < len(runs):
        log_loss = np.minimum.reduceat(log_loss, np.flatnonzero(is_first), axis=0)
    winner = log_loss.argmin(axis=0)
    covered = np.isfinite(log_loss)
    between = covered.copy()
    between[1:] &= covered[:-1]
    between[:-1] &= covered[1:]
    bracketed = between[winner, np.arange(len(winner))]
    edges = np.flatnonzero(bracketed[1:] != bracketed[:-1]) + 1
    ordered = winner.copy()
    for first, end in pairwise([0, *edges.tolist(), len(winner)]):
        if bracketed[first]:
            # Chernozhukov, Fernandez-Val & Galichon (arXiv:0704.3686): putting an estimate of an
            # increasing function in order brings it nearer to the truth, whatever its noise.
            ordered[first:end].sort()
    at = np.flatnonzero((ordered[1:] > ordered[:-1]) & bracketed[:-1] & bracketed[1:])
    moved = np.count_nonzero(ordered != winner) / max(1, np.count_nonzero(bracketed))
    numbers = sizes[ordered]
    return Trace(numbers, bracketed, at, numbers[at], numbers[at + 1], moved)


def steps(grid: Grid, found: Trace) -> tuple[Step, ...]:
    """Returns the spans of compute over which one size, or none, is known to be on the envelope."""
    label = np.where(found.bracketed, found.winner, -1)
    cuts = np.flatnonzero(np.diff(label)) + 1
    middles = (grid.log_flops[cuts - 1] + grid.log_flops[cuts]) / 2
    ends = np.exp(np.concatenate([grid.log_flops[:1], middles, grid.log_flops[-1:]]))
    spans = []
    words = {0: ("smallest", "smaller"), len(grid.log_sizes) - 1: ("largest", "larger")}
    for number, low, high in zip(label[np.append(0, cuts)], ends[:-1], ends[1:], strict=True):
        size, refusal, reason = float(np.exp(grid.log_sizes[number])), None, ""
        if number < 0:
            size, refusal = None, Refusal.UNCOVERED
            reason = (
                "a size next to that of the lowest loss has no curve there: train it longer, or "
                "evaluate it more often"
            )
        elif number in words:
            end, remedy = words[number]
            refusal = Refusal.EDGE
            reason = (
                f"the lowest loss is that of the {end} size, {size:.4g}: the optimum is not "
                f"bracketed; add {remedy} sizes"
            )
        spans.append(Step(float(low), float(high), size, refusal, reason))
    return tuple(spans)
