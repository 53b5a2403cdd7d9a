"""Do activations keep their scale when a model is widened? A coordinate check of muP.

Claim: under muP, a few steps of training leave the outputs of every part of a Transformer at the
same scale at every width. In the standard parametrization their scale grows with width.
Paper: Yang et al. 2022 (arXiv 2203.03466), appendix D.1 and figure 5.
Command: scaling run coordinate_check
Cost: 180 runs of 6 steps, 1.5e12 FLOPs, 1 to 2 min on two CPU cores, most of it for compilation.
Expected: |slope| of log scale against log width is below 0.05 under muP, for every part of the
model after every evaluated step; in the standard parametrization the largest is above 0.2.

The scale is the root mean square over held-out tokens. It is that of the activations after
training, not of their change since the start, so a part must also keep the scale it starts with.
Under muP the read-out starts at zero, as Yang et al. advise (appendix D.2), so the logits consist
of change alone. In the standard parametrization the read-out starts as usual: each is taken as it
is used, so the two differ in this as well. After the first step only the logits have moved, and at
small widths they still contain chance alignments, which fall as width^-1/2: the first evaluation
comes a step later. The size of the heads is the same at every width. By chance, the scales of a
narrow model differ from seed to seed by as much as width^-1/2, so the number of seeds is inversely
proportional to the width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import stdtrit

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, share_limits, tick_widths, with_notes
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.models.parametrization import MuP, Standard
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.schedules import Constant
from scaling.training import Adam
from sweeps.space import chain, grid

LEVEL = 0.95


def _sweep(
    widths: Sequence[int], n_seeds: int, *, steps: int = 6, head_size: int = 16, n_eval: int = 32
) -> list[RunConfig]:
    """Runs of both parametrizations, `n_seeds` at the largest width and more at smaller widths."""
    model = Transformer(width=widths[0], depth=2, head_size=head_size)
    base = RunConfig(
        model=model,
        data=Text(context=64, n_eval=n_eval),
        train=Pretraining(
            optimizer=Adam(learning_rate=0.002),
            schedule=Constant(),
            batch_size=16,
            steps=steps,
            evaluations=steps // 2,
            activation_scales=True,
        ),
    )
    mup = MuP(base_width=widths[0], base_head_size=head_size, zero_readout=True)
    return chain(
        *(
            grid(
                replace(base, model=replace(model, width=width)),
                {
                    "model.parametrization": [mup, Standard()],
                    "seed": range(n_seeds * widths[-1] // width),
                },
            )
            for width in widths
        )
    )


CURVES = True

SWEEP: Sweep = {
    "smoke": partial(_sweep, (32, 128), n_seeds=8, steps=4),
    "cpu": partial(_sweep, (32, 64, 128, 256), n_seeds=6),
    "gpu": partial(_sweep, (128, 256, 512, 1024, 2048, 4096), n_seeds=4, head_size=64, n_eval=256),
}


LARGEST = 0.05

EXPECTED = (
    Expected(
        name="mup",
        says="largest |slope| of log scale against log width, muP",
        high=LARGEST,
        source="Yang et al. 2022, appendix D.1: flat in width",
    ),
    Expected(
        name="standard",
        says="largest |slope|, standard",
        low=0.2,
        source="Yang et al. 2022, figure 5: scales grow with width",
    ),
)

CAPTION = (
    "Scale of activations over width after the last step under (a) muP and (b) standard "
    "parametrization, and (c, d) the slopes of log scale over log width at each step with "
    "intervals; the band is the tolerance.",
    "The steepest slope is {mup} under muP and {standard} under standard parametrization.",
)
ALT = (
    "Line charts of activation scales over width: flat under muP, with slopes up to {mup}, and "
    "growing under standard parametrization, with slopes up to {standard}.",
)

TITLES = {"mup": "muP", "standard": "standard"}
KINDS = ("embedding", "attention", "feed_forward", "residual", "logits")
"""Kinds of parts of the model; blocks share theirs."""


class Details(NamedTuple):
    """What the figure draws."""

    scales: pd.DataFrame
    slopes: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Finds the slope of log scale against log width of every part, after every evaluated step.

    Raises:
        ValueError: No scales, a scale without a logarithm, or a parametrization with fewer than two
            widths that have two seeds.
    """
    table = table.assign(
        width=table["model.width"], parametrization=table["model.parametrization.kind"]
    )
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    cell = ["parametrization", "step", "part"]
    scales = results.summarise(_log_scales(runs, curves), [*cell, "width"], "log_scale")
    scales = scales.loc[scales["n_runs"] >= 2]
    slopes = pd.DataFrame(
        [
            dict(zip(cell, key, strict=True)) | _slope(rows)._asdict()
            for key, rows in scales.groupby(cell)
        ],
        columns=[*cell, "slope", "low", "high"],
    )
    measured, verdict = {}, []
    for name in TITLES:
        own = slopes.loc[slopes["parametrization"] == name]
        if own["slope"].isna().any() or own.empty:
            raise ValueError(
                f"{TITLES[name]} has no slope, which needs two widths with two seeds or more. Add "
                "widths or seeds."
            )
        row = own.iloc[int(np.argmax(own["slope"].abs()))]
        steepest = Slope(float(row["slope"]), float(row["low"]), float(row["high"]))
        measured[name] = _size(steepest)
        verdict.append(
            f"{TITLES[name]}: steepest is {row['part']} after {row['step']} steps, "
            f"width^({steepest.slope:+.3f} [{steepest.low:+.3f}, {steepest.high:+.3f}])"
        )
    return Findings(
        measured=measured,
        verdict="; ".join(verdict),
        shown=with_notes(scales.merge(slopes, on=cell), excluded, "width"),
        details=Details(scales, slopes, excluded),
    )


