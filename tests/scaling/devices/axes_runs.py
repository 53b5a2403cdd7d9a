"""Runs over eight emulated devices along every axis, as a program of its own.

JAX_NUM_CPU_DEVICES=8 python axes_runs.py FOLDER    prints what it finds as JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.devices.axes import Axes
from scaling.devices.mesh import Mesh
from scaling.devices.sharding import mesh_of_devices
from scaling.models import encoder_decoder_apply, transformer_apply
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.parametrization import Tree
from scaling.models.placement import rearranged
from scaling.models.transformer import Transformer
from scaling.objectives.objective import Examples
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.trainers import history, shared
from scaling.trainers.objectives import cross_entropy
from scaling.training import Adam
from scaling.workspace import Workspace

SIZES: dict[str, Any] = {"width": 16, "depth": 2, "heads": 4, "kv_heads": 2, "tied": True}
DENSE = Transformer(**SIZES, qk_norm=True)
MIXTURE = MixtureOfExperts(**SIZES, expansion=4, capacity_factor=1.0)
MESH = Mesh(tensor=2, expert=2, pipe=2)


def config(mesh: Mesh) -> RunConfig:
    return RunConfig(
        model=MIXTURE,
        data=NGram(vocab_size=24, context=8, n_tokens=2**12, n_eval=30),
        train=Pretraining(
            optimizer=Adam(learning_rate=0.01, weight_decay=0.1),
            batch_size=16,
            microbatches=2,
            warmup_tokens=3 * 128,
            clip_norm=0.5,
            steps=10,
            evaluations=5,
            mesh=mesh,
        ),
        seed=3,
    )


def losses(config: RunConfig, workspace: Path | None = None) -> dict[str, Any]:
    record, curve = run(config, Workspace(workspace) if workspace else None)
    return {
        "train": [point.train_loss for point in curve],
        "eval": [point.eval_loss for point in curve],
        "end": [record.eval_loss_sem_nats or 0.0, record.weight_norm_l2 or 0.0],
        "noise": [point.gradient_covariance_trace for point in curve],
        "resumed": record.environment.get("resumed_at_steps", []),
        "meshes": record.environment.get("continued_on_meshes", []),
    }


def drawn(parameters: Tree, random: np.random.Generator) -> Any:
    """Parameters that are all far from 0, gains and biases too."""
    return jax.tree.map(
        lambda parameter: random.normal(0, 0.25, parameter.shape).astype(np.float32),
        dict(parameters),
    )


def of_masked() -> list[Any]:
    """Losses of tokens that see a prefix, within documents: on one device and on eight."""
    model, parameters = DENSE.build(8, 24), DENSE.parameters(8, 24)
    random = np.random.default_rng(0)
    tokens, targets = random.integers(0, 24, (2, 1, 2, 8))
    segments = np.cumsum(random.integers(0, 4, (1, 2, 8)) == 0, axis=-1)
    params = drawn(parameters, random)
    visible = np.array([[3, 6]])
    own = shared.Shared(model, parameters, Axes(Mesh(fsdp=2, context=4)))

    @jax.jit
    def alone(params: Any) -> Any:
        logits = model.apply(params, tokens[0], segments=segments[0], visible=visible[0])
        return cross_entropy(logits, targets[0])

    @jax.jit
    def divided(params: Any) -> Any:
        examples = Examples(jnp.asarray(tokens), jnp.asarray(targets), None, jnp.asarray(visible))
        return shared.losses(own, params, examples, {"segments": jnp.asarray(segments)})[0][0]

    one = alone(params).tolist()
    with jax.set_mesh(mesh_of_devices(own.axes.mesh)):
        return [one, divided(params).tolist()]


def of_paired() -> list[Any]:
    """Loss of an encoder-decoder and norms of its gradient: on one device and on two meshes."""
    family = EncoderDecoder(width=8, depth=4, heads=2, source_length=6)
    model, parameters = family.build(10, 12), family.parameters(10, 12)
    random = np.random.default_rng(0)
    windows = Examples(*jnp.asarray(random.integers(0, 12, (2, 4, 10))))
    examples = windows.after(6)
    params = drawn(parameters, random)

    def loss(params: Any) -> Any:
        return jnp.mean(cross_entropy(model.apply(params, examples.inputs), examples.targets))

    def divided(mesh: Mesh, parts: int) -> Any:
        own = shared.Shared(model, parameters, Axes(mesh, parts))
        given = windows.after(6, mesh.context)
        given = jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), given)

        @jax.jit
        def both(params: Any) -> Any:
            (_, loss), gradient = shared.gradient(own, 0.0, params, given, {})
            return loss, gradient

        with jax.set_mesh(mesh_of_devices(mesh)):
            return both(rearranged(parameters, params, Mesh(), mesh))

    one = jax.jit(jax.value_and_grad(loss))(params)
    layered = divided(Mesh(context=2, pipe=2, interleave=2), parts=2)
    return [
        [float(np.linalg.norm(np.asarray(leaf))) for leaf in jax.tree.leaves(each)]
        for each in (one, divided(Mesh(fsdp=2, tensor=2, context=2), parts=1), layered)
    ]


def main(folder: Path) -> Any:
    """A run on one device and on eight, resumed there, and continued where one is left.

    The last state that is saved lies two steps before the end.
    """
    history.SAVE_SECONDS, history.SAVE_SHARE = 0.0, float("inf")
    # Half as much to compile.
    transformer_apply.UNROLLED_DEPTH = encoder_decoder_apply.UNROLLED_DEPTH = 0
    found = {"masked": of_masked(), "paired": of_paired(), "one": losses(config(Mesh()))}
    found["whole"] = losses(config(MESH), folder)
    found["again"] = losses(config(MESH), folder)
    jax.device_count = lambda: 1
    found["left"] = losses(config(MESH), folder)
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
