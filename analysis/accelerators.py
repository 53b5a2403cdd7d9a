"""Training compute of accelerators: hours at a share of their peak -> FLOPs."""

import difflib
import math
import re

PEAK_FLOPS = {
    "a100": 312e12,  # NVIDIA A100 Tensor Core GPU datasheet (2021), all form factors
    "h100": 989.4e12,  # NVIDIA H100 Tensor Core GPU Architecture whitepaper (2022), SXM5
    "h200": 989.4e12,  # NVIDIA H200 datasheet (2024), SXM: the tensor cores of the H100
    "b200": 2.25e15,  # NVIDIA HGX B200 datasheet (2024): 4.5 PFLOP/s with sparsity, halved
    "tpu-v4": 275e12,  # Google Cloud TPU v4 documentation, per chip
    "tpu-v5e": 197e12,  # Google Cloud TPU v5e documentation, per chip
    "tpu-v5p": 459e12,  # Google Cloud TPU v5p documentation, per chip
}
"""Peak FLOP/s of one device in dense bfloat16 (a multiply-add is 2), as its maker states it."""

_SECONDS_PER_HOUR = 3600.0


def flops(hours: float, peak_flops: float, mfu: float) -> float:
    """FLOPs of a training run: `3600 hours peak_flops mfu`.

    Args:
        hours: Device-hours: hours times devices.
        peak_flops: Of one device, in FLOP/s, at the precision of training and without sparsity.
        mfu: Model FLOPs utilisation (Chowdhery et al. 2022, arXiv 2204.02311, appendix B): the
            share of the peak that goes into the FLOPs of the model, from 0 to 1.

    Returns:
        FLOPs.

    Raises:
        ValueError: hours or peak not positive and finite, or mfu not in (0, 1].
    """
    for name, value in (("hours", hours), ("peak_flops", peak_flops)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value}, but it is positive and finite: give e.g. 5000.")
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu = {mfu}, but it is a share above 0 and up to 1: give e.g. 0.4.")
    return hours * _SECONDS_PER_HOUR * peak_flops * mfu


def compute_from_gpu(gpu: str, hours: float, mfu: float) -> float:
    """`flops` of an accelerator by its name in `PEAK_FLOPS`; case, blanks, - and _ do not matter.

    Args:
        gpu: Name, e.g. "h200".
        hours: Device-hours.
        mfu: Model FLOPs utilisation, from 0 to 1.

    Returns:
        FLOPs.

    Raises:
        ValueError: An unknown name (the nearest is given), and as `flops`.
    """
    known = {_bare(name): peak for name, peak in PEAK_FLOPS.items()}
    if _bare(gpu) not in known:
        names = {_bare(name): name for name in PEAK_FLOPS}
        close = difflib.get_close_matches(_bare(gpu), names, n=1, cutoff=0.5)
        hint = f"did you mean {names[close[0]]!r}? " if close else ""
        raise ValueError(
            f"no accelerator {gpu!r}; {hint}known are {', '.join(PEAK_FLOPS)}; for any other give "
            "the compute itself."
        )
    return flops(hours, known[_bare(gpu)], mfu)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())
