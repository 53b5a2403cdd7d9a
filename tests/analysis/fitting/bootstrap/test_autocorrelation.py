"""Evaluations of one run err together: found in the residuals, and counted on planted curves."""

import numpy as np
import planted
import pytest
from many_fits import fits
from scipy.stats import multivariate_normal

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.bootstrap.autocorrelation import processes_of
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.fitting.engine.optimum import find_optimum
from analysis.fitting.engine.problem import pose
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import KAPLAN, M4, POWER_LAW, SATURATING_POWER_LAW, Law

EVENLY = np.geomspace(1e6, 1e9, 40)
BEYOND = np.array([1.5, 2.0, 3.0, 4.0])
ONE_RUN = np.zeros(40)
TRUTH = {
    POWER_LAW: planted.POWER,
    SATURATING_POWER_LAW: planted.SATURATING,
    M4: (1.5, 6.0, 4e3, 0.45, 0.7),
}


def process(rng: np.random.Generator, gaps: Floats, rho: float) -> Floats:
    """A stationary normal process of variance 1, correlated by `rho^gap`."""
    noise = rng.standard_normal(len(gaps) + 1)
    for row, carried in enumerate(rho**gaps):
        noise[row + 1] = carried * noise[row] + np.sqrt(1 - carried**2) * noise[row + 1]
    return noise


def curve(law: Law, x: Floats, noise: Floats, sigma: float = 0.01) -> Floats:
    theta = law.to_theta(np.array(TRUTH[law]))
    return np.exp(law.log_predict(theta, np.log(x)[:, None]) + sigma * noise)


def run(law: Law, x: Floats, rho: float, seed: int, by_step: bool) -> tuple[Floats, Floats]:
    """A run's losses at x, and at `BEYOND` times the last of them."""
    every = np.concatenate([x, x[-1] * BEYOND])
    where = every if by_step else np.log(every)
    gaps = np.diff(where) / np.diff(where[: len(x)]).mean()
    y = curve(law, every, process(np.random.default_rng([seed, 7]), gaps, rho))
    return y[: len(x)], y[len(x) :]


def test_likelihood_is_that_of_contrasts_that_no_fit_reaches():
    x = np.geomspace(1e6, 1e9, 12) * np.exp(np.random.default_rng(3).uniform(-0.2, 0.2, 12))
    y = curve(POWER_LAW, x, process(np.random.default_rng(0), np.ones(11), 0.6))
    problem = pose(POWER_LAW, observe(POWER_LAW, checked_rows(POWER_LAW, x, y)), Loss())
    found = processes_of(problem, find_optimum(problem).theta)
    assert found is not None
    # Contrasts that are 0 for every line, and their density at the best variance of each process.
    columns = np.stack([np.ones(12), np.log(x)], axis=1)
    contrasts = np.linalg.svd(columns.T)[2][2:]
    expected = []
    for carried, squares in zip(found.carried, found.squares, strict=True):
        r = np.eye(12)
        for i in range(12):
            for j in range(i):
                r[i, j] = r[j, i] = np.prod(carried[j:i])
        within = contrasts @ r @ contrasts.T
        values = contrasts @ np.log(y)
        assert values @ np.linalg.solve(within, values) == pytest.approx(squares, rel=1e-8)
        expected.append(multivariate_normal(np.zeros(10), within * squares / 10).logpdf(values))
    shift = found.log_likelihood - expected
    np.testing.assert_allclose(shift, shift[0], atol=1e-8)
    assert found.degrees_of_freedom == 10 and found.probability.sum() == pytest.approx(1)


def test_one_curve_is_found_and_said():
    y, _ = run(SATURATING_POWER_LAW, EVENLY, 0.8, 0, by_step=False)
    found = fit(SATURATING_POWER_LAW, EVENLY, y, clusters=ONE_RUN)
    assert found.bootstrap.resampling == "curve"
    assert found.bootstrap.correlation == pytest.approx(0.8, abs=0.2)
    assert "rows are treated as evaluations of one run" in found.summary()
    assert FitResult.from_json(found.to_json()).bootstrap == found.bootstrap
    alone = fit(SATURATING_POWER_LAW, EVENLY, y, bootstrap=Bootstrap(kind="residuals"))
    assert found.noise > alone.noise  # a fit takes slow noise from the residuals
    low, high = found.prediction_interval(EVENLY[-1:] * 4)
    narrow_low, narrow_high = alone.prediction_interval(EVENLY[-1:] * 4)
    assert high - low > 1.2 * (narrow_high - narrow_low)


