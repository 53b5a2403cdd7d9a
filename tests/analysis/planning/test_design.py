"""Runs that shrink an interval: the search, what it expects, and what refits then show."""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import CHINCHILLA as CHINCHILLA_TRUTH
from planted import SIZES, TOKENS
from scipy.optimize import least_squares

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import CHINCHILLA, DATA_CONSTRAINED, POWER_LAW
from analysis.planning.best_models import Family, best_models
from analysis.planning.design import Candidates, next_cells, residual_sd
from analysis.planning.design_result import Design
from analysis.planning.design_search import (
    cheapest_to_know,
    gains_in_order,
    root_of,
    variance_after,
)
from analysis.planning.paid_growth import counting_paid
from analysis.planning.quantities import covariance_of, quantity_of
from analysis.planning.training_cost import TrainingCost

TRUTH = np.array(CHINCHILLA_TRUTH)
NOISE = 0.003
FITTED = {"N": SIZES, "D": TOKENS}
FLOPS = 1e21

NEAR = Candidates(fitted=FITTED)


def rows(n_rows: int, seed: int = 0) -> Floats:
    low, high = np.log([[SIZES[0], TOKENS[0]], [SIZES[1], TOKENS[1]]])
    return np.random.default_rng(seed).uniform(low, high, (n_rows, 2))


def planted(log_x: Floats) -> Floats:
    return CHINCHILLA.log_predict(CHINCHILLA.to_theta(TRUTH), log_x)


@pytest.fixture(scope="module")
def result() -> FitResult:
    log_x = rows(60)
    noise = NOISE * np.random.default_rng(1).standard_normal(len(log_x))
    return fit(
        CHINCHILLA, np.exp(log_x), np.exp(planted(log_x) + noise), bootstrap=Bootstrap(n=400)
    )


@pytest.fixture(scope="module")
def design(result: FitResult) -> Design:
    return next_cells(result, FLOPS, quantity="a", candidates=NEAR)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_variance_is_that_of_the_information_matrix(seed: int):
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((4, 4)) * [1.0, 10.0, 0.1, 3.0]
    covariance, jacobian, number = spread.T @ spread, *rng.standard_normal((2, 6, 4))
    root = root_of(covariance)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-9 * covariance.max())
    held = np.linalg.inv(np.linalg.inv(covariance) + jacobian.T @ jacobian / 0.3**2)
    after = variance_after(jacobian @ root / 0.3, root.T @ number[0])
    assert after == pytest.approx(number[0] @ held @ number[0], rel=1e-6)
    gains = gains_in_order(jacobian @ root / 0.3, root.T @ number[0])
    before = number[0] @ covariance @ number[0]
    assert before - gains.sum() == pytest.approx(after, rel=1e-6)
    assert np.all(gains >= 0)


def share_of_the_best(seed: int) -> float:
    """What a plan gains over what the best of all plans gains, on seven candidates."""
    rng = np.random.default_rng(seed)
    candidates, target = rng.standard_normal((7, 3)) * 2, rng.standard_normal(3)
    prices = rng.uniform(0.5, 6.0, 7)
    budget = rng.uniform(prices.min(), 12.0)
    n_runs = int(rng.integers(1, 4))
    chosen = cheapest_to_know(candidates, prices, target, budget, n_runs)
    assert len(chosen) <= n_runs and prices[chosen].sum() <= budget
    every = itertools.chain.from_iterable(
        itertools.combinations_with_replacement(range(7), count) for count in range(n_runs + 1)
    )
    affordable = [list(plan) for plan in every if prices[list(plan)].sum() <= budget]
    left = [variance_after(candidates[plan], target) for plan in affordable]
    return (left[0] - variance_after(candidates[chosen], target)) / (left[0] - min(left))


def test_search_comes_near_the_best_of_all_plans():
    """A search by exchange may stop at a local optimum: it does so rarely, and loses little."""
    shares = [share_of_the_best(seed) for seed in range(200)]
    assert np.median(shares) >= 0.98
    assert np.quantile(shares, 0.02) >= 0.9


def test_a_dear_run_that_tells_nothing_is_not_bought():
    candidates = np.array([[1.0, 0.0], [1.005, 0.0], [0.0, 1.0]])
    prices, target = np.array([1.0, 100.0, 1.0]), np.array([1.0, 0.0])
    chosen = cheapest_to_know(candidates, prices, target, budget=1000.0, n_runs=3)
    assert set(chosen.tolist()) == {0}


