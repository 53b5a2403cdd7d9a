"""How much each size of a curve errs by its seeds, and curves simulated with that noise."""

from typing import NamedTuple

import numpy as np

from analysis.double_descent.seeds import IntArray, Replicates, Statistic, centres_of
from analysis.estimate import Floats

LARGEST_CORRELATION = 0.95
"""Seeds that err together leave differences of sizes at least this uncertain."""


class SizeNoise(NamedTuple):
    """Noise of a stack of curves: of the centre at each size, and what sizes share by their seeds.

    Attributes:
        error: Standard error of the centre at each size, shape (n_curves, n_sizes), positive.
        correlation: Of runs that share a seed label, between sizes, shape (n_curves,), at least 0.
            One number for all pairs: a few seeds say no more.
    """

    error: Floats
    correlation: Floats

    def of_difference(self, here: Floats, there: Floats) -> Floats:
        """Standard error of a difference of two sizes from their own, shapes (..., n_curves)."""
        return np.sqrt(here**2 + there**2 - 2 * self.correlation * here * there)


class SeedNoise(NamedTuple):
    """Noise of single runs, as a sample shows it.

    Attributes:
        spread: Standard deviation over seeds at each size, or that of the size with its neighbours
            where it is larger, shape (n_sizes,).
        correlation: Of runs that share a seed label, between sizes.
        seeds: For each size the codes of the labels that ran there.
    """

    spread: Floats
    correlation: float
    seeds: tuple[IntArray, ...]

    @property
    def counts(self) -> IntArray:
        """Runs at each size, shape (n_sizes,)."""
        return np.array([len(codes) for codes in self.seeds], dtype=np.intp)


def seed_noise(runs: Replicates, values: tuple[Floats, ...]) -> SeedNoise:
    """Estimates the noise of single runs.

    Args:
        runs: The runs by size.
        values: For each size the metric of its runs, or its logarithm.
    """
    spread, correlation = _estimate([each[np.newaxis] for each in values], runs.seeds)
    return SeedNoise(spread[0], float(correlation[0]), runs.seeds)


def size_noise(noise: SeedNoise) -> SizeNoise:
    """Returns the noise of the sample's own curve, as a stack of one."""
    return SizeNoise(
        (noise.spread / np.sqrt(noise.counts))[np.newaxis], np.array([noise.correlation])
    )


def simulate(
    curve: Floats, noise: SeedNoise, statistic: Statistic, n_curves: int, seed: int
) -> tuple[Floats, SizeNoise]:
    """Draws runs about a curve, normal with the noise given, and takes them for a sample.

    Args:
        curve: Shape (n_sizes,).
        noise: Noise of the runs.
        statistic: Centre over seeds.
        n_curves: How many samples to draw.
        seed: Seed of the draws.

    Returns:
        The centres, shape (n_curves, n_sizes), and the noise that each sample shows of itself.
    """
    rng = np.random.default_rng([seed, 1])
    n_labels = 1 + max(int(codes.max()) for codes in noise.seeds)
    shared, own = np.sqrt(noise.correlation), np.sqrt(1 - noise.correlation)
    of_label = shared * rng.standard_normal((n_curves, n_labels))
    values = [
        level + spread * (of_label[:, codes] + own * rng.standard_normal((n_curves, len(codes))))
        for level, spread, codes in zip(curve, noise.spread, noise.seeds, strict=True)
    ]
    spread, correlation = _estimate(values, noise.seeds)
    return centres_of(values, statistic), SizeNoise(spread / np.sqrt(noise.counts), correlation)


def _estimate(values: list[Floats], seeds: tuple[IntArray, ...]) -> tuple[Floats, Floats]:
    """Spread (n_curves, n_sizes) and correlation (n_curves,) of values (n_curves, n_runs) a size.

    The spread of a few seeds is itself uncertain by half; neighbours err alike. Where a size errs
    by more than its neighbours, as at the interpolation threshold, its own spread stands.
    """
    # Runs first, so that each operation runs along the curves. Centred on their mean: the sum of
    # squares has one degree of freedom less than runs.
    turned = [np.ascontiguousarray(each.T) for each in values]
    off = [each - each.sum(axis=0) / len(each) for each in turned]
    raw = np.stack([np.sqrt((z * z).sum(axis=0) / (len(z) - 1)) for z in off], axis=-1)
    # Seeds that agree to the last digit leave the smallest spread that differences can show.
    scale = max(max(each.max(), -each.min()) for each in values)
    raw = np.maximum(raw, 1e-12 * max(float(scale), 1e-300))
    padded = np.concatenate([raw[:, :1], raw, raw[:, -1:]], axis=1) ** 2
    neighbours = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return np.maximum(raw, np.sqrt(neighbours)), _correlation(off, raw, seeds)


def _correlation(off: list[Floats], raw: Floats, seeds: tuple[IntArray, ...]) -> Floats:
    sizes_of = np.bincount(np.concatenate(seeds))
    n_pairs = float(sizes_of @ (sizes_of - 1))
    if not n_pairs:
        return np.zeros(len(raw))
    total, squares = np.zeros((len(sizes_of), len(raw))), np.zeros(len(raw))
    for each, codes, spread in zip(off, seeds, raw.T, strict=True):
        z = each * (np.sqrt(len(codes) / (len(codes) - 1)) / spread)
        total[codes] += z
        squares += (z * z).sum(axis=0)
    pairs = ((total * total).sum(axis=0) - squares) / n_pairs
    return np.clip(pairs, 0.0, LARGEST_CORRELATION)
