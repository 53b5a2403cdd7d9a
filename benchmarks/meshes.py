"""Every axis of a mesh on eight emulated devices, against one device and against the plan.

    python benchmarks/meshes.py [--only 6,7] [--steps 10]

Each axis alone and eight mixtures of them, for a Transformer and a mixture of experts of width 64:
losses of ten steps of Adam and the first gradient against those of one device, and bytes sent by
kind in the compiled gradient and its memory against `analysis.parallelism.program`. Fifteen more
meshes, with grouped queries, SwiGLU, bfloat16, other experts and recomputation, are held against
the plan alone, and `--steps 0` trains none. Of bfloat16 that is the memory: XLA's CPU compiler
widens some messages and leaves others. Layers are looped over, as in deep models: laid out one
after another, it drops the barriers that make it gather weights twice.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import Any, NamedTuple

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from collectives import sent
from figures import Figure, machine, options, report

from analysis.parallelism.layout import Layout, Recipe
from analysis.parallelism.program import messages, program_memory
from analysis.parallelism.shape import TransformerShape
from experiments.shared.planned_runs import recipe_of, shape_of
from scaling.devices.axes import Axes
from scaling.devices.mesh import Mesh
from scaling.devices.sharding import AXES, by_sequence, mesh_of_devices, replicated
from scaling.models import transformer_apply
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.placement import placed, rearranged
from scaling.models.transformer import Transformer
from scaling.objectives.objective import Examples
from scaling.trainers import objectives, shared

WIDENED = 4
"""Bytes of a number of bfloat16 that XLA's compiler for CPUs keeps."""

CONTEXT, VOCABULARY, SEQUENCES, PARTS = 64, 256, 8, 2
SIZES: dict[str, Any] = {"width": 64, "depth": 4, "heads": 4, "activation": "gelu", "tied": True}
DENSE = Transformer(**SIZES)
GROUPED = replace(DENSE, kv_heads=2, activation="swiglu", tied=False)
MIXTURE = MixtureOfExperts(**SIZES, expansion=4, capacity_factor=1.0)


class Case(NamedTuple):
    """A model on a mesh, with its number of microbatches."""

    model: Transformer
    mesh: Mesh
    parts: int = 1


CASES = (
    Case(DENSE, Mesh(data=2)),
    Case(MIXTURE, Mesh(data=8)),
    Case(DENSE, Mesh(fsdp=8)),
    Case(DENSE, Mesh(tensor=4)),
    Case(DENSE, Mesh(context=8)),
    Case(MIXTURE, Mesh(expert=4)),
    Case(DENSE, Mesh(pipe=4), PARTS),
    Case(DENSE, Mesh(data=2, tensor=4)),
    Case(DENSE, Mesh(fsdp=2, tensor=2, context=2)),
    Case(DENSE, Mesh(pipe=2, interleave=2, tensor=2, data=2), PARTS),
    Case(replace(DENSE, remat="full"), Mesh(pipe=2, fsdp=2, context=2), PARTS),
    Case(MIXTURE, Mesh(expert=2, data=2, tensor=2)),
    Case(MIXTURE, Mesh(expert=4, fsdp=2)),
    Case(MIXTURE, Mesh(expert=2, context=2, tensor=2)),
    Case(MIXTURE, Mesh(expert=2, pipe=2, fsdp=2), PARTS),
)
"""Each axis alone and eight mixtures."""

PLANNED = (
    Case(replace(DENSE, remat="dots"), Mesh(fsdp=8)),
    Case(replace(DENSE, remat="full"), Mesh(fsdp=8)),
    Case(replace(DENSE, remat="dots"), Mesh(pipe=4), PARTS),
    Case(replace(DENSE, remat="full"), Mesh(data=2, context=4)),
    Case(replace(MIXTURE, remat="dots"), Mesh(expert=4)),
    Case(replace(MIXTURE, remat="full"), Mesh(expert=4, tensor=2)),
    Case(replace(MIXTURE, remat="dots", granularity=2), Mesh(expert=2, fsdp=2, tensor=2)),
    Case(replace(MIXTURE, router="hash"), Mesh(expert=2, context=2, fsdp=2)),
    Case(GROUPED, Mesh(fsdp=2, tensor=2, pipe=2), PARTS),
    Case(replace(GROUPED, remat="dots"), Mesh(fsdp=4, tensor=2)),
    Case(replace(GROUPED, compute_dtype="bfloat16"), Mesh(data=2, tensor=2, context=2)),
    Case(replace(DENSE, compute_dtype="bfloat16", remat="dots"), Mesh(fsdp=4, data=2)),
    Case(replace(DENSE, compute_dtype="bfloat16", remat="full"), Mesh(tensor=4)),
    Case(replace(MIXTURE, compute_dtype="bfloat16"), Mesh(expert=4)),
    Case(replace(MIXTURE, compute_dtype="bfloat16", remat="full"), Mesh(expert=2, fsdp=2)),
)
"""Other families, precisions and recomputation on meshes, of which none is trained."""


