"""Gaussian teacher: spectra and powers against their definitions, streams, refusals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from scaling.data.gaussian import GaussianTeacher, Isotropic, PowerLaw, TwoScales
from scaling.fields import from_dict, to_dict

POWER_LAW = PowerLaw(eigenvalue_exponent=1.5, target_exponent=2.0)
TWO_SCALES = TwoScales(n_fast=1, condition_number=3.0)
SPECTRA = (Isotropic(), Isotropic(signal_power=5.0), POWER_LAW)
BASE = GaussianTeacher(n_train=12, dimension=7, noise_variance=0.25, n_eval=5)


def assert_same(one, other):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "teacher":
            assert_same(a, b)
        else:
            np.testing.assert_array_equal(a, b, err_msg=field.name)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_sample_covariance_is_the_spectrum(spectrum):
    n, d = 20_000, 8
    data = GaussianTeacher(n_train=n, dimension=d, spectrum=spectrum).load(1)
    truth = np.diag(data.teacher.eigenvalues)
    sample = data.train_inputs.T @ data.train_inputs / n
    variances = data.teacher.eigenvalues
    standard_error = np.sqrt((np.outer(variances, variances) + truth**2) / n)
    assert np.abs((sample - truth) / standard_error).max() < 4
    assert np.abs(data.train_inputs.mean(axis=0) * np.sqrt(n / variances)).max() < 4


@pytest.mark.parametrize("dimension", [1, 2, 500])
@pytest.mark.parametrize("power", [0.3, 1.0, 4.0])
def test_isotropic_signal_power_is_exact(dimension, power):
    spectrum = Isotropic(signal_power=power)
    teacher = GaussianTeacher(n_train=1, dimension=dimension, spectrum=spectrum).load(3).teacher
    np.testing.assert_allclose(np.sum(teacher.coefficients**2), power, rtol=1e-13)
    np.testing.assert_array_equal(teacher.eigenvalues, 1)


@pytest.mark.medium
def test_isotropic_coefficients_are_uniform_on_the_sphere():
    config = GaussianTeacher(n_train=1, dimension=4)
    draws = np.stack([config.load(seed).teacher.coefficients for seed in range(2000)])
    # E[b_i] = 0, Var b_i = 1/d;  E[b_i^2] = 1/d, Var b_i^2 = 2(d-1)/(d^2 (d+2)).
    assert np.abs(draws.mean(axis=0) / math.sqrt(1 / 4 / 2000)).max() < 4
    squares = (np.mean(draws**2, axis=0) - 1 / 4) / math.sqrt(6 / (16 * 6) / 2000)
    assert np.abs(squares).max() < 4


@pytest.mark.parametrize(("eigenvalue", "target"), [(1.0, 1.0), (1.5, 2.0), (2.0, 0.5), (0.0, 3.0)])
def test_power_law_teacher_has_the_powers_asked_for(eigenvalue, target):
    spectrum = PowerLaw(eigenvalue_exponent=eigenvalue, target_exponent=target)
    teacher = GaussianTeacher(n_train=1, dimension=4096, spectrum=spectrum).load(0).teacher
    i = np.arange(1, 4097)
    np.testing.assert_allclose(teacher.eigenvalues, i**-eigenvalue, rtol=1e-13)
    power = teacher.eigenvalues * teacher.coefficients**2
    np.testing.assert_allclose(power, i**-target, rtol=1e-12)
    assert abs(np.sign(teacher.coefficients).sum()) < 4 * math.sqrt(4096)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_targets_are_the_teacher_plus_noise(spectrum):
    n, variance = 20_000, 0.7
    config = GaussianTeacher(
        n_train=n, dimension=6, noise_variance=variance, spectrum=spectrum, n_eval=n
    )
    data = config.load(2)
    teacher = data.teacher
    np.testing.assert_allclose(
        data.train_targets_clean, data.train_inputs @ teacher.coefficients, rtol=1e-12, atol=1e-12
    )
    signal = np.sum(teacher.eigenvalues * teacher.coefficients**2)
    train_noise = data.train_targets - data.train_targets_clean
    eval_noise = data.eval_targets - data.eval_inputs @ teacher.coefficients
    for sample, expected in [
        (data.train_targets_clean, signal),
        (train_noise, variance),
        (eval_noise, variance),
    ]:
        assert abs(np.mean(sample**2) / expected - 1) < 4 * math.sqrt(2 / n)
    for a, b in [
        (train_noise, data.train_targets_clean),
        (train_noise, eval_noise),
        (data.train_inputs[:, 0], data.eval_inputs[:, 0]),
        (data.train_inputs[:, 0], train_noise),
    ]:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(n)


def test_without_noise_targets_are_clean():
    data = dataclasses.replace(BASE, noise_variance=0).load(5)
    np.testing.assert_array_equal(data.train_targets, data.train_targets_clean)


def test_same_seed_same_data_other_seed_other_data():
    assert_same(BASE.load(4), BASE.load(4))
    one, other = BASE.load(4), BASE.load(5)
    assert not np.intersect1d(one.train_inputs, other.train_inputs).size
    assert not np.intersect1d(one.teacher.coefficients, other.teacher.coefficients).size


def test_a_stream_depends_on_nothing_but_the_seed():
    base = BASE.load(4)
    louder = dataclasses.replace(BASE, noise_variance=1.0).load(4)
    np.testing.assert_array_equal(louder.train_inputs, base.train_inputs)
    np.testing.assert_array_equal(louder.teacher.coefficients, base.teacher.coefficients)
    np.testing.assert_allclose(
        louder.train_targets - louder.train_targets_clean,
        2 * (base.train_targets - base.train_targets_clean),
        rtol=1e-12,
    )
    unheld = dataclasses.replace(BASE, n_eval=0).load(4)
    np.testing.assert_array_equal(unheld.train_targets, base.train_targets)
    assert unheld.eval_inputs.shape == (0, 7) and unheld.eval_targets.shape == (0,)
    power_law = dataclasses.replace(BASE, spectrum=POWER_LAW).load(4)
    np.testing.assert_array_equal(
        power_law.train_inputs, base.train_inputs * np.sqrt(power_law.teacher.eigenvalues)
    )


def test_a_smaller_training_set_begins_a_larger_one():
    few, many = BASE.load(4), dataclasses.replace(BASE, n_train=40).load(4)
    np.testing.assert_array_equal(few.train_inputs, many.train_inputs[:12])
    np.testing.assert_allclose(few.train_targets, many.train_targets[:12], rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(few.eval_targets, many.eval_targets)
    np.testing.assert_array_equal(few.teacher.coefficients, many.teacher.coefficients)


@pytest.mark.parametrize(
    ("spectrum", "last_input", "coefficients", "last_target"),
    [
        (
            Isotropic(),
            [-1.5872811569478822, -0.44579279277462336, -1.9515832308673688],
            [-0.8605892571559473, 0.08465740452808214, -0.5022143509760981],
            1.7537574839146717,
        ),
        (
            POWER_LAW,
            [-1.5872811569478822, -0.26506998049225783, -0.8561426580861363],
            [-1.0, -0.8408964152537145, 0.7598356856515925],
            0.6050367369997309,
        ),
    ],
)
def test_frozen_draws(spectrum, last_input, coefficients, last_target):
    """Where this fails the same seed draws other data: raise the version in `fingerprint`."""
    config = GaussianTeacher(n_train=4, dimension=3, noise_variance=0.25, spectrum=spectrum)
    assert config.fingerprint() == "gaussian/1"
    data = config.load(7)
    np.testing.assert_allclose(data.train_inputs[-1], last_input, rtol=1e-13)
    np.testing.assert_allclose(data.teacher.coefficients, coefficients, rtol=1e-13)
    np.testing.assert_allclose(data.train_targets[-1], last_target, rtol=1e-13)


def test_shape_of_the_problem():
    assert (BASE.n_inputs, BASE.n_outputs, BASE.n_classes, BASE.n_eval) == (7, 1, None, 5)
    data = BASE.load(0)
    assert data.train_inputs.shape == (12, 7) and data.train_targets.shape == (12,)
    assert data.teacher.noise_variance == 0.25


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_round_trip_through_plain_values(spectrum):
    config = dataclasses.replace(BASE, spectrum=spectrum)
    assert from_dict(GaussianTeacher, to_dict(config)) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_train": 0}, "gaussian.n_train = 0 is impossible: give a value at least 1"),
        ({"dimension": 0}, "gaussian.dimension = 0 is impossible"),
        ({"dimension": 2.5}, "gaussian.dimension = 2.5: give a whole number"),
        ({"n_eval": -1}, "gaussian.n_eval = -1 is impossible"),
        ({"noise_variance": -0.1}, "gaussian.noise_variance = -0.1 is impossible"),
        ({"noise_variance": math.nan}, "noise_variance = nan is not a finite number"),
        ({"spectrum": "isotropic"}, "give one of isotropic, power_law, two_scales with fields"),
        ({"spectrum": {"kind": "powerlaw"}}, "did you mean 'power_law'"),
        ({"spectrum": {"kind": "power_law"}}, "missing eigenvalue_exponent, target_exponent"),
        (
            {"spectrum": {"kind": "isotropic", "signal_power": 0}},
            r"signal_power = 0.0 is impossible: give a value greater than 0",
        ),
        (
            {"spectrum": {"kind": "power_law", "eigenvalue_exponent": 11, "target_exponent": 1}},
            "eigenvalue_exponent = 11.0 is impossible: give a value at least 0 and at most 10",
        ),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BASE, **changes)


@pytest.mark.parametrize("dimension", [1, 3, 4])
def test_two_scales_need_a_slow_coordinate(dimension):
    spectrum = TwoScales(n_fast=4, condition_number=2.0)
    with pytest.raises(
        ValueError, match=rf"n_fast = 4 leaves no slow .* = {dimension}: give fewer"
    ):
        GaussianTeacher(n_train=2, dimension=dimension, spectrum=spectrum)


@pytest.mark.parametrize("number", [0.5, 0.0, -3.0])
def test_slow_coordinates_are_no_faster_than_fast_ones(number):
    with pytest.raises(ValueError, match=r"condition_number = .* give a value at least 1"):
        TwoScales(n_fast=1, condition_number=number)


def test_two_scales_are_these_variances_with_even_power():
    teacher = GaussianTeacher(n_train=2, dimension=4, spectrum=TWO_SCALES).load(0).teacher
    np.testing.assert_allclose(teacher.eigenvalues, [1, 1 / 9, 1 / 9, 1 / 9])
    np.testing.assert_allclose(teacher.eigenvalues * teacher.coefficients**2, 0.25)
