"""Planted valleys are measured exactly; what is no valley is refused, with the reason."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.valley import Curve, Refusal
from analysis.errors import FitError
from analysis.estimate import Bootstrap

BUDGETS = 1e18 * 4.0 ** np.arange(5)
OFFSETS = np.linspace(-1.2, 1.2, 9)
QUICK = Bootstrap(n=200)


def columns(loss_of, n_star, offsets=OFFSETS, budgets=BUDGETS, drift=0.0):
    """n_params, loss, flops of runs at sizes about n_star(C), their centre drifting with C."""
    rows = []
    for number, flops in enumerate(budgets):
        shift = drift * (number - (len(budgets) - 1) / 2)
        for size in n_star(flops) * np.exp(np.asarray(offsets) + shift):
            rows.append((size, loss_of(size, flops), flops))
    return tuple(np.array(rows).T)


def power_optimum(exponent, at=1e8):
    return lambda flops: at * (flops / 1e20) ** exponent


def parabolas(n_star, curvature=0.1):
    def loss(size, flops):
        return 2 + 1.5 * (flops / 1e18) ** -0.1 + curvature * np.log(size / n_star(flops)) ** 2

    return loss


def chinchilla(alpha, beta):
    """L(N, C / 6N) = 1.8 + A N^-alpha + B D^-beta, and its optimum N*(C)."""
    large, data = 400.0, 900.0

    def loss(size, flops):
        return 1.8 + large * size**-alpha + data * (flops / (6 * size)) ** -beta

    ratio = (alpha * large / (beta * data)) ** (1 / (alpha + beta))
    return loss, lambda flops: ratio * (flops / 6) ** (beta / (alpha + beta))


def analyse(rows, method="parabola", span=None, noise=None, **options):
    size, loss, flops = rows
    return isoflop(
        size,
        loss,
        flops=flops,
        curve=Curve(method, span),
        noise=None if noise is None else SeedNoise(noise),
        bootstrap=QUICK,
        **options,
    )


def optima(result):
    return np.array([valley.optimal_params.value for valley in result.valleys])


@pytest.mark.parametrize("exponent", [0.5, 0.73])
@pytest.mark.parametrize("offsets", [OFFSETS, OFFSETS + 0.5, [-0.9, -0.2, 0.3, 1.4]])
def test_parabolas_are_measured_exactly(exponent, offsets):
    n_star = power_optimum(exponent)
    loss = parabolas(n_star)
    result = analyse(columns(loss, n_star, offsets))
    np.testing.assert_allclose(optima(result), n_star(BUDGETS), rtol=1e-9)
    lowest = [valley.lowest_loss.value for valley in result.valleys]
    np.testing.assert_allclose(lowest, loss(n_star(BUDGETS), BUDGETS), rtol=1e-12)
    tokens = [valley.optimal_tokens.value for valley in result.valleys]
    np.testing.assert_allclose(tokens, BUDGETS / (6 * n_star(BUDGETS)), rtol=1e-9)
    trends = result.trends
    assert trends.params.exponent.value == pytest.approx(exponent, abs=1e-6)
    assert trends.tokens.exponent.value == pytest.approx(1 - exponent, abs=1e-6)
    assert trends.tokens_per_param.exponent.value == pytest.approx(1 - 2 * exponent, abs=1e-6)
    assert trends.params.coefficient == pytest.approx(n_star(1.0), rel=1e-6)
    np.testing.assert_allclose(trends.params.predict([1e22]), n_star(1e22), rtol=1e-6)


@pytest.mark.parametrize("method", ["parabola", "akima"])
def test_a_symmetric_surface_gives_one_half(method):
    loss, n_star = chinchilla(0.35, 0.35)
    result = analyse(columns(loss, n_star), method=method, noise=1e-9)
    np.testing.assert_allclose(optima(result), n_star(BUDGETS), rtol=1e-6)
    for trend in (result.trends.params, result.trends.tokens):
        assert trend.exponent.value == pytest.approx(0.5, abs=1e-6)
    assert result.trends.params.r_squared == pytest.approx(1)


@pytest.mark.parametrize(("alpha", "beta"), [(0.34, 0.28), (0.3, 0.45)])
def test_an_asymmetric_surface_shifts_parabolas_by_the_documented_factor(alpha, beta):
    loss, n_star = chinchilla(alpha, beta)
    half = 0.6
    result = analyse(columns(loss, n_star, np.linspace(-half, half, 301)))
    shift = np.log(optima(result) / n_star(BUDGETS))
    assert np.ptp(shift) < 1e-6  # the same at every budget: no bias of the exponent
    np.testing.assert_allclose(shift, (alpha - beta) * half**2 / 10, rtol=0.03)
    truth = beta / (alpha + beta)
    assert result.trends.params.exponent.value == pytest.approx(truth, abs=1e-6)
    akima = analyse(columns(loss, n_star, OFFSETS), method="akima", noise=1e-9)
    assert np.max(np.abs(np.log(optima(akima) / n_star(BUDGETS)))) < 0.005


def test_a_drifting_grid_biases_the_exponent_without_any_noise_and_a_span_limits_it():
    loss, n_star = chinchilla(0.35, 0.35)
    rows = columns(loss, n_star, np.linspace(-2.5, 2.5, 31), drift=0.8)
    bias = analyse(rows).trends.params.exponent.value - 0.5
    assert abs(bias) > 0.02
    narrow = analyse(rows, span=2.5)
    assert abs(narrow.trends.params.exponent.value - 0.5) < 0.001
    assert all(0 < sum(valley.used) < 31 for valley in narrow.valleys)


def test_a_downward_parabola_is_refused_and_the_rest_analysed():
    n_star = power_optimum(0.5)
    upward, downward = parabolas(n_star), parabolas(n_star, -0.1)

    def loss(size, flops):
        return (downward if flops == BUDGETS[2] else upward)(size, flops)

    result = analyse(columns(loss, n_star))
    assert [valley.refusal for valley in result.valleys] == [
        None, None, Refusal.WRONG_CURVATURE, None, None,
    ]  # fmt: skip
    refused = result.valleys[2]
    assert "opens downward" in refused.reason and refused.optimal_params is None
    assert result.trends.params.n_points == 4
    assert result.trends.params.exponent.value == pytest.approx(0.5, abs=1e-6)
    assert "wrong_curvature: the parabola opens downward" in result.summary()
    with pytest.raises(FitError, match=r"No curve of 5 has a minimum.*1e\+18: .*opens downward"):
        analyse(columns(downward, n_star))


@pytest.mark.parametrize("method", ["parabola", "akima"])
@pytest.mark.parametrize("offsets", [OFFSETS, OFFSETS + 0.4])
def test_a_single_downward_budget_raises(method, offsets):
    n_star = power_optimum(0.5)
    rows = columns(parabolas(n_star, -0.1), n_star, offsets, budgets=BUDGETS[:1])
    says = "opens downward" if method == "parabola" else "lowest at an end of the grid"
    with pytest.raises(FitError, match=says):
        analyse(rows, method=method, noise=1e-3)


@pytest.mark.parametrize("method", ["parabola", "akima"])
def test_a_flat_budget_raises(method):
    n_star = power_optimum(0.5)
    rows = columns(lambda size, flops: 3.0, n_star, budgets=BUDGETS[:1])
    with pytest.raises(FitError, match=r"opens downward|lower end|lowest at an end"):
        analyse(rows, method=method, noise=1e-3)


def test_a_minimum_outside_its_own_interval_is_doubted():
    """Sizes in close pairs: the Akima curve dips between them, and noise fills that dip."""
    rng = np.random.default_rng(69)
    offsets = np.sort(rng.uniform(-1.2, 1.2, 9))
    offsets = np.sort(np.concatenate([offsets, offsets[3:6] + 0.003]))
    loss = 3 + 0.1 * offsets**2 + 0.003 * rng.standard_normal(12)
    rows = (1e8 * np.exp(offsets), loss, np.full(12, 1e18))
    valley = analyse(rows, method="akima", noise=0.003).valleys[0]
    assert valley.optimal_params.value < valley.optimal_params.low
    assert "outside its own interval" in valley.reason
    assert analyse(rows, noise=0.003).valleys[0].reason == ""


@pytest.mark.parametrize(("sign", "end"), [(-1, "upper"), (1, "lower")])
def test_a_falling_curve_is_refused_though_its_parabola_has_a_vertex_inside(sign, end):
    log_n = np.linspace(0, 3, 9)
    falling = 3 + np.exp(sign * log_n)
    bend, slope, _ = np.polyfit(log_n, falling, 2)
    assert bend > 0 and 0 < -slope / (2 * bend) < 3
    rows = (1e7 * np.exp(log_n), falling, np.full(9, 1e18))
    with pytest.raises(FitError, match=f"the lowest loss lies at the {end} end"):
        analyse(rows)
    with pytest.raises(FitError, match="lowest at an end of the grid"):
        analyse(rows, method="akima", noise=1e-3)


def test_a_vertex_beyond_the_grid_is_refused():
    n_star = power_optimum(0.5)
    rows = columns(parabolas(n_star), n_star, OFFSETS + 1.5)
    with pytest.raises(FitError, match="lower end"):
        analyse(rows)


def test_too_few_sizes_are_refused_however_many_runs_they_have():
    n_star = power_optimum(0.5)
    few = columns(parabolas(n_star), n_star, [-0.5, 0, 0.5] * 4, budgets=BUDGETS[:1])
    many = columns(parabolas(n_star), n_star, budgets=BUDGETS[1:3])
    result = analyse(tuple(np.concatenate(pair) for pair in zip(few, many, strict=True)))
    assert [valley.refusal for valley in result.valleys] == [Refusal.TOO_FEW_SIZES, None, None]
    assert result.valleys[0].n_runs == (4, 4, 4)
    assert result.valleys[0].reason == "a minimum needs 4 distinct values, not 3: add some"
    with pytest.raises(FitError, match="not 3: add some"):
        analyse(few)
    with pytest.raises(FitError, match=r"not 3 within a factor 1\.4 of the lowest loss"):
        analyse(many, span=1.4)


def test_a_valley_that_noise_could_fill_is_refused():
    n_star = power_optimum(0.5)
    rows = columns(parabolas(n_star, curvature=0.001), n_star)
    with pytest.raises(FitError, match="of the noisy replicates have a minimum inside the grid"):
        analyse(rows, noise=0.5)


def test_one_budget_makes_a_minimum_but_no_exponent():
    n_star = power_optimum(0.5)
    result = analyse(columns(parabolas(n_star), n_star, budgets=BUDGETS[:1]))
    assert result.trends is None
    assert result.valleys[0].optimal_params.value == pytest.approx(n_star(BUDGETS[0]))
    assert "Only one budget has a minimum" in result.summary()


def test_a_low_end_of_the_grid_is_doubted_under_akima():
    log_n = np.arange(6.0)
    loss = np.array([2.0, 2.005, 2.5, 3.2, 4.0, 4.9])
    result = analyse((1e7 * np.exp(log_n), loss, np.full(6, 1e18)), method="akima", noise=1e-4)
    assert result.valleys[0].refusal is None
    assert "rests on the slope of the curve there; add smaller values" in result.valleys[0].reason


def test_an_interval_that_the_grid_does_not_bound_is_open():
    n_star = power_optimum(0.5)
    rows = columns(parabolas(n_star), n_star, np.linspace(-2.2, 0.6, 9))
    result = analyse(rows, noise=0.08)
    valley = result.valleys[0]
    assert np.isinf(valley.optimal_params.high) and valley.optimal_params.low > 0
    assert valley.optimal_tokens.low == 0 and valley.tokens_per_param.low == 0
    assert np.isfinite(valley.tokens_per_param.high)
    assert 0.5 < valley.share_inside < 0.975
    assert json.loads(result.to_json())["valleys"][0]["optimal_params"]["high"] is None


def noisy_rows(seed, sd=0.01, seeds=1, offsets=OFFSETS):
    n_star = power_optimum(0.5)
    size, loss, flops = columns(parabolas(n_star), n_star, np.repeat(offsets, seeds))
    return size, loss + sd * np.random.default_rng(seed).standard_normal(len(loss)), flops


@pytest.mark.parametrize("method", ["parabola", "akima"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_order_of_rows_makes_no_difference(method, seeds):
    rows = noisy_rows(0, seeds=seeds)
    order = np.random.default_rng(1).permutation(len(rows[0]))
    noise = {"noise": 0.01} if seeds == 1 else {}
    shuffled = analyse(tuple(column[order] for column in rows), method=method, **noise)
    assert shuffled.to_json() == analyse(rows, method=method, **noise).to_json()


@settings(deadline=None, max_examples=15)
@given(factor=st.floats(1e-6, 1e6), compute=st.floats(1e-3, 1e3))
def test_units_scale_the_optimum_and_leave_the_exponents(factor, compute):
    size, loss, flops = noisy_rows(2)
    one = analyse((size, loss, flops))
    other = analyse((size * factor, loss, flops * compute))
    np.testing.assert_allclose(optima(other), factor * optima(one), rtol=1e-6)
    for name, scale in (("params", factor), ("tokens", compute / factor)):
        mine, its = (getattr(result.trends, name) for result in (one, other))
        for end in ("value", "low", "high"):
            assert getattr(its.exponent, end) == pytest.approx(
                getattr(mine.exponent, end), rel=1e-6
            )
        assert its.value_ref.value == pytest.approx(scale * mine.value_ref.value, rel=1e-6)


@pytest.mark.parametrize("method", ["parabola", "akima"])
def test_a_row_given_twice_counts_as_one_with_half_the_variance(method):
    rows = noisy_rows(3)
    sd = np.random.default_rng(4).uniform(0.005, 0.02, len(rows[0]))
    one = analyse(rows, method=method, noise=sd)
    twice = tuple(np.tile(column, 2) for column in rows)
    two = analyse(twice, method=method, noise=np.tile(sd * np.sqrt(2), 2))
    np.testing.assert_allclose(optima(two), optima(one), rtol=1e-9)
    for end in ("value", "low", "high"):
        mine, its = (getattr(r.trends.params.exponent, end) for r in (one, two))
        assert its == pytest.approx(mine, rel=1e-9)


def test_noise_is_taken_from_repeats_or_residuals_and_is_that_planted():
    repeats = analyse(noisy_rows(5, seeds=20)).noise
    assert (repeats.source, repeats.degrees_of_freedom) == ("repeats", 5 * 9 * 19)
    assert repeats.sd == pytest.approx(0.01, rel=4 / np.sqrt(2 * 855))
    scatter = analyse(noisy_rows(6, offsets=np.linspace(-1, 1, 60))).noise
    assert (scatter.source, scatter.degrees_of_freedom) == ("residuals", 5 * 57)
    assert scatter.sd == pytest.approx(0.01, rel=4 / np.sqrt(2 * 285))
    assert analyse(noisy_rows(6), noise=0.02).noise.source == "given"
    with pytest.raises(FitError, match="The seed noise is unknown"):
        analyse(noisy_rows(6), method="akima")


def test_more_noise_widens_every_interval():
    rows = noisy_rows(7)
    for method in ("parabola", "akima"):
        quiet, loud = (analyse(rows, method=method, noise=sd) for sd in (0.002, 0.02))
        for name in ("optimal_params", "optimal_tokens", "lowest_loss"):
            for one, other in zip(quiet.valleys, loud.valleys, strict=True):
                narrow, wide = getattr(one, name), getattr(other, name)
                assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
        assert loud.trends.params.exponent_se > 1.5 * quiet.trends.params.exponent_se


def test_scatter_beyond_the_noise_is_told():
    n_star = power_optimum(0.5)
    kicks = dict(zip(BUDGETS.tolist(), [0.02, -0.02, 0.0, 0.02, -0.02], strict=True))
    kicked = parabolas(lambda flops: n_star(flops) * np.exp(kicks[float(flops)]))
    size, loss, flops = columns(kicked, n_star)
    # The vertex of a parabola on this grid, known to sd / (2 curvature sum(offset^2)^0.5).
    sd = 0.0002
    error = sd / (2 * 0.1 * np.sqrt(np.sum(OFFSETS**2)))
    misfit = analyse((size, loss, flops), noise=sd).trends.params.misfit
    residual = np.polyfit(np.log(BUDGETS), list(kicks.values()), 1, full=True)[1][0]
    assert misfit == pytest.approx(np.sqrt(residual / 3) / error, rel=0.1)
    two = flops <= BUDGETS[1]
    assert np.isnan(analyse((size[two], loss[two], flops[two])).trends.params.misfit)


def test_the_band_is_widest_away_from_the_budgets():
    trend = analyse(noisy_rows(8)).trends.params
    low, high = trend.predict_interval([1e15, trend.x_ref, 1e25])
    width = np.log(high / low)
    assert width[1] < width[0] / 3 and width[1] < width[2] / 3
    at = np.array([trend.value_ref.low, trend.value_ref.high])
    np.testing.assert_allclose([low[1], high[1]], at, rtol=1e-9)


def test_two_of_n_d_and_c_give_the_third():
    size, loss, flops = noisy_rows(9)
    by_flops = isoflop(size, loss, flops=flops, bootstrap=QUICK)
    by_tokens = isoflop(size, loss, tokens=flops / (6 * size), bootstrap=QUICK)
    assert by_tokens.trends.params.exponent.value == pytest.approx(
        by_flops.trends.params.exponent.value, rel=1e-9
    )
    # A count of tokens by another convention moves D* alone.
    both = isoflop(size, loss, flops=flops, tokens=flops / (9 * size), bootstrap=QUICK)
    assert both.valleys[0].optimal_tokens.value == pytest.approx(
        by_flops.valleys[0].optimal_tokens.value * 6 / 9
    )


def test_budgets_that_differ_a_little_are_one():
    size, loss, flops = noisy_rows(10)
    jitter = np.random.default_rng(0).uniform(0.96, 1.04, len(flops))
    assert len(analyse((size, loss, flops * jitter)).valleys) == 5
    assert len(analyse((size, loss, flops * jitter), tolerance=0.09).valleys) == 5
    close = np.concatenate([flops, flops * 1.2])
    both = analyse((np.tile(size, 2), np.tile(loss, 2), close))
    assert len(both.valleys) == 10
    with pytest.raises(ValueError, match="cannot be separated"):
        analyse((size, loss, 1e18 * 1.05 ** np.arange(len(size))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flops": None}, "neither flops nor tokens"),
        ({"loss": -1.0}, r"loss\[3\] = -1.0, but it must be positive"),
        ({"loss": np.nan}, r"loss\[3\] = nan"),
        ({"n_params": 0.0}, r"n_params\[3\] = 0.0"),
        ({"flops": np.inf}, r"flops\[3\] = inf"),
        ({"noise": SeedNoise(0.0)}, "noise = 0.0, .* give the standard deviation"),
        ({"noise": SeedNoise([0.1, 0.2])}, r"noise has shape \(2,\), not \(45,\)"),
        ({"tolerance": 0.0}, "tolerance = 0"),
        ({"bootstrap": Bootstrap(kind="rows")}, "redraws normal noise of the losses"),
        ({"bootstrap": Bootstrap(n=50)}, "give at least 200"),
    ],
)
def test_a_callers_mistake_is_named(change, message):
    arguments = dict(zip(("n_params", "loss", "flops"), noisy_rows(0), strict=True))
    for name, value in change.items():
        column = arguments.get(name)
        if column is not None and np.ndim(value) == 0 and value is not None:
            value = np.where(np.arange(len(column)) == 3, value, column)
        arguments[name] = value
    with pytest.raises(ValueError, match=message):
        isoflop(**arguments)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ({"method": "spline"}, "one of parabola, akima"),
        ({"span": 1.0}, "give a factor above 1"),
        ({"span": 3.0, "method": "akima"}, "none with 'akima'"),
    ],
)
def test_an_impossible_curve_is_refused(curve, message):
    with pytest.raises(ValueError, match=message):
        Curve(**curve)


def recounted(size):
    """Without what is most of the smallest models: a monotone map that stretches log N."""
    return size - 0.8 * size.min() ** 0.6 * size**0.4


@pytest.mark.parametrize("spared", [0, 1])
def test_sizes_of_one_budget_leave_the_noise_of_the_others_alone(spared):
    """Where replicates have no minimum inside, others of the same budget stand in for them."""
    n_star = power_optimum(0.5)
    size, loss, flops = columns(parabolas(n_star), n_star, np.linspace(-2.2, 0.6, 9))
    other = np.where(flops == BUDGETS[spared], recounted(size), size)
    one, two = (analyse((n, loss, flops), noise=0.08) for n in (size, other))
    shares = [result.valleys[spared].share_inside for result in (one, two)]
    assert shares[0] != shares[1]
    for number, pair in enumerate(zip(one.valleys, two.valleys, strict=True)):
        assert (pair[0].optimal_params == pair[1].optimal_params) == (number != spared)


def test_replicates_of_runs_counted_in_two_ways_are_pairs():
    n_star = power_optimum(0.5)
    size, loss, flops = columns(parabolas(n_star), n_star, np.linspace(-1.6, 1.2, 9))
    exponents = [
        analyse((n, loss, flops), noise=0.05).trends.params.replicates[:, 1]
        for n in (size, recounted(size))
    ]
    assert np.corrcoef(exponents)[0, 1] > 0.85


def test_the_result_is_strict_json_with_every_budget():
    result = analyse(noisy_rows(11))
    values = json.loads(result.to_json())
    assert [v["flops"] for v in values["valleys"]] == pytest.approx(BUDGETS.tolist())
    exponent = result.trends.params.exponent
    assert values["trends"]["params"]["exponent"] == {
        "value": exponent.value, "low": exponent.low, "high": exponent.high,
        "level": 0.95, "censored": None,
    }  # fmt: skip
    assert np.shape(values["trends"]["tokens"]["replicates"]) == (200, 2)
