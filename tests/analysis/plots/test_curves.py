"""What is drawn of measurements, theory, fits and residuals is in the data."""

import numpy as np
import pytest

from analysis.plots.curves import (
    draw_fit,
    draw_replicates,
    draw_standardised_residuals,
    draw_theory,
)
from analysis.plots.style import SERIES

SIZES = np.array([1.0, 2.0, 4.0, 8.0])


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    return np.repeat(SIZES, 5), rng.lognormal(size=20), np.tile(np.arange(5), 4)


def drawn(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def band_ends(ax):
    """Lower and upper end at each size of the one filled band."""
    (band,) = ax.collections
    points = band.get_paths()[0].vertices
    at = [points[points[:, 0] == size, 1] for size in SIZES]
    return np.array([[y.min(), y.max()] for y in at]).T


def test_replicates_draw_median_and_quartiles(ax, runs):
    size, value, seed = runs
    order = np.random.default_rng(1).permutation(20)
    draw_replicates(ax, size[order], value[order], seed[order], label="test")
    x, y = drawn(ax, "test")
    table = value.reshape(4, 5)
    np.testing.assert_array_equal(x, SIZES)
    np.testing.assert_allclose(y, np.median(table, axis=1))
    np.testing.assert_allclose(band_ends(ax), np.quantile(table, [0.25, 0.75], axis=1))


def test_replicates_draw_mean_and_standard_error_as_bars(ax, runs):
    draw_replicates(ax, *runs, label="m", band="standard_error", bars=True)
    table = runs[1].reshape(4, 5)
    mean, error = table.mean(axis=1), table.std(axis=1, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(drawn(ax, "m")[1], mean)
    segments = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 1], np.stack([mean - error, mean + error], axis=1))
    np.testing.assert_array_equal(segments[:, 0, 0], SIZES)


@pytest.mark.parametrize("band", [(0.9, 0.1), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_replicates_refuse_a_band_without_meaning(ax, runs, band):
    with pytest.raises(ValueError, match="two ascending quantiles"):
        draw_replicates(ax, *runs, label="x", band=band)


def test_replicates_refuse_diverged_and_repeated_runs(ax, runs):
    size, value, seed = runs
    with pytest.raises(ValueError, match=r"value\[\d+\] = (inf|nan), but it must be finite"):
        draw_replicates(ax, size, np.where(np.arange(20) == 3, np.inf, value), seed, label="x")
    with pytest.raises(ValueError, match="more than once"):
        draw_replicates(ax, size, value, np.zeros(20), label="x")
    with pytest.raises(ValueError, match="at least 2 seeds"):
        draw_replicates(ax, SIZES, SIZES, [0] * 4, label="x", band="standard_error")


def test_theory_and_fit_draw_what_they_are_given(ax):
    draw_theory(ax, SIZES, SIZES**2, label="theory")
    draw_fit(ax, SIZES, lambda x: (x - 0.5, x, x + 1), label="fit")
    np.testing.assert_array_equal(drawn(ax, "theory"), [SIZES, SIZES**2])
    np.testing.assert_array_equal(drawn(ax, "fit"), [SIZES, SIZES])
    np.testing.assert_array_equal(band_ends(ax), [SIZES - 0.5, SIZES + 1])


def test_residuals_share_one_pair_of_bands_and_all_stay_in_frame(ax):
    first, second = np.array([0.5, -1, 2, -2.5]), np.array([0, 7.0, 1, -1])
    draw_standardised_residuals(ax, SIZES, first, label="a")
    assert ax.get_ylim() == (-4, 4)
    draw_standardised_residuals(ax, SIZES, second, label="b", style=SERIES[1])
    np.testing.assert_array_equal(drawn(ax, "a")[1], first)
    np.testing.assert_array_equal(drawn(ax, "b")[1], second)
    spans = [p.get_bbox() for p in ax.patches]
    assert [(b.y0, b.y1) for b in spans] == [(-3, 3), (-2, 2)]
    assert ax.get_ylim()[1] > 7 and ax.get_ylim()[0] == -ax.get_ylim()[1]
    with pytest.raises(ValueError, match="1 of 4 residuals are not finite"):
        draw_standardised_residuals(ax, SIZES, [0, np.nan, 1, 2], label="c")
