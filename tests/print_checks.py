"""What print asks of a figure: no text over another, none off the page, none too small."""

from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

LEAST_POINTS = 6.0
_TOUCH = 1.0  # pixels at 100 dpi that boxes share before letters do


def texts(figure: Figure) -> list[Text]:
    """The texts that are drawn, tick labels in view among them."""
    figures = [figure, *figure.subfigs]
    found = [text for each in figures for text in each.texts]
    found += [text for each in figures for legend in each.legends for text in legend.get_texts()]
    for ax in figure.axes:
        found += _texts_of(ax)
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def _texts_of(ax: Axes) -> list[Text]:
    if not ax.get_visible():
        return []
    found = [ax.title, *ax.texts]
    if (legend := ax.get_legend()) is not None:
        found += [*legend.get_texts(), legend.get_title()]
    if not ax.axison:
        return found
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_visible():
            ticks = axis._update_ticks()
            labels = [label for tick in ticks for label in (tick.label1, tick.label2)]
            found += [axis.label, axis.offsetText, *labels]
    return found


def faults(figure: Figure) -> list[str]:
    """Sentences on a figure that is laid out; none where it may be printed."""
    boxes = [(text, text.get_window_extent()) for text in texts(figure)]
    page = Bbox.from_bounds(0, 0, *figure.bbox.size).padded(_TOUCH)
    said = []
    for text, box in boxes:
        corners = np.array(box.corners())
        if not all(page.contains(*corner) for corner in corners):
            said.append(f"{text.get_text()!r} leaves the page")
        if text.get_fontsize() < LEAST_POINTS:
            said.append(f"{text.get_text()!r} is {text.get_fontsize():g} pt")
    for (one, first), (two, second) in combinations(boxes, 2):
        shared = Bbox.intersection(first, second)
        if shared is not None and min(shared.width, shared.height) > _TOUCH:
            said.append(f"{one.get_text()!r} overlaps {two.get_text()!r}")
    return said
