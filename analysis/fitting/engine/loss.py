"""What a residual costs: squared error or Huber's loss, and more or less above the curve.

A weight of rows above the curve other than 1 asks for another curve than the middle of the rows:
below 1 it settles towards their floor, where the runs lie whose settings were best. Rows above at
a tenth are the asymmetric absolute error of kyo-takano/chinchilla (`asymmetric_mae`, there ten
times as much below) and, in Huber's form, that of OLMo's model ladder (allenai/OLMo-core); under
squared error the fit is an expectile (Newey and Powell 1987, Econometrica 55(4), 819).
"""

import numpy as np

from analysis.estimate import Floats

_TAIL_CURVATURE = 0.03  # of Huber's loss; 0.01 to 0.1 converge alike, 1 several times slower


def loss(residuals: Floats, delta: float | None, above: float = 1.0) -> Floats:
    """Half the squared residual or, beyond `delta`, Huber's `delta (|r| - delta / 2)`.

    Args:
        residuals: Of any shape; positive for rows above the curve.
        delta: Huber's threshold; None for squared error.
        above: Factor of the loss of rows above the curve.

    Returns:
        Losses, the shape of `residuals`.
    """
    squared = 0.5 * residuals**2
    if delta is not None:
        size = np.abs(residuals)
        squared = np.where(size <= delta, squared, delta * (size - 0.5 * delta))
    return squared if above == 1 else squared * _side(residuals, above)


def influence_weights(residuals: Floats, delta: float | None, above: float = 1.0) -> Floats:
    """Derivative of `loss` over the residual: 1, or `delta / |r|` beyond `delta`, times `above`."""
    if delta is None:
        weights = np.ones_like(residuals)
    else:
        weights = delta / np.maximum(np.abs(residuals), delta)
    return weights if above == 1 else weights * _side(residuals, above)


def curvatures(residuals: Floats, delta: float | None, above: float = 1.0) -> Floats:
    """Second derivative of `loss`; beyond `delta`, where that is 0, a little of the first over r.

    The little keeps normal equations solvable where all residuals are beyond `delta`.
    """
    influence = influence_weights(residuals, delta)
    inner = np.where(influence < 1.0, _TAIL_CURVATURE * influence, 1.0)
    return inner if above == 1 else inner * _side(residuals, above)


def named(delta: float | None, above: float = 1.0) -> str:
    """The loss in words: "squared error", "Huber 0.001, rows above times 0.1"."""
    kind = "squared error" if delta is None else f"Huber {delta:g}"
    return kind if above == 1 else f"{kind}, rows above times {above:g}"


def _side(residuals: Floats, above: float) -> Floats:
    return np.where(residuals > 0, above, 1.0)
