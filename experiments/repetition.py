"""How often may data be repeated? Often, if they are many documents, and hardly, if they are few.

Claim: up to four passes over the data are nearly as good as new data, and sixteen still useful,
where what is unique is drawn from all documents. Where it is a few whole documents, repetition is
ruinous: the loss on held-out text rises while training goes on.
Paper: Muennighoff et al. 2023 (arXiv 2305.16264): repeated tokens lose their value exponentially,
and never harm; Lovelace et al. 2026 (arXiv 2605.01640): the excess loss is an additive penalty.
Command: scaling run repetition
Cost: 2 kinds of unique data x 5 numbers of epochs x 3 sizes x 3 lengths, those of the greatest
length from 4 seeds: 180 Transformers of 1.1e4 to 6.8e4 parameters on up to 1.0 MB of text a run,
4.1e13 FLOPs, eleven minutes of a core.
Expected: in windows of 64 bytes drawn from all files, 4 epochs cost at most 0.05 nats at 3.3e4
parameters, and 16 epochs 0.03 to 0.25, more for larger models. In whole files the loss has passed
its minimum when training ends, and Muennighoff's law, which cannot rise, predicts more epochs worse
than a law with a penalty. R_D* of windows is from 3 to 50. Size `cpu` gave 0.015 [-0.002, 0.032]
and 0.152 [0.131, 0.174] nats in windows, and a loss of whole files that ends 1.54 [1.45, 1.63] nats
above its minimum. R_D* was 4.8, with no upper end.

All runs of a length see as many bytes. The first 64 kB of the corpus are a file or two, while as
many bytes in windows are of a thousand: the unit of data is the document, and this corpus has few.
Muennighoff et al. left out runs whose loss repetition raised, and their law is for the others.
Losses are those at the end of training, not the best along it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.ranking import rank
from analysis.fitting.ranking_result import Ranking
from analysis.fitting.result import FitResult
from analysis.laws import DATA_CONSTRAINED, OVERFITTING
from analysis.plots import style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, require, stacked
from experiments.shared.seeds import mean_of
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import finite
from scaling.training import Adam
from sweeps.space import chain, grid

CURVES = True

KINDS = ("windows", "documents")
TITLES = {"windows": "windows of all files", "documents": "whole files"}
LAWS = (DATA_CONSTRAINED, OVERFITTING)
_FEW = Bootstrap(n=200)


def _sweep(
    widths: Sequence[int],
    seen: Sequence[int],
    epochs: Sequence[int],
    n_seeds: int,
    *,
    depth: int = 2,
    context: int = 64,
    batch_size: int = 16,
    learning_rate: float = 5e-3,
) -> list[RunConfig]:
    """Every size, length and number of epochs of both kinds; the greatest length from all seeds."""
    base = RunConfig(
        model=Transformer(width=widths[0], depth=depth, head_size=8),
        data=Text(context=context, n_eval=512, n_tokens=context, repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=learning_rate), batch_size=batch_size, tokens=1
        ),
    )
    return chain(
        *(
            grid(
                base,
                {
                    "model.width": widths,
                    "data.unique": KINDS,
                    "data.n_tokens": [tokens // each for each in epochs],
                    "train.tokens": [tokens],
                    "seed": range(n_seeds if tokens == seen[-1] else 1),
                },
            )
            for tokens in seen
        )
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, (16,), (2**14, 2**16), (1, 4, 16), 1, depth=1, batch_size=8),
    "cpu": partial(_sweep, (16, 32, 48), (2**18, 2**19, 2**20), (1, 4, 8, 16, 32), 4),
    "gpu": partial(
        _sweep, (128, 256, 512), (2**22, 2**23, 2**24), (1, 4, 8, 16, 32), 3,
        depth=4, context=256, batch_size=32, learning_rate=1e-3,
    ),
}  # fmt: skip

SOURCE = "Muennighoff et al. 2023"
EXPECTED = (
    Expected(
        name="windows, 4 epochs",
        says="nats that 4 epochs of windows cost, middle size",
        high=0.05,
        source=f"{SOURCE}: up to 4 epochs are nearly free",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="windows, 16 epochs",
        says="nats that 16 epochs of windows cost, middle size",
        low=0.03,
        high=0.25,
        source=f"{SOURCE}: at 16 epochs repeated data have lost most of their value",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="by size",
        says="nats by which 16 epochs cost the largest model more than the smallest",
        low=0.0,
        source=f"{SOURCE}: excess parameters need more unique data",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="R_D",
        says="R_D* of windows, epochs after which repeats add little",
        low=3.0,
        high=50.0,
        source=f"{SOURCE}: 15.4",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="documents",
        says="nats by which most epochs of whole files cost more than of windows",
        low=0.0,
        source="few documents are less data than as many bytes of many",
        unit="nats",
    ),
    Expected(
        name="rise",
        says="nats by which the loss at most epochs of whole files ends above its minimum",
        low=0.02,
        source="Lovelace et al. 2026: beyond a point more epochs hurt",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="laws",
        says="error of Muennighoff's law at more epochs of whole files over that of a penalty",
        low=1.0,
        source="Lovelace et al. 2026: an additive penalty describes the excess",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Loss at the end over the number of epochs at equal bytes seen, unique data in windows "
    "of all files or in whole files; (b) loss along training; (c) what laws of repeated data "
    "leave.",
    "Four epochs of windows cost {windows, 4 epochs} and sixteen {windows, 16 epochs}; most "
    "epochs of whole files cost {documents} more than of windows.",
)
ALT = (
    "Line charts of loss over repetition: windows of many files may be repeated often, few "
    "whole files may not.",
    "The difference is {documents}.",
)


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        runs: Runs that are done, with `kind`, `seen` and `epochs`.
        curves: Evaluations along those of the middle size and most epochs, with `kind` and `pass`.
        laws: Fits to whole files by name of the law; none where the runs do not support them.
        excluded: Runs that are left out, and why.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    laws: Mapping[str, FitResult]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Compares runs by how often they repeat which data, and laws by what they predict of it.

    Raises:
        ValueError: A kind of data has no run that is done.
    """
    usable, excluded = results.usable(_with_kinds(table), ["eval_loss_nats"])
    missing = [kind for kind in KINDS if kind not in set(usable["kind"])]
    require([f"training on {TITLES[kind]}" for kind in missing], "kinds of data")
    longest = usable.loc[usable["seen"] == usable["seen"].max()]
    costs = _costs(longest)
    middle = _middle(longest)
    along = _along(longest, curves, middle)
    rise = along.loc[along["kind"] == "documents"].groupby("run_id")["eval_loss"]
    ranking = _ranked(usable.loc[usable["kind"] == "documents"])
    measured = {
        "windows, 4 epochs": mean_of(costs.get((middle, "windows", 4), ())),
        "windows, 16 epochs": mean_of(costs.get((middle, "windows", 16), ())),
        "by size": _by_size(costs),
        "documents": _behind(longest, middle),
        "rise": mean_of((rise.last() - rise.min()).to_numpy(np.float64)),
        "laws": _error_ratio(ranking),
    }
    limit = measured["R_D"] = _limit(usable.loc[usable["kind"] == "windows"])
    listed = {
        kind: ", ".join(
            f"{epochs} epochs {mean_of(each).value:+.3f}"
            for (width, of, epochs), each in costs.items()
            if (width, of) == (middle, kind) and len(each)
        )
        for kind in KINDS
    }
    return Findings(
        measured=measured,
        verdict=(
            f"at {_size(longest, middle):.1e} parameters, nats against one epoch: windows "
            f"{listed['windows']}; whole files {listed['documents']}, whose loss ends "
            f"{measured['rise'].value or 0:.3f} above its minimum. "
            + (f"R_D* of windows {limit.value:.1f}. " if limit.value else "")
            + _of_laws(ranking)
        ),
        shown=stacked(
            results.summarise(
                usable, ["kind", "seen", "model.width", "n_params_matmul", "epochs"],
                "eval_loss_nats",
            ),
            excluded.loc[:, ["kind", "seen", "model.width", "epochs", "why"]],
        ),
        details=Details(
            usable,
            along,
            {row.law.name: row.fit for row in ranking.rows if row.fit} if ranking else {},
            excluded,
        ),
        report={"laws": None if ranking is None else ranking.to_dict(), "R_D": limit.value},
    )  # fmt: skip


