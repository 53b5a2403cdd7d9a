"""Growth under the cost that was paid, against minima found by brute force."""

import numpy as np
import pytest

from analysis.estimate import Floats
from analysis.laws import CHINCHILLA, CHINCHILLA_TIED, DATA_CONSTRAINED, POWER_LAW, Law
from analysis.planning.paid_growth import counting_paid
from analysis.planning.training_cost import SIX_N_D, TrainingCost

PAID = TrainingCost(6.0, 900.0, 0.3)
LAWS = {
    CHINCHILLA: (1.8, 480.0, 2100.0, 0.35, 0.37),
    CHINCHILLA_TIED: (1.8, 480.0, 2100.0, 0.36),
    DATA_CONSTRAINED: (1.8, 480.0, 2100.0, 0.35, 0.37, 15.0, 5.0),
}


def best(params: tuple[float, ...], cost: TrainingCost, flops: float) -> tuple[float, float]:
    """Log N* and log D* on a fine grid of sizes, refined by a parabola."""
    alpha, beta = params[3], params[4] if len(params) > 4 else params[3]
    log_n = np.linspace(np.log(1e6), np.log(1e13), 400_001)
    log_d = np.log(flops / cost.ratio(log_n)) - log_n
    loss = params[1] * np.exp(-alpha * log_n) + params[2] * np.exp(-beta * log_d)
    at = int(np.argmin(loss))
    _, slope, height = np.polyfit(np.arange(-50, 51), loss[at - 50 : at + 51], 2)[::-1][[0, 1, 2]]
    step = -slope / (2 * height) * (log_n[1] - log_n[0])
    size = log_n[at] + step
    return float(size), float(np.log(flops / cost.ratio(size)) - size)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("flops", [1e19, 1e23])
def test_exponents_are_the_slopes_of_the_optimum(law: Law, flops: float):
    params = LAWS[law]
    found = counting_paid(law, PAID, flops).derived(np.array(params))
    low, middle, high = (best(params, PAID, flops * factor) for factor in (0.5, 1.0, 2.0))
    slopes: Floats = (np.array(high) - low) / np.log(4)
    assert [found["a"], found["b"]] == pytest.approx(slopes.tolist(), abs=2e-4)
    assert np.log(found["G"] * (flops / 6) ** found["a"]) == pytest.approx(middle[0], abs=1e-4)
    # Many at once give the same.
    both = counting_paid(law, PAID, flops).derived(np.array([params, params]))
    np.testing.assert_array_equal(both["a"], [found["a"]] * 2)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_cost_that_hardly_bends_gives_the_closed_form(law: Law):
    nearly = TrainingCost(6.0, 1e-9, 0.3)
    found = counting_paid(law, nearly, 1e21).derived(np.array(LAWS[law]))
    closed = law.derived(np.array(LAWS[law]))
    assert {name: float(each) for name, each in found.items()} == pytest.approx(
        {name: float(each) for name, each in closed.items()}, rel=1e-7
    )


def test_other_laws_and_the_usual_cost_stay_as_they_are():
    assert counting_paid(CHINCHILLA, SIX_N_D, 1e21) is CHINCHILLA
    assert counting_paid(POWER_LAW, PAID, 1e21) is POWER_LAW
