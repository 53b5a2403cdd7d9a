"""Risk of linear regression along training, by gradient flow and by gradient descent.

Training starts from zero and minimises `|y - X b|^2 / (2 n)`. Along an eigenvector of X'X/n with
eigenvalue x the share `f(x)` of the least-squares solution is reached: `1 - exp(-x t)` under
gradient flow after time t, `1 - (1 - eta x)^t` after t steps of size eta.

| symbol | argument         | range | meaning                                                 |
|--------|------------------|-------|---------------------------------------------------------|
| gamma  | `aspect_ratio`   | > 0   | p / n, features over samples                            |
| t      | `time`, `steps`  | >= 0  | time of the flow, or steps of descent                   |
| eta    | `step_size`      | > 0   | size of a step                                          |
| s2     | `noise_variance` | >= 0  | variance of the label noise, in squared label units     |
| r2     | `signal_power`   | >= 0  | squared norm of the true coefficients, likewise         |

Arguments broadcast against each other; anything out of range raises `ValueError`.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.guards import non_negative, positive, positive_column


def marchenko_pastur_mean(
    function: Callable[[Floats], Floats], aspect_ratio: float, *, tolerance: float = 1e-10
) -> float:
    """Mean of a function of the eigenvalues of X'X/n, n and p large, features isotropic.

    Integrates over the Marchenko-Pastur density `sqrt((b-x)(x-a)) / (2 pi gamma x)` between
    a, b = (1 -/+ sqrt(gamma))^2, and adds the atom of mass 1 - 1/gamma at zero where gamma > 1.
    With x = a + (b - a) sin^2(pi u / 2) the edges are smooth, and the midpoint rule converges
    faster than any power of the number of points.

    Args:
        function: Maps eigenvalues, shape (n,), to values, shape (n,); finite at 0 where gamma > 1.
        aspect_ratio: gamma = p / n, above 0.
        tolerance: Relative change at a doubling of the points that is taken for convergence.

    Returns:
        The mean.

    Raises:
        ValueError: `aspect_ratio` is out of range, or 2^20 points do not reach the tolerance.
    """
    gamma = float(positive("aspect_ratio", aspect_ratio))
    low, high = (1 - np.sqrt(gamma)) ** 2, (1 + np.sqrt(gamma)) ** 2
    atom = (1 - 1 / gamma) * float(function(np.zeros(1))[0]) if gamma > 1 else 0.0
    previous = np.inf
    for n_points in 2 ** np.arange(6, 21):
        sine2 = np.sin(np.pi * (np.arange(n_points) + 0.5) / (2 * n_points)) ** 2
        x = low + (high - low) * sine2
        density = (high - low) ** 2 * sine2 * (1 - sine2) / (2 * gamma * x)
        mean = float(np.mean(density * function(x)))
        if abs(mean - previous) <= tolerance * abs(mean):
            return mean + atom
        previous = mean
    raise ValueError(
        f"the mean at aspect_ratio = {gamma:g} has not settled to {tolerance:g} with 2^20 points: "
        "give a smoother function (a shorter time), or a larger tolerance."
    )


def gradient_flow_excess_risk(
    time: ArrayLike, aspect_ratio: ArrayLike, *, noise_variance: ArrayLike, signal_power: ArrayLike
) -> Float[np.ndarray, "..."]:
    """Asymptotic **excess** risk of gradient flow on isotropic features, after time t.

        excess(t) = integral MP(x) [ r2 exp(-2 x t) + s2 gamma (1 - exp(-x t))^2 / x ] dx

    plus `r2 (1 - 1/gamma)` where gamma > 1. It begins at r2 and ends at the ridgeless risk, which
    is `inf` at gamma = 1: there the risk grows as the square root of t, so a flow that is stopped
    early has no peak.

    Raises:
        ValueError: An argument out of range.

    Reference: Advani & Saxe, arXiv:1710.03667, the generalisation error of a linear student over
    time, in the units of this module.
    """
    t = non_negative("time", time)
    return _along_training(
        lambda x, point: -np.expm1(-x * point), t, aspect_ratio, noise_variance, signal_power
    )


def gradient_descent_excess_risk(
    steps: ArrayLike,
    aspect_ratio: ArrayLike,
    *,
    step_size: float,
    noise_variance: ArrayLike,
    signal_power: ArrayLike,
) -> Float[np.ndarray, "..."]:
    """Asymptotic **excess** risk of full-batch gradient descent on isotropic features.

    As `gradient_flow_excess_risk` with `(1 - eta x)^t` for `exp(-x t)`: descent of small steps is
    the flow at time `eta t`.

    Raises:
        ValueError: An argument out of range, or steps so large that descent diverges:
            `eta >= 2 / (1 + sqrt(gamma))^2`.
    """
    eta = float(positive("step_size", step_size))
    gamma = positive("aspect_ratio", aspect_ratio)
    largest = 2 / (1 + np.sqrt(gamma.max())) ** 2
    if eta >= largest:
        raise ValueError(
            f"step_size = {eta:g}, but at aspect_ratio = {gamma.max():g} descent diverges from "
            f"{largest:.4g} on: give a smaller step."
        )
    return _along_training(
        lambda x, point: 1 - (1 - eta * x) ** point,
        non_negative("steps", steps),
        gamma,
        noise_variance,
        signal_power,
    )


def many_scales_test_risk(
    steps: ArrayLike,
    *,
    step_size: float,
    scales: ArrayLike,
    target: ArrayLike,
    n_samples: float,
    noise_variance: float,
) -> Float[np.ndarray, "..."]:
    """**Test** risk of gradient descent on features of unlike scales: double descent over epochs.

        test(t) = s2 + sum_i [ s_i^2 th_i^2 a_i^(2t) + (s2 / n) (1 - a_i^t)^2 ]
        a_i     = 1 - eta s_i^2

    The empirical covariance is replaced by its mean, so n should be well above the number of
    features. Each scale has a U-shaped curve of its own, whose minimum comes after about
    `1 / (eta s_i^2)` steps; two scales far apart give two minima.

    Args:
        steps: t, steps of descent, at least 0, of any shape.
        step_size: eta, above 0.
        scales: s_i, standard deviations of the features, shape (p,).
        target: th_i, true coefficients, shape (p,).
        n_samples: n, training examples.
        noise_variance: s2, in squared label units.

    Returns:
        The test risk, of the shape of `steps`.

    Raises:
        ValueError: An argument out of range, or steps so large that descent diverges.

    Reference: Heckel & Yilmaz, arXiv:2007.10099, early stopping in linear least squares.
    """
    t = non_negative("steps", steps)[..., np.newaxis]
    s = positive_column("scales", scales)
    theta = np.asarray(target, dtype=np.float64)
    if theta.shape != s.shape:
        raise ValueError(f"target has shape {theta.shape} and scales {s.shape}: give as many.")
    n, s2 = positive("n_samples", n_samples), non_negative("noise_variance", noise_variance)
    shrinking = 1 - float(positive("step_size", step_size)) * s**2
    if shrinking.min() <= -1:
        raise ValueError(
            f"step_size = {step_size:g}, but for a scale of {s.max():g} descent diverges from "
            f"{2 / s.max() ** 2:.4g} on: give a smaller step."
        )
    # expm1 keeps what little a slow feature has learnt; a step beyond the minimum has no log.
    left = np.where(shrinking > 0, np.exp(t * np.log(np.abs(shrinking))), shrinking**t)
    learnt = np.where(shrinking > 0, -np.expm1(t * np.log(np.abs(shrinking))), 1 - left)
    return s2 + np.sum((s * theta * left) ** 2 + s2 / n * learnt**2, axis=-1)


def _along_training(
    reached: Callable[[Floats, float], Floats],
    time: Floats,
    aspect_ratio: ArrayLike,
    noise_variance: ArrayLike,
    signal_power: ArrayLike,
) -> Float[np.ndarray, "..."]:
    """Excess risk where `reached(x, time)` is the share of the least-squares solution reached."""
    t, gamma, s2, r2 = np.broadcast_arrays(
        time,
        positive("aspect_ratio", aspect_ratio),
        non_negative("noise_variance", noise_variance),
        non_negative("signal_power", signal_power),
    )

    def risk(t: float, gamma: float, s2: float, r2: float) -> float:
        def per_mode(x: Floats) -> Floats:
            f = reached(x, t)
            noise = np.divide(f**2, x, out=np.zeros_like(x), where=x > 0)
            return r2 * (1 - f) ** 2 + s2 * gamma * noise

        return marchenko_pastur_mean(per_mode, gamma)

    points = zip(t.flat, gamma.flat, s2.flat, r2.flat, strict=True)
    return np.array([risk(*map(float, point)) for point in points]).reshape(t.shape)
