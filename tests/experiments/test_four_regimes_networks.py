"""Exponents of planted curves, over teachers whose losses have factors of their own."""

import numpy as np
import pandas as pd
import pytest

from experiments.four_regimes_networks import SWEEP, _approach, _decay, analyse, figure
from scaling.config import resolved, run_id
from scaling.fields import flatten
from scaling.models.mlp import MLP

SIZES = np.array([32.0, 64, 128, 256, 512])


def test_a_decay_has_its_exponent_whatever_the_teacher():
    rng = np.random.default_rng(0)
    teachers = rng.lognormal(0, 2, (6, 1))
    losses = teachers * SIZES**-1.3 * rng.lognormal(0, 0.05, (6, 5))
    found = _decay(SIZES, losses)
    assert found.value == pytest.approx(1.3, abs=0.03)
    assert found.low is not None and found.high is not None
    assert found.low < 1.3 < found.high < found.low + 0.1


@pytest.mark.parametrize("limit", [4096.0, np.inf])
def test_an_approach_to_a_limit_takes_account_of_where_the_limit_was_read(limit):
    """Read at size 4096, losses differ by c (1/size - 1/4096); by c/size from the true limit."""
    rng = np.random.default_rng(1)
    beyond = 3 * (1 / SIZES - 1 / limit) + 0.002 * rng.standard_normal((40, 5))
    found = _approach(SIZES, beyond, limit)
    assert found.value == pytest.approx(1.0, abs=0.03)
    assert found.low is not None and found.high is not None
    assert found.low <= 1.0 <= found.high


def test_a_regime_with_too_few_runs_has_no_exponent():
    """Wide networks are not done; then one teacher alone is."""
    rows = [
        flatten(resolved(config))
        | {"run_id": run_id(config), "status": "done", "n_params_total": config.model.width * 6 + 1}
        for config in SWEEP["smoke"]()
        if isinstance(config.model, MLP)
    ]
    table = pd.DataFrame(rows).assign(**{"model.n_features": np.nan})
    rng = np.random.default_rng(0)
    table["eval_squared_error"] = 100 / table["data.n_train"] + rng.uniform(0, 0.01, len(table))
    table.loc[table["model.width"] == 512, "status"] = "diverged"
    found = analyse(table)
    assert found.measured["D_4"].value is None
    assert found.measured["P_4"].value is not None
    figure(found)
    with pytest.raises(ValueError, match=r"fewer than two teachers .* Run the command again"):
        analyse(table.loc[table["seed"] == 0])
