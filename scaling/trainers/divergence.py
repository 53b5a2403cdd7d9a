"""Watches a loss on the device: where it stopped being finite, and how often it jumped."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Watch(NamedTuple):
    """Whether the losses of a run have been finite so far.

    Attributes:
        diverged_at: First step whose loss was not finite; -1 while there is none.
        last_finite_loss: Loss of the last step before that; NaN before the first.
    """

    diverged_at: Int[Array, ""]
    last_finite_loss: Float[Array, ""]

    def after(self, step: Int[Array, ""], loss: Float[Array, ""]) -> Watch:
        """The watch after a step with this loss."""
        good = jnp.isfinite(loss)
        first_bad = jnp.where(good | (self.diverged_at >= 0), self.diverged_at, step)
        last_good = jnp.where(good & (first_bad < 0), loss, self.last_finite_loss)
        return Watch(first_bad, last_good)


def unharmed() -> Watch:
    """The watch before the first step."""
    return Watch(jnp.int32(-1), jnp.float32(jnp.nan))


SPIKE_DEVIATIONS = 7.0
SPIKE_MEMORY = 128


class Spikes(NamedTuple):
    """Number of losses above their recent average by more than 7 standard deviations.

    The recent average is over the last eighth of the steps so far, at most 128. Before it
    enters the average, each loss is compared with m and v^1/2, then m += w d and
    v = (1 - w) (v + w d^2) with d = loss - m and w = max(8 / (step + 8), 1 / 128). The first 128
    steps are not judged. No more than 7 deviations of a spike enter the average: one does not hide
    the next, and a jump that lasts is counted until the average has followed it.

    After the spike score of OLMo 2 (2025, arXiv 2501.00656, section 3), which counts values 7
    deviations from the average of the last 1000.
    """

    mean: Float[Array, ""]
    variance: Float[Array, ""]
    number: Int[Array, ""]

    def after(self, step: Int[Array, ""], loss: Float[Array, ""]) -> Spikes:
        """The counts after step `step`, the first of which is 0, with this loss."""
        above, most = loss - self.mean, SPIKE_DEVIATIONS * jnp.sqrt(self.variance)
        spike = (step >= SPIKE_MEMORY) & (above > most)
        above = jnp.where(spike, most, above)
        weight = jnp.maximum(8 / (step + 8), 1 / SPIKE_MEMORY)
        variance = (1 - weight) * (self.variance + weight * jnp.square(above))
        return Spikes(self.mean + weight * above, variance, self.number + spike)


def no_spikes() -> Spikes:
    """The counts before the first step."""
    return Spikes(jnp.float32(0), jnp.float32(0), jnp.int32(0))


def diverged_columns(steps: int, watch: Watch, measured: list[float]) -> dict[str, Any] | None:
    """Columns of a RunRecord of a run that diverged; None for one that did not.

    It diverged if a loss on the way, or one `measured` after so many steps, is not finite.
    """
    on_the_way = int(watch.diverged_at)
    if on_the_way < 0 and all(map(math.isfinite, measured)):
        return None
    return {
        "status": "diverged",
        "steps": steps,
        "reason": "non_finite_loss",
        "diverged_at_step": steps if on_the_way < 0 else on_the_way,
        "last_finite_train_loss": float(watch.last_finite_loss),
    }
