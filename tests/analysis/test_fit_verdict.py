"""What a fit says of itself."""

import numpy as np
import pytest

from analysis.fit import fit
from analysis.fit_verdict import Verdict, judge
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW
from analysis.optimum import Optimum
from analysis.uncertainty import Bootstrap, Replicates

X = np.geomspace(1e6, 1e9, 12)


def test_a_floor_that_no_data_want_is_a_bound_hit():
    curved_down = np.exp(-0.3 * np.log(X) - 0.01 * np.log(X / 1e6) ** 2)
    result = fit(SATURATING_POWER_LAW, X, curved_down)
    assert result.verdict is Verdict.BOUND_HIT
    assert result.bounds_hit == ("E",)
    assert result.params["E"] == 0.0
    assert "E lies on a bound" in result.reason
    power = fit(POWER_LAW, X, curved_down)
    assert result.params["alpha"] == pytest.approx(power.params["alpha"], rel=1e-7)


def test_a_rising_curve_pins_the_exponent_and_identifies_nothing():
    result = fit(SATURATING_POWER_LAW, X, X**0.2)
    assert result.verdict is Verdict.BOUND_HIT
    assert result.bounds_hit == ("alpha",)
    assert "condition number" in result.reason  # E and A are one number where alpha = 0


def test_an_interval_that_ends_at_a_bound_says_so():
    noise = 0.05 * np.random.default_rng(3).standard_normal(12)
    result = fit(SATURATING_POWER_LAW, X, (0.5 + 30 * X**-0.2) * np.exp(noise))
    assert result.verdict is Verdict.INTERVAL_AT_BOUND
    assert 0 < result.params["E"]
    assert result.intervals["E"][0] == 0.0
    assert "put E on a bound" in result.reason


def sound() -> tuple[Optimum, Replicates]:
    optimum = Optimum(
        theta=np.array([0.0, 0.3]),
        objective=0.1,
        gradient_norm=0.0,
        condition_number=1.0,
        bounds_hit=(),
        n_starts=8,
        n_starts_agreeing=8,
    )
    how = Bootstrap(
        resampling="residuals",
        n_replicates=1000,
        n_unconverged=0,
        n_units=None,
        degrees_of_freedom=3.0,
        seed=0,
    )
    return optimum, Replicates(np.zeros((1000, 2)), np.ones(1000), how)


def test_nothing_doubtful_is_converged():
    verdict, reason = judge(POWER_LAW, *sound(), 0.95)
    assert verdict is Verdict.CONVERGED
    assert "8 of 8 starts" in reason


@pytest.mark.parametrize(
    ("optimum", "how", "expected", "sentence"),
    [
        ({"n_starts_agreeing": 1}, {}, Verdict.STARTS_DISAGREE, "Only 1 of 8 starts"),
        ({"condition_number": 1e9}, {}, Verdict.ILL_CONDITIONED, "1.0e+09"),
        ({}, {"n_unconverged": 50}, Verdict.ILL_CONDITIONED, "50 of 1000 replicates"),
        ({"bounds_hit": ("A",), "n_starts_agreeing": 1}, {}, Verdict.BOUND_HIT, "Only 1 of 8"),
    ],
)
def test_each_doubt_has_its_verdict_and_none_is_left_out(optimum, how, expected, sentence):
    good, replicates = sound()
    worse = replicates._replace(how=Bootstrap(**(vars(replicates.how) | how)))
    verdict, reason = judge(POWER_LAW, good._replace(**optimum), worse, 0.95)
    assert verdict is expected
    assert sentence in reason
