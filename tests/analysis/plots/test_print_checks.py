"""The check of printed figures finds what was planted, and nothing in a figure without faults."""

import pytest
from print_checks import faults

from analysis.plots import style


@pytest.fixture
def figure():
    with style.paper_style():
        drawn, axes = style.new_figure(1, 2, width=style.DOUBLE_COLUMN)
        for ax in axes.flat:
            ax.plot([1, 2], [1, 3], color="#0072B2", label="seen")
            ax.set(xlabel="size", ylabel="loss", title="a panel")
            ax.legend()
        style.letter_panels(axes)
        drawn.draw_without_rendering()
    return drawn


def test_a_figure_without_faults_has_none(figure):
    assert faults(figure) == []


@pytest.mark.parametrize(
    ("place", "size", "says"),
    [
        ((0.5, -0.01), 8, "overlaps"),
        ((3.0, 0.5), 8, "leaves the page"),
        ((0.7, 0.3), 5, "is 5 pt"),
    ],
)
def test_a_planted_fault_is_found(figure, place, size, says):
    ax = figure.axes[0]
    ax.text(*place, "planted words", fontsize=size, transform=ax.transAxes, va="top", ha="center")
    ax.text(0.5, -0.02, "more", fontsize=8, transform=ax.transAxes, va="top", ha="center")
    assert any(says in each for each in faults(figure))


def test_lines_that_only_colour_tells_apart_are_found(figure):
    left, right = figure.axes
    left.plot(
        [1, 2], [2, 2], color="#D55E00", label="as dark"
    )  # the first is of the same lightness
    right.plot([1, 2], [2, 2], color="#D55E00", linestyle="--", label="dashed")
    right.plot([1, 2], [3, 3], color="#000000", label="darker")
    figure.draw_without_rendering()
    assert faults(figure) == ["'seen' and 'as dark' differ in colour alone"]
