"""Docstrings are plain text: bars stay bars, and indented equations stay as they stand."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the reader of docstrings with Sphinx, ahead of that of their sections."""
    app.connect("autodoc-process-docstring", as_meant, priority=400)
    return {"parallel_read_safe": True}


def as_meant(
    _app: Sphinx, _what: str, _name: str, _of: Any, _options: Any, lines: list[str]
) -> None:
    """Makes reStructuredText of a docstring, in place."""
    found: list[str] = []
    in_block = False
    for before, line in zip(["", *lines], lines, strict=False):
        indented = line.startswith("    ")
        if indented and not before.strip() and _last(found)[:1] not in ("", " ", "-"):
            found += ["::", ""]
            in_block = True
        in_block &= indented or not line.strip()
        found.append(line if in_block else _escaped(line))
    lines[:] = found


def _last(lines: list[str]) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(lines) if line.strip()), "")


def _escaped(line: str) -> str:
    """A line whose bars, outside code, are no substitutions."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in parts)
