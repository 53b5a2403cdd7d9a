"""History of a run on a stream: its curve, its time, and the checkpoints it can resume from."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from scaling.config import Resolved, RunConfig, resolved, run_id, trunk_of
from scaling.data.token_dataset import TokenSource
from scaling.devices import processes, runtime
from scaling.devices.mesh import Mesh
from scaling.fields import from_dict, to_dict
from scaling.models.family import SharedFamily
from scaling.models.placement import rearranged
from scaling.pretraining import Pretraining
from scaling.record import Curve, CurvePoint, finite
from scaling.sealed import digest
from scaling.streaming import OnStream
from scaling.trainers import checkpoint, gradient_noise
from scaling.trainers.optimizer_state import on_device
from scaling.trainers.token_evaluation import Evaluation
from scaling.workspace import Workspace

log = logging.getLogger(__name__)

State = TypeVar("State")
"""What a trainer passes from step to step: a pytree of arrays."""

SAVE_SECONDS = 60.0
SAVE_SHARE = 0.02
"""A run saves a checkpoint no sooner than this after it began or last saved, and spends no larger
share of its time on it."""

_DECIDE_BITS = (
    "scaling-descent",
    "git_commit",
    "git_diff_sha256",
    "jax",
    "jaxlib",
    "optax",
    "numpy",
    "device",
)
"""Facts of an environment that may change the last bits of a run's numbers."""


class Place(NamedTuple):
    """A folder of checkpoints, and the run or trunk that they belong to."""

    folder: Path
    identity: str


