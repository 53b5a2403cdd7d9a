"""Selective state-space model: many linear memories whose time constants depend on the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scaling.fields import Count
from scaling.models.parametrization import Parameter, Standard
from scaling.models.residual_stack import ResidualStack, bias, gain, matrix, matrix_out

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Params

KERNEL = 4
"""Tokens that the convolution before the state space sees."""

STEPS = (1e-3, 0.1)
"""Least and largest initial step sizes, even over their logarithm (Gu & Dao 2023, section 3.6)."""


@dataclass(frozen=True, kw_only=True)
class SelectiveSSM(ResidualStack):
    """Selective state spaces in pre-norm residual blocks (Mamba, Gu & Dao 2023, arXiv 2312.00752).

    Two projections of norm(x), each twice as wide, are u and a gate. u goes through a convolution
    over its last 4 tokens, channel by channel, and silu. Then each channel drives `states` linear
    memories,

        h_t = exp(-step_t a) h_(t-1) + step_t B_t u_t,   y_t = C_t h_t + D u_t,

    with step_t = softplus(u_t W + b), one a channel, and B_t, C_t products of u_t, one a state.
    What is added is (y silu(gate)) W_out. Initially a = 1, 2, ..., one a state. A full matrix makes
    the steps, which Mamba makes of a narrow one: at these widths neither is narrow.

    Attributes:
        states: Memories of each channel.
    """

    kind: ClassVar[str] = "selective_ssm"
    states: Count = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.parametrization, Standard):
            raise ValueError(
                f"selective_ssm.parametrization.kind = {self.parametrization.kind!r} has no rules "
                "for a state space whose steps depend on its input: use 'standard'"
            )

    def block_parameters(self) -> Mapping[str, Parameter]:
        """Columns of "input" are all of u, all gates; of "select" all steps, all of B, all of C."""
        inner = 2 * self.width
        return {
            "norm": gain(self.width),
            "input": matrix(self.width, 2 * inner, "state_space"),
            "window": Parameter((KERNEL, inner), "embedding", "norm", 1),
            "select": matrix(inner, inner + 2 * self.states, "state_space"),
            "step_bias": bias(inner),
            "log_decay": Parameter((inner, self.states), "bias", "norm", 1),
            "skip": gain(inner),
            "out": matrix_out(inner, self.width, "state_space"),
        }

    def block(self, x: Array, layer: Params, place: int) -> Array:
        """The residual stream after a state space."""
        import jax
        import jax.numpy as jnp

        from scaling.models.layers import normalise
        from scaling.models.recurrence import linear_recurrence
        from scaling.models.residual_stack_apply import causal_patches, product

        inner = 2 * self.width
        both = product(normalise(x, layer["norm"], centred=False), layer["input"])
        u, gate = jnp.split(both, 2, axis=-1)
        patches = causal_patches(u, KERNEL).reshape(*u.shape[:2], KERNEL, inner)
        window = (KERNEL**-0.5 * layer["window"]).astype(u.dtype)
        u = jax.nn.silu(jnp.sum(patches * window[None, None], axis=2))
        selected = product(u, layer["select"]).astype("float32")
        step, b, c = jnp.split(selected, [inner, inner + self.states], axis=-1)
        step = jax.nn.softplus(step + (layer["step_bias"] + _first_steps(inner))[None, None])
        rates = jnp.exp(layer["log_decay"] + np.log(np.arange(1, self.states + 1))[None])
        decays = jnp.exp(-step[..., None] * rates[None, None])
        wide = u.astype("float32")
        h = linear_recurrence(decays, (step * wide)[..., None] * b[:, :, None])
        y = jnp.sum(h * c[:, :, None], axis=-1) + layer["skip"][None, None] * wide
        y = y.astype(x.dtype) * jax.nn.silu(gate)
        return x + self.branch_multiplier * product(y, layer["out"])


def _first_steps(inner: int) -> np.ndarray:
    """What softplus turns into the initial step sizes, one a channel."""
    return np.log(np.expm1(np.geomspace(*STEPS, inner))).astype(np.float32)
