"""Noise of the bootstrap: its size, its structure, its degrees of freedom, and its percentiles."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares

from analysis.estimate import Bootstrap, Redrawn
from analysis.fitting.bootstrap.replicates import draw_replicates, percentile_interval
from analysis.fitting.bootstrap.resampling import Noise, noise_of
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import Observations, checked_rows, observe
from analysis.fitting.engine.optimum import find_optimum
from analysis.fitting.engine.problem import pose
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW

N_SEEDS = 6
SIZES = np.geomspace(1e6, 1e9, 8)


def power_law_rows(x: np.ndarray, y: np.ndarray, **columns) -> Observations:
    return observe(POWER_LAW, checked_rows(POWER_LAW, x, y, **columns))


def rows_of_seeds(sigma: float | np.ndarray = 0.05, clusters: bool = False) -> Observations:
    x = np.repeat(SIZES, N_SEEDS)
    noise = np.random.default_rng(0).standard_normal(len(x)) * sigma
    labels = np.tile(np.arange(N_SEEDS), len(SIZES)) if clusters else None
    return power_law_rows(x, 30 * x**-0.1 * np.exp(noise), clusters=labels)


def noise_for(rows: Observations, kind: Redrawn) -> tuple[Noise, np.ndarray]:
    problem = pose(POWER_LAW, rows, Loss())
    theta = find_optimum(problem).theta
    return noise_of(kind, problem, theta), problem.residuals(theta)


def test_pooled_residuals_are_centred_with_the_unbiased_variance():
    x = np.geomspace(1e6, 1e9, 7)
    noise = 0.1 * np.random.default_rng(2).standard_normal(7)
    source, residuals = noise_for(power_law_rows(x, x**-0.2 * np.exp(noise)), "residuals")
    assert source.degrees_of_freedom == 5
    pool = np.unique(source.draw(np.random.default_rng(0), 200))
    assert len(pool) == 7
    assert pool.mean() == pytest.approx(0.0, abs=1e-12)
    assert np.mean(pool**2) == pytest.approx(residuals @ residuals / 5)


def test_repeats_draw_from_their_own_input_with_its_unbiased_variance():
    spread = np.repeat(np.geomspace(0.01, 1.0, 8), N_SEEDS)
    rows = rows_of_seeds(spread)
    source, residuals = noise_for(rows, "within_x")
    drawn = source.draw(np.random.default_rng(0), 4000)
    grouped = residuals.reshape(8, N_SEEDS)
    for row in (0, 20, 47):
        group = row // N_SEEDS
        assert len(np.unique(drawn[:, row])) == N_SEEDS
        assert drawn[:, row].mean() == pytest.approx(
            grouped[group].mean(), abs=4 * grouped[group].std(ddof=1) / np.sqrt(4000)
        )
        assert drawn[:, row].var() == pytest.approx(grouped[group].var(ddof=1), rel=0.1)


def test_welch_degrees_of_freedom_lie_between_one_group_and_all():
    equal = noise_for(rows_of_seeds(), "within_x")[0].degrees_of_freedom
    spread = np.repeat([5.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], N_SEEDS)
    one_noisy = noise_for(rows_of_seeds(spread), "within_x")[0].degrees_of_freedom
    assert N_SEEDS - 1 <= one_noisy < N_SEEDS - 0.9
    assert 2 * (N_SEEDS - 1) < equal <= 8 * (N_SEEDS - 1)


def test_clusters_flip_as_one_and_keep_their_residuals():
    rows = rows_of_seeds(clusters=True)
    source, residuals = noise_for(rows, "clusters")
    assert source.degrees_of_freedom == pytest.approx(N_SEEDS - 1)
    assert rows.clusters is not None
    drawn = source.draw(np.random.default_rng(0), 2000)
    columns = np.stack([np.ones(len(residuals)), rows.log_x[:, 0]], axis=1)
    for cluster in range(N_SEEDS):
        own = rows.clusters == cluster
        # Residuals about the line that the other clusters give, times one of Webb's six numbers.
        line = np.linalg.lstsq(columns[~own], rows.log_y[~own], rcond=None)[0]
        factors = drawn[:, own] / (rows.log_y[own] - columns[own] @ line)
        np.testing.assert_allclose(factors, factors[:, :1] * np.ones(8), rtol=1e-6)
        np.testing.assert_allclose(
            np.unique(factors[:, 0].round(6)),
            np.sqrt([1.5, 1, 0.5, 0.5, 1, 1.5]) * np.repeat([-1, 1], 3),
            atol=1e-6,
        )
        assert abs(factors[:, 0].mean()) < 0.1


def test_replicates_are_the_fits_that_scipy_makes_of_the_same_draws():
    law = SATURATING_POWER_LAW
    x = np.repeat(SIZES, N_SEEDS)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(x))
    rows = observe(law, checked_rows(law, x, (1.7 + 300 * x**-0.35) * np.exp(noise)))
    problem = pose(law, rows, Loss())
    theta = find_optimum(problem).theta
    n_replicates, seed = 25, 5
    bootstrap = Bootstrap(n=n_replicates, seed=seed, kind="within_x")
    replicates = draw_replicates(problem, theta, bootstrap)
    # The same draws, made and fitted row by row.
    fitted = law.log_predict(theta, rows.log_x)
    source = noise_of("within_x", problem, theta)
    rng = np.random.default_rng(seed)
    df = source.degrees_of_freedom
    scale = np.sqrt(df / rng.chisquare(df, n_replicates))
    np.testing.assert_array_equal(scale, replicates.noise_scale)
    redrawn = fitted + scale[:, None] * source.draw(rng, n_replicates)
    for replicate in range(n_replicates):
        alone = least_squares(
            lambda theta, log_y: law.log_predict(theta, rows.log_x) - log_y,
            theta,
            args=(redrawn[replicate],),
            bounds=(law.lower, law.upper),
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
        )
        np.testing.assert_allclose(replicates.theta[replicate], alone.x, rtol=1e-4, atol=1e-5)


def test_replicates_follow_students_t_where_the_law_is_linear():
    rng = np.random.default_rng(4)
    x = np.geomspace(1e6, 1e9, 200)
    rows = power_law_rows(x, x**-0.2 * np.exp(0.1 * rng.standard_normal(200)))
    problem = pose(POWER_LAW, rows, Loss())
    theta = find_optimum(problem).theta
    made = draw_replicates(problem, theta, Bootstrap(n=4000, kind="residuals"))
    deviations = (made.theta[:, 1] - theta[1]) / np.sqrt(made.covariance(theta)[1, 1])
    df = made.how.degrees_of_freedom
    assert df == 198
    assert stats.kstest(deviations, stats.t(df).cdf).pvalue > 1e-3


def test_blocks_of_replicates_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch):
    rows = rows_of_seeds(clusters=True)
    problem = pose(POWER_LAW, rows, Loss())
    theta = find_optimum(problem).theta
    bootstrap = Bootstrap(n=300, seed=1, kind="clusters")
    at_once = draw_replicates(problem, theta, bootstrap)
    monkeypatch.setattr("analysis.fitting.bootstrap.replicates._BLOCK", 1000)
    blocks = draw_replicates(problem, theta, bootstrap)
    np.testing.assert_allclose(blocks.theta, at_once.theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_replicates", [200, 399])
def test_percentile_interval_covers_an_exchangeable_truth_exactly(n_replicates: int):
    # Truth and replicates from one distribution: for uniform ones the expected length of the
    # interval is its coverage, and k-th order statistics have mean k / (n + 1).
    uniform = np.arange(1, n_replicates + 1) / (n_replicates + 1)
    low, high = percentile_interval(uniform[:, None], 0.95)
    assert high[0] - low[0] == pytest.approx(0.95, abs=1e-12)


def test_parametric_noise_is_normal_with_the_unbiased_variance_and_heeds_weights():
    x = np.geomspace(1e6, 1e9, 7)
    noise = 0.1 * np.random.default_rng(2).standard_normal(7)
    weights = np.array([1.0, 4.0, 1.0, 1.0, 9.0, 1.0, 1.0])
    rows = power_law_rows(x, x**-0.2 * np.exp(noise), weights=weights)
    source, residuals = noise_for(rows, "parametric")
    assert source.degrees_of_freedom == 5
    sigma = np.sqrt(rows.weights @ residuals**2 / 5 / rows.weights)
    drawn = source.draw(np.random.default_rng(0), 4000)
    for row in range(7):
        assert stats.kstest(drawn[:, row], stats.norm(0, sigma[row]).cdf).pvalue > 1e-3


def test_parametric_noise_under_huber_is_that_of_its_density():
    loss, rng = Loss(0.01), np.random.default_rng(0)
    residuals = 0.03 * rng.standard_t(3, 400)
    x = np.geomspace(1e6, 1e9, 400)
    # Held at its own slope the law is its level: the residuals are those given.
    problem = pose(POWER_LAW, power_law_rows(x, np.exp(residuals)), loss, {"alpha": 0.0})
    residuals = problem.residuals(np.zeros(1))
    source = noise_of("parametric", problem, np.zeros(1))
    drawn = source.draw(rng, 100).ravel()
    # The mean loss of draws is that of the residuals, but for the degrees of freedom.
    mean_loss = loss.value(residuals).sum() / 399
    assert loss.value(drawn).mean() == pytest.approx(mean_loss, rel=0.02)
    # The density falls by the loss over s^2, whichever s: log counts against the loss are a line.
    counts, edges = np.histogram(np.abs(drawn), bins=np.linspace(0, 0.1, 41))
    middles = (edges[1:] + edges[:-1]) / 2
    slope, intercept = np.polyfit(loss.value(middles), np.log(counts), 1)
    expected = np.exp(intercept + slope * loss.value(middles))
    assert slope < 0
    assert np.max(np.abs(counts - expected) / np.sqrt(expected)) < 5
    assert np.mean(drawn > 0) == pytest.approx(0.5, abs=0.01)