class History:
    """Curve, time and checkpoints of a run so far."""

    def __init__(
        self,
        config: RunConfig,
        workspace: Workspace | None,
        plain: Resolved | None = None,
        mesh: Mesh | None = None,
        parts: int = 1,
    ) -> None:
        """Starts the history of a run.

        Args:
            config: The run.
            workspace: Where its checkpoints are, if they are kept.
            plain: The resolved configuration, where the caller has it.
            mesh: The mesh that it is on, which may be what is left of its own.
            parts: Parts of each of its batches, more than one where memory is short.
        """
        self._config, plain = config, plain or resolved(config)
        self._mesh, self._parts = mesh, parts
        self._own = Place(workspace.own, run_id(plain)) if workspace else None
        self._trunk, self._leaves_at = None, 0
        if workspace and workspace.trunk and (trunk := trunk_of(plain)):
            # Checkpoints of another program or machine may differ in their last bits.
            folder = workspace.trunk / digest(deciding_environment())[:16]
            self._trunk, self._leaves_at = Place(folder, trunk.trunk_id), trunk.steps
        self._curve: list[CurvePoint] = []
        self._resumed_at: list[int] = []
        self._began = self._saved_at = time.monotonic()
        self._cost = self._spent_otherwise = self._earlier_seconds = 0.0
        self._first_step = 0
        self._from_trunk_at: int | None = None
        self._continued_on: list[str] = []

    def restore(self, initial: State, until: int = sys.maxsize) -> State:
        """State of the furthest checkpoint, of this run or its trunk; without one, the initial.

        Args:
            initial: State before the first step.
            until: Step after which the run ends or pauses: none beyond it is restored.
        """
        if self._own is None:
            return initial
        # 1. The furthest checkpoint: the trunk's where it is beyond the run's own.
        own = checkpoint.latest(*self._own, initial, range(until + 1))
        saved = self._on_trunk(initial, own.step if own else 0, until) or own
        if saved is None:
            return initial
        # 2. Its arrays in the order of this mesh.
        notes, state = saved.notes, saved.state
        self._continued_on = notes.get("continued_on_meshes", [])
        self._parts = max(self._parts, notes.get("batch_in_parts", 1))
        if self._mesh is not None and "mesh" in notes:
            before = from_dict(Mesh, notes["mesh"])
            state = moved(self._config, state, before, self._mesh)
            if before != self._mesh:
                self._continued_on = [*self._continued_on, str(self._mesh)]
        # 3. The curve so far, without what a run of another length measured on the trunk.
        ends = evaluated_after(self._config)
        points = [CurvePoint(**point) for point in notes["curve"]]
        self._curve = [point for point in points if point.step in ends]
        self._earlier_seconds = notes["seconds"]
        self._first_step = saved.step
        if saved is own:
            self._resumed_at = [*notes["resumed_at_steps"], saved.step]
            self._from_trunk_at = notes["from_trunk_at_step"]
        else:
            self._from_trunk_at = saved.step
        changed = {k for k, v in deciding_environment().items() if notes["environment"].get(k) != v}
        if changed:
            log.warning(
                "run %s resumes from step %d with another %s: its last bits may differ",
                *(self._own.identity, saved.step, ", ".join(sorted(changed))),
            )
        self.begin()
        return state

    def begin(self) -> None:
        """Says that steps begin now: the time until here is not theirs."""
        self._spent_otherwise = time.monotonic() - self._began

    def _on_trunk(self, initial: Any, beyond: int, until: int) -> checkpoint.Checkpoint | None:
        """The furthest checkpoint of the trunk after a step, until one, if it can be read."""
        if self._trunk is None:
            return None
        steps = range(beyond + 1, min(self._leaves_at, until) + 1)
        try:
            return checkpoint.latest(*self._trunk, initial, steps)
        except OSError as error:
            trunk = self._trunk.identity
            log.warning("the checkpoints of trunk %s cannot be read: %s", trunk, error)
            return None

    def add(self, columns: dict[str, Any], batch_size: int, evaluation: Evaluation) -> None:
        """Adds an evaluation to the curve, unless it was added before the run paused there."""
        if self._curve and self._curve[-1].step == columns["steps"]:
            return
        scales = jax.device_get(evaluation.activation_scales)
        point = CurvePoint(
            step=columns["steps"],
            n_examples_seen=columns["steps"] * batch_size,
            train_loss=columns["train_loss_nats"],
            eval_loss=columns["eval_loss_nats"],
            eval_error=columns["eval_error"],
            **{name: columns[name] for name in gradient_noise.COLUMNS},
            activation_scales={name: finite(each) for name, each in scales.items()} or None,
            eval_by=columns["eval_by"],
        )
        self.append(point)

    def append(self, point: CurvePoint) -> None:
        """Appends an evaluation to the curve."""
        self._curve.append(point)

    def place(self, step: int, *, pauses: bool = False) -> Place | None:
        """Where to save a checkpoint after a step; None for nowhere.

        Where the trunk ends, it belongs to the trunk, unless batches were in parts: other runs have
        the bits that they have without. Elsewhere it belongs to the run, if it `pauses` there or it
        is time by the clock of the first process.
        """
        if self._trunk and step == self._leaves_at and self._parts == 1:
            return self._trunk
        if pauses:
            return self._own
        wait = max(SAVE_SECONDS, self._cost / SAVE_SHARE)
        if self._own and processes.broadcast_from_first(
            lambda: time.monotonic() - self._saved_at >= wait
        ):
            return self._own
        return None

    def save(self, step: int, state: Any, place: Place) -> None:
        """Saves a checkpoint: the state after a step, and all that was measured before it.

        A checkpoint saves work and changes no result, so a disk that refuses one ends no run.
        """
        assert self._own is not None
        jax.block_until_ready(state)
        start = time.monotonic()
        notes = {
            "curve": [dataclasses.asdict(point) for point in self._curve],
            "seconds": self._earlier_seconds + start - self._began,
            "resumed_at_steps": self._resumed_at,
            "from_trunk_at_step": self._from_trunk_at,
            "environment": deciding_environment(),
            "batch_in_parts": self._parts,
        }
        if self._mesh is not None:
            notes |= {"mesh": to_dict(self._mesh), "continued_on_meshes": self._continued_on}
        scratch, run = self._own
        try:
            checkpoint.save(*place, step, state, notes, scratch)
        except (OSError, ValueError) as error:
            log.warning("no checkpoint of run %s at step %d: %s", run, step, error)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - start
        self._spent_otherwise += self._cost

    def result(
        self, columns: dict[str, Any], compile_seconds: float
    ) -> tuple[dict[str, Any], Curve]:
        """Returns the columns of a RunRecord, and the learning curve."""
        more = {
            "compile_seconds": compile_seconds,
            "train_seconds": time.monotonic() - self._began - self._spent_otherwise,
            "timed_steps": columns["steps"] - self._first_step,
            "earlier_seconds": self._earlier_seconds,
            "resumed_at_steps": self._resumed_at,
            "from_trunk_at_step": self._from_trunk_at,
            "continued_on_meshes": self._continued_on,
            "batch_in_parts": self._parts if self._parts > 1 else None,
        }
        return columns | more, tuple(self._curve)


def moved(config: RunConfig, state: State, before: Mesh, after: Mesh) -> State:
    """Parameters or optimizer state in the order of another mesh, on the devices where they are."""
    if before.order == after.order or not isinstance(config.model, SharedFamily):
        return state
    parameters = config.model.parameters(config.data.n_inputs, config.n_outputs)
    own = jax.tree.map(lambda leaf: leaf.sharding, state)

    def moved(state: State) -> State:
        return rearranged(parameters, on_device(state), before, after)

    return jax.jit(moved, out_shardings=own)(state)


def evaluated_after(config: RunConfig) -> list[int]:
    """Numbers of steps after which a run is evaluated, ascending."""
    plan = config.train
    if isinstance(plan, OnStream):
        return plan.evaluated_after
    assert isinstance(plan, Pretraining) and isinstance(config.data, TokenSource)
    length = plan.length(config.model, config.data)
    doubling = itertools.takewhile(length.trunk.__gt__, (2**k for k in itertools.count()))
    n_even = min(plan.evaluations, length.steps - length.trunk)
    even = np.rint(np.linspace(length.trunk, length.steps, n_even + 1)).astype(int)
    return sorted({*doubling, *even.tolist()} - {0})


def deciding_environment() -> dict[str, Any]:
    """Facts of code and machine that may change the last bits of a run's numbers."""
    here = {**runtime.environment(), "device": runtime.device_name()}
    return {name: here[name] for name in _DECIDE_BITS}
