"""Pre-training runs: sequences stream from the host, and the device takes many steps a call.

While the device is at one block of steps the host gathers the next and fetches the evaluation
before it, so that neither waits for the other. `token_step` and `token_evaluation` hold what the
device does.
"""

from __future__ import annotations

import gc
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scaling.config import Resolved, RunConfig, resolved, run_id, shape_of
from scaling.data.token_dataset import TokenDataset, TokenSource
from scaling.devices import processes, sharding
from scaling.devices.mesh import Mesh
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.memory import is_out_of_memory
from scaling.model import Params
from scaling.models.built import built
from scaling.objectives.causal import Causal
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining, learning_rates
from scaling.record import Curve, finite
from scaling.trainers import checkpoint, gradient_noise, weights
from scaling.trainers.divergence import diverged_columns
from scaling.trainers.history import History, evaluated_after, moved
from scaling.trainers.optimizer_state import on_device
from scaling.trainers.optimizers import evaluated
from scaling.trainers.token_evaluation import Evaluation
from scaling.trainers.token_programs import Trainer, compiled, steps_in_block
from scaling.trainers.token_step import Arguments, Keys, State
from scaling.workspace import Workspace

log = logging.getLogger(__name__)


class Interval(NamedTuple):
    """The steps between two evaluations, and the evaluation at their end."""

    n_steps: int
    evaluation: Evaluation


class Block(NamedTuple):
    """A run at the end of a block of steps. The next block donates the buffers of its state."""

    step: int
    state: State
    interval: Interval | None


def train_on_tokens(
    config: RunConfig,
    dataset: TokenDataset,
    workspace: Workspace | None = None,
    plain: Resolved | None = None,
) -> tuple[dict[str, Any], Curve]:
    """Trains a run and measures it at even intervals, on its trunk after powers of 2 of steps.

    The training loss of an interval is the mean over its steps, each before its update, and so is
    what `gradient_noise` reports, where batches have several parts, of gradients before they are
    clipped. A loss that is not finite ends the run as `diverged`, with the step and the last finite
    loss.

    Args:
        config: The run.
        dataset: Data of the run.
        workspace: Folders in which to save checkpoints, from time to time and where the trunk ends,
            and from which to resume if an earlier attempt or a run with this trunk has saved one.
            The results have the same bits. With `pause_at`, the run is measured after that step as
            at its end, and `paused`; what it does later has the same bits as well.
        plain: The resolved configuration, where the caller has it.

    Returns:
        Columns of a RunRecord, with `timed_steps`, the number that this attempt took, and
        `earlier_seconds`, `resumed_at_steps` and `from_trunk_at_step` of what was done before,
        `continued_on_meshes` where not all devices were left, and `batch_in_parts`, how many at
        most, where memory was short; and the learning curve.

    Raises:
        ValueError: the workspace holds checkpoints of another run or trunk, or a run that this
            one starts or is distilled from diverged.
    """
    trained = _in_parts(config, dataset, workspace, plain or resolved(config))
    paused = trained.columns["status"] == "paused"
    if workspace is not None and workspace.leaves is not None and not paused:
        _leave(trained, workspace.leaves, run_id(plain or config), workspace.own)
    return trained.columns, trained.curve


class _Trained(NamedTuple):
    """What training leaves: what `train_on_tokens` returns, and the weights that it evaluated last.

    There are no weights where the run diverged or paused.
    """

    columns: dict[str, Any]
    curve: Curve
    params: Params | None


def _in_parts(
    config: RunConfig, dataset: TokenDataset, workspace: Workspace | None, plain: Resolved
) -> _Trained:
    """Trains a run; out of memory, with each batch in two parts, then in four, and so forth.

    Their gradients are added up before the step, so that numbers agree to rounding.
    """
    parts = 1
    while True:
        try:
            return _trained(config, dataset, workspace, plain, parts)
        except Exception as error:
            if not is_out_of_memory(error) or not _can_be_in_parts(config, 2 * parts):
                raise
            log.warning("out of memory: each batch is now in %d parts", 2 * parts)
        gc.collect()  # what the attempt held is free before the next one begins
        parts *= 2


