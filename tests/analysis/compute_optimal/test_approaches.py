"""Three approaches to one planted law agree; what a table does not allow is a row with a reason."""

import json

import numpy as np
import pandas as pd
import pytest
from published_data import published_path

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.approaches_result import ApproachKind
from analysis.compute_optimal.growth import fitted_growth
from analysis.compute_optimal.points import SeedNoise
from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws import CHINCHILLA
from analysis.laws.chinchilla import compute_optimal
from analysis.planning.allocate import allocate
from analysis.planning.training_cost import TrainingCost
from analysis.tables import read

ALPHA, BETA = 0.36, 0.3
A_TRUE = BETA / (ALPHA + BETA)
BUDGETS = 1e18 * 4.0 ** np.arange(6)


def loss_of(size, tokens, alpha=ALPHA, beta=BETA):
    return 1.8 + 400 * size**-alpha + 900 * tokens**-beta


def optimum(flops):
    ratio = (ALPHA * 400 / (BETA * 900)) ** (1 / (ALPHA + BETA))
    return ratio * (np.asarray(flops) / 6) ** A_TRUE


def table(size, flops, sd=0.0, k=6.0, **more):
    tokens = flops / (k * size)
    noise = sd * np.random.default_rng(0).standard_normal(len(size))
    return pd.DataFrame({"N": size, "D": tokens, "C": flops, "loss": loss_of(size, tokens)}).assign(
        loss=lambda rows: rows["loss"] + noise, **more
    )


def final_points(sd=0.002, k=6.0):
    """Nine sizes about the optimum of each budget."""
    flops, offset = (
        g.ravel() for g in np.meshgrid(BUDGETS, np.linspace(-1.2, 1.2, 9), indexing="ij")
    )
    return table(optimum(flops) * np.exp(offset), flops, sd, k)


def learning_curves(sd=0.002):
    """Sixteen sizes, each evaluated 120 times; noise lifts or lowers whole curves."""
    sizes, flops = np.geomspace(1e7, 1e10, 16), np.geomspace(1e17, 1e21, 120)
    size, compute = (grid.ravel() for grid in np.meshgrid(sizes, flops, indexing="ij"))
    rows = table(size, compute, run=np.repeat(np.arange(16), 120))
    return rows.assign(loss=rows["loss"] + sd * np.random.default_rng(1).normal(size=16)[rows.run])


def analyse(rows, noise=None, **options):
    noise = None if noise is None else SeedNoise(noise)
    return three_approaches(rows, noise=noise, **{"bootstrap": Bootstrap(n=200)} | options)


def by_name(found):
    return {row.kind.title: row for row in found.rows}


NAMES = ["1 envelope", "2 parabola", "2 Akima", "3 Huber 0.001", "3 squared error"]


def test_all_approaches_recover_the_planted_law_from_learning_curves():
    found = analyse(learning_curves(), curves=True, span=8.0)
    assert [row.kind.title for row in found.rows] == NAMES
    for row in found.rows:
        # The known bias of a parabola over sizes within a factor 8
        # (`analysis.compute_optimal.valley`).
        biased = row.kind is ApproachKind.PARABOLA
        factor = np.exp((ALPHA - BETA) * np.log(8.0) ** 2 / 10) if biased else 1.0
        best = factor * optimum(1e21)
        truth = (A_TRUE, 1 - A_TRUE, best, 1e21 / (6 * best**2))
        estimates = (
            row.exponents.params.exponent,
            row.exponents.tokens.exponent,
            row.optimal_params,
            row.tokens_per_param,
        )
        for estimate, value in zip(estimates, truth, strict=True):
            # Five intervals of 95 % for each of four numbers: a little beyond at most.
            slack = 0.5 * (estimate.high - estimate.low)
            assert estimate.low - slack <= value <= estimate.high + slack, row.kind
    assert found.flops == 1e21 == found.compute[1]


def test_without_curves_the_first_approach_does_not_apply():
    found = analyse(final_points())
    first, *others = found.rows
    assert (first.status, first.exponents, first.detail) == ("not applicable", None, None)
    assert "no learning curves" in first.reason
    for row in others:
        assert row.exponents.params.exponent.value == pytest.approx(A_TRUE, abs=0.05)
    assert "1 envelope       not applicable" in found.summary()


def test_a_run_column_alone_makes_no_curves():
    rows = final_points().assign(run="one and the same")
    assert by_name(analyse(rows))["1 envelope"].status == "not applicable"


