"""Does it matter what a language model is asked to predict? Four objectives at equal compute.

Claim: at small compute, data efficiency per prediction decides. A causal model is far better at
continuing text and a masked one at filling it in; a prefix seen from both sides buys nothing on
bytes, and costs the predictions within it. A masked model is adapted to causal prediction by a
tenth more compute.
Paper: Wang et al. 2022 (arXiv 2204.05832): causal decoders with full language modelling are best
after pre-training alone, and either objective can be adapted into the other; Raffel et al. 2019
(arXiv 1910.10683), section 3.1.4: spans; Devlin et al. 2018 (arXiv 1810.04805): masks.
Command: scaling run objectives
Cost: 4 objectives x 3 lengths x 2 learning rates x 2 seeds, a Transformer of 5.5e4 parameters, up
to 1.0 MB of text a run, 1.6e13 FLOPs.
Expected: filling in hidden bytes from both sides, masked training is better than causal training by
more than 1 nat, and the reverse for predicting the next byte. After a visible prefix, prefix
training is within 0.15 nats of causal training. After a tenth more steps of causal training, a
masked model is within 0.1 nats of one trained causally from scratch. One seed at the higher rate
gave 2.35 and 1.88 nats, 0.11 and, against the claim, 0.46 nats: a tenth of 500 steps is too short.

Losses of different objectives are not comparable. Every run is evaluated on the next byte, on the
next byte after a visible prefix of half the context, and on hidden bytes, on the same held-out text
with the same masks, and each is judged by these common evaluations alone. A causal model has never
seen the mask, so its loss there says "not trained for". The compute of a sequence does not depend
on the objective, so equal compute is equal sequences. Every objective, length and adaptation takes
the better of the same learning rates, by its own loss. The slope of its own loss in compute is
reported for each, without an expectation: published pairs of exponents are of allocation (Cheng et
al. 2024, bioRxiv 2024.06.06.597716).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, stacked
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.fields import replace_together
from scaling.models.transformer import Transformer
from scaling.objectives.causal import Causal
from scaling.objectives.masked import Masked
from scaling.objectives.prefix import Prefix
from scaling.objectives.span import Span
from scaling.pretraining import Pretraining
from scaling.record import finite
from scaling.training import Adam
from sweeps.space import chain, grid

LEVEL = 0.95
EVALUATIONS = (Causal(), Prefix(share=0.5), Masked())
TRAINED = (Causal(), Prefix(), Masked(), Span())
NAMES = tuple(objective.kind for objective in TRAINED)
TITLES = {"causal": "next\nbyte", "prefix": "after a\nprefix", "masked": "hidden\nbytes"}
"""Common evaluations, as a figure names them."""
ADAPTED = "masked, then causal"
MORE = 0.1
"""Share of the steps that a masked model is trained on causally after them."""


def _sweep(
    width: int,
    steps: Sequence[int],
    rates: Sequence[float],
    n_seeds: int,
    *,
    depth: int = 2,
    context: int = 128,
    batch_size: int = 16,
    n_eval: int = 128,
) -> list[RunConfig]:
    """Every objective at every length, rate and seed; and masked models adapted at the end."""
    base = RunConfig(
        model=Transformer(width=width, depth=depth, head_size=16),
        data=Text(context=context, n_eval=n_eval),
        train=Pretraining(
            optimizer=Adam(learning_rate=rates[0]),
            batch_size=batch_size,
            steps=steps[0],
            evaluations=1,
            evaluate_on=EVALUATIONS,
        ),
    )
    rate = "train.optimizer.learning_rate"
    scratch = grid(
        base,
        {
            "train.objective": TRAINED,
            "train.steps": steps,
            rate: rates,
            "seed": range(n_seeds),
        },
    )
    masked = grid(
        replace_together(base, {"train.objective": Masked(), "train.steps": steps[-1]}),
        {rate: rates[-1:], "seed": range(n_seeds)},
    )
    adapted = [
        replace(replace_together(parent, changes), init_from=parent)
        for parent in masked
        for changes in (
            {"train.objective": Causal(), "train.steps": round(MORE * steps[-1]), rate: value}
            for value in rates
        )
    ]
    return chain(scratch, adapted)


SWEEP: Sweep = {
    "smoke": partial(
        _sweep, 16, (60, 240), (1e-2,), 1, depth=1, context=32, batch_size=8, n_eval=64
    ),
    "cpu": partial(_sweep, 48, (125, 250, 500), (2.5e-3, 5e-3), 2),
    "gpu": partial(
        _sweep, 256, (200, 800, 3200), (1e-3, 2e-3), 3, depth=6, context=512, n_eval=512
    ),
}

SOURCE = "Wang et al. 2022"
EXPECTED = (
    Expected(
        name="infill",
        says="nats by which masked training beats causal training on hidden bytes",
        low=1.0,
        source="a causal model never saw a mask",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="continuation",
        says="nats by which causal training beats masked training on the next byte",
        low=1.0,
        source="a masked model never saw a text end",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="crossed",
        says="the smaller of both differences",
        low=0.0,
        source="each objective is best at its own task",
        unit="nats",
    ),
    Expected(
        name="prefix",
        says="nats by which prefix training is behind causal training after a prefix",
        high=0.15,
        source=f"{SOURCE}: non-causal decoders are close behind",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="adaptation",
        says="nats by which an adapted masked model is behind causal training",
        high=0.1,
        source=f"{SOURCE}: either can be adapted into the other",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Loss of every objective (rows) on every evaluation (columns), the best of a column in "
    "bold; (b) loss of the next byte and (c) each objective's own held-out loss over compute.",
    "Masked training is {infill} better on hidden bytes, causal training {continuation} better "
    "on the next byte.",
)
ALT = (
    "A table of losses, shaded by the distance from the best of each column, and two line "
    "charts over compute.",
    "Masked training is {infill} better on hidden bytes, causal training {continuation} on the "
    "next byte.",
)


class Slope(NamedTuple):
    """Slope of log loss against log compute, with its interval; NaN where there is none."""

    slope: float
    low: float
    high: float


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        runs: Runs at the best rate of each objective and length.
        losses: Mean loss of each objective (row) on each evaluation (column), longest runs.
        slopes: Slope of own loss in compute, by objective.
        excluded: Runs that are left out, and why.
    """

    runs: pd.DataFrame
    losses: pd.DataFrame
    slopes: dict[str, Slope]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares objectives on common evaluations, at the most compute that all have.

    Raises:
        ValueError: An objective has no run that is done.
    """
    names = [f"eval_by.{kind}" for kind in TITLES]
    usable, excluded = results.usable(_with_objective(table), ["eval_loss_nats", *names])
    runs = _at_best_rates(usable)
    longest = runs.loc[runs["steps"] == runs.groupby("objective")["steps"].transform("max")]
    found = longest.groupby("objective")[names].mean()
    found.columns = list(TITLES)
    if missing := [name for name in (*NAMES, ADAPTED) if name not in found.index]:
        raise ValueError(
            f"No run by {', '.join(missing)} is done, so objectives cannot be compared. Run the "
            "same command again; `scaling show` gives the reasons."
        )
    slopes = {kind: _slope(runs.loc[runs["objective"] == kind]) for kind in NAMES}

    def behind(worse: str, better: str, evaluation: str) -> Measured:
        pair = [
            longest.loc[longest["objective"] == name, f"eval_by.{evaluation}"].to_numpy(np.float64)
            for name in (worse, better)
        ]
        return _difference(*pair)

    measured = {
        "infill": behind("causal", "masked", "masked"),
        "continuation": behind("masked", "causal", "causal"),
        "prefix": behind("prefix", "causal", "prefix"),
        "adaptation": behind(ADAPTED, "causal", "causal"),
    }
    crossed = [measured[name].value for name in ("infill", "continuation")]
    measured["crossed"] = Measured(value=min(value for value in crossed if value is not None))
    slopes_told = ", ".join(
        f"{kind} C^{slope.slope:.3f} ({_interval(slope)})" for kind, slope in slopes.items()
    )
    by_evaluation = [
        results.summarise(runs, ["objective", "steps", "flops_train"], name).assign(
            evaluation=name.removeprefix("eval_by.")
        )
        for name in names
    ]
    return Findings(
        measured=measured,
        verdict=(
            f"next byte: causal {found['causal']['causal']:.2f}, prefix "
            f"{found['causal']['prefix']:.2f}, masked {found['causal']['masked']:.2f} nats, masked "
            f"then causal {found['causal'][ADAPTED]:.2f}; hidden bytes: masked "
            f"{found['masked']['masked']:.2f}, causal {found['masked']['causal']:.2f} (not trained "
            f"for); own losses fall as {slopes_told}"
        ),
        shown=stacked(
            *by_evaluation, excluded[["objective", "steps", "why"]].assign(evaluation="left out")
        ),
        details=Details(runs, found, slopes, excluded),
        report={
            kind: {name: finite(value) for name, value in slope._asdict().items()}
            for kind, slope in slopes.items()
        },
    )


def _with_objective(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the objective of each run by name; the causal one is named nowhere."""
    own, parent = (
        table.get(name, pd.Series(index=table.index, dtype=object))
        for name in ("train.objective.kind", "init_from.train.objective.kind")
    )
    assert own is not None and parent is not None
    own = own.fillna("causal")
    return table.assign(objective=own.where(parent.isna(), ADAPTED))


