"""The speed of a run, and its share of the device's peak.

FLOPs are the model's own, in closed form: work that `remat` repeats is not counted. Utilisation
is their rate over the device's peak (model FLOPs utilisation, Chowdhery et al. 2022, arXiv
2204.02311, appendix B).
"""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

PEAK_FLOPS: dict[str, float | None] = {
    "A100": 312e12,  # NVIDIA A100 Tensor Core GPU datasheet (2021), all form factors
    "H100 NVL": 835.5e12,  # NVIDIA H100 product page (2023): 1671 with sparsity, halved
    "H100 PCIe": 756e12,  # NVIDIA H100 Tensor Core GPU datasheet (2023): 1513 with sparsity, halved
    "H100": 989.4e12,  # NVIDIA H100 Tensor Core GPU Architecture whitepaper (2022), SXM5
    "H200 NVL": None,  # less than the SXM's
    "H200": 989.4e12,  # NVIDIA H200 datasheet (2024), SXM: the tensor cores of the H100
    "GB200": None,  # more than the B200's
    "B200": 2.25e15,  # NVIDIA HGX B200 datasheet (2024): 4.5 PFLOP/s with sparsity, halved
    "TPU v4": 275e12,  # Google Cloud TPU v4 documentation, per chip
    "TPU v5 lite": 197e12,  # Google Cloud TPU v5e documentation, per chip
    "TPU v5p": 459e12,  # Google Cloud TPU v5p documentation, per chip
    "TPU v5": 459e12,  # the name that JAX gives a v5p
}
"""Peak FLOP/s of one accelerator in dense bfloat16; a multiply-add is 2. The first name that is in
JAX's name of the device applies; None where its peak is not known."""

_SIZE = 1024
_TRIALS = 5


class Throughput(NamedTuple):
    """The speed of a run in tokens and FLOPs trained on, and its share of the peak, if known."""

    tokens_per_second: float
    model_flops_per_second: float
    model_flops_utilisation: float | None


def throughput(tokens: float, flops: float, seconds: float, peak: float | None) -> Throughput:
    """Rates of tokens and their FLOPs; `peak` is that of all devices at work, None if unknown."""
    rate = flops / seconds
    return Throughput(tokens / seconds, rate, rate / peak if peak else None)


@functools.cache
def peak_flops_per_second() -> float | None:
    """Peak of one device: tabulated for accelerators in bfloat16; of a CPU measured, in float32.

    A CPU's is the best of five products of two matrices of 1024 x 1024, by the threads that this
    process has, and so is a little below what the processor could do; measured once a process, in
    a fraction of a second. None for an accelerator that is not in the table.
    """
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return _measured()
    return next((peak for name, peak in PEAK_FLOPS.items() if name in device.device_kind), None)


def peak_at_work(n_devices: int) -> float | None:
    """Peak of the devices that share a run; a CPU that emulates several counts once."""
    import jax

    peak = peak_flops_per_second()
    if jax.default_backend() == "cpu":
        n_devices = jax.process_count()
    return None if peak is None else n_devices * peak


def _measured() -> float:
    import jax
    import jax.numpy as jnp

    matrix = jnp.ones((_SIZE, _SIZE), jnp.float32)
    compiled = jax.jit(lambda a: a @ a).lower(matrix).compile()
    compiled(matrix).block_until_ready()
    seconds = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        compiled(matrix).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * _SIZE**3 / min(seconds)