def test_errors_before_are_those_of_the_fit(result: FitResult):
    for name, error in result.standard_errors.items():
        found = next_cells(result, FLOPS, quantity=name, candidates=NEAR)
        assert found.before == pytest.approx(error, rel=1e-6)
        assert found.after < found.before
    growth = next_cells(result, FLOPS, quantity="a", candidates=NEAR)
    assert growth.before == pytest.approx(result.derived()["a"].standard_error, rel=0.1)
    loss = next_cells(result, FLOPS, quantity="loss", at={"N": 1e9, "D": 2e10}, candidates=NEAR)
    curves = np.exp(CHINCHILLA.log_predict(result.replicates, np.log([[1e9, 2e10]])))
    assert loss.value == pytest.approx(float(result.predict([[1e9, 2e10]])[0]))
    assert loss.before == pytest.approx(np.std(curves), rel=0.1)


def test_gradients_of_quantities_are_those_in_closed_form(result: FitResult):
    alpha, beta = result.params["alpha"], result.params["beta"]
    expected = np.array([0, 0, 0, -beta, alpha]) / (alpha + beta) ** 2
    np.testing.assert_allclose(quantity_of(result, "a").gradient, expected, atol=1e-8)
    theta = CHINCHILLA.to_theta(np.array([*result.params.values()]))
    steps = 1e-5 * np.eye(5)
    losses = np.exp(best_models(Family(CHINCHILLA, np.vstack([theta + steps, theta - steps])), 1e23)
                    .log_loss)  # fmt: skip
    best = quantity_of(result, "loss", {"C": 1e23})
    np.testing.assert_allclose(best.gradient, (losses[:5] - losses[5:]) / 2e-5, rtol=1e-4)


def test_a_design_keeps_to_what_it_was_allowed(result: FitResult, design: Design):
    assert sum(cell.flops for cell in design.cells) <= FLOPS
    assert sum(cell.runs for cell in design.cells) <= 8
    for cell in design.cells:
        assert SIZES[0] / 3 * 0.999 <= cell.parameters <= 3 * SIZES[1] * 1.001
        assert TOKENS[0] / 3 * 0.999 <= cell.tokens <= 3 * TOKENS[1] * 1.001
        assert cell.flops == pytest.approx(6 * cell.parameters * cell.tokens * cell.runs)
    confined = next_cells(
        result, FLOPS, quantity="a", candidates=Candidates((1e8, 1e9), (1e10, 1e10)), n_cells=3
    )
    assert sum(cell.runs for cell in confined.cells) <= 3
    assert [cell.tokens for cell in confined.cells] == pytest.approx([1e10] * len(confined.cells))
    assert all(0.999e8 < cell.parameters < 1.001e9 for cell in confined.cells)


def test_shares_add_up_and_the_naive_plan_of_equal_cost_is_beaten(design: Design):
    left = 1 - sum(cell.share for cell in design.cells)
    assert left == pytest.approx((design.after / design.before) ** 2, rel=1e-9)
    assert design.naive is not None
    assert design.after < 0.9 * design.naive < design.before


def test_runs_are_priced_by_the_compute_that_was_paid(result: FitResult):
    cost = TrainingCost(6.0, 900.0, 0.3, sizes=SIZES)
    bent = replace(result, law=counting_paid(result.law, cost, FLOPS))
    found = next_cells(bent, FLOPS, quantity="a", candidates=replace(NEAR, cost=cost))
    for cell in found.cells:
        a_token = cell.parameters * (6 + 900 * cell.parameters**-0.3)
        assert cell.flops == pytest.approx(cell.tokens * a_token * cell.runs)
    assert sum(cell.flops for cell in found.cells) <= FLOPS * (1 + 1e-9)
    assert found.value == pytest.approx(float(bent.derived()["a"].value))
    assert "by the table's own count" in found.summary()
    assert found.naive is not None and found.after < found.naive
    # Where the extra cost vanishes, so does the difference.
    same = next_cells(
        result, FLOPS, quantity="a", candidates=replace(NEAR, cost=TrainingCost(6.0, 1e-9, 0.3))
    )
    usual = next_cells(result, FLOPS, quantity="a", candidates=NEAR)
    assert [cell.flops for cell in same.cells] == pytest.approx([c.flops for c in usual.cells])
    assert same.naive == pytest.approx(usual.naive)


def test_the_loss_at_a_compute_is_that_of_the_best_model_it_pays(result: FitResult):
    dear = TrainingCost(60.0)
    found, usual = (
        next_cells(result, FLOPS, quantity="loss", at={"C": at}, candidates=near)
        for at, near in ((1e22, replace(NEAR, cost=dear)), (1e21, NEAR))
    )
    assert found.value == pytest.approx(usual.value)


