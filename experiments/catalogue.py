"""Finding experiments: by name in this package, or by the path of a user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

import experiments
from scaling import own_code
from scaling.fields import nearest


def names() -> list[str]:
    """Names of the experiments of this package."""
    found = []
    for module in pkgutil.iter_modules(experiments.__path__):
        spec = importlib.util.find_spec(f"experiments.{module.name}")
        source = Path(spec.origin).read_text() if spec and spec.origin else ""
        if "\nSWEEP" in source or "\nPARTS" in source:
            found.append(module.name)
    return sorted(found)


def load(name: str) -> ModuleType:
    """The experiment of that name, or the one in a Python file.

    Raises:
        ValueError: no such experiment (the nearest name is given), or a file that is none.
    """
    if name.endswith(".py"):
        return _load_file(Path(name))
    if name not in names():
        raise ValueError(f"no experiment {name!r}; {nearest(name, names())}")
    return importlib.import_module(f"experiments.{name}")


def parts(experiment: ModuleType) -> list[ModuleType]:
    """The experiments that one gathers, or itself alone."""
    return list(getattr(experiment, "PARTS", [experiment]))


def title(experiment: ModuleType) -> str:
    """Short name of an experiment: the name of its file."""
    return experiment.__name__.rpartition(".")[2]


def _load_file(path: Path) -> ModuleType:
    """A user's experiment, checked for all that it must declare before anything is spent."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.stem in names() or not path.stem.isidentifier():
        raise ValueError(
            f"{path}: its name names its results folder: give it one of letters, digits and _ that "
            "is no experiment of this package"
        )
    try:
        module = own_code.load_file(path, f"experiment_file.{path.stem}")
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    gathers = hasattr(module, "PARTS")
    needed = ("figure",) if gathers else ("SWEEP", "EXPECTED", "analyse", "figure")
    if missing := [name for name in needed if not hasattr(module, name)]:
        raise ValueError(f"{path}: no experiment, for it does not declare {', '.join(missing)}")
    return module
