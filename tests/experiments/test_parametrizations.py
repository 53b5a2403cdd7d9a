"""Experiments on parametrizations: planted slopes and planted best rates come back."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from analysis.tables import results
from experiments import coordinate_check, lr_transfer
from experiments.experiment import passes
from scaling.accounting import account
from scaling.config import resolved, run_id
from scaling.record import RunRecord, row

SLOPES = {"mup": 0.02, "standard": 0.4}
PARTS = ("embedding", "block_0.attention", "block_0.feed_forward", "block_0.residual", "logits")


def table_of(configs, loss, status=lambda config: "done"):
    """Records as if the runs had been done, with losses of our choosing."""
    records = [
        RunRecord(
            run_id=run_id(config),
            status=status(config),
            config=resolved(config),
            eval_loss_nats=loss(config) if status(config) == "done" else None,
            **asdict(account(config)),
        )
        for config in configs
    ]
    return results.frame(map(row, records))


def random_of(config, *more):
    return np.random.default_rng(zlib.crc32(f"{run_id(config)} {more}".encode()))


@pytest.fixture(scope="module")
def checked():
    """Runs of a coordinate check whose logits grow as a power of width, with noise as ours has."""
    configs = coordinate_check.SWEEP["cpu"]()
    points = []
    for config in configs:
        width, slope = config.model.width, SLOPES[config.model.parametrization.kind]
        for step in (2, 4, 6):
            scales = {
                part: float(
                    0.3
                    * (width / 32) ** (slope * step / 6 if part == "logits" else 0.0)
                    * np.exp(0.3 * width**-0.5 * random_of(config, step, part).standard_normal())
                )
                for part in PARTS
            }
            points.append({"run_id": run_id(config), "step": step, "activation_scales": scales})
    return table_of(configs, lambda config: 2.0), pd.DataFrame(points)


@pytest.mark.medium
def test_a_coordinate_check_finds_planted_slopes(checked):
    findings = coordinate_check.analyse(*checked)
    for expected in coordinate_check.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    slopes = findings.details.slopes.set_index(["parametrization", "step", "part"])
    for name, planted in SLOPES.items():
        for step in (2, 4, 6):
            found = slopes.loc[(name, step, "logits")]
            assert found["slope"] == pytest.approx(planted * step / 6, abs=0.02)
    truth = [
        SLOPES[name] * step / 6 if part == "logits" else 0.0 for name, step, part in slopes.index
    ]
    inside = (slopes["low"] <= truth) & (truth <= slopes["high"])
    assert len(inside) == 30 and inside.sum() >= 26
    assert "logits after 6 steps" in findings.verdict
    assert findings.shown["run_ids"].notna().all()
    figure = coordinate_check.figure(findings)
    assert len(figure.axes) == 4


def test_the_noise_of_a_slope_is_that_of_its_means():
    """Two widths of equal noise: Student's interval of a difference of means, over log 4."""
    rows = pd.DataFrame(
        {"width": [16, 64], "mean": [0.0, 0.1], "sem": [0.02, 0.02], "n_runs": [5, 5]}
    )
    found = coordinate_check._slope(rows)
    assert found.slope == pytest.approx(0.1 / np.log(4))
    reach = 2.306 * 0.02 * np.sqrt(2) / np.log(4)  # t of 8 degrees of freedom
    assert found.high - found.slope == pytest.approx(reach, rel=1e-3)


def test_tables_without_a_coordinate_check_are_refused(checked):
    table, curves = checked
    with pytest.raises(ValueError, match="No run measured activations"):
        coordinate_check.analyse(table, curves.assign(activation_scales=None))
    with pytest.raises(ValueError, match="muP has no slope, which needs two widths with two seeds"):
        coordinate_check.analyse(table[table["seed"] < 1], curves)
    none = [scales | {"logits": None} for scales in curves["activation_scales"]]
    with pytest.raises(ValueError, match=r"scale of logits after 2 steps of run .* be positive"):
        coordinate_check.analyse(table, curves.assign(activation_scales=none))


def best_rate(config):
    power = 0.1 if config.model.parametrization.kind == "mup" else -0.9
    return 0.02 * (config.model.width / 32) ** power


def valley(config):
    octaves = np.log2(config.train.optimizer.learning_rate / best_rate(config))
    return 2.5 - 0.1 * np.log2(config.model.width / 32) + 0.03 * octaves**2


