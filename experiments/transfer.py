"""What is pre-training on English worth to a model of code? Data, and more to larger models.

Claim: pre-training is worth an amount D_T of fine-tuning data, D_T = k D_F^alpha N^beta: the
multiplier (D_F + D_T) / D_F falls as there is more of the target, and grows with the model.
Paper: Hernandez et al. 2021 (arXiv 2102.01293), equation 1.1: text to Python.
Command: scaling run transfer
Cost: 3 sizes from 1.1e4 to 6.8e4 parameters: 5 amounts of code from scratch, and 4 after each of 2
amounts of English, each at 4 learning rates: 156 runs and 6 that they start from, 3.7e13 FLOPs,
twelve minutes of a core.
Expected: D_T > 0 wherever D_F is at most 65 kB; the multiplier falls with D_F; beta > 0. Published
are alpha 0.18 and beta 0.38, after pre-training on 24 billion characters. Here pre-training is
itself what limits, so that D_T also grows with its data D_P. Size `cpu` gave multipliers of 15.7,
5.6, 2.3 and 1.4 at 1, 4, 16 and 65 kB, alpha 0.11 [0.00, 0.24] and beta 0.43 [0.16, 0.66]. Where
rates of up to 0.01 alone were tried after English, and 0.04 from scratch, D_T was below 0 in one of
six cells at 65 kB.

Data, and not compute, must limit the runs from scratch: as windows, code may be read many times
before that costs anything, so each amount is read 32 times within limits. A version that read at
most 0.5 MB had losses as good at 65 kB as at 262 kB, and multipliers that rose.

English is comments and docstrings of the standard library, code is the rest, both without the same
held-out files. D_F is drawn in windows of all files: its first whole files would be one or two
(`scaling run repetition`). Every run takes its best evaluation, and the best of four learning
rates, the same four for all. The data that training from scratch needs for a loss are interpolated
in the logarithm and never extrapolated: what lies beyond is left out.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import FitError
from analysis.estimate import interval_text
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import TRANSFER_LOSS, TRANSFER_P
from analysis.planning.effective_data import effective_data
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, require, stacked
from experiments.shared.tuned import RATE, at_the_edge
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.models.transformer import Transformer
from scaling.overrides import replace_together
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.space import chain, grid

CURVES = True

FEW = 65_536
"""Bytes of code up to which pre-training is to be worth something."""


class Amounts(NamedTuple):
    """Bytes of English and of code that a sweep trains on.

    Attributes:
        pretrained: Of English, before.
        fine_tuned: Of code, after English.
        scratch: Of code, from scratch.
        least, most: Limits of what a run on code reads in `passes` over it; more than one pass.
        passes: Passes over the code within these limits.
    """

    pretrained: Sequence[int]
    fine_tuned: Sequence[int]
    scratch: Sequence[int]
    least: int
    most: int
    passes: int = 32

    def read(self, size: int) -> int:
        """Bytes that a run on so many reads, repeats counted.

        As many passes as over-fitting takes: with fewer, compute and not data would limit the run.
        """
        return max(size, min(max(self.passes * size, self.least), self.most))


def _sweep(
    widths: Sequence[int],
    amounts: Amounts,
    rates: Sequence[float],
    *,
    depth: int = 2,
    context: int = 64,
    batch_size: int = 16,
) -> list[RunConfig]:
    """Code from scratch, and code after English, at every size, amount and rate."""
    base = RunConfig(
        model=Transformer(width=widths[0], depth=depth, head_size=8),
        data=Text(part="english", context=context, n_eval=512, unique="windows", repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=rates[0]),
            batch_size=batch_size,
            tokens=amounts.least,
            evaluations=16,
            warmup_tokens=8 * batch_size * context,
        ),
    )

    def on_code(
        start: RunConfig, sizes: Sequence[int], parent: RunConfig | None
    ) -> list[RunConfig]:
        return [
            replace(replace_together(start, changes), init_from=parent)
            for size in sizes
            for rate in rates
            for changes in (
                {
                    "data.part": "code",
                    "data.n_tokens": size,
                    "train.tokens": amounts.read(size),
                    RATE: rate,
                },
            )
        ]

    sized = grid(base, {"model.width": widths})
    parents = [
        replace_together(each, {"data.n_tokens": size, "train.tokens": size})
        for each in sized
        for size in amounts.pretrained
    ]
    return chain(
        *(on_code(each, amounts.scratch, None) for each in sized),
        *(on_code(parent, amounts.fine_tuned, parent) for parent in parents),
    )


def _powers(first: int, last: int, step: int = 2) -> tuple[int, ...]:
    return tuple(2**k for k in range(first, last + 1, step))


SWEEP: Sweep = {
    "smoke": partial(
        _sweep,
        (16,),
        Amounts((2**17,), (2**12, 2**13), _powers(12, 16), 2**16, 2**16, 16),
        (1e-2,),
        depth=1,
        batch_size=8,
    ),
    "cpu": partial(
        _sweep,
        (16, 32, 48),
        Amounts((2**19, 2**21), _powers(10, 16), _powers(10, 18), 2**17, 2**21),
        (1e-2, 2.5e-3, 4e-2, 6.25e-4),
    ),
    "gpu": partial(
        _sweep,
        (64, 128, 256, 512),
        Amounts((2**20, 2**21, 2**22), _powers(10, 18), _powers(10, 22), 2**20, 2**26),
        (2e-3, 5e-4),
        depth=4,
        context=256,
        batch_size=32,
    ),
}

SOURCE = "Hernandez et al. 2021"
EXPECTED = (
    Expected(
        name="least",
        says="least data that pre-training is worth, where code is few, over that code",
        low=0.0,
        source=f"{SOURCE}: pre-training helps where data are few",
    ),
    Expected(
        name="falling",
        says="largest ratio of multipliers from one amount of code to the next",
        high=1.0,
        source=f"{SOURCE}: alpha is below 1",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="beta",
        says="lower end of the interval of the exponent of D_T in parameters",
        low=0.0,
        source=f"{SOURCE}: 0.38",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Best held-out loss of the largest model on code, from scratch and after English; (b) the "
    "multiplier of data by size; (c) the data that pre-training is worth against the law in code, "
    "parameters and English. Filled marks are of the most English.",
    "Where code is few, pre-training is worth at least {least} times as much code.",
)
ALT = (
    "Line charts of loss and of the multiplier of data over bytes of code, and measured over "
    "predicted transferred data on a diagonal.",
    "Where code is few, pre-training is worth at least {least} times as much code.",
)

_CELL = ["n_params_matmul", "D_P", "D_F"]


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        best: Best loss by size, D_P (0 from scratch) and D_F, the least of rates and evaluations.
        worth: Fine-tuned rows of it with `D_E`, `D_T` and `multiplier`; those without are beyond.
        law: D_T by D_F, N and D_P; None where rows are too few.
        excluded: Runs that are left out, and why.
    """

    best: pd.DataFrame
    worth: pd.DataFrame
    law: FitResult | None
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Values pre-training in data, and fits the law of transfer.

    Raises:
        ValueError: No run is done on code from scratch, or after English.
    """
    usable, excluded = results.usable(_with_amounts(table), ["eval_loss_nats"])
    code = usable.loc[usable["data.part"] == "code"]
    groups = {"from scratch": code["D_P"] == 0, "after English": code["D_P"] > 0}
    require([f"code {name}" for name, found in groups.items() if not found.any()], "the two")
    best = _best(code, curves)
    worth = _worth(best)
    known = worth.dropna(subset=["D_E"])
    law, loss_law = _fitted(known), _loss_law(worth)
    few = known.loc[known["D_F"] <= FEW]
    multipliers = _multipliers(known)
    beta = law and law.intervals["beta"]
    measured = {
        "least": Measured(value=float((few["D_T"] / few["D_F"]).min()) if len(few) else None),
        "falling": Measured(
            value=float(np.max(multipliers[1:] / multipliers[:-1]))
            if len(multipliers) > 1
            else None
        ),
        "beta": Measured(value=beta[0], low=beta[0], high=beta[1])
        if law and beta
        else Measured(value=None, note="too few amounts and sizes for the law"),
    }
    listed = ", ".join(f"{value:.2f}" for value in multipliers)
    exponents = (
        "; ".join(
            f"{name} {law.params[name]:.2f} {interval_text(*law.intervals[name], '.2f')}"
            for name in ("alpha", "beta", "delta")
        )
        if law
        else "too few rows for the law"
    )
    return Findings(
        measured=measured,
        verdict=(
            f"multipliers, from the least code on: {listed}; D_T ~ D_F^alpha N^beta D_P^delta: "
            f"{exponents}. {len(worth) - len(known)} of {len(worth)} losses are beyond what was "
            "trained from scratch"
        ),
        shown=stacked(worth, best.loc[best["D_P"] == 0], excluded.loc[:, [*_CELL, "why"]]),
        details=Details(best, worth, law, excluded),
        doubts=[*at_the_edge(code, best, _CELL), *_left_out_of_the_law(known)],
        report={
            "law": law.to_dict() if law else None,
            "loss law": loss_law.to_dict() if loss_law else None,
        },
    )


def _with_amounts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with bytes of code, D_F, and of English before it, D_P; 0 from scratch."""
    name = "init_from.data.n_tokens"
    before = table[name] if name in table else pd.Series(0.0, index=table.index)
    return table.assign(
        D_F=table["data.n_tokens"].astype(np.float64), D_P=before.astype(np.float64).fillna(0.0)
    )


