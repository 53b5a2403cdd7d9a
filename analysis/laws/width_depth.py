"""Laws of a model's shape: loss from width, depth and tokens.

| symbol | meaning | unit |
|---|---|---|
| width | width of the residual stream, w | 1 |
| depth | layers, h | 1 |
| D | training tokens | 1 |
| N | parameters | 1 |
| E | irreducible loss | that of L |
| A, B, G, P | reducible loss at width, depth, D, N = 1 | that of L, width^alpha, ... |
| alpha, beta, gamma, delta | exponents | none |

Where all models have one aspect ratio, width and depth rise together and their terms are not
identifiable; likewise the term of N where N is computed from both. The condition number of a fit
shows it.
"""

from itertools import product

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law
from analysis.laws.power_terms import power_term_starts

_START_EXPONENTS = (0.15, 0.4, 1.0)


def _sum_of_powers(name: str, terms: tuple[tuple[str, str, str], ...]) -> Law:
    """L = E + sum_k A_k x_k^-alpha_k for (input, coefficient, exponent) of each term."""
    n_terms = len(terms)
    inputs, coefficients, exponents = (tuple(names) for names in zip(*terms, strict=True))

    def powers(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        """The terms, shape `(..., n_points, n_terms)`."""
        xp = theta.__array_namespace__()
        log_a, alpha = theta[..., None, 1 : 1 + n_terms], theta[..., None, 1 + n_terms :]
        return xp.exp(log_a - alpha * log_x)

    def log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp = theta.__array_namespace__()
        return xp.log(theta[..., 0, None] + xp.sum(powers(theta, log_x), axis=-1))

    def jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp = theta.__array_namespace__()
        each = powers(theta, log_x)
        inverse = 1.0 / (theta[..., 0, None, None] + xp.sum(each, axis=-1, keepdims=True))
        shares = each * inverse
        return xp.concat([inverse, shares, -log_x * shares], axis=-1)

    def starts(log_x: Floats, log_y: Floats) -> Floats:
        alphas = np.array(list(product(_START_EXPONENTS, repeat=n_terms)))
        floor, *log_a = power_term_starts(alphas, log_x, log_y)
        return np.concatenate([np.stack([floor, *log_a], axis=-1), alphas], axis=-1)

    def rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        floor, log_a, alpha = np.split(theta, [1, 1 + n_terms], axis=-1)
        moved = log_a + log_y_scale + alpha * log_x_scale
        return np.concatenate([floor * np.exp(log_y_scale), moved, alpha], axis=-1)

    return Law(
        name=name,
        formula=f"L = E + {' + '.join(f'{a} {x}^-{e}' for x, a, e in terms)}",
        inputs=inputs,
        params=("E", *coefficients, *exponents),
        logs=frozenset(coefficients),
        lower=(0.0, *[-np.inf] * n_terms, *[0.0] * n_terms),
        upper=(np.inf, *[np.inf] * n_terms, *[10.0] * n_terms),
        log_predict=log_predict,
        jacobian=jacobian,
        starts=starts,
        rescale=rescale,
        linear=("E", *coefficients),
    )


_SHAPE = (("width", "A", "alpha"), ("depth", "B", "beta"), ("D", "G", "gamma"))

WIDTH_DEPTH = _sum_of_powers("width_depth", _SHAPE)
"""L = E + A width^-alpha + B depth^-beta + G D^-gamma, with E >= 0 and exponents from 0 to 10.

McLeish et al. 2025 (Gemstones), arXiv 2502.06857.
"""

WIDTH_DEPTH_N = _sum_of_powers("width_depth_n", (*_SHAPE, ("N", "P", "delta")))
"""The same with a term P N^-delta in the number of parameters."""