def _can_be_in_parts(config: RunConfig, parts: int) -> bool:
    """Whether a run has the same numbers, to rounding, if its batches are divided.

    What is drawn for a batch would be drawn otherwise, experts would be chosen among fewer tokens,
    and the noise of gradients would be that of smaller parts.
    """
    plan, model = config.train, config.model
    assert isinstance(plan, Pretraining)
    draws = model.takes_dropout or not isinstance(plan.objective, Causal)
    if draws or plan.microbatches > 1 or plan.mesh.pipe > 1 or jax.process_count() > 1:
        return False
    if not _allows(config, microbatches=parts):
        return False
    return built(model, config.data.n_inputs, config.n_outputs).penalised is None


def _allows(config: RunConfig, **changes: Any) -> bool:
    """Whether the model and the data of a run allow its plan with some fields changed."""
    assert isinstance(config.train, Pretraining)
    try:
        replace(config.train, **changes).check(config.model, config.data)
    except ValueError:
        return False
    return True


def _trained(
    config: RunConfig,
    dataset: TokenDataset,
    workspace: Workspace | None,
    plain: Resolved,
    parts: int = 1,
) -> _Trained:
    plan, model, data = _on_devices_here(config, workspace), config.model, config.data
    assert isinstance(data, TokenSource)
    began, shape = time.monotonic(), shape_of(config)
    trainer = compiled(shape._replace(train=replace_at(shape.train, "mesh", plan.mesh)), parts)
    compile_seconds = time.monotonic() - began
    total = until = plan.length(model, data).steps
    if workspace is not None and workspace.pause_at is not None:
        until = min(total, workspace.pause_at)
    # 1. The state: a checkpoint before weights of another run, and those before initial ones.
    history = History(config, workspace, plain, plan.mesh, parts)
    state = history.restore(trainer.init(key_for(config.seed, "init")), until)
    teacher: Params | None = None
    if config.distilled_from is not None:
        teacher = _teacher(config, workspace, plan.mesh)
        history.begin()
    if config.init_from is not None and not int(state.step):
        state = trainer.start(_final_weights(config, "init_from", workspace, state.params))
        history.begin()
    own_evaluations = {*evaluated_after(config)}

    # 2. Evaluations join the curve in their order, and before the checkpoint that holds the curve.
    columns: dict[str, Any] = {}
    params: Params | None = None
    pending: deque[Interval] = deque()
    for block in _blocks(trainer, state, config, dataset, teacher, plan.mesh, until):
        pending += [block.interval] if block.interval else []
        ends = block.step == until
        saving = history.place(block.step, pauses=ends) if block.step < total else None
        # The last evaluation stays on the device while that is at the next block.
        while len(pending) > (0 if saving or ends else 1):
            interval = pending.popleft()
            columns = _columns(interval, config, dataset.bytes_per_token)
            if columns["status"] == "diverged":
                return _Trained(*history.result(columns, compile_seconds), None)
            if columns["steps"] in own_evaluations:
                history.add(columns, plan.batch_size, interval.evaluation)
        if saving:
            history.save(block.step, block.state, saving)
        if ends and until < total:
            columns |= {"status": "paused"}
        elif ends:
            kept = on_device(block.state.optimizer)
            params = evaluated(plan.optimizer, kept, block.state.params)
            params = moved(config, params, plan.mesh, Mesh())
    return _Trained(*history.result(columns, compile_seconds), params)