def test_the_noise_of_akima_is_borrowed_from_the_parabolas():
    rows = by_name(analyse(final_points(sd=0.005)))
    parabola, akima = rows["2 parabola"].detail, rows["2 Akima"].detail
    assert parabola.noise.source == "residuals" and akima.noise.source == "given"
    assert parabola.noise.sd == pytest.approx(0.005, rel=0.5)
    wide = akima.valleys[0].optimal_params
    quiet = by_name(analyse(final_points(sd=0.005), noise=0.0005))["2 Akima"].detail
    narrow = quiet.valleys[0].optimal_params
    assert wide.high / wide.low > narrow.high / narrow.low


def test_a_grid_without_budgets_has_a_parametric_fit_alone():
    size, tokens = (
        g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e9, 1e11, 8))
    )
    found = analyse(table(size, 6 * size * tokens, sd=0.001))
    rows = by_name(found)
    for name in ("2 parabola", "2 Akima"):
        assert rows[name].status == "refused" and rows[name].reason
    for name in ("3 Huber 0.001", "3 squared error"):
        estimate = rows[name].exponents.params.exponent
        assert estimate.low <= A_TRUE <= estimate.high


def test_nominal_budgets_gather_rows_that_cannot_be_told_apart():
    rows = final_points()
    between = table(np.geomspace(1e7, 1e9, 40), np.geomspace(1e18, 1e21, 40))
    both = pd.concat([rows, between], ignore_index=True)
    assert "cannot be separated" in by_name(analyse(both))["2 parabola"].reason
    found = analyse(both, budgets=BUDGETS, span=4.0)
    row = by_name(found)["2 parabola"]
    assert row.exponents.params.exponent.value == pytest.approx(A_TRUE, abs=0.05)
    assert any("rows near a budget that was given" in note for note in found.notes)
    with pytest.raises(ValueError, match="lie within the tolerance"):
        analyse(both, budgets=[1e18, 1.05e18])


@pytest.mark.medium
def test_a_refused_budget_is_a_doubt_and_all_refused_is_a_refusal():
    rows = final_points()
    lost = (rows["C"] == BUDGETS[0]) & (rows["N"] < optimum(BUDGETS[0]))
    parabola = by_name(analyse(rows.loc[~lost]))["2 parabola"]
    assert parabola.status == "doubtful" and "1 of 6 budgets refused" in parabola.reason
    left = rows["N"] >= optimum(rows["C"]) * 1.1
    parabola = by_name(analyse(rows.loc[left]))["2 parabola"]
    assert parabola.status == "refused" and "(edge)" in parabola.reason
    assert "lower end of the grid" in parabola.explanation
    one = rows.loc[rows["C"] == BUDGETS[0]]
    reason = by_name(analyse(one))["2 parabola"].reason
    assert reason == "Only one budget has a minimum; an exponent needs two. Add budgets."


def test_no_approach_at_all_is_an_error_with_every_reason():
    few = final_points().head(3)
    with pytest.raises(FitError, match=r"No approach.*1 envelope: .*2 parabola: .*3 Huber"):
        analyse(few)


def test_exponents_of_a_fit_are_those_of_an_allocation():
    rows = final_points()
    x = rows[["N", "D"]].to_numpy()
    result = fit(CHINCHILLA, x, rows["loss"], bootstrap=Bootstrap(n=200))
    laws = fitted_growth(result, cost=TrainingCost(), flops_ref=1e20)
    for flops in (1e18, 3e23):
        exact = compute_optimal(np.array(list(result.params.values())), flops)
        assert laws.params.at(flops).value == pytest.approx(exact.parameters, rel=1e-12)
        assert laws.tokens.at(flops).value == pytest.approx(exact.tokens, rel=1e-12)
        best = allocate(result, flops)
        pairs = ((laws.params, best.parameters), (laws.tokens, best.tokens))
        for law, estimate in (*pairs, (laws.tokens_per_param, best.tokens_per_parameter)):
            ends = [estimate.value, estimate.low, estimate.high]
            at = law.at(flops)
            # An allocation searches for the optimum of each replicate, to a part in a million.
            assert [at.value, at.low, at.high] == pytest.approx(ends, rel=1e-6)


