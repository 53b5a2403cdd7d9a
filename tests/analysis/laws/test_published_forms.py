"""Equations of published laws that fits take too: their Jacobians, and what they recover."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws.expert_laws import SPARSE
from analysis.laws.power_product import RULE, TRANSFER

CASES = {
    "transfer": (TRANSFER, (1.9e4, 0.18, 0.38), ((1e5, 1e8), (1e6, 1e9))),
    "rule": (RULE, (1.79, -0.713, 0.307), ((1e8, 1e10), (1e9, 1e11))),
    "sparse": (
        SPARSE,
        (0.94, 16612.5, 5455.67, 0.4598, 17.26, 0.5962, 0.3954, 0.1666, 0.1603, 0.1595),
        ((1e7, 1e10), (1e9, 1e11), (0.02, 1.0)),
    ),
}


def rows(ranges):
    low, high = np.log(ranges).T
    return np.exp(np.random.default_rng(0).uniform(low, high, (80, len(low))))


@pytest.mark.parametrize(("law", "params", "ranges"), CASES.values(), ids=CASES)
def test_jacobians_are_central_differences(law, params, ranges):
    log_x = np.log(rows(ranges))
    theta = law.to_theta(np.array(params))
    for column, direction in enumerate(np.eye(len(theta))):
        ends = [law.log_predict(theta + sign * 1e-6 * direction, log_x) for sign in (1, -1)]
        expected = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(law.jacobian(theta, log_x)[:, column], expected, rtol=1e-5,
                                   atol=1e-7)  # fmt: skip


@pytest.mark.parametrize("name", ["transfer", "rule"])
def test_planted_products_are_recovered(name):
    law, params, ranges = CASES[name]
    x = rows(ranges)
    y = np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))
    found = fit(law, x, y, bootstrap=Bootstrap(n=200))
    np.testing.assert_allclose(list(found.params.values()), params, rtol=1e-8)
