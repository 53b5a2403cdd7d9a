"""The verdict on a fit: what each doubt is raised by, and its sentence."""

import numpy as np
import pytest

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.bootstrap.replicates import BootstrapRecord, Replicates
from analysis.fitting.engine.distinct_optima import Optima, count_optima
from analysis.fitting.engine.ending import Ending
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.optimum import Optimum
from analysis.fitting.fit import fit
from analysis.fitting.verdict import Verdict, judge
from analysis.laws import POWER_LAW, SATURATING_POWER_LAW, Law

X = np.geomspace(1e6, 1e9, 12)


def test_a_floor_that_no_data_want_is_a_bound_hit():
    curved_down = np.exp(-0.3 * np.log(X) - 0.01 * np.log(X / 1e6) ** 2)
    result = fit(SATURATING_POWER_LAW, X, curved_down)
    assert result.verdict is Verdict.BOUND_HIT
    assert result.bounds_hit == ("E",)
    assert result.params["E"] == 0.0
    assert "E lies on a bound" in result.reason
    power = fit(POWER_LAW, X, curved_down)
    assert result.params["alpha"] == pytest.approx(power.params["alpha"], rel=1e-7)


def test_a_rising_curve_pins_the_exponent_and_identifies_nothing():
    result = fit(SATURATING_POWER_LAW, X, X**0.2)
    assert result.verdict is Verdict.BOUND_HIT
    assert result.bounds_hit == ("alpha",)
    assert "condition number" in result.reason  # E and A are one number where alpha = 0


def test_an_interval_that_ends_at_a_bound_says_so():
    noise = 0.05 * np.random.default_rng(3).standard_normal(12)
    result = fit(SATURATING_POWER_LAW, X, (0.5 + 30 * X**-0.2) * np.exp(noise))
    assert result.verdict is Verdict.INTERVAL_AT_BOUND
    assert 0 < result.params["E"]
    assert result.intervals["E"][0] == 0.0
    assert "E lies on a bound in" in result.reason


def two_terms() -> Law:
    """y = A x^-a + B x^-b, whose terms may change places."""

    def terms(theta: Floats, log_x: Floats) -> tuple[Floats, Floats]:
        log_a, a, log_b, b = (theta[..., column, None] for column in range(4))
        return np.exp(log_a - a * log_x[:, 0]), np.exp(log_b - b * log_x[:, 0])

    def log_predict(theta: Floats, log_x: Floats) -> Floats:
        first, second = terms(theta, log_x)
        return np.log(first + second)

    def jacobian(theta: Floats, log_x: Floats) -> Floats:
        first, second = terms(theta, log_x)
        shares = first / (first + second), second / (first + second)
        columns = [column for share in shares for column in (share, -log_x[:, 0] * share)]
        return np.stack(columns, axis=-1)

    def starts(log_x: Floats, log_y: Floats) -> Floats:
        exponents = [0.1, 0.4, 1.0]
        return np.array([[-0.7, a, -0.7, b] for a in exponents for b in exponents if a != b])

    def rescale(theta: Floats, log_x_scale: Floats, log_y_scale: float) -> Floats:
        a, b = theta[..., 1] * log_x_scale[0], theta[..., 3] * log_x_scale[0]
        zero = np.zeros_like(a)
        return theta + np.stack([a + log_y_scale, zero, b + log_y_scale, zero], axis=-1)

    return Law(
        name="two_terms",
        formula="y = A x^-a + B x^-b",
        inputs=("x",),
        params=("A", "a", "B", "b"),
        logs=frozenset({"A", "B"}),
        lower=(-np.inf, 0.0, -np.inf, 0.0),
        upper=(np.inf, 10.0, np.inf, 10.0),
        log_predict=log_predict,
        jacobian=jacobian,
        starts=starts,
        rescale=rescale,
    )


def mirrored() -> Law:
    """Log y = c + t log x + t^2 (log x)^2: for even rows, t and -t are two curves as good."""

    def log_predict(theta: Floats, log_x: Floats) -> Floats:
        c, t = (theta[..., column, None] for column in range(2))
        return c + t * log_x[:, 0] + (t * log_x[:, 0]) ** 2

    def jacobian(theta: Floats, log_x: Floats) -> Floats:
        t = theta[..., 1, None]
        by_t = log_x[:, 0] + 2 * t * log_x[:, 0] ** 2
        return np.stack([np.ones_like(by_t), by_t], axis=-1)

    return Law(
        name="mirrored",
        formula="log y = c + t log x + (t log x)^2",
        inputs=("x",),
        params=("c", "t"),
        logs=frozenset(),
        lower=(-np.inf, -np.inf),
        upper=(np.inf, np.inf),
        log_predict=log_predict,
        jacobian=jacobian,
        starts=lambda log_x, log_y: np.array([[0.0, t] for t in (-2.0, -1.0, -0.1, 0.5, 1.0, 3.0)]),
        rescale=lambda theta, log_x_scale, log_y_scale: theta + np.array([log_y_scale, 0.0]),
        unscaled=("x",),
    )


