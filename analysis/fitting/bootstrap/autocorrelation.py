"""Noise of one curve, whose evaluations err together: the nearer, the more alike.

The noise of a run's evaluations is taken for a stationary normal process that forgets
exponentially, AR(1) where evaluations are evenly spaced: neighbours are correlated by `rho^gap`,
with gaps of mean 1, counted in evaluations or in the logarithm of the input, whichever the rows
suggest.

A fit follows slow noise and takes it from the residuals, so that these look less correlated and
smaller than the noise, most of all where evaluations are few. The likelihood of what no fit reaches
corrects for both (restricted likelihood; Harville 1974, Biometrika 61(2), 383): with the law
replaced by its tangent J at the estimate,

    p(rho | residuals) ~ |R|^-1/2 |J' R^-1 J|^-1/2 S(rho)^(-(n - p) / 2),

R the correlations, S the generalised sum of squares, under a prior of rho of `(1 - rho)^(1 / 4)`:
bands hold 90 to 97 % of what lies beyond planted curves of 20 to 100 rows; a flat prior gives them
up to 98 %, one of `1 - rho` no more than 87 % where neighbours are correlated by 0.95. Given rho,
the variance is `S(rho) / chi2_(n - p)`. Every replicate draws its own process from there, so that
the interval allows for all that the rows leave open.
"""

from typing import NamedTuple

import numpy as np

from analysis.estimate import Floats
from analysis.fitting.engine.problem import Problem

_LEAST_FREEDOM = 4  # rows less parameters; fewer do not show how rows err together
_EVIDENT = 0.5  # log of the likelihood ratio; independent rows exceed it one time in five to ten
_RHOS = np.concatenate([np.arange(0.0, 0.9, 0.05), np.arange(0.9, 0.985, 0.01)])
_PRIOR = np.gradient(_RHOS) * (1 - _RHOS) ** 0.25
_EXACT_RESIDUAL = 1e-10  # log residuals below it are those of a noise-free curve
_NO_EFFECT = 1e-10  # singular value of a direction, over the largest, that leaves the curve alone


class Processes(NamedTuple):
    """Processes that the noise of a curve may be, and how likely each is.

    Attributes:
        carried: Share of each row's noise that the next row has too, shape
            `(n_processes, n_rows - 1)`.
        rho: That share at the mean gap, shape `(n_processes,)`.
        log_likelihood: Restricted, the same shape; of independent rows in the first.
        squares: Generalised sum of squares of the residuals, the same shape.
        probability: Of each process, the same shape.
        degrees_of_freedom: Rows less parameters.
    """

    carried: Floats
    rho: Floats
    log_likelihood: Floats
    squares: Floats
    probability: Floats
    degrees_of_freedom: int

    @property
    def are_evident(self) -> bool:
        """Whether a correlated process is likelier than independent rows by enough to be used."""
        return float(self.log_likelihood.max() - self.log_likelihood[0]) > _EVIDENT

    @property
    def correlation(self) -> float:
        """Mean of rho: the correlation of neighbours."""
        return float(self.probability @ self.rho)


class Draws(NamedTuple):
    """A process for every replicate.

    Attributes:
        carried: As in `Processes`, shape `(n_replicates, n_rows - 1)`.
        deviation: Standard deviation of the noise, shape `(n_replicates,)`.
    """

    carried: Floats
    deviation: Floats

    def noise(self, rng: np.random.Generator, some: slice) -> Floats:
        """Noise of the rows in some of the replicates, shape `(n_some, n_rows)`."""
        carried, deviation = self.carried[some], self.deviation[some]
        fresh = np.sqrt(1 - carried**2)
        noise = rng.standard_normal((len(deviation), carried.shape[1] + 1))
        for row in range(carried.shape[1]):
            noise[:, row + 1] *= fresh[:, row]
            noise[:, row + 1] += carried[:, row] * noise[:, row]
        return deviation[:, None] * noise


