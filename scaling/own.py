"""A user's own classes: found again in another process, and known by their code.

A class is loaded from where a program that uses it says that it lies, never from where a file of
results does: reading results executes nothing.
"""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import dataclass
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import Any

from scaling import code_of


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a class is defined.

    Attributes:
        module: The name of its module.
        file: The file to load it from; None for a module that is imported by its name.
        name: Its own name.
        fingerprint: Of its code.
    """

    module: str
    file: str | None
    name: str
    fingerprint: str


@functools.cache
def origin(cls: type) -> Origin:
    """Where a class is defined, and the fingerprint of what it follows from in its file.

    Raises:
        ValueError: another process could not load it.
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
        fingerprint=code_of.fingerprint(decode_source(path.read_bytes()), cls.__name__),
    )


def load(where: Origin) -> Any:
    """The class that is defined there.

    Raises:
        ValueError: its code is no longer that of the fingerprint.
    """
    if where.file is None:
        module = importlib.import_module(where.module)
    else:
        module = _executed(Path(where.file), where.module)
    cls = getattr(module, where.name)
    if (now := origin(cls).fingerprint) != where.fingerprint:
        raise ValueError(
            f"{module.__file__}: {where.name} has changed since this command began (fingerprint "
            f"{where.fingerprint} then, {now} now): give the command again"
        )
    return cls


@functools.cache
def _executed(path: Path, name: str) -> ModuleType:
    """The module of a file, executed once in a process: all classes of it know one another."""
    return load_file(path, name)


def load_file(path: Path, name: str) -> ModuleType:
    """Executes a Python file as a module of that name, whatever else is called so.

    Its text is compiled each time: byte code kept from before may be that of an older text, as two
    edits of a second that leave the size the same cannot be told apart.
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
