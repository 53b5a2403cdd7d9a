"""Augmentation: crops out of padding and mirrored images, keyed, in compiled steps."""

import itertools

import jax
import numpy as np
import pytest

from scaling.config import RunConfig
from scaling.data.digits import Digits
from scaling.data.mnist1d import MNIST1D
from scaling.models.mlp import MLP
from scaling.overrides import replace_at
from scaling.run import run
from scaling.trainers.augmentation import PADDING, crop_and_flip
from scaling.training import SGD, Gradient

augmented = jax.jit(crop_and_flip)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_a_crop_of_its_padded_self_mirrored_or_not(channels):
    side, n = 6, 64
    images = np.random.default_rng(0).normal(size=(n, side, side, channels)).astype(np.float32)
    found = augmented(jax.random.key(0), images.reshape(n, -1))
    found = np.asarray(found).reshape(images.shape)
    around = (PADDING, PADDING)
    padded = np.pad(images, ((0, 0), around, around, (0, 0)))
    shifts = list(itertools.product(range(2 * PADDING + 1), repeat=2))
    seen = []
    for image, original in zip(found, padded, strict=True):
        crops = [original[i : i + side, j : j + side] for i, j in shifts]
        all_of_them = [*crops, *(crop[:, ::-1] for crop in crops)]
        seen.append(next(k for k, crop in enumerate(all_of_them) if np.array_equal(crop, image)))
    assert len(set(seen)) > n / 2
    assert 0.2 < np.mean(np.array(seen) >= len(shifts)) < 0.8


def test_one_key_draws_one_augmentation():
    images = np.random.default_rng(0).normal(size=(64, 36)).astype("f4")
    first, again, other = (augmented(jax.random.key(k), images) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


AUGMENTED = RunConfig(
    model=MLP(width=4),
    data=Digits(n_train=40),
    train=Gradient(
        optimizer=SGD(learning_rate=0.1),
        batch_size=20,
        steps=3,
        evaluations=1,
        augmentation="crop_flip",
    ),
)


@pytest.mark.medium
def test_runs_with_augmentation_repeat_and_differ_from_those_without():
    (first, _), (again, _) = run(AUGMENTED), run(AUGMENTED)
    plain, _ = run(replace_at(AUGMENTED, "train.augmentation", "none"))
    assert first.train_loss_nats == again.train_loss_nats != plain.train_loss_nats


def test_data_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match=r"is for images, and data\.kind = 'mnist1d' has none"):
        replace_at(AUGMENTED, "data", MNIST1D(n_train=40))
