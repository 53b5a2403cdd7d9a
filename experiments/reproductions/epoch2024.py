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
from datetime import date

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.estimate import Estimate
from analysis.named_models.growth import growth_a_year
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from experiments.experiment import Findings, Measured
from experiments.reproductions import data
from experiments.reproductions.published import Published

DATA = data.EPOCH_MODELS

_PAGE = "Epoch AI, notable AI models, 2024"
_COMPUTE, _DATE = "Training compute (FLOP)", "Publication date"

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

_TOP = 10


def refit(table: pd.DataFrame) -> Findings[Mapping[str, Estimate]]:
    """Finds the growth of several groups, and the ratio of compute to 6 N D."""
    known = table.loc[table[_COMPUTE].notna() & table[_DATE].notna()].copy()
    known["year"] = [_year(date.fromisoformat(text)) for text in known[_DATE]]
    language = known["Domain"].fillna("").str.contains("Language")
    groups = {
        "since 2010": known["year"] >= 2010,
        "2010 to 2018": (known["year"] >= 2010) & (known["year"] < 2018),
        "top ten": (known["year"] >= 2018) & _is_top(known),
        "language": language & (known["year"] >= 2017.5),
    }
    found = {
        name: growth_a_year(known.loc[of, "year"], known.loc[of, _COMPUTE])
        for name, of in groups.items()
    }
    ratio = _ratios(known.loc[language & (known["year"] >= 2018)])
    measured = {
        name: Measured(value=each.value, low=each.low, high=each.high)
        for name, each in found.items()
    }
    measured["6 N D"] = Measured(value=float(np.median(ratio)), note=f"{len(ratio)} models")
    shown = known.loc[known["year"] >= 2010, ["Model", "year", _COMPUTE]].assign(
        top=groups["top ten"], language=language
    )
    lines = ", ".join(f"{name}: {each}" for name, each in found.items())
    return Findings(
        measured=measured,
        verdict=f"Times a year, {lines}. The line bends: the early years grew more slowly.",
        shown=shown.rename(columns={_COMPUTE: "flops", "Model": "model"}),
        details=found,
    )


def _year(day: date) -> float:
    return day.year + (day - date(day.year, 1, 1)).days / 365.25


def _is_top(known: pd.DataFrame) -> pd.Series:
    """Whether a model was among the ten largest when it was published."""
    ordered = known.sort_values("year", kind="stable")
    largest = ordered[_COMPUTE].to_numpy(np.float64)
    among = [np.sum(largest[:at] >= largest[at]) < _TOP for at in range(len(largest))]
    return pd.Series(among, index=ordered.index).reindex(known.index)


def _ratios(models: pd.DataFrame) -> np.ndarray:
    """C / (6 N D epochs) of models that have all; sparse ones, far below 1, are left out."""
    columns = ["Parameters", "Training dataset size (datapoints)", "Epochs"]
    whole = models.dropna(subset=columns)
    n, d, epochs = (whole[name].to_numpy(np.float64) for name in columns)
    ratio = whole[_COMPUTE].to_numpy(np.float64) / (6 * n * d * epochs)
    return ratio[ratio > 0.3]


def figure(findings: Findings[Mapping[str, Estimate]]) -> Figure:
    """Draws compute over time, with the line of all models and that of the running top ten."""
    shown, found = findings.shown, findings.details
    with style.paper_style():
        drawing, axes = style.new_figure(width=style.SINGLE_COLUMN, height=2.8)
        ax = axes[0, 0]
        parts = (("running top ten", shown["top"]), ("others", ~shown["top"]))
        for (name, of), look in zip(parts, (style.SERIES[1], style.SERIES[0]), strict=True):
            rows = shown.loc[of]
            ax.plot(rows["year"], rows["flops"], **look.marks(), markersize=2.5, alpha=0.7,
                    markeredgewidth=0, label=name)  # fmt: skip
        for name, of, look in (
            ("since 2010", shown["year"] >= 2010, style.SERIES[0]),
            ("top ten", shown["top"] & (shown["year"] >= 2018), style.SERIES[1]),
        ):
            rows = shown.loc[of]
            years = np.array([rows["year"].min(), rows["year"].max()])
            middle = float(np.mean(np.log(rows["flops"])))
            line = middle + np.log(found[name].value) * (years - rows["year"].mean())
            ax.plot(years, np.exp(line), **look.line(), linewidth=1.4,
                    label=f"{found[name].value:.2g} times a year")  # fmt: skip
        ax.set(yscale="log", xlabel="year", ylabel="training FLOPs")
        log_ticks(ax, "y", most=6)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        style.legend_above(ax)
    return drawing
