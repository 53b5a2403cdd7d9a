"""Cards of transfer, distillation and repetition find planted effects, and name what is missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.tables import results
from experiments import distillation, repetition, transfer
from experiments.commands.teachers import outgrown
from experiments.experiment import Expected, Findings, Measured, passes
from scaling.accounting import account
from scaling.config import RunConfig, resolved, run_id
from scaling.data.text import Text
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining
from scaling.record import RunRecord, row

pytestmark = pytest.mark.usefixtures("any_library")

Loss = Callable[[RunConfig, np.random.Generator], tuple[float, float]]
"""Loss of a run at its end, and the least along it."""


def tables(configs: list[RunConfig], loss: Loss) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records of runs with planted losses, and curves that pass through the least of each."""
    rng = np.random.default_rng(0)
    rows, curves = [], []
    for config in dict.fromkeys(each for run in configs for each in (*run.parents, run)):
        counts, (end, least) = account(config), loss(config, rng)
        record = RunRecord(
            run_id=run_id(config),
            status="done",
            config=resolved(config),
            steps=counts.steps,
            n_params_matmul=counts.n_params_matmul,
            flops_train=counts.flops_train,
            eval_loss_nats=end,
        )
        rows.append(row(record))
        for step, value in ((1, 5.0), (2, least), (counts.steps, end)):
            curves.append(
                {"run_id": record.run_id, "step": step, "eval_loss": value, "train_loss": value}
            )
    return results.frame(rows), pd.DataFrame(curves)


def text(config: RunConfig) -> Text:
    assert isinstance(config.data, Text)
    return config.data


def plan(config: RunConfig) -> Pretraining:
    assert isinstance(config.train, Pretraining)
    return config.train


def hold(findings: Findings, expected: tuple[Expected, ...]) -> None:
    for each in expected:
        assert passes(each, findings.measured[each.name]), each.name


@pytest.mark.medium
def test_planted_transfer_is_found():
    alpha, beta, delta = 0.4, 0.6, 0.5

    def loss(config: RunConfig, rng: np.random.Generator) -> tuple[float, float]:
        data, n = text(config), account(config).n_params_matmul
        worth = float(data.n_tokens or 1)
        if config.init_from is not None:
            before = text(config.init_from).n_tokens or 1
            worth += 3e-3 * worth**alpha * n**beta * before**delta
        least = 1.2 + 3e3 / n + 40 * worth**-0.35
        slow = 0.05 if plan(config).optimizer.learning_rate != 1e-2 else 0.0
        return least + slow + 0.2, least + slow

    table, curves = tables(transfer.SWEEP["cpu"](), loss)
    findings = transfer.analyse(table, curves)
    hold(findings, transfer.EXPECTED)
    law = findings.details.law
    assert law is not None
    for name, planted in {"alpha": alpha, "beta": beta, "delta": delta}.items():
        assert law.params[name] == pytest.approx(planted, abs=0.06)
    assert set(findings.details.best["train.optimizer.learning_rate"]) == {1e-2}
    assert len(transfer.figure(findings).axes) == 3
    scratch = table["init_from.data.n_tokens"].isna()
    with pytest.raises(ValueError, match="No run of code after English is done"):
        transfer.analyse(table.assign(status=table["status"].where(scratch, "failed")), curves)


@pytest.mark.medium
def test_planted_teachers_are_told_apart():
    better = {16: -0.08, 32: 0.02, 64: 0.08}

    def loss(config: RunConfig, rng: np.random.Generator) -> tuple[float, float]:
        steps = plan(config).steps or 1
        alone = 2.0 + 4 * steps**-0.4 + (0.2 if text(config).n_tokens else 0.0)
        if config.seed == distillation.TEACHER_SEED:
            alone = 2.4 - config.model.width / 100
        if (teacher := config.distilled_from) is not None:
            gain = better[teacher.model.width] + 0.3 * np.log10(600 / steps) * (steps < 600)
            alone -= gain + (0.1 if text(config).n_tokens else 0.0)
        return (alone + 0.001 * rng.standard_normal(),) * 2

    table, _ = tables(distillation.SWEEP["cpu"](), loss)
    findings = distillation.analyse(table)
    hold(findings, distillation.EXPECTED)
    for name, planted in {"best": 0.08, "short": 0.1, "worst": -0.08, "order": 0.16}.items():
        assert findings.measured[name].value == pytest.approx(planted, abs=0.005)
    # The worst helps up to where 0.3 log10(600 / steps) is 0.08.
    steps = 600 * findings.measured["crossing"].value
    assert steps == pytest.approx(600 * 10 ** (-0.08 / 0.3), rel=0.1)
    assert len(distillation.figure(findings).axes) == 2
    # A student without its first seed is paired by the seeds that it shares with another.
    worst = table["distilled_from.model.width"] == 16
    first = table["status"].mask(worst & (table["seed"] == 0), "failed")
    paired = distillation.analyse(table.assign(status=first)).measured
    assert paired["order"].value == pytest.approx(0.16, abs=0.005)
    alone = table["distilled_from.model.width"].isna()
    with pytest.raises(ValueError, match="Fewer than two teachers have students"):
        distillation.analyse(table.assign(status=table["status"].where(alone, "failed")))


@pytest.mark.medium
def test_planted_repetition_is_found(monkeypatch):
    def loss(config: RunConfig, rng: np.random.Generator) -> tuple[float, float]:
        data, n = text(config), account(config).n_params_matmul
        seen = plan(config).length(config.model, data).tokens
        epochs = seen / (data.n_tokens or seen)
        share = n * epochs / seen
        rate = 0.05 if data.unique == "windows" else 0.4
        end = 1.2 + 40 * n**-0.4 + 60 * seen**-0.4 + rate * (epochs - 1) ** 0.8 * share**0.7
        return end * (1 + 1e-4 * rng.standard_normal()), min(end, 2.2)

    table, curves = tables(repetition.SWEEP["cpu"](), loss)
    findings = repetition.analyse(table, curves)
    for name in ("documents", "rise", "laws", "by size"):
        (expected,) = (each for each in repetition.EXPECTED if each.name == name)
        assert passes(expected, findings.measured[name]), name
    # Muennighoff's law bends as far as it can; the law that was planted is left with the noise.
    laws = findings.details.laws
    assert laws["overfitting"].params["p"] == pytest.approx(0.8, abs=0.02)
    assert laws["overfitting"].objective < 1e-3 * laws["data_constrained"].objective
    windows = table["data.unique"] == "windows"
    # Without one epoch in windows nothing says what more of them cost; of whole files it is known.
    one = windows & (table["data.n_tokens"] == table["data.n_tokens"].max())
    partly = table.assign(status=table["status"].mask(one, "failed"))
    with monkeypatch.context() as patch:
        patch.setattr(repetition, "_ranked", lambda runs: None)  # laws take most of the time
        patch.setattr(repetition, "_limit", lambda runs: Measured(value=None))
        found = repetition.analyse(partly, curves).measured
    assert found["windows, 16 epochs"].value is None and found["by size"].value is None
    with pytest.raises(ValueError, match="No run of training on windows of all files is done"):
        repetition.analyse(table.assign(status=table["status"].mask(windows, "failed")), curves)


def test_a_student_larger_than_its_teacher_is_remarked():
    students = [run for run in distillation.SWEEP["smoke"]() if run.distilled_from]
    assert outgrown(students) == []
    larger = [replace_at(run, "model.width", 16) for run in students]
    (line,) = outgrown(larger)
    assert "which has less to teach: give a larger model in distilled_from" in line
