"""Runs on every mesh of eight emulated devices: losses, gradients, resumed, restored on another.

    python benchmarks/mesh_runs.py [--only 6,7]

A Transformer and a mixture of experts take ten steps of Adam along each axis alone and along eight
mixtures of axes, through the code that trains every run, and an encoder-decoder along some of
them. They are held against one device. Each also pauses after eight steps: resumed on its mesh it
must have the bits of the run that did not pause, and restored on the next mesh of the list the
losses of one device. Devices along an axis that a family does not know stand along `data`. Programs
compile with few of XLA's optimisations: `meshes.py` holds those that users run against their plan.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from figures import Figure, machine, options, report

from scaling.config import RunConfig, resolved, shape_of
from scaling.data.ngram import NGram
from scaling.devices.mesh import Axis, Mesh
from scaling.devices.sharding import AXES, by_sequence, mesh_of_devices
from scaling.keys import key_for
from scaling.models import transformer_apply
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.transformer import Transformer
from scaling.objectives.causal import Causal
from scaling.objectives.span import Span
from scaling.pretraining import Pretraining, axes_of
from scaling.record import Curve
from scaling.trainers.history import moved
from scaling.trainers.token_programs import compiled, steps_in_block
from scaling.trainers.token_step import Arguments, Keys
from scaling.trainers.tokens import train_on_tokens
from scaling.training import Adam
from scaling.workspace import Workspace

CONTEXT, BATCH, STEPS, PAUSE = 32, 16, 10, 8
SIZES: dict[str, Any] = {"width": 32, "depth": 4, "heads": 8}
SPAN = Span(rate=0.25, mean=2)
DENSE = Transformer(**SIZES, tied=True, qk_norm=True)
MIXTURE = MixtureOfExperts(**SIZES, tied=True, expansion=4, capacity_factor=1.0)
PAIRED = EncoderDecoder(**SIZES, source_length=SPAN.source(CONTEXT))
ADAM = Adam(learning_rate=0.003, weight_decay=0.1)

MESHES = (
    Mesh(data=8),
    Mesh(fsdp=8),
    Mesh(tensor=8),
    Mesh(context=8),
    Mesh(expert=4),
    Mesh(pipe=4),
    Mesh(data=2, tensor=4),
    Mesh(fsdp=2, tensor=2, context=2),
    Mesh(data=2, tensor=2, pipe=2, interleave=2),
    Mesh(fsdp=2, context=2, pipe=2),
    Mesh(data=2, expert=2, tensor=2),
    Mesh(fsdp=2, expert=4),
    Mesh(expert=2, context=2, tensor=2),
    Mesh(fsdp=2, expert=2, pipe=2),
)

OF_PAIRED = tuple(
    mesh for mesh in MESHES if mesh.expert == 1 and mesh not in (Mesh(data=8), Mesh(context=8))
)
"""Meshes of the encoder-decoder, whose programs take the longest to compile: copies alone are left
out. It has no experts, and a source that eight devices do not divide."""


class Found(NamedTuple):
    """How the runs of a mesh differ from one device, relative; of resumed ones, in any bit.

    Attributes:
        losses: Losses of ten steps, in training and held out.
        gradient: First gradient, of each parameter.
        resumed: Points of the curve that differ from those of the run that did not pause.
        restored: Losses after the checkpoint of the mesh before was restored on this one.
    """

    losses: float
    gradient: float
    resumed: float
    restored: float


class Left(NamedTuple):
    """What a run leaves to the next one: itself, and a folder with its checkpoint."""

    config: RunConfig
    folder: Path


def mesh_of(model: Any, mesh: Mesh) -> Mesh:
    """A mesh on which devices along axes that a model does not know stand along `data`."""
    unknown: list[Axis] = [axis for axis in AXES if axis not in axes_of(model)]
    copies = math.prod(mesh.along(axis) for axis in unknown)
    interleave = 1 if "pipe" in unknown else mesh.interleave
    ones: dict[str, int] = dict.fromkeys(map(str, unknown), 1)
    return replace(mesh, data=mesh.data * copies, interleave=interleave, **ones)


def config_on(model: Any, mesh: Mesh) -> RunConfig:
    """Ten steps of a model, each measured."""
    return RunConfig(
        model=model,
        data=NGram(vocab_size=64, context=CONTEXT, n_tokens=2**13, n_eval=BATCH),
        train=Pretraining(
            optimizer=ADAM,
            batch_size=BATCH,
            microbatches=2,
            clip_norm=None,
            steps=STEPS,
            evaluations=STEPS,
            objective=SPAN if model is PAIRED else Causal(),
            mesh=mesh,
        ),
    )


def plan_of(config: RunConfig) -> Pretraining:
    """How a run is trained."""
    assert isinstance(config.train, Pretraining)
    return config.train


def trained(config: RunConfig, *where: Any) -> Curve:
    """The curve of a run; `where` is its workspace, and the run whose checkpoint lies there."""
    data = config.data
    assert isinstance(data, NGram)
    return train_on_tokens(config, data.load(config.seed), *where)[1]


def losses(curve: Curve) -> np.ndarray:
    """Losses in training and held out, (steps, 2)."""
    return np.array([(point.train_loss, point.eval_loss) for point in curve])


def gradient(config: RunConfig) -> list[np.ndarray]:
    """The first gradient: Adam's first moment after a step, in the order of one device."""
    plan, data = plan_of(config), config.data
    assert isinstance(data, NGram)
    mesh = plan.mesh
    trainer = compiled(shape_of(config))
    in_block = steps_in_block(plan, CONTEXT)
    block = np.zeros((in_block, BATCH, CONTEXT + 1), np.int32)
    block[0] = data.load(config.seed).sequences(config.seed, 0, BATCH)
    batches = jax.device_put(block, by_sequence(mesh_of_devices(mesh), axis=1))
    keys = Keys(objective=key_for(config.seed, "objective") if plan.objective.draws else None)
    rates, horizon, none = jnp.array([ADAM.learning_rate]), jnp.int32(STEPS), jnp.int32(0)
    arguments = Arguments(rates, horizon, none, none, keys)
    state, _ = trainer.advance(trainer.init(key_for(0, "init")), batches, jnp.int32(1), arguments)
    moment = moved(config, optax.tree.get(state.optimizer, "mu"), mesh, Mesh())
    return [np.asarray(leaf) / (1 - ADAM.b1) for leaf in jax.tree.leaves(moment)]


