"""The site is read without a network: whatever a page would fetch from elsewhere is a warning."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

log = getLogger(__name__)

_FETCHED = re.compile(r"""(?:\bsrc=|<link\b[^>]*\bhref=|@import |\burl\()["']?(https?:)?//""")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the check with Sphinx."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}


def check(app: Sphinx, error: Exception | None) -> None:
    """Warns of pages and style sheets that fetch fonts, scripts or pictures."""
    if error is not None:
        return
    files = (path for ending in ("html", "css") for path in Path(app.outdir).rglob(f"*.{ending}"))
    for path in files:
        if fetched := _FETCHED.search(path.read_text(encoding="utf-8")):
            log.warning("%s fetches from elsewhere: %s", path, fetched[0])
