"""Words of several commands, and what all of their options have in common."""

from collections.abc import Iterable
from dataclasses import Field, dataclass, fields
from typing import Annotated, Any, get_args

from tyro.conf import Positional, arg

Name = Annotated[
    Positional[str], arg(metavar="EXPERIMENT", help="A name from `scaling list`, or a .py file.")
]
Folder = Annotated[
    Positional[str], arg(metavar="RESULTS", help="A results folder, e.g. results/NAME.")
]
File = Annotated[str | None, arg(metavar="FILE")]
Stem = Annotated[str | None, arg(metavar="STEM")]


(_POSITIONAL,) = get_args(Positional[str])[1:]


class Of:
    """Marks an option that says nothing by itself: one of these options is given, too.

    An owner is the name of a field, or `field=value` where it must have that value. One that the
    command has not is passed over.
    """

    def __init__(self, *owners: str) -> None:
        self.owners = owners


def refusal(flag: str, owners: Iterable[str]) -> ValueError:
    """The refusal of an option that says nothing without one of these."""
    return ValueError(
        f"{flag} has no effect without {' or '.join(owners)}: give that as well, or leave {flag} "
        "out"
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a command; one that belongs to another (`Of`) is refused without it."""

    def __post_init__(self) -> None:
        """Raises a ValueError where an option lacks all of those that it belongs to."""
        known = {each.name: each for each in fields(self)}
        for name, each in known.items():
            for mark in (mark for mark in _marks(each) if isinstance(mark, Of)):
                owners = [owner for owner in mark.owners if owner.partition("=")[0] in known]
                if owners and self._has(name) and not any(map(self._has, owners)):
                    flags = [_flag(known[o.partition("=")[0]], o.partition("=")[2]) for o in owners]
                    raise refusal(_flag(each), flags)

    def _has(self, owner: str) -> bool:
        """Whether an option is given, and has the value that `owner` says if it says one."""
        name, _, value = owner.partition("=")
        given = getattr(self, name)
        return given == value if value else given not in (None, ()) and given is not False


def _marks(option: Field[Any]) -> tuple[Any, ...]:
    return getattr(option.type, "__metadata__", ())


def _flag(option: Field[Any], value: str = "") -> str:
    """What is written on the command line for an option."""
    if _POSITIONAL in _marks(option):
        return f"`{value}`" if value else option.name.upper()
    return f"--{option.name.replace('_', '-')} {value}".rstrip()


@dataclass(frozen=True, kw_only=True)
class JsonOptions(Options):
    """What every command that prints a result can be asked."""

    json: File = None
    """Write the result as JSON; - prints it, and all else to the standard error."""
