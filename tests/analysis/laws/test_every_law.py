"""Every law recovers what was planted, and the engine finds what SciPy finds."""

import numpy as np
import planted
import pytest
from scipy.optimize import least_squares

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.least_squares import Points, solve
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.fitting.engine.optimum import find_optimum
from analysis.fitting.engine.problem import pose
from analysis.fitting.fit import fit
from analysis.laws import LAWS, Law, broken_power_law
from analysis.laws.chinchilla import compute_optimal

LINE = np.geomspace(1e6, 1e10, 24)
RNG = np.random.default_rng(0)
PLANE = np.exp(RNG.uniform(np.log([5e7, 1e9]), np.log([1e10, 3e11]), (60, 2)))

# Ranges of the inputs of laws that neither a line of x nor a plane of N and D serves.
RANGES = {
    ("N", "D", "epochs"): [(5e7, 1e10), (1e9, 3e11), (0.6, 90.0)],
    ("C", "M"): [(1e18, 1e22), (0.5, 640.0)],
    ("N", "X"): [(1e7, 2e9), (1.0, 512.0)],
    ("N", "G", "D"): [(5e7, 1e10), (1.0, 64.0), (1e9, 3e11)],
    ("N", "D", "family"): [(5e7, 1e10), (1e9, 3e11), (1.0, 2.0)],
    ("width", "depth", "D"): [(64.0, 4096.0), (2.0, 96.0), (1e8, 3e11)],
    ("width", "depth", "D", "N"): [(64.0, 4096.0), (2.0, 96.0), (1e8, 3e11), (1e6, 1e10)],
    ("loss",): [(1.6, 4.5)],
    ("batch",): [(128.0, 65536.0)],
    ("sqrt_kl",): [(0.3, 3.0)],
    ("D_F", "N"): [(1e5, 1e8), (1e6, 1e9)],
    ("D_F", "N", "D_P"): [(1e5, 1e8), (1e6, 1e9), (1e8, 1e11)],
    ("N", "D_F"): [(1e5, 1e9), (1e4, 1e9)],
    ("L_T", "L_own", "N", "D"): [(1.6, 3.5), (1.8, 3.5), (1e7, 3e9), (1e9, 1e12)],
}

# Inputs, and parameters that the inputs show.
PLANTED: dict[str, list[tuple[float, ...]]] = {
    "power_law": [planted.POWER, (1e-4, -0.25)],
    "saturating_power_law": [planted.SATURATING, (0.02, 5e4, 0.6)],
    "m3": [(300.0, 0.35, 3e-9), (9e4, 0.8, 2e-8)],
    "m4": [(1.5, 6.0, 4e3, 0.45, 0.7), (0.3, 2.0, 3e2, 0.35, 2.0)],
    "bnsl_1": [(0.5, 40.0, 0.2, 0.5, 1e8, 0.3), (1.0, 3.0, 0.05, 0.4, 2e7, 0.2)],
    "bnsl_2": [(0.5, 40.0, 0.25, -0.5, 0.6, 2e7, 8e8, 0.25, 0.3)],
    "kaplan_n": [(11.0, 0.076)],
    "kaplan_d": [(20.0, 0.095)],
    "kaplan_c": [(2.6, 0.05)],
    "kaplan": [(6.4e13**0.076, 1.8e13**0.103, 0.076, 0.103), (400.0, 900.0, 0.3, 0.25)],
    "chinchilla": [planted.CHINCHILLA, (0.5, 30.0, 9e4, 0.15, 0.6)],
    "chinchilla_tied": [(1.87, 520.0, 1490.0, 0.353)],
    "data_constrained": [(1.87, 520.0, 1490.0, 0.353, 0.353, 15.4, 5.3)],
    "overfitting": [(1.87, 520.0, 1490.0, 0.02, 0.353, 0.36, 0.9, 0.5)],
    "interaction": [(1.7, 400.0, 900.0, 0.35, 0.33, 0.6), (1.0, 90.0, 500.0, 0.25, 0.3, 1.5)],
    "over_training": [(1.5, 220.0, 900.0, 0.12, 0.18), (1.8, 9e3, 2e4, 0.2, 0.35)],
    "routed": [(-0.082, -0.108, 0.009, 1.104, 1.86, 314.5), (-0.1, -0.1, 0.008, 1.2, 4.0, 60.0)],
    "granular": [(0.5, 60.0, 400.0, 900.0, 0.3, 0.6, 0.35)],
    "shared_floor_2": [(1.7, 400.0, 900.0, 0.35, 0.33, 90.0, 5e3, 0.25, 0.4)],
    "width_depth": [(1.6, 40.0, 1.5, 3e3, 0.6, 0.8, 0.4), (0.8, 9.0, 2.0, 200.0, 0.4, 0.5, 0.25)],
    "width_depth_n": [(1.6, 40.0, 1.5, 3e3, 60.0, 0.6, 0.8, 0.4, 0.3)],
    "task_sigmoid": [(0.25, 0.95, 4.0, 2.8), (0.9, 0.3, 2.5, 3.0)],
    "critical_batch": [(150.0, 3e5), (2e4, 4e6)],
    "quanta": [(0.6, 0.4, 1e6, 1500.0)],
    "quanta_n": [(0.6, 0.4, 3e6, 6000.0)],
    "best_of_n": [(0.0, 1.3, 0.4), (-0.5, 0.9, -0.02)],
    "rl_reward": [(0.2, 1.1, 0.5)],
    "mixed_modal": [(0.05, 60.0, 0.25, 0.1), (-0.02, 400.0, 0.4, 0.05)],
    "transfer": [(1.9e4, 0.18, 0.38), (2.1e5, 0.096, 0.38)],
    "transfer_p": [(30.0, 0.4, 0.3, 0.5)],
    "transfer_loss": [(6.0, 6.0, 0.12, 0.1, 0.02, 0.25)],
    "distillation": [(1.0, 400.0, 900.0, 1.5, 1.2, 1.1, 0.3, 0.33, 0.3, 0.7)],
    "task_exponential": [(0.86, 2.2, 0.72), (0.7, 0.5, 0.4)],
}
every_planted = pytest.mark.parametrize(
    ("name", "params"), [(name, each) for name, many in PLANTED.items() for each in many]
)


