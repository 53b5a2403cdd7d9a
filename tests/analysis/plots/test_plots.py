"""Everything drawn is in the data; files are whole, embedded and the same every time."""

import re
import subprocess
import sys
import zlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from analysis.estimate import Estimate
from analysis.plots.curves import (
    draw_fit,
    draw_replicates,
    draw_standardised_residuals,
    draw_theory,
)
from analysis.plots.marks import mark_expected, mark_missing, mark_peak, mark_threshold
from analysis.plots.style import (
    DOUBLE_COLUMN,
    RC,
    SERIES,
    SINGLE_COLUMN,
    legend_above,
    letter_panels,
    new_figure,
    paper_style,
    save,
)

SIZES = np.array([1.0, 2.0, 4.0, 8.0])
ESTIMATE = Estimate(3.0, 2.0, 4.0, 0.95)


@pytest.fixture
def ax():
    with paper_style():
        _, axes = new_figure()
        yield axes[0, 0]


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
    draw_replicates(ax, *runs, label="m", statistic="mean", band="standard_error", bars=True)
    table = runs[1].reshape(4, 5)
    mean, error = table.mean(axis=1), table.std(axis=1, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(drawn(ax, "m")[1], mean)
    segments = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 1], np.stack([mean - error, mean + error], axis=1))
    np.testing.assert_array_equal(segments[:, 0, 0], SIZES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"band": "standard_error"}, 'belongs to statistic "mean"'),
        ({"band": (0.9, 0.1)}, "two ascending quantiles"),
        ({"statistic": "mode"}, "choose one of mean, median"),
    ],
)
def test_replicates_refuse_a_band_without_meaning(ax, runs, options, message):
    with pytest.raises(ValueError, match=message):
        draw_replicates(ax, *runs, label="x", **options)


def test_replicates_refuse_diverged_and_repeated_runs(ax, runs):
    size, value, seed = runs
    with pytest.raises(ValueError, match="1 of 20 rows of value are not finite"):
        draw_replicates(ax, size, np.where(np.arange(20) == 3, np.inf, value), seed, label="x")
    with pytest.raises(ValueError, match="more than once"):
        draw_replicates(ax, size, value, np.zeros(20), label="x")
    with pytest.raises(ValueError, match="at least 2 seeds"):
        draw_replicates(
            ax, SIZES, SIZES, [0] * 4, label="x", statistic="mean", band="standard_error"
        )


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


def make_figure():
    rng = np.random.default_rng(0)
    size, seed = np.repeat(SIZES, 5), np.tile(np.arange(5), 4)
    with paper_style():
        figure, axes = new_figure(2, 2, width=DOUBLE_COLUMN, height=4.8)
        for k, ax in enumerate(axes.flat):
            draw_replicates(ax, size, rng.lognormal(size=20), seed, label="test", style=SERIES[k])
            draw_theory(ax, SIZES, 1 / SIZES, label="theory")
            ax.set(xscale="log", yscale="log", xlabel="width (units)", ylabel="loss (nats)")
            mark_threshold(ax, ESTIMATE, label="threshold")
            mark_missing(ax, diverged=[8.0])
            legend_above(ax)
        letter_panels(axes)
    return figure


def test_saved_files_are_whole_and_identical_every_time(tmp_path):
    figure = make_figure()
    pdf, png = save(figure, tmp_path / "new" / "figure.v1")
    assert [pdf.name, png.name] == ["figure.v1.pdf", "figure.v1.png"]
    assert sorted(pdf.parent.iterdir()) == [pdf, png]  # nothing half-written is left
    first = pdf.read_bytes(), png.read_bytes()
    save(figure, tmp_path / "new" / "figure.v1")
    assert (pdf.read_bytes(), png.read_bytes()) == first
    again = save(make_figure(), tmp_path / "other")
    assert tuple(path.read_bytes() for path in again) == first


def test_files_are_fit_for_print(tmp_path):
    pdf, png = save(make_figure(), tmp_path / "figure")
    raw = pdf.read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", raw, re.DOTALL)
    text = raw + b"".join(zlib.decompress(s) for s in streams if s[:1] == b"x")
    assert b"/CreationDate" not in text
    assert b"/FontFile2" in text and b"/Type3" not in text  # embedded TrueType, no Type 3
    assert b"/Subtype /Image" not in text  # vector throughout
    with Image.open(png) as image:
        assert image.size == (2100, 1440)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert "Software" not in image.info


def overlap(one, other):
    return max(0, min(one.x1, other.x1) - max(one.x0, other.x0)) * max(
        0, min(one.y1, other.y1) - max(one.y0, other.y0)
    )


def test_legends_letters_and_panels_do_not_overlap():
    figure = make_figure()
    figure.draw_without_rendering()
    panels = [ax.get_window_extent() for ax in figure.axes]
    legends = [lg.get_window_extent() for ax in figure.axes if (lg := ax.get_legend())]
    assert len(legends) == 4
    letters = [ax.texts[0].get_window_extent() for ax in figure.axes]
    labels = [ax.xaxis.label.get_window_extent() for ax in figure.axes]
    boxes = panels + legends + letters + labels
    for i, one in enumerate(boxes):
        assert all(overlap(one, other) == 0 for other in boxes[i + 1 :])


def test_style_is_left_as_it_was_found():
    before = mpl.rcParams.copy()
    with paper_style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert mpl.rcParams.copy() == before
    assert all(
        8 <= v <= 9 for k, v in RC.items() if k.endswith(("size", "fontsize")) and "font" in k
    )
    assert (SINGLE_COLUMN, DOUBLE_COLUMN) == (3.4, 7.0)


def test_series_differ_in_marker_line_and_colour():
    for field in ("color", "marker", "linestyle"):
        assert len({getattr(series, field) for series in SERIES}) == len(SERIES)


def test_colours_stand_out_on_white():
    # WCAG relative luminance; contrast with white of at least 2 for the palest line.
    for series in SERIES:
        rgb = np.array(to_rgb(series.color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) > 2


def test_importing_the_plots_leaves_pyplot_alone():
    code = (
        "import sys, analysis.plots.style, analysis.plots.curves, analysis.plots.marks;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
