"""Records which code the runs of experiments call at smoke size: python code_of_runs.py NAME...

The cheapest run of every kind is done while the calls of functions are noted. Modules of models and
data are imported whatever runs, so imports would not tell. Without a name it is all experiments.
"""

import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from house import modules  # noqa: E402
from smoke_choice import CODE_OF_RUNS, GROUPS  # noqa: E402

from experiments import catalogue  # noqa: E402
from scaling.accounting import account  # noqa: E402
from scaling.config import load_config, run_id  # noqa: E402
from scaling.run import run, run_pack  # noqa: E402
from sweeps import compile_cache, publishing  # noqa: E402
from sweeps.computing import computing  # noqa: E402
from sweeps.plan import Plan, make_plan  # noqa: E402
from sweeps.store import Store  # noqa: E402
from sweeps.worker import load_tasks, work  # noqa: E402

TRAINING = modules("scaling") | modules("sweeps")
"""Files of the rooms that train, by module."""


def recorded(name: str) -> dict[str, Any]:
    """What the runs of a smoke sweep call, by way of training, and what the sweep costs.

    The cost, which is there to compare experiments, is the processor seconds of a run of every kind
    and those that the plan estimates of all runs.
    """
    parts = [part for each in GROUPS[name] for part in catalogue.load(each).parts]
    configs = [config for part in parts for config in part.sweep["smoke"]()]
    if not configs:  # of published facts, for which nothing is trained
        return {"seconds": 0, "calls": {}}
    plan, before = make_plan(name, configs), _seconds_of_children()
    calls = {
        way: sorted({*called_by(runs), *made_of(c for c in plan.configs if c.train.kind == way)})
        for way, runs in cheapest(plan).items()
    }
    spent = _seconds_of_children() - before + sum(planned.seconds for planned in plan.runs)
    return {"seconds": round(spent), "calls": calls}


def _seconds_of_children() -> float:
    """Seconds that processes started by this one, and ended, took of processors."""
    times = os.times()
    return times.children_user + times.children_system


def cheapest(plan: Plan) -> dict[str, list[Mapping[str, Any]]]:
    """The runs to do, by train.kind: of every model, data and objective the one of fewest FLOPs."""
    found: dict[str, dict[tuple[str, ...], Mapping[str, Any]]] = {}
    price = {run_id(config): account(config).flops_train for config in plan.configs}
    for planned in sorted(plan.runs, key=lambda planned: price[planned.run_id]):
        model, data, train = (planned.config[part] for part in ("model", "data", "train"))
        kinds = model["kind"], data["kind"], json.dumps(train.get("objective"))
        found.setdefault(train["kind"], {}).setdefault(kinds, planned.config)
    return {way: list(runs.values()) for way, runs in sorted(found.items())}


def made_of(values: Iterable[Any]) -> set[str]:
    """Modules of the classes of configurations and of all that is in them."""
    found: set[str] = set()
    for value in values:
        if is_dataclass(value):
            found |= {each.__module__ for each in type(value).__mro__} & TRAINING.keys()
            found |= made_of(vars(value).values())
        elif isinstance(value, tuple):
            found |= made_of(value)
    return found


def called_by(configs: list[Mapping[str, Any]]) -> list[str]:
    """Modules of which runs call a function, in a process that remembers nothing of others."""
    with tempfile.TemporaryDirectory() as cache:
        env = os.environ | compile_cache.environment(os.environ)
        env |= {"SCALING_CACHE_DIR": cache, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        child = [sys.executable, __file__, "--child"]
        out = subprocess.run(
            child, input=json.dumps(configs), env=env, capture_output=True, text=True, check=True
        )
    return json.loads(out.stdout.splitlines()[-1])


def called_here(configs: list[Mapping[str, Any]]) -> list[str]:
    """Does runs as a worker does them; returns the modules of which a function was called."""
    files = set()

    def note(frame, event, _):
        # Bodies of modules and of classes run wherever they are imported.
        if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "results")
        plan = make_plan("recorded", list(map(load_config, configs)))
        publishing.declare(store, plan)
        publishing.make_folders(store, [planned.run_id for planned in plan.runs])
        job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
        compute = computing(run, run_pack=run_pack)
        work([[load_tasks([job], "cpu")]], compute, lease=600.0, emit=lambda *_, **__: None)
        sys.setprofile(None)
        ended = [record.status for record in store.read(plan)]
    assert set(ended) <= {"done", "diverged"}, ended
    return sorted(name for name, path in TRAINING.items() if str(path) in files)


def main(names: list[str]) -> None:
    """Writes the record of some groups, or of all where none is named, anew."""
    record = (
        json.loads(CODE_OF_RUNS.read_text()) if names else {"not called": TRAINING, "groups": {}}
    )
    groups = record["groups"] | {name: recorded(name) for name in names or GROUPS}
    called = {module for of in groups.values() for ways in of["calls"].values() for module in ways}
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(groups[name])}" for name in GROUPS if name in groups
    )
    not_called = json.dumps(sorted({*record["not called"]} & TRAINING.keys() - called))
    CODE_OF_RUNS.write_text(f'{{"not called": {not_called},\n"groups": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        print(json.dumps(called_here(json.load(sys.stdin))))
    else:
        main(sys.argv[1:])
