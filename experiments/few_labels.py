"""How many labels does pre-training save? The kind of a byte, from ten labels to ten thousand.

Claim: where labels are few, a model that was pre-trained on text does far better than one from
scratch: with its read-out alone trained at the fewest, with all of it trained beyond. With many
labels the difference shrinks.
Paper: Devlin et al. 2018 (arXiv 1810.04805): features and fine-tuning of one pre-trained model;
Radford et al. 2018: a causal model fine-tuned on few labels.
Command: scaling run few_labels
Cost: a Transformer of 3.3e4 parameters, pre-trained on 1.0 MB of text, then on 4 numbers of labels
in 3 ways at 2 learning rates of at most 0.3 MB: 24 runs and the one they start from, 5.0e11 FLOPs.
Expected: with 100 labels a fine-tuned model is better than one from scratch, with 10,000 all
trained is better than the read-out alone, and the gain of fine-tuning shrinks from 100 to 10,000.
With 10 labels it loses 1.5 nats at size cpu, and gains 0.3 after the little text of size smoke: a
model of text has learned that the tokens of kinds never come.

The label of a byte is what the standard library's own `tokenize` says of it: comment, string,
number, operator, keyword, name or other. Labels are free and exact, and those held out are of
other files. All ways read the same labels in the same order for as long, take their best
evaluation, and the better of two rates. The loss is the cross-entropy of the label, which has a
token of its own that no text has: one who knows the shares of the kinds alone has their entropy.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, one_panel, require, stacked
from scaling.config import RunConfig
from scaling.data.byte_kinds import ByteKinds
from scaling.data.text import Text
from scaling.models.transformer import Transformer
from scaling.objectives.labelled import Labelled
from scaling.overrides import replace_together
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.space import grid

CURVES = True

WAYS = ("from scratch", "read-out alone", "fine-tuned")


def _sweep(
    width: int,
    labels: Sequence[int],
    rates: Sequence[float],
    steps: int,
    pretrained: int,
    *,
    depth: int = 2,
    context: int = 64,
) -> list[RunConfig]:
    """Every number of labels in every way at every rate, after `pretrained` steps on text."""
    parent = RunConfig(
        model=Transformer(width=width, depth=depth, head_size=8),
        data=Text(context=context, repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=rates[0]), batch_size=16, steps=pretrained, evaluations=1
        ),
    )
    scratch = replace_together(
        parent,
        {
            "data": ByteKinds(context=context, n_labels=labels[0]),
            "train.objective": Labelled(),
            "train.steps": steps,
            "train.evaluations": 16,
        },
    )
    probe = replace_together(scratch, {"train.trained": "readout", "init_from": parent})
    return [
        run
        for way in (scratch, probe, replace(scratch, init_from=parent))
        for run in grid(way, {"data.n_labels": labels, "train.optimizer.learning_rate": rates})
    ]


SWEEP: Sweep = {
    "smoke": partial(_sweep, 16, (10, 300), (1e-2,), 64, 256, depth=1),
    "cpu": partial(_sweep, 32, (10, 100, 1000, 10_000), (1e-2, 2.5e-3), 320, 1024),
    "gpu": partial(
        _sweep, 256, (10, 30, 100, 300, 1000, 3000, 10_000), (1e-3, 2e-4), 2000, 20_000,
        depth=4,
    ),
}  # fmt: skip

SOURCE = "Devlin et al. 2018"
EXPECTED = (
    Expected(
        name="few",
        says="nats that fine-tuning gains over scratch, second fewest labels",
        low=0.0,
        source=f"{SOURCE}: pre-training saves labels",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="many",
        says="nats that training all gains over the read-out alone, most labels",
        low=0.0,
        source=f"{SOURCE}, table 7: features are behind fine-tuning",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="shrinking",
        says="gain over scratch at most labels less that at the second fewest",
        high=0.0,
        source=f"{SOURCE}: labels make up for pre-training",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="fewest",
        says="nats that fine-tuning gains over scratch, fewest labels",
        low=0.0,
        source=f"{SOURCE}: pre-training saves labels",
        unit="nats",
        budgets=("smoke",),
    ),
)

CAPTION = (
    "Best loss on held-out labels over their number, of a model from scratch and of one that was "
    "pre-trained on text, its read-out alone trained or all of it.",
    "Fine-tuning gains {few} where labels are few.",
)
ALT = (
    "A line chart of loss over labels, a line for each of three ways to train.",
    "Fine-tuning gains {few} where labels are few.",
)


class Details(NamedTuple):
    """What the figure draws: best losses by way and labels, and runs that are left out."""

    best: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Compares ways of training at each number of labels.

    Raises:
        ValueError: A way has no run that is done at the most labels.
    """
    usable, excluded = results.usable(_with_ways(table), ["eval_loss_nats"])
    runs = usable.loc[usable["data.kind"] == ByteKinds.kind]
    least = curves.pivot_table(index="run_id", values="eval_loss", aggfunc="min")
    each = runs.merge(least, left_on="run_id", right_index=True)
    best = each.pivot_table(index="data.n_labels", columns="way", values="eval_loss", aggfunc="min")
    missing = [way for way in WAYS if way not in best or np.isnan(best[way].iloc[-1])]
    require([f"{way!r} at the most labels" for way in missing], "ways to train")
    scratch, probe, tuned = (best[way].to_numpy(np.float64) for way in WAYS)
    gain = scratch - tuned
    measured = {
        "few": Measured(value=float(gain[1])),
        "many": Measured(value=float(probe[-1] - tuned[-1])),
        "shrinking": Measured(value=float(gain[-1] - gain[1])),
        "fewest": Measured(value=float(gain[0])),
    }
    by_labels = "; ".join(
        f"{labels:,.0f} labels: " + ", ".join(f"{way} {row[way]:.2f}" for way in WAYS)
        for labels, row in zip(best.index, best.to_dict("records"), strict=True)
    )
    shown = each.loc[:, ["way", "data.n_labels", "train.optimizer.learning_rate", "eval_loss"]]
    return Findings(
        measured=measured,
        verdict=f"nats of the label, held out: {by_labels}",
        shown=stacked(
            shown.assign(run_ids=each["run_id"]), excluded.loc[:, ["way", "data.n_labels", "why"]]
        ),
        details=Details(best, excluded),
    )


def _with_ways(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the way of each run on labels."""
    started = table["init_from.train.kind"].notna()
    frozen = table["train.trained"].eq("readout")
    way = np.where(started, np.where(frozen, WAYS[1], WAYS[2]), WAYS[0])
    return table.assign(way=way)


def figure(findings: Findings[Details]) -> Figure:
    """Draws the loss of labels against their number, by way of training."""
    return one_panel(overview, findings, 2.6)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss of labels against their number, by way of training."""
    best, excluded = findings.details
    for look, way in zip(style.SERIES, WAYS, strict=False):
        ax.plot(best.index, best[way], **look.line(), label=way)
        ax.plot(best.index, best[way], **look.marks())
    ax.set(xscale="log", xlabel="labels", ylabel="best held-out loss (nats)")
    log_ticks(ax, "x", most=5)
    mark_excluded(ax, excluded, "data.n_labels")
    ax.legend()
