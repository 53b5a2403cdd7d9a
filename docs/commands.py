"""The page of all commands, made from what `scaling COMMAND --help` prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from sphinx.application import Sphinx

from experiments.cli import main

HEAD = """# Commands

What `scaling COMMAND --help` prints. See [how to use them](../howto/index.md).
"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the page with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}


def write(app: Sphinx) -> None:
    """Writes the page into the sources of the site."""
    names = re.search(r"\{([\w,]+)\}", printed("--help"))
    assert names is not None
    parts = [HEAD]
    for name in names[1].split(","):
        parts.append(f"## scaling {name}\n\n```text\n{printed(name, '--help')}```\n")
    (Path(app.srcdir) / "reference" / "commands.md").write_text("\n".join(parts))


def printed(*words: str) -> str:
    """What the command prints before it exits."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(list(words))
    return out.getvalue()
