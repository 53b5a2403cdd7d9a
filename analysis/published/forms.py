"""The equations that a published law may name, and constants as papers print them."""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.laws import LAWS
from analysis.laws.expert_laws import GRANULAR, SPARSE
from analysis.laws.law import Law
from analysis.laws.own import Parameter, law_of
from analysis.laws.power_product import GROWTH, RULE, TRANSFER
from analysis.laws.saturating_power_law import SATURATING_POWER_LAW

Constants = Mapping[str, float]


SATURATING_C = SATURATING_POWER_LAW._replace(
    name="saturating_c", formula="L = E + (C_c / C)^alpha", inputs=("C",)
)
"""A floor and a power of compute."""

SHIFTED_C = law_of(
    lambda c, *, E, A, alpha, shift: E + A * (c + shift) ** -alpha,
    name="shifted_c",
    formula="y = E + A (C + shift)^-alpha",
    inputs=("C",),
    params={
        "E": Parameter((0.0, 1.0), has_unit_of_y=True, bounds=(0.0, np.inf)),
        "A": Parameter((0.1, 10.0), is_log=True, has_unit_of_y=True),
        "alpha": Parameter((0.1, 0.8), bounds=(0.0, 10.0)),
        "shift": Parameter((1e-3, 1.0), is_log=True),
    },
)
"""A power of compute that saturates at both ends. Zhai et al. 2021, arXiv 2106.04560, figure 1."""

FORMS: Mapping[str, Law] = LAWS | {
    law.name: law for law in (GROWTH, RULE, TRANSFER, GRANULAR, SPARSE, SATURATING_C, SHIFTED_C)
}
"""Every equation by its name: those that fits know, and those of published laws alone."""


def _one_scale(symbol: str) -> Callable[[Constants], Constants]:
    def found(given: Constants) -> Constants:
        return {"A": given[f"{symbol}_c"] ** given["alpha"], "alpha": given["alpha"]}

    return found


def _kaplan(given: Constants) -> Constants:
    alpha, beta = given["alpha"], given["beta"]
    return {
        "A": given["N_c"] ** alpha, "B": given["D_c"] ** beta, "alpha": alpha, "beta": beta,
    }  # fmt: skip


def _saturating_c(given: Constants) -> Constants:
    alpha = given["alpha"]
    return {"E": given["E"], "A": given["C_c"] ** alpha, "alpha": alpha}


def _routed(given: Constants) -> Constants:
    k = 1 / (1 / given["X_start"] - 1 / given["X_max"])
    return {**{name: given[name] for name in ("a", "b", "c", "d", "X_max")}, "k": k}


_PRINTED: Mapping[str, tuple[tuple[str, ...], Callable[[Constants], Constants]]] = {
    "kaplan_n": (("N_c", "alpha"), _one_scale("N")),
    "kaplan_d": (("D_c", "alpha"), _one_scale("D")),
    "kaplan_c": (("C_c", "alpha"), _one_scale("C")),
    "kaplan": (("N_c", "D_c", "alpha", "beta"), _kaplan),
    "saturating_c": (("E", "C_c", "alpha"), _saturating_c),
    "routed": (("a", "b", "c", "d", "X_start", "X_max"), _routed),
}


def constants_of(law: Law) -> tuple[str, ...]:
    """Returns the names of a law's constants as its paper prints them."""
    return _PRINTED[law.name][0] if law.name in _PRINTED else law.params


def parameters(law: Law, constants: Constants) -> dict[str, float]:
    """Returns a law's parameters from constants as its paper prints them.

    Args:
        law: A law of `FORMS`.
        constants: A number for each name of `constants_of`.
    """
    found = _PRINTED[law.name][1](constants) if law.name in _PRINTED else constants
    return {name: float(found[name]) for name in law.params}