def test_lr_transfer_finds_planted_best_rates():
    table = table_of(
        lr_transfer.SWEEP["cpu"](),
        lambda config: valley(config) + 0.002 * random_of(config).standard_normal(),
    )
    findings = lr_transfer.analyse(table)
    for expected in lr_transfer.EXPECTED:
        assert passes(expected, findings.measured[expected.name]), expected.name
    ratio, exponent = (findings.measured[name] for name in ("mup_ratio", "standard_exponent"))
    assert ratio.value == pytest.approx(8**0.1, rel=0.04) and ratio.low > 1
    assert exponent.low < -0.9 < exponent.high and exponent.high - exponent.low < 0.1
    best = findings.shown.dropna(subset="best_rate")
    assert len(best) == 8 and (best["low"] < best["best_rate"]).all()
    lr_transfer.figure(findings)


def test_a_width_without_a_minimum_is_no_transfer():
    """Rates that fall at the largest width until they leave the grid; a diverged run is marked."""

    def loss(config):
        wide = config.model.width == 256 and config.model.parametrization.kind == "mup"
        return valley(config) if not wide else 2.0 + config.train.optimizer.learning_rate

    configs = lr_transfer.SWEEP["cpu"]()
    last = run_id(configs[-1])
    table = table_of(configs, loss, lambda c: "diverged" if run_id(c) == last else "done")
    findings = lr_transfer.analyse(table)
    ratio = findings.measured["mup_ratio"]
    assert ratio.value is None and ratio.note == "no minimum at width 256"
    assert findings.measured["standard_exponent"].value == pytest.approx(-0.9, abs=0.01)
    assert (findings.shown["why"] == "diverged").sum() == 1
    lr_transfer.figure(findings)
    with pytest.raises(ValueError, match="No run under standard is done"):
        lr_transfer.analyse(table[table["model.parametrization.kind"] == "mup"])


@pytest.mark.parametrize(("side", "end"), [(1, "high"), (-1, "low")])
def test_a_best_rate_near_the_edge_of_its_grid_leaves_an_end_open(side, end):
    """At the largest width noise may move the minimum out of the grid, which ends at 2 octaves."""

    def loss(config):
        wide = config.model.width == 256 and config.model.parametrization.kind == "mup"
        octaves = np.log2(config.train.optimizer.learning_rate / 0.016)
        noise = 0 if wide else 0.04 * random_of(config).standard_normal()
        return 2.5 + 0.03 * (octaves - 1.3 * side * wide) ** 2 + noise

    findings = lr_transfer.analyse(table_of(lr_transfer.SWEEP["cpu"](), loss))
    rate = findings.details.found["mup"].valleys[-1].optimum
    assert getattr(rate, end) == {"low": 0, "high": np.inf}[end]
    ratio = findings.measured["mup_ratio"]
    assert ratio.high is None and "no upper end" in ratio.note
    assert 1 <= ratio.low < ratio.value
    json.dumps(asdict(ratio), allow_nan=False)
    lr_transfer.figure(findings)


def test_a_width_without_a_run_that_is_done_is_no_transfer():
    def status(config):
        wide = config.model.width == 256 and config.model.parametrization.kind == "mup"
        return "diverged" if wide else "done"

    findings = lr_transfer.analyse(table_of(lr_transfer.SWEEP["cpu"](), valley, status))
    ratio = findings.measured["mup_ratio"]
    assert ratio.value is None and ratio.note == "no minimum at width 256"
    assert findings.measured["standard_ratio"].value is not None


def test_a_panel_marks_the_runs_that_it_lacks_itself(checked):
    """Three diverged runs under muP, one under the standard parametrization."""
    table, curves = checked
    kinds = table["model.parametrization.kind"]
    lost = [*table.index[kinds == "mup"][:3], *table.index[kinds == "standard"][:1]]
    status = table["status"].mask(table.index.isin(lost), "diverged")
    findings = coordinate_check.analyse(table.assign(status=status), curves)
    figure = coordinate_check.figure(findings)
    marked = [
        sum(len(line.get_xdata()) for line in ax.lines if line.get_label() == "diverged")
        for ax in figure.axes[:2]
    ]
    assert marked == [3, 1]
