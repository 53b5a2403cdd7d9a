"""Accelerators of this machine, and the environment by which several workers share them."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_ASK = "import jax, json; print(json.dumps([jax.default_backend(), jax.local_device_count()]))"
_SECONDS_TO_ANSWER = 120
_VISIBLE = ("JAX_CUDA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")  # the first counts in the second
_MEMORY = {"XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"}  # JAX refuses both at once
_SHARED_OUT = 0.9  # of a GPU's memory, where several workers share it


@dataclass(frozen=True)
class Accelerators:
    """The accelerators that JAX finds beside the processor."""

    platform: str  # "gpu" or "tpu"
    count: int

    def places(self, devices: int) -> int:
        """Number of workers that have accelerators to themselves, where each takes `devices`.

        A process that takes a TPU takes all of this machine.
        """
        return self.count // devices if self.platform == "gpu" else 1

    def workers(self, devices: int, asked: int | None) -> int:
        """Number of workers to start, where each takes `devices` accelerators.

        The user asks for a number, or by None for as many as have accelerators to themselves.

        Raises:
            ValueError: runs over more accelerators than there are, or workers that would be left
                without one.
        """
        if devices > self.count:
            raise ValueError(
                f"the runs need {devices} devices; this machine has {self.count} of "
                f"{self.platform}. Lower train.mesh.data or train.mesh.fsdp, whose product is "
                f"{devices}, or start the command on several machines with --hosts"
            )
        if self.platform != "gpu" and asked is not None and asked > 1:
            raise ValueError(
                f"workers = {asked}: one process takes all {self.platform} devices of a machine, "
                "and the others would find none. Leave --workers out"
            )
        return asked or self.places(devices)

    def environment(
        self, worker: int, workers: int, devices: int, given: Mapping[str, str]
    ) -> dict[str, str]:
        """Variables by which a worker of several finds its GPUs and its share of their memory.

        Each takes `devices` GPUs, `count` at most; those beyond `places` share them. Of the
        variables `given`, those of this process, what its user has set is kept.
        """
        if self.platform != "gpu":
            return {}
        chosen = (name for name in _VISIBLE if given.get(name) not in (None, "", "all"))
        name = next(chosen, _VISIBLE[-1])
        visible = given.get(name) or ",".join(map(str, range(self.count)))
        places = self.places(devices)
        first = worker % places * devices
        own = visible.replace(" ", "").split(",")[first : first + devices]
        shared = {name: ",".join(own)}
        together = len(range(worker % places, workers, places))
        if together > 1 and not _MEMORY & given.keys():
            shared["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{_SHARED_OUT / together:.3f}"
        return shared


@functools.cache
def accelerators() -> Accelerators | None:
    """The accelerators that JAX finds; None where it has been installed for the processor alone.

    JAX is asked in a separate process, since a process that asks takes hold of the devices.

    Raises:
        ValueError: JAX does not name them; quotes the end of what it printed.
    """
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if not plugins and importlib.util.find_spec("libtpu") is None:
        return None
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK],
            env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS_TO_ANSWER,
        )
    except subprocess.TimeoutExpired:
        raise _no_devices(f"no answer within {_SECONDS_TO_ANSWER} s") from None
    except subprocess.CalledProcessError as error:
        raise _no_devices(error.stderr.strip()[-500:] or str(error)) from None
    platform, count = _last_answer(answer.stdout)
    return None if platform == "cpu" else Accelerators(platform, count)


def _last_answer(printed: str) -> tuple[str, int]:
    """The answer of JAX, among whatever else has been printed before or after it."""
    for line in reversed(printed.splitlines()):
        with contextlib.suppress(ValueError):
            match json.loads(line):
                case [str(platform), int(count)]:
                    return platform, count
    raise _no_devices(f"its answer was {printed.strip()[-500:]!r}")


def _no_devices(words: str) -> ValueError:
    return ValueError(
        f"JAX does not name its devices: {words}. Repair the driver, or compute on the processor "
        "with JAX_PLATFORMS=cpu"
    )