def apart(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest relative difference of a parameter's gradient.

    One that is 1e-7 of the whole or less on both sides is rounding, as that of biases of keys.
    """
    least = 1e-7 * np.sqrt(sum(np.sum(leaf**2) for leaf in expected))
    return max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(found, expected, strict=True)
        if max(np.linalg.norm(a), np.linalg.norm(b)) > least
    )


def measure(
    config: RunConfig, one: tuple[np.ndarray, list[np.ndarray]], before: Left, folder: Path
) -> Found:
    """The runs of a mesh against one device, on which the losses and the gradient are `one`."""
    began, curve = time.process_time(), trained(config)
    trained(config, Workspace(folder, pause_at=PAUSE))
    shutil.copytree(folder, folder.with_name(f"{folder.name}-next"))
    again = trained(config, Workspace(folder))
    restored = trained(config, Workspace(before.folder), resolved(before.config))
    found = Found(
        float(np.max(np.abs(losses(curve) / one[0] - 1))),
        apart(gradient(config), one[1]),
        sum(a != b for a, b in zip(again, curve, strict=True)),
        float(np.max(np.abs(losses(restored) / one[0] - 1))),
    )
    print(
        f"{config.model.kind} on {plan_of(config).mesh}: losses {found.losses:.1e}, gradient "
        f"{found.gradient:.1e}, resumed {'with other' if found.resumed else 'with the same'} bits, "
        f"restored {found.restored:.1e}, {time.process_time() - began:.1f} s",
        flush=True,
    )
    return found


def of_family(model: Any, meshes: list[Mesh], scratch: Path) -> list[Found]:
    """What is found on some meshes, each once."""
    alone = config_on(model, Mesh())
    folder = scratch / model.kind
    trained(alone, Workspace(folder, pause_at=PAUSE))
    one, before, found = (losses(trained(alone)), gradient(alone)), Left(alone, folder), []
    for mesh in dict.fromkeys(mesh_of(model, mesh) for mesh in meshes):
        config, folder = config_on(model, mesh), scratch / f"{model.kind}-{len(found)}"
        found.append(measure(config, one, before, folder))
        before = Left(config, folder.with_name(f"{folder.name}-next"))
    return found


def figures(meshes: list[Mesh]) -> list[Figure]:
    """What is found on some meshes, for each family, beside its limits."""
    transformer_apply.UNROLLED_DEPTH = 0  # half as much to compile
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in (DENSE, MIXTURE, PAIRED):
            own = [mesh for mesh in meshes if model is not PAIRED or mesh in OF_PAIRED]
            found = of_family(model, own, Path(scratch))
            rows += [
                Figure(
                    what=f"{model.kind} on {len(found)} meshes of up to 8 emulated devices: {name}",
                    measured=(max(getattr(each, field) for each in found),),
                    unit=unit,
                    asked=limit,
                    command="python benchmarks/mesh_runs.py",
                )
                for field, name, unit, limit in (
                    ("losses", "losses of ten steps against one device", "relative", 1e-5),
                    (
                        "gradient",
                        "gradients of each parameter against one device",
                        "relative",
                        1e-5,
                    ),
                    ("resumed", "evaluations of a resumed run with other bits", "of 10", 0.0),
                    ("restored", "losses restored from another mesh", "relative", 1e-5),
                )
            ]
    return rows


def main() -> None:
    """Measures every family on every mesh."""
    parser = options(__doc__)
    parser.add_argument("--only", help="numbers of meshes, such as 0,7")
    given = parser.parse_args()
    print(machine())
    numbers = range(len(MESHES)) if given.only is None else map(int, given.only.split(","))
    report(figures([MESHES[k] for k in numbers]), given.json)


if __name__ == "__main__":
    main()