def _at_best_rates(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of each objective and length at the rate with the least own loss over seeds."""
    cell, rate = ["objective", "steps"], "train.optimizer.learning_rate"
    mean = results.summarise(runs, [*cell, rate], "eval_loss_nats")
    best = mean.loc[mean.groupby(cell)["mean"].idxmin(), [*cell, rate]]
    return runs.merge(best, on=[*cell, rate])


def _difference(worse: np.ndarray, better: np.ndarray) -> Measured:
    """Difference of means with Welch's interval over seeds; none where there is one seed."""
    value = float(worse.mean() - better.mean())
    if min(len(worse), len(better)) < 2:
        return Measured(value=value, note="one seed: no interval")
    low, high = stats.ttest_ind(worse, better, equal_var=False).confidence_interval(LEVEL)
    return Measured(value=value, low=float(low), high=float(high))


def _slope(runs: pd.DataFrame) -> Slope:
    """Least-squares slope over lengths and seeds, with Student's t interval."""
    x = np.log(runs["flops_train"].to_numpy(np.float64))
    y = np.log(runs["eval_loss_nats"].to_numpy(np.float64))
    if len(np.unique(x)) < 2:
        return Slope(np.nan, np.nan, np.nan)
    centred, df = x - x.mean(), len(x) - 2
    slope = float(centred @ y / (centred @ centred))
    reach = np.nan
    if df > 0:
        residual = y - y.mean() - slope * centred
        error = np.sqrt(residual @ residual / df / (centred @ centred))
        reach = float(stats.t.ppf((1 + LEVEL) / 2, df) * error)
    return Slope(slope, slope - reach, slope + reach)


def _interval(slope: Slope) -> str:
    return "no interval" if np.isnan(slope.low) else f"{slope.low:.3f} to {slope.high:.3f}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws every objective on every evaluation, and losses against compute."""
    with style.paper_style():
        drawing, axes = style.new_figure(1, 3, width=style.DOUBLE_COLUMN, height=3.0)
        matrix, common, own = axes[0]
        _draw_matrix(matrix, findings.details.losses)
        overview(common, findings)
        _draw_losses(own, findings.details, "eval_loss_nats")
        own.set_ylabel("own held-out loss (nats)")
        style.outer_legend(drawing, [common], "outside lower center", 5)
        style.letter_panels(axes)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss of the next byte against compute, by objective."""
    details = findings.details
    _draw_losses(ax, details, "eval_by.causal")
    adapted = details.runs.loc[details.runs["objective"] == ADAPTED]
    total = adapted["flops_train"] * (1 + 1 / MORE)
    look: dict[str, Any] = style.SERIES[len(NAMES)].marks(filled=False) | {"markersize": 5}
    ax.plot(total, adapted["eval_by.causal"], **look, label=ADAPTED)
    ax.set_ylabel("loss of the next byte (nats)")
    mark_excluded(ax, details.excluded, "flops_train")


def _draw_losses(ax: Axes, details: Details, name: str) -> None:
    for series, kind in zip(style.SERIES, NAMES, strict=False):
        runs = details.runs.loc[details.runs["objective"] == kind]
        mean = runs.groupby("flops_train")[name].mean()
        ax.plot(mean.index, mean, **series.line(), label=kind)
        ax.plot(runs["flops_train"], runs[name], **series.marks())
    ax.set(xscale="log", yscale="log", xlabel="training compute (FLOPs)")
    log_ticks(ax, "x", "y", most=4)


def _draw_matrix(ax: Axes, losses: pd.DataFrame) -> None:
    """A table of losses, each cell shaded by how far it is from the best of its column."""
    rows = [*NAMES, ADAPTED]
    values = losses.loc[rows, list(TITLES)].to_numpy(np.float64)
    worse = values - values.min(axis=0)
    ax.imshow(worse, cmap="Greys", vmin=0, vmax=2 * worse.max(), aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        weight = "bold" if worse[i, j] == 0 else "normal"
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontweight=weight)
    ax.set_xticks(range(len(TITLES)), list(TITLES.values()))
    ax.set_yticks(range(len(rows)), [name.replace(", ", ",\n") for name in rows])
    ax.tick_params(length=0)
    ax.set(xlabel="loss on (nats)", ylabel="trained on")
