"""Budgets to models: optima, the cost of leaving them, inference loads, intervals, bad input."""

import json
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import numpy as np
import planted
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws import (
    CHINCHILLA,
    CHINCHILLA_TIED,
    DATA_CONSTRAINED,
    INTERACTION,
    KAPLAN,
    OVER_TRAINING,
    POWER_LAW,
    Law,
)
from analysis.laws.chinchilla import compute_optimal, growth
from analysis.planning.allocate import allocate, laws_of
from analysis.planning.allocation import Allocation
from analysis.planning.allocation_curves import growth_table, penalty_table
from analysis.planning.best_models import Family, Models, best_models, cheapest_models
from analysis.planning.device_prices import PEAK_FLOPS, Accelerator, accelerator
from analysis.plots.allocation import allocation_figure

TRUTH = np.array(planted.CHINCHILLA)
FLOPS = 1e22
SERVED = 2e12


def excess_of(params: Floats, factor: float) -> float:
    """Share by which reducible loss grows off the optimum, in closed form.

    The terms a and b of the optimum become a factor^-alpha + b factor^beta, at any compute.
    """
    optimal, step = growth(params), math.log(factor)
    of_n, of_d = np.expm1(-params[3] * step), np.expm1(params[4] * step)
    return float(optimal["a"] * of_n + optimal["b"] * of_d)


def compute_ratio_of(params: Floats, factor: float) -> float:
    """Compute over what the optimum needs: 1 + excess to the power 1/alpha + 1/beta."""
    return math.exp((1 / params[3] + 1 / params[4]) * math.log1p(excess_of(params, factor)))


def over_trained(params: Floats, flops: float, served: float) -> tuple[float, float]:
    """N and D of least 6 N D + 2 N T at the optimum's loss, in closed form up to one root.

    Of N = N_opt u and D = D_opt v with a u^-alpha + b v^-beta = 1 the cost is u v + u t up to a
    factor, t = T / (3 D_opt). With q = alpha A N^-alpha / (beta B D^-beta), equal loss makes
    u = ((1 + a (q - 1)) / q)^(1/alpha) and v = (1 + a (q - 1))^(1/beta), and the cost is least
    where (q - 1) v = t.
    """
    best, share = compute_optimal(params, flops), float(growth(params)["a"])
    alpha, beta = params[3:]
    load = served / (3 * float(best.tokens))

    def imbalance(log_more: float) -> float:
        return log_more + math.log1p(share * math.exp(log_more)) / beta - math.log(load)

    lower = math.log(load) - math.log1p(share * load) / beta - 1e-6
    more = math.exp(brentq(imbalance, lower, math.log(load) + 1e-9, xtol=1e-14))
    u = ((1 + share * more) / (1 + more)) ** (1 / alpha)
    return float(best.parameters) * u, float(best.tokens) * (1 + share * more) ** (1 / beta)


def one(law: Law, params: Floats, unique_tokens: float | None = None) -> Family:
    return Family(law, law.to_theta(np.asarray(params, dtype=np.float64))[None], unique_tokens)


def off(family: Family, best: Models, factor: float) -> Floats:
    shift = math.log(factor)
    return family.log_loss(np.arange(len(best.log_n)), best.log_n + shift, best.log_d - shift)


@pytest.fixture(scope="module")
def exact() -> FitResult:
    x = planted.runs(60)
    return fit(CHINCHILLA, x, planted.chinchilla_loss(*x.T), bootstrap=Bootstrap(n=200))


@pytest.fixture(scope="module")
def noisy() -> FitResult:
    x = planted.runs(60)
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(len(x)))
    return fit(CHINCHILLA, x, planted.chinchilla_loss(*x.T) * noise, bootstrap=Bootstrap(n=400))


@pytest.fixture(scope="module")
def allocation(noisy: FitResult) -> Allocation:
    return allocate(noisy, FLOPS, inference_tokens=SERVED)


