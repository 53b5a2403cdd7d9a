"""Parts of an HTML page as text: every word of others is escaped here."""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

MOST_SVG_BYTES = 400_000
"""A drawing larger than this is embedded as a picture: a reader's machine draws it at once."""

_PIXELS = 1.65
"""Most pixels of the page that a point of a drawing takes."""

MOST_CSV_BYTES = 600_000
"""A table larger than this is named, and not embedded."""


def text(value: object) -> str:
    """Returns words that obey nothing."""
    return html.escape(str(value))


def paragraph(words: str, kind: str = "") -> str:
    """Returns a paragraph, its lines kept."""
    lines = "<br>".join(text(line) for line in words.split("\n"))
    return f'<p class="{kind}">{lines}</p>' if kind else f"<p>{lines}</p>"


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str,
    *,
    kinds: Sequence[str] | None = None,
    sortable: bool = False,
) -> str:
    """Returns a table with a caption and headings that a screen reader reads out.

    Args:
        headings: One a column.
        rows: Cells, one a column in each row; the first names the row.
        caption: What the table shows.
        kinds: Class of each row; none unless given.
        sortable: Whether the page's script may sort and filter it.
    """
    head = "".join(f'<th scope="col">{text(heading)}</th>' for heading in headings)
    body = []
    for at, (first, *others) in enumerate(rows):
        kind = f' class="{kinds[at]}"' if kinds and kinds[at] else ""
        cells = "".join(f"<td>{text(cell)}</td>" for cell in others)
        # A heading without words is none for a screen reader.
        head_cell = f'<th scope="row">{text(first)}</th>' if first else "<td></td>"
        body.append(f"<tr{kind}>{head_cell}{cells}</tr>")
    mark = ' class="sortable"' if sortable else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}">'
        f"<table{mark}><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def details(summary: str, content: str) -> str:
    """Returns content that unfolds under a line."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def preformatted(words: str) -> str:
    """Returns text with its own line breaks."""
    return f'<pre tabindex="0">{text(words)}</pre>'


def badge(words: str, kind: str) -> str:
    """Returns a mark beside a heading."""
    return f'<span class="badge {kind}">{text(words)}</span>'


def figure(folder: Path, number: int, caption: str, alt: str) -> str:
    """Returns a figure of a folder: its drawing inline, or its picture where that is too large.

    Args:
        folder: Holds figure.svg and figure.png.
        number: Of the figure on its page; it keeps names inside drawings apart.
        caption: Words under it.
        alt: What it shows, in a sentence with the number.
    """
    drawing = folder / "figure.svg"
    if drawing.is_file() and drawing.stat().st_size <= MOST_SVG_BYTES:
        shown = _inline(drawing.read_text(encoding="utf-8"), number, alt)
    else:
        picture = base64.b64encode((folder / "figure.png").read_bytes()).decode()
        shown = f'<img src="data:image/png;base64,{picture}" alt="{text(alt)}">'
    return f"<figure>{shown}<figcaption>Figure {number}. {text(caption)}</figcaption></figure>"


def _inline(svg: str, number: int, alt: str) -> str:
    """A drawing as part of a page, its names kept apart from those of others."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\b(id=")', rf"\1f{number}-", svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\1f{number}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Figures a column wide are drawn at the scale of those that are two.
    width = re.search(r'width="([\d.]+)pt"', svg)
    style = f' style="max-width:{_PIXELS * float(width[1]):.0f}px"' if width else ""
    return svg.replace("<svg", f'<svg role="img" aria-label="{text(alt)}"{style}', 1)


def csv_link(path: Path, name: str) -> str:
    """Returns a link that saves a table, which the page carries; its path where it is too large."""
    if path.stat().st_size > MOST_CSV_BYTES:
        return f"<p>The points are in {text(path)}.</p>"
    data = base64.b64encode(path.read_bytes()).decode()
    link = f'<a download="{text(name)}" href="data:text/csv;base64,{data}">{text(name)}</a>'
    return f"<p>The points as a table: {link}</p>"


def page(title: str, body: str) -> str:
    """Returns a whole page, its style and its script in it."""
    here = Path(__file__).parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head>"
        f"<body><main>{body}</main><script>{script}</script></body></html>\n"
    )
