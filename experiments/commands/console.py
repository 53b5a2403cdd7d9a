"""The screen: one console, one way to print a table on it, and one to write and name a file.

A file named "-" is the standard output; all else that is printed then goes to the standard error.
"""

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.errors import visible
from analysis.writing import dumps, replace_file
from sweeps.files import storing


class _Plain(Console):
    """A console on which strings obey nothing: control codes in them are shown escaped."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(
            *(visible(each) if isinstance(each, str) else each for each in objects), **options
        )

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # the reader has seen enough: `cli` ends the command


# Texts of others are printed as they are: no markup, and ":100:" is no emoji.
console = _Plain(highlight=False, markup=False, emoji=False)
if not console.is_terminal:
    console.width = 1000  # in a file or a pipe a line stays one

STANDARD_OUTPUT = "-"

_results: list[TextIO] = []
"""Where results go that are written to the standard output; else they go there itself."""

Justify = Literal["left", "right"]


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    justify: Sequence[Justify] | None = None,
) -> None:
    """Prints rows under headings, without borders.

    Args:
        headings: One a column; empty for a column without one.
        rows: Cells, one a column in each row.
        justify: Side on which each column is aligned; all left unless given.
    """
    listing = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for i, heading in enumerate(headings):
        listing.add_column(visible(heading), justify=justify[i] if justify else "left")
    for row in rows:
        listing.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in row))
    console.print(listing)


@contextmanager
def beside_output(args: Sequence[str]) -> Generator[None]:
    """Prints on the standard error within the block, where the result goes to the standard output.

    What the file of an experiment prints goes there too.

    Args:
        args: Words of the command.
    """
    pairs = zip(args, [*args[1:], ""], strict=True)
    if not any(each in (("--json", "-"), ("--latex", "-")) for each in pairs):
        yield
        return
    console.stderr = True
    _results.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        console.stderr = False
        _results.pop()


def write_json(to: str | None, value: Any) -> None:
    """Writes a result as strict JSON, where a file is asked for; otherwise as `write_text`."""
    if to is not None:
        write_text(to, dumps(value))


def write_text(to: str, text: str) -> None:
    """Writes a text file, atomically, and prints that it is written; "-" is standard output.

    Raises:
        StoreError: The file cannot be written; an older one is kept.
    """
    if to == STANDARD_OUTPUT:
        output = _results[-1] if _results else sys.stdout
        output.write(text.rstrip("\n") + "\n")
        output.flush()
        return
    path = Path(to)
    with storing(path):
        replace_file(path, (text.rstrip("\n") + "\n").encode())
    console.print(f"{to}: written")