def test_optimum_of_a_planted_law_is_its_minimum_in_closed_form(exact: FitResult):
    found, best = allocate(exact, FLOPS), compute_optimal(TRUTH, FLOPS)
    n, d = found.parameters.value, found.tokens.value
    # A minimum of values is found to the root of their precision.
    assert n == pytest.approx(best.parameters, rel=1e-5)
    assert found.loss.value == pytest.approx(best.loss, rel=1e-9)
    assert 6 * n * d == pytest.approx(FLOPS, rel=1e-9)
    assert found.tokens_per_parameter.value == pytest.approx(d / n, rel=1e-9)
    sizes = n * np.exp(np.linspace(-5, 5, 2001))
    assert np.all(planted.chinchilla_loss(sizes, FLOPS / (6 * sizes)) >= found.loss.value - 1e-9)


def test_one_exponent_for_both_grows_both_alike():
    truth = np.array([1.8, 480.0, 2100.0, 0.35, 0.35])
    x = planted.runs(60)
    result = fit(
        CHINCHILLA_TIED, x, planted.chinchilla_loss(*x.T, truth), bootstrap=Bootstrap(n=200)
    )
    small, large = allocate(result, 1e20), allocate(result, 1e24)
    assert large.parameters.value / small.parameters.value == pytest.approx(100, rel=1e-5)
    assert large.tokens.value / small.tokens.value == pytest.approx(100, rel=1e-5)
    free = compute_optimal(truth, 1e20)
    assert small.parameters.value == pytest.approx(free.parameters, rel=1e-5)
    assert small.loss.value == pytest.approx(free.loss, rel=1e-9)


@pytest.mark.medium
@settings(deadline=None, max_examples=30)
@given(
    exponents=st.tuples(st.floats(0.05, 1.0), st.floats(0.05, 1.0)),
    factor=st.floats(0.1, 10.0).filter(lambda factor: abs(math.log(factor)) > 0.01),
    log_flops=st.floats(40.0, 60.0),
)
def test_costs_of_leaving_the_optimum_are_those_in_closed_form(exponents, factor, log_flops):
    params, compute = np.array([0.0, 480.0, 2100.0, *exponents]), math.exp(log_flops)
    family, closed = one(CHINCHILLA, params), compute_optimal(params, compute)
    assume(1e3 < closed.parameters < compute / 6e3)
    best = best_models(family, compute)
    assert best.log_n[0] == pytest.approx(math.log(closed.parameters), abs=1e-5)
    assert best.log_loss[0] == pytest.approx(math.log(closed.loss), abs=1e-9)
    log_loss = off(family, best, factor)
    excess = math.expm1(float(log_loss[0] - best.log_loss[0]))
    assert excess == pytest.approx(excess_of(params, factor), rel=1e-3, abs=1e-9)
    needed, log_compute = cheapest_models(family, log_loss, 0.0, best)
    ratio = compute / math.exp(log_compute[0])
    assert ratio > 1
    assert ratio == pytest.approx(compute_ratio_of(params, factor), rel=1e-4)
    assert needed.log_loss[0] == pytest.approx(log_loss[0], abs=1e-9)


def test_half_and_twice_the_size_are_models_of_the_law(exact: FitResult):
    found = allocate(exact, FLOPS)
    assert [off.factor for off in found.off] == [0.5, 2.0]
    for off in found.off:
        n, d = off.factor * found.parameters.value, found.tokens.value / off.factor
        loss = float(planted.chinchilla_loss(n, d))
        assert off.loss.value == pytest.approx(loss, rel=1e-9)
        assert off.excess_loss.value == pytest.approx(loss - found.loss.value, rel=1e-6)
        assert allocate(exact, FLOPS / off.compute_ratio.value).loss.value == pytest.approx(
            loss, rel=1e-9
        )