class Found(NamedTuple):
    """How a program differs from one device and from its plan, relative; NaN if not trained."""

    losses: float
    gradient: float
    sent: float
    memory: float


def compiled(case: Case) -> Any:
    """The program of a gradient: (parameters, tokens, targets) -> objective, loss and gradient."""
    model = case.model.build(CONTEXT, VOCABULARY)
    parameters = case.model.parameters(CONTEXT, VOCABULARY)
    devices = mesh_of_devices(case.mesh)
    own = shared.Shared(model, parameters, Axes(case.mesh, case.parts))
    params = jax.eval_shape(model.init, jax.random.key(0))
    places, rows = placed(parameters, case.mesh, devices, params), by_sequence(devices, 1)
    tokens: Any = jax.ShapeDtypeStruct((case.parts, SEQUENCES // case.parts, CONTEXT), jnp.int32)

    def gradient(params: Any, tokens: Any, targets: Any) -> Any:
        return shared.gradient(own, 0.0, params, Examples(tokens, targets), {})

    alike = replicated(devices)
    program = jax.jit(
        gradient, in_shardings=(places, rows, rows), out_shardings=((alike, alike), places)
    )
    with jax.set_mesh(devices):
        return program.lower(params, tokens, tokens).compile(), places, rows


def batches(steps: int, parts: int) -> np.ndarray:
    """Tokens of some steps, (steps, inputs and targets, parts, sequences, context)."""
    shape = (steps, parts, SEQUENCES // parts, CONTEXT + 1)
    windows = np.random.default_rng(0).integers(0, VOCABULARY, shape, np.int32)
    return np.stack([windows[..., :-1], windows[..., 1:]], axis=1)


def trained(program: Any, like: Case, steps: int) -> tuple[list[float], Any]:
    """Losses of some steps of Adam and the first gradient, on a mesh or on one device (None)."""
    model = like.model.build(CONTEXT, VOCABULARY)
    parameters = like.model.parameters(CONTEXT, VOCABULARY)
    params, optimizer = model.init(jax.random.key(1)), optax.adam(0.003)
    both, places, rows = program or (jax.jit(plain(model, like.parts)), None, None)
    if program:
        params = jax.device_put(rearranged(parameters, params, Mesh(), like.mesh), places)
    state, losses, first = optimizer.init(params), [], None
    update = jax.jit(optimizer.update)
    for tokens, targets in batches(steps, like.parts):
        given = (tokens, targets) if rows is None else jax.device_put((tokens, targets), rows)
        (_, loss), gradient = both(params, *given)
        if first is None:
            first = jax.tree.map(np.asarray, gradient)
        updates, state = update(gradient, state)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    if program:
        first = rearranged(parameters, first, like.mesh, Mesh())
    return losses, first


def plain(model: Any, parts: int) -> Any:
    """The same gradient by the program of one device, a microbatch after another."""

    def objective(params: Any, tokens: Any, targets: Any) -> Any:
        if model.penalised is None:
            logits, penalty = model.apply(params, tokens), 0.0
        else:
            logits, penalty = model.penalised(params, tokens)
        loss = jnp.mean(objectives.cross_entropy(logits, targets))
        return loss + penalty, loss

    def both(params: Any, tokens: Any, targets: Any) -> Any:
        one = jax.value_and_grad(objective, has_aux=True)
        each = [one(params, tokens[k], targets[k]) for k in range(parts)]
        return jax.tree.map(lambda *leaves: sum(leaves) / parts, *each)

    return both


def planned(case: Case) -> tuple[TransformerShape, Layout, Recipe]:
    """The case as a plan has it."""
    model, mesh = case.model, case.mesh
    recipe = replace(
        recipe_of(model, SEQUENCES, 0),
        flash=False,
        microbatch=SEQUENCES // (case.parts * mesh.replicas),
        interleave=mesh.interleave,
    )
    shape = shape_of(model, CONTEXT, VOCABULARY)
    return shape, Layout(**{axis: mesh.along(axis) for axis in AXES}), recipe


def compare_sent(case: Case, program: Any) -> tuple[float, str]:
    """Largest difference by kind of what is sent, relative to all of its kind; and both."""
    found: dict[str, float] = {}
    for (_, kind), size in sent(
        program.as_text(), dict(zip(AXES, map(case.mesh.along, AXES), strict=True))
    ).items():
        found[kind] = found.get(kind, 0.0) + size
    wanted: dict[str, float] = {}
    for message in messages(*planned(case)):
        wanted[message.kind] = wanted.get(message.kind, 0.0) + float(message.sent)
    wanted = {kind: size for kind, size in wanted.items() if size}
    total = sum(found.values())
    # What the plan leaves out is a few bytes: of a kind that it has none of, it counts in all.
    each = {
        kind: abs(found.get(kind, 0.0) - wanted.get(kind, 0.0)) / (wanted.get(kind) or total)
        for kind in found.keys() | wanted.keys()
    }
    both = ", ".join(f"{k} {found.get(k, 0):.0f} of {wanted.get(k, 0):.0f}" for k in sorted(each))
    return max(each.values(), default=0.0), both


def against_one(
    case: Case, program: Any, one: tuple[list[float], Any], steps: int
) -> tuple[float, float]:
    """Largest differences of losses and of gradients from those of one device, relative."""
    losses, gradient = trained(program, case, steps)
    apart = max(abs(a / b - 1) for a, b in zip(losses, one[0], strict=True))
    leaves = zip(jax.tree.leaves(gradient), jax.tree.leaves(one[1]), strict=True)
    return apart, max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in leaves)


def measure(case: Case, one: tuple[list[float], Any] | None, steps: int) -> Found:
    """One case against the plan, and against one device unless that is None."""
    began = time.process_time()
    program = compiled(case)
    apart = (math.nan, math.nan) if one is None else against_one(case, program, one, steps)
    of_sent, both = compare_sent(case, program[0])
    if case.model.compute_dtype == "bfloat16":
        of_sent = math.nan
    used = program[0].memory_analysis()
    there = used.argument_size_in_bytes + used.output_size_in_bytes + used.temp_size_in_bytes
    of_memory = float(program_memory(*planned(case), WIDENED).total) / there - 1
    named = [case.model.kind, "on", str(case.mesh)]
    named += [f"in {case.parts} parts"] * (case.parts > 1)
    named += [f"with remat = {case.model.remat}"] * (case.model.remat != "none")
    named += [f"in {case.model.compute_dtype}"] * (case.model.compute_dtype != "float32")
    print(
        f"{' '.join(named)}: losses {apart[0]:.1e}, gradient {apart[1]:.1e}, "
        f"sent {100 * of_sent:.1f} % ({both}), memory {100 * of_memory:+.1f} % of "
        f"{there / 1e6:.3g} MB, {time.process_time() - began:.1f} s",
        flush=True,
    )
    return Found(*apart, of_sent, abs(of_memory))


def main() -> None:
    """Measures every case."""
    parser = options(__doc__)
    parser.add_argument("--only", help="numbers of cases, such as 0,7")
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    print(machine())
    transformer_apply.UNROLLED_DEPTH = 0
    cases = [*CASES, *PLANNED]
    if given.only is not None:
        cases = [cases[int(k)] for k in given.only.split(",")]
    one: dict[Any, Any] = {}
    found = []
    for case in cases:
        key = case.model, case.parts
        if given.steps and case in CASES and key not in one:
            one[key] = trained(None, case, given.steps)
        found.append(measure(case, one.get(key), given.steps))
    command = "python benchmarks/meshes.py"
    figures = []
    for field, name, limit in (
        ("losses", "losses of ten steps against one device", 1e-5),
        ("gradient", "gradients of each parameter against one device", 1e-5),
        ("sent", "bytes sent by kind against the plan", 0.05),
        ("memory", "memory of a device against the plan", 0.15),
    ):
        each = [value for one in found if not math.isnan(value := getattr(one, field))]
        if each:
            what = f"{len(each)} meshes of up to 8 emulated devices: {name}"
            figures.append(
                Figure(
                    what=what, measured=(max(each),), unit="relative", asked=limit, command=command
                )
            )
    report(figures, given.json)


if __name__ == "__main__":
    main()