def _on_devices_here(config: RunConfig, workspace: Workspace | None) -> Pretraining:
    """How a run is trained here: on what is left of its mesh, where devices were lost.

    It is the run's own plan, unless it saved a checkpoint and needs more devices than there are.

    Raises:
        ValueError: several processes have devices that no mesh of the run takes all of.
    """
    plan, there, n_processes = config.train, jax.device_count(), jax.process_count()
    assert isinstance(plan, Pretraining)
    if plan.mesh.size <= there or workspace is None:
        return plan
    if not processes.broadcast_from_first(lambda: checkpoint.is_in(workspace.own)):
        return plan
    needs = f"train.mesh = ({plan.mesh}) needs {plan.mesh.size} devices"
    fewer = [left for left in plan.mesh.fitting(there) if _allows(config, mesh=left)]
    left = next((mesh for mesh in fewer if n_processes == 1 or mesh.size == there), None)
    if left is None:
        raise ValueError(
            f"{needs}, and {there} are left in {n_processes} processes, which all must take part: "
            f"no mesh of {there} divides the run. Start fewer processes, with "
            f"{fewer[0].size} devices in all"
        )
    log.warning(
        "%s and %d are left: the run continues on (%s), and its last bits may differ",
        *(needs, there, left),
    )
    return replace(plan, mesh=left)


def _teacher(config: RunConfig, workspace: Workspace | None, mesh: Mesh) -> Params:
    """Final weights of the teacher of a run, in full on every device."""
    teacher = config.distilled_from
    assert teacher is not None
    alike = sharding.replicated(sharding.mesh_of_devices(mesh))
    model = built(teacher.model, teacher.data.n_inputs, teacher.n_outputs)
    key = key_for(teacher.seed, "init")
    like = compile_quickly(model.init, key, out_shardings=alike)(key)
    return jax.device_put(_final_weights(config, "distilled_from", workspace, like), alike)


def _final_weights(
    config: RunConfig,
    field: Literal["init_from", "distilled_from"],
    workspace: Workspace | None,
    like: Params,
) -> Params:
    """Final weights of a run that another one names: those that it left, or trained anew.

    Raises:
        ValueError: the run that is named diverged.
    """
    parent: RunConfig = getattr(config, field)
    plain, folder = resolved(parent), workspace and getattr(workspace, field)
    identity = run_id(plain)
    diverged = folder and weights.diverged_at(folder, identity)
    if folder and diverged is None and (found := weights.load(folder, identity, like)) is not None:
        return found
    if diverged is None:
        assert isinstance(parent.data, TokenSource)
        own = workspace and Workspace(workspace.own / "parents" / identity)
        trained = _trained(parent, parent.data.load(parent.seed), own, plain)
        if workspace and folder:
            _leave(trained, folder, identity, workspace.own)
        if trained.params is not None:
            return trained.params
        diverged = trained.columns["diverged_at_step"]
    raise ValueError(
        f"the run {identity}, which {field} names, diverged at step {diverged} and leaves no "
        "weights: give it a lower learning rate, or name another"
    )


def _leave(trained: _Trained, folder: Path, identity: str, scratch: Path) -> None:
    """Leaves the final weights of a run for those that name it, or the step where it diverged."""
    if trained.params is not None:
        weights.save(folder, identity, trained.params, scratch)
    else:
        weights.save_divergence(folder, identity, trained.columns["diverged_at_step"])