@pytest.mark.medium
@settings(deadline=None, max_examples=30)
@given(
    exponents=st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)),
    log_load=st.floats(-5.0, 8.0),
    log_flops=st.floats(40.0, 60.0),
)
def test_over_trained_model_is_that_in_closed_form(exponents, log_load, log_flops):
    params, compute = np.array([0.0, 480.0, 2100.0, *exponents]), math.exp(log_flops)
    family, best = one(CHINCHILLA, params), best_models(one(CHINCHILLA, params), compute)
    served = math.exp(log_load) * float(compute_optimal(params, compute).tokens)
    n, d = over_trained(params, compute, served)
    assume(n > 10)
    found, log_total = cheapest_models(family, best.log_loss, served, best)
    assert found.log_loss[0] == pytest.approx(best.log_loss[0], abs=1e-9)
    assert math.exp(log_total[0]) == pytest.approx(6 * n * d + 2 * n * served, rel=1e-6)
    assert (found.log_n[0], found.log_d[0]) == pytest.approx((math.log(n), math.log(d)), abs=1e-4)


@pytest.mark.parametrize(
    ("law", "params"),
    [
        (INTERACTION, [1.7, 500.0, 1500.0, 0.34, 0.3, 0.7]),
        (KAPLAN, [11.2, 20.0, 0.076, 0.103]),
        (DATA_CONSTRAINED, [1.87, 520.0, 1490.0, 0.353, 0.353, 15.4, 5.3]),
    ],
)
@pytest.mark.parametrize("compute", [1e19, 1e24])
def test_any_law_of_both_has_the_optimum_of_a_scalar_search(law, params, compute):
    family = one(law, params, 1e10 if law is DATA_CONSTRAINED else None)
    best = best_models(family, compute)

    def loss(log_n: float) -> float:
        log_d = math.log(compute / 6) - log_n
        return float(family.log_loss(np.array([0]), np.array([log_n]), np.array([log_d]))[0])

    grid = np.linspace(1, math.log(compute / 6) - 1, 4001)
    near = float(grid[np.argmin([loss(log_n) for log_n in grid])])
    oracle = minimize_scalar(loss, bracket=(near - 0.05, near, near + 0.05), tol=1e-10)
    assert best.log_loss[0] == pytest.approx(oracle.fun, abs=1e-12)
    assert best.log_n[0] == pytest.approx(oracle.x, abs=1e-4)


def test_sums_under_a_power_have_the_optimum_of_the_sum():
    """Joined terms are least where their sum is, which is a Chinchilla law without E."""
    gamma, flops = 0.7, 1e22
    joined = [1.7, 500.0, 1500.0, 0.34, 0.3, gamma]
    bracket = np.array([0, 500.0 ** (1 / gamma), 1500.0 ** (1 / gamma), 0.34 / gamma, 0.3 / gamma])
    expected, family = compute_optimal(bracket, flops), one(INTERACTION, joined)
    best = best_models(family, flops)
    assert best.log_n[0] == pytest.approx(math.log(expected.parameters), abs=1e-5)
    assert math.exp(best.log_loss[0]) == pytest.approx(1.7 + expected.loss**gamma, rel=1e-9)
    _, log_compute = cheapest_models(family, off(family, best, 2.0), 0.0, best)
    assert flops / math.exp(log_compute[0]) == pytest.approx(
        compute_ratio_of(bracket, 2.0), rel=1e-4
    )


def test_the_over_training_law_has_its_optimal_ratio_at_every_compute():
    params = np.array([1.8, 10.0, 40.0, 0.17, 0.15])
    optimal = math.log(float(OVER_TRAINING.derived(params)["M_opt"]))
    for flops in (1e19, 1e22):
        best = best_models(one(OVER_TRAINING, params), flops)
        assert best.log_d[0] - best.log_n[0] == pytest.approx(optimal, abs=1e-5)
        assert best.log_d[0] + best.log_n[0] == pytest.approx(math.log(flops / 6), rel=1e-12)


