"""Does it matter what a language model is asked to predict? Four objectives at equal compute.

Claim: at small compute, data efficiency per prediction decides. A causal model is far better at
continuing text and a masked one at filling it in; a prefix seen from both sides buys nothing on
bytes, and costs the predictions within it. A masked model becomes a causal one for less compute
than a new causal model would take.
Paper: Wang et al. 2022 (arXiv 2204.05832): causal decoders with full language modelling are best
after pre-training alone, and either objective can be adapted into the other; Raffel et al. 2019
(arXiv 1910.10683), section 3.1.4: spans; Devlin et al. 2018 (arXiv 1810.04805): masks.
Command: scaling run objectives
Cost: 4 objectives x 3 lengths x 3 learning rates x 3 seeds, a Transformer of 5.5e4 parameters, up
to 1.0 MB of text a run; 54 adaptations of masked models and 45 probes: 207 runs, 5e13 FLOPs,
thirteen minutes of a core.
Expected: filling in hidden bytes from both sides, masked training is better than causal training by
more than 1 nat, and the reverse for predicting the next byte. After a visible prefix, prefix
training is within 0.15 nats of causal training. A masked model comes within 0.1 nats of causal
training for a tenth more compute, or at least for less than its own training took, and to any loss
for less than a new causal model takes. Size `cpu` gave 2.5 [2.0, 2.9] and 2.3 [0.8, 3.8] nats;
0.157 [0.068, 0.247] for the prefix, which fails by less than seeds resolve; 0.39 [0.34, 0.45] nats
after a tenth more compute, which fails; within 0.1 nats for 0.42 [0.34, 0.51] of the compute, and
3.1 [2.5, 3.7] times less than anew.

What a tenth more leaves was 0.31 and 0.29 nats after 250 and 125 steps of training before, in place
of 500, so that longer training does not close the gap at these lengths. In one seed warm-up of the
rate changed it by 0.01 nats, and batches four times smaller, with as many more steps, by 0.1 nats,
which is why adaptation has them.

Losses of different objectives are not comparable. Every run is evaluated on the next byte, on the
next byte after a visible prefix of half the context, and on hidden bytes, on the same held-out text
with the same masks, and each is judged by these common evaluations alone. A causal model has never
seen the mask, so its loss there says "not trained for". The compute of a sequence does not depend
on the objective, so equal compute is equal sequences. Every objective, length, adaptation and probe
takes the best of its learning rates, by its own loss. Differences are paired by seed. The slope of
its own loss in compute is reported for each, without an expectation: published pairs of exponents
are of allocation (Cheng et al. 2024, bioRxiv 2024.06.06.597716).

A probe learns the kind of a byte, by Python's own tokenizer, from 8,000 labels: a read-out on the
frozen states of the longest runs, whose positions see what they saw in training. Its accuracy is
reported for each objective, beside that on the states of an untrained model, which know the byte
itself: 69 % causal, 69 prefix, 67 span, 65 masked, 64 untrained.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import stdtrit

from analysis.planning.effective_data import effective_data
from analysis.plots import style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared import objective_figures as figures
from experiments.shared.objective_runs import (
    EVALUATIONS,
    NAMES,
    UNTRAINED,
    Probe,
    Size,
    sweep,
    with_parts,
)
from experiments.shared.panels import mark_excluded, require, stacked
from experiments.shared.seeds import LEVEL, interval_of, mean_of
from experiments.shared.tuned import at_best_rates, at_the_edge
from scaling.record import finite

COMMON = tuple(objective.kind for objective in EVALUATIONS)
TENTH = 0.1
"""Share of the compute of a masked model that is to adapt it."""
NEAR = 0.1
"""Nats behind causal training at which an adapted model counts as causal."""


def _rates(causal: Sequence[float], masked: Sequence[float]) -> dict[str, Sequence[float]]:
    """Rates of objectives that predict most tokens, and of those that predict few."""
    return {"causal": causal, "prefix": causal, "masked": masked, "span": masked}


SMALL = Size(
    width=16,
    steps=(60, 240),
    rates=_rates((1e-2,), (1e-2,)),
    n_seeds=1,
    shares=(TENTH,),
    adapting_rates=(1e-2,),
    probe=Probe(200, 200, 60, (3e-2,)),
    depth=1,
    context=32,
    batch_size=8,
    n_eval=64,
)
MIDDLE = Size(
    width=48,
    steps=(125, 250, 500),
    rates=_rates((5e-3, 1e-2, 2e-2), (2.5e-3, 5e-3, 1e-2)),
    n_seeds=3,
    shares=(TENTH, 0.2, 0.4, 0.8),
    adapting_rates=(5e-3, 1e-2, 2e-2),
    probe=Probe(8000, 2000, 256, (1e-2, 4e-2, 1.6e-1)),
)
LARGE = Size(
    width=256,
    steps=(200, 800, 3200),
    rates=_rates((5e-4, 1e-3, 2e-3), (5e-4, 1e-3, 2e-3)),
    n_seeds=3,
    shares=(TENTH, 0.2, 0.4, 0.8),
    adapting_rates=(5e-4, 1e-3, 2e-3),
    probe=Probe(2000, 2000, 512, (3e-3, 1e-2, 3e-2)),
    depth=6,
    context=512,
    n_eval=512,
)
SWEEP: Sweep = {
    "smoke": partial(sweep, SMALL),
    "cpu": partial(sweep, MIDDLE),
    "gpu": partial(sweep, LARGE),
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
        says="nats by which a masked model is behind causal training after a tenth more compute",
        high=NEAR,
        source=f"{SOURCE}: either can be adapted into the other",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="within",
        says=f"compute that adapts a masked model to within {NEAR} nats of causal training, over "
        "that of its own training",
        high=1.0,
        source=f"{SOURCE}: either can be adapted into the other, for less than training anew",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="saving",
        says="compute of causal training to the loss of an adapted model, over that of adapting it",
        low=1.0,
        source=f"{SOURCE}: adaptation takes less compute than training anew",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="probe",
        says="accuracy of a probe on the worst objective's states less that on untrained ones",
        low=0.0,
        source="Devlin et al. 2018: states of a pre-trained model serve other tasks",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Loss of every objective (rows) on every evaluation (columns), the best of a column in "
    "bold; (b) loss of the next byte and (c) each objective's own held-out loss over compute; (d) "
    "accuracy of a probe of frozen states, with its interval over seeds; loss of adapted masked "
    "models less that of causal ones (e) over the compute of adaptation, dotted where they count "
    "as causal, and (f) after a tenth, over that of the training before.",
    "Masked training is {infill} better on hidden bytes, causal training {continuation} better "
    "on the next byte.",
    "A tenth more compute brings a masked model to {adaptation} of a causal one.",
)
ALT = (
    "A table of losses, line charts of losses over compute, accuracies of probes, and charts of "
    "what adapted models are behind causal ones.",
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
        runs: Runs from scratch at the best rate of each objective and length.
        losses: Mean loss of each objective (row) on each evaluation (column), longest runs.
        slopes: Slope of own loss in compute, by objective.
        probes: Accuracy of the probe on held-out labels, by objective.
        gaps: Adapted runs at their best rates, with the nats by which they are `behind` causal ones
            of the same seed and length, and the compute that they `save`.
        excluded: Runs from scratch that are left out, and why.
    """

    runs: pd.DataFrame
    losses: pd.DataFrame
    slopes: dict[str, Slope]
    probes: dict[str, Measured]
    gaps: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares objectives on common evaluations, at the most compute that all have.

    Raises:
        ValueError: An objective, adaptation or probe has no run that is done.
    """
    parts = with_parts(table)
    on_text = parts["part"] != "probe"
    usable, excluded = results.usable(parts.loc[on_text], [f"eval_by.{kind}" for kind in COMMON])
    probed, not_probed = results.usable(parts.loc[~on_text], ["eval_error"])
    scratch = usable.loc[usable["part"] == "scratch"]
    adapted = usable.loc[usable["part"] == "adapted"]
    cell, cell_adapted, cell_probed = (
        ["objective", "steps"], ["length", "share"], ["part", "objective"]
    )  # fmt: skip
    runs = at_best_rates(scratch, cell)
    _check_done(runs, adapted, probed)
    gaps = _gaps(runs, at_best_rates(adapted, cell_adapted))
    probes = at_best_rates(probed, cell_probed)
    longest = runs.loc[runs["steps"] == runs["steps"].max()]
    losses = longest.groupby("objective")[[f"eval_by.{kind}" for kind in COMMON]].mean()
    losses.columns = list(COMMON)
    details = Details(
        runs,
        losses,
        {kind: _slope(runs.loc[runs["objective"] == kind]) for kind in NAMES},
        {str(kind): mean_of(1 - each) for kind, each in probes.groupby("objective")["eval_error"]},
        gaps,
        excluded.loc[excluded["part"] == "scratch"],
    )
    return Findings(
        measured=_measured(longest, gaps, probes),
        verdict=_verdict(details),
        shown=_shown(details, probes, pd.concat([excluded, not_probed])),
        details=details,
        doubts=[
            *at_the_edge(scratch, runs, cell),
            *at_the_edge(adapted, gaps, cell_adapted),
            *at_the_edge(probed, probes, cell_probed),
        ],
        report={
            kind: {name: finite(value) for name, value in slope._asdict().items()}
            for kind, slope in details.slopes.items()
        },
    )


def _check_done(runs: pd.DataFrame, adapted: pd.DataFrame, probed: pd.DataFrame) -> None:
    """Refuses a comparison in which an objective, the adaptation or a probe is missing."""
    longest = runs.loc[runs["steps"] == runs["steps"].max(), "objective"]
    missing = [f"{kind} training" for kind in NAMES if kind not in set(longest)]
    missing += ["adaptation"] if adapted.empty else []
    seen = set(probed["objective"])
    missing += [f"the probe of {kind} states" for kind in (*NAMES, UNTRAINED) if kind not in seen]
    require(missing, "objectives")


def _gaps(runs: pd.DataFrame, adapted: pd.DataFrame) -> pd.DataFrame:
    """Adapted runs beside causal ones: nats `behind`, and causal compute over theirs, `saving`."""
    causal = runs.loc[runs["objective"] == "causal"]
    beside = causal.set_index(["length", "seed"])["eval_by.causal"].rename("beside")
    rows = adapted.merge(beside, left_on=["length", "seed"], right_index=True)
    saving = np.full(len(rows), np.nan)
    mean = causal.groupby("flops_train")["eval_by.causal"].mean()
    if len(mean) > 1:
        saving = effective_data(mean.index, mean, rows["eval_by.causal"])
    return rows.assign(
        behind=rows["eval_by.causal"] - rows["beside"],
        saving=saving / rows["flops_train"].to_numpy(np.float64),
    )


def _measured(
    longest: pd.DataFrame, gaps: pd.DataFrame, probes: pd.DataFrame
) -> dict[str, Measured]:
    """What is expected, from the longest runs."""

    def behind(worse: str, better: str, evaluation: str) -> Measured:
        losses = longest.pivot_table("eval_by." + evaluation, "seed", "objective")
        return mean_of((losses[worse] - losses[better]).dropna())

    tenth = gaps.loc[(gaps["length"] == gaps["length"].max()) & (gaps["share"] == TENTH)]
    right = 1 - probes.pivot_table("eval_error", "seed", "objective")
    gains = [mean_of((right[kind] - right[UNTRAINED]).dropna()) for kind in NAMES]
    measured = {
        "infill": behind("causal", "masked", "masked"),
        "continuation": behind("masked", "causal", "causal"),
        "prefix": behind("prefix", "causal", "prefix"),
        "adaptation": mean_of(tenth["behind"]),
        "within": _within(gaps.loc[gaps["length"] == gaps["length"].max()]),
        "saving": mean_of(tenth["saving"].dropna(), "" if len(tenth) > 1 else "one seed"),
        "probe": min(gains, key=lambda gain: np.inf if gain.value is None else gain.value),
    }
    crossed = [measured[name].value for name in ("infill", "continuation")]
    known = [value for value in crossed if value is not None]
    measured["crossed"] = Measured(value=min(known, default=None))
    return measured


def _within(longest: pd.DataFrame) -> Measured:
    """Share of compute at which adaptation comes near causal training, interpolated by seed."""
    found = []
    for _, own in longest.sort_values("share").groupby("seed"):
        share, loss = own["share"].to_numpy(np.float64), own["eval_by.causal"].to_numpy(np.float64)
        aim = float(own["beside"].iloc[0]) + NEAR
        if loss[0] <= aim:
            found.append(share[0])
        else:
            found.append(float(effective_data(share, loss, aim)) if len(share) > 1 else np.nan)
    reached = [each for each in found if np.isfinite(each)]
    if len(reached) < len(found) or not found:
        return Measured(value=None, note="beyond the compute that was tried")
    return mean_of(reached)


def _verdict(details: Details) -> str:
    losses, gaps = details.losses, details.gaps
    longest = gaps.loc[gaps["length"] == gaps["length"].max()]
    behind = "; ".join(
        f"{share:.0%} {interval_of(mean_of(rows['behind']))}"
        for share, rows in longest.groupby("share")
    )
    slopes = ", ".join(
        f"{kind} C^{slope.slope:.3f} ({_interval(slope)})" for kind, slope in details.slopes.items()
    )
    right = ", ".join(f"{kind} {interval_of(each)}" for kind, each in details.probes.items())
    return (
        f"next byte: causal {losses['causal']['causal']:.2f}, prefix "
        f"{losses['causal']['prefix']:.2f}, masked {losses['causal']['masked']:.2f} nats; hidden "
        f"bytes: masked {losses['masked']['masked']:.2f}, causal {losses['masked']['causal']:.2f} "
        f"(not trained for)\nown losses fall as {slopes}\naccuracy of the probe: {right}\nnats by "
        f"which adapted masked models are behind causal ones, by their further compute: {behind}"
    )


def _shown(details: Details, probes: pd.DataFrame, excluded: pd.DataFrame) -> pd.DataFrame:
    scratch = [
        results.summarise(
            details.runs, ["objective", "steps", "flops_train"], f"eval_by.{kind}"
        ).assign(evaluation=kind)
        for kind in COMMON
    ]
    gaps = results.summarise(details.gaps, ["length", "share", "flops_train"], "behind")
    return stacked(
        *scratch,
        gaps.assign(evaluation="behind causal training"),
        results.summarise(probes, ["objective"], "eval_error").assign(evaluation="probe, error"),
        excluded.loc[:, ["objective", "steps", "why"]].assign(evaluation="left out"),
    )


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
        reach = float(stdtrit(df, (1 + LEVEL) / 2) * error)
    return Slope(slope, slope - reach, slope + reach)


def _interval(slope: Slope) -> str:
    return "no interval" if np.isnan(slope.low) else f"{slope.low:.3f} to {slope.high:.3f}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws objectives on all evaluations, over compute and under a probe, and adaptation."""
    details = findings.details
    with style.paper_style():
        drawing, panels, _ = style.new_panels(6, height=2.3, margin=0.4)
        matrix, common, own, probes, shares, lengths = panels
        figures.draw_matrix(matrix, details.losses)
        overview(common, findings)
        figures.draw_losses(own, details.runs, "eval_loss_nats")
        own.set_ylabel("own held-out loss (nats)")
        figures.draw_probes(probes, details.probes)
        figures.draw_shares(shares, details.gaps, NEAR)
        figures.draw_lengths(lengths, details.gaps.loc[details.gaps["share"] == TENTH])
        style.outer_legend(drawing, [common], "outside lower center", 5)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss of the next byte against compute, by objective."""
    details = findings.details
    figures.draw_losses(ax, details.runs, "eval_by.causal")
    figures.draw_adapted(ax, details.gaps)
    ax.set_ylabel("loss of the next byte (nats)")
    mark_excluded(ax, details.excluded, "flops_train")
