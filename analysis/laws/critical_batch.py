"""Steps to a given loss as a function of the batch, and the critical batch.

| symbol | meaning | unit |
|---|---|---|
| batch | batch size, B | tokens or examples |
| steps | optimizer steps to the loss, S | 1 |
| S_min | steps however large the batch | 1 |
| E_min | tokens or examples however small the batch | that of batch |
| E | tokens or examples to the loss, B S | that of batch |
| B_crit | E_min / S_min | that of batch |

(S / S_min - 1) (E / E_min - 1) = 1 with E = B S is S = S_min + E_min / B: at B_crit both are twice
their least. Where all batches lie far below B_crit the steps do not show S_min, whose best value
may be 0; far above it they do not show E_min. B_crit then has only a bound.
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law

_START_SHARES = (0.02, 0.2, 0.5, 0.8, 0.98)  # S_min over the steps of the mean row


def _steps(theta: ArrayLike, log_x: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """S and 1 / B, of shapes `(..., n_points)` and `(n_points,)`."""
    inverse = theta.__array_namespace__().exp(-log_x[:, 0])
    return theta[..., 0, None] + theta[..., 1, None] * inverse, inverse


def _log_predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    return theta.__array_namespace__().log(_steps(theta, log_x)[0])


def _jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    steps, inverse = _steps(theta, log_x)
    return theta.__array_namespace__().stack([1.0 / steps, inverse / steps], axis=-1)


def _starts(log_x: Floats, log_y: Floats) -> Floats:
    shares = np.array(_START_SHARES)
    return np.stack([shares, 1.0 - shares], axis=-1)


def _rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    return theta * np.exp(log_y_scale + np.array([0.0, log_x_scale[0]]))


def _derived(params: Floats) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {"B_crit": params[..., 1] / params[..., 0]}


CRITICAL_BATCH = Law(
    name="critical_batch",
    formula="steps = S_min + E_min / batch",
    inputs=("batch",),
    params=("S_min", "E_min"),
    logs=frozenset(),
    lower=(0.0, 0.0),
    upper=(np.inf, np.inf),
    log_predict=_log_predict,
    jacobian=_jacobian,
    starts=_starts,
    rescale=_rescale,
    linear=("S_min", "E_min"),
    derived=_derived,
    output="steps",
)
"""S = S_min (1 + B_crit / B), with S_min >= 0 and E_min >= 0.

McCandlish et al. 2018, arXiv 1812.06162, equations 2.11 and 2.12.
"""
