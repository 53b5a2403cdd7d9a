"""Workers on accelerators: how many, which ones each sees, and its share of their memory."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps import accelerators as module
from sweeps.accelerators import Accelerators, accelerators
from sweeps.executors import local

FOUR = Accelerators("gpu", 4)


def seen(found: Accelerators, workers: int, devices: int, **given: str) -> list[str]:
    """The GPUs that each worker sees."""
    each = (found.environment(worker, workers, devices, given) for worker in range(workers))
    return [one["CUDA_VISIBLE_DEVICES"] for one in each]


def test_workers_have_gpus_of_their_own():
    assert FOUR.places(1) == 4
    assert seen(FOUR, 4, 1) == ["0", "1", "2", "3"]
    assert FOUR.places(2) == 2
    assert seen(FOUR, 2, 2) == ["0,1", "2,3"]
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in FOUR.environment(0, 4, 1, {})


def test_workers_beyond_them_share_gpus_and_their_memory():
    assert seen(FOUR, 6, 1) == ["0", "1", "2", "3", "0", "1"]
    assert FOUR.environment(5, 6, 1, {})["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.450"
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in FOUR.environment(3, 6, 1, {})
    one = Accelerators("gpu", 1)
    assert one.environment(2, 3, 1, {})["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.300"


def test_workers_are_as_many_as_have_gpus_or_as_asked():
    assert [FOUR.workers(devices, None) for devices in (1, 2, 3, 4)] == [4, 2, 1, 1]
    assert FOUR.workers(2, 5) == 5


def test_runs_of_more_devices_than_there_are_are_refused():
    for found, name in ((FOUR, "gpu"), (Accelerators("tpu", 4), "tpu")):
        with pytest.raises(ValueError, match=rf"need 8 devices.* has 4 of {name}.*--hosts"):
            found.workers(8, None)


def test_what_the_user_chose_stands():
    two = Accelerators("gpu", 2)
    assert seen(two, 2, 1, CUDA_VISIBLE_DEVICES="5,GPU-8a1b") == ["5", "GPU-8a1b"]
    for name in ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"):
        assert set(two.environment(0, 4, 1, {name: ".2"})) == {"CUDA_VISIBLE_DEVICES"}
    given = {"CUDA_VISIBLE_DEVICES": "4,5,6", "JAX_CUDA_VISIBLE_DEVICES": "1, 2"}
    found = [two.environment(worker, 2, 1, given) for worker in range(2)]
    assert found == [{"JAX_CUDA_VISIBLE_DEVICES": "1"}, {"JAX_CUDA_VISIBLE_DEVICES": "2"}]


@pytest.mark.parametrize("unset", ["", "all"])
def test_what_jax_takes_for_no_choice_is_none(unset: str):
    assert seen(FOUR, 2, 2, JAX_CUDA_VISIBLE_DEVICES=unset) == ["0,1", "2,3"]
    given = {"JAX_CUDA_VISIBLE_DEVICES": unset, "CUDA_VISIBLE_DEVICES": "6,7"}
    assert seen(FOUR, 2, 1, **given) == ["6", "7"]


def test_a_process_on_tpus_takes_all():
    pod = Accelerators("tpu", 8)
    assert [pod.workers(devices, None) for devices in (1, 8)] == [1, 1]
    assert pod.environment(0, 1, 1, {}) == {}
    with pytest.raises(ValueError, match="workers = 2: one process takes all tpu"):
        pod.workers(1, 2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """A machine with a plugin for an accelerator, whose JAX answers as a test says."""
    answers = {}

    def run(*_: object, **__: object) -> SimpleNamespace:
        if isinstance(answers["next"], Exception):
            raise answers["next"]
        return SimpleNamespace(stdout=answers["next"])

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ("cuda",))
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(**vars(subprocess) | {"run": run}))
    accelerators.cache_clear()
    yield answers
    accelerators.cache_clear()


def test_jax_is_asked_where_it_has_a_plugin(asked: dict[str, object]):
    asked["next"] = '["gpu", 8]\n'
    assert accelerators() == Accelerators("gpu", 8)


def test_a_plugin_without_its_device_leaves_the_processor(asked: dict[str, object]):
    asked["next"] = '["cpu", 1]\n'
    assert accelerators() is None


def test_what_else_is_printed_does_not_matter(asked: dict[str, object]):
    asked["next"] = '[1]\na greeting of the plugin\n["tpu", 4]\nits goodbye\n5\n'
    assert accelerators() == Accelerators("tpu", 4)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (subprocess.CalledProcessError(1, "python", stderr="no CUDA driver"), "no CUDA driver"),
        (subprocess.TimeoutExpired("python", 120, stderr=b"hm"), "no answer within 120 s"),
        ("no list", "its answer was 'no list'"),
        ("", "its answer was ''"),
        ("5", "its answer was '5'"),
    ],
)
def test_trouble_is_reported_with_a_remedy(asked: dict[str, object], answer: object, words: str):
    asked["next"] = answer
    with pytest.raises(ValueError, match=rf"{words}. Repair .*JAX_PLATFORMS=cpu"):
        accelerators()


def test_nothing_is_asked_without_a_plugin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    monkeypatch.setattr(module, "subprocess", None)
    accelerators.cache_clear()
    assert accelerators() is None
    accelerators.cache_clear()


def test_workers_of_a_sweep_see_their_gpus(monkeypatch: pytest.MonkeyPatch):
    started = []

    def start(_: object, env: dict[str, str], **more: Any) -> subprocess.Popen[bytes]:
        started.append(env)
        return subprocess.Popen([sys.executable, "-c", ""], env=env, **more)

    instead = SimpleNamespace(**vars(subprocess) | {"Popen": start})
    monkeypatch.setattr(local, "accelerators", lambda: FOUR)
    monkeypatch.setattr(local, "subprocess", instead)
    with local.LocalExecutor() as executor:
        assert executor.workers(2, None) == 2
        for worker in range(2):
            executor.start(worker, {"devices": 2, "workers": 2, "compile_cache": True})
    assert [env["CUDA_VISIBLE_DEVICES"] for env in started] == ["0,1", "2,3"]
    assert not any("JAX_NUM_CPU_DEVICES" in env for env in started)
