"""The best layouts of a model over a number of devices, and what the others lose by."""

import itertools
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.parallelism.devices import Device, devices
from analysis.parallelism.layout import AXES, Layout, Recipe, Recompute
from analysis.parallelism.plan import Plan, memory_of, plan
from analysis.parallelism.shape import TransformerShape
from analysis.parallelism.step_time import StepTime, step_time

_LEAST_CONTEXT = 128  # tokens that a device has of a sequence
_MICROBATCHES = (1, 2, 4, 8, 16)
_INTERLEAVES = (1, 2, 4, 8)
_RECOMPUTES: tuple[Recompute, ...] = ("none", "selective", "full")
_SHARED = slice(AXES.index("tensor"), AXES.index("pipe") + 1)  # axes beyond `data` and `fsdp`
_MOST_DOUBLINGS = 12


class Lost(NamedTuple):
    """The best layout of those that use one axis, or do not, where the best of all does otherwise.

    Attributes:
        axis: The axis.
        uses: Whether this one is longer than 1 along it.
        plan: The fastest that fits; where none does, the fastest of all.
        costs: What takes most longer than in the best of all, a field of `StepTime`; "" where it
            does not fit, or nothing does.
        seconds: How much longer that takes a step.
    """

    axis: str
    uses: bool
    plan: Plan
    costs: str
    seconds: float


@dataclass(frozen=True)
class Choice:
    """The layouts of a number of devices.

    Attributes:
        best: The fastest that fit, the best first, each with other devices along `tensor`,
            `context`, `expert` or `pipe`; empty if nothing fits.
        lost: For each axis the best that does otherwise, the least bad first.
        too_large: The fastest of all, where it does not fit.
        smallest: The one that takes the least memory a device.
        n_judged: Layouts judged, with all ways to compute a step.
    """

    best: tuple[Plan, ...]
    lost: tuple[Lost, ...]
    too_large: Plan | None
    smallest: Plan
    n_judged: int


def choose(
    shape: TransformerShape,
    device: Device,
    n_devices: int,
    recipe: Recipe,
    *,
    n_best: int = 3,
    axes: Collection[str] = AXES,
) -> Choice:
    """Finds the fastest layouts that fit.

    Every division of the devices over the six axes that divides the model and the batch is judged,
    with every microbatch, schedule and amount of recomputation.

    Args:
        shape: The model.
        device: The accelerator.
        n_devices: Their number.
        recipe: The batch and the bytes of the state; the rest is sought.
        n_best: Layouts to return.
        axes: Axes that may be longer than 1.

    Raises:
        ValueError: No layout divides model and batch.
    """
    rows = _candidates(shape, n_devices, recipe, axes)
    if not len(rows):
        fewer = (2**k for k in range(int(math.log2(n_devices)), -1, -1) if 2**k < n_devices)
        able = next((n for n in fewer if len(_candidates(shape, n, recipe, axes))), 1)
        raise ValueError(
            f"no mesh of {n_devices:,} devices divides {shape.heads} heads, {shape.layers} layers, "
            f"{shape.context:,} tokens and {recipe.batch:,} sequences: give {able:,} devices, or "
            "another batch"
        )
    judged = _judged(shape, device, rows, recipe)
    best = tuple(judged.plan(i) for i in judged.fastest(n_best))
    first = judged.plan(int(judged.seconds.argmin()))
    return Choice(
        best,
        tuple(judged.lost(best[0])) if best else (),
        None if first.fits else first,
        judged.plan(int(judged.memory.argmin())),
        len(judged.rows),
    )


def enough(
    shape: TransformerShape, device: Device, n_devices: int, recipe: Recipe
) -> tuple[Plan | None, tuple[Plan, ...]]:
    """What a model that fits nowhere takes.

    Args:
        shape: The model.
        device: The accelerator.
        n_devices: Their number, which is too small.
        recipe: The batch and the bytes of the state.

    Returns:
        The best plan of the least multiple of the devices by a power of 2 on which something fits;
        and those of as many devices of the table with more memory each, the smallest first.
    """

    def best(device: Device, n: int) -> Plan | None:
        try:
            return next(iter(choose(shape, device, n, recipe, n_best=1).best), None)
        except ValueError:  # so many do not divide the model
            return None

    more = (best(device, n_devices * 2**k) for k in range(1, _MOST_DOUBLINGS))
    larger = sorted(
        (each for each in devices().values() if each.memory > device.memory),
        key=lambda each: each.memory,
    )
    others = (best(each, n_devices) for each in larger)
    return next((each for each in more if each), None), tuple(each for each in others if each)


