"""Regression inside a prompt: what the best answer after k examples of a linear task costs.

| symbol  | argument         | meaning                                       |
|---------|------------------|-----------------------------------------------|
| D       | `dimension`      | size of inputs x and of the task w            |
| k       | `examples`       | examples y = w x + noise before the answer    |
| sigma^2 | `noise_variance` | variance of the noise                         |
| M       |                  | tasks that a discrete prior is uniform over   |

Inputs are standard normal. Where w is standard normal too, the posterior mean is ridge regression
of ridge sigma^2; where it is one of M tasks, it is their mean weighted by likelihood. All errors
are expected squared errors of the next target, its own noise included.

Reference: Raventos et al. 2023, arXiv:2306.15063, equations 2 and 3.
"""

import numpy as np
from jaxtyping import Float
from scipy import special

from analysis.estimate import Floats
from analysis.theory.linear_regression import ridgeless_excess_risk_exact

MOST_DIMENSIONS = 16
"""Largest D of the exact error of ridge regression."""

_NODES = 120
"""Points of a quadrature, more than enough for full precision."""


def ridge_answers(
    x: Float[np.ndarray, "prompts examples dimension"],
    y: Float[np.ndarray, "prompts examples"],
    noise_variance: float,
) -> Float[np.ndarray, "prompts examples"]:
    """Answer of ridge regression to each x of a prompt, from the examples before it.

    x (X'X + sigma^2 I)^-1 X'y, the posterior mean of a standard normal task.
    """
    squares = _before(x[..., :, None] * x[..., None, :])
    products = _before(x * y[..., None])
    ridge = noise_variance * np.eye(x.shape[-1])
    return np.sum(x * np.linalg.solve(squares + ridge, products[..., None])[..., 0], axis=-1)


def least_squares_answers(
    x: Float[np.ndarray, "prompts examples dimension"], y: Float[np.ndarray, "prompts examples"]
) -> Float[np.ndarray, "prompts examples"]:
    """Answer of the shortest least-squares solution to each x, from the examples before it."""
    answers = np.zeros_like(y)
    for k in range(1, y.shape[1]):
        tasks = np.linalg.pinv(x[:, :k]) @ y[:, :k, None]
        answers[:, k] = np.sum(x[:, k] * tasks[..., 0], axis=-1)
    return answers


def discrete_answers(
    x: Float[np.ndarray, "prompts examples dimension"],
    y: Float[np.ndarray, "prompts examples"],
    tasks: Float[np.ndarray, "tasks dimension"],
    noise_variance: float,
) -> Float[np.ndarray, "prompts examples"]:
    """Posterior mean of each answer where the task is one of M, each as likely.

    sum_i softmax_i(-sum (y - w_i x)^2 / (2 sigma^2)) w_i x, from the examples before it.
    """
    guesses = x @ tasks.T
    log_chance = -_before(np.square(y[..., None] - guesses)) / (2 * noise_variance)
    return np.sum(special.softmax(log_chance, axis=-1) * guesses, axis=-1)


def _before(terms: Floats) -> Floats:
    """Sums over the examples before each, which are the second axis."""
    return np.cumsum(terms, axis=1) - terms


def least_squares_in_context(examples: int, *, dimension: int, noise_variance: float) -> float:
    """Exact expected error of least squares after k examples; infinite for k within 1 of D.

    That is double descent inside a prompt. Without examples the answer is 0.
    """
    if examples == 0:
        return noise_variance + dimension
    excess = ridgeless_excess_risk_exact(
        examples, dimension, noise_variance=noise_variance, signal_power=dimension
    )
    return noise_variance + float(excess)


