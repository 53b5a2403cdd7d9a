"""Experiments on batch size and shape: planted frontiers and valleys come back."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from small_library import unread_library

from analysis.compute_optimal.critical_batch import BatchGrowth
from analysis.errors import FitError
from analysis.estimate import Estimate
from analysis.tables import results
from experiments import critical_batch, depth_vs_width
from experiments.experiment import passes
from experiments.shared import batch_frontier
from experiments.shared.batch_frontier import N_LOSSES
from scaling.accounting import account
from scaling.config import resolved, run_id
from scaling.record import RunRecord, row

GRID = np.geomspace(8.0, 1.5, 4000)
"""Losses along which planted curves are inverted."""


def record_of(config, loss: float) -> RunRecord:
    return RunRecord(
        run_id=run_id(config),
        status="done",
        config=resolved(config),
        eval_loss_nats=loss,
        **asdict(account(config)),
    )


def planted_batch(loss):
    """2000 tokens at 2.4 nats, more as the loss falls."""
    return 2000.0 * (loss / 2.4) ** -6.0


def planted_run(config, rng):
    """A run on S = S_min(L) (1 + B_crit(L) / B), slower off the best rate; and its curve."""
    counts = account(config)
    batch = config.train.batch_size * config.data.context
    best = 0.01 * (counts.n_params_matmul / 1e4) ** -0.5 * (batch / 512) ** 0.5
    slower = 1 + 0.3 * np.log(config.train.optimizer.learning_rate / best) ** 2
    # The larger model takes half the steps; the critical batch depends on the loss alone.
    least = 70 * (GRID / 2.4) ** -9.0 * (counts.n_params_matmul / 1e4) ** -0.6
    steps = least * (1 + planted_batch(GRID) / batch) * slower * np.exp(0.02 * rng.normal())
    evaluations = config.train.evaluations
    at = np.rint(np.linspace(0, counts.steps, evaluations + 1)[1:]).astype(int)
    losses = np.exp(np.interp(np.log(at), np.log(steps), np.log(GRID)))
    signal = 0.5 * (1 + 0.3 * rng.normal(size=evaluations))
    curve = pd.DataFrame(
        {
            "run_id": run_id(config),
            "step": at,
            "eval_loss": losses * np.exp(0.002 * rng.normal(size=evaluations)),
            "gradient_squared_norm": signal,
            "gradient_covariance_trace": 0.5 * 1.5 * planted_batch(losses),
        }
    )
    return record_of(config, losses[-1]), curve


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    made = [planted_run(config, rng) for config in critical_batch.SWEEP["cpu"]()]
    table = results.frame(row(record) for record, _ in made)
    return table, pd.concat([curve for _, curve in made], ignore_index=True)


def test_the_sweep_of_batches_is_what_its_card_promises():
    runs = critical_batch.SWEEP["cpu"]()
    assert len(runs) == 2 * 7 * 4
    sizes = sorted({run.train.batch_size * run.data.context for run in runs})
    assert sizes == [128 * 2**k for k in range(7)]
    for run in runs:
        # Two halves, whose gradients give the noise; the rate grows as the root of the batch.
        assert run.train.microbatches == 2 and run.train.schedule.kind == "constant"
        assert run.train.length(run.model, run.data).warmup == critical_batch.WARMUP_STEPS
        assert account(run).epochs < 1
    small = [run for run in runs if run.model.width == runs[0].model.width]
    rates = {run.train.optimizer.learning_rate / run.train.batch_size**0.5 for run in small}
    assert len({f"{rate:.6g}" for rate in rates}) == 4
    assert 5e12 < sum(account(run).flops_train for run in runs) < 6e12
    with unread_library():
        large = critical_batch.SWEEP["gpu"]()
    assert {run.train.batch_size // run.train.microbatches for run in large} == {4, 8, 16, 32}


def test_planted_critical_batches_come_back_beside_the_noise_scale(batches):
    findings = critical_batch.analyse(*batches)
    for expected in critical_batch.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    found = findings.details.found
    assert [size.n_params for size in found] == sorted(set(batches[0]["n_params_matmul"]))
    for size in found:
        for loss, batch, noise in zip(size.losses, size.growth.batch, size.noise, strict=True):
            assert batch.value == pytest.approx(planted_batch(loss), rel=0.25)
            assert noise.value == pytest.approx(1.5 * planted_batch(loss), rel=0.25)
        assert size.growth.exponent.low < -6 < size.growth.exponent.high
    assert findings.measured["ratio"].value == pytest.approx(1 / 1.5, rel=0.2)
    json.dumps(findings.report, allow_nan=False)


def test_every_point_of_the_frontier_names_its_run(batches):
    table, curves = batches
    findings = critical_batch.analyse(table, curves)
    steps = findings.shown[findings.shown["kind"] == "steps"]
    assert len(steps) == 2 * 7 * N_LOSSES
    named = table.set_index("run_id").loc[steps["run_ids"]]
    assert np.array_equal(
        named["train.batch_size"].to_numpy(float) * 64, steps["batch_tokens"].to_numpy()
    )
    assert np.allclose(named["train.optimizer.learning_rate"], steps["best_rate"])
    critical_batch.figure(findings)


def without(table, diverged):
    """The same table with some runs diverged, as their records would say so."""
    return table.assign(
        status=table["status"].mask(diverged, "diverged"),
        eval_loss_nats=table["eval_loss_nats"].mask(diverged),
    )


def test_a_rate_that_diverged_is_left_out_at_its_batch_alone(batches):
    table, curves = batches
    rate = table["train.optimizer.learning_rate"]
    top = rate == rate.groupby(table["n_params_matmul"]).transform("max")
    assert top.sum() == 2
    table = without(table, top)
    curves = curves[~curves["run_id"].isin(table["run_id"][top])]
    findings = critical_batch.analyse(table, curves)
    for size in findings.details.found:
        assert [len(rates) for rates in size.rates] == [4] * 6 + [3]
        at_end = [(i == 0) | (i == len(r) - 1) for r, i in zip(size.rates, size.best, strict=True)]
        assert size.inside() == pytest.approx(1 - np.mean(at_end))
        for loss, batch in zip(size.losses, size.growth.batch, strict=True):
            assert batch.value == pytest.approx(planted_batch(loss), rel=0.3)
    steps = findings.shown[findings.shown["kind"] == "steps"]
    named = table.set_index("run_id").loc[steps["run_ids"]]
    assert np.allclose(named["train.optimizer.learning_rate"], steps["best_rate"])
    rates = critical_batch.figure(findings).axes[2]
    marks = next(line for line in rates.lines if line.get_label() == "diverged")
    assert np.asarray(marks.get_xdata()).tolist() == [8192.0, 8192.0]


def growing(n_params: int, value: float, high: float) -> batch_frontier.AtSize:
    """A size with nothing but its growth."""
    nothing = np.empty(0)
    growth = BatchGrowth((), (), Estimate(value, 2 * value - high, high, 0.95))
    return batch_frontier.AtSize(
        n_params, nothing, nothing, nothing, (), nothing, [], growth, noise=()
    )


def test_growth_is_judged_at_the_worst_size_by_its_interval():
    expected = next(each for each in critical_batch.EXPECTED if each.name == "growth")
    clear, lucky = growing(10_000, -7.6, -4.2), growing(30_000, -1.0, 2.0)
    assert passes(expected, critical_batch._growth([clear]))
    both = critical_batch._growth([clear, lucky])
    assert both.value == 2.0 and not passes(expected, both)
    assert "-7.6 [-11, -4.2] at N = 10,000" in both.note
    endless = critical_batch._growth([clear, growing(30_000, -1.0, np.inf)])
    assert endless.value is None and not passes(expected, endless)


def test_too_few_batch_sizes_are_refused(batches):
    table, curves = batches
    few = table[table["train.batch_size"].isin([2, 8, 32])]
    with pytest.raises(FitError, match="give four batch sizes"):
        critical_batch.analyse(few, curves)


def planted_loss(config, rng, depth_of_valley: float, best: float) -> float:
    """A power of N and a parabola in log aspect ratio, at its least where the rate is the lower."""
    n_params = account(config).n_params_matmul
    aspect = config.model.width / config.model.depth
    rate = config.train.optimizer.learning_rate / n_params**-0.6
    valley = 1 + depth_of_valley * np.log(aspect / best) ** 2
    return 2.3 * (n_params / 3e4) ** -0.09 * valley * (1 + 2e-4 * rate) + 0.002 * rng.normal()


def shapes(depth_of_valley: float, best: float = 20.0) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    configs = depth_vs_width.SWEEP["cpu"]()
    return results.frame(
        row(record_of(config, planted_loss(config, rng, depth_of_valley, best)))
        for config in configs
    )


def test_the_sweep_of_shapes_is_what_its_card_promises():
    runs = depth_vs_width.SWEEP["cpu"]()
    assert len(runs) == 2 * 4 * 2 * 2
    counts = sorted({account(run).n_params_matmul for run in runs})
    assert counts[3] / counts[0] < 1.25 and counts[7] / counts[4] < 1.06
    assert counts[4] > 2.5 * counts[3]
    for n_params in (counts[:4], counts[4:]):
        aspects = [
            run.model.width / run.model.depth
            for run in runs
            if account(run).n_params_matmul in n_params
        ]
        assert max(aspects) / min(aspects) >= 20
    assert {account(run).n_tokens_seen for run in runs} == {round(5e5 / 512) * 512}


def test_a_planted_best_shape_comes_back_whatever_the_sizes_differ_by():
    findings = depth_vs_width.analyse(shapes(depth_of_valley=0.01))
    assert findings.report["slope_of_log_loss_on_log_n"] == pytest.approx(-0.09, abs=0.01)
    valleys = findings.details.valleys
    assert len(valleys) == 2
    for valley in valleys.values():
        assert valley.optimum.low < 20 < valley.optimum.high
        assert valley.optimum.value == pytest.approx(20, rel=0.3)
    # The deepest shape, of aspect ratio 2, over one of 10 or 14 near the best.
    assert findings.measured["spread"].value == pytest.approx(0.01 * np.log(20 / 2) ** 2, abs=0.008)
    for expected in depth_vs_width.EXPECTED:
        assert passes(expected, findings.measured[expected.name])
    json.dumps(findings.report, allow_nan=False)
    depth_vs_width.figure(findings)


def test_one_block_is_judged_apart_from_the_rest():
    table = shapes(depth_of_valley=0.0)
    behind = table["model.depth"] == 1
    table.loc[behind, "eval_loss_nats"] *= 1.1
    findings = depth_vs_width.analyse(table)
    (expected,) = depth_vs_width.EXPECTED
    assert findings.measured["spread"].value < 0.01
    assert passes(expected, findings.measured["spread"])
    assert findings.verdict.count("one block 10.") + findings.verdict.count("one block 9.9") == 2


def test_where_shapes_are_alike_no_best_is_claimed():
    findings = depth_vs_width.analyse(shapes(depth_of_valley=0.0))
    assert findings.verdict.count("not resolved") >= 1
    assert findings.measured["spread"].value < 0.01
    depth_vs_width.figure(findings)


def test_a_lost_shape_leaves_no_verdict_on_the_others():
    """The deepest shape is the worst: of those that are left all would be well."""
    table = shapes(depth_of_valley=0.03)
    (expected,) = depth_vs_width.EXPECTED
    assert not passes(expected, depth_vs_width.analyse(table).measured["spread"])
    findings = depth_vs_width.analyse(without(table, table["model.depth"] == 8))
    assert findings.measured["spread"].value is None
    assert not passes(expected, findings.measured["spread"])
    assert findings.measured["spread"].note.count("depth 8") == 2
    assert findings.measured["spread"].note in findings.verdict
    depth_vs_width.figure(findings)
    of_the_rest = depth_vs_width.analyse(without(table, table["model.depth"] == 1))
    assert of_the_rest.measured["spread"].value is not None  # one block is no part of it
    with pytest.raises(ValueError, match="at which every seed is done"):
        depth_vs_width.analyse(without(table, table["seed"] == 0))


def test_a_rate_at_which_a_seed_diverged_is_not_chosen():
    """The one seed that is left would win on its own."""
    table = shapes(depth_of_valley=0.01)
    shape = ["model.width", "model.depth"]
    first = (table[shape] == table[shape].iloc[0]).all(axis=1)
    rate = table["train.optimizer.learning_rate"]
    lower = first & (rate < rate[first].max())
    assert lower.sum() == 2
    table = table.assign(eval_loss_nats=table["eval_loss_nats"].mask(lower, 1.0))
    findings = depth_vs_width.analyse(without(table, lower & (table["seed"] == 1)))
    shown = findings.details.shapes
    assert shown["n_runs"].tolist() == [2] * 8
    named = {each for ids in shown["run_ids"] for each in ids.split()}
    assert not named & set(table["run_id"][lower])
    assert findings.measured["spread"].value is not None


def test_every_shape_is_taken_at_its_better_rate():
    table = shapes(depth_of_valley=0.01)
    shown = depth_vs_width.analyse(table).details.shapes
    assert shown["n_runs"].tolist() == [2] * 8
    rates = table.set_index("run_id")["train.optimizer.learning_rate"]
    by_shape = table.groupby(["model.width", "model.depth"])["train.optimizer.learning_rate"]
    least = set(by_shape.min())
    assert {rates[each] for ids in shown["run_ids"] for each in ids.split()} == least
