"""Accelerators of this machine, and what a worker is told so that several share them in peace."""

from __future__ import annotations

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
_MEMORY = {"XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"}  # JAX refuses both at once
_SHARED_OUT = 0.9  # of a GPU's memory, where several workers share it


@dataclass(frozen=True)
class Accelerators:
    """What JAX computes on beside the processor.

    Attributes:
        platform: "gpu" or "tpu".
        count: How many of them.
    """

    platform: str
    count: int

    def places(self, devices: int) -> int:
        """Workers that have accelerators to themselves, where each takes so many.

        A process that takes a TPU takes all of this machine.
        """
        return max(1, self.count // devices) if self.platform == "gpu" else 1

    def environment(
        self, worker: int, workers: int, devices: int, given: Mapping[str, str]
    ) -> dict[str, str]:
        """Variables by which a worker finds its GPUs and its share of their memory.

        Args:
            worker: Its number.
            workers: How many there are; what is beyond `places` shares GPUs.
            devices: GPUs that each takes.
            given: Variables of this process: what its user chose stands.
        """
        if self.platform != "gpu":
            return {}
        visible = given.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(self.count)))
        places = self.places(devices)
        first = worker % places * devices
        own = visible.replace(" ", "").split(",")[first : first + devices]
        shared = {"CUDA_VISIBLE_DEVICES": ",".join(own)}
        together = -(-workers // places)
        if together > 1 and not _MEMORY & given.keys():
            shared["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{_SHARED_OUT / together:.3f}"
        return shared


@functools.cache
def accelerators() -> Accelerators | None:
    """What JAX finds, asked in a process of its own, since who asks takes hold of it.

    Nothing is asked where JAX has been installed for the processor alone.

    Raises:
        ValueError: JAX cannot say, with its last words.
    """
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if not plugins and importlib.util.find_spec("libtpu") is None:
        return None
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    try:
        told = subprocess.run(
            [sys.executable, "-c", _ASK],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS_TO_ANSWER,
        )
        platform, count = json.loads(told.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        words = str(getattr(error, "stderr", "") or error).strip()[-500:]
        raise ValueError(
            f"JAX cannot say which devices it has: {words}; mend the driver, or compute on the "
            "processor with JAX_PLATFORMS=cpu"
        ) from None
    return None if platform == "cpu" else Accelerators(platform, count)