def why_no_curve(problem: Problem) -> str | None:
    """Why rows cannot be one curve, in the second half of a sentence; None where they can."""
    rows = problem.rows
    if rows.log_x.shape[1] != 1:
        return f"{problem.law.name} takes {rows.log_x.shape[1]} inputs, which do not order rows"
    if rows.clusters is not None:
        return f"the rows belong to {rows.n_clusters} cluster(s)"
    if np.any(rows.group_sizes > 1):
        return "several rows share one x"
    freedom = len(rows.log_y) - len(problem.law.params)
    if freedom < _LEAST_FREEDOM:
        return f"the rows leave {freedom} degrees of freedom, fewer than {_LEAST_FREEDOM}"
    return None


def processes_of(problem: Problem, theta: Floats) -> Processes | None:
    """Returns the processes that the residuals of a fit suggest.

    Args:
        problem: The problem, of rows that can be one curve (`why_no_curve`).
        theta: The estimate, shape `(n_params,)`.

    Returns:
        The processes; None where the curve goes through every row.
    """
    rows = problem.rows
    root = np.sqrt(rows.weights)  # a weight is an inverse variance
    residuals = problem.residuals(theta) * root
    if np.abs(residuals).max() < _EXACT_RESIDUAL:
        return None
    jacobian = problem.law.jacobian(theta, rows.log_x) * root[:, None]
    lengths = np.linalg.norm(jacobian, axis=0)
    basis, singular, _ = np.linalg.svd(
        jacobian / np.where(lengths > 0, lengths, 1.0), full_matrices=False
    )
    tangent = basis[:, singular > _NO_EFFECT * singular[0]]
    carried, rho = _candidates(np.diff(rows.log_x[:, 0]))
    whitened = _whitened(np.column_stack([tangent, residuals]), carried)
    q, r = np.linalg.qr(whitened[..., :-1])
    left = whitened[..., -1] - (q @ (np.swapaxes(q, -1, -2) @ whitened[..., -1:]))[..., 0]
    squares = np.sum(left**2, axis=-1)
    freedom = len(residuals) - tangent.shape[1]
    log_likelihood = -0.5 * np.sum(np.log1p(-(carried**2)), axis=-1)
    log_likelihood -= np.sum(np.log(np.abs(np.diagonal(r, axis1=-2, axis2=-1))), axis=-1)
    log_likelihood -= 0.5 * freedom * np.log(squares)
    density = np.tile(_PRIOR, len(rho) // len(_PRIOR))
    density = density * np.exp(log_likelihood - log_likelihood.max())
    return Processes(carried, rho, log_likelihood, squares, density / density.sum(), freedom)


def draw_processes(found: Processes, n_draws: int, rng: np.random.Generator) -> Draws:
    """Returns a process for each replicate, in proportion to how likely it is."""
    number = np.repeat(np.arange(len(found.rho)), rng.multinomial(n_draws, found.probability))
    rng.shuffle(number)
    chi2 = rng.chisquare(found.degrees_of_freedom, n_draws)
    return Draws(found.carried[number], np.sqrt(found.squares[number] / chi2))


def _candidates(steps: Floats) -> tuple[Floats, Floats]:
    """Shares carried from row to row, and rho, of every process that is tried."""
    ways = [np.ones_like(steps), steps / steps.mean()]
    if np.allclose(ways[0], ways[1]):
        ways = ways[:1]
    gaps = np.repeat(ways, len(_RHOS), axis=0)
    rho = np.tile(_RHOS, len(ways))
    # Evaluations that nearly coincide still differ.
    carried = np.minimum(rho[:, None] ** gaps, 1 - 1e-6)
    return np.where(rho[:, None] > 0, carried, 0.0), rho


def _whitened(columns: Floats, carried: Floats) -> Floats:
    """Columns, shape `(n_rows, n)`, once each row is freed of its neighbour's noise."""
    first = np.broadcast_to(columns[:1], (len(carried), 1, columns.shape[1]))
    rest = columns[1:] - carried[..., None] * columns[:-1]
    return np.concatenate([first, rest / np.sqrt(1 - carried**2)[..., None]], axis=1)
