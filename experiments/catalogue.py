"""Finding experiments: by name in this package, or by the path of a user's own file."""

import functools
import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import experiments
from experiments.experiment import Expected, Experiment, Gathering, Named, Sentence, Sweep
from scaling import own_code
from scaling.fields import nearest

_NOTHING: Sweep = {"smoke": list, "cpu": list, "gpu": list}
"""The budgets of an experiment of facts: none has a run."""


def names() -> list[str]:
    """Names of the experiments of this package."""
    return declaring(experiments, "SWEEP", "FACTS", "PARTS")


def questions() -> dict[str, str]:
    """The first line of each card of this package by its name, found without importing."""
    sources = _sources(*experiments.__path__)
    cards = {name: sources[name].split('"""')[1] for name in names()}
    return {name: card.partition("\n")[0] for name, card in cards.items()}


def declaring(package: ModuleType, *words: str) -> list[str]:
    """Names of the modules of a package that declare one of the words, found without importing."""
    return sorted(
        name
        for name, text in _sources(*package.__path__).items()
        if any(f"\n{word}" in text for word in words)
    )


@functools.cache
def _sources(*folders: str) -> Mapping[str, str]:
    """The text of each module in folders by its name, which stays while this process runs."""
    files = (file for folder in folders for file in Path(folder).glob("*.py"))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def load(name: str) -> Experiment | Gathering:
    """The experiment of that name, or the one in a Python file.

    Raises:
        ValueError: no such experiment (the nearest name is given), or a file that declares none.
    """
    if name.endswith(".py"):
        return _read(_module_in(Path(name)))
    if name not in names():
        raise ValueError(f"no experiment {name!r}; {nearest(name, names())}")
    return _read(importlib.import_module(f"experiments.{name}"))


def _module_in(path: Path) -> ModuleType:
    """The module in a user's file, which names its results folder."""
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file. Give the path of a .py file, or a name that "
            "`scaling list` prints"
        )
    taken = path.stem in names()
    if taken or not path.stem.isidentifier():
        why = "is a built-in experiment" if taken else "is no Python identifier"
        raise ValueError(
            f"{path}: {path.stem!r} {why}. Rename the file: its name becomes the results folder. "
            "Use an identifier that no built-in experiment has."
        )
    try:
        return own_code.load_file(path, f"experiment_file.{path.stem}")
    except SystemExit as error:
        raise ValueError(
            f"{path}: it exits (status {error.code}) while it is imported, so it is a script and "
            "no experiment. Declare SWEEP, EXPECTED, analyse and figure at its top level"
        ) from error
    except Exception as error:
        raise ValueError(
            f"{path}: it cannot be imported ({type(error).__name__}: {error}). Correct the file; "
            "--debug shows the line"
        ) from error


def _read(module: ModuleType) -> Experiment | Gathering:
    """What a module declares, checked before anything is spent."""
    if "PARTS" not in vars(module):
        return _experiment(module)
    _check_declared(module, "figure")
    return Gathering(
        name=_name(module),
        file=_file(module),
        card=inspect.getdoc(module) or "",
        caption=_sentences(module, "CAPTION"),
        alt=_sentences(module, "ALT"),
        parts=tuple(map(_experiment, module.PARTS)),
        figure=module.figure,
    )


def _experiment(module: ModuleType) -> Experiment:
    name, declared = _name(module), vars(module)
    _check_declared(module, "FACTS" if "FACTS" in declared else "SWEEP", "EXPECTED", "analyse",
                    "figure")  # fmt: skip
    _check_types(module)
    analyse, facts = module.analyse, declared.get("FACTS")
    takes_curves = declared.get("CURVES", False)
    return Experiment(
        name=name,
        file=_file(module),
        card=inspect.getdoc(module) or "",
        caption=_sentences(module, "CAPTION"),
        alt=_sentences(module, "ALT"),
        sweep=_NOTHING if facts else module.SWEEP,
        expected=tuple(module.EXPECTED),
        analyse=lambda table, read_curves: (
            analyse(table, read_curves()) if takes_curves else analyse(table)
        ),
        figure=module.figure,
        takes_curves=takes_curves,
        runs_of=declared.get("RUNS_OF", name),
        threshold_along=declared.get("THRESHOLD_ALONG"),
        facts=facts,
    )


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _check_declared(module: ModuleType, *needed: str) -> None:
    if missing := [name for name in needed if name not in vars(module)]:
        raise ValueError(
            f"{_file(module)} does not declare {', '.join(missing)}. An experiment declares SWEEP, "
            "EXPECTED, analyse and figure, or FACTS in place of SWEEP where nothing is trained; "
            "one that gathers others PARTS and figure."
        )


def _check_types(module: ModuleType) -> None:
    """Refuses declarations of another type, which would fail only after training."""
    sweep, expected = vars(module).get("SWEEP", _NOTHING), module.EXPECTED
    wrong = None
    if "FACTS" in vars(module) and ("SWEEP" in vars(module) or not callable(module.FACTS)):
        wrong = "FACTS must be a function that reads facts, in place of SWEEP"
    elif not isinstance(sweep, Mapping) or not all(map(callable, sweep.values())):
        wrong = (
            "SWEEP must map budgets to functions that return runs, e.g. "
            "{'cpu': lambda: [RunConfig(...)]}"
        )
    elif not all(isinstance(each, Expected) for each in expected):
        wrong = "EXPECTED must hold `Expected` objects alone"
    elif not callable(module.analyse) or not callable(module.figure):
        wrong = "analyse and figure must be functions"
    elif not isinstance(vars(module).get("RUNS_OF", ""), str):
        wrong = "RUNS_OF must be the name of an experiment"
    elif not isinstance(vars(module).get("THRESHOLD_ALONG"), str | None):
        wrong = "THRESHOLD_ALONG must be the path of a size, e.g. 'model.width'"
    if wrong is not None:
        raise ValueError(f"{_file(module)}: {wrong}")


def _sentences(module: ModuleType, name: str) -> list[Sentence]:
    """Sentences that a module declares, if any; what stands in braces is a measured number."""
    declared = vars(module).get(name, ())
    # A string alone would be taken for a sentence a letter.
    if isinstance(declared, str) or not all(isinstance(each, str) for each in declared):
        raise ValueError(
            f"{_file(module)}: {name} must hold sentences, e.g. {name} = "
            "('The peak lies at {peak}.',)"
        )
    return [_sentence(each) for each in declared]


def _sentence(text: str) -> Sequence[str | Named]:
    pieces = re.split(r"\{([^{}]+)\}", text)  # words and names take turns
    return [Named(each) if at % 2 else each for at, each in enumerate(pieces) if each]


def _file(module: ModuleType) -> Path:
    return Path(module.__file__ or "")
