"""Words for numbers, on the screen and on pages: expected and measured, of runs, bytes, times."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

from experiments.experiment import Expected, Measured


def accepted(expected: Expected) -> str:
    """Returns what a measurement must be to agree."""
    if expected.target is not None:
        return f"interval contains {expected.target:.4g}"
    return ends(expected.low, expected.high)


def ends(low: float | None, high: float | None) -> str:
    """Returns words for the numbers that pass, of which one end may be open."""
    if low is None or high is None:
        return f"at most {high:g}" if low is None else f"at least {low:g}"
    return f"{low:g} to {high:g}"


def number(measured: Measured, digits: int = 4, unit: str = "1") -> str:
    """Returns a measured number with its interval and, unless it is pure, its unit."""
    if measured.value is None:
        return "not measured"
    text = f"{measured.value:.{digits}g}"
    if measured.low is not None and measured.high is not None:
        text += f" [{measured.low:.4g}, {measured.high:.4g}]"
    return text if unit == "1" else f"{text} {unit}"


def counted(counts: Mapping[Any, int]) -> str:
    """Returns the numbers of runs by what became of them."""
    return ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items())) or "no runs"


def several(n: int, what: str) -> str:
    """Returns a number of things in words."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def shown_bytes(n_bytes: SupportsFloat) -> str:
    """Returns a number of bytes in the unit that makes it short."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if float(n_bytes) >= size:
            return f"{float(n_bytes) / size:.3g} {unit}"
    return f"{float(n_bytes) / 1e3:.3g} kB"


def shown_seconds(seconds: SupportsFloat) -> str:
    """Returns a time in the unit that makes it short; minutes and above from two of them on."""
    time = float(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if time >= 2 * size:
            return f"{time / size:.3g} {unit}"
    for size, unit in ((1e-6, "us"), (1e-3, "ms")):
        if size <= time < 1e3 * size:
            return f"{time / size:.3g} {unit}"
    return f"{time:.3g} s"
