"""Figures for print: sizes, fonts, colours that survive greyscale, and reproducible files.

Figures are built from `matplotlib.figure.Figure` directly. Neither this file nor the drawing
functions import pyplot, keep global state or open a window.
"""

import io
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from numpy.typing import NDArray

from analysis.plots.venues import VENUES, Venue
from analysis.writing import replace_file

SINGLE_COLUMN = 3.3
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


Place: TypeAlias = Literal["outside upper left", "outside upper center", "outside lower center"]
"""Place of a legend outside the panels of a figure."""


class Series(NamedTuple):
    """Colour, marker and line of one series; each of the three alone identifies it."""

    color: str
    marker: str
    linestyle: str | tuple[int, tuple[float, ...]]

    def line(self) -> dict[str, Any]:
        """Returns the options with which `Axes.plot` draws a line and no marks."""
        return {"color": self.color, "linestyle": self.linestyle}

    def marks(self, *, filled: bool = True) -> dict[str, Any]:
        """Returns the options with which `Axes.plot` draws marks and no line."""
        face = self.color if filled else "white"
        shape = {"marker": self.marker, "markerfacecolor": face}
        return {"color": self.color, "linestyle": "none", **shape}


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


_VENUE: ContextVar[Venue] = ContextVar("venue", default=VENUES["plain"])


@contextmanager
def drawn_for(venue: Venue) -> Generator[None]:
    """Draws figures within the block at the widths and in the type of a venue.

    Figures made by `new_figure` and `new_panels` inside `paper_style` follow; the functions that
    draw them know nothing of it.
    """
    before = _VENUE.set(venue)
    try:
        yield
    finally:
        _VENUE.reset(before)


@contextmanager
def paper_style() -> Generator[None]:
    """Applies matplotlib settings for print within the block, and restores the others after it."""
    rc: dict[Any, Any] = {**RC, **_VENUE.get().rc()}
    with mpl.rc_context(rc):
        yield


def empty_figure(width: float, height: float) -> Figure:
    """Makes a figure without panels, for those that `new_figure` cannot arrange; call it alike."""
    venue = _VENUE.get()
    widths = {SINGLE_COLUMN: venue.column, DOUBLE_COLUMN: venue.page}
    figure = Figure(figsize=(widths.get(width, width), height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_figure(
    n_rows: int = 1,
    n_columns: int = 1,
    *,
    width: float = SINGLE_COLUMN,
    height: float = 2.4,
    heights: Sequence[float] | None = None,
) -> tuple[Figure, Panels]:
    """Makes a figure of panels in which nothing overlaps; call it inside `paper_style()`.

    Args:
        n_rows: Rows of panels.
        n_columns: Columns of panels.
        width: Width in inches, `SINGLE_COLUMN` or `DOUBLE_COLUMN`; a venue puts its own in their
            place (`drawn_for`).
        height: Height in inches.
        heights: Relative height of each row; all equal unless given.

    Returns:
        The figure and its axes, an array of shape (n_rows, n_columns).
    """
    figure = empty_figure(width, height)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, height_ratios=heights)


@contextmanager
def paper_figure(
    n_rows: int = 1, n_columns: int = 1, *, height: float = 2.4, width: float | None = None
) -> Generator[tuple[Figure, Panels]]:
    """Gives the block a figure in `paper_style`, and letters its panels at the end of the block.

    Args:
        n_rows: Rows of panels.
        n_columns: Columns of panels.
        height: Height in inches.
        width: Width in inches; that of one column for a single panel, and of two for more, unless
            given.

    Yields:
        What `new_figure` returns. A single panel has no letter.
    """
    if width is None:
        width = SINGLE_COLUMN if n_rows * n_columns == 1 else DOUBLE_COLUMN
    with paper_style():
        figure, panels = new_figure(n_rows, n_columns, width=width, height=height)
        yield figure, panels
        if panels.size > 1:
            letter_panels(panels)


def new_panels(
    n: int, *, height: float | None = None, margin: float = 0.3
) -> tuple[Figure, Panels, Panels]:
    """Makes a figure of lettered panels, three in a row (two of four); call it as `new_figure`.

    Args:
        n: Number of panels.
        height: Height of a panel in inches; that of a square one unless given.
        margin: Height of the figure beyond its panels, inches.

    Returns:
        The figure, one column wide for a single panel and two for more; its panels, shape (n,);
        and those of the first column.
    """
    n_columns = 2 if n == 4 else min(n, 3)
    n_rows = -(-n // n_columns)
    width = SINGLE_COLUMN if n == 1 else DOUBLE_COLUMN
    height = n_rows * (height or width / n_columns) + margin
    figure, grid = new_figure(n_rows, n_columns, width=width, height=height)
    for unused in grid.flat[n:]:
        unused.remove()
    panels = grid.flat[:n]
    if n > 1:
        letter_panels(panels)
    return figure, panels, grid[:, 0]


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
            fontsize=mpl.rcParams["axes.titlesize"],
        )


def legend_above(ax: Axes, n_columns: int = 2) -> Legend:
    """Adds a legend above the top edge of a panel, where it covers no data.

    Choose `n_columns` so that it is no wider than the panel: a wider one squeezes the columns of
    panels. Where a corner of the panel is empty, `ax.legend()` is enough.
    """
    return ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=n_columns, borderaxespad=0.2)


def outer_legend(
    figure: Figure, panels: Iterable[Axes], where: Place, n_columns: int, *, without: str = ""
) -> None:
    """Adds one legend of several panels outside them, each label once; none without labels.

    Args:
        figure: The figure.
        panels: The panels.
        where: Side of the panels.
        n_columns: Columns of the legend.
        without: Label to leave out.
    """
    entries: dict[str, Any] = {}
    for ax in panels:
        entries |= {
            label: each for each, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
    entries.pop(without, None)
    if entries:
        figure.legend(entries.values(), entries.keys(), loc=where, ncols=n_columns)


def add_colorbar(
    axes: Axes | list[Axes], norm: Normalize, colors: Colormap, label: str
) -> Colorbar:
    """Adds a thin colour bar without an outline beside axes of one figure."""
    first = axes if isinstance(axes, Axes) else axes[0]
    assert first.figure is not None
    bar = first.figure.colorbar(
        ScalarMappable(norm, colors), ax=axes, pad=0.02, aspect=30, label=label
    )
    bar.outline.set_visible(False)
    return bar


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


def as_pdf(figure: Figure, keywords: str) -> bytes:
    """Returns a figure as PDF in the type of the venue that it is drawn for.

    The bytes depend on what those of `save` depend on, and on the keywords.

    Args:
        figure: The figure.
        keywords: What the file says of itself.
    """
    venue = _VENUE.get()
    for text in figure.findobj(Text):
        text.set_fontsize(min(max(text.get_fontsize(), venue.least), venue.most))
    image = io.BytesIO()
    with paper_style():
        metadata = {**_FILE_OPTIONS["pdf"]["metadata"], "Keywords": keywords}
        figure.savefig(image, format="pdf", metadata=metadata)
    return image.getvalue()


def save_svg(figure: Figure, path: Path) -> None:
    """Writes a figure as SVG for a page, its text as outlines; call it after `save`.

    The bytes depend on the figure and the versions of matplotlib and its libraries alone.

    Args:
        figure: The figure, its layout fixed by `save`.
        path: The file.
    """
    image = io.BytesIO()
    with paper_style(), mpl.rc_context({"svg.hashsalt": "figure", "svg.fonttype": "path"}):
        figure.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
    replace_file(path, image.getvalue())
