"""Very many rows: a sample finds the basin, and the limit of redrawn rows gives the intervals."""

import numpy as np
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.bootstrap import sandwich
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA, POWER_LAW, SATURATING_POWER_LAW

MANY = sandwich.FROM + 5_000
TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.347, "beta": 0.367}


def planted(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, d = 10 ** rng.uniform(7, 10, n_rows), 10 ** rng.uniform(9, 12, n_rows)
    loss = TRUTH["E"] + TRUTH["A"] * n ** -TRUTH["alpha"] + TRUTH["B"] * d ** -TRUTH["beta"]
    return np.stack([n, d], axis=1), loss * np.exp(0.01 * rng.standard_normal(n_rows))


@pytest.mark.parametrize("delta", [None, 1e-3])
def test_many_rows_recover_a_planted_law(delta):
    x, y = planted(MANY)
    result = fit(CHINCHILLA, x, y, loss=Loss(delta))
    assert result.bootstrap.resampling == "sandwich"
    assert result.n_starts_agreeing == result.n_starts
    for name, value in TRUTH.items():
        assert abs(result.params[name] - value) < 4 * result.standard_errors[name]


@pytest.mark.slow
@pytest.mark.parametrize("delta", [None, 0.01])
def test_sandwich_has_the_spread_of_refits_to_redrawn_rows(delta):
    x, y = planted(3_000)
    limit = fit(CHINCHILLA, x, y, loss=Loss(delta), bootstrap=Bootstrap(kind="sandwich", n=4000))
    refits = fit(CHINCHILLA, x, y, loss=Loss(delta), bootstrap=Bootstrap(kind="rows", n=1000))
    for name in TRUTH:
        assert limit.standard_errors[name] == pytest.approx(refits.standard_errors[name], rel=0.1)


def test_rows_of_a_cluster_are_drawn_together():
    rng = np.random.default_rng(1)
    x = np.tile(np.geomspace(1e6, 1e9, 20), 100)
    unit = np.repeat(np.arange(100), 20)
    y = x**-0.1 * np.exp(0.05 * rng.standard_normal(100)[unit] + 1e-4 * rng.standard_normal(2000))
    together = fit(POWER_LAW, x, y, clusters=unit, bootstrap=Bootstrap(kind="sandwich", n=4000))
    # A shift of whole curves leaves the slope alone, and moves log A by 0.05 / sqrt(100).
    assert together.standard_errors["A"] / together.params["A"] == pytest.approx(0.005, rel=0.2)
    alone = fit(POWER_LAW, x, y, bootstrap=Bootstrap(kind="sandwich", n=4000))
    assert alone.standard_errors["alpha"] > 10 * together.standard_errors["alpha"]


@pytest.mark.parametrize("seed", range(3))
def test_clusters_alike_give_intervals_and_fewer_than_five_none(seed):
    """Gradients of two kinds of clusters span one direction of three."""
    x, unit = np.tile(np.geomspace(1e6, 1e9, 20), 6), np.repeat(np.arange(6), 20)
    noise = np.tile(0.01 * np.random.default_rng(seed).standard_normal((2, 20)), (3, 1)).ravel()
    y, redraw = (1.5 + 300 * x**-0.3) * np.exp(noise), Bootstrap(kind="sandwich")
    found = fit(SATURATING_POWER_LAW, x, y, clusters=unit, bootstrap=redraw)
    for name, (low, high) in found.intervals.items():
        assert 0 < low < found.params[name] < high < np.inf
    with pytest.raises(FitError, match="4 clusters are too few"):
        fit(SATURATING_POWER_LAW, x, y, clusters=unit % 4, bootstrap=redraw)


def test_an_estimate_on_its_bound_stays_there():
    x = np.geomspace(1e6, 1e9, 500)
    y = 30 * x**-0.1 * np.exp(-0.002 * np.log(x / 3e7) ** 2)  # bends down: no floor
    result = fit(SATURATING_POWER_LAW, x, y, bootstrap=Bootstrap(kind="sandwich"))
    assert result.bounds_hit == ("E",)
    assert result.intervals["E"] == (0.0, 0.0)


def test_a_curve_that_some_change_leaves_alone_is_refused():
    x, y = planted(2_000)
    x[:, 1] = x[:, 0]
    with pytest.raises(FitError, match="not identifiable"):
        fit(
            CHINCHILLA,
            x,
            np.exp(0.0 * y) + 400 * x[:, 0] ** -0.347,
            bootstrap=Bootstrap(kind="sandwich"),
        )
