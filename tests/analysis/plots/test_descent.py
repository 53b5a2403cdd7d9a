"""Figures of double descent show what they are given, on whichever axis."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from analysis.estimate import Estimate
from analysis.plots.descent import (
    descent_panels,
    draw_quantity,
    draw_residuals,
    draw_theory,
    mark_descent,
)
from analysis.plots.descent_axes import axis_of_runs, own_axis
from analysis.plots.descent_maps import draw_interpolation, draw_map, map_of_runs

SIZES = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
FOLDED = np.array([2.0, 4.0, 7.0, 5.0, 4.5])
SIZE, SEED = np.repeat(SIZES, 3), np.tile(np.arange(3), 5)


@pytest.fixture
def value():
    return np.random.default_rng(0).lognormal(size=15)


def folded():
    return axis_of_runs("effective_parameters", SIZE, np.repeat(FOLDED, 3), SEED)


def drawn(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def test_a_quantity_stands_at_its_sizes_or_where_another_axis_puts_them(ax, value):
    middle = np.median(value.reshape(5, 3), axis=1)
    draw_quantity(ax, SIZE, value, SEED, axis=own_axis("width"), label="own")
    np.testing.assert_allclose(drawn(ax, "own"), [SIZES, middle])
    assert ax.get_xlabel() == "width" and ax.get_xscale() == "log"
    draw_quantity(ax, SIZE, value, SEED, axis=folded(), label="folded")
    np.testing.assert_allclose(drawn(ax, "folded"), [FOLDED, middle])
    assert ax.get_xlabel() == "effective parameters"


def test_one_curve_without_seeds_is_drawn(ax):
    draw_quantity(ax, SIZES, 1 / SIZES, [0] * 5, axis=own_axis("width"), label="one")
    np.testing.assert_allclose(drawn(ax, "one"), [SIZES, 1 / SIZES])


def test_an_axis_interpolates_in_logarithms_and_keeps_open_ends():
    axis = axis_of_runs("parameters", SIZE, SIZE**2, SEED)
    assert not axis.folds and folded().folds
    assert axis.at(3.0) == pytest.approx(9.0)
    place = axis.of(Estimate(4.0, 3.0, 8.0, 0.95))
    assert (place.value, place.low, place.high) == pytest.approx((16.0, 9.0, 64.0))
    censored = axis.of(Estimate(np.nan, 8.0, np.inf, 0.95, "above"))
    assert np.isnan(censored.value) and censored.high == np.inf
    assert censored.low == pytest.approx(64.0)
    assert censored.censored == "above"
    open_below = axis.of(Estimate(np.nan, 0.0, 4.0, 0.95, "below"))
    assert (open_below.low, open_below.high) == pytest.approx((0.0, 16.0))
    # Where the axis folds back, an interval holds all places that its sizes have.
    fold = folded().of(Estimate(8.0, 4.0, 32.0, 0.95))
    assert (fold.low, fold.high) == pytest.approx((4.0, 7.0))


def test_sizes_stand_along_the_top_of_an_axis_that_does_not_fold(ax, value):
    for axis in (own_axis("width"), folded()):
        axis.show_sizes(ax, "width")
    assert not ax.child_axes
    axis = axis_of_runs("parameters", SIZE, SIZE**2, SEED)
    draw_quantity(ax, SIZE, value, SEED, axis=axis, label="test")
    axis.show_sizes(ax, "width", most=3)
    (top,) = ax.child_axes
    assert [text.get_text() for text in top.get_xticklabels()] == ["2", "8", "32"]
    np.testing.assert_allclose(top.get_xticks(), [4.0, 64.0, 1024.0])
    assert top.get_xlabel() == "width"


@pytest.mark.parametrize("place", [0.0, -1.0, np.nan])
def test_an_axis_refuses_places_that_no_logarithm_has(place):
    with pytest.raises(ValueError, match=r"place\[0\] = .*positive"):
        axis_of_runs("parameters", SIZE, np.where(SIZE == 2, place, 1.0), SEED)


def test_threshold_and_peak_follow_the_axis(ax, value):
    axis = axis_of_runs("parameters", SIZE, SIZE**2, SEED)
    draw_quantity(ax, SIZE, value, SEED, axis=axis, label="test")
    limits = ax.get_xlim()
    threshold, peak = Estimate(4.0, 2.0, 8.0, 0.95), Estimate(8.0, 4.0, 16.0, 0.95)
    mark_descent(ax, axis, threshold=threshold, peak=peak)
    np.testing.assert_allclose(drawn(ax, "threshold")[0], 16.0)
    np.testing.assert_allclose(drawn(ax, "peak")[0], 64.0)
    assert ax.get_xlim() == limits


def test_theory_is_dashed_and_residuals_are_in_standard_errors(ax, value):
    axis = own_axis("width")
    draw_theory(ax, SIZES, 1 / SIZES, axis=axis)
    (line,) = ax.lines
    assert line.is_dashed()
    table = value.reshape(5, 3)
    error = table.std(axis=1, ddof=1) / np.sqrt(3)

    def theory(size):
        return np.where(size == 8, np.inf, 1 / size)

    z = draw_residuals(ax, SIZE, value, SEED, theory, axis=axis, label="z")
    wanted = (table.mean(axis=1) - 1 / SIZES) / error
    kept = SIZES != 8
    np.testing.assert_allclose(z[kept], wanted[kept])
    assert np.isnan(z[~kept]).all()
    np.testing.assert_allclose(drawn(ax, "z"), [SIZES[kept], wanted[kept]])
    np.testing.assert_array_equal(drawn(ax, "no theory")[0], [8.0])
    with pytest.raises(ValueError, match="all seeds agree at size 2"):
        draw_residuals(ax, SIZE, SIZE, SEED, theory, axis=axis, label="z")


def test_panels_of_residuals_share_the_axis_above():
    figure, upper, lower = descent_panels(2, residuals=True)
    assert len(upper) == len(lower) == 2 and len(figure.axes) == 4
    upper[0].set_xlim(3, 5)
    assert lower[0].get_xlim() == (3, 5)
    assert len(descent_panels(1)[2]) == 0


def test_a_map_holds_medians_and_leaves_cells_without_runs_empty():
    x, y = np.array([1, 1, 1, 2, 2, 4.0]), np.array([1, 1, 10, 1, 10, 10.0])
    grid = map_of_runs(x, y, [1, 3, 5, np.nan, 7, 9])
    np.testing.assert_array_equal(grid.x, [1, 2, 4])
    np.testing.assert_array_equal(grid.values, [[2, np.nan, np.nan], [5, 7, 9]])
    with pytest.raises(ValueError, match="2 by 1 values is no map"):
        map_of_runs(x[3:], [1, 1, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="positive"):
        map_of_runs(x, y - 1, y)


def test_a_map_draws_its_cells_and_the_threshold_of_each_row(ax):
    x, y = (each.ravel() for each in np.meshgrid(SIZES, [1.0, 10.0, 100.0]))
    grid = map_of_runs(x, y, x * y)
    draw_map(ax, grid, label="test error")
    (mesh,) = [each for each in ax.collections if isinstance(each, QuadMesh)]
    np.testing.assert_array_equal(mesh.get_array(), grid.values)
    # Train error 0.2 above and 0 below a width that shrinks with training; never in the first row.
    train = map_of_runs(x, y, np.where(x * np.sqrt(y) >= 40, 0.0, 0.2))
    found = draw_interpolation(ax, train, 0.1)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [np.sqrt(8 * 16), np.sqrt(2 * 4)])
    np.testing.assert_allclose(drawn(ax, "interpolation threshold"), [found, [1, 10, 100]])
    with pytest.raises(ValueError, match="no cell of the map"):
        draw_map(ax, map_of_runs(x, y, x * np.nan), label="test error")
