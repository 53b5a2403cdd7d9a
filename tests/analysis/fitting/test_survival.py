"""Delays of runs of which some end before the event: planted laws, and what would be lost."""

import numpy as np
import pytest

from analysis.errors import FitError
from analysis.fitting.survival import fit_delays

INVERSE_DECAYS = np.repeat([1.0, 2.0, 3.0, 5.0], 4)


def watched(delay, ends, every=50.0):
    """What is known of delays from evaluations at even steps, by runs of a length."""
    until = np.ceil(delay / every) * every
    return np.where(until > ends, ends, until - every), np.where(until > ends, np.inf, until)


def drawn(seed, exponent=1.0, scatter=0.1):
    noise = np.random.default_rng(seed).standard_normal(len(INVERSE_DECAYS))
    return 1000 * INVERSE_DECAYS**exponent * np.exp(scatter * noise)


def test_a_planted_law_without_scatter_is_found_to_the_grid():
    law = fit_delays(INVERSE_DECAYS, *watched(drawn(0, 1.2, 0.0), 1e9, every=1.0))
    assert law.exponent.value == pytest.approx(1.2, abs=1e-3)
    assert law.scale.value == pytest.approx(1000, rel=1e-3)
    assert (law.n_events, law.n_censored) == (16, 0)
    assert law.at(4.0) == pytest.approx(1000 * 4**1.2, rel=2e-3)


def test_runs_that_end_before_the_event_are_counted():
    """Half of the slowest runs end before: leaving them out makes the law too flat."""
    found, without = [], []
    for seed in range(40):
        after, until = watched(drawn(seed, scatter=0.4), 4500.0)
        found.append(fit_delays(INVERSE_DECAYS, after, until).exponent.value)
        seen = np.isfinite(until)
        without.append(fit_delays(INVERSE_DECAYS[seen], after[seen], until[seen]).exponent.value)
    assert np.mean(found) == pytest.approx(1.0, abs=0.06)
    assert np.mean(without) < 0.9


@pytest.mark.medium
def test_intervals_cover():
    inside, foreseen = [], []
    for seed in range(300):
        law = fit_delays(INVERSE_DECAYS, *watched(drawn(seed), 5500.0))
        inside.append(law.exponent.low <= 1 <= law.exponent.high)
        low, high = law.next_at(9.0)
        new = 9000 * np.exp(0.1 * np.random.default_rng(1000 + seed).standard_normal())
        foreseen.append(low <= new <= high)
    assert 0.92 <= np.mean(inside) <= 0.98
    assert 0.92 <= np.mean(foreseen) <= 0.99


def test_runs_that_all_cross_between_two_evaluations_leave_a_finite_interval():
    after, until = np.array([800.0, 900.0, 3200.0]), np.array([900.0, 1000.0, 3300.0])
    law = fit_delays([1.0, 1.0, 1 / 0.3], after, until)
    assert 0 < law.exponent.low < law.exponent.value < law.exponent.high < 3
    assert law.scatter > 0


def test_too_few_events_are_refused():
    with pytest.raises(FitError, match="2 of 4 runs saw the event, at 1 conditions"):
        fit_delays([1.0, 1.0, 2.0, 2.0], [8, 8, 9, 9], [9, 9, np.inf, np.inf])
