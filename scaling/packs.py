"""Packs: runs that are computed together, where that is faster on a device.

The identity of a run does not depend on its pack, and its record says what the pack was
(`environment.pack`): last bits may differ between packs. Nothing here imports JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scaling.models.linear import Linear
from scaling.models.random_features import RandomFeatures
from scaling.sealed import digest
from scaling.solving import Ridge, Ridgeless
from scaling.training import Gradient

MOST_NETWORKS = {"cpu": 1, "gpu": 64, "tpu": 64}
"""Most networks of one shape that are trained as one program, by the platform of the device.

A core is as fast with one network as with many (`benchmarks/packs.py`). An accelerator waits for
its host at every step of a small network, and takes many at the price of one.
"""

MOST_SOLUTIONS = 256
"""Most closed-form runs on the same inputs that share factorisations, on any device.

Solutions of one size are computed at once, and their outputs take memory.
"""


class Pack(NamedTuple):
    """Which runs may be computed together.

    Attributes:
        key: What they have in common.
        most: Largest number of them at a time.
    """

    key: str
    most: int


def pack_of(run: Mapping[str, Any], shape: str, platform: str) -> Pack | None:
    """The pack that a run may belong to on a device; None where it is computed alone.

    Args:
        run: The resolved configuration, as plain JSON values.
        shape: Key of its compiled shape (`scaling.config.compile_key`).
        platform: Platform of the device, as JAX names it.
    """
    train = run["train"]
    if train["kind"] == Gradient.kind and (most := MOST_NETWORKS.get(platform, 1)) > 1:
        evaluated = train["steps"], train["evaluations"], train.get("spacing")
        return Pack("/".join(map(str, (shape, *evaluated))), most)
    if train["kind"] in (Ridge.kind, Ridgeless.kind):
        return Pack(_inputs_of(run), MOST_SOLUTIONS)
    return None


def _inputs_of(run: Mapping[str, Any]) -> str:
    """Digest of what closed-form runs share whose solutions share work (`scaling.trainers.solve`).

    That is all but the estimator, label noise and, in a nested family, the number of features.
    """
    model, data = dict(run["model"]), dict(run["data"])
    if model["kind"] == Linear.kind or (
        model["kind"] == RandomFeatures.kind and model.get("nested", False)
    ):
        del model["n_features"]
    data.pop("label_noise", None)
    return digest({"model": model, "data": data, "seed": run["seed"]})
