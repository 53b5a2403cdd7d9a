"""The equations that a published law may name, and constants as papers print them."""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.estimate import Floats
from analysis.laws import INTERACTION, KAPLAN_C, LAWS
from analysis.laws.expert_laws import JOINT_EXPERTS, SPARSE
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

SATURATING_N = SATURATING_POWER_LAW._replace(
    name="saturating_n", formula="L = E + (N_c / N)^alpha", inputs=("N",)
)
"""A floor and a power of parameters. Henighan et al. 2020, arXiv 2010.14701, equation 1.1."""

POWER_C = KAPLAN_C._replace(name="power_c", formula="L = A C^-alpha")
"""A power of compute, by the loss at C = 1 in its unit."""

SCALED_GROWTH = GROWTH._replace(name="scaled_growth", formula="y = (C / C_0)^a")
"""What grows with compute, by the compute at which it is 1."""


def _outer_growth(params: Floats) -> dict[str, Floats]:
    """Exponents of the best N and D at C = 6 N D: those of the two terms within the sum."""
    alpha, beta = params[..., 3], params[..., 4]
    return {"a": beta / (alpha + beta), "b": alpha / (alpha + beta)}


OUTER_POWER = INTERACTION._replace(
    name="outer_power",
    formula="L = E + (A N^-alpha + B D^-beta)^gamma",
    derived=_outer_growth,
)
"""The interaction law by the constants within its sum. Busbridge et al. 2025, equation 1."""


def _distilled(n: Floats, d: Floats, teacher: Floats, own: Floats, **p: Floats) -> Floats:
    gap = (1 + (teacher / (p["d_1"] * own)) ** (1 / p["f_1"])) ** (-p["c_1"] * p["f_1"])
    terms = p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]
    return teacher + teacher ** -p["c_0"] * gap * terms ** p["gamma"]


def _distilled_growth(params: Floats) -> dict[str, Floats]:
    alpha, beta = params[..., 1], params[..., 3]
    return {"a": beta / (alpha + beta), "b": alpha / (alpha + beta)}


_POSITIVE = Parameter((0.1, 10.0), is_log=True)

DISTILLED = law_of(
    _distilled,
    name="distilled",
    formula="L = L_T + L_T^-c_0 (1 + (L_T / (d_1 L_own))^(1 / f_1))^(-c_1 f_1) "
    "(A N^-alpha + B D^-beta)^gamma",
    inputs=("N", "D", "L_T", "L_own"),
    params=dict.fromkeys(
        ("A", "alpha", "B", "beta", "gamma", "c_0", "c_1", "d_1", "f_1"), _POSITIVE
    ),
    derived=_distilled_growth,
)
"""Loss of a student on a teacher of loss L_T; L_own is what the student reaches without one.

Busbridge et al. 2025, arXiv 2502.08606, equation 8.
"""

BEST_OF_N = law_of(
    lambda n, *, k: k * (np.log(n) - (n - 1) / n),
    name="best_of_n",
    formula="KL = k (ln n - (n - 1) / n), k = 1 in nats",
    inputs=("n",),
    params={"k": Parameter((0.5, 2.0), is_log=True, has_unit_of_y=True)},
)
"""How far the best of n samples is from one of them. Gao et al. 2022, section 2."""

FORMS: Mapping[str, Law] = LAWS | {
    law.name: law
    for law in (
        GROWTH,
        RULE,
        TRANSFER,
        SPARSE,
        JOINT_EXPERTS,
        SATURATING_C,
        SATURATING_N,
        SHIFTED_C,
        POWER_C,
        SCALED_GROWTH,
        OUTER_POWER,
        DISTILLED,
        BEST_OF_N,
    )
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


def _saturating(symbol: str) -> Callable[[Constants], Constants]:
    one_scale = _one_scale(symbol)
    return lambda given: {"E": given["E"], **one_scale(given)}


def _scaled_growth(given: Constants) -> Constants:
    return {"k": given["C_0"] ** -given["a"], "a": given["a"]}


def _outer_power(given: Constants) -> Constants:
    gamma = given["gamma"]
    return {
        "E": given["E"],
        "A": given["A"] ** gamma,
        "B": given["B"] ** gamma,
        "alpha": gamma * given["alpha"],
        "beta": gamma * given["beta"],
        "gamma": gamma,
    }


def _routed(given: Constants) -> Constants:
    k = 1 / (1 / given["X_start"] - 1 / given["X_max"])
    return {**{name: given[name] for name in ("a", "b", "c", "d", "X_max")}, "k": k}


_PRINTED: Mapping[str, tuple[tuple[str, ...], Callable[[Constants], Constants]]] = {
    "kaplan_n": (("N_c", "alpha"), _one_scale("N")),
    "kaplan_d": (("D_c", "alpha"), _one_scale("D")),
    "kaplan_c": (("C_c", "alpha"), _one_scale("C")),
    "kaplan": (("N_c", "D_c", "alpha", "beta"), _kaplan),
    "saturating_c": (("E", "C_c", "alpha"), _saturating("C")),
    "saturating_n": (("E", "N_c", "alpha"), _saturating("N")),
    "scaled_growth": (("C_0", "a"), _scaled_growth),
    "outer_power": (("E", "A", "B", "alpha", "beta", "gamma"), _outer_power),
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
