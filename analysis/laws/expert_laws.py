"""Laws of mixtures of experts in granularity, in sparsity and in the number of experts.

| symbol | meaning | unit |
|---|---|---|
| N | parameters: without embeddings (granular), in all (sparse), of a token (joint_experts) | 1 |
| D | training tokens | 1 |
| G | granularity: by how much experts are narrower than the feed-forward layer | 1 |
| active | 1 - S: share of the experts that a token uses | 1 |
| X | experts, of which a token uses one | 1 |
| Xh | experts that count, from X_start at X = 1 to X_max | 1 |
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.own import Parameter, law_of
from analysis.laws.power_terms import sum_of_powers

_EXPONENTS = (0.05, 0.15, 0.4, 0.8)

GRANULAR = sum_of_powers(
    name="granular",
    formula="L = E + (g G^-gamma + a) N^-alpha + b D^-beta",
    terms={
        "g": {"N": "-alpha", "G": "-gamma"},
        "a": {"N": "-alpha"},
        "b": {"D": "-beta"},
    },
    exponents={"alpha": _EXPONENTS, "gamma": (0.3, 0.8), "beta": _EXPONENTS},
)
"""L = E + (g G^-gamma + a) N^-alpha + b D^-beta; their c is E.

Krajewski et al. 2024, arXiv 2402.07871, equation 9.
"""

SPARSE = sum_of_powers(
    name="sparse",
    formula="L = E + a N^-alpha + b D^-beta + c active^lambda + d active^-delta N^-gamma",
    terms={
        "a": {"N": "-alpha"},
        "b": {"D": "-beta"},
        "c": {"active": "lambda"},
        "d": {"active": "-delta", "N": "-gamma"},
    },
    exponents={
        "alpha": (0.2, 0.6),
        "beta": (0.2, 0.5),
        "lambda": (0.15,),
        "delta": (0.15,),
        "gamma": (0.15,),
    },
)
"""L = E + a N^-alpha + b D^-beta + c active^lambda + d active^-delta N^-gamma.

Abnar et al. 2025, arXiv 2501.12370, equation 6, which writes c / (1 - S)^lambda with a fitted
lambda below 0: here lambda is its opposite.
"""


def counted_experts(experts: Floats, start: Floats, most: Floats) -> Floats:
    """Returns Xh: 1 / Xh = 1 / (X - 1 + k) + 1 / X_max, with 1 / k = 1 / X_start - 1 / X_max.

    Clark et al. 2022, arXiv 2202.01169, equation 1.
    """
    return 1 / (1 / (experts - 1 + 1 / (1 / start - 1 / most)) + 1 / most)


def _joint(n: Floats, d: Floats, experts: Floats, **p: Floats) -> Floats:
    counted = counted_experts(experts, p["X_start"], p["X_max"])
    log = np.log(counted)
    of_n = p["a"] * counted ** p["delta"] * n ** (p["alpha"] + p["gamma"] * log)
    of_d = p["b"] * counted ** p["omega"] * d ** (p["beta"] + p["zeta"] * log)
    return of_n + of_d + p["c"]


_ANY = Parameter((-0.5, 0.5))

JOINT_EXPERTS = law_of(
    _joint,
    name="joint_experts",
    formula="L = a Xh^delta N^(alpha + gamma ln Xh) + b Xh^omega D^(beta + zeta ln Xh) + c",
    inputs=("N", "D", "X"),
    params={
        "c": Parameter((0.5, 2.0), has_unit_of_y=True, bounds=(0.0, np.inf)),
        "a": Parameter((10.0, 300.0), is_log=True, has_unit_of_y=True),
        "alpha": Parameter((-0.5, -0.05)),
        "delta": _ANY,
        "gamma": _ANY,
        "b": Parameter((10.0, 300.0), is_log=True, has_unit_of_y=True),
        "beta": Parameter((-0.5, -0.05)),
        "omega": _ANY,
        "zeta": _ANY,
        "X_start": Parameter((1.0, 5.0), is_log=True),
        "X_max": Parameter((50.0, 1e3), is_log=True),
    },
)
"""L = a Xh^delta N^(alpha + gamma ln Xh) + b Xh^omega D^(beta + zeta ln Xh) + c.

Exponents of N and D are below 0. Ludziejewski et al. 2025, arXiv 2502.05172, equation 6.
"""
