"""Python source code in two parts, what it says to people and what it says to machines."""

from __future__ import annotations

import inspect
import io
import itertools
import tokenize
from typing import Literal, NamedTuple

Part = Literal["english", "code"]

VERSION = "python/1"
"""Identity of the way in which a source is divided."""


class Parts(NamedTuple):
    """A source in two parts.

    Attributes:
        english: Its comments and docstrings, without their marks, each from the start of a line.
        code: The source without them, and without the lines that held nothing else.
    """

    english: bytes
    code: bytes


def parts_of(source: bytes) -> Parts:
    """Divides a source, UTF-8, at its own tokens; both parts are empty where it is no Python.

    A docstring is a string that is a statement by itself.
    """
    lines = list(io.StringIO(source.decode(), newline="\n"))
    try:
        tokens = list(tokenize.generate_tokens(iter(lines).__next__))
    except (tokenize.TokenError, SyntaxError):
        return Parts(b"", b"")
    english = []
    for token in reversed(_said_to_people(tokens)):
        english.append(_text(token))
        (first, begin), (last, end) = token.start, token.end
        left = lines[first - 1][:begin].rstrip() + lines[last - 1][end:]
        lines[first - 1 : last] = [left] if left.strip() else []
    said = "".join(f"{text}\n" for text in reversed(english) if text)
    return Parts(said.encode(), "".join(lines).encode())


def _said_to_people(tokens: list[tokenize.TokenInfo]) -> list[tokenize.TokenInfo]:
    """Comments and docstrings, in their order."""
    found, begins = [], True
    for token, following in itertools.pairwise(tokens):
        alone = begins and following.type in (tokenize.NEWLINE, tokenize.COMMENT)
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and alone):
            found.append(token)
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return found


def _text(token: tokenize.TokenInfo) -> str:
    """What a comment or docstring says, without its marks."""
    if token.type == tokenize.COMMENT:
        return token.string.lstrip("#").strip()
    quoted = token.string.lstrip("rRuUbBfF")
    marks = 3 if quoted[:3] in ('"""', "'''") else 1
    return inspect.cleandoc(quoted[marks:-marks])
