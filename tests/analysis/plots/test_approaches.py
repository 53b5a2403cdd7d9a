"""What the figure of the three approaches shows is in their report, and nothing overlaps."""

import numpy as np
import pandas as pd
import pytest

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.estimate import Bootstrap
from analysis.plots.approaches import approaches_figure, draw_growth, draw_learning_curves
from analysis.plots.style import new_figure, paper_style, save

NAMES = ["1 envelope", "2 parabola", "2 Akima", "3 Huber 0.001", "3 squared error"]
BUDGETS = 1e18 * 4.0 ** np.arange(6)


def analyse(size, flops, run=None):
    tokens = flops / (6 * size)
    loss = 1.8 + 400 * size**-0.36 + 900 * tokens**-0.3
    loss = loss + 0.002 * np.random.default_rng(0).standard_normal(len(loss))
    table = pd.DataFrame({"N": size, "D": tokens, "C": flops, "loss": loss, "run": run})
    return three_approaches(table, curves=run is not None, span=8.0, bootstrap=Bootstrap(n=200))


def product(one, other):
    return (grid.ravel() for grid in np.meshgrid(one, other, indexing="ij"))


@pytest.fixture(scope="module")
def with_curves():
    size, flops = product(np.geomspace(1e7, 1e10, 16), np.geomspace(1e17, 1e21, 120))
    return analyse(size, flops, np.repeat(np.arange(16), 120))


@pytest.fixture(scope="module")
def with_points():
    flops, offset = product(BUDGETS, np.linspace(-1.2, 1.2, 9))
    return analyse(3e8 * (flops / 1e20) ** 0.45 * np.exp(offset), flops)


@pytest.fixture(scope="module")
def with_fits():
    size, tokens = product(np.geomspace(1e7, 1e9, 7), BUDGETS / 1e9)
    return analyse(size, 6 * size * tokens)


def test_the_figure_shows_every_hand_over_minimum_and_law(with_curves):
    with paper_style():
        _, axes = new_figure(1, 2)
        curves, growth = axes[0]
        rows = {row.kind.title: row for row in with_curves.rows}
        envelope = rows["1 envelope"].detail
        assert isinstance(envelope, EnvelopeResult)
        draw_learning_curves(curves, envelope, colorbar=False)
        drawn = [line for line in curves.lines if len(line.get_xdata()) == 120]
        assert len(drawn) == 16
        (marks,) = [line for line in curves.lines if line.get_marker() == "D"]
        np.testing.assert_allclose(marks.get_xdata(), [h.flops for h in envelope.hand_overs])
        draw_growth(growth, with_curves, "params")
    parabola = rows["2 parabola"].detail
    assert isinstance(parabola, IsoflopResult)
    minima = [v.optimal_params.value for v in parabola.valleys if v.optimal_params]
    shown = [line.get_ydata()[0] for line in growth.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(shown, minima)
    lines = [line for line in growth.lines if len(line.get_xdata()) == 80]
    assert len(lines) == 5 == len({line.get_color() for line in lines})
    for line, row in zip(lines, with_curves.rows, strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose(y, row.exponents.params.predict(x))


def overlap(one, other):
    return max(0, min(one.x1, other.x1) - max(one.x0, other.x0)) * max(
        0, min(one.y1, other.y1) - max(one.y0, other.y0)
    )


@pytest.mark.medium
@pytest.mark.parametrize(
    ("report", "n_panels"), [("with_curves", 4), ("with_points", 3), ("with_fits", 2)]
)
def test_the_figure_has_no_overlaps_and_stays_on_the_page(request, report, n_panels):
    figure = approaches_figure(request.getfixturevalue(report))
    figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert len(panels) == n_panels
    boxes = [ax.get_window_extent() for ax in figure.axes]
    boxes += [legend.get_window_extent() for ax in panels if (legend := ax.get_legend())]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    boxes += [ax.xaxis.label.get_window_extent() for ax in panels]
    for number, one in enumerate(boxes):
        assert all(overlap(one, other) == 0 for other in boxes[number + 1 :])
        assert one.x0 >= 0 and one.x1 <= figure.bbox.x1
        assert one.y0 >= 0 and one.y1 <= figure.bbox.y1


def test_approaches_without_an_answer_are_not_in_the_legend(with_points, with_fits):
    for report, names in ((with_points, NAMES[1:]), (with_fits, NAMES[3:])):
        (legend,) = approaches_figure(report).legends
        assert [text.get_text().split(":")[0] for text in legend.get_texts()] == names


@pytest.mark.medium
def test_the_figure_is_written(with_fits, tmp_path):
    for path in save(approaches_figure(with_fits), tmp_path / "approaches"):
        assert path.stat().st_size > 10_000
