"""Laws of mixtures of experts in granularity and in sparsity.

| symbol | meaning | unit |
|---|---|---|
| N | parameters: of the model without embeddings (granular), in all (sparse) | 1 |
| D | training tokens | 1 |
| G | granularity: by how much experts are narrower than the feed-forward layer | 1 |
| active | 1 - S: share of the experts that a token uses | 1 |
"""

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