def inputs(law: Law) -> Floats:
    if law.inputs in RANGES:
        low, high = np.log(RANGES[law.inputs]).T
        return np.exp(np.random.default_rng(3).uniform(low, high, (60, len(low))))
    return LINE[:, None] if len(law.inputs) == 1 else PLANE


def curve(law: Law, params: tuple[float, ...], x: Floats) -> Floats:
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)))


def test_every_law_is_planted():
    assert set(PLANTED) == set(LAWS)


@every_planted
def test_planted_parameters_are_recovered(name: str, params: tuple[float, ...]):
    law = LAWS[name]
    x = inputs(law)
    result = fit(law, x, curve(law, params, x), bootstrap=Bootstrap(n=200))
    np.testing.assert_allclose(list(result.params.values()), params, rtol=1e-4)
    assert result.objective < 1e-16


@every_planted
def test_jacobian_is_that_of_central_differences(name: str, params: tuple[float, ...]):
    law = LAWS[name]
    log_x = np.log(inputs(law))
    # In centred units, as fits see it.
    shift = [0.0 if name in law.unscaled else 1.0 for name in law.inputs] * log_x.mean(axis=0)
    theta = law.rescale(law.to_theta(np.array(params)), -shift, -0.5)
    log_x = log_x - shift
    step = 1e-5
    for column, direction in enumerate(np.eye(len(theta))):
        ends = [law.log_predict(theta + sign * step * direction, log_x) for sign in (1, -1)]
        np.testing.assert_allclose(
            law.jacobian(theta, log_x)[:, column],
            (ends[0] - ends[1]) / (2 * step),
            rtol=1e-6,
            atol=1e-8,
        )


@every_planted
@pytest.mark.parametrize("delta", [None, 0.003])
def test_engine_finds_no_worse_a_minimum_than_scipy(
    name: str, params: tuple[float, ...], delta: float | None
):
    law = LAWS[name]
    x = inputs(law)
    noise = 0.004 * np.random.default_rng(1).standard_t(4, (6, len(x)))
    rows = observe(law, checked_rows(law, x, curve(law, params, x)))
    truth = law.rescale(law.to_theta(np.array(params)), -rows.log_x_scale, -rows.log_y_scale)
    log_y = rows.log_y + noise[:, rows.order]
    points = Points(rows.log_x, np.ones(len(x)))
    found = solve(law, points, log_y, np.tile(truth, (6, 1)), loss=Loss(delta))
    same = 0
    for problem in range(6):
        alone = least_squares(
            lambda theta, target: law.log_predict(theta, rows.log_x) - target,
            truth,
            jac=lambda theta, target: law.jacobian(theta, rows.log_x),
            args=(log_y[problem],),
            bounds=(law.lower, law.upper),
            x_scale="jac",
            loss="linear" if delta is None else "huber",
            f_scale=1.0 if delta is None else delta,
            xtol=1e-13,
            ftol=1e-13,
            gtol=1e-13,
            max_nfev=500,
        )
        assert found.objective[problem] <= alone.cost * (1 + 1e-6)
        same += found.objective[problem] >= alone.cost * (1 - 1e-6)
    assert same >= 4


