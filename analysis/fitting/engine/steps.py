"""One step of every problem of a batch: Levenberg-Marquardt with two corrections for curved laws.

- Acceleration. Where the rows hardly fix a combination of parameters, the objective is a long bent
  valley, and straight steps along it must be short. Half the second derivative of the curve along
  the step bends it (Transtrum and Sethna 2012, arXiv 1201.5885: geodesic acceleration).
- The law's own curvature. Near a minimum in such a valley, second derivatives of the law count
  beside the products of first ones, and steps without them gain little each. They are learnt from
  how the gradient changes along the steps, without another evaluation of the law (Dennis, Gay and
  Welsch 1981, ACM Trans. Math. Softw. 7(3), 348: NL2SOL).
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss
from analysis.laws.law import Law

NO_EFFECT = 1e-12
"""A coordinate that moves log y by less, root mean square, has left the curve."""

LEAST_DAMPING = 1e-12
"""Keeps the normal equations of a degenerate problem solvable."""

_NONE = 1e-100  # curvature of a coordinate that no step can bring back
# Centred coordinates are of order 1. A longer step has left the region that the tangent describes:
# most often it throws a term off the curve, from where no gradient leads back.
_LONGEST_STEP = 2.0
_PROBE = 0.1  # of a step: where the second derivative along it is measured
_MOST_BENT = 0.75  # twice the correction over the step; beyond it the step itself is too long
_ACUTE = 1e-10  # cosine of step and change of gradient; below it the secant says nothing

Project: TypeAlias = Callable[[Floats, Floats, Floats, Floats], Floats]
"""`(theta, log_x, log_y, weights) -> theta`, some coordinates at their best given the others."""


class Bounds(NamedTuple):
    """Bounds of coordinates; where both are equal, a coordinate is held.

    Attributes:
        lower: Lower bounds, shape `(n_problems, n_params)`.
        upper: Upper bounds, the same shape.
    """

    lower: Floats
    upper: Floats

    def take(self, which: NDArray[np.intp] | slice) -> "Bounds":
        """Bounds of some of the problems."""
        return Bounds(self.lower[which], self.upper[which])


class Problems(NamedTuple):
    """Problems in step.

    Attributes:
        law: The law.
        log_x: Log inputs, shape `(n_points, n_inputs)`.
        weights: Weights of the loss, shape `(n_problems, n_points)`.
        log_y: Values to fit, the same shape.
        loss: The loss.
        project: Step of variable projection, or None.
    """

    law: Law
    log_x: Floats
    weights: Floats
    log_y: Floats
    loss: Loss
    project: Project | None

    def take(self, which: NDArray[np.intp] | slice) -> "Problems":
        """Some of the problems."""
        return self._replace(weights=self.weights[which], log_y=self.log_y[which])

    def objective(self, theta: Floats) -> tuple[Floats, Floats]:
        """Residuals, and their weighted loss: infinite where it is not a number."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            residuals = self.log_y - self.law.log_predict(theta, self.log_x)
            value = np.vecdot(self.loss.value(residuals), self.weights)
        return residuals, np.where(np.isnan(value), np.inf, value)

    def derivatives(self, residuals: Floats) -> tuple[Floats, Floats]:
        """Weighted first and second derivatives of the loss, each the shape of `residuals`."""
        if self.loss.is_squared:
            return self.weights * residuals, self.weights
        slopes = self.weights * residuals * self.loss.influence(residuals)
        return slopes, self.weights * self.loss.curvature(residuals)


