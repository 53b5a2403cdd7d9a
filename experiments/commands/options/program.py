"""Options of the commands about the program itself: its experiments and completion."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from experiments.commands.options.shared import JsonOptions, Name, Options


@dataclass(frozen=True, kw_only=True)
class ListOptions(JsonOptions):
    """Options of `scaling list`."""


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(Options):
    """Options of `scaling completion`."""

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], arg(metavar="SHELL")]
    """Bash, zsh or fish, e.g. `scaling completion bash > ~/.bash_completion`."""


@dataclass(frozen=True, kw_only=True)
class ShowOptions(JsonOptions):
    """Options of `scaling show`."""

    name: Name
