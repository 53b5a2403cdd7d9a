"""The plan of a run over many devices: what fits, how fast it is; and the best layouts."""

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.guards import positive
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Layout, Recipe, Recompute, misfits
from analysis.parallelism.memory import Memory, memory
from analysis.parallelism.program import program_memory
from analysis.parallelism.shape import TransformerShape
from analysis.parallelism.step_time import StepTime, repeats, step_time
from analysis.parallelism.traffic import Traffic, inside_node, traffic

AXES = ("data", "fsdp", "tensor", "context", "expert", "pipe")
"""Axes of a layout."""

RESERVED = 0.05
"""Share of a device's memory that libraries and the allocator keep."""

_LEAST_CONTEXT = 128  # tokens that a device has of a sequence
_MICROBATCHES = (1, 2, 4, 8, 16)
_INTERLEAVES = (1, 2, 4, 8)
_RECOMPUTES: tuple[Recompute, ...] = ("none", "selective", "full")


@dataclass(frozen=True)
class Plan:
    """A layout judged.

    Attributes:
        shape: The model.
        device: The accelerator, of which there are `layout.size`.
        layout: Devices along each axis.
        recipe: How a step is computed.
        memory: Bytes of the fullest device.
        sent: Bytes that a device sends in a step.
        seconds: Of a step.
    """

    shape: TransformerShape
    device: Device
    layout: Layout
    recipe: Recipe
    memory: Memory
    sent: Traffic
    seconds: StepTime

    @property
    def fits(self) -> bool:
        """Whether the fullest device has room."""
        return bool(self.memory.total <= (1 - RESERVED) * self.device.memory)

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.recipe.batch * self.shape.context

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of all devices together."""
        return float(self.tokens / self.seconds.total)

    @property
    def utilisation(self) -> float:
        """Model FLOPs over the peak (Chowdhery et al. 2022, arXiv 2204.02311, appendix B)."""
        return self._share(self.shape.training_flops)

    @property
    def hardware_utilisation(self) -> float:
        """Utilisation that counts what is computed again, too."""
        blocks = self.shape.layers * self.shape.block_flops * repeats(self.shape, self.recipe)
        return self._share(blocks + 3 * self.shape.readout_flops)

    def days(self, tokens: float) -> float:
        """Returns the days of a training on so many tokens."""
        positive("tokens", tokens, "give e.g. 1e12")
        return tokens / self.tokens_per_second / 86_400

    def near(self) -> dict[str, bool]:
        """Returns whether an axis stays inside a node, by its name."""
        return {axis: bool(each) for axis, each in inside_node(self.layout, self.device).items()}

    def _share(self, flops: float) -> float:
        peak = float(self.layout.size) * self.device.peak
        return flops * self.tokens_per_second / peak


def plan(shape: TransformerShape, device: Device, layout: Layout, recipe: Recipe) -> Plan:
    """Judges a layout.

    Raises:
        ValueError: A layout that does not divide the model or the batch.
    """
    wrong = misfits(shape, layout, recipe)
    if wrong:
        raise ValueError("; ".join(wrong))
    return Plan(
        shape,
        device,
        layout,
        recipe,
        _memory(shape, layout, recipe),
        traffic(shape, layout, recipe),
        step_time(shape, layout, recipe, device),
    )


@dataclass(frozen=True)
class Choice:
    """The layouts of a number of devices.

    Attributes:
        best: The fastest that fit, the best first, each of another shape; empty if nothing fits.
        lost: The fastest of each kind that lost, with the reason.
        smallest: The one that takes the least memory a device.
        n_judged: Layouts judged, with all ways to compute a step.
    """

    best: tuple[Plan, ...]
    lost: tuple[tuple[Plan, str], ...]
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
    # 1. Every layout as one row of arrays.
    rows = _candidates(shape, n_devices, recipe, axes)
    if not len(rows):
        fewer = (2**k for k in range(int(math.log2(n_devices)), -1, -1) if 2**k < n_devices)
        able = next((n for n in fewer if len(_candidates(shape, n, recipe, axes))), 1)
        raise ValueError(
            f"no mesh of {n_devices:,} devices divides {shape.heads} heads, {shape.layers} layers, "
            f"{shape.context:,} tokens and {recipe.batch:,} sequences: give {able:,} devices, or "
            "another batch"
        )
    data, fsdp, tensor, context, expert, pipe, microbatch, interleave = rows.T.astype(np.float64)
    layouts = Layout(data=data, fsdp=fsdp, tensor=tensor, context=context, expert=expert, pipe=pipe)
    # 2. All judged at once, for each amount of recomputation.
    judged: list[tuple[float, bool, Layout, Recipe]] = []
    least: list[tuple[float, Layout, Recipe]] = []
    for recompute in _RECOMPUTES:
        each = replace(recipe, microbatch=microbatch, interleave=interleave, recompute=recompute)
        total = np.asarray(_memory(shape, layouts, each).total)
        least.append((float(total.min()), *_row(rows[total.argmin()], each)))
        fits = total <= (1 - RESERVED) * device.memory
        seconds = np.asarray(step_time(shape, layouts, each, device).total)
        for found in (_fastest(seconds, fits, rows), _fastest(seconds, ~fits, rows)):
            for i in found:
                layout, own = _row(rows[i], each)
                judged.append(
                    (float(np.asarray(seconds)[i]), bool(np.asarray(fits)[i]), layout, own)
                )
    judged.sort(key=lambda row: row[0])
    # 3. The fastest of each layout, among those that fit.
    best: dict[str, Plan] = {}
    for _, fits_too, layout, own in judged:
        if fits_too and str(layout) not in best and len(best) < n_best:
            best[str(layout)] = plan(shape, device, layout, own)
    return Choice(
        tuple(best.values()),
        tuple(_lost(shape, device, judged, tuple(best.values()))),
        plan(shape, device, *min(least, key=lambda row: row[0])[1:]),
        len(rows) * len(_RECOMPUTES),
    )


def _memory(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Memory:
    return (program_memory if recipe.own else memory)(shape, layout, recipe)


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
                for microbatch in _MICROBATCHES:
                    if of_replica % microbatch:
                        continue
                    for interleave in _INTERLEAVES:
                        if interleave > 1 and (pipe == 1 or pipe * interleave > shape.layers):
                            break
                        if (
                            own
                            and interleave > 1
                            and (
                                shape.layers % (pipe * interleave)
                                or of_replica // microbatch % pipe
                            )
                        ):
                            continue
                        found.append(
                            (data, fsdp, tensor, context, expert, pipe, microbatch, interleave)
                        )
    return np.array(found, dtype=np.int64).reshape(-1, 8)


def _fastest(
    seconds: Floats, which: NDArray[np.bool_], rows: NDArray[np.int64], n: int = 64
) -> Sequence[int]:
    """Rows of the least time, the fastest of each layout, at most `n` of them."""
    order = np.argsort(np.where(which, seconds, np.inf), kind="stable")
    found: dict[tuple[int, ...], int] = {}
    for i in order[: int(np.sum(which))]:
        found.setdefault(tuple(rows[i, :6].tolist()), int(i))
        if len(found) == n:
            break
    return list(found.values())


def _row(row: NDArray[np.int64], recipe: Recipe) -> tuple[Layout, Recipe]:
    data, fsdp, tensor, context, expert, pipe, microbatch, interleave = map(int, row)
    layout = Layout(data=data, fsdp=fsdp, tensor=tensor, context=context, expert=expert, pipe=pipe)
    return layout, replace(recipe, microbatch=microbatch, interleave=interleave)


def _lost(
    shape: TransformerShape,
    device: Device,
    judged: Sequence[tuple[float, bool, Layout, Recipe]],
    best: Sequence[Plan],
) -> list[tuple[Plan, str]]:
    """The fastest layout that does not fit, and the next that fits, with the reasons."""
    found = []
    beyond = next((row for row in judged if not row[1]), None)
    if beyond is not None and (not best or beyond[0] < best[0].seconds.total):
        each = plan(shape, device, *beyond[2:])
        found.append((each, _why_not(each)))
    names = {str(each.layout) for each in best}
    slower = next((row for row in judged if row[1] and str(row[2]) not in names), None)
    if slower is not None:
        each = plan(shape, device, *slower[2:])
        found.append((each, _why_slower(each, best[0])))
    return found


def _why_not(each: Plan) -> str:
    needed, there = float(each.memory.total), (1 - RESERVED) * each.device.memory
    return f"does not fit: {needed / 1e9:.3g} GB a device, and {there / 1e9:.3g} are free"


def _why_slower(each: Plan, best: Plan) -> str:
    """What costs most beside the best."""
    more = {
        name: float(mine) - float(its)
        for name, mine, its in zip(StepTime._fields, each.seconds, best.seconds, strict=True)
    }
    worst = max(more, key=lambda name: more[name])
    return f"{more[worst]:.3g} s more a step for {_COSTS[worst]}"


_COSTS = {
    "products": "products",
    "memory": "reading and writing activations",
    "tensor": "sums over tensor",
    "context": "keys and values over context",
    "expert": "tokens sent to experts",
    "pipe": "activations between stages",
    "bubble": "the pipeline's bubble",
    "fsdp": "gathered weights",
    "data": "sums of gradients",
    "optimizer": "the update",
}
