"""Training compute of notable models grows four to five times a year.

Claim: since 2010 the compute of notable models has grown 4.7 times a year [4.3, 5.2].
Paper: Epoch AI 2024, Training Compute of Frontier AI Models Grows by 4-5x per Year, and the data
page of its table of notable models.
Command: scaling reproduce epoch2024
Data: the snapshot of 24 February 2025, 895 models.
Refitted: straight lines of log compute over time, by period and domain, with intervals from redrawn
models; and the identity C = 6 N D epochs where all of its terms are in the table.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.estimate import Estimate
from analysis.named_models.growth import growth_a_year
from analysis.named_models.notable import groups, ratios_to_six_n_d, tidied
from analysis.plots import style
from analysis.plots.named_models import draw_growth
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.published import Published

DATA = data.EPOCH_MODELS

_PAGE = "Epoch AI, notable AI models, 2024"

PUBLISHED = (
    Published(
        name="since 2010",
        says="growth a year, all models since 2010",
        source=_PAGE,
        value=4.7,
        covered=True,
    ),
    Published(
        name="top ten",
        says="growth a year, running top ten since 2018",
        source=f"{_PAGE}: four to five times",
        value=4.5,
        low=4.0,
        high=5.0,
    ),
    Published(
        name="language",
        says="growth a year, language since mid-2017",
        source=f"{_PAGE}: up to nine times",
        value=9.0,
        covered=True,
    ),
    Published(
        name="6 N D",
        says="median of C / (6 N D epochs) of language models, D in words as the table has it",
        source="C = 6 N D in tokens, of which one is three quarters of a word",
        value=4 / 3,
        low=1.2,
        high=1.45,
    ),
)


class Details(NamedTuple):
    """What the figure draws: the groups of models, and how they grow."""

    models: Mapping[str, pd.DataFrame]
    growth: Mapping[str, Estimate]


_GROUPS = {
    "since 2010": "since 2010",
    "2010 to 2018": "2010 to 2018",
    "top ten": "top ten",
    "language": "language since mid-2017",
}
"""Published numbers and the groups that they are of."""


def refit(table: pd.DataFrame) -> Findings[Details]:
    """Finds the growth of several groups, and the ratio of compute to 6 N D."""
    known = tidied(table)
    of = groups(known)
    models = {name: of[group] for name, group in _GROUPS.items()}
    found = {name: growth_a_year(rows["year"], rows["flops"]) for name, rows in models.items()}
    ratio = ratios_to_six_n_d(of["language"].loc[of["language"]["year"] >= 2018])
    measured = {
        name: Measured(value=each.value, low=each.low, high=each.high)
        for name, each in found.items()
    }
    measured["6 N D"] = Measured(value=float(np.median(ratio)), note=f"{len(ratio)} models")
    lines = ", ".join(f"{name}: {each}" for name, each in found.items())
    shown = models["since 2010"]
    return Findings(
        measured=measured,
        verdict=f"Times a year, {lines}. The line bends: the early years grew more slowly.",
        shown=shown[["model", "year", "flops", "top"]].assign(
            language=shown["domain"].str.contains("Language")
        ),
        details=Details(models, found),
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws compute over time, with the line of all models and that of the running top ten."""
    models, growth = findings.details
    lines = [(models[name], growth[name]) for name in ("since 2010", "top ten")]
    with style.paper_figure(height=2.8) as (drawing, axes):
        draw_growth(axes[0, 0], findings.shown, lines)
    return drawing
