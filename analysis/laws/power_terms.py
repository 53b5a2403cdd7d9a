"""What laws made of power terms A x^-alpha share: their sum, a joined term, linear solves.

- `sum_of_powers`: laws E + sum_k A_k x_k^-alpha_k.
- `joined`: two terms joined by an exponent, S = ((A N^-alpha)^(1/g) + (B D^-beta)^(1/g))^g. At
  g = 1 they add; towards g = 0 the larger alone counts; above 1 they count for more than their sum
  where both are large. Where one term is large S is that term, whatever g, so A and B keep their
  meaning.
- `coefficients`, `nonnegative_coefficients`: least squares with few coefficients, for many problems
  at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add
from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law, from_columns, nothing_derived
from analysis.laws.softplus import log_sum

_LEAST_DAMPING = 1e-14  # keeps the normal equations of dependent columns solvable
_LEAST_TERM = 1e-3  # of the mean y: a term that a start leaves out keeps a foothold


def sum_of_powers(
    name: str,
    formula: str,
    terms: Mapping[str, Mapping[str, str]],
    exponents: Mapping[str, Sequence[float]],
    derived: Callable[[Floats], dict[str, Floats]] = nothing_derived,
) -> Law:
    """Returns a law E + sum_k A_k prod_i x_i^(+-exponent), with E >= 0 and exponents from 0 to 10.

    Args:
        name: Name of the law.
        formula: The equation.
        terms: For each coefficient, the inputs of its term with their exponents: "-alpha" for
            x^-alpha, "alpha" for x^alpha.
        exponents: Values of each exponent that fits start from, in every combination.
        derived: As in `Law`.
    """
    inputs = tuple(dict.fromkeys(x for term in terms.values() for x in term))
    columns = {exponent: 1 + len(terms) + at for at, exponent in enumerate(exponents)}

    def factor(x: str, power: str) -> _Factor:
        exponent = power.removeprefix("-")
        return _Factor(columns[exponent], inputs.index(x), 1.0 if power == exponent else -1.0)

    grid = np.stack([values.ravel() for values in np.meshgrid(*exponents.values())], axis=-1)
    powers = _SumOfPowers(
        tuple(tuple(factor(*each) for each in term.items()) for term in terms.values()), grid
    )
    return Law(
        name=name,
        formula=formula,
        inputs=inputs,
        params=("E", *terms, *exponents),
        logs=frozenset(terms),
        lower=(0.0, *[-np.inf] * len(terms), *[0.0] * len(exponents)),
        # Above 10 a term is a step at its smallest input, whatever the exponent.
        upper=(np.inf, *[np.inf] * len(terms), *[10.0] * len(exponents)),
        log_predict=powers.log_predict,
        jacobian=powers.jacobian,
        starts=powers.starts,
        rescale=powers.rescale,
        linear=("E", *terms),
        derived=derived,
    )


class _Factor(NamedTuple):
    """x^(sign exponent), by the columns of the exponent in theta and of x in the inputs."""

    exponent: int
    input: int
    sign: float


@dataclass(frozen=True, eq=False)
class _SumOfPowers:
    """The functions of a sum of powers; theta is E, the log A_k and the exponents."""

    terms: tuple[tuple[_Factor, ...], ...]
    start_exponents: Floats

    def summands(self, theta: ArrayLike, log_x: ArrayLike) -> list[ArrayLike]:
        """E and the terms, shape `(..., n_points)`; that of E ends in 1."""
        xp, found = theta.__array_namespace__(), [theta[..., 0, None]]
        for column, factors in enumerate(self.terms, 1):
            # The logarithm of a term is formed first, so that no factor can overflow.
            log_term = theta[..., column, None]
            for exponent, x, sign in factors:
                log_term = log_term + theta[..., exponent, None] * (sign * log_x[:, x])
            found.append(xp.exp(log_term))
        return found

    def log_predict(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        return theta.__array_namespace__().log(reduce(add, self.summands(theta, log_x)))

    def jacobian(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        summands = self.summands(theta, log_x)
        inverse = 1.0 / reduce(add, summands)
        shares = [term * inverse for term in summands[1:]]
        slopes: dict[int, ArrayLike] = {}
        for share, factors in zip(shares, self.terms, strict=True):
            for exponent, x, sign in factors:
                slope = sign * log_x[:, x] * share
                slopes[exponent] = slopes[exponent] + slope if exponent in slopes else slope
        by_exponent = [slopes[column] for column in sorted(slopes)]
        return from_columns([inverse, *shares, *by_exponent])

    def starts(self, log_x: Floats, log_y: Floats) -> Floats:
        # The law is linear in all but its exponents: for given ones the best floor and coefficients
        # are those of a linear problem. Errors over y itself are nearly those of log y.
        y, n_linear = np.exp(log_y), 1 + len(self.terms)
        theta = np.pad(self.start_exponents, ((0, 0), (n_linear, 0)))
        terms = np.stack(self.summands(theta, log_x)[1:], axis=-1)
        basis = np.concatenate([np.ones((*terms.shape[:-1], 1)), terms], axis=-1)
        found = nonnegative_coefficients(basis, y, 1.0 / y**2)
        least = _LEAST_TERM * y.mean() / terms.mean(axis=1)
        theta[:, :n_linear] = np.column_stack(
            [found[:, 0], np.log(np.maximum(found[:, 1:], least))]
        )
        return theta

    def rescale(self, theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        moved = np.array(theta, dtype=np.float64)
        moved[..., 0] *= np.exp(log_y_scale)
        for column, factors in enumerate(self.terms, 1):
            moved[..., column] += log_y_scale
            for exponent, x, sign in factors:
                moved[..., column] -= sign * theta[..., exponent] * log_x_scale[x]
        return moved


class Joined(NamedTuple):
    """The joined term and its derivatives, all of shape `(..., n_points)`.

    Attributes:
        log_sum: log S.
        by_n: d log S / d (log A - alpha log N): the share of the term in N, from 0 to 1.
        by_d: The share of the term in D.
        by_g: d log S / dg: the entropy of the two shares.
    """

    log_sum: ArrayLike
    by_n: ArrayLike
    by_d: ArrayLike
    by_g: ArrayLike


def joined(log_of_n: ArrayLike, log_of_d: ArrayLike, g: ArrayLike) -> Joined:
    """Joins two terms given as logarithms.

    Args:
        log_of_n: log A - alpha log N, shape `(..., n_points)`.
        log_of_d: log B - beta log D, the same shape.
        g: Exponent, positive, shape `(..., 1)`.
    """
    xp = g.__array_namespace__()
    log_root = log_sum(log_of_n / g, log_of_d / g)
    log_share_n, log_share_d = log_of_n / g - log_root, log_of_d / g - log_root
    of_n, of_d = xp.exp(log_share_n), xp.exp(log_share_d)
    # The logarithm of a share is what it is exponentiated from: without this, shares near 0 and 1
    # would cancel.
    by_g = -(of_n * log_share_n + of_d * log_share_d)
    return Joined(g * log_root, of_n, of_d, by_g)


def coefficients(basis: Floats, y: Floats, weights: Floats) -> Floats:
    """Returns unbounded minimisers of `sum_i w_i (y_i - sum_k c_k basis_ik)^2`.

    Normal equations of columns scaled to length 1: digits to half the precision of float64
    times the condition number of the scaled columns, enough for an inner step that is checked.

    Args:
        basis: Columns, shape `(..., n_points, n_columns)`.
        y: Values, shape `(..., n_points)`.
        weights: Weights, shape `(..., n_points)`, not negative.

    Returns:
        Coefficients, shape `(..., n_columns)`; 0 for a column of zeros.
    """
    weighted = basis * weights[..., None]
    gram = np.swapaxes(weighted, -1, -2) @ basis
    lengths = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    identity = np.eye(basis.shape[-1])
    correlation = gram * scale[..., :, None] * scale[..., None, :]
    correlation = np.where(identity > 0, 1.0 + _LEAST_DAMPING, correlation)
    right = (np.swapaxes(weighted, -1, -2) @ y[..., None]) * scale[..., None]
    return np.asarray(np.linalg.solve(correlation, right)[..., 0] * scale, dtype=np.float64)


def nonnegative_coefficients(basis: Floats, y: Floats, weights: Floats) -> Floats:
    """Returns minimisers of the sum of `coefficients` among coefficients that are not negative.

    The minimum is that of the unbounded problem in the columns it uses, so all subsets of the
    columns are tried: for up to about four columns the shortest way, and the same for every
    problem of a batch.

    Args:
        basis: Columns, shape `(..., n_points, n_columns)`.
        y: Values, shape `(n_points,)`.
        weights: Weights, shape `(n_points,)`, not negative.

    Returns:
        Coefficients, shape `(..., n_columns)`.
    """
    best = np.zeros((*basis.shape[:-2], basis.shape[-1]))
    lowest = np.broadcast_to(weights @ y**2, best.shape[:-1])
    for used in product([False, True], repeat=basis.shape[-1]):
        if not any(used):
            continue
        tried = coefficients(basis * np.array(used), np.broadcast_to(y, basis.shape[:-1]), weights)
        sums = (y - (basis @ tried[..., None])[..., 0]) ** 2 @ weights
        better = np.all(tried >= 0, axis=-1) & (sums < lowest)
        best, lowest = np.where(better[..., None], tried, best), np.where(better, sums, lowest)
    return best