def test_more_compute_never_expects_less(result: FitResult):
    after = [
        next_cells(result, flops, quantity="E", candidates=NEAR).after
        for flops in (1e19, 1e20, 1e22)
    ]
    # Up to what a plan may give up to be cheaper.
    assert after[1] < after[0] * 1.01 and after[2] < after[1] * 1.01
    assert after[2] < 0.9 * after[0]


@pytest.mark.parametrize(("delta", "above"), [(None, 1.0), (1e-4, 1.0), (5e-3, 1.0), (1e3, 1.0)])
def test_noise_of_a_loss_is_that_of_its_estimate(result: FitResult, delta, above):
    """Absolute error of normal noise is sqrt(pi / 2) as uncertain; Huber's lies between."""
    residuals = NOISE * np.random.default_rng(2).standard_normal(20_000)
    rows_of = replace(
        result,
        residuals=residuals,
        n_points=len(residuals),
        loss=Loss(delta, above),
        objective=float(0.5 * residuals @ residuals),
    )
    expected = {None: 1.0, 1e-4: math.sqrt(math.pi / 2), 5e-3: 1.0, 1e3: 1.0}[delta]
    assert residual_sd(rows_of) / NOISE == pytest.approx(expected, rel=0.05)


def test_a_robust_fit_and_one_with_held_parameters_are_planned_for():
    log_x = rows(60)
    noise = NOISE * np.random.default_rng(1).standard_t(2, size=len(log_x))
    x, y = np.exp(log_x), np.exp(planted(log_x) + noise)
    robust = fit(CHINCHILLA, x, y, loss=Loss(1e-3), bootstrap=Bootstrap(n=400))
    assert (
        next_cells(robust, FLOPS, quantity="a", candidates=NEAR).after
        < (
            next_cells(
                fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=400)),
                FLOPS,
                quantity="a",
                candidates=NEAR,
            )
        ).after
    )
    held = fit(CHINCHILLA, x, y, fixed={"E": 1.8}, bootstrap=Bootstrap(n=400))
    assert np.linalg.matrix_rank(covariance_of(held)) < 5
    known = next_cells(held, FLOPS, quantity="alpha", candidates=NEAR)
    assert 0 < known.after < known.before
    with pytest.raises(ValueError, match="E was held"):
        next_cells(held, FLOPS, quantity="E", candidates=NEAR)


def test_summary_json_and_table_show_the_design(design: Design):
    text = design.summary()
    assert f"{design.before:.3g}" in text and f"{design.after:.3g}" in text
    written = json.loads(design.to_json())
    assert written["cells"][0]["parameters"] == design.cells[0].parameters
    table = design.table()
    assert (table["flops"] * table["runs"]).sum() == pytest.approx(
        sum(cell.flops for cell in design.cells)
    )
    np.testing.assert_allclose(table["flops"], 6 * table["N"] * table["D"])


