"""Noise known from elsewhere, row by row, is used in minima, fits and figures."""

import numpy as np
import pandas as pd
import pytest

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.approaches_result import ApproachKind
from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.points import SeedNoise
from analysis.fitting.alternatives import refit_under
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA
from analysis.tables import read


def rows(sd_of=lambda size: 0.01 + 0 * size):
    """Seven sizes about the optimum of four budgets, with noise by size."""
    flops, offset = (
        grid.ravel() for grid in np.meshgrid(1e18 * 4.0 ** np.arange(4), np.linspace(-1.2, 1.2, 7))
    )
    best = (400 / 900) ** (1 / 0.7) * (flops / 6) ** 0.5
    size = best * np.exp(offset)
    tokens = flops / (6 * size)
    loss = 1.8 + 400 * size**-0.35 + 900 * tokens**-0.35
    sd = sd_of(size)
    noise = sd * np.random.default_rng(0).standard_normal(len(size))
    return pd.DataFrame({"N": size, "D": tokens, "C": flops, "loss": loss + noise}), sd


def test_few_degrees_of_freedom_widen_intervals_as_students_t_does():
    table, sd = rows()

    def width(df):
        found = isoflop(table["N"], table["loss"], flops=table["C"], noise=SeedNoise(sd, df))
        a = found.trends.params.exponent
        return a.high - a.low

    # Quantiles of 97.5 %: 1.96 of the normal, 2.57 of t with 5 degrees of freedom.
    assert width(5) / width(np.inf) == pytest.approx(2.57 / 1.96, rel=0.08)


def test_every_point_has_the_noise_of_its_size():
    table, sd = rows(lambda size: 0.004 * (size / 1e8) ** 0.5)
    found = isoflop(table["N"], table["loss"], flops=table["C"], noise=SeedNoise(sd))
    for valley in found.valleys:
        assert valley.loss_sd == pytest.approx(0.004 * (np.array(valley.n_params) / 1e8) ** 0.5)


def test_noise_one_a_row_weighs_the_third_approach_and_spreads_the_second():
    table, sd = rows(lambda size: np.where(size > 3e8, 0.02, 0.002))
    found = {row.kind.title: row for row in three_approaches(table, noise=SeedNoise(sd, 30)).rows}
    weights = sd**-2.0
    linear = Loss(scale="linear")
    squared = fit(CHINCHILLA, table[["N", "D"]], table["loss"], weights=weights, loss=linear)
    assert found["3 squared error"].detail.params == pytest.approx(squared.params, rel=1e-6)
    logs = fit(CHINCHILLA, table[["N", "D"]], table["loss"], weights=(table["loss"] / sd) ** 2)
    weighted = found["3 Huber 0.001"].detail
    assert weighted.params["alpha"] == pytest.approx(logs.params["alpha"], rel=0.5)
    for name in ("2 parabola", "2 Akima"):
        noise = found[name].detail.noise
        assert (noise.source, noise.degrees_of_freedom) == ("given", 30)


def test_noise_one_a_row_does_not_go_with_curves():
    table, sd = rows()
    with pytest.raises(ValueError, match="must be one number"):
        three_approaches(table.assign(run=range(len(table))), curves=True, noise=SeedNoise(sd))
    with pytest.raises(ValueError, match=r"noise has shape \(3,\), not \(28,\)"):
        three_approaches(table, noise=SeedNoise(sd[:3]))


def test_rows_near_given_budgets_keep_their_noise():
    table, sd = rows(lambda size: 0.004 * (size / 1e8) ** 0.5)
    budgets = np.unique(table["C"])[:2]
    found = three_approaches(table, noise=SeedNoise(sd), budgets=budgets)
    valleys = found.of(ApproachKind.PARABOLA).detail.valleys
    assert len(valleys) == 2
    assert valleys[1].loss_sd == pytest.approx(0.004 * (np.array(valleys[1].n_params) / 1e8) ** 0.5)


def test_a_refit_under_another_count_takes_weights(tmp_path):
    table, _ = rows()
    path = tmp_path / "runs.csv"
    table.assign(params_total=table["N"] + 3e6).to_csv(path, index=False)
    source = read.read(path, {"N": "N"})
    weights = np.linspace(1, 5, len(table))
    ((_, found),) = refit_under(fit, CHINCHILLA, source, weights=weights)
    x = np.stack([table["N"] + 3e6, table["D"]], axis=1)
    assert found.params == pytest.approx(fit(CHINCHILLA, x, table["loss"], weights=weights).params)
