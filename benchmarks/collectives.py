"""What a compiled program sends between devices, read from its text."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import NamedTuple

import numpy as np

KINDS = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
_BYTES = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "pred": 1, "s8": 1, "f64": 8}


class Sent(NamedTuple):
    """Bytes that a device sends along some axes in messages of a kind."""

    axes: str
    kind: str


def sent(text: str, mesh: dict[str, int]) -> dict[Sent, float]:
    """Bytes that a device sends in one run of a program, by axes and kind.

    Collectives in rings: an all-reduce of n devices sends 2 (n - 1) / n of its array, gathers,
    scatters and exchanges (n - 1) / n. What a loop sends is counted as often as it runs.

    Args:
        text: The program as `compiled.as_text()` gives it.
        mesh: Devices along each axis, the outermost first.
    """
    bodies = _bodies(text)
    found: dict[Sent, float] = defaultdict(float)
    entry = next(name for name, (is_entry, _) in bodies.items() if is_entry)
    _add(found, bodies, entry, 1, mesh)
    return dict(found)


def _bodies(text: str) -> dict[str, tuple[bool, list[str]]]:
    """Lines of each computation, by its name, and whether it is the entry."""
    bodies: dict[str, tuple[bool, list[str]]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        head = re.match(r"(ENTRY )?%?([\w.\-]+) .*\{$", line)
        if head and not line.startswith(" "):
            lines = []
            bodies[head[2]] = (bool(head[1]), lines)
        else:
            lines.append(line)
    return bodies


def _add(
    found: dict[Sent, float],
    bodies: dict[str, tuple[bool, list[str]]],
    name: str,
    times: int,
    mesh: dict[str, int],
) -> None:
    for line in bodies[name][1]:
        kind = re.search(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(", line)
        if kind:
            axes, n = _axes(line, mesh)
            size = _size(kind[1], is_started=bool(kind[3]))
            share = {"all-reduce": 2 * (n - 1) / n, "collective-permute": 1.0}
            if kind[2] == "reduce-scatter":
                size *= n
            found[Sent(axes, kind[2])] += times * size * share.get(kind[2], (n - 1) / n)
        for other in re.findall(r"(?:to_apply|calls|body)=%?([\w.\-]+)", line):
            count = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            again = int(count[1]) if count and " while(" in line else 1
            assert " while(" not in line or count, line
            _add(found, bodies, other, times * again, mesh)


def _size(shapes: str, is_started: bool) -> float:
    found = [
        _BYTES[kind] * math.prod(int(n) for n in sizes.split(",") if n)
        for kind, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shapes)
    ]
    return float(sum(found) / (2 if is_started else 1))


def _axes(line: str, mesh: dict[str, int]) -> tuple[str, int]:
    """Axes along which devices talk, and their number in a group."""
    ids = np.arange(math.prod(mesh.values())).reshape(tuple(mesh.values()))
    pairs = re.search(r"source_target_pairs=\{(.*?)\}\}?,", line)
    iota = re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line)
    if pairs:
        group = [int(n) for n in re.findall(r"\d+", pairs[1])[:2]]
    elif iota:
        shape, over = ([int(n) for n in iota[k].split(",")] for k in (1, 2))
        order = np.arange(math.prod(over)).reshape(over)
        if iota[3]:
            order = order.transpose([int(n) for n in iota[3].split(",")])
        group = order.reshape(shape)[0].tolist()
    else:
        listed = re.search(r"replica_groups=\{\{([\d,]*)\}", line)
        assert listed, line
        group = [int(n) for n in listed[1].split(",")]
    places = np.array([np.argwhere(ids == device)[0] for device in group])
    moving = [name for k, name in enumerate(mesh) if len({int(place[k]) for place in places}) > 1]
    return "+".join(moving), len(group)