def test_scarce_tokens_are_repeated_and_the_model_kept_smaller():
    params = [1.87, 520.0, 1490.0, 0.353, 0.353, 15.4, 5.3]
    plenty = best_models(one(DATA_CONSTRAINED, params), 1e23)
    enough = best_models(one(DATA_CONSTRAINED, params, 1e13), 1e23)
    scarce = best_models(one(DATA_CONSTRAINED, params, 1e10), 1e23)
    chinchilla = compute_optimal(np.array(params[:5]), 1e23)
    for best in (plenty, enough):
        assert best.log_n[0] == pytest.approx(math.log(chinchilla.parameters), abs=1e-4)
        assert best.log_loss[0] == pytest.approx(math.log(chinchilla.loss), abs=1e-9)
    assert scarce.log_loss[0] > enough.log_loss[0]
    # Muennighoff et al. 2023, section 5: with repeats, more epochs rather than more parameters.
    assert scarce.log_n[0] < enough.log_n[0]


def test_no_inference_is_the_compute_optimum_and_a_little_is_near_it(exact: FitResult):
    found = allocate(exact, FLOPS, inference_tokens=0)
    assert found.over_trained is not None
    assert found.over_trained.parameters == found.parameters
    assert found.over_trained.tokens == found.tokens
    assert found.over_trained.total_flops.value == pytest.approx(FLOPS, rel=1e-12)
    assert found.over_trained.total_ratio.value == pytest.approx(1.0, rel=1e-12)
    little = allocate(exact, FLOPS, inference_tokens=1e-3).over_trained
    assert little is not None
    assert little.parameters.value == pytest.approx(found.parameters.value, rel=1e-4)
    assert little.total_ratio.value == pytest.approx(1.0, rel=1e-9)


def test_intervals_hold_the_planted_truth(allocation: Allocation):
    best = compute_optimal(TRUTH, FLOPS)
    n, d = over_trained(TRUTH, FLOPS, SERVED)
    other = allocation.over_trained
    assert other is not None
    total = 6 * n * d + 2 * n * SERVED
    for estimate, truth in [
        (allocation.parameters, best.parameters),
        (allocation.tokens, best.tokens),
        (allocation.tokens_per_parameter, best.tokens / best.parameters),
        (allocation.loss, best.loss),
        *((off.compute_ratio, compute_ratio_of(TRUTH, off.factor)) for off in allocation.off),
        (other.parameters, n),
        (other.tokens, d),
        (other.tokens_per_parameter, d / n),
        (other.training_flops, 6 * n * d),
        (other.total_flops, total),
        (other.total_ratio, total / (FLOPS + 2 * best.parameters * SERVED)),
    ]:
        assert estimate.low < truth < estimate.high
        assert estimate.low < estimate.value < estimate.high
        assert estimate.level == 0.95


def test_intervals_widen_with_level_and_away_from_the_rows(noisy: FitResult):
    def width(flops: float, level: float | None = None) -> float:
        found = allocate(noisy, flops, level=level).parameters
        return math.log(found.high / found.low)

    assert width(FLOPS, 0.5) < width(FLOPS) < width(1e26)


def test_interval_of_the_loss_is_that_of_the_best_point_of_each_replicate(noisy: FitResult):
    each = [compute_optimal(p, FLOPS).loss for p in CHINCHILLA.to_params(noisy.replicates)]
    low, high = np.quantile(each, [0.025, 0.975], method="weibull")
    loss = allocate(noisy, FLOPS).loss
    assert (loss.low, loss.high) == pytest.approx((low, high), rel=1e-9)


def test_notes_tell_what_to_distrust(noisy: FitResult):
    assert allocate(noisy, FLOPS, largest_flops=FLOPS / 9.9).notes == ()
    (far,) = allocate(noisy, FLOPS, largest_flops=FLOPS / 50).notes
    assert "1e+22 FLOPs: extrapolated 50 times beyond the largest compute of the fit, 2e+20" in far
    doubtful = replace(noisy, verdict=Verdict.BOUND_HIT, reason="E is on its bound.")
    (doubt,) = allocate(doubtful, FLOPS).notes
    assert doubt == "The fit is doubtful (bound_hit): E is on its bound."
    assert allocate(doubtful, FLOPS).summary().endswith(doubt)


