"""Other coordinates of a law: in the caller's units, or with some parameters held.

A fit works in centred coordinates, where what a caller holds is not one coordinate but a linear
combination: log A, for instance, is log A' + alpha times the mean of log N. All such maps are
affine, and a law seen through one is a law again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from analysis.errors import nearest_name
from analysis.estimate import Floats
from analysis.fitting.engine.observations import Observations
from analysis.laws.law import ArrayLike, Law


class Affine(NamedTuple):
    """An affine map of coordinates.

    Attributes:
        matrix: Shape `(n_to, n_from)`.
        shift: Shape `(n_to,)`.
    """

    matrix: Floats
    shift: Floats

    def __call__(self, theta: ArrayLike) -> ArrayLike:
        """Coordinates `(..., n_from)` mapped, shape `(..., n_to)`."""
        return theta @ self.matrix.T + self.shift

    def after(self, first: "Affine") -> "Affine":
        """Returns the composition: `first`, then this map."""
        return Affine(self.matrix @ first.matrix, self(first.shift))


def to_callers_units(law: Law, rows: Observations) -> Affine:
    """Returns the map from centred coordinates of a law to those in the caller's units."""
    n_params = len(law.params)
    shift = law.rescale(np.zeros(n_params), rows.log_x_scale, rows.log_y_scale)
    ends = law.rescale(np.eye(n_params), rows.log_x_scale, rows.log_y_scale)
    return Affine((ends - shift).T, shift)


def in_own_units(to_raw: Affine, places: Sequence[int], raw: Sequence[int]) -> Affine:
    """Returns the map back from coordinates of which some are in the caller's units.

    Args:
        to_raw: Map from coordinates to those in the caller's units.
        places: Coordinates to be replaced by ones in the caller's units.
        raw: Coordinates of `to_raw`'s image that replace them.

    Returns:
        Map from the mixed coordinates, those at `places` in the caller's units, to the ones that
        `to_raw` maps.
    """
    n_params = to_raw.matrix.shape[1]
    forward, shift = np.eye(n_params), np.zeros(n_params)
    forward[places], shift[places] = to_raw.matrix[raw], to_raw.shift[raw]
    back = np.asarray(np.linalg.inv(forward), dtype=np.float64)
    return Affine(back, -back @ shift)


def seen_through(law: Law, view: Affine, names: tuple[str, ...]) -> Law:
    """Returns the law as a function of the coordinates that `view` maps to its own.

    Args:
        law: The law.
        view: Map from the coordinates wanted to those of the law.
        names: Names of the coordinates wanted: parameters of the law, whose bounds they keep.

    Returns:
        The view. Its `rescale` and `derived` are still those of all parameters of the law.
    """
    places = [law.params.index(name) for name in names]

    def predict(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        return law.log_predict(view(theta), log_x)

    def jacobian(theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
        return law.jacobian(view(theta), log_x) @ view.matrix

    def starts(log_x: Floats, log_y: Floats) -> Floats:
        return law.starts(log_x, log_y)[:, places]

    return law._replace(
        params=names,
        logs=law.logs & set(names),
        lower=tuple(law.lower[place] for place in places),
        upper=tuple(law.upper[place] for place in places),
        log_predict=predict,
        jacobian=jacobian,
        starts=starts,
        # With one linear parameter held, y is no sum of multiples of the others any more.
        linear=law.linear if set(law.linear) <= set(names) else (),
    )


def seen_through_each(law: Law, views: Sequence[Affine]) -> Law:
    """Returns the law as a function of coordinates that each problem of a batch has of its own.

    Problems that one law sees differently are then one batch of the solver.

    Args:
        law: The law.
        views: Maps from coordinates to those of the law, which have the bounds of the law's.

    Returns:
        The law with one coordinate more, the last: the number of the view that the others are read
        by. It has no slope, so that no step of a search changes it.
    """
    matrices = np.stack([view.matrix for view in views])
    shifts = np.stack([view.shift for view in views])

    def own(theta: Floats) -> tuple[Floats, Floats]:
        which = np.asarray(theta[..., -1], dtype=np.intp)
        return np.matvec(matrices[which], theta[..., :-1]) + shifts[which], matrices[which]

    def predict(theta: Floats, log_x: Floats) -> Floats:
        return law.log_predict(own(theta)[0], log_x)

    def jacobian(theta: Floats, log_x: Floats) -> Floats:
        at, matrix = own(theta)
        slopes = np.zeros((*theta.shape[:-1], len(log_x), theta.shape[-1]))
        np.matmul(law.jacobian(at, log_x), matrix, out=slopes[..., :-1])
        return slopes

    return law._replace(
        params=(*law.params, "view"),
        lower=(*law.lower, 0.0),
        upper=(*law.upper, float(len(views))),
        log_predict=predict,
        jacobian=jacobian,
    )


def hold(law: Law, to_raw: Affine, fixed: Mapping[str, float]) -> tuple[Law, Affine]:
    """Returns the law with parameters held, as a function of the coordinates that are left.

    Args:
        law: The law, in centred coordinates.
        to_raw: Map from them to coordinates in the caller's units.
        fixed: Values by name, in the caller's units, as `require_holdable` lets through.

    Returns:
        The view, and the map from what is left to all coordinates in the caller's units.
    """
    held = [place for place, name in enumerate(law.params) if name in fixed]
    left = [place for place, name in enumerate(law.params) if name not in fixed]
    params = np.array([fixed.get(name, 1.0) for name in law.params])
    values = law.to_theta(params)[held]
    mixed = in_own_units(to_raw, held, held)
    view = Affine(mixed.matrix[:, left], mixed.matrix[:, held] @ values + mixed.shift)
    all_raw = to_raw.after(view)
    # What is held is so to the last bit.
    all_raw.matrix[held], all_raw.shift[held] = 0.0, values
    return seen_through(law, view, tuple(law.params[place] for place in left)), all_raw


def require_holdable(law: Law, fixed: Mapping[str, float]) -> None:
    """Refuses to hold what a law does not have, or at a value that it cannot have.

    Raises:
        ValueError: An unknown name, a value out of bounds, or no parameter left to fit.
    """
    require_known(law, fixed)
    for name, value in fixed.items():
        require_value(law, name, value)
    if len(fixed) == len(law.params):
        raise ValueError(
            f"fixed holds every parameter of {law.name}, so nothing is left to fit. Leave one out, "
            "or evaluate constants with analysis.fitting.audit.objective_of."
        )


def require_known(law: Law, names: Iterable[str]) -> None:
    """Raises `ValueError` for a name that is no parameter of the law, with the nearest that is."""
    for name in names:
        if name not in law.params:
            nearest = nearest_name(name, law.params)
            raise ValueError(f"{name!r} is no parameter of {law.name}; {nearest}")


def require_value(law: Law, name: str, value: float) -> None:
    """Raises `ValueError` for a value, in the caller's units, that a parameter cannot have."""
    place, is_log = law.params.index(name), name in law.logs
    low, high = (float(ends[place]) for ends in (law.lower, law.upper))
    if is_log:
        low, high = float(np.exp(low)), float(np.exp(high))
    # Ends of logarithms have been rounded on their way.
    inside = low * (1 - 1e-9) <= value <= high * (1 + 1e-9) if is_log else low <= value <= high
    if not inside or not np.isfinite(value) or (is_log and value <= 0):
        least = "> 0" if is_log and low == 0 else f"at least {low:.6g}"
        most = "finite" if high == np.inf else f"at most {high:.6g}"
        raise ValueError(
            f"{name} = {value}, but in {law.name} it is {least} and {most}. Give a value within."
        )
