"""Targets of a random network: standard, smooth or kinked, the same in any embedding."""

import dataclasses

import numpy as np
import pytest

from scaling.data.network_teacher import NetworkTeacher

PLAIN = NetworkTeacher(n_train=300, dimension=3, n_eval=2000)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_coordinates_and_targets_are_standard_and_the_seed_draws_both(distribution):
    data = dataclasses.replace(PLAIN, distribution=distribution)
    found, other = data.load(1), data.load(2)
    np.testing.assert_allclose(found.eval_inputs.std(axis=0), 1, atol=0.06)
    assert abs(found.eval_targets.mean()) < 0.1 and abs(found.eval_targets.std() - 1) < 0.1
    largest = np.abs(found.eval_inputs).max()
    assert largest <= np.sqrt(3) if distribution == "uniform" else largest > 3
    assert np.array_equal(found.train_targets, data.load(1).train_targets)
    assert not np.array_equal(found.train_inputs, other.train_inputs)


def test_a_smaller_training_set_is_the_beginning_and_noise_is_on_it_alone():
    noisy = dataclasses.replace(PLAIN, noise_variance=0.25)
    few, many = dataclasses.replace(noisy, n_train=100).load(0), noisy.load(0)
    assert np.array_equal(few.train_inputs, many.train_inputs[:100])
    assert np.array_equal(few.train_targets, many.train_targets[:100])
    assert np.array_equal(many.train_targets_clean, PLAIN.load(0).train_targets)
    assert np.array_equal(many.eval_targets, PLAIN.load(0).eval_targets)
    noise = many.train_targets - many.train_targets_clean
    assert noise.std() == pytest.approx(0.5, rel=0.15)


def test_an_embedding_keeps_distances_and_targets():
    plain, placed = PLAIN.load(4), dataclasses.replace(PLAIN, embedding=20).load(4)
    assert placed.train_inputs.shape == (300, 20)
    assert np.linalg.matrix_rank(placed.train_inputs) == 3
    products = plain.train_inputs @ plain.train_inputs.T
    np.testing.assert_allclose(placed.train_inputs @ placed.train_inputs.T, products, atol=1e-12)
    np.testing.assert_array_equal(placed.train_targets, plain.train_targets)


def test_a_teacher_of_rectifiers_is_piecewise_linear_and_one_of_tanh_is_smooth():
    """Second differences along a line vanish but at kinks; of a smooth function they do not."""
    line = np.linspace(-1.7, 1.7, 400)[:, None] * np.ones(3)
    bent = {}
    for activation in ("relu", "tanh"):
        data = dataclasses.replace(PLAIN, activation=activation, width=8)
        outputs = data._outputs(data._layers(np.random.default_rng(0)), line)
        bent[activation] = np.mean(np.abs(np.diff(outputs, 2)) > 1e-10)
    assert bent["relu"] < 0.1 and bent["tanh"] > 0.99


def test_an_embedding_in_fewer_numbers_is_refused():
    with pytest.raises(ValueError, match="embedding = 2 is less than dimension = 3: give as many"):
        NetworkTeacher(n_train=10, dimension=3, embedding=2)
