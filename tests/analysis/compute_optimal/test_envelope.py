"""Envelopes of planted Chinchilla curves: optima known in closed form, coverage, refusals."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.compute_optimal import envelope_trace
from analysis.compute_optimal.envelope import envelope
from analysis.compute_optimal.learning_curves import learning_curves
from analysis.compute_optimal.valley import Refusal
from analysis.errors import FitError
from analysis.estimate import Bootstrap

E, A, B = 1.8, 400.0, 900.0
QUICK = Bootstrap(n=200)
SIZES = np.geomspace(3e7, 2e10, 16)
FLOPS = np.geomspace(1e17, 1e21, 160)


def chinchilla(size, tokens, alpha, beta):
    return E + A * size**-alpha + B * tokens**-beta


def optimum(flops, alpha, beta):
    ratio = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return ratio * (np.asarray(flops) / 6) ** (beta / (alpha + beta))


def curves(alpha=0.35, beta=0.35, sizes=SIZES, flops=FLOPS, offsets=0.0, loss=chinchilla):
    """Rows run, n_params, loss, flops: a curve of each size at all of `flops`."""
    sizes = np.asarray(sizes, dtype=float)
    run, size = np.repeat(np.arange(len(sizes)), len(flops)), np.repeat(sizes, len(flops))
    compute = np.tile(flops, len(sizes))
    shift = np.repeat(np.broadcast_to(offsets, len(sizes)), len(flops))
    return run, size, loss(size, compute / (6 * size), alpha, beta) + shift, compute


def analyse(rows, **options):
    run, size, loss, flops = rows
    return envelope(learning_curves(run, size, loss, flops=flops), **{"bootstrap": QUICK} | options)


@pytest.mark.parametrize(("alpha", "beta"), [(0.35, 0.35), (0.34, 0.28), (0.3, 0.45)])
def test_the_exponent_of_evenly_spaced_sizes_is_exact(alpha, beta):
    # Hand-overs are placed to half a step of the grid of compute, 0.3 % of it.
    trends = analyse(curves(alpha, beta)).trends
    a, b = beta / (alpha + beta), alpha / (alpha + beta)
    assert trends.params.exponent.value == pytest.approx(a, abs=1e-3)
    assert trends.tokens.exponent.value == pytest.approx(b, abs=1e-3)
    assert trends.tokens_per_param.exponent.value == pytest.approx(b - a, abs=2e-3)
    assert trends.params.exponent.low <= a <= trends.params.exponent.high
    assert trends.params.r_squared > 0.9999


@pytest.mark.parametrize(("alpha", "beta"), [(0.34, 0.28), (0.3, 0.45)])
def test_hand_overs_lie_off_the_optimum_by_the_documented_factor(alpha, beta):
    sizes = np.geomspace(1e6, 1e11, 12)
    result = analyse(curves(alpha, beta, sizes))
    h = np.log(sizes[1] / sizes[0]) / 2
    factor = (np.sinh(alpha * h) / alpha / (np.sinh(beta * h) / beta)) ** (1 / (alpha + beta))
    for each in result.hand_overs:
        assert each.n_params == pytest.approx(np.sqrt(each.smaller * each.larger), rel=1e-12)
        at = factor * optimum(each.flops, alpha, beta)
        assert each.n_params == pytest.approx(at, rel=0.003)
        assert each.tokens == pytest.approx(each.flops / (6 * each.n_params), rel=1e-9)
    # To second order the factor is the one that the docstring gives.
    assert factor == pytest.approx(1 + (alpha - beta) * h**2 / 6, abs=0.02)


def test_uneven_sizes_bias_hand_overs_less_than_the_staircase():
    rng = np.random.default_rng(0)
    worst = np.zeros(2)
    for _ in range(10):
        sizes = np.exp(np.sort(rng.uniform(np.log(3e6), np.log(3e9), 20)))
        result = analyse(curves(0.34, 0.28, sizes))
        inner = [step for step in result.steps if step.refusal is None]
        on_grid = [
            (c, np.log(step.n_params))
            for step in inner
            for c in np.log(result.flops)
            if step.flops_low < np.exp(c) < step.flops_high
        ]
        staircase = np.polyfit(*np.transpose(on_grid), 1)[0]
        exponent = result.trends.params.exponent.value
        worst = np.maximum(worst, np.abs([exponent - 0.28 / 0.62, staircase - 0.28 / 0.62]))
    assert worst[0] < 0.002 < 0.01 < worst[1]


def test_curves_of_a_schedule_that_ends_later_bias_the_exponent():
    """The envelope is that of the curves: a loss that sinks only at a schedule's end is not seen.

    All runs share one schedule of 1e13 tokens, which holds each curve above the loss of a run
    planned to end there by 0.1 nats for every factor e short of the end. That adds 0.1 to what a
    factor e of tokens is worth, `beta B D^-beta`: the same everywhere, and so most where tokens
    are worth least, at the largest compute.
    """

    def held_up(size, tokens, alpha, beta):
        return chinchilla(size, tokens, alpha, beta) + 0.1 * np.log(1e13 / tokens)

    sizes = np.geomspace(1e6, 1e9, 60)
    result = analyse(curves(0.35, 0.35, sizes, loss=held_up))
    assert result.trends.params.exponent.high < 0.45  # the truth, 0.5, is not in the interval
    along = np.linspace(np.log(1e5), np.log(1e10), 200_001)
    for each in result.hand_overs:
        seen = held_up(np.exp(along), each.flops / (6 * np.exp(along)), 0.35, 0.35)
        assert np.log(each.n_params) == pytest.approx(along[seen.argmin()], abs=0.01)
        assert each.n_params < 0.9 * optimum(each.flops, 0.35, 0.35)


def covered(n_sets, n_sizes, sd, n_replicates=200):
    """Data sets whose 95 % interval holds a = 0.5, seed noise lifting or lowering whole curves."""
    hits = 0
    for number in range(n_sets):
        rng = np.random.default_rng(number)
        spacing = np.log(2e10 / 3e7) / (n_sizes - 1)
        sizes = np.geomspace(3e7, 2e10, n_sizes) * np.exp(spacing * rng.uniform(-0.4, 0.4, n_sizes))
        rows = curves(sizes=sizes, flops=FLOPS[::2], offsets=sd * rng.standard_normal(n_sizes))
        bootstrap = Bootstrap(n=n_replicates, seed=number)
        exponent = analyse(rows, bootstrap=bootstrap).trends.params.exponent
        hits += exponent.low <= 0.5 <= exponent.high
    return hits


@pytest.mark.slow
def test_intervals_hold_the_truth():
    hits = covered(25, 20, 0.002)
    assert stats.binom.ppf(1e-3, 25, 0.93) <= hits


@pytest.mark.slow
@pytest.mark.parametrize(("n_sizes", "sd"), [(12, 0.002), (20, 0.002)])
def test_intervals_cover_93_to_97_percent_within_the_scatter_of_500_sets(n_sizes, sd, monkeypatch):
    # A step of 3 % of compute: a tenth of what the noise moves a hand-over by.
    monkeypatch.setattr(envelope_trace, "N_FLOPS", 300)
    hits = covered(500, n_sizes, sd)
    assert stats.binom.ppf(0.01, 500, 0.93) <= hits <= stats.binom.ppf(0.99, 500, 0.97)


def test_repeated_seeds_narrow_the_interval():
    rng = np.random.default_rng(3)
    one = curves(offsets=0.005 * rng.standard_normal(16))
    sizes = np.repeat(SIZES, 6)
    many = curves(sizes=sizes, offsets=0.005 * rng.standard_normal(96))
    width = [np.ptp(r.trends.params.replicates[:, 1]) for r in (analyse(one), analyse(many))]
    assert width[1] < 0.8 * width[0]


def test_local_wiggles_are_put_in_order():
    rng = np.random.default_rng(0)
    run, size, loss, flops = curves()
    wiggled = analyse((run, size, loss + 0.001 * rng.standard_normal(len(loss)), flops))
    assert 0 < wiggled.share_reordered < 0.5
    sizes = [step.n_params for step in wiggled.steps]
    assert sizes == sorted(sizes)
    assert wiggled.trends.params.exponent.value == pytest.approx(0.5, abs=0.02)


def test_the_order_of_rows_makes_no_difference():
    rows = curves(offsets=0.003 * np.random.default_rng(1).standard_normal(16))
    order = np.random.default_rng(2).permutation(len(rows[0]))
    shuffled = analyse(tuple(column[order] for column in rows))
    assert shuffled.to_json() == analyse(rows).to_json()


@pytest.mark.medium
@settings(deadline=None, max_examples=10)
@given(factor=st.floats(1e-3, 1e3), compute=st.floats(1e-3, 1e3))
def test_units_scale_the_optimum_and_leave_the_exponents(factor, compute):
    run, size, loss, flops = curves(offsets=0.002 * np.random.default_rng(1).standard_normal(16))
    one = analyse((run, size, loss, flops)).trends.params
    other = analyse((run, size * factor, loss, flops * compute)).trends.params
    # A crossing may move by a step of the grid of compute, whose ends are rounded otherwise.
    assert other.exponent.value == pytest.approx(one.exponent.value, abs=2e-3)
    assert other.predict([compute * 1e20])[0] == pytest.approx(
        factor * one.predict([1e20])[0], rel=5e-3
    )


def test_tokens_give_compute_and_their_own_count_moves_tokens_alone():
    run, size, loss, flops = curves(0.34, 0.28)
    by_flops = analyse((run, size, loss, flops))
    by_tokens = envelope(
        learning_curves(run, size, loss, tokens=flops / (6 * size)), bootstrap=QUICK
    )
    assert by_tokens.trends.params.exponent.value == pytest.approx(
        by_flops.trends.params.exponent.value, abs=1e-6
    )
    both = envelope(
        learning_curves(run, size, loss, flops=flops, tokens=flops / (9 * size)), bootstrap=QUICK
    )
    for one, other in zip(by_flops.hand_overs, both.hand_overs, strict=True):
        assert other.n_params == one.n_params
        assert other.tokens == pytest.approx(one.tokens * 6 / 9)


def test_steps_tile_the_compute_and_edges_are_refused():
    result = analyse(curves(0.34, 0.28))
    ends = [(step.flops_low, step.flops_high) for step in result.steps]
    assert all(high == low for (_, high), (low, _) in pairwise(ends))
    assert (ends[0][0], ends[-1][1]) == pytest.approx((1e17, 1e21))
    assert [step.refusal for step in result.steps] == [Refusal.EDGE] + [None] * (
        len(result.steps) - 1
    )
    assert "the smallest size, 3e+07" in result.steps[0].reason
    assert "refused, edge" in result.summary()


def test_sizes_all_above_or_below_the_optimum_are_refused():
    with pytest.raises(FitError, match=r"passes 0 times.*the smallest size.*add smaller sizes"):
        analyse(curves(sizes=np.geomspace(1e11, 1e13, 8)))
    with pytest.raises(FitError, match=r"passes 0 times.*the largest size.*add larger sizes"):
        analyse(curves(sizes=np.geomspace(1e3, 1e5, 8)))


def test_a_curve_that_ends_before_it_is_overtaken_hands_nothing_over():
    """Runs of 20 tokens a parameter end where the next size is still far above them."""
    run, size, loss, flops = curves()
    short = flops < 0.3 * 6 * size * (flops[-1] / (6 * optimum(1e21, 0.35, 0.35))) / 30
    with pytest.raises(FitError, match="has no curve there"):
        analyse((run[short], size[short], loss[short], flops[short]))


def test_evaluations_far_apart_are_not_joined():
    run, size, loss, flops = curves(flops=np.geomspace(1e17, 1e21, 10))  # a factor 2.8 apart
    with pytest.raises(FitError, match="evaluate it more often"):
        analyse((run, size, loss, flops))
    assert len(analyse(curves(flops=np.geomspace(1e17, 1e17 * 2.0**13, 14))).hand_overs) >= 4


def test_a_size_of_lowest_loss_that_falls_with_compute_is_refused():
    def upside_down(size, tokens, alpha, beta):
        return 2 + 0.1 * np.log(size / optimum(1e38 / (6 * size * tokens), alpha, beta)) ** 2

    with pytest.raises(FitError, match="does not grow with compute"):
        analyse(curves(loss=upside_down))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (curves(sizes=SIZES[:4]), "learning curves of 5 sizes or more, not 4"),
        (curves(sizes=SIZES[:5]), "times from one size to the next and needs 4"),
    ],
)
def test_too_few_sizes_are_refused(rows, message):
    with pytest.raises(FitError, match=message):
        analyse(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flops": None}, "neither flops nor tokens"),
        ({"loss": -1.0}, r"loss\[3\] = -1.0"),
        ({"n_params": 1e7}, "run 0 has n_params from 1e.07 to 3e.07"),
        ({"flops": 1e17}, "run 0 has two losses at 1e.17 FLOPs"),
    ],
)
def test_a_callers_mistake_is_named(change, message):
    run, size, loss, flops = curves()
    arguments = {"run": run, "n_params": size, "loss": loss, "flops": flops}
    for name, value in change.items():
        column = arguments.get(name)
        if column is not None and value is not None:
            value = np.where(np.arange(len(column)) == 3, value, column)
        arguments[name] = value
    with pytest.raises(ValueError, match=message):
        learning_curves(**arguments)


def test_too_few_replicates_are_refused():
    with pytest.raises(ValueError, match="give at least 200"):
        analyse(curves(), bootstrap=Bootstrap(n=10))


def test_the_result_is_strict_json():
    result = analyse(curves())
    values = json.loads(result.to_json())
    assert values["n_runs"] == 16 and len(values["hand_overs"]) == len(result.hand_overs)
    assert values["trends"]["params"]["exponent"]["value"] == pytest.approx(0.5, abs=1e-3)
    assert values["trends"]["params"]["misfit"] is None
