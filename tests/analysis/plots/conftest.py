"""Axes to draw on, in the style of print."""

import pytest

from analysis.plots.style import new_figure, paper_style


@pytest.fixture
def ax():
    with paper_style():
        _, axes = new_figure()
        yield axes[0, 0]