def _with_kinds(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what is unique, bytes seen and epochs; whole documents are named nowhere."""
    kind = table["data.unique"] if "data.unique" in table else pd.Series(index=table.index)
    seen = table["train.steps"] * table["train.batch_size"] * table["data.context"]
    return table.assign(
        kind=kind.fillna("documents"),
        seen=seen.astype(np.float64),
        epochs=np.rint((seen / table["data.n_tokens"]).astype(np.float64)),
    )


def _middle(runs: pd.DataFrame) -> int:
    widths = np.unique(runs["model.width"].to_numpy(np.int64))
    return int(widths[len(widths) // 2])


def _size(runs: pd.DataFrame, width: int) -> float:
    return float(runs.loc[runs["model.width"] == width, "n_params_matmul"].iloc[0])


def _costs(longest: pd.DataFrame) -> dict[tuple[int, str, int], pd.Series]:
    """Loss less that of one epoch by seed, for each width, kind and number of epochs."""
    loss = longest.pivot_table(
        index=["model.width", "kind", "seed"], columns="epochs", values="eval_loss_nats"
    )
    once, *more = loss.columns
    found: dict[tuple[int, str, int], pd.Series] = {}
    if once != 1:
        return found
    for width in np.unique(longest["model.width"].to_numpy(np.int64)).tolist():
        for kind in KINDS:
            own = loss.query("`model.width` == @width and kind == @kind")
            for epochs in more:
                paired = (own[epochs] - own[once]).dropna()
                seeds = paired.index.get_level_values("seed")
                found[width, kind, int(epochs)] = pd.Series(paired.to_numpy(np.float64), seeds)
    return found


def _by_size(costs: Mapping[tuple[int, str, int], pd.Series]) -> Measured:
    """Cost of 16 epochs of windows to the largest model less that to the smallest."""
    widths = sorted(width for width, kind, epochs in costs if (kind, epochs) == ("windows", 16))
    if len(set(widths)) < 2:
        return Measured(value=None, note="one size")
    small, large = (costs[width, "windows", 16] for width in (widths[0], widths[-1]))
    return mean_of((large - small).dropna())


def _behind(longest: pd.DataFrame, width: int) -> Measured:
    """Loss at most epochs of whole files less that of windows, paired by seed."""
    most = longest["epochs"].max()
    runs = longest.loc[(longest["epochs"] == most) & (longest["model.width"] == width)]
    loss = runs.pivot_table(index="seed", columns="kind", values="eval_loss_nats")
    if not set(KINDS) <= set(loss.columns):
        return Measured(value=None, note="a kind has no run of most epochs")
    return mean_of((loss["documents"] - loss["windows"]).dropna().to_numpy(np.float64))


def _along(longest: pd.DataFrame, curves: pd.DataFrame, width: int) -> pd.DataFrame:
    """Evaluations along the runs of one width and most epochs."""
    most = longest["epochs"].max()
    runs = longest.loc[(longest["epochs"] == most) & (longest["model.width"] == width)]
    found = curves.merge(runs[["run_id", "kind", "steps", "seed"]], on="run_id")
    return found.assign(passes=most * found["step"] / found["steps"].astype(np.float64))


def _points(runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """N, D and epochs of runs, and their losses."""
    x = runs[["n_params_matmul", "seen", "epochs"]].to_numpy(np.float64)
    return x, runs["eval_loss_nats"].to_numpy(np.float64)


def _ranked(runs: pd.DataFrame) -> Ranking | None:
    """Both laws by how well they predict more epochs; None where runs are too few."""
    x, y = _points(runs)
    try:
        return rank(LAWS, x, y, along=x[:, 2], bootstrap=_FEW)
    except FitError:
        return None


def _limit(runs: pd.DataFrame) -> Measured:
    """R_D* of Muennighoff's law, with its interval."""
    try:
        found = fit(DATA_CONSTRAINED, *_points(runs), bootstrap=_FEW)
    except FitError:
        return Measured(value=None, note="too few runs for the law")
    low, high = found.intervals["R_D"]
    return Measured(value=found.params["R_D"], low=low, high=finite(high))


def _error_ratio(ranking: Ranking | None) -> Measured:
    errors = {row.law.name: row.error for row in ranking.rows} if ranking else {}
    worth, penalty = (errors.get(law.name) for law in LAWS)
    if worth is None or penalty is None:
        return Measured(value=None, note="a law has too few runs to be fitted")
    return Measured(value=worth / penalty)


def _of_laws(ranking: Ranking | None) -> str:
    if ranking is None:
        return "Too few runs to compare laws"
    errors = ", ".join(
        f"{row.law.name} {row.error:.3f}" for row in ranking.rows if row.error is not None
    )
    return f"Error of log loss at more epochs of whole files: {errors}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses against epochs, losses along training, and what the laws leave."""
    with style.paper_figure(1, 3, height=2.9) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_curves(axes[0, 1], findings.details.curves)
        _draw_residuals(axes[0, 2], findings.details)
        style.outer_legend(drawing, axes[0], "outside lower center", 4)
    return drawing


_LOOKS: dict[str, style.Series] = dict(zip(KINDS, style.SERIES, strict=False))
_LAW_LOOKS: dict[str, style.Series] = dict(
    zip((law.name for law in LAWS), style.SERIES[2:], strict=False)
)
_LAW_TITLES = {DATA_CONSTRAINED.name: "Muennighoff's law", OVERFITTING.name: "with a penalty"}


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss at the end of training against epochs, at equal bytes seen."""
    runs = findings.details.runs
    longest = runs.loc[runs["seen"] == runs["seen"].max()]
    sizes = np.unique(longest["n_params_matmul"].to_numpy(np.float64))
    for kind, look in _LOOKS.items():
        for place, size in enumerate(sizes):
            own = longest.loc[(longest["kind"] == kind) & (longest["n_params_matmul"] == size)]
            mean = own.groupby("epochs")["eval_loss_nats"].mean()
            width = 0.7 + 0.6 * place
            label = TITLES[kind] if size == sizes[-1] else None
            ax.plot(mean.index, mean, **look.line(), linewidth=width, label=label)
            ax.plot(own["epochs"], own["eval_loss_nats"], **look.marks(filled=False))
    _epochs_axis(ax, longest)
    ax.set(xlabel="epochs (thicker: more parameters)", ylabel="held-out loss (nats)")
    mark_excluded(ax, findings.details.excluded, "epochs")


def _draw_curves(ax: Axes, curves: pd.DataFrame) -> None:
    for kind, look in _LOOKS.items():
        for _, run in curves.loc[curves["kind"] == kind].groupby("run_id"):
            ax.plot(run["passes"], run["eval_loss"], **look.line())
            ax.plot(run["passes"], run["train_loss"], color=look.color, linewidth=0.6, alpha=0.6)
    ax.set(xlabel="passes over the data", ylabel="loss (nats), thin in training")


def _draw_residuals(ax: Axes, details: Details) -> None:
    runs = details.runs.loc[details.runs["kind"] == "documents"]
    x, y = _points(runs)
    if not details.laws:
        ax.text(0.5, 0.6, "too few runs for laws", ha="center", transform=ax.transAxes)
    for side, (name, result) in zip((0.94, 1.06), sorted(details.laws.items()), strict=False):
        left = np.log(y / result.predict(x))
        look: dict[str, Any] = _LAW_LOOKS[name].marks(filled=False)
        ax.plot(side * x[:, 2], left, **look, label=_LAW_TITLES[name])
    ax.axhline(0, color=style.INK, linewidth=0.7)
    _epochs_axis(ax, runs)
    ax.set_ylabel("log loss − log law, whole files")


def _epochs_axis(ax: Axes, runs: pd.DataFrame) -> None:
    shown = np.unique(runs["epochs"].to_numpy(np.float64)).tolist()
    ax.set(xscale="log", xlabel="epochs")
    ax.set_xticks(shown, [f"{each:g}" for each in shown])
    ax.minorticks_off()
