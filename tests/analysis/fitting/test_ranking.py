"""Laws are ranked by what they predict, and what they predict was never fitted."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from published_data import published_path

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.combination import weights_of
from analysis.fitting.engine.loss import Loss
from analysis.fitting.extrapolation import extrapolation
from analysis.fitting.fit import fit
from analysis.fitting.information import information
from analysis.fitting.ranking import rank
from analysis.fitting.ranking_result import Ranking
from analysis.laws import (
    BNSL_1,
    BNSL_2,
    CHINCHILLA,
    CHINCHILLA_TIED,
    DELAYED_POWER_LAW,
    KAPLAN,
    KAPLAN_D,
    LAWS,
    M4,
    POWER_LAW,
    SATURATING_POWER_LAW,
    Law,
)

ONE_VARIABLE = [law for law in LAWS.values() if law.inputs == ("x",)]
M1_TO_M4 = [POWER_LAW, SATURATING_POWER_LAW, DELAYED_POWER_LAW, M4]
SIZES = np.geomspace(1e6, 1e10, 20)
NOISE = 0.005


def planted(law: Law, params: tuple[float, ...], x: Floats, seed: int = 0) -> Floats:
    noise = NOISE * np.random.default_rng(seed).standard_normal(len(x))
    return np.exp(law.log_predict(law.to_theta(np.array(params)), np.log(x)) + noise)


def plane() -> Floats:
    n, d = np.meshgrid(np.geomspace(1e7, 1e10, 7), np.geomspace(1e9, 3e11, 6))
    return np.stack([n.ravel(), d.ravel()], axis=1)


def error_of(law: Law, *rankings: Ranking) -> float:
    """Error of a law over all rankings."""
    rows = [row for each in rankings for row in each.rows if row.law is law]
    errors = [row.error for row in rows]
    assert None not in errors, [row.reason for row in rows]
    return float(np.sqrt(np.mean(np.square(errors))))


def assert_first_within_noise(law: Law, *rankings: Ranking) -> None:
    n_scored = 0
    for ranking in rankings:
        windows = ranking.best.extrapolation.windows
        n_scored += sum(windows[number].n_scored for number in ranking.windows)
    least = min(error_of(row.law, *rankings) for row in rankings[0].rows if row.error is not None)
    # Twice the standard error of a root mean square of so many normal errors.
    assert error_of(law, *rankings) <= (1 + 2 / math.sqrt(2 * n_scored)) * least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "params", "wrong"),
    [
        (POWER_LAW, (30.0, 0.1), ()),
        (SATURATING_POWER_LAW, (1.7, 300.0, 0.35), (POWER_LAW, DELAYED_POWER_LAW)),
        (DELAYED_POWER_LAW, (300.0, 0.35, 3e-9), (POWER_LAW, SATURATING_POWER_LAW)),
    ],
)
def test_planted_law_is_first_within_noise(law: Law, params: tuple[float, ...], wrong: list[Law]):
    x, few = SIZES[:, None], Bootstrap(n=200)
    rankings = [
        rank(M1_TO_M4, x, planted(law, params, x, seed), bootstrap=few) for seed in range(2)
    ]
    assert_first_within_noise(law, *rankings)
    assert error_of(law, *rankings) < 4 * NOISE
    for other in wrong:
        assert error_of(other, *rankings) > 2 * error_of(law, *rankings)


def test_of_laws_with_the_same_curve_the_one_with_fewer_parameters_leads():
    curved = np.exp(-0.02 * np.log(SIZES) ** 2)  # whose floor and delay are none
    ranking = rank([SATURATING_POWER_LAW, DELAYED_POWER_LAW, POWER_LAW], SIZES, curved)
    assert ranking.best.law is POWER_LAW
    assert error_of(DELAYED_POWER_LAW, ranking) == pytest.approx(ranking.best.error, rel=1e-6)


@pytest.mark.parametrize("along", [0, 1, "flops"])
def test_planted_law_of_two_inputs_is_first_along_each_size(along: int | str):
    x = plane()
    y = planted(CHINCHILLA, (1.8, 480.0, 2100.0, 0.32, 0.4), x)
    sizes = 6 * x.prod(axis=1) if along == "flops" else along
    ranking = rank(
        [KAPLAN, CHINCHILLA_TIED, CHINCHILLA], x, y, along=sizes, bootstrap=Bootstrap(n=200)
    )
    assert_first_within_noise(CHINCHILLA, ranking)
    assert ranking.rows[-1].law is KAPLAN
    assert error_of(KAPLAN, ranking) > 2 * error_of(CHINCHILLA, ranking)


def test_order_of_rows_is_irrelevant():
    x = SIZES[:, None].repeat(2, axis=0)
    y = planted(SATURATING_POWER_LAW, (1.7, 300.0, 0.35), x)
    shuffled = np.random.default_rng(1).permutation(len(y))
    first = rank(M1_TO_M4[:3], x, y, bootstrap=Bootstrap(n=200)).to_json()
    assert (
        rank(M1_TO_M4[:3], x[shuffled], y[shuffled], bootstrap=Bootstrap(n=200)).to_json() == first
    )
    one = extrapolation(POWER_LAW, x, y, along=x[:, 0])
    assert extrapolation(POWER_LAW, x[shuffled], y[shuffled], along=x[shuffled, 0]) == one
    assert extrapolation(POWER_LAW, x, y) == one


def test_windows_are_fits_to_smaller_sizes_alone():
    x = SIZES
    y = planted(SATURATING_POWER_LAW, (1.7, 300.0, 0.35), x[:, None])
    found = extrapolation(POWER_LAW, x, y, n_windows=4, always_fitted=0.4)
    log_x, log_y = np.log(x), np.log(y)
    errors = []
    for start, window in zip((8, 11, 14, 17), found.windows, strict=True):
        line = np.polyfit(log_x[:start], log_y[:start], 1)
        errors.append(log_y[start : start + 3] - np.polyval(line, log_x[start : start + 3]))
        assert window.rmsle == pytest.approx(np.sqrt(np.mean(errors[-1] ** 2)), rel=1e-9)
        assert (window.n_fitted, window.n_scored) == (start, 3)
        assert (window.fitted_to, window.scored_from) == (x[start - 1], x[start])
        assert window.scored_to == x[start + 2]
    assert found.rmsle == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)
    line = np.polyfit(log_x[:-1], log_y[:-1], 1)
    largest = abs(log_y[-1] - np.polyval(line, log_x[-1]))
    assert found.largest.rmsle == pytest.approx(largest, rel=1e-9)

    y[-1] *= 2
    changed = extrapolation(POWER_LAW, x, y, n_windows=4, always_fitted=0.4)
    assert changed.windows[:-1] == found.windows[:-1]
    assert changed.windows[-1].rmsle > 2 * found.windows[-1].rmsle


def test_rows_of_one_size_are_never_split():
    x = np.repeat(SIZES[:9], [3, 1, 2, 4, 1, 2, 3, 1, 5])
    found = extrapolation(POWER_LAW, x, planted(POWER_LAW, (30.0, 0.1), x[:, None]))
    assert [window.n_scored for window in found.windows] == [2, 3, 1, 5]
    assert [window.n_fitted for window in found.windows] == [11, 13, 16, 17]
    assert found.largest == found.windows[-1]


def test_windows_without_a_fit_keep_their_reason():
    x = SIZES[:10]
    y = planted(M4, (1.5, 6.0, 4e3, 0.45, 0.7), x[:, None])
    found = extrapolation(M4, x, y)
    assert found.windows[0].rmsle is None
    assert "5 parameters" in str(found.windows[0].reason)
    assert "5 rows" in str(found.windows[0].reason)
    fitted = [window.rmsle for window in found.windows if window.rmsle is not None]
    assert fitted
    assert found.rmsle == pytest.approx(np.sqrt(np.mean(np.square(fitted))))
    assert extrapolation(BNSL_2, x[:8], y[:8]).rmsle is None


def test_laws_that_do_not_apply_are_listed_with_their_reason():
    x = SIZES[:8]
    y = planted(POWER_LAW, (30.0, 0.1), x[:, None])
    ranking = rank([BNSL_2, KAPLAN, POWER_LAW], x, y, bootstrap=Bootstrap(n=200))
    assert [row.law for row in ranking.rows] == [POWER_LAW, BNSL_2, KAPLAN]
    assert ranking.best.law is POWER_LAW
    too_many, other_inputs = ranking.rows[1:]
    assert too_many.error is None and too_many.fit is None
    assert "9 parameters" in too_many.reason and "8 rows" in too_many.reason
    assert "2 input(s) (N, D)" in other_inputs.reason
    summary = ranking.summary()
    assert all(f"{row.law.name}: not ranked. {row.reason}" in summary for row in ranking.rows[1:])
    with pytest.raises(FitError, match=r"No law can be ranked.*9 parameters"):
        rank([BNSL_2], x, y, bootstrap=Bootstrap(n=200))
    with pytest.raises(FitError, match="Every row has the size"):
        rank([POWER_LAW], np.full(8, 2.0), y, bootstrap=Bootstrap(n=200))


@pytest.mark.medium
def test_a_law_with_a_fit_in_few_windows_does_not_take_them_from_the_others():
    x = SIZES[:10]
    y = planted(SATURATING_POWER_LAW, (1.7, 300.0, 0.35), x[:, None])
    ranking = rank([BNSL_2, SATURATING_POWER_LAW, POWER_LAW], x, y, bootstrap=Bootstrap(n=200))
    assert ranking.windows == (0, 1, 2, 3, 4)
    assert ranking.rows[-1].law is BNSL_2
    assert ranking.rows[-1].error is None
    alone = rank([POWER_LAW], x, y, bootstrap=Bootstrap(n=200))
    assert error_of(POWER_LAW, alone) == error_of(POWER_LAW, ranking)


def test_criteria_of_a_straight_line_in_log_space():
    y = planted(POWER_LAW, (30.0, 0.1), SIZES[:, None])
    found = information(fit(POWER_LAW, SIZES, y, bootstrap=Bootstrap(n=200)))
    n, k = len(y), 3
    _, (rss,), *_ = np.polyfit(np.log(SIZES), np.log(y), 1, full=True)
    # -2 times the sum of normal log densities, each written out.
    deviance = sum(math.log(2 * math.pi * rss / n) for _ in range(n)) + rss / (rss / n)
    assert found.aic == pytest.approx(deviance + 2 * k, rel=1e-10)
    assert found.bic == pytest.approx(deviance + k * math.log(n), rel=1e-10)
    assert found.aicc == pytest.approx(deviance + 2 * k * n / (n - k - 1), rel=1e-10)


def test_too_few_rows_for_the_correction_make_it_infinite():
    result = fit(POWER_LAW, SIZES[:4], [3.0, 2.1, 1.4, 1.1], bootstrap=Bootstrap(n=200))
    assert information(result).aicc == math.inf
    assert math.isfinite(information(result).bic)


def test_criteria_refuse_fits_that_do_not_maximise_their_likelihood():
    y = planted(POWER_LAW, (30.0, 0.1), SIZES[:, None])
    for fitted in (
        fit(POWER_LAW, SIZES, y, loss=Loss(1e-3), bootstrap=Bootstrap(n=200)),
        fit(POWER_LAW, SIZES, y, loss=Loss(scale="linear"), bootstrap=Bootstrap(n=200)),
    ):
        with pytest.raises(ValueError, match=f"{fitted.loss.scale} scale by"):
            information(fitted)
    weighted = fit(POWER_LAW, SIZES, y, weights=np.full(len(y), 2.0), bootstrap=Bootstrap(n=200))
    with pytest.raises(ValueError, match="fit without weights"):
        information(weighted)


def test_huber_has_no_criteria_and_disregards_an_outlier():
    y = planted(POWER_LAW, (30.0, 0.1), SIZES[:, None])
    y[3] *= 2
    robust = rank([POWER_LAW], SIZES, y, loss=Loss(1e-2), bootstrap=Bootstrap(n=200))
    assert robust.best.information is None
    assert robust.to_dict()["laws"][0]["aic"] is None
    squares = rank([POWER_LAW], SIZES, y, bootstrap=Bootstrap(n=200))
    assert error_of(POWER_LAW, robust) < 0.5 * error_of(POWER_LAW, squares)


def test_json_is_strict_and_complete():
    y = planted(POWER_LAW, (30.0, 0.1), SIZES[:4, None])
    ranking = rank([POWER_LAW, KAPLAN], SIZES[:4], y, bootstrap=Bootstrap(n=200))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    values = json.loads(ranking.to_json(), parse_constant=refuse)
    first, second = values["laws"]
    assert first["extrapolation_rmsle"] == ranking.best.error
    assert first["aicc"] is None  # infinite: 4 rows
    assert len(first["windows"]) == values["n_windows"] == 2
    assert first["verdict"] == "converged"
    assert second["law"] == "kaplan" and second["extrapolation_rmsle"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_windows": 0}, "n_windows = 0"),
        ({"always_fitted": 1.0}, "always_fitted = 1.0"),
        ({"along": 1}, "along = 1"),
        ({"along": SIZES[:3]}, r"along has shape \(3,\)"),
        ({"along": -SIZES}, r"along\[0\]"),
    ],
)
def test_arguments_at_fault_are_named(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        extrapolation(POWER_LAW, SIZES, SIZES**-0.1, **arguments)


# arXiv 2209.06640, held-out RMSLE by the authors' code: the best of M1 to M4 for each curve, which
# they could tell by the held-out point alone.
BEST_OF_M1_TO_M4 = {
    "28 Enc, 6 Dec": 0.0181,
    "6 Enc, 28 Dec": 0.0165,
    "6 Enc, 6 Dec": 0.0205,
    "Dec-only": 0.00843,
    "TEnc-LSTM": 0.0126,
}


def learning_curve(model: str, training: int) -> tuple[Floats, Floats]:
    with published_path("learning_curves_nmt.csv").open(newline="") as file:
        rows = [
            (float(row["Seen Examples"]), float(row["Loss"]))
            for row in csv.DictReader(file)
            if row["Domain"] == "NMT"
            and row["Model"] == model
            and float(row["Training"]) == training
        ]
    x, y = np.array(rows).T
    return x, y


def test_windows_with_a_horizon_are_scored_as_far_as_asked():
    y = planted(POWER_LAW, (30.0, 0.1), SIZES[:, None])
    step = SIZES[1] / SIZES[0]
    found = extrapolation(POWER_LAW, SIZES, y, to=SIZES[-1] * step**3)
    assert found.horizon == pytest.approx(step**3)
    # From the later half of the 14 cuts with three sizes beyond, to the largest size alone.
    assert [each.n_fitted for each in found.windows] == [11, 13, 15, 17, 19]
    assert [each.n_scored for each in found.windows] == [3, 3, 3, 3, 1]
    for each in found.windows:
        reached = min(each.fitted_to * step**3, SIZES[-1])
        assert each.scored_to == pytest.approx(reached)
        assert each.rmsle == pytest.approx(np.sqrt(np.mean(np.square(each.log_errors))))
    assert found.largest == found.windows[-1]
    # Farther than the rows reach: each window as far as they do.
    far = extrapolation(POWER_LAW, SIZES, y, to=1e6 * SIZES[-1])
    assert far.horizon == pytest.approx(SIZES[-1] / SIZES[3])
    assert [each.n_fitted for each in far.windows] == [4, 8, 12, 15, 19]
    assert {each.scored_to for each in far.windows} == {SIZES[-1]}
    with pytest.raises(ValueError, match=r"to = 1e\+06, but the largest size.*1e\+10"):
        extrapolation(POWER_LAW, SIZES, y, to=SIZES[0])


def test_a_horizon_shorter_than_the_last_step_is_scored_where_there_are_rows():
    x = np.append(SIZES[:10], SIZES[12])
    found = extrapolation(POWER_LAW, x, x**-0.1, to=1.5 * (SIZES[1] / SIZES[0]) * x[-1])
    assert [each.n_fitted for each in found.windows] == [7, 8, 9]


@pytest.mark.parametrize("to", [None, 3 * SIZES[-1]], ids=["shared out", "horizon"])
def test_laws_are_combined_with_a_horizon(to: float | None):
    y = planted(SATURATING_POWER_LAW, (1.7, 300.0, 0.35), SIZES[:, None])
    laws = [SATURATING_POWER_LAW, DELAYED_POWER_LAW, POWER_LAW]
    ranking = rank(laws, SIZES, y, to=to, bootstrap=Bootstrap(n=200))
    if to is None:
        assert ranking.blind is None
        assert ranking.weights == {ranking.best.law.name: 1.0}
    else:
        errors = {row.law.name: row.error for row in ranking.rows if row.error is not None}
        assert ranking.weights == pytest.approx(weights_of(errors, windows_of(ranking)))
    fits = {row.law.name: row.fit for row in ranking.rows if row.fit is not None}
    logs = [w * np.log(fits[name].predict(SIZES)) for name, w in ranking.weights.items()]
    np.testing.assert_allclose(np.log(ranking.predict(SIZES)), np.sum(logs, axis=0))
    assert json.loads(ranking.to_json())["weights"] == dict(ranking.weights)
    said = (
        f"{ranking.blind.combined:.4g}, of the best law alone"
        if ranking.blind
        else "combined: 1.00"
    )
    assert said in ranking.summary()
    # The nearest law has the least squared distance to all laws, weighed.
    nearest = ranking.nearest(10 * SIZES[-1:]).law.name
    at = {name: math.log(fits[name].predict(10 * SIZES[-1:])[0]) for name in ranking.weights}
    risk = {
        name: sum(w * (at[name] - at[other]) ** 2 for other, w in ranking.weights.items())
        for name in ranking.weights
    }
    assert nearest == min(risk, key=lambda name: risk[name])


def test_a_law_that_runs_off_does_not_count():
    y = planted(SATURATING_POWER_LAW, (1.7, 300.0, 0.35), SIZES[:, None])
    laws = [SATURATING_POWER_LAW, POWER_LAW]
    ranking = rank(laws, SIZES, y, to=10 * SIZES[-1], bootstrap=Bootstrap(n=200))
    low, high = np.log(y.min()), np.log(y.max())
    assert ranking.counted_from == pytest.approx(2 * low - high)
    assert ranking.counted_to == pytest.approx(2 * high - low)
    # The rows span four orders of magnitude; eight more are passed in two times as many.
    far = rank(laws, SIZES, y, to=1e8 * SIZES[-1], bootstrap=Bootstrap(n=200))
    assert far.counted_to == pytest.approx(high + 2 * (high - low))
    half = replace(ranking, weights={"saturating_power_law": 0.5, "power_law": 0.5})
    at = 1e40 * SIZES[-1:]  # where the power law is near no loss at all
    assert half.left_out(at) == ["power_law"] and half.left_out(SIZES) == []
    floor = next(row.fit for row in half.rows if row.law is SATURATING_POWER_LAW)
    assert floor is not None
    assert half.predict(at) == pytest.approx(floor.predict(at))
    assert half.nearest(at).law is SATURATING_POWER_LAW
    gone = np.array([1e306])  # and where the power law leaves float64
    assert half.predict(gone) == pytest.approx(floor.predict(gone))
    assert not half.runs_off(at)
    alone = replace(half, weights={"power_law": 1.0})  # where none counts, all do
    assert alone.runs_off(at) and alone.left_out(at) == []
    line = next(row.fit for row in half.rows if row.law is POWER_LAW)
    assert line is not None and alone.predict(at) == pytest.approx(line.predict(at))


def windows_of(ranking: Ranking) -> list[dict[str, Floats]]:
    """Log errors by law of each window."""
    return [
        {row.law.name: np.array(row.windows[number].log_errors) for row in ranking.rows}
        for number in ranking.windows
    ]


def test_windows_are_scored_by_what_the_others_choose():
    y = planted(SATURATING_POWER_LAW, (1.7, 300.0, 0.35), SIZES[:, None], 1)
    ranking = rank(
        [SATURATING_POWER_LAW, POWER_LAW], SIZES, y, to=3 * SIZES[-1], bootstrap=Bootstrap(n=200)
    )
    windows = windows_of(ranking)
    combined, best = [], []
    for left, off in enumerate(windows):
        others = windows[:left] + windows[left + 1 :]
        error = {
            name: math.sqrt(np.mean(np.concatenate([each[name] for each in others]) ** 2))
            for name in off
        }
        weights = weights_of(error, others)
        combined.append(sum(weight * off[name] for name, weight in weights.items()))
        best.append(off[min(error, key=lambda name: error[name])])
    expected = [math.sqrt(np.mean(np.concatenate(each) ** 2)) for each in (combined, best)]
    assert ranking.blind == pytest.approx(expected)


def test_the_same_law_counts_once():
    y = planted(POWER_LAW, (30.0, 0.1), SIZES[:, None])
    far, few = 3 * SIZES[-1], Bootstrap(n=200)
    both = rank([POWER_LAW, KAPLAN_D, DELAYED_POWER_LAW], SIZES, y, to=far, bootstrap=few)
    alone = rank([POWER_LAW, DELAYED_POWER_LAW], SIZES, y, to=far, bootstrap=few)
    assert both.weights == alone.weights
    assert both.blind == alone.blind
    # A law that is another one on these rows has its curve.
    exact = 3 * SIZES**-0.1
    twins = rank([SATURATING_POWER_LAW, POWER_LAW], SIZES, exact, to=far, bootstrap=few)
    assert len(twins.weights) == 1


@pytest.mark.medium
def test_a_law_gains_nothing_by_having_no_fit_in_the_hard_windows():
    x = SIZES[:12]
    y = planted(POWER_LAW, (30.0, 0.1), x[:, None])
    y[7] *= 1.5  # scored by the first windows alone, in which a law of many parameters has no fit
    ranking = rank([POWER_LAW, BNSL_1], x, y, bootstrap=Bootstrap(n=200))
    rows = {row.law.name: row for row in ranking.rows}
    first, few = rows["power_law"], rows["bnsl_1"]
    shared = [i for i, each in enumerate(few.windows) if each.rmsle is not None]
    assert few.error is not None and 0 < len(shared) < len(ranking.windows)
    own, beside = (
        np.sqrt(np.mean(np.concatenate([row.windows[i].log_errors for i in shared]) ** 2))
        for row in (few, first)
    )
    assert few.error == pytest.approx(own * error_of(POWER_LAW, ranking) / beside)


@pytest.mark.slow
def test_laws_chosen_without_the_held_out_points_predict_them():
    reached = {}
    for model, published in BEST_OF_M1_TO_M4.items():
        best = rank(ONE_VARIABLE, *learning_curve(model, 1), bootstrap=Bootstrap(n=200)).best
        x, y = learning_curve(model, 0)
        assert best.fit is not None
        error = np.sqrt(np.mean(np.log(best.fit.predict(x) / y) ** 2))
        reached[model] = (best.law.name, float(error), error <= published)
    # Demanded are three of the five; it is all of them.
    assert all(within for *_, within in reached.values()), reached