class Tangent(NamedTuple):
    """Problems where they stand, in units that give each coordinate the same effect on the curve.

    Attributes:
        theta: Coordinates, shape `(n_problems, n_params)`.
        fitted: What the law predicts there, shape `(n_problems, n_points)`.
        jacobian: Its derivatives, shape `(n_problems, n_points, n_params)`.
        bends: Weighted second derivative of the loss, shape `(n_problems, n_points)`.
        gradient: Of the objective, shape `(n_problems, n_params)`.
        diagonal: Second derivatives of the objective over each coordinate, the same shape.
        unit: What a unit of a coordinate is here; 0 for one that is held or without effect.
        downhill: Minus the gradient in these units, shape `(n_problems, n_params, 1)`.
        hessian: Second derivatives in these units: products of first ones, 1 on the diagonal.
    """

    theta: Floats
    fitted: Floats
    jacobian: Floats
    bends: Floats
    gradient: Floats
    diagonal: Floats
    unit: Floats
    downhill: Floats
    hessian: Floats

    def take(self, which: NDArray[np.intp]) -> "Tangent":
        """The tangent of some of the problems."""
        return Tangent(*(each[which] for each in self))

    def bend(self, which: NDArray[np.intp], move: Floats) -> Floats:
        """The Hessian times a move of coordinates of some problems, of its shape."""
        unit = self.unit[which]
        return _in_units(np.matvec(self.hessian[which], _in_units(move, unit)), unit)

    def solved(self, damping: float | Floats, right: Floats) -> Floats:
        """`(hessian + damping) x = right`."""
        ridge = np.reshape(damping, (-1, 1, 1)) * np.eye(self.theta.shape[-1])
        return np.asarray(np.linalg.solve(self.hessian + ridge, right), dtype=np.float64)

    def promised(self) -> Floats:
        """The decrease of the objective that a step without damping promises."""
        newton = self.solved(LEAST_DAMPING, self.downhill)
        return 0.5 * (self.downhill * newton).sum(axis=(-2, -1))

    def with_curvature(self, which: NDArray[np.intp], own: Floats) -> "Tangent":
        """The tangent with curvature of the law's own for some problems.

        A direction of negative curvature counts with its size, so that steps lead downhill.

        Args:
            which: Numbers of the problems, shape `(n_some,)`.
            own: What second derivatives add in coordinates, shape `(n_some, n_params, n_params)`.
        """
        unit, plain = self.unit[which], self.hessian[which]
        whole = plain + own * (unit[:, :, None] * unit[:, None, :])
        usable = np.isfinite(whole).all(axis=(-2, -1), keepdims=True)
        values, axes = np.linalg.eigh(np.where(usable, whole, plain))
        sizes = np.abs(values)
        sizes = np.maximum(sizes, LEAST_DAMPING * sizes.max(axis=-1, keepdims=True))
        hessian = self.hessian.copy()
        hessian[which] = (axes * sizes[:, None, :]) @ np.swapaxes(axes, -1, -2)
        return self._replace(hessian=hessian)


def _in_units(move: Floats, unit: Floats) -> Floats:
    """A move of coordinates in units of a tangent; 0 where a coordinate has none."""
    return np.divide(move, unit, out=np.zeros_like(move), where=unit > 0)


def tangent(
    problems: Problems, theta: Floats, residuals: Floats, bounds: Bounds, gone: NDArray[np.bool_]
) -> Tangent:
    """Returns the problems linearised at `theta`.

    Coordinates pushed against a bound are held there, and those that are `gone` stay as they are.
    """
    jacobian = problems.law.jacobian(theta, problems.log_x)
    slopes, bends = problems.derivatives(residuals)
    gradient = -(slopes[:, None, :] @ jacobian)[:, 0, :]
    hessian = np.swapaxes(jacobian * bends[..., None], -1, -2) @ jacobian
    diagonal = np.diagonal(hessian, axis1=-2, axis2=-1)
    still = (
        ((theta <= bounds.lower) & (gradient > 0))
        | ((theta >= bounds.upper) & (gradient < 0))
        | (bounds.lower == bounds.upper)
        | (diagonal <= _NONE)
        | gone
    )
    unit = np.where(still, 0.0, 1.0 / np.sqrt(np.where(still, 1.0, diagonal)))
    scaled = hessian * (unit[:, :, None] * unit[:, None, :])
    return Tangent(
        theta=theta,
        fitted=problems.log_y - residuals,
        jacobian=jacobian,
        bends=bends,
        gradient=gradient,
        diagonal=diagonal,
        unit=unit,
        downhill=-(gradient * unit)[..., None],
        hessian=np.where(np.eye(theta.shape[-1]) > 0, 1.0, scaled),
    )


def damped_step(at: Tangent, damping: Floats) -> Floats:
    """Returns the damped step in coordinates, shape `(n_problems, n_params)`."""
    step = at.solved(damping, at.downhill)[..., 0] * at.unit
    longest = np.max(np.abs(step), axis=-1, keepdims=True)
    return step * (_LONGEST_STEP / np.maximum(longest, _LONGEST_STEP))


