"""A user's own classes: loaded again in another process, and identified by their code.

A class is loaded from the file or module that the program names, never from one that a file of
results names: reading results executes nothing.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a class is defined.

    Attributes:
        module: Name of its module.
        file: File to load it from; None for a module that is imported by its name.
        name: Name of the class.
        fingerprint: Hash of its code, as `fingerprint` gives it.
    """

    module: str
    file: str | None
    name: str
    fingerprint: str


@functools.cache
def origin(cls: type) -> Origin:
    """Finds the origin of a class.

    Raises:
        ValueError: another process could not load the class.
    """
    module, where = sys.modules.get(cls.__module__), f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__ == "__main__" or getattr(module, cls.__qualname__, None) is not cls:
        raise ValueError(
            f"{where}: workers load it by its name, so define it at the top of a module that is "
            "imported, or of the file given to `scaling run`"
        )
    assert module is not None
    path = Path(module.__file__ or "")
    if path.suffix != ".py":
        raise ValueError(f"{where}: its identity follows from its code: define it in a .py file")
    return Origin(
        module=module.__name__,
        file=str(path) if module.__spec__ is None else None,
        name=cls.__name__,
        fingerprint=fingerprint(decode_source(path.read_bytes()), cls.__name__),
    )


def load(where: Origin) -> Any:
    """Loads the class of an origin.

    Raises:
        ValueError: the code has changed since the fingerprint was taken.
    """
    if where.file is None:
        module = importlib.import_module(where.module)
    else:
        module = _executed(Path(where.file), where.module)
    cls = getattr(module, where.name)
    if (now := origin(cls).fingerprint) != where.fingerprint:
        raise ValueError(
            f"{module.__file__}: {where.name} has changed since this command began (fingerprint "
            f"{where.fingerprint} then, {now} now): run the command again"
        )
    return cls


def load_file(path: Path, name: str) -> ModuleType:
    """Executes a Python file as a module of that name, in place of any other of that name.

    Its text is compiled each time. Cached byte code may be that of an older text: two edits within
    a second that leave the size unchanged look the same.
    """
    module = ModuleType(name)
    module.__file__ = str(path.resolve())
    code = compile(path.read_bytes(), module.__file__, "exec", dont_inherit=True)
    sys.modules[name] = module  # where dataclasses look up the types of their fields
    try:
        exec(code, vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


_executed = functools.cache(load_file)
"""Module of a file, executed once in a process, so that all its classes are of one module."""


def fingerprint(source: str, name: str) -> str:
    """Hash of all code in a file that a definition depends on: 128 bits of a SHA-256, in hex.

    That is the text of the definition; of every other definition, import and assignment that it
    names, directly or indirectly; and of every statement that binds no names, such as a call or a
    condition, except docstrings of the file. Code that is imported from other files is not read.

    Args:
        source: The text of the file.
        name: Name of the definition.
    """
    lines = re.split(r"\r\n?|\n", source)  # as `ast` counts them, unlike str.splitlines
    statements = list(_statements(ast.parse(source), lines))
    needed, seen = {name}, set[_Statement]()
    while new := [s for s in statements if s not in seen and (not s.binds or s.binds & needed)]:
        seen.update(new)
        needed.update(*(s.names for s in new))
    text = "\n".join(s.text for s in statements if s in seen)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Statement(NamedTuple):
    """A statement at the top level of a file: names it binds, names it uses, and its text."""

    binds: frozenset[str]
    names: frozenset[str]
    text: str


def _statements(tree: ast.Module, lines: list[str]) -> Iterator[_Statement]:
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        above = [each.lineno for each in getattr(node, "decorator_list", ())]
        text = "\n".join(lines[min(above, default=node.lineno) - 1 : node.end_lineno])
        names = frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
        yield _Statement(_bound(node), names, text)


def _bound(node: ast.stmt) -> frozenset[str]:
    """Names that a definition, an import or an assignment to names binds; none for the rest."""
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
