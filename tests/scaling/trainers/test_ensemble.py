"""Ensembles of closed-form fits: the mean of single fits, and a single fit where there is one."""

import dataclasses

import numpy as np
import pytest

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.mnist1d import MNIST1D
from scaling.models.random_features import RandomFeatures
from scaling.run import run
from scaling.solving import Ridgeless, RidgelessEnsemble
from scaling.trainers.ensemble import member_seed
from scaling.trainers.read_out import coded
from scaling.trainers.solve import fit

ALONE = RunConfig(
    model=RandomFeatures(n_features=25, weight_scale=0.35),
    data=MNIST1D(n_train=40, n_samples=200, n_eval=50),
    train=Ridgeless(),
    seed=3,
)


def together(members):
    return dataclasses.replace(ALONE, train=RidgelessEnsemble(members=members))


def test_an_ensemble_of_one_is_a_single_fit():
    single, one = run(ALONE)[0], run(together(1))[0]
    # The one is solved by its own decomposition, the other by that of the matrix that runs share:
    # their last bits may differ.
    for name in ("eval_squared_error", "train_squared_error", "weight_norm_l2"):
        same = pytest.approx(getattr(single, name), rel=1e-10, abs=1e-20)
        assert getattr(one, name) == same, name
    assert one.eval_error == single.eval_error
    assert (one.rank, one.rcond) == (single.rank, single.rcond)
    assert one.run_id != single.run_id


def test_outputs_are_the_mean_of_those_of_single_fits():
    data = ALONE.data.load(ALONE.seed)
    outputs = []
    for member in range(3):
        config = dataclasses.replace(ALONE, seed=member_seed(ALONE.seed, member))
        problem, readout, _ = fit(config, data)
        outputs.append(problem.held_out @ readout)
    mean, targets = np.mean(outputs, axis=0), coded(ALONE, data.eval_targets)
    record, _ = run(together(3))
    assert record.eval_squared_error == pytest.approx(np.mean(np.sum((mean - targets) ** 2, 1)))
    assert record.eval_error == pytest.approx(np.mean(mean.argmax(1) != data.eval_targets))
    assert record.rank == 75
    assert account(together(3)).flops_train == 3 * account(ALONE).flops_train
    assert not np.allclose(outputs[0], outputs[1])
