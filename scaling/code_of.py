"""The part of a Python file that a definition in it follows from, and its digest."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple


class _Statement(NamedTuple):
    """A statement at the top level of a file: what it binds and names, and its lines."""

    binds: frozenset[str]
    names: frozenset[str]
    text: str


def fingerprint(source: str, name: str) -> str:
    """128 bits of the SHA-256 of all that a definition in a file follows from, as 32 hex digits.

    That is the text of the definition, of every other definition, import and assignment that it
    names, directly or through one another, and of every statement that binds no names, such as a
    call or a condition, but for docstrings of the file. What is imported from other files is not
    read.

    Args:
        source: The text of the file.
        name: What it defines.
    """
    lines = re.split(r"\r\n?|\n", source)  # as `ast` counts them, unlike str.splitlines
    statements = list(_statements(ast.parse(source), lines))
    needed, seen = {name}, set[_Statement]()
    while new := [s for s in statements if s not in seen and (not s.binds or s.binds & needed)]:
        seen.update(new)
        needed.update(*(s.names for s in new))
    text = "\n".join(s.text for s in statements if s in seen)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _statements(tree: ast.Module, lines: list[str]) -> Iterator[_Statement]:
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        above = [each.lineno for each in getattr(node, "decorator_list", ())]
        text = "\n".join(lines[min(above, default=node.lineno) - 1 : node.end_lineno])
        names = frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
        yield _Statement(_bound(node), names, text)


def _bound(node: ast.stmt) -> frozenset[str]:
    """The names that a definition, an import or an assignment to names binds; else none."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return frozenset({node.name})
        case ast.Import() | ast.ImportFrom():
            return frozenset((a.asname or a.name).split(".")[0] for a in node.names) - {"*"}
        case ast.Assign():
            targets = node.targets
        case ast.AnnAssign() | ast.AugAssign():
            targets = [node.target]
        case _:
            return frozenset()
    stored = [each for target in targets for each in ast.walk(target)]
    if any(isinstance(each, ast.Attribute | ast.Subscript) for each in stored):
        return frozenset()
    return frozenset(each.id for each in stored if isinstance(each, ast.Name))
