"""The Chinchilla law with one exponent for parameters and tokens.

| symbol | meaning | unit |
|---|---|---|
| N | parameters | 1 |
| D | training tokens | 1 |
| E | irreducible loss | that of L |
| A, B | reducible loss at N = 1, at D = 1 | that of L, times N^alpha, D^alpha |
| alpha | exponent of both | none |
"""

from analysis.estimate import Floats
from analysis.laws.chinchilla import growth
from analysis.laws.power_terms import sum_of_powers


def _growth(params: Floats) -> dict[str, Floats]:
    """`growth` of the free law; a = b = 1/2, and D_opt / N_opt = 1 / G^2 whatever the compute."""
    return growth(params[..., [0, 1, 2, 3, 3]])


CHINCHILLA_TIED = sum_of_powers(
    name="chinchilla_tied",
    formula="L = E + A N^-alpha + B D^-alpha",
    terms={"A": {"N": "-alpha"}, "B": {"D": "-alpha"}},
    exponents={"alpha": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)},
    derived=_growth,
)
"""L = E + A N^-alpha + B D^-alpha: tokens per parameter that do not change with compute.

Muennighoff et al. 2023, arXiv 2305.16264, use it with alpha = beta = 0.353.
"""
