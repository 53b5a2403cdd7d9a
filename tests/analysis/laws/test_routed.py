"""The law of routed models says what its paper says of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimate import Floats
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict
from analysis.laws import ROUTED, Law
from analysis.laws.routed import effective_parameters

RNG = np.random.default_rng(0)
EXPERTS = np.exp(RNG.uniform(np.log([1e7, 1.0]), np.log([2e9, 512.0]), (80, 2)))
CLARK = (-0.082, -0.108, 0.009, 1.104, 1.86, 314.5)


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_it_computes_its_equation():
    n, x = EXPERTS.T
    a, b, c, d, k, most = CLARK
    first = 1 / (1 / k + 1 / most)
    counted = 1 / (1 / (x - 1 + 1 / (1 / first - 1 / most)) + 1 / most)
    log10 = a * np.log10(n) + (b + c * np.log10(n)) * np.log10(counted) + d
    np.testing.assert_allclose(curve(ROUTED, CLARK, EXPERTS), 10**log10, rtol=1e-12)
    assert ROUTED.derived(np.array(CLARK))["X_start"] == pytest.approx(first)


def test_experts_count_from_x_start_to_x_max_and_fewer_than_one_count_as_one():
    x = np.array([[1e8, 0.2], [1e8, 1.0], [1e8, 1e12]])
    a, b, c, d, k, most = CLARK
    first = 1 / (1 / k + 1 / most)
    expected = [a * 8 + (b + c * 8) * np.log10(counted) + d for counted in (first, first, most)]
    np.testing.assert_allclose(np.log10(curve(ROUTED, CLARK, x)), expected, rtol=1e-9)


@given(log10_n=st.floats(6, 11), log2_x=st.floats(0, 12))
@settings(deadline=None, max_examples=25)
def test_a_dense_model_of_the_effective_size_is_as_good(log10_n, log2_x):
    n, x = 10**log10_n, 2**log2_x
    effective = float(effective_parameters(np.array(CLARK), n, x))
    dense, routed = curve(ROUTED, CLARK, np.array([[effective, 1.0], [n, x]]))
    assert dense == pytest.approx(routed, rel=1e-10)


def test_experts_cease_to_help_at_the_cutoff():
    cutoff = float(ROUTED.derived(np.array(CLARK))["N_cutoff"])
    assert cutoff == pytest.approx(1e12)
    for n, helps in ((cutoff / 10, True), (cutoff * 10, False)):
        one, many = curve(ROUTED, CLARK, np.array([[n, 1.0], [n, 64.0]]))
        assert (many < one) == helps
    assert effective_parameters(np.array(CLARK), cutoff, 64.0) == pytest.approx(cutoff)
    never = ROUTED.derived(np.array([-0.08, -0.1, -0.01, 1.0, 2.0, 300.0]))
    assert np.isnan(never["N_cutoff"])


@pytest.mark.medium
def test_without_saturation_x_max_is_not_known():
    rows = EXPERTS[EXPERTS[:, 1] < 30]
    truth = (*CLARK[:5], 1e5)
    noise = np.exp(0.001 * np.random.default_rng(3).standard_normal(len(rows)))
    result = fit(ROUTED, rows, curve(ROUTED, truth, rows) * noise)
    assert result.verdict in (Verdict.BOUND_HIT, Verdict.INTERVAL_AT_BOUND)
    assert "X_max" in result.reason
