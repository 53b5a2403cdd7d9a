"""One pass of SGD: step by step, its exact mean, features in their own axes, refusals."""

import dataclasses

import numpy as np
import pytest

from analysis.theory import one_pass_sgd_risk, power_law_problem
from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.data.power_law_features import PowerLawFeatures
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.run import run
from scaling.solving import OnePassSGD

DATA = PowerLawFeatures(
    n_train=300, dimension=12, n_modes=90, data_exponent=0.8, target_exponent=0.5, draw=3
)
CONFIG = RunConfig(model=Linear(n_features=12), data=DATA, train=OnePassSGD(step_size=0.1))


def test_every_example_moves_the_read_out_once():
    config = dataclasses.replace(CONFIG, train=OnePassSGD(step_size=0.1, evaluations=6))
    record, curve = run(config)
    data, b, errors = DATA.load(0), np.zeros(12), []
    risks = {}
    for x, y in zip(data.train_inputs, data.train_targets, strict=True):
        errors.append((x @ b - y) ** 2)
        b -= 0.1 * (x @ b - y) * x
        off = b - data.teacher.coefficients
        risks[len(errors)] = data.teacher.eigenvalues @ off**2 + data.teacher.noise_variance
    steps = [point.step for point in curve]
    assert steps == [1, 3, 10, 31, 96, 300]
    assert [p.eval_loss for p in curve] == pytest.approx([risks[step] for step in steps])
    assert curve[3].train_loss == pytest.approx(np.mean(errors[10:31]))
    assert (record.steps, record.epochs, record.n_examples_seen) == (300, 1.0, 300)
    assert record.eval_squared_error == curve[-1].eval_loss


def test_the_mean_over_examples_is_the_exact_one_of_theory():
    found = np.array([run(dataclasses.replace(CONFIG, seed=s))[1] for s in range(60)], dtype=object)
    steps = [point.step for point in found[0]]
    risks = np.array([[point.eval_loss for point in curve] for curve in found])
    exact = one_pass_sgd_risk(
        DATA.features(), steps, data_exponent=0.8, target_exponent=0.5, step_size=0.1
    )
    off = np.abs(risks.mean(axis=0) - exact)
    np.testing.assert_array_less(off, 4 * risks.std(axis=0) / np.sqrt(60))


def test_features_in_their_own_axes_have_the_problem_of_the_features():
    teacher = DATA.load(7).teacher
    eigs, power = power_law_problem(90, 0.8, 0.5)
    w = DATA.features()
    covariance = w.T @ (eigs[:, None] * w)
    np.testing.assert_allclose(np.sort(teacher.eigenvalues), np.linalg.eigvalsh(covariance))
    explained = teacher.eigenvalues @ teacher.coefficients**2
    assert explained + teacher.noise_variance == pytest.approx(power.sum())
    best = np.linalg.solve(covariance, w.T @ (np.sqrt(eigs) * np.sqrt(power)))
    left_over = np.sum((np.sqrt(eigs)[:, None] * w @ best - np.sqrt(power)) ** 2)
    assert teacher.noise_variance == pytest.approx(left_over)
    fewer = dataclasses.replace(DATA, n_train=10).load(7)
    np.testing.assert_allclose(fewer.train_targets, DATA.load(7).train_targets[:10])


def test_a_step_that_is_too_large_diverges_and_says_when():
    record, curve = run(dataclasses.replace(CONFIG, train=OnePassSGD(step_size=30.0)))
    assert record.status == "diverged" and record.diverged_at_step <= 300
    assert record.last_finite_train_loss == curve[-1].train_loss


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"dimension = 12 exceeds n_modes = 5"):
        dataclasses.replace(DATA, n_modes=5)
    with pytest.raises(ValueError, match=r"use train.kind = 'gradient'"):
        RunConfig(model=MLP(width=3), data=Digits(n_train=9), train=CONFIG.train)