@pytest.mark.parametrize(("n_flat", "known"), [(10, True), (11, False)])
def test_replicates_without_an_optimum_are_counted(noisy: FitResult, n_flat: int, known: bool):
    replicates = noisy.replicates.copy()
    replicates[:n_flat, 3] = 0.0
    found = allocate(replace(noisy, replicates=replicates), FLOPS, inference_tokens=SERVED)
    assert math.isfinite(found.parameters.low) is known
    assert f"{n_flat} of 400 bootstrap replicates" in found.notes[0]
    assert ("unknown" in found.summary()) is not known
    assert (json.loads(found.to_json())["loss"]["low"] is not None) is known
    assert found.parameters.value == allocate(noisy, FLOPS).parameters.value


def test_summary_and_json_show_every_number(allocation: Allocation):
    text = allocation.summary()
    for estimate in (allocation.parameters, allocation.loss, allocation.off[1].compute_ratio):
        assert f"{estimate.value:.5g}   [{estimate.low:.5g}, {estimate.high:.5g}]" in text
    assert "95 % interval" in text and "2e+12 tokens served" in text
    values = json.loads(allocation.to_json())
    assert values["law"] == "chinchilla"
    assert values["parameters"]["low"] == allocation.parameters.low
    assert values["off"][0]["excess_loss"]["value"] == allocation.off[0].excess_loss.value
    assert values["over_trained"]["inference_tokens"] == SERVED
    with pytest.raises(FrozenInstanceError):
        allocation.flops = 1.0


@pytest.mark.slow
def test_repeats_are_told_of_a_law_that_knows_them(noisy: FitResult):
    with_limits = np.c_[noisy.replicates, np.log([[15.0, 5.0]] * len(noisy.replicates))]
    params = {**noisy.params, "R_D": 15.0, "R_N": 5.0}
    result = replace(noisy, law=DATA_CONSTRAINED, params=params, replicates=with_limits)
    found = allocate(result, FLOPS, unique_tokens=1e10)
    assert found.epochs is not None
    assert found.epochs.value == pytest.approx(found.tokens.value / 1e10, rel=1e-12)
    assert "epochs" in found.summary()
    assert found.notes == ()
    (note,) = allocate(result, FLOPS).notes
    assert "every token counts as new" in note


def test_curves_pass_through_the_allocation(noisy: FitResult, allocation: Allocation):
    family, level = laws_of(noisy, None, None)
    table = growth_table(family, [FLOPS / 10, FLOPS], level=level, largest_flops=FLOPS / 5)
    assert table["extrapolated"].tolist() == [False, True]
    for name in ("parameters", "tokens", "tokens_per_parameter", "loss"):
        estimate = getattr(allocation, name)
        row = table.iloc[1]
        assert row[name] == pytest.approx(estimate.value, rel=1e-9)
        assert row[f"{name}_low"] == pytest.approx(estimate.low, rel=1e-9)
        assert row[f"{name}_high"] == pytest.approx(estimate.high, rel=1e-9)
    costs = penalty_table(family, FLOPS, [0.5, 1.0, 2.0], level=level)
    for row, off_optimum in zip((0, 2), allocation.off, strict=True):
        assert costs["excess_loss"][row] == pytest.approx(off_optimum.excess_loss.value, rel=1e-9)
        assert costs["excess_loss_low"][row] == pytest.approx(off_optimum.excess_loss.low, rel=1e-9)
    assert costs["excess_loss"][1] == pytest.approx(0.0, abs=1e-12)


