"""The graph of imports between the files of the four rooms, read from their text."""

import ast
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

HOUSE = Path(__file__).parent.parent
ROOMS = ("scaling", "sweeps", "analysis", "experiments")


def modules(room: str) -> dict[str, Path]:
    """Files of a room by the name under which they are imported."""
    found = {}
    for path in (HOUSE / room).rglob("*.py"):
        name = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Modules of the house that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in found if name.split(".")[0] in ROOMS)


def graph() -> dict[str, set[str]]:
    """The modules that each module of the house imports; a package only where no part is named."""
    names = {name: path for room in ROOMS for name, path in modules(room).items()}
    found = {name: imports(path) & set(names) - {name} for name, path in names.items()}
    for name, known in found.items():
        # `from a.b import c` names the package a.b as well as its module c.
        packages = {other for other in known if any(k.startswith(f"{other}.") for k in known)}
        found[name] = set(known - packages - {name.rpartition(".")[0]})
    return found


def reached(start: Iterable[str], known: Mapping[str, set[str]]) -> set[str]:
    """Modules that are imported from some modules, directly or through one another, and those."""
    found, waiting = set(), list(start)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += known[name]
    return found
