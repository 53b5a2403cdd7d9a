"""Thresholds, peaks and missing runs are marked where they are, and the limits are kept."""

import numpy as np
import pytest

from analysis.estimate import Estimate
from analysis.plots.marks import mark_expected, mark_missing, mark_peak, mark_threshold
from analysis.plots.style import legend_above

SIZES = np.array([1.0, 2.0, 4.0, 8.0])
ESTIMATE = Estimate(3.0, 2.0, 4.0, 0.95)


def drawn(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def bar(ax) -> tuple[float, float]:
    """Ends of the one bar that marks an interval."""
    (line,) = (line for line in ax.lines if line.get_linewidth() == 2.5)
    return tuple(line.get_xdata())


def test_the_expected_range_is_a_bar_and_keeps_the_limits(ax):
    ax.set_xscale("log")
    ax.plot(SIZES, SIZES)
    limits = ax.get_xlim()
    mark_expected(ax, 0.1, 3.0, label="theory")
    assert bar(ax) == (0.1, 3.0)
    assert ax.get_xlim() == limits


@pytest.mark.parametrize("mark", [mark_threshold, mark_peak])
def test_marks_show_value_and_interval_and_keep_the_limits(ax, mark):
    ax.set_xscale("log")
    ax.plot(SIZES, SIZES)
    limits = ax.get_xlim()
    mark(ax, ESTIMATE, label="here")
    assert set(drawn(ax, "here")[0]) == {3.0}
    assert bar(ax) == (2.0, 4.0)
    assert ax.get_xlim() == limits


@pytest.mark.parametrize(
    ("estimate", "at", "span"),
    [
        (Estimate(np.nan, 8.0, np.inf, 0.95, "above"), 8.0, (8.0, 10.0)),
        (Estimate(np.nan, 0.0, 1.0, 0.95, "below"), 1.0, (0.5, 1.0)),
    ],
)
def test_a_censored_threshold_shows_its_bound_and_no_line(ax, estimate, at, span):
    ax.set_xscale("log")
    ax.set_xlim(0.5, 10)
    mark_threshold(ax, estimate, label="bound")
    x, _ = drawn(ax, "bound")
    np.testing.assert_array_equal(x, [at])
    assert bar(ax) == span


def test_missing_runs_are_each_visible_and_in_the_legend(ax):
    mark_missing(ax, diverged=[4.0, 4.0, 2.0], failed=[4.0])
    x, height = drawn(ax, "diverged")
    np.testing.assert_array_equal(x, [2, 4, 4])
    fx, failed_height = drawn(ax, "failed or missing")
    np.testing.assert_array_equal(fx, [4])
    at_four = [*height[1:], *failed_height]
    assert len(set(at_four)) == 3 and 0 < min(at_four) and max(at_four) < 0.2
    names = [text.get_text() for text in legend_above(ax).get_texts()]
    assert names == ["diverged", "failed or missing"]


def test_no_missing_runs_leave_no_mark(ax):
    mark_missing(ax)
    assert not ax.lines