def _log_scales(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Table with a row for each part at each evaluation of each run."""
    measured = curves.loc[curves["activation_scales"].notna()]
    if measured.empty:
        raise ValueError("No run measured activations. Set train.activation_scales = true.")
    long = pd.DataFrame(
        [
            {"run_id": run, "step": step, "part": part, "scale": scale}
            for run, step, scales in zip(
                measured["run_id"], measured["step"], measured["activation_scales"], strict=True
            )
            for part, scale in scales.items()
        ]
    )
    scale = long["scale"].astype(np.float64)
    if not (bad := long.loc[~(scale > 0)]).empty:
        first = bad.iloc[0]
        raise ValueError(
            f"The scale of {first['part']} after {first['step']} steps of run {first['run_id']} is "
            f"{first['scale']}; it must be positive. Try another learning rate."
        )
    settings = runs[["run_id", "width", "parametrization"]]
    return long.assign(log_scale=np.log(scale)).merge(settings, on="run_id")


class Slope(NamedTuple):
    """A slope of log scale against log width, with its interval; NaN where there is none."""

    slope: float
    low: float
    high: float


def _slope(scales: pd.DataFrame) -> Slope:
    """Least-squares slope over widths, with Student's t interval after Welch-Satterthwaite."""
    if len(scales) < 2:
        return Slope(np.nan, np.nan, np.nan)
    log_width = np.log(scales["width"].to_numpy(np.float64))
    centred = log_width - log_width.mean()
    to_slope = centred / (centred @ centred)
    slope = float(to_slope @ scales["mean"].to_numpy())
    variances = (to_slope * scales["sem"].to_numpy()) ** 2
    df = variances.sum() ** 2 / np.sum(variances**2 / (scales["n_runs"].to_numpy() - 1))
    reach = float(stdtrit(df, (1 + LEVEL) / 2) * np.sqrt(variances.sum()))
    return Slope(slope, slope - reach, slope + reach)


def _size(slope: Slope) -> Measured:
    """Absolute value of a slope, with its interval."""
    low, high = sorted((abs(slope.low), abs(slope.high)))
    return Measured(
        value=abs(slope.slope), low=0.0 if slope.low < 0 < slope.high else low, high=high
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws scales after the last step, and slopes by step, a column per parametrization."""
    with style.paper_figure(2, 2, height=4.8) as (drawing, axes):
        for column, name in zip(axes.T, TITLES, strict=True):
            _draw_scales(column[0], findings, name)
            _draw_slopes(column[1], findings.details.slopes, name)
            column[0].set_title(TITLES[name])
        for row in axes:
            share_limits(row, "y")
            row[1].set_ylabel("")
        for ax in axes[0]:
            log_ticks(ax, "y", most=6)
        style.outer_legend(drawing, axes[0], "outside lower center", 4)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the scales under muP after the last step."""
    _draw_scales(ax, findings, "mup")
    log_ticks(ax, "y", most=6)
    style.legend_above(ax)


def _draw_scales(ax: Axes, findings: Findings[Details], name: str) -> None:
    scales = findings.details.scales
    last = scales["step"].max()
    own = scales.loc[(scales["parametrization"] == name) & (scales["step"] == last)]
    for part in _ordered(own["part"]):
        rows = own.loc[own["part"] == part]
        ax.plot(rows["width"], np.exp(rows["mean"]), **_look(part), label=_label(part))
    ax.set(xscale="log", yscale="log", xlabel="width", ylabel=f"scale after {last} steps (r.m.s.)")
    tick_widths(ax, own["width"])
    excluded = findings.details.excluded
    mark_excluded(ax, excluded.loc[excluded["parametrization"] == name], "width")


def _draw_slopes(ax: Axes, slopes: pd.DataFrame, name: str) -> None:
    own = slopes.loc[slopes["parametrization"] == name]
    ax.axhspan(-LARGEST, LARGEST, color=style.GREY, alpha=0.16, linewidth=0)
    parts = _ordered(own["part"])
    steps = np.sort(own["step"].unique())
    gap = 0.6 * np.min(np.diff(steps), initial=1) / len(parts)
    for number, part in enumerate(parts):
        rows = own.loc[own["part"] == part]
        look: dict[str, Any] = _look(part) | {"linestyle": "none"}
        at = rows["step"] + gap * (number - (len(parts) - 1) / 2)  # side by side
        ax.vlines(at, rows["low"], rows["high"], color=look["color"], linewidth=0.8)
        ax.plot(at, rows["slope"], **look)
    ax.set(xticks=steps, xlabel="optimizer steps", ylabel="slope against log width")


def _ordered(parts: Iterable[str]) -> list[str]:
    """Distinct parts in the order in which activations pass through them."""

    def place(part: str) -> tuple[int, int]:
        block, _, kind = part.rpartition(".")
        if block:
            return int(block.removeprefix("block_")), KINDS.index(kind)
        return (-1, 0) if part == "embedding" else (1_000_000, 0)

    return sorted(set(parts), key=place)


def _look(part: str) -> dict[str, Any]:
    """Colour, marker and line of a part, by kind; open markers in blocks after the first."""
    block, _, kind = part.rpartition(".")
    series = style.SERIES[KINDS.index(kind)]
    face = series.color if block in ("", "block_0") else "white"
    return {**series._asdict(), "markerfacecolor": face}


def _label(part: str) -> str:
    block, _, kind = part.rpartition(".")
    kind = kind.replace("_", "-")
    return f"{kind}, block {int(block.removeprefix('block_')) + 1}" if block else kind
