"""MNIST-1D: equal to the reference generator, frozen where that is missing; splits and subsets."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from scaling.data.label_noise import LabelNoise, mask_sha256
from scaling.data.mnist1d import MNIST1D, generate
from scaling.fields import from_dict, to_dict

SMALL = MNIST1D(n_train=50, n_samples=200, n_eval=100)


def label_hash(labels):
    return hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()


@pytest.fixture
def global_state():
    """The reference generator seeds NumPy's global state: put it back."""
    state = np.random.get_state()  # noqa: NPY002  (what is guarded)
    yield state
    np.random.set_state(state)  # noqa: NPY002


@pytest.mark.medium
@pytest.mark.parametrize(("n_samples", "seed"), [(5000, 42), (200, 42), (130, 0), (10, 2**32 - 1)])
def test_equals_the_reference_generator(n_samples, seed, global_state):
    reference = pytest.importorskip("mnist1d.data", reason="needs mnist1d: the oracle")
    settings = reference.get_dataset_args()
    settings.num_samples, settings.seed = n_samples, seed
    published = reference.make_dataset(settings)
    inputs, labels = generate(n_samples, seed)
    n_train = len(published["y"])
    np.testing.assert_array_equal(labels[:n_train], published["y"])
    np.testing.assert_array_equal(labels[n_train:], published["y_test"])
    np.testing.assert_allclose(inputs[:n_train], published["x"], rtol=0, atol=4e-15)
    np.testing.assert_allclose(inputs[n_train:], published["x_test"], rtol=0, atol=4e-15)


def test_published_set_frozen():
    """Where this fails the same seed draws other data: raise the version in `fingerprint`."""
    inputs, labels = generate(5000, 42)
    assert label_hash(labels) == "4f5f4160c519e3c47f9d3e196c161336fcd32126a9efffe4153d6e7c8b73f963"
    np.testing.assert_allclose(
        inputs[0, :3], [-0.33200566736939013, -0.4719103656557236, -0.778697076293495], rtol=1e-12
    )
    np.testing.assert_allclose(
        inputs[-1, -2:], [0.8777343497528006, 1.1931518368352758], rtol=1e-12
    )
    np.testing.assert_allclose(np.abs(inputs).sum(), 148316.17264806535, rtol=1e-12)


def test_draws_of_a_run_frozen():
    """Where this fails the same seed draws other data: raise the version in `fingerprint`."""
    config = MNIST1D(n_train=500, label_noise=LabelNoise(fraction=0.2))
    assert config.fingerprint() == "mnist1d/1"
    data = config.load(7)
    hashes = (
        label_hash(data.train_targets_clean),
        mask_sha256(data.train_targets != data.train_targets_clean),
        label_hash(data.train_targets),
    )
    assert hashes == (
        "990e7b3e53bbd35240ce24dd9317cf80f3eb7a8e59eca1c79765325fc311f62b",
        "8abcf3d06704de93513e13ee3ba16a6436a705e258f2c7c80913692889afb228",
        "467cdc9f09d1075976f9241fb6a3d33c172528fd48778fce190bcfe546f21e97",
    )


def test_standardised_and_balanced():
    inputs, labels = generate(5000, 42)
    assert abs(inputs.mean()) < 1e-13 and abs(inputs.std() - 1) < 1e-13
    np.testing.assert_array_equal(np.bincount(labels), 500)


def test_global_random_state_is_left_alone(global_state):
    generate.cache_clear()
    generate(20, 42)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(after[1], global_state[1])
    assert after[2:] == global_state[2:]


def test_generated_once_and_read_only():
    inputs, labels = generate(200, 42)
    assert generate(200, 42)[0] is inputs
    assert not inputs.flags.writeable and not labels.flags.writeable
    assert not SMALL.load(0).eval_inputs.flags.writeable


def test_other_generator_seed_other_signals():
    assert not np.intersect1d(generate(200, 42)[0], generate(200, 43)[0]).size


def test_whole_training_part_is_a_permutation_that_excludes_the_held_out():
    inputs, labels = generate(200, 42)
    data = replace(SMALL, n_train=100).load(3)
    np.testing.assert_array_equal(data.eval_inputs, inputs[100:])
    np.testing.assert_array_equal(data.eval_targets, labels[100:])
    drawn = np.column_stack([data.train_inputs, data.train_targets])
    available = np.column_stack([inputs, labels])[:100]
    assert not np.array_equal(drawn, available)
    np.testing.assert_array_equal(drawn[np.lexsort(drawn.T)], available[np.lexsort(available.T)])


def test_same_seed_same_subset_other_seed_another():
    one, again, other = SMALL.load(3), SMALL.load(3), SMALL.load(4)
    np.testing.assert_array_equal(one.train_inputs, again.train_inputs)
    np.testing.assert_array_equal(one.train_targets, again.train_targets)
    assert not np.array_equal(one.train_inputs, other.train_inputs)
    np.testing.assert_array_equal(one.eval_inputs, other.eval_inputs)


def test_a_smaller_training_set_begins_a_larger_one():
    noise = LabelNoise(fraction=0.5)
    few = replace(SMALL, label_noise=noise, n_train=20).load(3)
    many = replace(SMALL, label_noise=noise).load(3)
    np.testing.assert_array_equal(few.train_inputs, many.train_inputs[:20])
    np.testing.assert_array_equal(few.train_targets, many.train_targets[:20])


def test_noise_touches_training_labels_alone():
    clean = SMALL.load(3)
    noisy = replace(SMALL, label_noise=LabelNoise(fraction=1 - 1e-12)).load(3)
    np.testing.assert_array_equal(noisy.train_inputs, clean.train_inputs)
    np.testing.assert_array_equal(noisy.train_targets_clean, clean.train_targets)
    assert (noisy.train_targets != clean.train_targets).all()
    np.testing.assert_array_equal(noisy.eval_targets, clean.eval_targets)


def test_shape_of_the_problem():
    assert (SMALL.n_inputs, SMALL.n_outputs, SMALL.n_classes, SMALL.n_eval) == (40, 10, 10, 100)
    data = SMALL.load(0)
    assert data.train_inputs.shape == (50, 40) and data.eval_inputs.shape == (100, 40)
    assert data.train_inputs.dtype == np.float64 and data.train_targets.dtype == np.int64


def test_round_trip_through_plain_values():
    config = replace(SMALL, label_noise=LabelNoise(fraction=0.15, convention="any_class"))
    assert from_dict(MNIST1D, to_dict(config)) == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"n_train": 4001},
            "mnist1d.n_train = 4001 exceeds the 4000 examples that n_samples = 5000 leaves "
            "after n_eval = 1000: give fewer, or more n_samples",
        ),
        ({"n_train": 1, "n_samples": 100}, "exceeds the 0 examples that n_samples = 100"),
        ({"n_train": 0}, "mnist1d.n_train = 0 is impossible"),
        ({"n_train": 1, "n_samples": 5005}, "n_samples = 5005: give a multiple of 10"),
        ({"n_train": 1, "n_eval": 0}, "mnist1d.n_eval = 0 is impossible"),
        ({"n_train": 1, "generator_seed": -1}, "mnist1d.generator_seed = -1 is impossible"),
        ({"n_train": 1, "label_noise": 0.15}, "give the fields of LabelNoise"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MNIST1D(**fields)


def test_importing_configurations_loads_no_heavy_library():
    heavy = {"jax", "scipy", "sklearn", "pandas", "flax"}
    program = f"import sys, scaling.config; print(sorted({heavy} & sys.modules.keys()))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
