"""Gold reward of a policy that is optimised against a proxy, over its distance from the start.

| symbol | meaning | unit |
|---|---|---|
| sqrt_kl | square root of KL(policy || start), d | nats^1/2 |
| reward | mean gold reward, R | that of the reward |
| base | gold reward of the start | that of the reward |
| alpha | gain at small d | that of the reward / nats^1/2 |
| beta | what the proxy's errors take off | reward / nats, or reward / nats^1/2 |

**A reward may be negative**, and the noise of its mean is additive. These laws are therefore laws
of y = exp(reward), which is positive: fit them to `np.exp(reward)`. The default residual, of log y,
is that of the reward itself, with nothing approximated. Rewards are known up to a constant, which
is `base`; where rewards are centred on the start, hold it: `fixed={"base": 0.0}`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law

_START_FACTORS = (1.0, 0.5, 2.0)


def _quadratic_columns(log_x: ArrayLike) -> tuple[ArrayLike, ...]:
    xp = log_x.__array_namespace__()
    d = xp.exp(log_x[:, 0])
    return xp.ones_like(d), d, -d * d


def _logarithmic_columns(log_x: ArrayLike) -> tuple[ArrayLike, ...]:
    xp = log_x.__array_namespace__()
    d = xp.exp(log_x[:, 0])
    return xp.ones_like(d), d, -d * log_x[:, 0]


def _rescale_quadratic(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    shrink = np.exp(-log_x_scale[0])
    return theta * np.array([1.0, shrink, shrink**2]) + np.array([log_y_scale, 0.0, 0.0])


def _rescale_logarithmic(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    base, alpha, beta = np.moveaxis(np.asarray(theta, np.float64), -1, 0)
    shrink = np.exp(-log_x_scale[0])
    moved = base + log_y_scale, (alpha + beta * log_x_scale[0]) * shrink, beta * shrink
    return np.stack(moved, axis=-1)


def _peak_of_quadratic(params: Floats) -> dict[str, Floats]:
    """Where the reward is largest; NaN where it has no peak beyond the start."""
    base, alpha, beta = np.moveaxis(params, -1, 0)
    beta = np.where((alpha > 0) & (beta > 0), beta, np.nan)
    return {"d_peak": alpha / (2 * beta), "reward_peak": base + alpha**2 / (4 * beta)}


def _peak_of_logarithmic(params: Floats) -> dict[str, Floats]:
    """Where the reward is largest; NaN where it has no peak: a beta below 0 makes it a minimum."""
    base, alpha, beta = np.moveaxis(params, -1, 0)
    beta = np.where(beta > 0, beta, np.nan)
    with np.errstate(over="ignore"):
        at = np.exp(alpha / beta - 1)
        return {"d_peak": at, "reward_peak": base + beta * at}


@dataclass(frozen=True)
class _Linear:
    """Functions of a law whose reward is linear in base, alpha and beta."""

    columns: Callable[[ArrayLike], tuple[ArrayLike, ...]]

    def log_predict(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        one, first, second = self.columns(log_x)
        base, alpha, beta = (theta[..., i, None] for i in range(3))
        return base * one + alpha * first + beta * second

    def jacobian(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp = theta.__array_namespace__()
        slopes = xp.stack(list(self.columns(log_x)), axis=-1)
        return slopes + xp.zeros_like(theta)[..., None, :]

    def starts(self, log_x: Floats, log_y: Floats) -> Floats:
        basis = np.stack(self.columns(log_x), axis=-1)
        found = np.linalg.lstsq(basis, log_y, rcond=None)[0]
        return np.multiply.outer(np.array(_START_FACTORS), found)


def _reward_law(
    name: str,
    formula: str,
    columns: Callable[[ArrayLike], tuple[ArrayLike, ...]],
    rescale: Callable[[Floats, Floats, float], Floats],
    derived: Callable[[Floats], dict[str, Floats]],
) -> Law:
    functions = _Linear(columns)
    return Law(
        name=name,
        formula=formula,
        inputs=("sqrt_kl",),
        params=("base", "alpha", "beta"),
        logs=frozenset(),
        lower=(-np.inf,) * 3,
        upper=(np.inf,) * 3,
        log_predict=functions.log_predict,
        jacobian=functions.jacobian,
        starts=functions.starts,
        rescale=rescale,
        derived=derived,
        output="exp_reward",
    )


BEST_OF_N = _reward_law(
    "best_of_n",
    "reward = base + sqrt_kl (alpha - beta sqrt_kl)",
    _quadratic_columns,
    _rescale_quadratic,
    _peak_of_quadratic,
)
"""Reward of the best of n samples by a proxy; it peaks at d = alpha / (2 beta).

Gao, Schulman & Hilton 2022, arXiv 2210.10760, section 3.
"""

RL_REWARD = _reward_law(
    "rl_reward",
    "reward = base + sqrt_kl (alpha - beta log sqrt_kl)",
    _logarithmic_columns,
    _rescale_logarithmic,
    _peak_of_logarithmic,
)
"""Reward of a policy trained by reinforcement learning; it peaks at d = exp(alpha / beta - 1).

Gao, Schulman & Hilton 2022, arXiv 2210.10760, section 3. The slope is infinite at d = 0, so fit
rows with d above about 0.3.
"""
