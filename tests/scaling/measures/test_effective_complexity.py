"""Effective model complexity: p of linear models, planted curves, ends of the data, refusals."""

import dataclasses

import pytest

from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher
from scaling.data.mnist1d import MNIST1D
from scaling.data.modular import ModularArithmetic
from scaling.measures.effective_complexity import (
    Visited,
    _interval,
    bracket,
    effective_model_complexity,
)
from scaling.models.linear import Linear
from scaling.models.random_features import RandomFeatures
from scaling.solving import Ridgeless

SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)


def linear(p: int, n_train: int = 10) -> RunConfig:
    data = GaussianTeacher(n_train=n_train, dimension=p, noise_variance=0.5)
    return RunConfig(model=Linear(n_features=p), data=data, train=Ridgeless())


@pytest.mark.parametrize("p", SIZES)
def test_that_of_a_linear_model_is_its_number_of_features_exactly(p):
    found = effective_model_complexity(linear(p), tolerance=1e-16, seeds=range(3), most=500)
    assert (found.value, found.low, found.high) == (p, p, p)
    assert len(found.visited) <= 14


def test_that_of_random_features_is_their_number_too():
    data = GaussianTeacher(n_train=20, dimension=5, noise_variance=0.5)
    model = RandomFeatures(n_features=12, activation="fourier")
    config = RunConfig(model=model, data=data, train=Ridgeless())
    found = effective_model_complexity(config, tolerance=1e-16, seeds=[0], most=100)
    assert found.value == 12


def test_what_no_number_of_examples_shows_is_left_open():
    most = effective_model_complexity(linear(50), tolerance=1e-16, seeds=[0, 1], most=40)
    assert (most.value, most.low, most.high) == (None, 40, None)
    # 10 outputs: the one-hot targets of a single example are fitted by no feature that is 0.
    none = effective_model_complexity(linear(3), tolerance=0.0, seeds=[0], most=40)
    assert none.value is None or none.value <= 3


def test_a_search_on_the_logarithm_ends_at_the_resolution():
    config = linear(200, n_train=10)
    coarse = effective_model_complexity(
        config, tolerance=1e-16, seeds=[0, 1], most=1000, resolution=0.3
    )
    assert coarse.value is not None and coarse.value <= 200 <= coarse.value * 1.3
    assert coarse.low <= 200 <= coarse.high


@pytest.mark.parametrize(("edge", "start", "most"), [(7, 1, 100), (7, 90, 100), (99, 2, 100)])
def test_brackets_hold_the_edge_from_either_side(edge, start, most):
    low, high = bracket(lambda n: n <= edge, start=start, most=most)
    assert low <= edge < high
    assert bracket(lambda n: True, start=start, most=most) == (most, None)
    assert bracket(lambda n: False, start=start, most=most) == (None, 1)


def test_intervals_follow_seeds_that_disagree():
    """Seeds whose own complexities are 10 and 20: resampled means fall anywhere between."""
    numbers = [5, 10, 15, 20, 25]
    visited = [Visited(n_train=n, errors=(float(n > 10), float(n > 20))) for n in numbers]
    assert _interval(visited, tolerance=0.1) == (10, 24)
    agreed = [Visited(n_train=n, errors=(float(n > 10),) * 2) for n in numbers]
    assert _interval(agreed, tolerance=0.1) == (10, 14)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="seeds is empty"):
        effective_model_complexity(linear(3), tolerance=0.1, seeds=[], most=9)
    with pytest.raises(ValueError, match="must be at least 0"):
        effective_model_complexity(linear(3), tolerance=-0.1, seeds=[0], most=9)
    with pytest.raises(ValueError, match=r"without a train_error.*give another column"):
        effective_model_complexity(
            linear(3), tolerance=0.1, seeds=[0], most=9, column="train_error"
        )
    data = RunConfig(model=RandomFeatures(n_features=3), data=MNIST1D(n_train=5), train=Ridgeless())
    with pytest.raises(ValueError, match="most = 0"):
        effective_model_complexity(data, tolerance=0.1, seeds=[0], most=0)
    pairs = dataclasses.replace(data, data=ModularArithmetic(modulus=5))
    with pytest.raises(ValueError, match="no field 'n_train' in modular_arithmetic"):
        effective_model_complexity(pairs, tolerance=0.1, seeds=[0], most=9)