@pytest.mark.parametrize("delta", [None, 0.01])
def test_terms_that_may_change_places_are_two_optima_of_one_curve(delta: float | None):
    x = np.geomspace(1e3, 1e9, 40)
    noise = 0.005 * np.random.default_rng(0).standard_normal(40)
    y = (40 * x**-0.6 + 3 * x**-0.1) * np.exp(noise)
    result = fit(two_terms(), x, y, loss=Loss(delta), bootstrap=Bootstrap(n=200))
    assert result.n_optima == 2
    assert result.verdict is Verdict.SEVERAL_OPTIMA
    assert "2 separate sets of parameters have the same curve" in result.reason
    # With one term held they may not.
    held = fit(two_terms(), x, y, fixed={"a": 0.6}, bootstrap=Bootstrap(n=200))
    assert held.n_optima == 1


def test_two_curves_as_good_are_two_optima():
    z = np.linspace(-1.0, 1.0, 21)
    noise = 0.02 * np.cos(40 * z)
    result = fit(mirrored(), np.exp(z), np.exp(4 * z**2 + noise), bootstrap=Bootstrap(n=200))
    assert result.n_optima == 2
    assert result.verdict is Verdict.SEVERAL_OPTIMA
    assert "with 2 different curves" in result.reason
    # One row off the symmetry decides.
    tilted = np.exp(4 * z**2 + noise + 0.1 * (z == 1))
    decided = fit(mirrored(), np.exp(z), tilted, bootstrap=Bootstrap(n=200))
    assert decided.n_optima == 1
    assert decided.params["t"] > 0


def test_a_valley_with_a_flat_floor_is_one_optimum():
    # Where alpha = 0, E + A is one number: starts end all along a curve of E and log A.
    result = fit(SATURATING_POWER_LAW, X, X**0.2, bootstrap=Bootstrap(n=200))
    assert result.n_optima == 1
    assert result.condition_number > 1e6


def test_places_are_counted_with_higher_ground_between_them():
    def objective_at(theta: Floats) -> Floats:
        return 1.0 - np.cos(2 * np.pi * theta[:, 0]) ** 2  # 0 at every half

    ends = np.array([[0.0], [1e-7], [0.5], [1.0], [0.5 + 1e-7]])
    choices = {"barrier": 1e-3, "noise": 0.1}
    found = count_optima(
        ends[0], ends, objective_at, lambda theta: theta % 1, lambda _: True, **choices
    )
    assert found == Optima(n_places=3, n_curves=2)
    many = np.arange(40)[:, None] / 2
    found = count_optima(many[0], many, objective_at, lambda t: t, lambda _: True, **choices)
    assert found.n_places == 20
    # A place that is a valley is none.
    found = count_optima(
        ends[0], ends, objective_at, lambda t: t, lambda theta: theta[0] < 0.9, **choices
    )
    assert found.n_places == 2


def sound() -> tuple[Optimum, Replicates]:
    optimum = Optimum(
        theta=np.array([0.0, 0.3]),
        objective=0.1,
        ending=Ending(),
        n_starts=8,
        n_starts_agreeing=8,
        n_optima=1,
        n_curves=1,
    )
    how = BootstrapRecord(
        resampling="residuals",
        n_replicates=1000,
        n_unconverged=0,
        n_clusters=None,
        degrees_of_freedom=3.0,
        seed=0,
    )
    return optimum, Replicates(np.zeros((1000, 2)), np.ones(1000), how)


def test_nothing_doubtful_is_converged():
    verdict, reason = judge(POWER_LAW, *sound(), 0.95, n_points=5)
    assert verdict is Verdict.CONVERGED
    assert "8 of 8 starts" in reason


@pytest.mark.parametrize(
    ("optimum", "how", "expected", "sentence"),
    [
        ({"n_starts_agreeing": 1}, {}, Verdict.STARTS_DISAGREE, "Only 1 of 8 starts"),
        (
            {"n_optima": 3, "n_curves": 2},
            {},
            Verdict.SEVERAL_OPTIMA,
            "3 separate sets of parameters, with 2 different curves, fit the rows equally well",
        ),
        (
            {"n_optima": 2},
            {},
            Verdict.SEVERAL_OPTIMA,
            "2 separate sets of parameters have the same",
        ),
        ({"ending": Ending(condition_number=1e9)}, {}, Verdict.ILL_CONDITIONED, "1.0e+09"),
        (
            {"ending": Ending(is_stationary=False, valley=("A", "alpha"))},
            {},
            Verdict.ILL_CONDITIONED,
            "have settled, the parameters have not. A and alpha may change together and leave",
        ),
        (
            {"ending": Ending(is_stationary=False, is_settled=False, fall=2e-5)},
            {"n_unconverged": 50},
            Verdict.ILL_CONDITIONED,
            "still fell, by 2.0e-05 of it",
        ),
        (
            {"ending": Ending(condition_number=1e9, without_effect=("A",), bounds_hit=("E",))},
            {},
            Verdict.BOUND_HIT,
            "A has no effect on the curve: fit a law without it, or hold it",
        ),
        ({}, {"n_unconverged": 50}, Verdict.ILL_CONDITIONED, "50 of 1000 replicates"),
        (
            {"ending": Ending(bounds_hit=("A",)), "n_starts_agreeing": 1},
            {},
            Verdict.BOUND_HIT,
            "Only 1 of 8",
        ),
    ],
)
def test_each_doubt_has_its_verdict_and_none_is_left_out(optimum, how, expected, sentence):
    good, replicates = sound()
    worse = replicates._replace(how=BootstrapRecord(**(vars(replicates.how) | how)))
    verdict, reason = judge(POWER_LAW, good._replace(**optimum), worse, 0.95, n_points=5)
    assert verdict is expected
    assert sentence in reason