def test_independent_rows_stay_independent():
    kinds = [
        fit(
            POWER_LAW,
            EVENLY,
            curve(POWER_LAW, EVENLY, np.random.default_rng(seed).standard_normal(40)),
            clusters=ONE_RUN,
            bootstrap=Bootstrap(n=200),
        ).bootstrap.resampling
        for seed in range(20)
    ]
    assert kinds.count("curve") <= 6  # 10 to 20 % are expected


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_rows_of_different_runs_are_independent_however_alike_they_err(rho: float):
    kinds = set()
    for seed in range(20):
        y, _ = run(POWER_LAW, EVENLY, rho, seed, by_step=False)
        for clusters in (None, np.arange(40)):
            found = fit(POWER_LAW, EVENLY, y, clusters=clusters, bootstrap=Bootstrap(n=200))
            kinds.add(found.bootstrap.resampling)
    assert "curve" not in kinds


def test_a_factor_of_weights_and_units_move_nothing():
    y, _ = run(POWER_LAW, EVENLY, 0.8, 1, by_step=False)
    here = fit(POWER_LAW, EVENLY, y, clusters=ONE_RUN)
    there = fit(POWER_LAW, 1e-6 * EVENLY, 5 * y, weights=np.full(40, 7.0), clusters=["a run"] * 40)
    assert here.bootstrap.resampling == there.bootstrap.resampling == "curve"
    bands = there.prediction_interval(1e-6 * EVENLY)
    np.testing.assert_allclose(bands, 5 * np.array(here.prediction_interval(EVENLY)), rtol=1e-6)
    assert there.noise == pytest.approx(here.noise)


def test_rows_that_cannot_be_one_curve_are_not_treated_so():
    x = np.repeat(EVENLY, 2)
    y = curve(POWER_LAW, x, np.random.default_rng(0).standard_normal(80))
    asked = Bootstrap(n=200, kind="curve")
    with pytest.raises(ValueError, match=r"'curve'.*several rows share one x"):
        fit(POWER_LAW, x, y, bootstrap=asked)
    with pytest.raises(ValueError, match=r"'curve'.*40 cluster"):
        fit(POWER_LAW, x, y, clusters=x, bootstrap=asked)
    with pytest.raises(ValueError, match=r"'curve'.*3 degrees of freedom, fewer than 4"):
        fit(POWER_LAW, x[:10:2], y[:10:2], bootstrap=asked)
    plane = planted.runs(40)
    with pytest.raises(ValueError, match=r"'curve'.*kaplan takes 2 inputs"):
        fit(KAPLAN, plane, planted.chinchilla_loss(*plane.T), bootstrap=asked)
    exact = curve(POWER_LAW, EVENLY, np.zeros(40))
    assert fit(POWER_LAW, EVENLY, exact, bootstrap=asked).bootstrap.resampling == "residuals"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "n_rows", "by_step", "n_curves"),
    [
        (POWER_LAW, 20, False, 400),
        (POWER_LAW, 100, True, 200),
        (SATURATING_POWER_LAW, 20, False, 400),
        (SATURATING_POWER_LAW, 40, False, 400),
        (SATURATING_POWER_LAW, 100, True, 100),
        (M4, 24, False, 40),
    ],
)
def test_bands_hold_90_to_97_percent_of_what_lies_beyond(
    law: Law, n_rows: int, by_step: bool, n_curves: int
):
    x = np.linspace(2e7, 1e9, n_rows) if by_step else np.geomspace(1e6, 1e9, n_rows)
    rhos = (0.5, 0.7, 0.85, 0.95)
    runs = [run(law, x, rhos[number % 4], number, by_step) for number in range(n_curves)]
    sets = [(x, y, np.zeros(len(x))) for y, _ in runs]
    inside = []
    for found, (_, beyond) in zip(fits(law, TRUTH[law], sets), runs, strict=True):
        low, high = found.prediction_interval(x[-1] * BEYOND)
        inside.append((low <= beyond) & (beyond <= high))
    by_rho = np.reshape(inside, (-1, 4, 4)).mean(axis=(0, 2))
    assert 0.90 <= np.mean(inside) <= 0.97, by_rho
