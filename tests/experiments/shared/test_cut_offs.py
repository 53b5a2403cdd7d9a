"""Points at which the solver's cut-off decides the answer get both answers; others get none."""

import numpy as np
import pandas as pd
import pytest

from experiments.shared.cut_offs import cut_off_doubts
from experiments.shared.over_theory import compared, doubts_of


def runs(other):
    """Three runs each at p/n of 0.5 and 1 in one setting; `other` scales the error at 1."""
    size = np.repeat([0.5, 1.0], 3)
    error = np.array([1.0, 1.1, 1.2, 40.0, 50.0, 60.0])
    return pd.DataFrame(
        {
            "run_id": [f"run{i}" for i in range(6)],
            "status": "done",
            "setting": "SNR 5",
            "size": size,
            "seed": [0, 1, 2] * 2,
            "eval_squared_error": error,
            "eval_squared_error_at_other_rcond": np.where(size == 1, other * error, np.nan),
            "rcond": 1e-14,
            "other_rcond": 1e-3,
        }
    )


@pytest.mark.parametrize("other", [0.2, 0.5, 1.2, 30.0])
def test_both_answers_are_said_where_they_differ(other):
    (line,) = cut_off_doubts(runs(other), "size", "p/n")
    assert "At p/n = 1 the solver's cut-off decides the answer" in line
    assert f"50 with rcond = 1e-14 and {50 * other:.3g} with 0.001 (medians of 3 runs)" in line


@pytest.mark.parametrize("other", [0.95, 1.0, 1.09, np.nan])
def test_answers_that_agree_are_no_doubt(other):
    assert cut_off_doubts(runs(other), "size", "p/n") == []


def test_settings_are_doubted_one_by_one():
    """Only one of two settings depends on the cut-off."""
    table = pd.concat([runs(0.5), runs(1.0).assign(setting="SNR 1")])
    theories = dict.fromkeys(("SNR 5", "SNR 1"), lambda size: np.ones_like(size))
    (line,) = doubts_of(compared(table, "eval_squared_error", theories), "p/n")
    assert line.startswith("SNR 5: At p/n = 1")
