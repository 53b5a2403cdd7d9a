"""What an iso-FLOP figure shows is in the result, refused budgets and open ends included."""

import numpy as np
import pytest

from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.valley import Curve
from analysis.estimate import Bootstrap
from analysis.plots.isoflop import (
    draw_optimal_params,
    draw_tokens_per_param,
    draw_valleys,
    isoflop_figure,
)
from analysis.plots.style import new_figure, paper_style, save

BUDGETS = np.array([1e18, 1e19, 1e20])


def analyse(refused=False, sd=0.01, budgets=BUDGETS):
    rng = np.random.default_rng(0)
    size, flops = [], []
    for budget in budgets:
        size.append(1e8 * (budget / 1e20) ** 0.5 * np.exp(np.linspace(-2, 2, 9)))
        flops.append(np.full(9, budget))
    size, flops = np.concatenate(size), np.concatenate(flops)
    bend = np.where(refused & (flops == budgets[0]), -0.1, 0.1)
    loss = 3 - 0.2 * np.log10(flops / 1e18) + bend * np.log(size / 1e8 / (flops / 1e20) ** 0.5) ** 2
    return isoflop(
        size,
        loss + sd * rng.standard_normal(len(loss)),
        flops=flops,
        curve=Curve(span=5.0),
        bootstrap=Bootstrap(n=200),
    )


@pytest.fixture
def ax():
    with paper_style():
        _, axes = new_figure()
        axes[0, 0].set(xscale="log", yscale="log")
        yield axes[0, 0]


def marks(ax, marker):
    """Coordinates of all points with that marker, in the order drawn."""
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return np.concatenate([np.array(line.get_data(), dtype=float) for line in lines], axis=1)


def test_valleys_show_every_point_curve_and_minimum(ax):
    result = analyse()
    draw_valleys(ax, result)
    points = [(v.n_params, v.loss) for v in result.valleys]
    np.testing.assert_array_equal(marks(ax, "o"), np.concatenate(points, axis=1))
    faces = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    used = [face != "white" for face in faces]
    assert used == [use for valley in result.valleys for use in valley.used]
    assert any(used) and not all(used)
    np.testing.assert_array_equal(
        marks(ax, "D"),
        [
            [v.optimal_params.value for v in result.valleys],
            [v.lowest_loss.value for v in result.valleys],
        ],
    )
    segments = [segment for bar in ax.collections for segment in bar.get_segments()]
    ends = [segment[:, 0] for segment in segments if np.ptp(segment[:, 0])]  # of losses: upright
    wanted = [(v.optimal_params.low, v.optimal_params.high) for v in result.valleys]
    np.testing.assert_allclose(ends, wanted)
    curves = [line for line in ax.lines if len(line.get_xdata()) == 81]
    for line, valley in zip(curves, result.valleys, strict=True):
        np.testing.assert_array_equal(line.get_data(), [valley.curve_x, valley.curve_loss])


def test_growth_shows_minima_intervals_line_and_band(ax):
    result = analyse()
    draw_optimal_params(ax, result)
    trend = result.trends.params
    values = [v.optimal_params.value for v in result.valleys]
    np.testing.assert_allclose(marks(ax, "o"), [[v.flops for v in result.valleys], values])
    (line,) = [line for line in ax.lines if line.get_linestyle() == "-"]
    x, y = line.get_data()
    np.testing.assert_allclose(y, trend.predict(x))
    band = ax.collections[0].get_paths()[0].vertices
    low, high = trend.predict_interval(x)
    assert band[:, 1].min() == pytest.approx(low.min())
    assert band[:, 1].max() == pytest.approx(high.max())
    text = f"{trend.exponent.value:.3f}\\pm{trend.exponent_se:.3f}"
    assert text in line.get_label()


def test_tokens_per_parameter_are_those_of_the_result(ax):
    result = analyse()
    draw_tokens_per_param(ax, result, label="ours")
    ratios = [v.optimal_tokens.value / v.optimal_params.value for v in result.valleys]
    np.testing.assert_allclose(marks(ax, "s")[1], ratios)
    assert "ours" in [line.get_label() for line in ax.lines]


@pytest.mark.parametrize("draw", [draw_valleys, draw_optimal_params, draw_tokens_per_param])
def test_refused_budgets_are_visible_and_named(ax, draw):
    result = analyse(refused=True)
    assert [valley.refusal is None for valley in result.valleys] == [False, True, True]
    draw(ax, result)
    crosses = marks(ax, "x")
    refused = result.valleys[0]
    if draw is draw_valleys:
        np.testing.assert_array_equal(crosses, [refused.n_params, refused.loss])
    else:
        assert crosses[0].tolist() == [refused.flops]
    assert "refused budget" in ax.get_legend_handles_labels()[1]


def test_an_open_end_is_an_arrow(ax):
    result = analyse(sd=0.12)
    ends = [
        (np.isfinite(v.optimal_params.high), v.optimal_params.low > 0)
        for v in result.valleys
        if v.optimal_params
    ]
    n_open = sum(not end for pair in ends for end in pair)
    assert n_open > 0
    draw_optimal_params(ax, result)
    assert len(ax.texts) == n_open


def test_one_budget_is_drawn_without_a_line(ax):
    draw_optimal_params(ax, analyse(budgets=BUDGETS[:1]))
    assert marks(ax, "o").shape == (2, 1)
    assert not any(line.get_linestyle() == "-" for line in ax.lines)


def overlap(one, other):
    return max(0, min(one.x1, other.x1) - max(one.x0, other.x0)) * max(
        0, min(one.y1, other.y1) - max(one.y0, other.y0)
    )


@pytest.mark.medium
@pytest.mark.parametrize("refused", [False, True])
def test_the_figure_has_no_overlaps_and_stays_on_the_page(tmp_path, refused):
    figure = isoflop_figure(analyse(refused))
    figure.draw_without_rendering()
    assert len(figure.axes) == 4  # three panels and the bar
    boxes = [ax.get_window_extent() for ax in figure.axes]
    boxes += [lg.get_window_extent() for ax in figure.axes if (lg := ax.get_legend())]
    for ax in figure.axes[:3]:
        boxes += [ax.texts[-1].get_window_extent(), ax.xaxis.label.get_window_extent()]
    for number, one in enumerate(boxes):
        assert all(overlap(one, other) == 0 for other in boxes[number + 1 :])
        assert one.x0 >= 0 and one.x1 <= figure.bbox.x1 and one.y1 <= figure.bbox.y1
    for path in save(figure, tmp_path / "isoflop"):
        assert path.stat().st_size > 10_000