def _blocks(
    trainer: Trainer,
    state: State,
    config: RunConfig,
    dataset: TokenDataset,
    teacher: Params | None,
    mesh: Mesh,
    until: int,
) -> Iterator[Block]:
    """Trains from a state on a mesh until some step, which is measured, a block at a time.

    A block waits until the one before the last has ended: the host is never far ahead.
    """
    plan, data, seed = config.train, config.data, config.seed
    assert isinstance(plan, Pretraining) and isinstance(data, TokenSource)
    length = plan.length(config.model, data)
    devices = sharding.mesh_of_devices(mesh)
    rates = jnp.array(learning_rates(plan.optimizer), jnp.float32)
    keys = Keys(
        dropout=key_for(seed, "dropout") if config.model.takes_dropout else None,
        objective=key_for(seed, "objective") if plan.objective.draws else None,
        rounding=key_for(seed, "rounding") if plan.optimizer_dtype != "float32" else None,
    )
    lengths = (length.horizon, length.warmup, length.trunk)
    arguments = Arguments(rates, *map(jnp.int32, lengths), keys=keys, teacher=teacher)
    held_out = np.asarray(dataset.eval_tokens, np.int32)
    eval_tokens = sharding.put(held_out, sharding.replicated(devices))
    in_block = steps_in_block(plan, data.context)
    resumed = int(state.step)

    before: Array | None = None
    running: Array | None = None
    for start, end in itertools.pairwise([0, *evaluated_after(config)]):
        if start >= until:
            return
        end = min(end, until)
        # 1. Sums of losses begin anew with an interval, and go on in one that was cut short.
        if start >= resumed:
            state = state.summed_anew()
        elif resumed == until == end:  # it was saved there, but not measured
            yield Block(until, state, Interval(until - start, trainer.measure(state, eval_tokens)))
            return
        # 2. The host reads a block while the device works on the one before.
        for first in range(max(start, resumed), end, in_block):
            count = min(in_block, end - first)
            block = _batches(dataset, seed, range(first, first + count), in_block, plan, devices)
            if before is not None:
                before.block_until_ready()
            before = running
            state, running = trainer.advance(state, block, jnp.int32(count), arguments)
            reached, interval = first + count, None
            if reached == end:
                interval = Interval(end - start, trainer.measure(state, eval_tokens))
            yield Block(reached, state, interval)


def _batches(
    dataset: TokenDataset,
    seed: int,
    steps: range,
    in_block: int,
    plan: Pretraining,
    devices: jax.sharding.Mesh,
) -> Array:
    """Batches of some steps, padded to a full block; this process reads what its devices take."""

    def read(index: Any) -> np.ndarray:
        places = np.arange(plan.batch_size)[index[1]]
        numbers = np.asarray(steps)[:, None] * plan.batch_size + places
        block = np.zeros((in_block, len(places), dataset.context + 1), np.int32)
        sequences = dataset.numbered(seed, numbers.reshape(-1))
        block[: len(steps)] = sequences.reshape(*numbers.shape, -1)
        return block

    shape = (in_block, plan.batch_size, dataset.context + 1)
    return jax.make_array_from_callback(shape, sharding.by_sequence(devices, axis=1), read)


def _columns(interval: Interval, config: RunConfig, bytes_per_token: float) -> dict[str, Any]:
    """Columns of a RunRecord from the evaluation at the end of an interval."""
    plan = config.train
    assert isinstance(plan, Pretraining)
    evaluation: Evaluation = jax.device_get(interval.evaluation)
    losses = np.asarray(evaluation.eval_losses, np.float64)
    steps, loss = int(evaluation.step), float(losses.mean())
    n_spikes = {"n_loss_spikes": int(evaluation.n_spikes)}
    if diverged := diverged_columns(steps, evaluation.watch, [loss]):
        return diverged | n_spikes
    return {
        "status": "done",
        "steps": steps,
        "train_loss_nats": float(evaluation.loss_sum) / interval.n_steps,
        "eval_loss_nats": loss,
        "eval_loss_sem_nats": _sem(losses),
        **_error_columns(evaluation.eval_wrong),
        # A loss on some of the tokens, given others, is no code length of the text.
        "eval_bits_per_byte": loss / math.log(2) / bytes_per_token
        if isinstance(plan.objective, Causal)
        else None,
        "eval_by": {
            name: finite(np.mean(each, dtype=np.float64))
            for name, each in evaluation.eval_by.items()
        }
        or None,
        "weight_norm_l2": float(evaluation.weight_norm),
        **n_spikes,
        **gradient_noise.columns(
            evaluation.norms,
            interval.n_steps,
            plan.batch_size * config.data.n_inputs,
            plan.microbatches,
        ),
    }


def _error_columns(wrong: Any) -> dict[str, float | None]:
    """Share of the held-out labels that are predicted wrongly, and its standard error."""
    if wrong is None:
        return {"eval_error": None, "eval_error_sem": None}
    each = np.asarray(wrong, np.float64)
    return {"eval_error": float(each.mean()), "eval_error_sem": _sem(each)}


def _sem(each: np.ndarray) -> float:
    return float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan
