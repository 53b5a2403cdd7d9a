"""Loss of a model that learns tasks one by one, the most frequent first.

| symbol | meaning | unit |
|---|---|---|
| x | steps, or examples seen | 1 |
| N | parameters | 1 |
| A | scale of the loss | that of the loss |
| alpha | decay of the tasks' frequencies p_k ~ k^-(1 + alpha) | 1 |
| x0, N0 | data, or parameters, that the first task takes | that of x |
| tasks | number of tasks, K | 1 |
| n | tasks learnt | 1 |

The loss is the frequency of what is not learnt, L = A ((n + 1/2)^-alpha - (K + 1/2)^-alpha): the
sum over k > n by the midpoint rule, within half a per cent from n = 2 on. A task is learnt after so
many of its own examples, so n = (x / x0)^(1 / (1 + alpha)); or each takes N0 parameters, so
n = N / N0. Where the number of tasks is known, hold it: `fixed={"tasks": 64}`. Of yes-or-no tasks
A is log 2 p_1 / alpha; where it is fitted and differs, x0 is not what the first task takes. As K
grows the loss becomes a power law with exponent alpha / (1 + alpha) in x, or alpha in N.
"""

from dataclasses import dataclass

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns

_START_EXPONENTS = (0.15, 0.4, 1.0)
_START_LEARNT = (0.3, 2.0, 15.0, 100.0)  # tasks learnt at the mean row
_START_TASKS = (1.5, 10.0, 1000.0)  # number of tasks, in those learnt at the last row
_NOTHING = 1e-300  # stands for a loss that the curve would have at 0 or below


@dataclass(frozen=True)
class _Quanta:
    """The functions of the law; theta is log A, log alpha, log x0 and log K."""

    by_frequency: bool
    """Whether a task's own examples teach it, or it takes its own parameters."""

    def _power(self, alpha: ArrayLike) -> ArrayLike:
        """Exponent of x in the number of tasks learnt."""
        return 1.0 / (1.0 + alpha) if self.by_frequency else 1.0 + 0.0 * alpha

    def _parts(self, theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ...]:
        """alpha, n, K, and both terms of the loss over A."""
        xp = theta.__array_namespace__()
        alpha, tasks = xp.exp(theta[..., 1, None]), xp.exp(theta[..., 3, None])
        learnt = xp.exp(self._power(alpha) * (log_x[:, 0] - theta[..., 2, None]))
        near = xp.exp(-alpha * xp.log(learnt + 0.5))
        return alpha, learnt, tasks, near, xp.exp(-alpha * xp.log(tasks + 0.5))

    def log_predict(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp = theta.__array_namespace__()
        *_, near, far = self._parts(theta, log_x)
        left = near - far
        return theta[..., 0, None] + xp.log(
            xp.where(left > _NOTHING, left, xp.full_like(left, _NOTHING))
        )

    def jacobian(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp = theta.__array_namespace__()
        alpha, learnt, tasks, near, far = self._parts(theta, log_x)
        power, log_ratio = self._power(alpha), log_x[:, 0] - theta[..., 2, None]
        left = near - far
        some = left > _NOTHING
        inverse = xp.where(some, 1.0 / xp.where(some, left, xp.ones_like(left)), 0.0 * left)
        by_log_learnt = -alpha * near * learnt / (learnt + 0.5)
        by_power = -power * power * log_ratio if self.by_frequency else 0.0 * log_ratio
        by_alpha = -near * xp.log(learnt + 0.5) + far * xp.log(tasks + 0.5)
        slopes = [
            alpha * inverse * (by_alpha + by_log_learnt * by_power),
            -inverse * by_log_learnt * power,
            inverse * alpha * far * tasks / (tasks + 0.5),
        ]
        return from_columns([xp.ones_like(left), *slopes])

    def starts(self, log_x: Floats, log_y: Floats) -> Floats:
        grids = np.meshgrid(_START_EXPONENTS, _START_LEARNT, _START_TASKS)
        alpha, learnt, more = (grid.ravel() for grid in grids)
        power = self._power(alpha)
        log_x0 = -np.log(learnt) / power
        log_tasks = power * (log_x.max() - log_x0) + np.log(more)
        theta = np.stack([np.zeros_like(alpha), np.log(alpha), log_x0, log_tasks], axis=-1)
        theta[:, 0] = np.mean(log_y - self.log_predict(theta, log_x), axis=-1)
        return theta


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    return theta + np.array([log_y_scale, 0.0, log_x_scale[0], 0.0])


def _quanta(name: str, x: str, by_frequency: bool) -> Law:
    functions, power = _Quanta(by_frequency), "^(1 / (1 + alpha))" if by_frequency else ""
    return Law(
        name=name,
        formula=f"loss = A ((({x} / {x}0){power} + 1/2)^-alpha - (tasks + 1/2)^-alpha)",
        inputs=(x,),
        params=("A", "alpha", f"{x}0", "tasks"),
        logs=frozenset({"A", "alpha", f"{x}0", "tasks"}),
        lower=(-np.inf, -np.inf, -np.inf, 0.0),
        upper=(np.inf, np.log(10.0), np.inf, np.inf),
        log_predict=functions.log_predict,
        jacobian=functions.jacobian,
        starts=functions.starts,
        rescale=_rescale,
        linear=("A",),
    )


QUANTA = _quanta("quanta", "x", by_frequency=True)
"""A task is learnt after so many of its own examples: loss over steps or examples.

Michaud, Liu, Girit & Tegmark 2023, arXiv 2303.13506, with the sum over finitely many tasks.
"""

QUANTA_N = _quanta("quanta_n", "N", by_frequency=False)
"""A task takes so many parameters: loss over size. Michaud et al. 2023, arXiv 2303.13506."""
