"""Rows chosen by the values of their columns: what `--where` takes and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from experiments.commands.rows import select


@pytest.fixture
def frame():
    """Nine sizes at five budgets for each of two schedules; no two losses are alike."""
    flops = np.tile(np.repeat(1e18 * 4.0 ** np.arange(5), 9), 2)
    schedule = np.repeat(["constant", "cosine, long"], 45)
    loss = 2 + np.arange(90) / 90
    return pd.DataFrame({"flops": flops, "val_loss": loss, "schedule": schedule, "width": 64})


def test_selection_takes_numbers_texts_with_commas_and_alternatives(frame):
    assert len(select(frame, '"schedule=cosine, long"')) == 45
    assert len(select(frame, "width=64.0,schedule=constant")) == 45
    assert len(select(frame, "flops=1e18,flops=4e18,schedule=constant")) == 18
    assert select(frame, "schedule = constant").index.tolist() == list(range(45))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("shedule=constant", "no column 'shedule'; did you mean 'schedule'"),
        ("schedule=constnat", "no such value; did you mean 'constant'.*valid: constant, cosine"),
        ("width=63", "width=63: no such value; .*valid: 64"),
        ("flops=7", "valid: 1"),
        ("schedule", "'schedule' is no pair; write COLUMN=VALUE"),
        ("schedule=", "'schedule=' is no pair; write COLUMN=VALUE"),
        ("schedule=constant,val_loss=3.1", r"valid: .* and 78 more"),
    ],
)
def test_a_mistaken_selection_gets_a_sentence(frame, where, says):
    with pytest.raises(ValueError, match=says):
        select(frame, where)


def test_values_that_no_row_has_together_are_reported(frame):
    frame.loc[frame["schedule"] == "constant", "width"] = 128
    says = "schedule=constant leaves 45, then width=64 leaves 0"
    with pytest.raises(ValueError, match=says):
        select(frame, "schedule=constant,width=64")
