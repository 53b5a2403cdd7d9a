"""The optimum under the cost that runs paid, against brute force and simulated iso-FLOP minima."""

import numpy as np
import pandas as pd
import pytest

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.approaches_result import ApproachKind
from analysis.compute_optimal.points import SeedNoise
from analysis.estimate import Bootstrap
from analysis.planning.training_cost import TrainingCost, fit_cost

BUDGETS = 1e18 * 4.0 ** np.arange(5)


def cost_of(size, k):
    """FLOPs a token."""
    return 6 * size * (1 + k / size**0.3)


def loss_of(size, flops, k):
    return 1.8 + 400 * size**-0.36 + 900 * (flops / cost_of(size, k)) ** -0.3


def best(flops, k):
    """N* by brute force."""
    log_n = np.linspace(np.log(1e6), np.log(1e12), 400_001)
    return float(np.exp(log_n[np.argmin(loss_of(np.exp(log_n), flops, k))]))


def table(k, sd=1e-5):
    centre = np.array([best(flops, k) for flops in BUDGETS])
    size = (centre[:, None] * np.exp(np.linspace(-1, 1, 9))).ravel()
    flops = np.repeat(BUDGETS, 9)
    noise = sd * np.random.default_rng(0).standard_normal(len(size))
    loss = loss_of(size, flops, k) + noise
    return pd.DataFrame({"N": size, "D": flops / cost_of(size, k), "C": flops, "loss": loss})


@pytest.mark.parametrize("k", [20.0, 150.0, 600.0, -40.0])
def test_the_optimum_is_that_of_brute_force_and_of_isoflop_minima(k):
    found = three_approaches(
        table(k), noise=SeedNoise(1e-5), flops=BUDGETS[-1], span=2.2, bootstrap=Bootstrap(n=200)
    )
    fitted, minima = found.of(ApproachKind.SQUARED), found.of(ApproachKind.PARABOLA)
    assert fitted.optimal_params.value == pytest.approx(best(BUDGETS[-1], k), rel=2e-3)
    middle = float(np.exp(np.log(BUDGETS).mean()))
    local = np.log(best(middle * 2, k) / best(middle / 2, k)) / np.log(4)
    assert fitted.exponents.params.exponent.value == pytest.approx(local, abs=1e-3)
    assert fitted.exponents.params.at(middle).value == pytest.approx(best(middle, k), rel=2e-3)
    assert minima.optimal_params.value == pytest.approx(fitted.optimal_params.value, rel=0.02)
    tokens = BUDGETS[-1] / cost_of(fitted.optimal_params.value, k)
    ratio = tokens / fitted.optimal_params.value
    assert fitted.tokens_per_param.value == pytest.approx(ratio, rel=4e-3)
    assert any("takes this C, extrapolated" in note for note in found.notes)


def test_the_cost_is_that_planted_and_goes_on_beyond_the_sizes():
    size, tokens = np.geomspace(1e7, 1e9, 12), np.full(12, 1e9)
    cost = fit_cost(size, tokens, cost_of(size, 150.0) * tokens)
    far = np.array([1e6, 1e8, 1e11])
    assert cost.ratio(np.log(far)) == pytest.approx(cost_of(far, 150.0) / far, rel=1e-6)
    step = 1e-4
    rise = np.log(cost_of(far * np.exp(step), 150.0) / cost_of(far * np.exp(-step), 150.0))
    assert cost.slope(np.log(far)) == pytest.approx(rise / (2 * step), rel=1e-6)


@pytest.mark.parametrize("k", [6.0, 9.0])
def test_one_multiple_of_n_d_stays_one(k):
    size, tokens = np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e10, 5)
    cost = fit_cost(size, tokens, k * size * tokens)
    assert cost.extra == 0 and cost.per_product == pytest.approx(k, rel=1e-12)
    assert np.all(cost.slope(np.log(size)) == 1)


@pytest.mark.parametrize("served", [0.0, 3e9])
@pytest.mark.parametrize(("extra", "power"), [(0.0, 1.0), (120.0, 0.3), (5e4, 0.9), (-40.0, 0.3)])
def test_the_size_of_a_budget_spends_it(extra, power, served):
    cost = TrainingCost(6.0, extra, power)
    log_n, log_d = np.linspace(np.log(1e6), np.log(1e12), 41), np.linspace(15, 30, 41)
    n, d = np.exp(log_n), np.exp(log_d)
    budget = np.log(n * (6 * d + 2 * served + extra * d * n**-power))
    assert cost.log_budget(log_n, log_d, served) == pytest.approx(budget, rel=1e-12)
    assert cost.log_size(log_d, budget, served) == pytest.approx(log_n, rel=1e-10)


@pytest.mark.parametrize("cost", [TrainingCost(), TrainingCost(6.0, 40.0, 0.5)])
def test_the_cost_of_sizes_beyond_float64_is_no_warning(cost):
    found = cost.ratio(np.array([-1e5, 0.0, 1e5]))
    beyond = np.inf if cost.extra else 6.0
    np.testing.assert_array_equal(found, [beyond, 6.0 + cost.extra, 6.0])
