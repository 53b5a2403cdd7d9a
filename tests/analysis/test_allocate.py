"""Budgets to models: optima, the cost of leaving them, inference loads, intervals, bad input."""

import json
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from analysis.accelerators import PEAK_FLOPS, compute_from_gpu, flops
from analysis.allocate import Allocation, allocate
from analysis.errors import FitError
from analysis.fit import FitResult, fit
from analysis.fit_verdict import Verdict
from analysis.laws import CHINCHILLA, CHINCHILLA_TIED, INTERACTION, POWER_LAW
from analysis.laws.chinchilla import compute_optimal
from analysis.laws.law import Floats, Law
from analysis.laws.off_optimum import compute_ratio_of, excess_of, over_trained

TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
FLOPS = 1e22
SERVED = 2e12


def inputs(n_rows: int = 60) -> Floats:
    low, high = np.log([[5e7, 1e9], [1e10, 3e11]])
    return np.exp(np.random.default_rng(0).uniform(low, high, (n_rows, 2)))


def planted(params: Floats, n: Floats | float, d: Floats | float) -> Floats:
    """Loss of the law as written."""
    floor, a, b, alpha, beta = params
    return np.asarray(floor + a * n**-alpha + b * d**-beta)


def minimum_near(cost: Callable[[float], float], guess: float) -> float:
    """Where a cost of N is least, within 1 % of a guess.

    By the root of a central difference in log N: minima of values are only found to the root of
    their precision.
    """

    def difference(step: float) -> float:
        return cost(guess * math.exp(step + 1e-4)) - cost(guess * math.exp(step - 1e-4))

    step, _ = brentq(difference, -0.01, 0.01, xtol=1e-12, full_output=True)
    return guess * math.exp(step)


@pytest.fixture(scope="module")
def exact() -> FitResult:
    x = inputs()
    return fit(CHINCHILLA, x, planted(TRUTH, x[:, 0], x[:, 1]), n_replicates=200)


@pytest.fixture(scope="module")
def noisy() -> FitResult:
    x = inputs()
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(len(x)))
    return fit(CHINCHILLA, x, planted(TRUTH, x[:, 0], x[:, 1]) * noise, n_replicates=400)


@pytest.fixture(scope="module")
def allocation(noisy: FitResult) -> Allocation:
    return allocate(noisy, FLOPS, inference_tokens=SERVED)


def test_optimum_of_a_planted_law_is_its_numerical_minimum(exact: FitResult):
    def cost(n: Floats | float) -> Floats:
        return planted(TRUTH, n, FLOPS / (6 * n))

    found = allocate(exact, FLOPS)
    n, d = found.parameters.value, found.tokens.value
    assert n == pytest.approx(minimum_near(lambda size: float(cost(size)), n), rel=1e-6)
    assert np.all(cost(n * np.exp(np.linspace(-5, 5, 2001))) >= found.loss.value - 1e-12)
    assert found.loss.value == pytest.approx(float(cost(n)), rel=1e-9)
    assert 6 * n * d == pytest.approx(FLOPS, rel=1e-9)
    assert found.tokens_per_parameter.value == pytest.approx(d / n, rel=1e-9)


def test_one_exponent_for_both_grows_both_alike():
    truth = np.array([1.8, 480.0, 2100.0, 0.35, 0.35])
    x = inputs()
    result = fit(CHINCHILLA_TIED, x, planted(truth, x[:, 0], x[:, 1]), n_replicates=200)
    small, large = allocate(result, 1e20), allocate(result, 1e24)
    assert large.parameters.value / small.parameters.value == pytest.approx(100, rel=1e-9)
    assert large.tokens.value / small.tokens.value == pytest.approx(100, rel=1e-9)
    free = compute_optimal(truth, 1e20)
    assert small.parameters.value == pytest.approx(free.parameters, rel=1e-6)
    assert small.loss.value == pytest.approx(free.loss, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    exponents=st.tuples(st.floats(0.05, 1.0), st.floats(0.05, 1.0)),
    factor=st.floats(0.1, 10.0).filter(lambda factor: abs(math.log(factor)) > 0.01),
    log_flops=st.floats(40.0, 60.0),
)
def test_compute_is_wasted_everywhere_but_at_the_optimum(exponents, factor, log_flops):
    params, compute = np.array([0.0, 480.0, 2100.0, *exponents]), math.exp(log_flops)
    best = compute_optimal(params, compute)
    loss = planted(params, factor * best.parameters, best.tokens / factor)
    assert best.loss * (1 + excess_of(params, factor)) == pytest.approx(loss, rel=1e-10)
    ratio = float(compute_ratio_of(params, factor))
    assert ratio > 1
    needed = compute_optimal(params, compute / ratio)
    assert needed.loss == pytest.approx(float(loss), rel=1e-10)
    assert compute_ratio_of(params, 1.0) == 1.0
    assert excess_of(params, 1.0) == 0.0


def test_half_and_twice_the_size_are_models_of_the_law(exact: FitResult):
    found = allocate(exact, FLOPS)
    assert [off.factor for off in found.off] == [0.5, 2.0]
    for off in found.off:
        n, d = off.factor * found.parameters.value, found.tokens.value / off.factor
        loss = float(planted(TRUTH, n, d))
        assert off.loss.value == pytest.approx(loss, rel=1e-9)
        assert off.excess_loss.value == pytest.approx(loss - found.loss.value, rel=1e-6)
        assert allocate(exact, FLOPS / off.compute_ratio.value).loss.value == pytest.approx(
            loss, rel=1e-9
        )


