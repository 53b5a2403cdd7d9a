"""Networks trained as one program: each agrees with its run alone, and none harms another."""

import dataclasses

import jax
import numpy as np
import pytest

from scaling import packs
from scaling.config import RunConfig, compile_key, resolved, run_id
from scaling.data.gaussian import GaussianTeacher
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.overrides import replace_at
from scaling.record import VOLATILE_COLUMNS, row
from scaling.run import run, run_pack
from scaling.solving import Ridgeless
from scaling.trainers import gradient as trainer
from scaling.training import SGD, Adam, Gradient

TOLERANCE = 2e-5
"""Relative difference of a loss between packs, at learning rates at which training is stable."""

BASE = RunConfig(
    model=MLP(width=8, depth=1),
    data=MNIST1D(n_train=60, n_samples=200, label_noise=LabelNoise(fraction=0.2), n_eval=100),
    train=Gradient(
        optimizer=SGD(learning_rate=0.05, momentum=0.9), batch_size=20, steps=40, evaluations=4
    ),
)


def member(seed, rate=0.05, noise=0.2):
    config = replace_at(BASE, "train.optimizer.learning_rate", rate)
    return dataclasses.replace(replace_at(config, "data.label_noise.fraction", noise), seed=seed)


def lasting(record):
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


def assert_agree(alone, together):
    (record, curve), (packed, packed_curve) = alone, together
    here, there = lasting(packed), lasting(record)
    assert here.keys() == there.keys()
    for name, value in there.items():
        close = isinstance(value, float) and not name.startswith(("config", "data", "train."))
        wanted = pytest.approx(value, rel=TOLERANCE, abs=1e-6) if close else value
        assert here[name] == wanted, name
    assert [p.step for p in packed_curve] == [p.step for p in curve]
    losses = ([[p.train_loss, p.eval_loss] for p in each] for each in (packed_curve, curve))
    np.testing.assert_allclose(*losses, rtol=TOLERANCE)


@pytest.mark.medium
def test_members_agree_with_single_runs():
    """They differ in seed, label noise and learning rate."""
    configs = [member(0), member(3, rate=0.02), member(4, rate=0.08, noise=0.0)]
    found = run_pack(configs)
    for config, together in zip(configs, found, strict=True):
        assert_agree(run(config), together)
    (first, _), *_ = found
    assert first.environment["pack"]["size"] == 3
    assert len({record.environment["pack"]["sha256"] for record, _ in found}) == 1
    assert [record.run_id for record, _ in found] == [run_id(config) for config in configs]
    assert "pack" not in run(configs[0])[0].environment


def regressions(rate):
    optimizer = Adam(learning_rate=rate, weight_decay=0.1)
    base = RunConfig(
        model=Linear(n_features=6),
        data=GaussianTeacher(n_train=30, dimension=6, noise_variance=0.1, n_eval=10),
        train=Gradient(optimizer=optimizer, objective="squared_error", steps=25, evaluations=5),
    )
    return [dataclasses.replace(base, seed=seed) for seed in range(2)]


def test_members_of_a_regression_in_full_batches_agree():
    configs = regressions(3e-3)
    for config, together in zip(configs, run_pack(configs), strict=True):
        assert_agree(run(config), together)


@pytest.mark.medium
def test_a_member_that_diverges_leaves_the_others_as_they_were():
    beside = {rate: run_pack([member(0), member(1, rate), member(2)]) for rate in (0.05, 1e30)}
    calm, wild = beside[0.05], beside[1e30]
    assert [record.status for record, _ in calm] == ["done"] * 3
    assert [record.status for record, _ in wild] == ["done", "diverged", "done"]
    for i in (0, 2):
        assert lasting(wild[i][0]) == lasting(calm[i][0])
        assert wild[i][1] == calm[i][1]
    alone, _ = run(member(1, 1e30))
    assert lasting(wild[1][0]) == lasting(alone)


def test_a_pack_of_which_all_diverge_ends_there(monkeypatch):
    evaluations = []
    of_member = trainer._of_member
    monkeypatch.setattr(
        trainer, "_of_member", lambda e, m: evaluations.append(e.step) or of_member(e, m)
    )
    found = run_pack(regressions(1e30))
    assert [record.status for record, _ in found] == ["diverged"] * 2
    assert len(set(map(int, evaluations))) == 2  # the first, and the one that finds it out


def test_data_that_members_share_are_on_the_device_once():
    def axes(*configs):
        _, found = trainer._inputs_together(configs, [c.data.load(c.seed) for c in configs])
        return found

    assert axes(member(0), member(1)).eval_set == trainer.Batch(None, None, None)
    assert axes(member(0), member(1)).train_set == trainer.Batch(0, 0, 0)


def test_a_pack_shuffles_once_an_epoch():
    """The condition of a shuffle is one for all: a branch for each would compute both."""
    config = member(0)
    inputs, axes = trainer._inputs_together([config] * 2, [config.data.load(0)] * 2)
    mapped = trainer._mapped(trainer._trainer(trainer.shape_of(config)), axes)
    state = jax.eval_shape(mapped.init, inputs.init_key)
    count = jax.ShapeDtypeStruct((), "int32")
    traced = jax.make_jaxpr(mapped.advance)(
        state, count, inputs.train_set, inputs.rate, count, inputs.order_key
    )
    assert "cond[" in str(traced)


def test_networks_of_one_shape_and_length_may_be_packed():
    def pack(config, platform="gpu"):
        return packs.pack_of(resolved(config), compile_key(config), platform)

    assert pack(member(0)) == pack(member(7, rate=0.3, noise=0.0)) is not None
    assert pack(member(0)).most == packs.MOST_NETWORKS["gpu"] > 1
    for other in ("train.steps", "train.evaluations", "model.width", "data.n_train"):
        assert pack(replace_at(member(0), other, 30)) != pack(member(0)), other
    assert pack(member(0), "cpu") is None
    closed = dataclasses.replace(member(0), model=Linear(n_features=4), train=Ridgeless())
    assert pack(closed) != pack(member(0))
