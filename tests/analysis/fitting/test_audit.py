"""An audit reports published constants that are not the optimum of their own objective."""

import csv

import numpy as np
import pytest
from published_data import published_path

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.audit import audit, audit_by, objective_of
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA, DATA_CONSTRAINED, POWER_LAW, SATURATING_POWER_LAW

X = np.geomspace(1e6, 1e9, 30)
Y = (1.7 + 300 * X**-0.35) * np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
FEW = Bootstrap(n=200, kind="rows")


def columns(file_name: str, *names: str) -> list[Floats]:
    """Columns of a published file."""
    with published_path(file_name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [np.array([float(row[name]) for row in rows]) for name in names]


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("delta", [None, 0.005])
def test_objective_at_the_parameters_of_a_fit_is_that_of_the_fit(scale, delta: float | None):
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 30)
    choices = {"weights": weights, "loss": Loss(delta, 0.5, scale)}
    result = fit(SATURATING_POWER_LAW, X, Y, bootstrap=FEW, **choices)
    found = objective_of(SATURATING_POWER_LAW, result.params, X, Y, **choices)
    assert found == pytest.approx(result.objective, rel=1e-10)
    moved = {**result.params, "alpha": result.params["alpha"] + 1e-3}
    assert objective_of(SATURATING_POWER_LAW, moved, X, Y, **choices) > found


def test_the_optimum_passes_and_a_constant_out_of_place_does_not():
    result = fit(SATURATING_POWER_LAW, X, Y, bootstrap=FEW)
    passed = audit(SATURATING_POWER_LAW, result.params, X, Y, bootstrap=FEW)
    assert passed.is_optimum
    assert passed.ratio == pytest.approx(1.0, abs=1e-9)
    assert passed.outside == ()
    assert "are the optimum of their objective" in passed.reason

    moved = {**result.params, "alpha": 1.05 * result.params["alpha"]}
    failed = audit(SATURATING_POWER_LAW, moved, X, Y, bootstrap=FEW)
    assert not failed.is_optimum
    assert failed.objective == objective_of(SATURATING_POWER_LAW, moved, X, Y)
    assert failed.refit.objective == pytest.approx(result.objective, rel=1e-9)
    assert "alpha" in failed.outside
    assert "not the optimum of their objective" in failed.reason
    # With the others held, only the exponent is moved back.
    held = audit(SATURATING_POWER_LAW, moved, X, Y, free=["alpha"], bootstrap=FEW)
    assert held.refit.fixed == ("E", "A")
    assert held.refit.params["alpha"] == pytest.approx(result.params["alpha"], rel=1e-6)
    assert held.outside == ("alpha",)
    assert "E, A held" in held.reason


def test_constants_that_are_missing_or_unknown_are_named():
    with pytest.raises(ValueError, match=r"params has no alpha\. Give each of E, A, alpha"):
        objective_of(SATURATING_POWER_LAW, {"E": 1.0, "A": 3.0}, X, Y)
    with pytest.raises(ValueError, match="'a' is no parameter"):
        objective_of(SATURATING_POWER_LAW, {"E": 1.0, "A": 3.0, "a": 0.3}, X, Y)
    with pytest.raises(ValueError, match=r"E = -1.0.*at least 0"):
        objective_of(SATURATING_POWER_LAW, {"E": -1.0, "A": 3.0, "alpha": 0.3}, X, Y)
    params = {"E": 1.0, "A": 3.0, "alpha": 0.3}
    with pytest.raises(ValueError, match="'beta' is no parameter"):
        audit(SATURATING_POWER_LAW, params, X, Y, free=["beta"])
    with pytest.raises(ValueError, match="nothing is left to fit"):
        audit(SATURATING_POWER_LAW, params, X, Y, free=[])


def test_hoffmann_2022_is_found_out():
    n, flops, losses = columns("chinchilla_digitised.csv", "Model Size", "Training FLOP", "loss")
    kept = np.argsort(losses, kind="stable")[:-5]
    n, flops, losses = n[kept], flops[kept], losses[kept]
    x = np.stack([n, flops / (6 * n)], axis=1)
    # arXiv 2203.15556, TeX source; the objective is that of Besiroglu et al., arXiv 2404.10102.
    constants = [*np.exp([0.5267228, 6.0073404, 6.0179186]), 0.33917084, 0.2849083]
    published = dict(zip(CHINCHILLA.params, constants, strict=True))
    found = audit(CHINCHILLA, published, x, losses, loss=Loss(1e-3))
    assert found.objective == pytest.approx(0.0012312, abs=5e-8)
    assert found.refit.objective == pytest.approx(0.00101827402, abs=5e-12)
    assert not found.is_optimum
    assert {"B", "beta", "E"} <= set(found.outside)
    rounded = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    assert objective_of(CHINCHILLA, rounded, x, losses, loss=Loss(1e-3)) == pytest.approx(
        0.0041210, abs=5e-8
    )


@pytest.mark.slow
def test_muennighoff_2023_is_nearly_the_optimum_of_what_it_fitted_and_far_from_that_of_all():
    n, tokens, unique, losses = columns(
        "data_constrained_c4.csv", "params", "tokens", "unique_tokens", "val_loss"
    )
    x = np.stack([n, tokens, tokens / unique], axis=1)
    e, a, b = np.exp([0.6254804, 6.255414, 7.3049974])
    held = {"E": e, "A": a, "B": b, "alpha": 0.3526596, "beta": 0.3526596}
    published = {**held, "R_D": 15.387756, "R_N": 5.309743}
    choices = {"loss": Loss(1e-3), "bootstrap": FEW}
    two = audit(DATA_CONSTRAINED, published, x, losses, free=("R_D", "R_N"), **choices)
    assert two.objective == pytest.approx(0.0158259, abs=5e-8)
    assert two.refit.objective == pytest.approx(0.0158047, abs=5e-8)
    assert two.refit.fixed == ("E", "A", "B", "alpha", "beta")
    assert two.ratio == pytest.approx(1.00135, abs=1e-5)
    seven = audit(DATA_CONSTRAINED, published, x, losses, **choices)
    assert seven.refit.objective == pytest.approx(0.0066, abs=5e-5)
    assert seven.ratio > 2
    assert not seven.is_optimum


def test_rows_of_runs_are_judged_by_a_fit_that_knows_them():
    run = np.repeat(np.arange(8), 5)
    x = np.geomspace(1e6, 1e9, 40)
    shift = 0.05 * np.random.default_rng(3).standard_normal(8)
    y = 30 * x**-0.1 * np.exp(shift[run])
    together = fit(POWER_LAW, x, y, clusters=run, bootstrap=FEW)
    published = {"A": 30.0, "alpha": 0.1}
    found = audit_by(together, published)
    assert found.objective == pytest.approx(audit(POWER_LAW, published, x, y).objective)
    assert found.refit.bootstrap.n_clusters == 8
    assert found.outside == ()
