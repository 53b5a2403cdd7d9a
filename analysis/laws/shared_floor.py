"""Chinchilla laws of several families over one text: one irreducible loss for all of them.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens | 1 |
| family | number of the family, from 1 | none |
| E | irreducible loss, the text's entropy | that of L |
| A_f, B_f | reducible loss of family f at N = 1, at D = 1 | that of L, times N^alpha_f, D^beta_f |
| alpha_f, beta_f | exponents of family f | none |
| a_f | exponent of its compute-optimal N | none |
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from analysis.estimate import Floats
from analysis.laws.chinchilla import CHINCHILLA, growth
from analysis.laws.law import ArrayLike, Law
from analysis.laws.power_terms import nonnegative_coefficients

_OWN = 4  # parameters of one family, after E
_LEAST_TERM = 1e-3  # of the mean y, as in `power_terms`


def _of(theta: ArrayLike, family: int) -> ArrayLike:
    """Coordinates of one family's Chinchilla law."""
    own = 1 + _OWN * family
    xp = theta.__array_namespace__()
    return xp.concatenate([theta[..., :1], theta[..., own : own + _OWN]], axis=-1)


def _members(n_families: int, log_x: Floats) -> list[Any]:
    """The rows of each family; a number that none has belongs to the nearest."""
    numbers = np.clip(np.rint(np.exp(np.minimum(log_x[:, 2], 30.0))), 1, n_families)
    return [numbers == family + 1 for family in range(n_families)]


def _log_predict(n_families: int, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    each = [
        mask * CHINCHILLA.log_predict(_of(theta, family), log_x[:, :2])
        for family, mask in enumerate(_members(n_families, log_x))
    ]
    return sum(each[1:], start=each[0])


def _jacobian(n_families: int, theta: ArrayLike, log_x: ArrayLike) -> ArrayLike:
    each = [
        mask[:, None] * CHINCHILLA.jacobian(_of(theta, family), log_x[:, :2])
        for family, mask in enumerate(_members(n_families, log_x))
    ]
    floor = sum((one[..., :1] for one in each[1:]), start=each[0][..., :1])
    xp = theta.__array_namespace__()
    return xp.concatenate([floor, *(one[..., 1:] for one in each)], axis=-1)


def _starts(n_families: int, log_x: Floats, log_y: Floats) -> Floats:
    # Every family by itself first; then its coefficients again, beside one floor for all.
    masks = [mask for mask in _members(n_families, log_x) if mask.any()]
    alone = [CHINCHILLA.starts(log_x[mask, :2], log_y[mask]) for mask in masks]
    floor = np.minimum(np.median([one[:, 0] for one in alone], axis=0), 0.9 * np.exp(log_y).min())
    found = [floor[:, None]]
    for mask in _members(n_families, log_x):
        rows = mask if mask.any() else np.ones_like(mask)
        y, exponents = np.exp(log_y[rows]), alone[0][:, 3:]
        terms = np.exp(-exponents[:, None] * log_x[rows, :2])
        # One problem for each start: what is left above its floor.
        best = np.stack(
            [
                nonnegative_coefficients(basis, y - least, 1.0 / y**2)
                for basis, least in zip(terms, floor, strict=True)
            ]
        )
        least = _LEAST_TERM * y.mean() / terms.mean(axis=1)
        found.append(np.concatenate([np.log(np.maximum(best, least)), exponents], axis=1))
    return np.concatenate(found, axis=1)


def _rescale(n_families: int, theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
    each = [
        CHINCHILLA.rescale(_of(theta, family), log_x_scale[:2], log_y_scale)
        for family in range(n_families)
    ]
    return np.concatenate([each[0], *(one[..., 1:] for one in each[1:])], axis=-1)


def _growths(n_families: int, params: Floats) -> dict[str, Floats]:
    """Exponent a of each family's compute-optimal parameters (`chinchilla.growth`)."""
    return {f"a_{f + 1}": growth(_of(params, f))["a"] for f in range(n_families)}


def shared_floor(n_families: int) -> Law:
    """Returns the law L = E + A_f N^-alpha_f + B_f D^-beta_f of families f = 1, 2, ...

    The irreducible loss is a property of the text, which every family reads. Fitted one by one,
    families that are measured over different ranges have floors of their own, and their exponents
    differ for that alone.

    Args:
        n_families: Number of families.

    Raises:
        ValueError: Fewer than two families.
    """
    if n_families < 2:
        raise ValueError(
            f"n_families = {n_families} shares no floor. Give 2 or more, or fit chinchilla."
        )

    def bound(function: Callable[..., Any]) -> Callable[..., Any]:
        return partial(function, n_families)

    numbers = range(1, n_families + 1)
    own = [f"{name}_{f}" for f in numbers for name in ("A", "B", "alpha", "beta")]
    return Law(
        name=f"shared_floor_{n_families}",
        formula="L = E + A_f N^-alpha_f + B_f D^-beta_f",
        inputs=("N", "D", "family"),
        params=("E", *own),
        logs=frozenset(f"{name}_{f}" for f in numbers for name in ("A", "B")),
        lower=(CHINCHILLA.lower[0], *CHINCHILLA.lower[1:] * n_families),
        upper=(CHINCHILLA.upper[0], *CHINCHILLA.upper[1:] * n_families),
        log_predict=bound(_log_predict),
        jacobian=bound(_jacobian),
        starts=bound(_starts),
        rescale=bound(_rescale),
        unscaled=("family",),
        derived=bound(_growths),
    )


SHARED_FLOOR_2 = shared_floor(2)
"""L = E + A_f N^-alpha_f + B_f D^-beta_f of two families, with one E for both.

Hoffmann et al. 2022, arXiv 2203.15556, equation 2, for each family.
"""