def test_notes_tell_what_to_distrust(result: FitResult, design: Design):
    assert design.notes == ()
    doubtful = replace(result, verdict=Verdict.BOUND_HIT, reason="E is on its bound.")
    (note,) = next_cells(doubtful, FLOPS, quantity="a", candidates=NEAR).notes
    assert note == "The fit is doubtful (bound_hit): E is on its bound."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flops": -1.0}, r"flops = -1.0.*positive"),
        ({"flops": 1e10}, r"flops = 1e\+10 buys no run: the cheapest, of N = 1.667e\+07 and D"),
        ({"n_cells": 0}, r"n_cells = 0"),
        ({"quantity": "alfa"}, r"no quantity 'alfa': did you mean 'alpha'\?.*loss"),
        ({"quantity": "loss"}, r"at = None.*N=1e9,D=2e10 or C=1e21"),
        ({"quantity": "loss", "at": {"N": 1e9}}, r"at = .*N=1e9,D=2e10"),
        ({"quantity": "loss", "at": {"C": -1.0}}, r"C = -1.0"),
        ({"at": {"C": 1e21}}, r"a target of quantity 'loss'"),
        ({"candidates": Candidates()}, r"sizes of the candidates are not given"),
        (
            {"candidates": Candidates(fitted={"N": SIZES})},
            r"tokens of the candidates are not given",
        ),
        ({"candidates": Candidates(sizes=(1e9, 1e8))}, r"sizes = 1e\+09 to 1e\+08"),
    ],
)
def test_arguments_at_fault_are_named(result: FitResult, change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        next_cells(result, **{"flops": FLOPS, "quantity": "a", "candidates": NEAR, **change})


def test_other_laws_and_fits_without_error_are_refused(result: FitResult):
    with pytest.raises(ValueError, match="power_law is a law of x"):
        next_cells(replace(result, law=POWER_LAW), FLOPS, quantity="a", candidates=NEAR)
    certain = replace(result, objective=0.0, residuals=np.zeros(60))
    with pytest.raises(FitError, match="has almost no uncertainty left to reduce"):
        next_cells(certain, FLOPS, quantity="a", candidates=NEAR)


def test_a_number_that_no_run_of_new_tokens_shows_is_refused(result: FitResult):
    limits = np.log([15.0, 5.0]) + 0.1 * np.random.default_rng(5).standard_normal((400, 2))
    replicates = np.hstack([result.replicates, limits])
    names = (*result.params, "R_D", "R_N")
    values = np.array([*result.params.values(), 15.0, 5.0])
    scale = np.where(DATA_CONSTRAINED.is_log, values, 1.0)
    repeated = replace(
        result,
        law=DATA_CONSTRAINED,
        params=dict(zip(names, values.tolist(), strict=True)),
        replicates=replicates,
        covariance=np.cov(replicates * scale, rowvar=False),
    )
    assert next_cells(repeated, FLOPS, quantity="a", candidates=NEAR).notes == (
        "Every token of these runs counts as new.",
    )
    with pytest.raises(FitError, match=r"No run within the budget.*R_D"):
        next_cells(
            replace(repeated, covariance=np.diag(np.diagonal(repeated.covariance))),
            FLOPS,
            quantity="R_D",
            candidates=NEAR,
        )


def refitted(log_x: Floats, number: Callable[[Floats], float], n_fits: int) -> float:
    """Spread of a number over plain SciPy fits to planted rows with fresh noise."""
    rng, truth, found = np.random.default_rng(7), CHINCHILLA.to_theta(TRUTH), []
    clean = planted(log_x)
    for _ in range(n_fits):
        log_y = clean + NOISE * rng.standard_normal(len(clean))
        fitted = least_squares(
            lambda theta, log_y=log_y: CHINCHILLA.log_predict(theta, log_x) - log_y,
            truth,
            jac=lambda theta, log_y=log_y: CHINCHILLA.jacobian(theta, log_x),
            x_scale="jac",
            xtol=1e-10,
        )
        found.append(number(fitted.x))
    return float(np.std(found))


def log_inputs_of(design: Design) -> Floats:
    table = design.table()
    each = np.log(table[["N", "D"]].to_numpy())
    return np.repeat(each, table["runs"], axis=0)


def naive_inputs(design: Design) -> Floats:
    """One iso-FLOP curve of as many runs and as many FLOPs as the design."""
    n_runs = sum(cell.runs for cell in design.cells)
    product = sum(cell.flops for cell in design.cells) / n_runs / 6
    low = max(SIZES[0] / 3, product / (3 * TOKENS[1]))
    high = min(SIZES[1] * 3, product / (TOKENS[0] / 3))
    log_n = np.linspace(math.log(low), math.log(high), n_runs)
    return np.stack([log_n, math.log(product) - log_n], axis=-1)


NUMBERS: dict[str, Callable[[Floats], float]] = {
    "a": lambda theta: theta[4] / (theta[3] + theta[4]),
    "E": lambda theta: theta[0],
    "loss": lambda theta: float(np.exp(CHINCHILLA.log_predict(theta, np.log([[1e11, 2e12]]))[0])),
}


@pytest.mark.slow
@pytest.mark.parametrize("quantity", NUMBERS)
def test_refits_spread_as_expected_and_less_than_those_of_the_naive_plan(quantity: str):
    log_x = rows(150)
    noise = NOISE * np.random.default_rng(3).standard_normal(len(log_x))
    first = fit(
        CHINCHILLA, np.exp(log_x), np.exp(planted(log_x) + noise), bootstrap=Bootstrap(n=4000)
    )
    at = {"N": 1e11, "D": 2e12} if quantity == "loss" else None
    design = next_cells(first, FLOPS, quantity=quantity, at=at, candidates=NEAR, n_cells=12)
    assert design.naive is not None

    def spread(added: Floats) -> float:
        return refitted(np.vstack([log_x, added]), NUMBERS[quantity], n_fits=800)

    before = spread(np.empty((0, 2)))
    after, naive = spread(log_inputs_of(design)), spread(naive_inputs(design))
    assert design.before == pytest.approx(before, rel=0.15)
    assert design.after == pytest.approx(after, rel=0.15)
    assert design.naive == pytest.approx(naive, rel=0.15)
    assert after < 0.9 * naive
