"""Best of n by a proxy, and the exact tilt: how far they go, and what they gain in gold reward.

| symbol | argument   | meaning                                               |
|--------|------------|-------------------------------------------------------|
| n      | `n`        | samples of which the proxy's best is kept             |
| M      | `rewards`  | samples of the start, ranked once for every n         |
| s      | `noise`    | standard deviation, or scale, of the proxy's error    |
| d      | `distance` | square root of the Kullback-Leibler divergence, nats^1/2 |

Gold rewards are standard normal where no samples are given.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from analysis.estimate import Floats
from analysis.guards import positive

_GRID = np.sinh(np.linspace(-14.0, 14.0, 2001))
"""Points of integration over the line: dense near 0, and out to 6e5."""


def best_of_n_kl(n: ArrayLike) -> Float[np.ndarray, "..."]:
    """Divergence of the best of n from one sample, `log n - (n - 1) / n`, in nats.

    It is exact for rewards without ties, and a bound otherwise.

    Reference: Gao, Schulman & Hilton, arXiv:2210.10760, section 3.
    """
    n = positive("n", n)
    return np.log(n) - (n - 1) / n


def best_of_n_kl_discrete(n: float, responses: int) -> float:
    """Divergence of the best of n among equally likely responses that differ in reward, in nats.

    It never exceeds log(responses), where the bound without ties grows on.
    """
    n = float(positive("n", n))
    chance = np.diff((np.arange(responses + 1) / positive("responses", responses)) ** n)
    return float(np.sum(special.xlogy(chance, chance * responses)))


def expected_maximum(n: ArrayLike) -> Float[np.ndarray, "..."]:
    """Expected largest of n standard normal numbers; n need not be whole."""
    n = positive("n", n)[..., None]
    x = np.linspace(0.0, 12.0, 4001)
    above = -np.expm1(n * special.log_ndtr(x))
    below = np.exp(n * special.log_ndtr(-x))
    return np.trapezoid(above - below, x, axis=-1)


def gaussian_proxy_gold(n: ArrayLike, noise: ArrayLike) -> Float[np.ndarray, "..."]:
    """Gold of the best of n by gold + s N(0, 1): `E max / (1 + s^2)^1/2`. It never turns over."""
    return expected_maximum(n) / np.hypot(1.0, positive("noise", noise))


def heavy_proxy_gold(n: ArrayLike, *, noise: float, freedom: float) -> Floats:
    """Gold of the best of n by gold + s t, an error with Student's tails: it rises, then falls.

    Samples far out in the proxy are far out by their error. The mean gold at each proxy value is
    integrated over the error, and then over the proxy's largest of n.

    Args:
        n: n, shape (m,).
        noise: s.
        freedom: Degrees of freedom of the error.

    Reference: Kwa, Thomas & Garriga-Alonso, arXiv:2407.14503 (catastrophic Goodhart).
    """
    from scipy import stats  # half a second, for this curve alone

    n = np.atleast_1d(positive("n", n))
    gold = np.linspace(-7.0, 7.0, 141)
    weights = stats.norm.pdf(gold)
    weights /= weights.sum()
    error = (_GRID[:, None] - gold) / float(positive("noise", noise))
    pdf = stats.t.pdf(error, freedom)
    density, moment = pdf @ weights, pdf @ (weights * gold)
    # Far out, light tails underflow: no sample is there, and its gold does not count.
    mean = np.divide(moment, density, out=np.zeros_like(moment), where=density > 0)
    largest = np.power(stats.t.cdf(error, freedom) @ weights, n[:, None])
    middle = (mean[1:] + mean[:-1]) / 2
    return np.asarray(np.diff(largest, axis=1) @ middle, np.float64)


class Tilt(NamedTuple):
    """The start reweighted by exp(strength * proxy): the optimum under a penalty on divergence."""

    kl: float
    proxy: float
    gold: float


def tilted(proxy: ArrayLike, gold: ArrayLike, strength: float) -> Tilt:
    """Divergence and mean rewards of the exponential tilt of M samples, exact for them.

    Beyond about log(M) - 1 nats one sample has nearly all the weight: cut there.

    Args:
        proxy: Proxy rewards, shape (M,).
        gold: Gold rewards, shape (M,).
        strength: Inverse of the penalty on divergence.
    """
    proxy, gold = np.asarray(proxy, np.float64), np.asarray(gold, np.float64)
    log_weights = special.log_softmax(strength * proxy)
    weights = np.exp(log_weights)
    kl = float(np.sum(weights * (log_weights + np.log(len(proxy)))))
    return Tilt(kl, float(weights @ proxy), float(weights @ gold))


def gaussian_policy_gold(
    distance: ArrayLike, *, gain: float, angle: float, penalty: float
) -> Float[np.ndarray, "..."]:
    """Gold of a policy N(theta, I) that follows a linear proxy, over d = |theta| / 2^1/2.

    Gold is a'x - c |x|^2, the proxy points off a by an angle; above the start, gold is
    `2^1/2 |a| cos(angle) d - 2 c d^2`: the form of best-of-n, with both coefficients known.

    Args:
        distance: d, the root of the divergence |theta|^2 / 2.
        gain: |a|.
        angle: Angle between gold and proxy, in radians.
        penalty: c.
    """
    d = np.asarray(distance, np.float64)
    return np.sqrt(2) * gain * np.cos(angle) * d - 2 * penalty * d**2


def reinforced_kl(
    steps: ArrayLike, *, rate: float, penalty: float, dimension: int, batch: int
) -> Float[np.ndarray, "..."]:
    """Mean divergence of a policy N(theta, I) from its start after steps of REINFORCE, in nats.

    Rewards are linear with slope b, |b| = 1, less the penalty times the log ratio, and the baseline
    of a response is the mean of the others. A gradient is then S w, with w = b - penalty theta and
    S the unbiased covariance of the batch's noise, so that the mean of w shrinks by
    q = 1 - rate penalty a step, and that of |w|^2 by q^2 + (rate penalty)^2 (d + 1) / (B - 1):

        E |theta|^2 / 2 = (1 - 2 q^s + rho^s) / (2 penalty^2)

    It ends at 1 / (2 penalty^2), the divergence of the tilt by exp(reward / penalty).

    Args:
        steps: s, steps of plain gradient ascent.
        rate: Learning rate.
        penalty: Reward that a nat costs.
        dimension: d.
        batch: B.
    """
    s = np.asarray(steps, np.float64)
    shrinking = rate * penalty
    q = 1 - shrinking
    rho = q**2 + shrinking**2 * (dimension + 1) / (batch - 1)
    return (1 - 2 * q**s + rho**s) / (2 * penalty**2)
