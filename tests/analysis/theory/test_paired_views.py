"""Contrastive optimum against its bound and the figures of the design."""

import numpy as np
import pytest

from analysis import theory

C = 0.9 * np.arange(1.0, 9) ** -0.5


def test_the_optimum_lies_just_above_its_bound():
    """Mutual information 1.636, bound 3.909, optimum 3.915, ceiling of retrieval 0.121."""
    information = theory.mutual_information(C)
    assert information == pytest.approx(1.636, abs=1e-3)
    found = theory.best_retrieval(C, 256, n_batches=12)
    bound = np.log(256) - information
    assert bound == pytest.approx(3.909, abs=1e-3)
    assert found.loss == pytest.approx(3.915, abs=4 * found.loss_sem)
    assert found.top_1 == pytest.approx(0.121, abs=0.02)


def test_signs_agree_as_often_as_in_simulation():
    rng = np.random.default_rng(0)
    c = np.array([0.9, 0.6])
    u, noise = rng.standard_normal((2, 100_000, 2))
    agree = np.all(np.sign(u) == np.sign(c * u + np.sqrt(1 - c**2) * noise), axis=1)
    assert theory.sign_agreement(c) == pytest.approx(agree.mean(), abs=0.006)
    with pytest.raises(ValueError, match="at 1 the mutual information is infinite"):
        theory.mutual_information([0.5, 1.0])
