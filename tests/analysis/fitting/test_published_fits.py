"""Laws fitted to published points give the published numbers, or say where those fall short."""

import csv

import numpy as np
import pytest
from published_data import published_path
from scipy.optimize import minimize

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import CHINCHILLA, DATA_CONSTRAINED

DELTA = 1e-3


def columns(file_name: str, *names: str) -> list[Floats]:
    """Columns of a published file."""
    with published_path(file_name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [np.array([float(row[name]) for row in rows]) for name in names]


def points(n_dropped: int = 5) -> tuple[Floats, Floats, Floats]:
    """N and D in columns, losses, FLOPs; without the largest losses."""
    names = ("Model Size", "Training FLOP", "loss")
    n, flops, losses = columns("chinchilla_digitised.csv", *names)
    kept = np.argsort(losses, kind="stable")[: len(losses) - n_dropped]
    n, flops, losses = n[kept], flops[kept], losses[kept]
    return np.stack([n, flops / (6 * n)], axis=1), losses, flops


@pytest.fixture(scope="module")
def besiroglu() -> FitResult:
    x, y, _ = points()
    return fit(CHINCHILLA, x, y, loss=Loss(DELTA), bootstrap=Bootstrap(kind="rows", n=4000))


@pytest.mark.medium
def test_besiroglu_2024_table(besiroglu: FitResult):
    # arXiv 2404.10102: E 1.817, alpha 0.348, beta 0.366 by a scale mixture; the optimum of the
    # Huber objective itself, by the authors' own grid, is this.
    assert besiroglu.objective <= 0.00101828
    assert besiroglu.params["alpha"] == pytest.approx(0.3473, abs=5e-5)
    assert besiroglu.params["beta"] == pytest.approx(0.3672, abs=5e-5)
    assert besiroglu.params["E"] == pytest.approx(1.8172, abs=5e-5)
    assert besiroglu.verdict is Verdict.CONVERGED
    assert besiroglu.n_starts_agreeing == besiroglu.n_starts


@pytest.mark.medium
def test_besiroglu_2024_standard_errors_and_intervals(besiroglu: FitResult):
    for name, published in {"E": 0.026, "alpha": 0.015, "beta": 0.021}.items():
        assert besiroglu.standard_errors[name] == pytest.approx(published, rel=0.1)
    exponent = besiroglu.derived()["a"]
    assert exponent.value == pytest.approx(0.513, abs=0.002)
    assert exponent.standard_error == pytest.approx(0.020, rel=0.1)
    published_intervals = {"E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415)}
    for name, interval in published_intervals.items():
        width = interval[1] - interval[0]
        np.testing.assert_allclose(besiroglu.intervals[name], interval, atol=0.05 * width)


def test_the_authors_grid_of_starts_finds_no_other_minimum(besiroglu: FitResult):
    x, y, _ = points()
    grid = np.meshgrid(
        np.exp([-1.0, 0.0, 1.0]),
        np.exp([0.0, 10.0, 25.0]),
        np.exp([0.0, 10.0, 25.0]),
        [0.0, 1.0, 2.0],
        [0.0, 1.0, 2.0],
    )
    starts = np.stack([axis.ravel() for axis in grid], axis=1)
    result = fit(CHINCHILLA.starting_at(starts), x, y, loss=Loss(DELTA), bootstrap=Bootstrap(n=200))
    assert result.n_starts == 3**5
    assert result.n_starts_agreeing == result.n_starts
    assert result.objective == pytest.approx(besiroglu.objective, rel=1e-9)


def test_hoffmann_2022_is_not_the_optimum_of_its_own_objective(besiroglu: FitResult):
    x, y, _ = points()
    published = {
        0.0041210: [1.69, 406.4, 410.7, 0.34, 0.28],
        0.0012312: [*np.exp([0.5267228, 6.0073404, 6.0179186]), 0.33917084, 0.2849083],
    }
    for objective, params in published.items():
        theta = CHINCHILLA.to_theta(np.array(params))
        residuals = np.log(y) - CHINCHILLA.log_predict(theta, np.log(x))
        found = Loss(DELTA).value(residuals).sum()
        assert found == pytest.approx(objective, abs=5e-8)
        assert found > 1.2 * besiroglu.objective


def test_five_largest_losses_move_beta():
    x, y, _ = points(n_dropped=0)
    result = fit(CHINCHILLA, x, y, loss=Loss(DELTA), bootstrap=Bootstrap(n=200))
    assert result.objective == pytest.approx(0.00182601, abs=5e-9)
    expected = {"E": 1.891338, "alpha": 0.349313, "beta": 0.453049}
    for name, value in expected.items():
        assert result.params[name] == pytest.approx(value, abs=2e-5)


def test_variable_projection_gives_every_digit_of_the_published_squared_error_fit():
    x, y, flops = points()
    few = flops < 1e21
    assert few.sum() == 217
    result = fit(
        CHINCHILLA,
        x[few] / [1e6, 1e9],
        y[few],
        loss=Loss(scale="linear"),
        bootstrap=Bootstrap(n=200),
    )
    shown = {name: f"{value:.4f}" for name, value in result.params.items()}
    assert shown == {
        "E": "1.9051",
        "A": "4.0005",
        "B": "1.0509",
        "alpha": "0.3511",
        "beta": "0.4587",
    }
    assert f"{result.residuals @ result.residuals:.6f}" == "0.062414"
    assert f"{result.derived()['a'].value:.4f}" == "0.5665"
    every = fit(
        CHINCHILLA, x / [1e6, 1e9], y, loss=Loss(scale="linear"), bootstrap=Bootstrap(n=200)
    )
    assert f"{every.residuals @ every.residuals:.6f}" == "0.083204"
    assert every.params["beta"] == pytest.approx(0.427621, abs=5e-7)


def test_log_loss_on_the_same_rows_gives_its_published_fit_too():
    x, y, flops = points()
    few = flops < 1e21
    result = fit(CHINCHILLA, x[few] / [1e6, 1e9], y[few], bootstrap=Bootstrap(n=200))
    expected = {"E": 1.8926, "A": 4.0146, "B": 1.0571, "alpha": 0.3522, "beta": 0.4430}
    for name, value in expected.items():
        assert result.params[name] == pytest.approx(value, abs=5.1e-5)


def test_replicates_are_those_that_scipy_finds_for_the_same_draws(besiroglu: FitResult):
    x, y, _ = points()
    estimate = CHINCHILLA.to_theta(np.array(list(besiroglu.params.values())))
    for seed in range(3):
        drawn = np.random.default_rng(seed).integers(0, len(y), len(y))
        found = fit(CHINCHILLA, x[drawn], y[drawn], loss=Loss(DELTA), bootstrap=Bootstrap(n=200))

        def objective(scaled: np.ndarray, drawn=drawn) -> float:
            residuals = np.log(y[drawn]) - CHINCHILLA.log_predict(
                estimate * scaled, np.log(x[drawn])
            )
            return float(Loss(DELTA).value(residuals).sum()) * 1e3

        alone = minimize(objective, np.ones(5), method="Nelder-Mead", options={"maxfev": 4000})
        assert found.objective <= alone.fun / 1e3 * (1 + 1e-9)
        assert found.objective >= alone.fun / 1e3 * 0.98


def test_every_parameter_of_the_published_points_is_identified(besiroglu: FitResult):
    for name, profile in profile_likelihood(besiroglu).items():
        low, high = profile.interval
        assert profile.identifiable
        assert low < besiroglu.params[name] < high


@pytest.mark.slow
def test_muennighoff_2023_is_not_the_optimum_of_its_own_objective():
    n, tokens, unique, losses = columns(
        "data_constrained_c4.csv", "params", "tokens", "unique_tokens", "val_loss"
    )
    x = np.stack([n, tokens, tokens / unique], axis=1)
    scales = np.exp([0.6254804, 6.255414, 7.3049974])
    published = np.array([*scales, 0.3526596, 0.3526596, 15.387756, 5.309743])
    theta = DATA_CONSTRAINED.to_theta(published)
    residuals = np.log(losses) - DATA_CONSTRAINED.log_predict(theta, np.log(x))
    assert Loss(DELTA).value(residuals).sum() == pytest.approx(0.0158259, abs=5e-8)
    # All seven parameters free, where the paper had fixed five.
    result = fit(DATA_CONSTRAINED, x, losses, loss=Loss(DELTA), bootstrap=Bootstrap(n=200))
    assert result.objective < 0.5 * 0.0158259
    assert result.verdict is Verdict.BOUND_HIT
    assert result.bounds_hit == ("R_N",)