def _best(code: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The least loss over evaluations and rates of each cell, with the run that has it."""
    least = curves.pivot_table(index="run_id", values="eval_loss", aggfunc="min")
    each = code.merge(least, left_on="run_id", right_index=True).assign(
        loss=lambda merged: merged["eval_loss"]
    )
    best = each.loc[each.groupby(_CELL)["loss"].idxmin()]
    return best[[*_CELL, "loss", RATE, "run_id"]].rename(columns={"run_id": "run_ids"})


def _worth(best: pd.DataFrame) -> pd.DataFrame:
    """Fine-tuned rows with effective data, transferred data and the multiplier."""
    parts = []
    for _, own in best.groupby("n_params_matmul"):
        scratch, tuned = own.loc[own["D_P"] == 0], own.loc[own["D_P"] > 0]
        found = np.full(len(tuned), np.nan)
        if scratch["D_F"].nunique() > 1:
            found = effective_data(scratch["D_F"], scratch["loss"], tuned["loss"])
        parts.append(tuned.assign(D_E=found))
    worth = pd.concat(parts)
    return worth.assign(D_T=worth["D_E"] - worth["D_F"], multiplier=worth["D_E"] / worth["D_F"])


def _multipliers(known: pd.DataFrame) -> np.ndarray:
    """Geometric mean of multipliers by D_F, over the sizes and D_P that have all amounts."""
    wide = known.pivot_table(index=["n_params_matmul", "D_P"], columns="D_F", values="multiplier")
    whole = wide.dropna(axis=1, thresh=max(1, len(wide) // 2)).dropna()
    return np.exp(np.log(whole).mean()).to_numpy(np.float64)


def _fitted(known: pd.DataFrame) -> FitResult | None:
    rows = known.loc[known["D_T"] > 0]
    try:
        return fit(TRANSFER_P, rows[["D_F", "n_params_matmul", "D_P"]], rows["D_T"])
    except FitError:
        return None


def _left_out_of_the_law(known: pd.DataFrame) -> list[str]:
    """A doubt where pre-training was worth nothing: a power law takes no such row."""
    if not (n := int(np.count_nonzero(known["D_T"] <= 0))):
        return []
    return [f"{n} of {len(known)} amounts of code have D_T <= 0: the law of D_T leaves them out"]


def _loss_law(worth: pd.DataFrame) -> FitResult | None:
    """Kaplan's law of fine-tuned losses after the most English."""
    rows = worth.loc[worth["D_P"] == worth["D_P"].max()]
    try:
        return fit(TRANSFER_LOSS, rows[["n_params_matmul", "D_F"]], rows["loss"])
    except FitError:
        return None


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses, multipliers, and transferred data with its law."""
    with style.paper_figure(1, 3, height=2.9) as (drawing, axes):
        _draw_losses(axes[0, 0], findings.details)
        overview(axes[0, 1], findings)
        _draw_law(axes[0, 2], findings.details)
        style.outer_legend(drawing, axes[0, 1:], "outside lower center", 3)
    return drawing


def _looks(details: Details) -> dict[float, style.Series]:
    sizes = np.unique(details.best["n_params_matmul"].to_numpy(np.float64))
    return dict(zip(sizes.tolist(), style.SERIES, strict=False))


def _draw_losses(ax: Axes, details: Details) -> None:
    """Losses of the largest model, from scratch and after each amount of English."""
    own = details.best.loc[details.best["n_params_matmul"] == details.best["n_params_matmul"].max()]
    for look, (before, rows) in zip(style.SERIES[3:], own.groupby("D_P"), strict=False):
        label = f"{before / 1e6:.1f} MB of English" if before else "from scratch"
        ax.plot(rows["D_F"], rows["loss"], **look.line(), label=label)
        ax.plot(rows["D_F"], rows["loss"], **look.marks())
    ax.set(xscale="log", xlabel="code $D_F$ (bytes)", ylabel="best loss, largest model (nats)")
    style.legend_above(ax, n_columns=1)
    log_ticks(ax, "x", most=4)
    mark_excluded(ax, details.excluded, "D_F")


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the multiplier of data against the data of fine-tuning, by size."""
    details = findings.details
    most = details.worth["D_P"].max()
    for size, look in _looks(details).items():
        rows = details.worth.loc[details.worth["n_params_matmul"] == size].dropna(subset=["D_E"])
        for before, own in rows.groupby("D_P"):
            label = f"{size:,.0f} parameters" if before == most else None
            ax.plot(own["D_F"], own["multiplier"], **look.line(), label=label)
            ax.plot(own["D_F"], own["multiplier"], **look.marks(filled=before == most))
    ax.axhline(1, color=style.GREY, linewidth=0.7)
    ax.set(xscale="log", yscale="log", xlabel="code $D_F$ (bytes)",
           ylabel="multiplier $(D_F + D_T) / D_F$")  # fmt: skip
    log_ticks(ax, "x", "y", most=4)


def _draw_law(ax: Axes, details: Details) -> None:
    """Measured against predicted transferred data; open marks are of less English."""
    known = details.worth.dropna(subset=["D_E"])
    known = known.loc[known["D_T"] > 0]
    if details.law is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "too few rows for the law", ha="center", transform=ax.transAxes)
        return
    predicted = details.law.predict(known[["D_F", "n_params_matmul", "D_P"]])
    most = known["D_P"].max()
    for size, look in _looks(details).items():
        for filled in (True, False):
            own = (known["n_params_matmul"] == size) & ((known["D_P"] == most) == filled)
            ax.plot(predicted[own], known["D_T"][own], **look.marks(filled=filled))
    ends = [predicted.min(), predicted.max()]
    ax.plot(ends, ends, color=style.INK, linewidth=0.7)
    ax.set(xscale="log", yscale="log", xlabel="$k\\,D_F^\\alpha N^\\beta D_P^\\delta$ (bytes)",
           ylabel="data transferred $D_T$ (bytes)")  # fmt: skip
    log_ticks(ax, "x", "y", most=4)
