"""Runs on streams: resumed bit for bit, measured by name, and refused where they cannot be."""

from typing import Any

import jax
import numpy as np
import pytest

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.data.parity_tasks import ParityTasks
from scaling.models.mlp import MLP
from scaling.overrides import replace_at
from scaling.record import VOLATILE_COLUMNS, row
from scaling.run import run
from scaling.schedules import StableDecay
from scaling.streaming import Streaming
from scaling.trainers import history, objectives
from scaling.training import Adam, Gradient
from scaling.workspace import Workspace

RUN = RunConfig(
    model=MLP(width=16, depth=1),
    data=ParityTasks(tasks=3, bits=6, sparse=2, per_task=32),
    train=Streaming(
        optimizer=Adam(learning_rate=0.01), batch_size=32, steps=400, evaluations=4, clip_norm=1.0
    ),
)
"""All runs of this shape share one compilation."""


class Killed(BaseException):
    """Takes the place of SIGKILL."""


def lasting(record) -> dict[str, Any]:
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


@pytest.mark.medium
def test_a_run_learns_is_measured_by_name_and_counted():
    record, curve = run(RUN)
    assert [point.step for point in curve] == [100, 200, 300, 400]
    assert record.eval_loss_nats is not None and record.eval_loss_nats < 0.2
    assert record.eval_by is not None and record.eval_by == curve[-1].eval_by
    assert [point.eval_loss_sem for point in curve][-1] == record.eval_loss_sem_nats
    of_tasks = [record.eval_by[f"task {k}"] for k in (1, 2, 3)]
    assert float(RUN.data.probabilities @ of_tasks) == pytest.approx(record.eval_loss_nats)
    assert record.n_train_examples == 2**32 - 1 and record.n_examples_seen == 400 * 32
    counts = account(RUN)
    a_pass = 2 * (9 * 16 + 16 * 2)
    assert counts.flops_train == 400 * 32 * (3 * a_pass - 2 * 9 * 16)
    assert counts.epochs == 400 * 32 / (2**32 - 1)


@pytest.mark.medium
def test_a_killed_run_on_a_fixed_set_resumes_bit_for_bit(tmp_path, monkeypatch):
    """Kills once within an interval and once at its end."""
    config = replace_at(replace_at(RUN, "data.n_train", 100), "train.steps", 600)
    config = replace_at(config, "train.evaluations", 2)
    whole, curve = run(config)
    monkeypatch.setattr(history, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", float("inf"))
    save = history.checkpoint.save
    for last in (256, 300, None):

        def save_and_die(folder, run_id, step, *more, last=last):
            save(folder, run_id, step, *more)
            if step == last:
                raise Killed

        monkeypatch.setattr(history.checkpoint, "save", save_and_die)
        if last is not None:
            with pytest.raises(Killed):
                run(config, Workspace(tmp_path))
    record, resumed = run(config, Workspace(tmp_path))
    assert record.environment["resumed_at_steps"] == [256, 300]
    assert (lasting(record), resumed) == (lasting(whole), curve)
    assert record.epochs == 600 * 32 / 100


def test_geometric_evaluations_grow_by_a_factor_to_the_last_step():
    plan = replace_at(replace_at(RUN, "train.spacing", "geometric"), "train.evaluations", 6).train
    assert plan.evaluated_after == [1, 3, 11, 36, 121, 400]


def test_knowing_nothing_costs_the_log_of_the_batch():
    rng = np.random.default_rng(0)
    same = np.tile(rng.standard_normal(8), (64, 1)).astype(np.float32)
    contrastive = jax.jit(objectives.contrastive)
    np.testing.assert_allclose(contrastive(same), np.log(64), rtol=1e-6)
    vectors = 30 * np.eye(64, dtype=np.float32)
    paired = contrastive(np.concatenate([vectors, vectors], axis=1))
    np.testing.assert_allclose(paired, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train": Gradient(optimizer=Adam(learning_rate=1e-3), steps=1)}, "is a stream: use"),
        ({"data": Digits(n_train=100)}, "trains a model of numbers on a stream"),
        ({"train.objective": "squared_error"}, "which has classes: use cross_entropy"),
        ({"train.batch_size": 64, "data.n_train": 40}, "batch_size = 64 exceeds data.n_train = 40"),
        ({"train.warmup": 400}, "warmup = 400 is not below train.steps = 400"),
        ({"train.steps": 2**31 - 1}, "give a shorter run"),
        ({"train.schedule": StableDecay()}, "shares a trunk"),
    ],
)
def test_impossible_runs_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        config = RUN
        for path, value in change.items():
            config = replace_at(config, path, value)
