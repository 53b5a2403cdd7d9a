"""The over-training law: loss from compute and tokens per parameter.

| symbol | meaning | unit |
|---|---|---|
| C | training compute | FLOPs |
| M | tokens per parameter, D / N | 1 |
| E | irreducible loss | that of L |
| a, b | terms that grow and fall with M, at C = M = 1 | that of L C^alpha |
| alpha | exponent of the reducible loss in compute, the same at every M | none |
| eta | exponent of both terms in M | none |
| M_opt | M of least loss, whatever the compute | 1 |
| lambda | reducible loss at C = 1 and M = M_opt | that of L C^alpha |

The law is even in log(M / M_opt):

    a M^eta + b M^-eta = lambda cosh(eta log(M / M_opt)),
    M_opt = (b / a)^(1 / (2 eta)),    lambda = 2 sqrt(a b).

So eta and -eta with a and b exchanged have one curve, and eta >= 0 picks one of the two. Rows on
one side of M_opt show it only by the bend of the curve: alpha is then known as well as otherwise,
M_opt many times worse. At eta = 0 there is no M_opt, and a and b are not identifiable.
"""

import numpy as np

from analysis.estimate import Floats
from analysis.laws.power_terms import sum_of_powers


def _derived(params: Floats) -> dict[str, Floats]:
    """M_opt, where `a M^eta = b M^-eta`, and lambda; M_opt is not a number at eta = 0."""
    _, a, b, _, eta = np.moveaxis(np.asarray(params, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        optimal = np.exp((np.log(b) - np.log(a)) / np.where(eta > 0, 2 * eta, np.nan))
        return {"M_opt": optimal, "lambda": 2 * np.sqrt(a) * np.sqrt(b)}


OVER_TRAINING = sum_of_powers(
    name="over_training",
    formula="L = E + (a M^eta + b M^-eta) C^-alpha",
    terms={"a": {"C": "-alpha", "M": "eta"}, "b": {"C": "-alpha", "M": "-eta"}},
    exponents={"alpha": (0.05, 0.12, 0.25, 0.5), "eta": (0.05, 0.15, 0.35, 0.8)},
    derived=_derived,
)
"""L = E + (a M^eta + b M^-eta) C^-alpha, with E >= 0, a, b > 0 and exponents from 0 to 10.

Gadre et al. 2024, arXiv 2403.08540. With eta = alpha and C = 6 N D it is the Chinchilla law with
both exponents 2 alpha, A = a 6^-alpha and B = b 6^-alpha, which is what their code fits
(mlfoundations/scaling@a003c49, `powlaw_ours`).
"""