def test_the_figure_shows_budget_bands_and_both_costs(noisy: FitResult, allocation: Allocation):
    family, level = laws_of(noisy, None, None)
    growth = growth_table(family, np.geomspace(1e20, 1e23, 7), level=level, largest_flops=1e21)
    penalty = penalty_table(family, FLOPS, np.geomspace(0.25, 4, 9), level=level)
    figure = allocation_figure(allocation, growth, penalty, 1e21)
    sizes, ratio, cost = figure.axes
    for ax in (sizes, ratio):
        at = [line.get_xdata() for line in ax.lines]
        assert any(list(each) == [FLOPS, FLOPS] for each in at)
        assert any(list(each) == [1e21, 1e21] for each in at)
    alone = [line.get_data() for line in sizes.lines if len(line.get_xdata()) == 1]
    points = {(float(x), float(y)) for xs, ys in alone for x, y in zip(xs, ys, strict=True)}
    assert points == {
        (FLOPS, allocation.parameters.value),
        (FLOPS, allocation.tokens.value),
    }
    marked = [line.get_xdata()[0] for line in cost.lines if line.get_marker() == "o"]
    assert marked == [0.5, 2.0]
    assert len(ratio.collections) >= 2


def test_a_law_of_one_input_is_refused(noisy: FitResult):
    with pytest.raises(ValueError, match=r"power_law is a law of x, which has no optimum"):
        allocate(replace(noisy, law=POWER_LAW), FLOPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flops": 0.0}, r"flops = 0.0.*positive and finite"),
        ({"flops": math.inf}, r"flops = inf.*positive and finite"),
        ({"largest_flops": -1.0}, r"largest_flops = -1.0"),
        ({"inference_tokens": -1.0}, r"inference_tokens = -1.0.*at least 0"),
        ({"inference_tokens": math.nan}, r"inference_tokens = nan.*leave it out"),
        ({"unique_tokens": 1e10}, r"in chinchilla every token is new"),
        ({"level": 0.999}, r"at least 10000"),
        ({"level": 1.5}, r"level = 1.5"),
    ],
)
def test_arguments_at_fault_are_named(noisy: FitResult, change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        allocate(noisy, **{"flops": FLOPS, **change})


def test_a_fit_without_an_optimum_is_refused(noisy: FitResult):
    flat = replace(noisy, params={**noisy.params, "alpha": 0.0})
    with pytest.raises(FitError, match=r"alpha = 0, .*an exponent at or near 0.*more sizes"):
        allocate(flat, FLOPS)


def test_an_accelerator_turns_hours_into_compute_and_back():
    for name in ("h200", "H200", "tpu v5p", "TPU_v5p"):
        known = "h200" if "200" in name else "tpu-v5p"
        device = accelerator(name, 0.4, dollars_per_hour=2.5)
        assert device.name == known
        compute = device.flops(5000)
        assert compute == pytest.approx(5000 * 3600 * PEAK_FLOPS[known] * 0.4, rel=1e-15)
        assert device.hours(compute) == pytest.approx(5000, rel=1e-12)
        assert device.dollars(compute) == pytest.approx(12_500, rel=1e-12)
        assert device.hours_for(20_000) == pytest.approx(8000, rel=1e-12)
    assert accelerator("h100", 0.4).dollars(1e21) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: accelerator("h20O", 0.4), r"no accelerator 'h20O': did you mean 'h200'\?"),
        (lambda: accelerator("abacus!!", 0.4), r"no accelerator 'abacus!!': valid: a100"),
        (lambda: accelerator("h100", 0.4).flops(0), r"hours = 0"),
        (lambda: accelerator("h100", 40), r"mfu = 40.*up to 1"),
        (lambda: accelerator("h100", 0.0), r"mfu = 0.0"),
        (lambda: accelerator("h100", math.nan), r"mfu = nan"),
        (lambda: accelerator("h100", 0.4, -1.0), r"dollars_per_hour = -1.0"),
        (lambda: accelerator("h100", 0.4).hours_for(10.0), r"give dollars_per_hour"),
        (lambda: accelerator("h100", 0.4, 2.0).hours_for(-5.0), r"price = -5.0"),
        (lambda: Accelerator("mine", 0.0, 0.4), r"peak_flops = 0.0"),
    ],
)
def test_accelerators_at_fault_are_named(make: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        make()
