"""Notable models of Epoch AI's table: when each came out, and what its training took.

| symbol | meaning | unit |
|---|---|---|
| N | parameters in all | 1 |
| D | points of the data set, words where it is text | 1 |
| C | training compute | FLOPs |
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.named_models.registry import year_of

_FILE = Path(__file__).with_name("notable_models.csv")
_LINES_OF_LICENCE = 2

_NUMBERS = {
    "flops": "Training compute (FLOP)",
    "parameters": "Parameters",
    "data": "Training dataset size (datapoints)",
    "epochs": "Epochs",
}
_SPARSE = 0.3
"""Share of 6 N D epochs below which C is that of a model of which a token uses a part."""
_BENT = 2018
"""The year about which the growth of the largest models slowed down."""


def notable() -> pd.DataFrame:
    """Returns the models since 2010 whose compute is known, as `tidied` does."""
    return tidied(pd.read_csv(_FILE, skiprows=_LINES_OF_LICENCE))


def tidied(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the models of Epoch's table whose date and compute are known.

    Args:
        table: Epoch's own columns.

    Returns:
        Columns model, domain, year, flops, parameters, data, epochs, and `top`: whether a model
        came out since 2018, as one of the ten largest until then.
    """
    known = table.loc[table[_NUMBERS["flops"]].notna() & table["Publication date"].notna()]
    rows = pd.DataFrame(
        {
            "model": known["Model"].astype(str),
            "domain": known["Domain"].fillna("").astype(str),
            "year": [year_of(date.fromisoformat(each)) for each in known["Publication date"]],
            **{name: known[column].astype(np.float64) for name, column in _NUMBERS.items()},
        }
    )
    return rows.assign(top=_is_top(rows))


def _is_top(models: pd.DataFrame, rank: int = 10) -> pd.Series:
    """Whether each model was among the largest when it came out, `_BENT` or later."""
    flops = models.sort_values("year", kind="stable")["flops"]
    largest = flops.to_numpy(np.float64)
    among = [np.sum(largest[:at] >= largest[at]) < rank for at in range(len(largest))]
    return pd.Series(among, index=flops.index).reindex(models.index) & (models["year"] >= _BENT)


def groups(models: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Returns the models by period and domain; a model may be of several domains."""
    year = models["year"]
    recent = models.loc[year >= 2010]
    of = {
        name.lower(): recent.loc[recent["domain"].str.contains(name)]
        for name in ("Language", "Vision", "Games", "Biology")
    }
    return {
        "since 2010": recent,
        f"2010 to {_BENT}": recent.loc[recent["year"] < _BENT],
        f"since {_BENT}": recent.loc[recent["year"] >= _BENT],
        "top ten": recent.loc[recent["top"]],
        "language since mid-2017": of["language"].loc[of["language"]["year"] >= 2017.5],
        **of,
    }


def ratios_to_six_n_d(models: pd.DataFrame) -> Floats:
    """Returns C / (6 N D epochs) of models that have all; sparse ones are left out."""
    whole = models.dropna(subset=["parameters", "data", "epochs"])
    n, d, epochs, c = (
        whole[name].to_numpy(np.float64) for name in ("parameters", "data", "epochs", "flops")
    )
    ratio = c / (6 * n * d * epochs)
    return ratio[ratio > _SPARSE]
