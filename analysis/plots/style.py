"""Figures for print: sizes, fonts, colours that survive greyscale, and reproducible files.

Figures are built from `matplotlib.figure.Figure` directly. Neither this file nor the drawing
functions import pyplot, keep global state or open a window.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from numpy.typing import NDArray

from analysis.writing import replace_file

SINGLE_COLUMN = 3.4
"""Width of a single-column figure, inches."""
DOUBLE_COLUMN = 7.0
"""Width of a double-column figure, inches."""

INK = "#222222"
"""Colour of axes, text and theory lines."""
GREY = "#767676"
"""Colour of reference lines, and of failed and missing cells."""

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same on every machine
    "mathtext.fontset": "dejavusans",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.7,
    "errorbar.capsize": 0,
    "patch.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.0,
    "legend.labelspacing": 0.35,
    "legend.borderaxespad": 0.4,
    "pdf.fonttype": 42,  # TrueType: editable text, accepted by publishers
    "ps.fonttype": 42,
    "savefig.dpi": 300,
    "figure.dpi": 100,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,  # `new_figure` asks for it
}


_FILE_OPTIONS: dict[str, dict[str, Any]] = {
    "pdf": {"metadata": {"CreationDate": None}},
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
}


Panels: TypeAlias = NDArray[Any]
"""Array of the axes of a figure, for which NumPy has no narrower type."""


class Series(NamedTuple):
    """Colour, marker and line of one series; each of the three alone identifies it."""

    color: str
    marker: str
    linestyle: str | tuple[int, tuple[float, ...]]


# Okabe & Ito's colours (jfly.uni-koeln.de/color), darkest first; yellow is too pale for lines.
SERIES: tuple[Series, ...] = (
    Series("#0072B2", "o", "-"),
    Series("#D55E00", "s", "--"),
    Series("#009E73", "^", "-."),
    Series("#CC79A7", "D", ":"),
    Series("#56B4E9", "v", (0, (5, 1, 1, 1, 1, 1))),
    Series("#E69F00", "P", (0, (7, 2))),
    Series("#000000", "X", (0, (1, 1))),
)


@contextmanager
def paper_style() -> Iterator[None]:
    """Applies matplotlib settings for print within the block; the caller's return after it."""
    with mpl.rc_context(RC):
        yield


def new_figure(
    n_rows: int = 1, n_columns: int = 1, *, width: float = SINGLE_COLUMN, height: float = 2.4
) -> tuple[Figure, Panels]:
    """Makes a figure of panels in which nothing overlaps; call it inside `paper_style()`.

    Args:
        n_rows: Rows of panels.
        n_columns: Columns of panels.
        width: Width in inches, `SINGLE_COLUMN` or `DOUBLE_COLUMN`.
        height: Height in inches.

    Returns:
        The figure and its axes, an array of shape (n_rows, n_columns).
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def letter_panels(axes: Panels) -> None:
    """Writes (a), (b), ... outside the top left corner of each panel, row by row."""
    for letter, ax in zip("abcdefghijklmnopqrstuvwxyz", axes.flat, strict=False):
        ax.annotate(
            f"({letter})",
            (0, 1),
            xycoords="axes fraction",
            xytext=(-10, 5),
            textcoords="offset points",
            ha="right",
            fontweight="bold",
            fontsize=9,
        )


def legend_above(ax: Axes, n_columns: int = 2) -> Legend:
    """Adds a legend above the top edge of a panel, where it covers no data.

    Choose `n_columns` so that it is no wider than the panel: a wider one squeezes the columns of
    panels. Where a corner of the panel is empty, `ax.legend()` is enough.
    """
    return ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=n_columns, borderaxespad=0.2)


def save(figure: Figure, path_without_suffix: str | Path) -> list[Path]:
    """Writes a figure as PDF (embedded TrueType) and PNG (300 dpi), replacing older files.

    The bytes depend on the figure and the versions of matplotlib and its libraries alone: no
    dates, no paths. Each write is atomic. The first save fixes the layout: draw everything before
    it.

    Args:
        figure: The figure.
        path_without_suffix: Path to which ".pdf" and ".png" are appended; folders are made.

    Returns:
        Paths of the PDF and the PNG.
    """
    stem = Path(path_without_suffix)
    paths = []
    with paper_style():
        for suffix, options in _FILE_OPTIONS.items():
            # Through memory, so that a full disk fails in one place, with the disk's own message.
            image = io.BytesIO()
            figure.savefig(image, format=suffix, **options)
            paths.append(stem.with_name(f"{stem.name}.{suffix}"))
            replace_file(paths[-1], image.getvalue())
            figure.set_layout_engine(None)  # a second layout could move panels by a pixel
    return paths
