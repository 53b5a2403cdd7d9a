"""Products of powers: y = k x_1^a_1 x_2^a_2 ..., linear in logarithms."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law


def power_product(
    name: str, formula: str, exponents: Mapping[str, str], output: str = "loss"
) -> Law:
    """Returns the law y = k prod_i x_i^a_i, with k > 0 and exponents of either sign.

    Args:
        name: Name of the law.
        formula: The equation.
        exponents: The name of the exponent of each input, in the order of the inputs.
        output: What y is.
    """
    powers = _Product(len(exponents))
    return Law(
        name=name,
        formula=formula,
        inputs=tuple(exponents),
        params=("k", *exponents.values()),
        logs=frozenset({"k"}),
        lower=(-np.inf,) * (1 + len(exponents)),
        upper=(np.inf,) * (1 + len(exponents)),
        log_predict=powers.log_predict,
        jacobian=powers.jacobian,
        starts=powers.starts,
        rescale=powers.rescale,
        linear=("k",),
        output=output,
    )


@dataclass(frozen=True)
class _Product:
    """The functions of a product; theta is log k and the exponents."""

    n_inputs: int

    def log_predict(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        log_y = theta[..., 0, None]
        for at in range(self.n_inputs):
            log_y = log_y + theta[..., 1 + at, None] * log_x[:, at]
        return log_y

    def jacobian(self, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        xp = theta.__array_namespace__()
        columns = xp.concat([xp.ones_like(log_x[:, :1]), log_x], axis=-1)
        return xp.broadcast_to(columns, (*theta.shape[:-1], *columns.shape))

    def starts(self, log_x: Floats, log_y: Floats) -> Floats:
        # Linear in theta: every start ends in the same place.
        spread = np.linspace(-1.0, 1.0, 5)[:, None]
        return np.hstack([np.full((5, 1), log_y.mean()), np.tile(spread, self.n_inputs)])

    def rescale(self, theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        moved = np.array(theta, dtype=np.float64)
        moved[..., 0] += log_y_scale - theta[..., 1:] @ np.asarray(log_x_scale)
        return moved


GROWTH = power_product("growth", "y = k C^a", {"C": "a"}, output="optimum")
"""y = k C^a: what grows with compute, such as the best N, the best D, a batch."""

RULE = power_product("rule", "y = k N^a D^b", {"N": "a", "D": "b"}, output="optimum")
"""y = k N^a D^b: a rule for a hyperparameter."""

TRANSFER = power_product(
    "transfer", "D_T = k D_F^alpha N^beta", {"D_F": "alpha", "N": "beta"}, output="D_T"
)
"""D_T = k D_F^alpha N^beta: the data that pre-training is worth to D_F rows of fine-tuning.

Hernandez et al. 2021, arXiv 2102.01293, equation 1.1.
"""

TRANSFER_P = power_product(
    "transfer_p",
    "D_T = k D_F^alpha N^beta D_P^delta",
    {"D_F": "alpha", "N": "beta", "D_P": "delta"},
    output="D_T",
)
"""D_T = k D_F^alpha N^beta D_P^delta: the same where the data of pre-training, D_P, are few too.

Hernandez et al. pre-train on so many that D_P has no say; the power of D_P is this project's.
"""