@every_planted
def test_starts_reach_the_minimum_from_afar(name: str, params: tuple[float, ...]):
    law = LAWS[name]
    x = inputs(law)
    noise = np.exp(0.004 * np.random.default_rng(2).standard_normal(len(x)))
    rows = observe(law, checked_rows(law, x, curve(law, params, x) * noise))
    problem = pose(law, rows, Loss())
    points, targets = problem.points, problem.targets(rows.log_y)
    from_starts = find_optimum(problem)
    truth = law.rescale(law.to_theta(np.array(params)), -rows.log_x_scale, -rows.log_y_scale)
    from_truth = solve(law, points, targets[None], truth[None])
    assert from_starts.objective <= from_truth.objective[0] * (1 + 1e-6)
    at_truth = Loss().value(targets - law.log_predict(truth, rows.log_x)).sum()
    assert from_starts.objective <= at_truth


def test_special_cases_are_the_laws_they_should_be():
    log_x = np.log(PLANE) - np.log(PLANE).mean(axis=0)
    free = LAWS["chinchilla"].to_theta(np.array([0.7, 0.2, 0.1, 0.35, 0.35]))
    expected = LAWS["chinchilla"].log_predict(free, log_x)
    tied = LAWS["chinchilla_tied"].log_predict(free[:4], log_x)
    joined = LAWS["interaction"].log_predict(np.append(free, 0.0), log_x)
    np.testing.assert_allclose(tied, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(joined, expected, rtol=1e-12, atol=1e-13)
    # Kaplan's is the interaction law without a floor, gamma = beta.
    kaplan = LAWS["kaplan"].log_predict(np.array([0.3, 0.2, 0.1, 0.2]), log_x)
    same = LAWS["interaction"].log_predict(np.array([0.0, 0.3, 0.2, 0.1, 0.2, np.log(0.2)]), log_x)
    np.testing.assert_allclose(same, kaplan, rtol=1e-10, atol=1e-12)


def test_m_laws_compute_their_equations():
    x = LINE[:, None]
    a, alpha, g = PLANTED["m3"][0]
    np.testing.assert_allclose(
        curve(LAWS["m3"], (a, alpha, g), x), a * (1 / LINE + g) ** alpha, rtol=1e-12
    )
    floor, r, a, alpha, delta = PLANTED["m4"][0]
    y = curve(LAWS["m4"], (floor, r, a, alpha, delta), x)
    assert np.all((floor < y) & (y < floor + r))
    np.testing.assert_allclose(
        (y - floor) * (r / (floor + r - y)) ** delta, a * LINE**-alpha, rtol=1e-9
    )


@pytest.mark.parametrize("delta", [0.02, 0.5, 1.0, 4.0, 20.0])
def test_m4_is_solved_to_rounding_over_its_whole_height(delta: float):
    law = LAWS["m4"]
    log_x = np.linspace(-40.0, 40.0, 400)[:, None]
    log_y = law.log_predict(law.to_theta(np.array([0.0, 1.0, 1.0, 1.0, delta])), log_x)
    # log y - delta log(1 - y) = -log x; near y = 1 what is left of 1 - y is all rounding.
    seen = log_y < -1e-4
    left = log_y[seen] - delta * np.log(-np.expm1(log_y[seen]))
    np.testing.assert_allclose(left, -log_x[seen, 0], rtol=1e-9, atol=1e-9)
    assert np.all(np.diff(log_y) <= 0)


def test_broken_law_computes_its_equation_and_bends_where_it_says():
    floor, b, c0, c1, d1, f1 = PLANTED["bnsl_1"][0]
    expected = floor + b * LINE**-c0 * (1 + (LINE / d1) ** (1 / f1)) ** (-c1 * f1)
    np.testing.assert_allclose(
        curve(LAWS["bnsl_1"], (floor, b, c0, c1, d1, f1), LINE[:, None]), expected, rtol=1e-12
    )
    law = broken_power_law(3)
    assert len(law.params) == 12
    assert law.name == "bnsl_3"
    with pytest.raises(ValueError, match=r"n_breaks = 0.*saturating_power_law"):
        broken_power_law(0)


def test_kaplans_constants_and_growth():
    (a, b, alpha, beta) = PLANTED["kaplan"][0]
    derived = LAWS["kaplan"].derived(np.array([a, b, alpha, beta]))
    assert derived["N_c"] == pytest.approx(6.4e13)
    assert derived["D_c"] == pytest.approx(1.8e13)
    # The bracket is a Chinchilla law; its optimum is the law's.
    bracket = np.array([0.0, 6.4e13 ** (alpha / beta), 1.8e13, alpha / beta, 1.0])
    n = [float(compute_optimal(bracket, flops).parameters) for flops in (1e20, 1e21)]
    assert np.log10(n[1] / n[0]) == pytest.approx(float(derived["a"]), rel=1e-9)
    one = LAWS["kaplan_n"].derived(np.array([8.8e13**0.076, 0.076]))
    assert one["N_c"] == pytest.approx(8.8e13)


def test_tied_exponents_grow_parameters_and_tokens_alike():
    derived = LAWS["chinchilla_tied"].derived(np.array(PLANTED["chinchilla_tied"][0]))
    assert derived["a"] == derived["b"] == 0.5
