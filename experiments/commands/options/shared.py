"""Words of several commands, and what every command that prints a result can be asked."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

Name = Annotated[
    Positional[str], arg(metavar="EXPERIMENT", help="A name from `scaling list`, or a .py file.")
]
Folder = Annotated[
    Positional[str], arg(metavar="RESULTS", help="A results folder, e.g. results/NAME.")
]
File = Annotated[str | None, arg(metavar="FILE")]
Stem = Annotated[str | None, arg(metavar="STEM")]


@dataclass(frozen=True, kw_only=True)
class JsonOptions:
    """What every command that prints a result can be asked."""

    json: File = None
    """Write the result as JSON; - prints it, and all else to the standard error."""
