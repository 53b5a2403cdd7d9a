"""Learning curves at common values of compute, and which size has the lowest loss at each."""

from collections.abc import Sequence
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
        place: Place of each run by its loss, the lowest 0, shape `(n_runs, n_flops)`.
        size_at: Index of the size of the run at each place, shape `(n_runs, n_flops)`.
    """

    log_flops: Floats
    log_sizes: Floats
    size: NDArray[np.intp]
    log_loss: Floats
    log_tokens: Floats
    place: NDArray[np.unsignedinteger]
    size_at: NDArray[np.intp]

    @property
    def lowest_loss(self) -> Floats:
        """Lowest loss at each compute, nats, NaN where there is no curve, shape `(n_flops,)`."""
        lowest = self.log_loss.min(axis=0)
        return np.where(np.isfinite(lowest), np.exp(lowest), np.nan)


class Trace(NamedTuple):
    """The size that is on the envelope at each compute, for several sets of runs.

    Attributes:
        winner: Index of the size of the lowest loss, in order, shape `(n_sets, n_flops)`.
        bracketed: Whether the sizes next to it have a curve, shape `(n_sets, n_flops)`.
        share_reordered: Share of the bracketed compute whose winners were out of order, shape
            `(n_sets,)`.
        of: The set of each hand-over, ascending, shape `(n_hand_overs,)`.
        at: Index of the last compute before each hand-over, shape `(n_hand_overs,)`.
        smaller: Index of the size before each hand-over, shape `(n_hand_overs,)`.
        larger: Index of the size after each hand-over, shape `(n_hand_overs,)`.
    """

    winner: NDArray[np.intp]
    bracketed: NDArray[np.bool_]
    share_reordered: Floats
    of: NDArray[np.intp]
    at: NDArray[np.intp]
    smaller: NDArray[np.intp]
    larger: NDArray[np.intp]


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
    in_order = np.argsort(log_loss, axis=0, kind="stable")
    place = np.argsort(in_order, axis=0).astype(np.min_scalar_type(len(ordered)))
    return Grid(log_flops, np.log(sizes), size, log_loss, log_tokens, place, size[in_order])


def trace(grid: Grid, chosen: NDArray[np.bool_]) -> Trace:
    """Returns the envelopes of sets of runs: whether each run is in a set, `(n_sets, n_runs)`."""
    n_sizes, last = len(grid.log_sizes), len(grid.size) - 1
    of_set, each = np.arange(len(chosen))[:, None], np.arange(len(grid.log_flops))
    # 1. The size of the lowest loss, and whether its neighbours in the set have a curve.
    least = np.where(chosen, 0, last).astype(grid.place.dtype)
    lowest = np.maximum(grid.place, least[:, :, None]).min(axis=1)
    winner = grid.size_at[lowest, each]
    first_run = np.searchsorted(grid.size, np.arange(n_sizes))
    covered = chosen[:, :, None] & np.isfinite(grid.log_loss)
    if n_sizes <= last:
        covered = np.logical_or.reduceat(covered, first_run, axis=1)
    smaller, larger = _neighbours(np.logical_or.reduceat(chosen, first_run, axis=1))
    rows = covered.reshape(-1, len(each))
    between = covered.copy()
    for nearest in (smaller, larger):
        between &= rows.take(n_sizes * of_set + nearest, axis=0)
    bracketed = between[of_set, winner, each]
    # 2. In order within each span. Chernozhukov, Fernandez-Val & Galichon (arXiv:0704.3686):
    # putting an estimate of an increasing function in order brings it nearer to the truth, whatever
    # its noise.
    span = np.cumsum(np.diff(bracketed, axis=1, prepend=bracketed[:, :1]), axis=1) * n_sizes
    # The smallest type, for the few bytes of which NumPy has a sort in linear time.
    key = (span + winner).astype(np.min_scalar_type(span.max() + n_sizes))
    ordered = np.where(bracketed, np.sort(key, axis=1, kind="stable") - span, winner)
    moved = np.count_nonzero(ordered != winner, axis=1)
    grows = (ordered[:, 1:] > ordered[:, :-1]) & bracketed[:, :-1] & bracketed[:, 1:]
    of, at = np.nonzero(grows)
    return Trace(
        ordered,
        bracketed,
        moved / np.maximum(1, np.count_nonzero(bracketed, axis=1)),
        of,
        at,
        ordered[of, at],
        ordered[of, at + 1],
    )


def _neighbours(present: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The next smaller and larger size of each set, itself where there is none: `(n_sets, n)`."""
    n_sizes = present.shape[1]
    itself = np.arange(n_sizes)
    below = np.maximum.accumulate(np.where(present, itself, -1), axis=1)
    above = np.minimum.accumulate(np.where(present, itself, n_sizes)[:, ::-1], axis=1)[:, ::-1]
    smaller, larger = np.tile(itself, (2, len(present), 1))
    smaller[:, 1:] = below[:, :-1]
    larger[:, :-1] = above[:, 1:]
    return np.where(smaller < 0, itself, smaller), np.where(larger == n_sizes, itself, larger)


def steps(grid: Grid, found: Trace) -> tuple[Step, ...]:
    """Returns the spans of compute over which one size, or none, is known to be on the envelope.

    Args:
        grid: The curves.
        found: The envelope of one set of runs.
    """
    label = np.where(found.bracketed[0], found.winner[0], -1)
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