def ridge_in_context(examples: int, *, dimension: int, noise_variance: float) -> float:
    """Exact expected error of ridge regression after k examples, the least that any answer has.

    It is sigma^2 + E tr (I + X'X / sigma^2)^-1 over Gaussian X of k rows, which needs the mean of
    sum g(x_i), g = sigma^2 / (sigma^2 + x), over the n = min(k, D) eigenvalues of X'X that are not
    0. Their density is prod w(x_i) prod |x_i - x_j| with w(x) = x^((|k - D| - 1) / 2) e^(-x / 2),
    and the mean of a product over them a Pfaffian (de Bruijn 1955, "On some multiple integrals
    involving determinants"). Its derivative gives 1/2 tr A^-1 B for the mean of the sum, with

        A_ij = int int sgn(y - x) p_i(x) p_j(y) w(x) w(y) dx dy

    for any polynomials p_i of degree i < n, B the same with g(x) + g(y) in the integral, and for an
    odd n a border of int p_i w.

    Args:
        examples: k, at least 0.
        dimension: D, up to `MOST_DIMENSIONS`.
        noise_variance: sigma^2, above 0.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 1 <= dimension <= MOST_DIMENSIONS or examples < 0 or noise_variance <= 0:
        raise ValueError(
            f"dimension = {dimension}, examples = {examples}, noise_variance = {noise_variance}: "
            f"give 1 to {MOST_DIMENSIONS} dimensions, 0 or more examples and a variance above 0; "
            "beyond, simulate ridge_answers"
        )
    n, gap = min(examples, dimension), abs(examples - dimension)
    unseen = dimension - n
    if n == 0:
        return noise_variance + unseen
    # In t = x^1/2 all is smooth; beyond the end the density is below 1e-16.
    end = np.sqrt(examples) + np.sqrt(dimension) + 9
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2
    t = end * nodes
    below = t[:, None] * nodes  # for each t, nodes from 0 to it

    g, g_below = (noise_variance / (noise_variance + each**2) for each in (t, below))
    p, p_below = _weighted(n, gap, t) * end * weights, _weighted(n, gap, below)
    p_below *= t[:, None] * weights

    def skew(left_below: Floats, left: Floats, right: Floats) -> Floats:
        """Integrals with sgn(y - x): twice what lies below y, less all."""
        return (2 * left_below.sum(axis=-1) - left.sum(axis=-1, keepdims=True)) @ right.T

    a = skew(p_below, p, p)
    b = skew(g_below * p_below, g * p, p) + skew(p_below, p, g * p)
    if n % 2:
        a, b = (_bordered(m, v.sum(axis=-1)) for m, v in ((a, p), (b, g * p)))
    return float(noise_variance + unseen + np.trace(np.linalg.solve(a, b)) / 2)


def _weighted(n: int, gap: int, t: Floats) -> Floats:
    """p_i(x) w(x) dx / dt at x = t^2 on a new first axis, with Laguerre's polynomials, scaled."""
    degree = np.arange(n).reshape(-1, *(1,) * t.ndim)
    order = max(gap - 1, 0)
    log_norm = (special.gammaln(degree + order + 1) - special.gammaln(degree + 1)) / 2
    weight = np.exp(gap * np.log(t) - t**2 / 2 - log_norm)
    return special.eval_genlaguerre(degree, order, t**2) * weight


def _bordered(matrix: Floats, border: Floats) -> Floats:
    """A skew matrix with one more row and column."""
    return np.block([[matrix, border[:, None]], [-border[None], np.zeros((1, 1))]])


def two_tasks_in_context(examples: int, *, distance: float, noise_variance: float) -> float:
    """Exact expected error of the posterior mean over two tasks, `distance` apart, after k.

    Given s = |X (w_1 - w_2)|^2 / sigma^2, which is chi-squared times distance^2 / sigma^2, the log
    odds of the right task are normal with mean s / 2 and variance s. The excess is distance^2 times
    the mean square of the chance that the other one keeps.
    """
    z, of_z = special.roots_hermitenorm(80)
    odds = np.zeros((1, 1))
    of_s = np.ones(1)
    if examples:
        nodes, of_s = special.roots_genlaguerre(80, examples / 2 - 1)
        s = 2 * nodes[:, None] * distance**2 / noise_variance
        odds, of_s = s / 2 + np.sqrt(s) * z, of_s / of_s.sum()
    squares = np.broadcast_to(special.expit(-odds) ** 2, (len(of_s), len(z)))
    return noise_variance + distance**2 * float(of_s @ squares @ (of_z / of_z.sum()))
