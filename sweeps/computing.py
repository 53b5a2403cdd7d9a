"""The functions that do runs, and how a worker loads them and the families of users."""

from __future__ import annotations

import importlib
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaling import own_code
from scaling.config import load_config
from scaling.models.family import Family
from scaling.record import Curve, RunRecord
from scaling.workspace import Workspace

Run = Callable[..., tuple[RunRecord, Curve]]
"""A function that does one run: takes a configuration and, if it has a parameter `workspace`, the
folders of checkpoints to resume from."""

RunPack = Callable[..., Sequence[tuple[RunRecord, Curve]]]
"""A function that does the runs of a pack together: takes their configurations, and returns what a
`Run` returns of each."""

Compute = Callable[
    [Sequence[Mapping[str, Any]], Sequence[Workspace]], Sequence[tuple[RunRecord, Curve]]
]
"""A function that does the runs of resolved configurations, as `computing` returns it."""


def computing(
    run: Run, families: Sequence[type[Family]] = (), run_pack: RunPack | None = None
) -> Compute:
    """Returns a function that does runs given their resolved configurations.

    Runs may be of `families` of models beside those of `scaling`. Where there is no `run_pack`,
    packs have one run.
    """
    takes_workspace = "workspace" in inspect.signature(run).parameters

    def compute(
        plains: Sequence[Mapping[str, Any]], workspaces: Sequence[Workspace]
    ) -> Sequence[tuple[RunRecord, Curve]]:
        configs = [load_config(dict(plain), families) for plain in plains]
        if run_pack is not None and len(configs) > 1:
            return run_pack(configs)
        return [
            run(config, workspace=workspace) if takes_workspace else run(config)
            for config, workspace in zip(configs, workspaces, strict=True)
        ]

    return compute


def load_code(settings: Mapping[str, Any]) -> Compute:
    """Loads the functions that do runs, and the families of users, that settings name.

    Raises:
        ValueError: code that cannot be loaded, and why.
    """
    wanted = settings["run"]
    try:
        run: Run = _imported(wanted)
        run_pack: RunPack | None = None
        if settings["run_pack"]:
            wanted = settings["run_pack"]
            run_pack = _imported(wanted)
        families = []
        for where in settings["families"]:
            wanted = f"{where['name']} of {where['file'] or where['module']}"
            families.append(own_code.load(own_code.Origin(**where)))
        return computing(run, families, run_pack)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"the workers cannot load {wanted}: {why}") from error


def _imported(name: str) -> Any:
    """The object of a name "module:path"."""
    module, _, path = name.partition(":")
    return operator.attrgetter(path)(importlib.import_module(module))