def test_compute_counted_otherwise_moves_the_optimum_of_every_approach_alike():
    """With C = 9 N D a budget buys two thirds of the tokens; a and b stay."""
    found = by_name(analyse(final_points(sd=1e-4, k=9.0), span=4.0))
    at = optimum(BUDGETS[-1] * 6 / 9)
    for name in NAMES[1:]:
        assert found[name].optimal_params.value == pytest.approx(at, rel=0.05), name
        assert found[name].exponents.params.exponent.value == pytest.approx(A_TRUE, abs=0.01)
    mixed = final_points().assign(C=lambda r: r["C"] * np.where(np.arange(len(r)) % 2, 1.0, 1.2))
    huber = by_name(analyse(mixed, budgets=BUDGETS))["3 Huber 0.001"]
    assert huber.status == "doubtful" and "from the smooth function of N" in huber.reason


def test_approaches_that_differ_beyond_their_intervals_are_named():
    """Parabolas over grids that widen with the budget are biased, their minima on a line."""
    half = np.sqrt(np.linspace(1, 4, len(BUDGETS)))
    offset = (half[:, None] * np.linspace(-1, 1, 21)).ravel()
    flops = np.repeat(BUDGETS, 21)
    found = analyse(table(optimum(flops) * np.exp(offset), flops, sd=1e-5), noise=1e-5)
    assert any("2 parabola and 3 Huber" in note for note in found.notes)
    assert not any("differs" in note for note in analyse(final_points(sd=0.004)).notes)


def test_minima_that_scatter_beyond_their_noise_widen_the_interval_to_the_truth():
    """On a grid that drifts against the optimum, bias moves minima off any line."""
    flops, offset = (
        g.ravel() for g in np.meshgrid(BUDGETS, np.linspace(-2.5, 2.5, 21), indexing="ij")
    )
    drift = 0.35 * (np.log(flops) - np.log(flops).mean())
    found = analyse(table(optimum(flops) * np.exp(offset - drift), flops, sd=1e-5))
    law = by_name(found)["2 parabola"].exponents.params
    assert law.exponent.low < A_TRUE < law.exponent.high
    assert not law.by_noise.exponent.low < A_TRUE < law.by_noise.exponent.high
    assert any("scatter 2.6 times as widely" in note for note in found.notes)
    assert found.to_dict()["approaches"][1]["laws"]["params"]["tau"] == pytest.approx(law.tau)


def test_a_compute_far_beyond_the_table_is_called_an_extrapolation():
    found = analyse(final_points(), flops=1e25)
    assert found.flops == 1e25
    assert any("times beyond the largest compute" in note for note in found.notes)
    assert by_name(found)["3 squared error"].optimal_params.value == pytest.approx(
        optimum(1e25), rel=0.3
    )


def test_the_order_of_rows_makes_no_difference():
    rows = learning_curves()
    shuffled = rows.sample(frac=1, random_state=0)
    assert analyse(shuffled, curves=True).to_json() == analyse(rows, curves=True).to_json()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"loss": "perplexity"}, {}, "no column 'loss'"),
        ({"run": "name"}, {"curves": True}, "no column 'run'"),
        ({}, {"flops": -1.0}, "flops = -1.0"),
        ({}, {"bootstrap": Bootstrap(level=1.5)}, "level = 1.5"),
        ({}, {"budgets": [0.0]}, r"budgets\[0\] = 0.0"),
        ({}, {"span": 0.5}, "span = 0.5 .*: give a factor above 1"),
        ({}, {"noise": -0.1}, "noise = -0.1, .* give the standard deviation"),
    ],
)
def test_a_callers_mistake_is_named(change, options, message):
    rows = final_points().assign(run=0).rename(columns=change)
    with pytest.raises(ValueError, match=message):
        analyse(rows, **options)


def test_the_result_is_strict_json():
    values = json.loads(analyse(final_points()).to_json())
    first, second = values["approaches"][:2]
    assert first["status"] == "not applicable" and first["a"] is None
    assert second["a"]["low"] < second["a"]["value"] < second["a"]["high"]
    assert second["laws"]["params"]["exponent"] == second["a"]


def test_porian_et_al_come_out_of_the_second_approach():
    rows = read.read(published_path("isoflop_refinedweb.csv")).table
    chosen = {"hparams": "tuned", "warmup": "short", "decay": "const", "param_count": "standard"}
    tuned = rows.loc[(rows[list(chosen)] == list(chosen.values())).all(axis=1)]
    row = by_name(analyse(tuned, noise=0.002))["2 Akima"]
    assert row.exponents.params.by_noise.exponent.value == pytest.approx(0.4969, abs=0.0016)
    assert row.exponents.params.n_points == 12
