"""What print asks of a figure: no text over another, none off the page, none too small.

And no two lines of a legend that only colour tells apart, where some eyes or grey print do not.
"""

from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from vision import apart

LEAST_POINTS = 6.0
LEAST_APART = 10.0  # in CIELAB; 2 can just be seen side by side
_HOLLOW = ("#ffffffff", "#00000000")  # filled with white, or with nothing
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
    return said + [each for ax in figure.axes for each in _alike(ax)]


def _alike(ax: Axes) -> list[str]:
    """Pairs of a panel's legend that are one line, or one mark, in colours hard to tell apart."""
    looks = [
        (look, color, label)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        for look, color in _look(handle)
    ]
    return [
        f"{label!r} and {other!r} differ in colour alone"
        for (look, color, label), (second, shade, other) in combinations(looks, 2)
        if look == second and label != other and apart(color, shade) < LEAST_APART
    ]


def _look(handle: object) -> list[tuple[object, str]]:
    """What tells a line or a mark from others, without its colour, and its colour."""
    line = handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle
    if not isinstance(line, Line2D):
        return []
    drawn = line.get_linestyle() not in ("None", " ", "")
    marker = line.get_marker() if line.get_marker() not in ("None", " ", "", None) else ""
    hollow = bool(marker) and to_hex(line.get_markerfacecolor(), keep_alpha=True) in _HOLLOW
    dashes = (line._dash_pattern[1], line.get_linewidth() > 1.5) if drawn else None
    return [((marker, hollow, dashes), to_hex(line.get_color()))] if drawn or marker else []
