"""Gradient flow in closed form: small steps of descent, both ends, what it refuses."""

import dataclasses

import numpy as np
import pytest

from scaling.config import RunConfig, run_id
from scaling.data.gaussian import GaussianTeacher, TwoScales
from scaling.data.mnist1d import MNIST1D
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.run import run
from scaling.solving import GradientFlow, Ridgeless
from scaling.training import SGD, Gradient

CONFIG = RunConfig(
    model=Linear(n_features=6),
    data=GaussianTeacher(
        n_train=10,
        dimension=6,
        noise_variance=0.3,
        spectrum=TwoScales(n_fast=4, condition_number=3.0, signal_power=2.0),
    ),
    train=GradientFlow(time_per_step=1e-4, steps=40_000, evaluations=5),
    seed=3,
)


def test_the_flow_is_the_limit_of_small_steps_of_descent():
    record, curve = run(CONFIG)
    data = CONFIG.data.load(CONFIG.seed)
    x, y, b = data.train_inputs, data.train_targets, np.zeros(6)
    seen = {}
    for step in range(1, 40_001):
        b -= 1e-4 * x.T @ (x @ b - y) / 10
        seen[step] = np.mean((x @ b - y) ** 2)
    assert [point.step for point in curve] == [1, 14, 200, 2828, 40_000]
    assert [point.train_loss for point in curve] == pytest.approx(
        [seen[point.step] for point in curve], rel=1e-3
    )
    assert record.eval_squared_error == curve[-1].eval_loss
    assert curve[-1].n_examples_seen == 400_000


def test_the_flow_begins_at_the_power_of_the_target_and_ends_at_the_ridgeless_fit():
    ends = dataclasses.replace(CONFIG, train=GradientFlow(time_per_step=1e-3, steps=10**9))
    _, curve = run(ends)
    ridgeless, _ = run(dataclasses.replace(CONFIG, train=Ridgeless()))
    assert curve[0].eval_loss == pytest.approx(2.3, rel=1e-2)
    assert curve[-1].eval_loss == pytest.approx(ridgeless.eval_squared_error, rel=1e-9)
    assert np.all(np.diff([point.train_loss for point in curve]) <= 1e-12)


def test_two_scales_share_the_power_and_part_the_variance():
    teacher = CONFIG.data.load(0).teacher
    assert teacher.eigenvalues == pytest.approx([1, 1, 1, 1, 1 / 9, 1 / 9])
    assert teacher.eigenvalues * teacher.coefficients**2 == pytest.approx(np.full(6, 1 / 3))


def test_what_has_no_curve_is_refused():
    flow = GradientFlow(time_per_step=1.0, steps=10)
    data = MNIST1D(n_train=50)
    with pytest.raises(ValueError, match=r"use train.kind = 'gradient'"):
        RunConfig(model=MLP(width=4), data=data, train=flow)
    assert GradientFlow(time_per_step=1.0, steps=1, evaluations=9).evaluated_at() == [1]
    assert run_id(CONFIG) != run_id(dataclasses.replace(CONFIG, train=flow))
    descent = Gradient(optimizer=SGD(learning_rate=0.1), objective="squared_error", steps=10)
    with pytest.raises(ValueError, match=r"needs held-out examples"):
        RunConfig(model=CONFIG.model, data=CONFIG.data, train=descent)
