"""Loss after fine-tuning: Kaplan's law, with the data that a pre-trained model is worth.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D_F | data of fine-tuning | 1 |
| A, alpha_N | loss at N = 1 and exponent of N, where size limits | that of L N^alpha_N; none |
| B | loss at N = D_F = 1, where data limit | that of L D_F^phi N^chi |
| phi, chi | exponents of D_F and N, where data limit | none |
| alpha_D | exponent that joins both terms: that of data without pre-training | none |
| alpha, beta | exponents of effective data in D_F and N: phi / alpha_D, chi / alpha_D | none |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law
from analysis.laws.power_terms import joined

_START_EXPONENTS = (0.05, 0.15, 0.4)
_START_CHI = 0.05
_LEAST_JOINT = 1e-3  # at 0 the larger term alone counts


def _terms(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    log_a, log_b, alpha_n, phi, chi, alpha_d = (theta[..., i, None] for i in range(6))
    of_data = log_b - phi * log_x[:, 1] - chi * log_x[:, 0]
    return log_a - alpha_n * log_x[:, 0], of_data, alpha_d


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return joined(*_terms(theta, log_x)).log_sum


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    terms = joined(*_terms(theta, log_x))
    n, d, log_n, log_d = terms.by_n, terms.by_d, log_x[:, 0], log_x[:, 1]
    columns = [n, d, -log_n * n, -log_d * d, -log_n * d, terms.by_g]
    return theta.__array_namespace__().stack(columns, axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    # Either term is given half the loss of the mean row, in the root that is summed.
    grids = np.meshgrid(_START_EXPONENTS, _START_EXPONENTS, _START_EXPONENTS)
    alpha_n, phi, alpha_d = (grid.ravel() for grid in grids)
    level = log_y.mean() - alpha_d * np.log(2.0)
    chi = np.full_like(level, _START_CHI)
    return np.stack([level, level, alpha_n, phi, chi, alpha_d], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    log_a, log_b, alpha_n, phi, chi, alpha_d = np.moveaxis(np.asarray(theta, np.float64), -1, 0)
    log_a = log_a + log_y_scale + alpha_n * log_x_scale[0]
    log_b = log_b + log_y_scale + phi * log_x_scale[1] + chi * log_x_scale[0]
    return np.stack([log_a, log_b, alpha_n, phi, chi, alpha_d], axis=-1)


def _derived(params: Floats) -> dict[str, Floats]:
    """N_c, and the exponents of effective data, alpha of D_F and beta of N."""
    a_term, _, alpha_n, phi, chi, alpha_d = np.moveaxis(np.asarray(params, np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {
            "N_c": np.exp(np.log(a_term) / alpha_n),
            "alpha": phi / alpha_d,
            "beta": chi / alpha_d,
        }


TRANSFER_LOSS = Law(
    name="transfer_loss",
    formula="L = ((A N^-alpha_N)^(1/alpha_D) + (B D_F^-phi N^-chi)^(1/alpha_D))^alpha_D",
    inputs=("N", "D_F"),
    params=("A", "B", "alpha_N", "phi", "chi", "alpha_D"),
    logs=frozenset({"A", "B"}),
    lower=(-np.inf, -np.inf, 0.0, 0.0, -10.0, _LEAST_JOINT),
    upper=(np.inf, np.inf, 10.0, 10.0, 10.0, 10.0),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    derived=_derived,
)
"""L = ((N_c / N)^(alpha_N / alpha_D) + D_c / (k D_F^alpha N^beta))^alpha_D.

Hernandez et al. 2021, arXiv 2102.01293, where they unify their law of transfer with Kaplan's; with
A = N_c^alpha_N and B = (D_c / k)^alpha_D, since D_c and k appear as a ratio alone. It holds where
data are few: D_T is then nearly all of the effective data.
"""
