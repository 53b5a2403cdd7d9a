"""What `analysis` raises besides `ValueError`, and the name that a misspelt one is nearest to."""

import difflib
from collections.abc import Iterable


class FitError(Exception):
    """The data do not support the fit; the message says why and what would help."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Returns the remedy for a misspelt name: the nearest valid one, and all of them.

    `scaling.fields.nearest` says the same in the rooms that do not know this one.

    Args:
        name: The name that is not known.
        known: The names that are.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}valid: {', '.join(names)}"
