"""Figures have the widths and the type of the venue that they are drawn for."""

import re

import pytest
from matplotlib.text import Text

from analysis.plots import style
from analysis.plots.venues import VENUES


def drawn(width):
    with style.paper_style():
        figure, axes = style.new_figure(1, 2, width=width)
        axes[0, 0].plot([1, 2], [1, 3], label="seen")
        axes[0, 0].set(xlabel="size, $N$", ylabel="loss")
        axes[0, 0].legend()
        axes[0, 1].text(0.5, 0.5, "small", fontsize=2)
        style.letter_panels(axes)
    return figure


@pytest.mark.parametrize("name", VENUES)
def test_widths_are_those_of_the_venue(name):
    venue = VENUES[name]
    with style.drawn_for(venue), style.paper_style():
        for asked, wanted in (
            (style.SINGLE_COLUMN, venue.column),
            (style.DOUBLE_COLUMN, venue.page),
        ):
            assert style.empty_figure(asked, 2).get_figwidth() == pytest.approx(wanted)
        assert style.empty_figure(4.2, 2).get_figwidth() == 4.2
    assert venue.least >= 5 and venue.column >= 3.2
    with style.paper_style():
        assert style.empty_figure(style.DOUBLE_COLUMN, 2).get_figwidth() == 7


@pytest.mark.parametrize("name", ["icml", "nature"])
def test_type_is_that_of_the_venue_and_every_font_is_embedded(name):
    venue = VENUES[name]
    with style.drawn_for(venue):
        figure = drawn(style.DOUBLE_COLUMN)
        pdf = style.as_pdf(figure, "points 0")
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert venue.least <= min(sizes) and max(sizes) <= venue.most
        # The bytes depend on the figure alone, and the file says what it shows.
        assert style.as_pdf(drawn(style.DOUBLE_COLUMN), "points 0") == pdf
    assert b"/Keywords (points 0)" in pdf and b"/FontFile2" in pdf
    assert not re.search(rb"/Subtype /Type3", pdf)