@settings(deadline=None, max_examples=30)
@given(
    exponents=st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)),
    log_load=st.floats(-5.0, 8.0),
    log_flops=st.floats(40.0, 60.0),
)
def test_over_trained_model_is_the_cheapest_of_its_loss(exponents, log_load, log_flops):
    params, compute = np.array([0.0, 480.0, 2100.0, *exponents]), math.exp(log_flops)
    _, a, b, alpha, beta = params
    best = compute_optimal(params, compute)
    served = math.exp(log_load) * float(best.tokens)
    n, d = (float(values[0]) for values in over_trained(params[None], compute, served))
    assert n < best.parameters and d > best.tokens
    assert planted(params, n, d) == pytest.approx(float(best.loss), rel=1e-10)

    def cost(size: float) -> float:
        tokens = ((best.loss - a * size**-alpha) / b) ** (-1 / beta)
        return float(6 * size * tokens + 2 * size * served) / compute

    smallest = float((best.loss / a) ** (-1 / alpha))
    assert cost(n) < cost(float(best.parameters))
    sizes = smallest + (2 * best.parameters - smallest) * np.linspace(1e-3, 1, 300)
    assert min(cost(float(size)) for size in sizes) >= cost(n) * (1 - 1e-9)
    # Where the least size is near, a step in N is one in its distance from there.
    near = minimum_near(lambda gap: cost(smallest + gap), n - smallest)
    assert n - smallest == pytest.approx(near, rel=1e-6)


def test_no_inference_is_the_compute_optimum_and_a_little_is_near_it(exact: FitResult):
    found = allocate(exact, FLOPS, inference_tokens=0)
    assert found.over_trained is not None
    assert found.over_trained.parameters == found.parameters
    assert found.over_trained.tokens == found.tokens
    assert found.over_trained.total_flops.value == pytest.approx(FLOPS, rel=1e-12)
    assert found.over_trained.total_ratio.value == pytest.approx(1.0, rel=1e-12)
    n, d = over_trained(TRUTH[None], FLOPS, 1e-3)
    best = compute_optimal(TRUTH, FLOPS)
    np.testing.assert_allclose([n[0], d[0]], [best.parameters, best.tokens], rtol=1e-12)


def test_intervals_hold_the_planted_truth(allocation: Allocation):
    best = compute_optimal(TRUTH, FLOPS)
    n, d = (float(values[0]) for values in over_trained(TRUTH[None], FLOPS, SERVED))
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
    assert (loss.low, loss.high) == pytest.approx((low, high), rel=1e-12)


def test_notes_tell_what_to_distrust(noisy: FitResult):
    assert allocate(noisy, FLOPS, largest_flops=FLOPS / 9.9).notes == ()
    (far,) = allocate(noisy, FLOPS, largest_flops=FLOPS / 50).notes
    assert "1e+22 FLOPs are 50 times the largest compute of the fit, 2e+20" in far
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
        allocation.flops = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("law", [POWER_LAW, INTERACTION])
def test_laws_without_a_known_optimum_are_refused(noisy: FitResult, law: Law):
    with pytest.raises(ValueError, match=f"{law.name} has no.*one of chinchilla, chinchilla_tied"):
        allocate(replace(noisy, law=law), FLOPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flops": 0.0}, r"flops = 0.0.*positive and finite"),
        ({"flops": math.inf}, r"flops = inf.*positive and finite"),
        ({"largest_flops": -1.0}, r"largest_flops = -1.0"),
        ({"inference_tokens": -1.0}, r"inference_tokens = -1.0.*at least 0"),
        ({"inference_tokens": math.nan}, r"inference_tokens = nan.*leave it out"),
        ({"level": 0.999}, r"at least 10000"),
        ({"level": 1.5}, r"level = 1.5"),
    ],
)
def test_arguments_at_fault_are_named(noisy: FitResult, change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        allocate(noisy, **{"flops": FLOPS, **change})


def test_a_fit_without_an_optimum_is_refused(noisy: FitResult):
    flat = replace(noisy, params={**noisy.params, "alpha": 0.0})
    with pytest.raises(FitError, match=r"alpha = 0, .*an exponent is at or near 0.*more sizes"):
        allocate(flat, FLOPS)


def test_compute_of_an_accelerator():
    assert flops(hours=2, peak_flops=1e12, mfu=0.5) == 3.6e15
    for name in ("h200", "H200", "tpu v5p", "TPU_v5p"):
        known = "h200" if "200" in name else "tpu-v5p"
        expected = 5000 * 3600 * PEAK_FLOPS[known] * 0.4
        assert compute_from_gpu(name, 5000, 0.4) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("h20O", 1, 0.4), r"no accelerator 'h20O'; did you mean 'h200'\?"),
        (("abacus!!", 1, 0.4), r"no accelerator 'abacus!!'; known are a100"),
        (("h100", 0, 0.4), r"hours = 0"),
        (("h100", 1, 40), r"mfu = 40.*up to 1"),
        (("h100", 1, 0.0), r"mfu = 0.0"),
    ],
)
def test_accelerators_at_fault_are_named(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        compute_from_gpu(*arguments)
