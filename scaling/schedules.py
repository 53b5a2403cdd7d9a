"""Learning-rate schedules as configurations: what share of the peak a step takes.

All follow a linear warm-up, from 1/(w + 1) of the peak at the first of w steps. The share is a
function of the step, the number of steps, of warm-up and of the trunk, which are arguments of
compiled code: runs of different lengths share a compilation.

The trunk of a run is the shared prefix of runs with one schedule: the first steps, if any, whose
shares do not depend on the length of the run. Runs of several lengths have it in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from scaling.fields import Argument, Checked, Count, Fraction, Range

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


class Duration(NamedTuple):
    """Length of a gradient run, in optimizer steps of `batch_size` examples."""

    steps: int
    batch_size: int
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Constant(Checked):
    """A constant learning rate: the peak to the end."""

    kind: ClassVar[str] = "constant"


@dataclass(frozen=True, kw_only=True)
class Cosine(Checked):
    """Half a cosine from the peak to `floor` times the peak, at the end of the run or `horizon`.

    Hoffmann et al. 2022 (arXiv 2203.15556, figure A1): the cosine must end with the run, and decay
    tenfold. A horizon, in steps, lets it end elsewhere, as for Kaplan et al. 2020 (arXiv
    2001.08361, section 2.2) at 250,000 steps whatever the run; the floor holds beyond it.
    """

    kind: ClassVar[str] = "cosine"
    floor: Fraction = 0.1
    horizon: Annotated[Count | None, Argument(None)] = None


@dataclass(frozen=True, kw_only=True)
class Linear(Checked):
    """A straight line from the peak to `floor` times the peak at the end of the run."""

    kind: ClassVar[str] = "linear"
    floor: Fraction = 0.0


@dataclass(frozen=True, kw_only=True)
class StableDecay(Checked):
    """The peak, then a straight line to 0 over the last `decay` share of the run, in whole steps.

    Warm-up-stable-decay (Hu et al. 2024, arXiv 2404.06395; Hägele et al. 2024, arXiv 2405.18392).
    The trunk is what comes before the decay.
    """

    kind: ClassVar[str] = "stable_decay"
    decay: Annotated[float, Range(low=0, high=1, low_excluded=True), Argument(0.2)] = 0.2


@dataclass(frozen=True, kw_only=True)
class InverseSqrt(Checked):
    """The peak over sqrt(1 + floor(step / stride)): constant for `stride` steps at a time.

    Nakkiran et al. 2019 (arXiv 1912.02292, appendix B.1) train CNNs so, with a stride of 512 and a
    peak of 0.1. It does not depend on the length of a run.
    """

    kind: ClassVar[str] = "inverse_sqrt"
    stride: Count = 512


@dataclass(frozen=True, kw_only=True)
class WarmupInverseSqrt(Checked):
    """The peak after w steps of warm-up, and then the peak times sqrt((w + 1) / step).

    Steps count from 1. Vaswani et al. 2017 (arXiv 1706.03762, section 5.3) train the Transformer
    so. It does not depend on the length of a run.
    """

    kind: ClassVar[str] = "warmup_inverse_sqrt"


Schedule = Constant | Cosine | Linear | StableDecay | InverseSqrt | WarmupInverseSqrt


def steps_of_trunk(schedule: Schedule, steps: int) -> int:
    """Number of steps of the trunk of a run; 0 where the first step depends on the run's length."""
    if not isinstance(schedule, StableDecay):
        return 0
    return steps - max(1, round(schedule.decay * steps))


def share_of_peak(
    schedule: Schedule,
    step: Int[Array, ""],
    steps: Int[Array, ""],
    warmup: Int[Array, ""] | int | None = None,
    trunk: Int[Array, ""] | int = 0,
) -> Float[Array, ""]:
    """Learning rate of a step over its peak.

    Args:
        schedule: Schedule that follows the warm-up.
        step: Index of the step; the first is 0.
        steps: Number of steps until the schedule ends: of the run, or a cosine's horizon.
        warmup: Number of warm-up steps, fewer than `steps`; None for a schedule without them.
        trunk: Number of steps of the trunk, as `steps_of_trunk` gives it.

    Returns:
        The share, from 0 to 1; on the trunk the same bits whatever `steps`.
    """
    import jax.numpy as jnp

    before = 0 if warmup is None else warmup
    rising = (step + 1) / (before + 1)
    done = jnp.clip((step - before) / jnp.maximum(steps - before, 1), 0.0, 1.0)
    match schedule:
        case Constant():
            falling = jnp.ones_like(done)
        case Cosine(floor=floor):
            # The order of operations decides the last bits of runs, and stays as it was published.
            angle = jnp.pi * step / steps if warmup is None else jnp.pi * done
            falling = floor + (1 - floor) * 0.5 * (1 + jnp.cos(angle))
        case Linear(floor=floor):
            falling = 1 - (1 - floor) * done
        case InverseSqrt(stride=stride):
            falling = 1 / jnp.sqrt(1.0 + jnp.maximum(step - before, 0) // stride)
        case WarmupInverseSqrt():
            falling = jnp.sqrt((before + 1) / (step + 1))
        case StableDecay():
            falling = jnp.where(step < trunk, 1.0, (steps - step) / (steps - trunk))
    return jnp.minimum(rising, falling)
