"""The public names of a room: listed at its head, imported when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def public(
    room: str, names: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """Returns `__all__`, `__getattr__` and `__dir__` of a room, which import nothing by themselves.

    So `from analysis import fit` works, and `import scaling.record` still loads no third party. The
    stub beside the head (`__init__.pyi`) says the same to type checkers; a test compares the two.

    Args:
        room: Name of the room.
        names: The public names of each of its modules, by the name of the module in the room.
        modules: Modules of the room that are public as a whole.
    """
    home_of = {name: module for module, defined in names.items() for name in defined}
    offered = [*home_of, *modules]

    def get(name: str) -> object:
        if name in modules:
            return import_module(f"{room}.{name}")
        if name in home_of:
            return getattr(import_module(f"{room}.{home_of[name]}"), name)
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    return offered, get, lambda: offered
