"""Doubts about closed-form runs whose answer the solver's cut-off decides."""

import numpy as np
import pandas as pd

DECIDES = 0.1
"""Relative change of the median test squared error from which the cut-off decides it."""


def cut_off_doubts(runs: pd.DataFrame, size: str, says: str) -> list[str]:
    """Returns a line with both answers for each size at which the cut-off decides the answer.

    Args:
        runs: Runs of one setting, with the columns of their records.
        size: Column of the size.
        says: What the size is, such as "N".
    """
    both = ("eval_squared_error", "eval_squared_error_at_other_rcond")
    cut = runs.dropna(subset=list(both))
    lines = []
    for at in np.unique(cut[size]):
        rows = cut.loc[cut[size] == at]
        own_error, other_error = (float(np.median(rows[name])) for name in both)
        if abs(own_error - other_error) > DECIDES * min(own_error, other_error):
            own, other = (float(np.median(rows[name])) for name in ("rcond", "other_rcond"))
            lines.append(
                f"At {says} = {at:g} the solver's cut-off decides the answer: the test squared "
                f"error is {own_error:.3g} with rcond = {own:.2g} and {other_error:.3g} with "
                f"{other:.2g} (medians of {len(rows)} runs). Report it with the cut-off"
            )
    return lines