class _Judged(NamedTuple):
    """All ways to divide a model and to compute a step, a row each.

    Attributes:
        shape: The model.
        device: The accelerator.
        recipe: What is the same for all.
        rows: Axes, microbatch, groups of layers, and the place in `_RECOMPUTES`.
        seconds: Of a step.
        memory: Bytes of the fullest device.
    """

    shape: TransformerShape
    device: Device
    recipe: Recipe
    rows: NDArray[np.int64]
    seconds: Floats
    memory: Floats

    @property
    def fits(self) -> NDArray[np.bool_]:
        return self.memory <= self.device.free

    def plan(self, i: int) -> Plan:
        """The plan of a row."""
        *axes, microbatch, interleave, recompute = map(int, self.rows[i])
        layout = Layout(**dict(zip(AXES, axes, strict=True)))
        recipe = replace(
            self.recipe,
            microbatch=microbatch,
            interleave=interleave,
            recompute=_RECOMPUTES[recompute],
        )
        return plan(self.shape, self.device, layout, recipe)

    def fastest(self, n: int) -> list[int]:
        """The fastest that fit, each with other devices along an axis beyond `data` and `fsdp`."""
        order = np.argsort(self.seconds, kind="stable")
        order = order[self.fits[order]]
        found: dict[tuple[int, ...], int] = {}
        for i in order:
            if len(found) == n:
                break
            found.setdefault(tuple(self.rows[i, _SHARED].tolist()), int(i))
        return list(found.values())

    def lost(self, best: Plan) -> list[Lost]:
        """For each axis the best that does otherwise, the least bad first."""
        found = []
        for k, axis in enumerate(AXES):
            uses = getattr(best.layout, axis) == 1
            i = self._fastest_where((self.rows[:, k] > 1) == uses)
            if i is None:
                continue
            other = self.plan(i)
            costs, more = _costs_more(other, best)
            found.append(Lost(axis, uses, other, costs if other.fits else "", more))
        return sorted(found, key=lambda each: (not each.plan.fits, each.plan.seconds.total))

    def _fastest_where(self, which: NDArray[np.bool_]) -> int | None:
        """The fastest that fits of some rows; of all of them where none fits; None of none."""
        if not which.any():
            return None
        which = which & self.fits if (which & self.fits).any() else which
        return int(np.where(which, self.seconds, np.inf).argmin())


def _judged(
    shape: TransformerShape, device: Device, rows: NDArray[np.int64], recipe: Recipe
) -> _Judged:
    """Every row judged at once, for each amount of recomputation."""
    *axes, microbatch, interleave = rows.T.astype(np.float64)
    layouts = Layout(**dict(zip(AXES, axes, strict=True)))
    every, seconds, total = [], [], []
    for k, recompute in enumerate(_RECOMPUTES):
        each = replace(recipe, microbatch=microbatch, interleave=interleave, recompute=recompute)
        every.append(np.column_stack([rows, np.full(len(rows), k)]))
        seconds.append(np.asarray(step_time(shape, layouts, each, device).total))
        total.append(np.asarray(memory_of(shape, layouts, each).total))
    together = (np.concatenate(each) for each in (every, seconds, total))
    return _Judged(shape, device, recipe, *together)


def _candidates(
    shape: TransformerShape, n_devices: int, recipe: Recipe, axes: Collection[str]
) -> NDArray[np.int64]:
    """Layouts with their microbatch and schedule, a row each, shape `(n, 8)`."""

    def lengths(axis: str, size: int, of: int) -> list[int]:
        longest = math.gcd(size, of) if axis in axes else 1
        return [k for k in range(1, longest + 1) if longest % k == 0]

    found, batch, own = [], recipe.batch, recipe.own
    experts = lengths("expert", shape.experts, n_devices)
    contexts = [
        k
        for k in lengths("context", shape.context, n_devices)
        if k == 1 or shape.context // k >= _LEAST_CONTEXT
    ]
    heads = math.gcd(shape.heads, shape.kv_heads) if own else shape.heads
    tensors = lengths("tensor", math.gcd(heads, shape.ff_width), n_devices)
    for tensor, context, expert in itertools.product(tensors, contexts, experts):
        if n_devices % (tensor * context * expert):
            continue
        left = n_devices // (tensor * context * expert)
        for pipe in lengths("pipe", shape.layers if own else left, left):
            if pipe > shape.layers:
                break
            for fsdp in lengths("fsdp", shape.width if own else left // pipe, left // pipe):
                data = left // (pipe * fsdp)
                replicas = data * fsdp * expert
                if batch % replicas or (data > 1 and "data" not in axes):
                    continue
                of_replica = batch // replicas
                axes_of = (data, fsdp, tensor, context, expert, pipe)
                found += ((*axes_of, *each) for each in _schedules(shape, recipe, pipe, of_replica))
    return np.array(found, dtype=np.int64).reshape(-1, 8)


def _schedules(
    shape: TransformerShape, recipe: Recipe, pipe: int, of_replica: int
) -> Iterator[tuple[int, int]]:
    """Sequences of a microbatch, and groups of layers a stage, for so many sequences a replica."""
    for microbatch, interleave in itertools.product(_MICROBATCHES, _INTERLEAVES):
        if of_replica % microbatch:
            continue
        if interleave > 1:
            groups = pipe * interleave
            if pipe == 1 or groups > shape.layers:
                continue
            if recipe.own and (shape.layers % groups or of_replica // microbatch % pipe):
                continue
        yield microbatch, interleave


def _costs_more(each: Plan, best: Plan) -> tuple[str, float]:
    """What takes most longer than in the best plan, and by how many seconds a step."""
    more = {
        name: float(mine) - float(its)
        for name, mine, its in zip(StepTime._fields, each.seconds, best.seconds, strict=True)
    }
    worst = max(more, key=lambda name: more[name])
    return worst, more[worst]
