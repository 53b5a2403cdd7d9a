"""Many small bounded least-squares problems that share a law and its inputs, solved at once.

`solve` runs Levenberg-Marquardt on all of them. `projection` makes its inner step for laws with
linear parameters: variable projection.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.steps import (
    LEAST_DAMPING,
    NO_EFFECT,
    Bounds,
    Problems,
    Project,
    Secant,
    Tangent,
    acceleration,
    damped_step,
    tangent,
)
from analysis.laws.law import Law
from analysis.laws.power_terms import coefficients
from analysis.laws.scales import linear_basis

FARTHEST = 200.0
"""Coordinates, centred and so of order 1, go no farther: e^200 times the rows' own scale.

Some could go on without end: one that leaves the curve, or two that make up for one another.
"""

_MAX_STEPS = 300
_RELATIVE_DECREMENT = 1e-12  # of the objective: coordinates within ~1e-6 standard errors
_ROUNDING = 2e-15  # of a log residual
_EASE, _CAUTION = 1 / 3, 4.0  # what a step that was accepted, or refused, makes of the damping
_WELL, _EASE_WELL = 0.75, 0.1  # the same of a step that gains so much of what was promised
_FIRST_DAMPING, _MOST_DAMPING = 1e-3, 1e8
_SLOW = 0.3  # share that a slow step leaves of the decrease promised
_FAR = 0.5  # share of the objective: a start that promises more is still on its way to the rows
_PATIENCE = 3  # slow steps on end from which corrections serve
_VALUES_IN_STEP = 22_000  # of y: what a step makes of them stays in the cache


class Points(NamedTuple):
    """Inputs that a law is fitted at, and the weight of the loss at each.

    Attributes:
        log_x: Log inputs, shape `(n_points, n_inputs)`.
        weights: Weights, not negative, shape `(n_points,)`, or `(n_problems, n_points)` where
            problems differ in them.
    """

    log_x: Floats
    weights: Floats


class Solutions(NamedTuple):
    """Minima that `solve` found, one entry for each problem.

    Attributes:
        theta: Coordinates, shape `(n_problems, n_params)`.
        objective: Sum of weighted losses at `theta`, shape `(n_problems,)`.
        converged: Whether no measurable decrease is left, shape `(n_problems,)`.
    """

    theta: Floats
    objective: Floats
    converged: NDArray[np.bool_]


def solve(
    law: Law,
    points: Points,
    log_y: Floats,
    theta: Floats,
    *,
    loss: Loss = Loss(),
    bounds: Bounds | None = None,
    project: Project | None = None,
) -> Solutions:
    """Minimises `sum_i w_i loss(log y_i - log f(x_i; theta))` for each problem of a batch.

    Levenberg-Marquardt with Marquardt's scaling, bent along curved valleys (`engine.steps`), many
    problems in step, on all cores that the process may use (OMP_NUM_THREADS sets fewer). A
    coordinate on a bound whose gradient points outward is held there; steps are clipped to the
    bounds. A problem has converged when the decrease that its undamped step promises is negligible.

    With `project` this is variable projection: the linear coordinates take their best values after
    every step. As the damping vanishes, a step in all coordinates followed by that projection is
    Kaufman's step in the reduced problem (Ruhe and Wedin 1980, SIAM Review 22(3), 318, algorithm
    2).

    Args:
        law: The law.
        points: Inputs and weights.
        log_y: Shape `(n_problems, n_points)`, on the scale on which the law predicts.
        theta: Where each problem starts, shape `(n_problems, n_params)`.
        loss: The loss, its threshold in units of log y.
        bounds: Bounds of each problem; those of the law unless given.
        project: Sets the coordinates of `law.linear` to their best; squared error alone.

    Returns:
        The solutions. A problem that has not converged carries its best point.
    """
    problems = Problems(law, points.log_x, points.weights, log_y, loss, project)
    return _solved(_batches(problems, theta, bounds))


def _batches(problems: Problems, theta: Floats, bounds: Bounds | None) -> list["_Batch"]:
    """The problems, dealt to as many batches as there are cores; to one if they are few."""
    law, log_y = problems.law, problems.log_y
    if bounds is None:
        shape = (len(log_y), len(law.params))
        bounds = Bounds(np.broadcast_to(law.lower, shape), np.broadcast_to(law.upper, shape))
    problems = problems._replace(weights=np.broadcast_to(problems.weights, log_y.shape))
    n_batches = 1 if len(log_y) <= _in_step(log_y) else _n_cores()
    shares = [slice(first, None, n_batches) for first in range(n_batches)]
    return [_Batch(problems.take(each), theta[each], bounds.take(each)) for each in shares]


def _solved(batches: list["_Batch"]) -> Solutions:
    """The solutions of all batches, each found on a core of its own."""
    n_batches = len(batches)
    if n_batches == 1:
        return batches[0].solved()
    with ThreadPoolExecutor(n_batches) as threads:
        parts = list(threads.map(_Batch.solved, batches))
    n_problems = sum(len(part.objective) for part in parts)
    theta = np.empty((n_problems, parts[0].theta.shape[1]))
    whole = Solutions(theta, np.empty(n_problems), np.empty(n_problems, bool))
    for first, part in enumerate(parts):
        for all_of, some in zip(whole, part, strict=True):
            all_of[first::n_batches] = some
    return whole


def _n_cores() -> int:
    """Cores that this process may use, no more than OMP_NUM_THREADS, as for linear algebra."""
    # Some systems only report all cores.
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    most = int(wanted) if wanted.isdecimal() else 0
    return min(found or 1, most or found or 1)


def _in_step(log_y: Floats) -> int:
    """Number of problems that are worked on at once."""
    return max(1, _VALUES_IN_STEP // max(1, log_y.shape[-1]))


class _Batch:
    """The problems of one core, and how far each of them has come."""

    def __init__(self, problems: Problems, theta: Floats, bounds: Bounds):
        self.problems = problems
        self.bounds = bounds = Bounds(
            np.maximum(bounds.lower, -FARTHEST), np.minimum(bounds.upper, FARTHEST)
        )
        self.theta = np.clip(theta, bounds.lower, bounds.upper)
        self.residuals, self.objective = problems.objective(self.theta)
        n_problems = len(theta)
        self.total_weight = problems.weights.sum(axis=1)
        self.converged = np.zeros(n_problems, dtype=bool)
        self.n_steps, self.n_slow = np.zeros((2, n_problems), dtype=int)
        self.damping = np.full((n_problems, 2), _FIRST_DAMPING)  # without and with own curvature
        self.promised = np.full(n_problems, np.inf)
        self.seen, self.gone = np.zeros((2, *self.theta.shape), dtype=bool)
        self.secant = Secant(*self.theta.shape)

    def solved(self) -> Solutions:
        """Works on as many in step as fit the cache, then on the next ones."""
        size = _in_step(self.residuals)
        waiting = np.flatnonzero(np.isfinite(self.objective))
        todo, waiting = waiting[:size], waiting[size:]
        while todo.size:
            self._step(todo)
            todo = todo[~self.converged[todo] & (self.n_steps[todo] < _MAX_STEPS)]
            n_free = size - len(todo)
            todo, waiting = np.concatenate([todo, waiting[:n_free]]), waiting[n_free:]
        return Solutions(self.theta, self.objective, self.converged)

    def _step(self, todo: NDArray[np.intp]) -> None:
        """A step of some of the problems, taken where it does not raise the objective."""
        these, bounds = self.problems.take(todo), self.bounds.take(todo)
        before, slightest = self.objective[todo], self.total_weight[todo] * _ROUNDING**2
        # 1. A step by the tangent, bent and with the law's own curvature where steps gain little.
        at = self._tangent(these, todo, bounds)
        promised = self.promised[todo]
        slow = np.flatnonzero(self.n_slow[todo] >= _PATIENCE)
        curved = np.zeros(len(todo), dtype=int)
        curved[slow] = self.secant.serves[todo[slow]]
        damping = self.damping[todo, curved]
        step = damped_step(at, damping)
        if slow.size:
            model, which = at.take(slow), np.flatnonzero(curved[slow])
            if which.size:
                model = model.with_curvature(which, self.secant.own[todo[slow[which]]])
                promised[slow] = np.where(curved[slow] > 0, model.promised(), promised[slow])
                step[slow] = damped_step(model, damping[slow])
            step[slow] += acceleration(these.take(slow), model, step[slow], damping[slow])
        trial = np.clip(at.theta + step, bounds.lower, bounds.upper)
        if these.project is not None:
            trial = these.project(trial, these.log_x, these.log_y, these.weights)
        # 2. Taken if no higher; the slack, rounding's effect, lets the last small gains through.
        residuals, after = these.objective(trial)
        accepted = after <= before + np.sqrt(2 * before * slightest) + slightest
        slow = slow[accepted[slow]]
        if slow.size:
            move, change = (trial - at.theta)[slow], (after - before)[slow]
            bent = at.bend(slow, move)
            self.secant.remember(todo[slow], move, bent, at.gradient[slow], change)
        moved = todo[accepted]
        self.theta[moved], self.objective[moved] = trial[accepted], after[accepted]
        self.residuals[moved] = residuals[accepted]
        # 3. One that no step however short takes lower lies in a kink, or rounding ends its way.
        ease = np.where(before - after > _WELL * promised, _EASE_WELL, _EASE)
        damping = np.maximum(damping * np.where(accepted, ease, _CAUTION), LEAST_DAMPING)
        self.damping[todo, curved] = damping
        self.n_steps[todo] += 1
        settled = promised <= _RELATIVE_DECREMENT * before + slightest
        self.converged[todo] = settled | (damping > _MOST_DAMPING)

    def _tangent(self, these: Problems, todo: NDArray[np.intp], bounds: Bounds) -> Tangent:
        """Where some of the problems stand, and whether the last steps have gained little."""
        at = tangent(these, self.theta[todo], self.residuals[todo], bounds, self.gone[todo])
        # A coordinate that moves on and on out of the curve would take all steps with it.
        out = at.diagonal < NO_EFFECT**2 * self.total_weight[todo, None]
        self.gone[todo] = out & self.seen[todo]
        self.seen[todo] |= ~out
        self.secant.learn(todo, at)
        promised = at.promised()
        near = promised < _FAR * self.objective[todo]
        is_slow = near & (promised > _SLOW * self.promised[todo])
        self.promised[todo] = promised
        self.n_slow[todo] = np.where(is_slow, self.n_slow[todo] + 1, 0)
        return at


def projection(law: Law) -> Project:
    """Returns the step that sets the parameters in which y is linear to least squared error in y.

    Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2), 413. Coefficients that would leave the
    law's bounds (a negative E, A or B) are left as they came: there the caller's own step, which
    respects bounds, goes on in all coordinates.

    The law is one with `linear` parameters, not its view on the linear scale.
    """
    linear = np.flatnonzero(law.is_linear)
    is_log, lower = law.is_log[linear], np.array(law.lower)[linear]

    def project(theta: Floats, log_x: Floats, y: Floats, weights: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            basis = linear_basis(law, theta, log_x)
            usable = np.isfinite(np.sum(basis, axis=(-2, -1)))
            best = coefficients(np.where(usable[:, None, None], basis, 0.0), y, weights)
        inside = usable & (best > np.where(is_log, 0.0, lower)).all(axis=-1)
        logs = np.log(np.where(is_log & inside[:, None], best, 1.0))
        projected = theta.copy()
        projected[:, linear] = np.where(
            inside[:, None], np.where(is_log, logs, best), theta[:, linear]
        )
        return projected

    return project
