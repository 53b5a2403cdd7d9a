"""A law seen on the scale of y itself rather than of its logarithm."""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.law import ArrayLike, Law


def on_linear_scale(law: Law) -> Law:
    """Returns the law with `log_predict` and `jacobian` replaced by y and dy/dtheta.

    A fit minimises residuals on the scale on which the law it is given predicts, so this view,
    fitted to y, minimises `y - f(x)` where the law itself, fitted to log y, minimises
    `log y - log f(x)`. `starts` takes y in place of log y. Everything else is the law's own.
    """

    def predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        return theta.__array_namespace__().exp(law.log_predict(theta, log_x))

    def jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        return law.jacobian(theta, log_x) * predict(theta, log_x)[..., None]

    def starts(log_x: Floats, y: Floats) -> Floats:
        return law.starts(log_x, np.log(y))

    return law._replace(log_predict=predict, jacobian=jacobian, starts=starts)


def linear_basis(law: Law, theta: Floats, log_x: Floats) -> Floats:
    """Returns the curves that the linear parameters multiply.

    With every linear parameter at 1, dy/dtheta of one is its curve, whether the coordinate is the
    parameter or its logarithm.

    Args:
        law: The law, not a view of it on the linear scale.
        theta: Coordinates, shape `(..., n_params)`; those of linear parameters play no part.
        log_x: Shape `(n_points, n_inputs)`.

    Returns:
        Shape `(..., n_points, n_linear)`, in the order of `law.params`.
    """
    ones = np.where(law.is_log, 0.0, 1.0)
    theta = np.where(law.is_linear, ones, theta)
    slopes = on_linear_scale(law).jacobian(theta, log_x)
    return slopes[..., law.is_linear]