def acceleration(problems: Problems, at: Tangent, step: Floats, damping: Floats) -> Floats:
    """Returns what bends a damped step along the valley, of its shape; 0 where it is not trusted.

    The second derivative of the curve along the step is that between here and a tenth of it on.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        moved = problems.law.log_predict(at.theta + _PROBE * step, problems.log_x) - at.fitted
        linear = (at.jacobian @ step[..., None])[..., 0]
        second = (moved / _PROBE - linear) * (2 / _PROBE)
        right = -((second * at.bends)[:, None, :] @ at.jacobian)[:, 0, :] * at.unit
    right = np.where(np.isfinite(right).all(axis=-1, keepdims=True), right, 0.0)
    bent = 0.5 * at.solved(damping, right[..., None])[..., 0]
    of_bent = np.linalg.norm(bent, axis=-1)
    of_straight = np.linalg.norm(_in_units(step, at.unit), axis=-1)
    return np.where((2 * of_bent <= _MOST_BENT * of_straight)[:, None], bent * at.unit, 0.0)


class Secant:
    """What second derivatives of the law add to the Hessian, learnt from one step to the next.

    Attributes:
        own: Their contribution, symmetric, shape `(n_problems, n_params, n_params)`; 0 at first.
        serves: Whether the last step would have been predicted better with it, shape
            `(n_problems,)`.
    """

    def __init__(self, n_problems: int, n_params: int):
        self.own = np.zeros((n_problems, n_params, n_params))
        self.serves = np.zeros(n_problems, dtype=bool)
        self._has_moved = np.zeros(n_problems, dtype=bool)
        self._step, self._gradient = np.zeros((2, n_problems, n_params))

    def remember(
        self, which: NDArray[np.intp], step: Floats, bent: Floats, gradient: Floats, change: Floats
    ) -> None:
        """Notes steps that problems have made.

        Args:
            which: Numbers of the problems, shape `(n_some,)`.
            step: The steps, shape `(n_some, n_params)`.
            bent: The Hessians there, without curvature of the law's own, times the steps.
            gradient: The gradients there.
            change: Change of the objective, shape `(n_some,)`.
        """
        plain = 0.5 * np.vecdot(step, bent)
        added = 0.5 * np.vecdot(step, (self.own[which] @ step[..., None])[..., 0])
        real = change - np.vecdot(gradient, step)
        self.serves[which] = np.abs(plain + added - real) < np.abs(plain - real)
        self._step[which], self._gradient[which] = step, gradient
        self._has_moved[which] = True

    @np.errstate(over="ignore", invalid="ignore")  # a change beyond all range teaches nothing
    def learn(self, which: NDArray[np.intp], at: Tangent) -> None:
        """Learns from the tangents where the noted steps of some problems have led."""
        moved = np.flatnonzero(self._has_moved[which])
        if not moved.size:
            return
        which = which[moved]
        change = at.gradient[moved] - self._gradient[which]
        bent = change - at.bend(moved, self._step[which])
        self._has_moved[which] = False
        step, own = self._step[which], self.own[which]
        along = np.vecdot(step, change)
        acute = along > _ACUTE * np.linalg.norm(step, axis=-1) * np.linalg.norm(change, axis=-1)
        known = (own @ step[..., None])[..., 0]
        # What was learnt far away counts no more than what the last step shows.
        size = np.abs(np.vecdot(step, known))
        share = np.abs(np.vecdot(step, bent)) / np.where(size > 0, size, 1.0)
        share = np.where(size > 0, np.minimum(share, 1.0), 1.0)[:, None]
        along = np.where(acute, along, 1.0)[:, None, None]
        left = bent - share * known
        outer = left[:, :, None] * change[:, None, :]
        update = (outer + np.swapaxes(outer, -1, -2)) / along
        update -= (
            np.vecdot(step, left)[:, None, None]
            * (change[:, :, None] * change[:, None, :])
            / along**2
        )
        new = share[..., None] * own + update
        learnt = acute & np.isfinite(new).all(axis=(-2, -1))
        self.own[which] = np.where(learnt[:, None, None], new, own)
