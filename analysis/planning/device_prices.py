"""Accelerators at a share of their peak: hours and dollars -> FLOPs, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.errors import nearest_name
from analysis.guards import positive

PEAK_FLOPS = {
    "a100": 312e12,  # NVIDIA A100 Tensor Core GPU datasheet (2021), all form factors
    "h100": 989.4e12,  # NVIDIA H100 Tensor Core GPU Architecture whitepaper (2022), SXM5
    "h200": 989.4e12,  # NVIDIA H200 datasheet (2024), SXM: the tensor cores of the H100
    "b200": 2.25e15,  # NVIDIA HGX B200 datasheet (2024): 4.5 PFLOP/s with sparsity, halved
    "tpu-v4": 275e12,  # Google Cloud TPU v4 documentation, per chip
    "tpu-v5e": 197e12,  # Google Cloud TPU v5e documentation, per chip
    "tpu-v5p": 459e12,  # Google Cloud TPU v5p documentation, per chip
}
"""Peak FLOP/s of one device in dense bfloat16 (a multiply-add is 2), as its maker states it.

`scaling.devices.throughput.PEAK_FLOPS` has the same numbers by JAX's names of devices. `analysis`
imports only records from `scaling`, so there are two tables; a test compares them.
"""

_SECONDS_PER_HOUR = 3600.0
_LEAST_MFU = 1e-6


@dataclass(frozen=True)
class Accelerator:
    """A device that trains a model. Hours are device-hours: hours times devices.

    Attributes:
        name: Its name.
        peak_flops: Peak of one device in FLOP/s, at the precision of training and without sparsity.
        mfu: Model FLOPs utilisation (Chowdhery et al. 2022, arXiv 2204.02311, appendix B): the
            share of the peak that goes into the FLOPs of the model, above 0 and up to 1.
        dollars_per_hour: Price of a device-hour; None where unknown.
    """

    name: str
    peak_flops: float
    mfu: float
    dollars_per_hour: float | None = None

    def __post_init__(self) -> None:
        positive("peak_flops", self.peak_flops, "give e.g. 989e12")
        if not _LEAST_MFU <= self.mfu <= 1:
            raise ValueError(
                f"mfu = {self.mfu}, but it is a share above 0 and up to 1, and at least "
                f"{_LEAST_MFU:g}: give e.g. 0.4."
            )
        if self.dollars_per_hour is not None:
            positive("dollars_per_hour", self.dollars_per_hour, "give e.g. 2.5")

    def flops(self, hours: float) -> float:
        """Returns the FLOPs of a positive number of device-hours: `3600 hours peak_flops mfu`."""
        positive("hours", hours, "give e.g. 5000")
        return hours * self._flops_per_hour

    def hours(self, flops: float) -> float:
        """Returns the device-hours that these FLOPs take."""
        return flops / self._flops_per_hour

    def hours_for(self, dollars: float) -> float:
        """Returns the device-hours that a price buys.

        Raises:
            ValueError: dollars not positive and finite, or the price of an hour unknown.
        """
        positive("price", dollars, "give e.g. 20000")
        if self.dollars_per_hour is None:
            raise ValueError(
                f"price = {dollars:g}, but the price of an hour of {self.name} is unknown: give "
                "dollars_per_hour, e.g. 2.5."
            )
        return dollars / self.dollars_per_hour

    def dollars(self, flops: float) -> float | None:
        """Returns the price of these FLOPs; None where the price of an hour is unknown."""
        return None if self.dollars_per_hour is None else self.hours(flops) * self.dollars_per_hour

    @property
    def _flops_per_hour(self) -> float:
        return _SECONDS_PER_HOUR * self.peak_flops * self.mfu


def accelerator(
    gpu: str,
    mfu: float,
    dollars_per_hour: float | None = None,
    peaks: Mapping[str, float] = PEAK_FLOPS,
) -> Accelerator:
    """Returns an accelerator by its name; case, blanks, - and _ do not matter.

    Args:
        gpu: Name, e.g. "h200".
        mfu: Model FLOPs utilisation, above 0 and up to 1.
        dollars_per_hour: Price of a device-hour; None where unknown.
        peaks: Peak FLOP/s of one device by its name.

    Raises:
        ValueError: An unknown name (the nearest is given), or a number out of range.
    """
    names = {_bare(name): name for name in peaks}
    if _bare(gpu) not in names:
        raise ValueError(
            f"no accelerator {gpu!r}: {nearest_name(gpu.lower(), peaks)}. For any other, give "
            "the compute itself."
        )
    name = names[_bare(gpu)]
    return Accelerator(name, peaks[name], mfu, dollars_per_hour)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())
