"""Laws of a model's shape: loss from width, depth and tokens.

| symbol | meaning | unit |
|---|---|---|
| width | width of the residual stream, w | 1 |
| depth | layers, h | 1 |
| D | training tokens | 1 |
| N | parameters | 1 |
| E | irreducible loss | that of L |
| A, B, G, P | reducible loss at width, depth, D, N = 1 | that of L, width^alpha, ... |
| alpha, beta, gamma, delta | exponents | none |

Where all models have one aspect ratio, width and depth rise together and their terms are not
identifiable; likewise the term of N where N is computed from both. The condition number of a fit
shows it.
"""

from analysis.laws.power_terms import sum_of_powers

_START_EXPONENTS = (0.15, 0.4, 1.0)
_SHAPE = {"A": {"width": "-alpha"}, "B": {"depth": "-beta"}, "G": {"D": "-gamma"}}

WIDTH_DEPTH = sum_of_powers(
    name="width_depth",
    formula="L = E + A width^-alpha + B depth^-beta + G D^-gamma",
    terms=_SHAPE,
    exponents=dict.fromkeys(("alpha", "beta", "gamma"), _START_EXPONENTS),
)
"""L = E + A width^-alpha + B depth^-beta + G D^-gamma, with E >= 0 and exponents from 0 to 10.

McLeish et al. 2025 (Gemstones), arXiv 2502.06857.
"""

WIDTH_DEPTH_N = sum_of_powers(
    name="width_depth_n",
    formula=f"{WIDTH_DEPTH.formula} + P N^-delta",
    terms=_SHAPE | {"P": {"N": "-delta"}},
    exponents=dict.fromkeys(("alpha", "beta", "gamma", "delta"), _START_EXPONENTS),
)
"""The law `width_depth` with a term P N^-delta in the number of parameters."""
