"""The error that `analysis` raises besides `ValueError`, and how messages word their remedies."""

import difflib
import re
import shlex
from collections.abc import Iterable


class FitError(Exception):
    """The data do not support the fit; the message says why and what would help.

    Attributes:
        reason: The refusal in a sentence, for the screen.
        detail: More about it, for a report; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def visible(text: str) -> str:
    """Returns a text with its control codes and lone surrogates escaped, shown and not obeyed."""
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]",
        lambda found: found[0].encode("unicode_escape").decode(),
        text,
    )


def typed(text: str) -> str:
    """Returns an argument as it is typed in a shell: in quotes where a shell would change it.

    zsh takes brackets for a pattern of file names, and stops where no file has such a name.
    """
    plain = re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII)
    return text if plain else shlex.quote(text)


def nearest_name(name: str, known: Iterable[str], most: int | None = None) -> str:
    """Returns the remedy for a misspelt name: the nearest valid one, and all of them.

    `scaling.fields.nearest` says the same in the rooms that do not know this one.

    Args:
        name: The name that is not known.
        known: The names that are.
        most: How many of them to list; all unless given.
    """
    names = sorted(known)
    shown = names[:most]
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return f"{did_you_mean(name, names)}valid: {', '.join(shown)}{more}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean 'x'? " for the known name that is nearest; "" where none is near.

    Names are compared by their letters and digits, whatever their case.
    """
    names = {_plain(each): each for each in sorted(known)}
    close = difflib.get_close_matches(_plain(name), sorted(names), n=1, cutoff=0.5)
    return f"did you mean {names[close[0]]!r}? " if close else ""


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower())) or name
