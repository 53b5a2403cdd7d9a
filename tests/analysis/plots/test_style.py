"""Files are complete, embedded and the same every time; nothing overlaps; colours differ."""

import re
import zlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from vision import DEFICIENCIES, seen

from analysis.estimate import Estimate
from analysis.plots.curves import draw_replicates, draw_theory
from analysis.plots.marks import mark_missing, mark_threshold
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


@pytest.fixture(scope="module")
def figure():
    return make_figure()


@pytest.fixture(scope="module")
def saved(figure, tmp_path_factory):
    return save(figure, tmp_path_factory.mktemp("figures") / "new" / "figure.v1")


@pytest.mark.medium
def test_saved_files_are_complete_and_identical_every_time(figure, saved, tmp_path):
    pdf, png = saved
    assert [pdf.name, png.name] == ["figure.v1.pdf", "figure.v1.png"]
    assert sorted(pdf.parent.iterdir()) == [pdf, png]  # nothing half-written is left
    first = pdf.read_bytes(), png.read_bytes()
    for again in (figure, make_figure()):
        others = save(again, tmp_path / "other")
        assert tuple(path.read_bytes() for path in others) == first


@pytest.mark.medium
def test_files_are_fit_for_print(saved):
    pdf, png = saved
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


def test_legends_letters_and_panels_do_not_overlap(figure):
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
    assert (SINGLE_COLUMN, DOUBLE_COLUMN) == (3.3, 7.0)


def test_series_differ_in_marker_line_and_colour():
    for field in ("color", "marker", "linestyle"):
        assert len({getattr(series, field) for series in SERIES}) == len(SERIES)


def test_colours_stand_out_on_white():
    # WCAG relative luminance; contrast with white of at least 2 for the palest line.
    for series in SERIES:
        rgb = np.array(to_rgb(series.color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) > 2


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_differ_to_the_colour_blind(deficiency):
    colours = [seen(series.color, deficiency) for series in SERIES[:5]]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[i + 1 :]]
    assert min(apart) > 15
