"""Modular arithmetic and sparse parity: classes by their definition, draws keyed and nested."""

import dataclasses

import numpy as np
import pytest

from scaling.data.label_noise import LabelNoise
from scaling.data.modular import ModularArithmetic
from scaling.data.parity import SparseParity


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
def test_every_pair_is_there_once_with_its_result(operation):
    data = ModularArithmetic(modulus=11, operation=operation, fraction=0.3)
    found = data.load(5)
    assert (len(found.train_targets), len(found.eval_targets)) == (data.n_train, data.n_eval)
    inputs = np.concatenate([found.train_inputs, found.eval_inputs])
    c = np.concatenate([found.train_targets, found.eval_targets])
    assert inputs.shape == (data.n_train + data.n_eval, data.n_inputs) and (data.n_outputs == 11)
    a, b = (part.argmax(axis=1) for part in np.split(inputs, 2, axis=1))
    assert np.array_equal(inputs.sum(axis=1), np.full(len(inputs), 2.0))
    assert len(set(zip(a, b, strict=True))) == len(a) == (110 if operation == "divide" else 121)
    match operation:
        case "add":
            assert np.array_equal(c, (a + b) % 11)
        case "subtract":
            assert np.array_equal(c, (a - b) % 11)
        case "multiply":
            assert np.array_equal(c, a * b % 11)
        case _:
            assert np.array_equal(c * b % 11, a) and b.all()


def test_the_task_of_the_experiment_has_1104_pairs_to_train_on():
    assert ModularArithmetic(modulus=47).n_train == 1104


def test_a_seed_draws_the_pairs_and_a_larger_share_holds_those_of_a_smaller():
    half = ModularArithmetic(modulus=13)
    less = dataclasses.replace(half, fraction=0.2)
    assert np.array_equal(half.load(1).train_inputs, half.load(1).train_inputs)
    assert not np.array_equal(half.load(1).train_inputs, half.load(2).train_inputs)
    assert np.array_equal(less.load(1).train_inputs, half.load(1).train_inputs[: less.n_train])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modulus": 12, "operation": "divide"}, "12 is no prime, and division needs one"),
        ({"modulus": 1, "operation": "divide"}, "modulus = 1"),
        ({"modulus": 2, "fraction": 0.01}, "leaves 0 to train on and 4 held out"),
        ({"modulus": 2, "fraction": 0.99}, "leaves 4 to train on and 0 held out"),
        ({"modulus": 513}, "modulus = 513"),
        ({"modulus": 7, "fraction": 1.0}, "fraction = 1"),
    ],
)
def test_impossible_arithmetic_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ModularArithmetic(**fields)


def test_the_parity_of_the_first_signs_is_the_class():
    data = SparseParity(n_train=300, n_bits=12, n_relevant=4, n_eval=100)
    found = data.load(3)
    for x, y in (
        (found.train_inputs, found.train_targets),
        (found.eval_inputs, found.eval_targets),
    ):
        assert set(np.unique(x)) == {-1.0, 1.0}
        assert np.array_equal(np.prod(x[:, :4], axis=1), 1 - 2 * y)
        assert 0.3 < y.mean() < 0.7


def test_parity_is_nested_over_samples_and_keyed():
    data = SparseParity(n_train=50, label_noise=LabelNoise(fraction=0.3))
    small, large = data.load(2), dataclasses.replace(data, n_train=80).load(2)
    assert np.array_equal(small.train_inputs, large.train_inputs[:50])
    assert np.array_equal(small.train_targets, large.train_targets[:50])
    assert np.array_equal(small.eval_inputs, large.eval_inputs)
    assert not np.array_equal(small.train_inputs, data.load(4).train_inputs)
    assert 0 < np.mean(small.train_targets != small.train_targets_clean) < 0.6


def test_more_relevant_signs_than_signs_are_refused():
    with pytest.raises(ValueError, match="n_relevant = 5 exceeds n_bits = 4: give fewer"):
        SparseParity(n_train=5, n_bits=4, n_relevant=5)
