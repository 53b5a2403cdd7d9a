"""Accelerators with their memory and links: a small table with sources, and a user's own."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from analysis.errors import nearest_name
from analysis.guards import positive, share

_FILE = Path(__file__).with_name("devices.toml")
_FIELDS = ("peak", "memory", "memory_bandwidth", "node", "link", "between")
_OPTIONAL = ("float32", "fused_attention", "best_product", "source")
_UNMEASURED = 0.95
_NARROW = 2
_RESERVED = 0.05  # share of a device's memory that libraries and the allocator keep


@dataclass(frozen=True, kw_only=True)
class Device:
    """An accelerator, one of many in nodes.

    Attributes:
        name: Its name.
        peak: FLOP/s of products in dense bfloat16.
        float32: FLOP/s of products of float32 as JAX computes them by default: by tensor cores in
            19 bits, or on TPUs in bfloat16. None if it is not known.
        fused_attention: Whether XLA has a kernel for attention in bfloat16 there, that of cuDNN.
        best_product: Share of the peak that the best product reaches.
        memory: Bytes.
        memory_bandwidth: Bytes/s.
        node: Devices on the fast link.
        link: Bytes/s that a device sends inside a node, while it receives as many.
        between: The same between nodes.
        source: Where the numbers are from.
    """

    name: str
    peak: float
    float32: float | None
    fused_attention: bool
    best_product: float
    memory: float
    memory_bandwidth: float
    node: int
    link: float
    between: float
    source: str

    @property
    def free(self) -> float:
        """Bytes of memory that libraries and the allocator leave to a run."""
        return (1 - _RESERVED) * self.memory


@cache
def devices() -> Mapping[str, Device]:
    """Returns the table, by name."""
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _device(name, row, _FILE.name) for name, row in table.items()}


def find(name: str) -> Device:
    """Returns a device of the table by its name, or a user's own by the path of a TOML file.

    A user's file holds the fields of `devices.toml` for one device.

    Raises:
        ValueError: An unknown name, with the nearest; a file that holds no device.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f"{name}: no such file. Give a TOML file with {', '.join(_FIELDS)}")
        try:
            row = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{name} is no TOML ({error}): correct it") from None
        return _device(path.stem, row, name)
    known = devices()
    if name not in known:
        raise ValueError(
            f"no device {name!r}: {nearest_name(name, known)}. Your own is a TOML file with "
            f"{', '.join(_FIELDS)}, given by its path"
        )
    return known[name]


def speed(device: Device, number_bytes: int) -> float:
    """Returns the FLOP/s of products of numbers of 2 or 4 bytes.

    Raises:
        ValueError: The speed in float32 is not known.
    """
    if number_bytes == _NARROW:
        return device.peak
    if device.float32 is None:
        raise ValueError(
            f"{device.name} has no float32, the FLOP/s of products of float32: add float32 = "
            "NUMBER, or compute in bfloat16 (--set model.compute_dtype=bfloat16)"
        )
    return device.float32


def many(text: str) -> tuple[int, Device]:
    """Reads a number of devices such as 2048xh100.

    Raises:
        ValueError: Another form, a number that is not positive, or an unknown device.
    """
    count, times, name = text.partition("x")
    if not times or not count.isdigit() or int(count) < 1:
        raise ValueError(f"{text!r} is no number of devices: give e.g. 2048xh100")
    return int(count), find(name)


def _device(name: str, row: Mapping[str, Any], where: str) -> Device:
    missing = [field for field in _FIELDS if field not in row]
    if missing:
        raise ValueError(f"{where}: {name} has no {', '.join(missing)}: add {missing[0]} = NUMBER")
    known = (*_FIELDS, *_OPTIONAL)
    unknown = [field for field in row if field not in known]
    if unknown:
        raise ValueError(f"{where}: {name} has {unknown[0]}: {nearest_name(unknown[0], known)}")
    numbers = {field: row[field] for field in (*_FIELDS, "float32") if field in row}
    for field, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{where}: {field} of {name} is {value!r}: give a number")
        positive(f"{where}: {field} of {name}", value)
    if numbers["node"] % 1:
        raise ValueError(f"{where}: node of {name} is {row['node']}: give a whole number")
    numbers |= {"node": int(numbers["node"]), "float32": numbers.get("float32")}
    if not isinstance(fused := row.get("fused_attention", False), bool):
        raise ValueError(f"{where}: fused_attention of {name} is {fused!r}: give true or false")
    best = row.get("best_product", _UNMEASURED)
    share(f"{where}: best_product of {name}", best)
    return Device(
        name=name,
        fused_attention=fused,
        best_product=float(best),
        source=str(row.get("source", where)),
        **numbers,
    )
