"""Venues: widths, fonts and sizes of type that figures have where a paper appears.

Fonts ship with matplotlib, so that a figure is the same on every machine: STIX in the place of
Times, DejaVu Sans elsewhere. Arial, which Nature asks for, is taken where it is installed.
"""

from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.font_manager import fontManager

_MM = 1 / 25.4


@dataclass(frozen=True, kw_only=True)
class Venue:
    """What a venue asks of figures.

    Attributes:
        name: Its name, as commands take it.
        column: Width of a figure that takes a column, inches; of a venue with one column, that of
            a figure which leaves room beside it.
        page: Width of a figure that takes the width of the text, inches.
        family: Type of the labels.
        size: Size of the labels, points.
        least: Smallest type, points.
        most: Largest type, points.
        columns: Columns of its text.
        source: Where these numbers come from.
    """

    name: str
    column: float
    page: float
    family: Literal["serif", "sans-serif"] = "serif"
    size: float = 8
    least: float = 6
    most: float = 10
    columns: Literal[1, 2] = 1
    source: str

    def rc(self) -> dict[str, Any]:
        """Returns matplotlib's settings of its type; those that are not named stay as they are."""
        sizes = ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize")
        fonts: dict[str, Any] = {"font.family": "serif", "font.serif": ["STIXGeneral"]}
        if self.family == "sans-serif":
            fonts = {"font.family": "sans-serif", "font.sans-serif": _sans(self.name)}
        return {
            **dict.fromkeys((*sizes, "legend.fontsize"), self.size),
            "axes.titlesize": min(self.size + 1, self.most),
            "mathtext.fontset": "stix" if self.family == "serif" else "dejavusans",
            **fonts,
        }


def _sans(name: str) -> list[str]:
    """Names of the fonts without serifs that are installed, the one to take first."""
    installed = set(fontManager.get_font_names())
    wanted = ("Arial", "Helvetica", "Liberation Sans") if name == "nature" else ()
    return [*(each for each in wanted if each in installed), "DejaVu Sans"]


_ONE_COLUMN = "style file of the conference: text 5.5 in wide, Times 10 pt"
VENUES: dict[str, Venue] = {
    each.name: each
    for each in (
        Venue(name="plain", column=3.3, page=7.0, family="sans-serif", source="none"),
        Venue(name="neurips", column=3.3, page=5.5, size=7, source=_ONE_COLUMN),
        Venue(
            name="icml",
            column=3.25,
            page=6.75,
            columns=2,
            source="style file of the conference: columns 3.25 in wide, text 6.75 in",
        ),
        Venue(name="iclr", column=3.3, page=5.5, size=7, source=_ONE_COLUMN),
        Venue(
            name="jmlr",
            column=3.4,
            page=6.0,
            size=8,
            source="jmlr.org/format/format.html: text 6 in wide, 11 pt",
        ),
        Venue(
            name="nature",
            column=89 * _MM,
            page=183 * _MM,
            family="sans-serif",
            size=7,
            least=5,
            most=7,
            columns=2,
            source="research-figure-guide.nature.com: 89 and 183 mm wide, type of 5 to 7 pt",
        ),
    )
}
"""Venues by name."""
