"""Ensembles in closed form: fits of one training set on features of their own, averaged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.keys import rng_for
from scaling.solving import Ridgeless, RidgelessEnsemble
from scaling.trainers.read_out import measured
from scaling.trainers.solve import fit


def solve_and_average(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Fits every member of a run exactly, averages their outputs, and measures the mean.

    The mean of the outputs is a read-out of all members' features side by side, whose coefficients
    are those of the members over their number. So the weight norm is that of this read-out, and the
    rank the sum of the members'.

    Returns:
        Columns of a RunRecord.
    """
    plan = config.train
    assert isinstance(plan, RidgelessEnsemble)
    alone = replace(config, train=Ridgeless(rcond=plan.rcond))
    seeds = [member_seed(config.seed, member) for member in range(plan.members)]
    problems, readouts, penalties = zip(
        *(fit(replace(alone, seed=seed), dataset) for seed in seeds), strict=True
    )
    together = problems[0]._replace(
        config=config,
        features=np.concatenate([each.features for each in problems], axis=1),
        held_out=np.concatenate([each.held_out for each in problems], axis=1),
    )
    rank = sum(each["rank"] for each in penalties)
    readout = np.concatenate(readouts) / plan.members
    return {**penalties[0], "rank": rank, **measured(together, readout)}


def member_seed(seed: int, member: int) -> int:
    """The seed whose features a member has; that of the run for the first."""
    if member == 0:
        return seed
    return int(rng_for(seed, f"ensemble/{member}").integers(2**32))
