"""How does loss fall with parameters, tokens and compute, each alone and jointly?

Claim: held-out loss is a power of the size where tokens abound, of the tokens where size abounds,
and of compute along the frontier. One law of size and tokens holds over the whole grid.
Paper: Kaplan et al. 2020 (arXiv 2001.08361), equations 1.1 to 1.3 and 1.5, figures 1 and 4, and
appendix A for the exponent of compute at one batch size.
Command: scaling run kaplan
Cost: 6 sizes of 1e4 to 2.5e5 parameters x 5 numbers of tokens from 2.5e5 to 4e6, one pass each,
3e13 FLOPs, about 3 to 9 min on two CPU cores.
Expected: L(N), L(D) and L(C) are straight lines on logarithmic axes, with a squared correlation of
0.95 or more; the joint law lies within 5 % of the runs, root mean square. Exponents are reported
beside Kaplan's 0.076, 0.095 and 0.057. At these sizes, on bytes, all three are larger: a law
without irreducible loss flattens as it goes.

L(N) is fitted to the runs with the most tokens, L(D) to those of the largest model, and L(C) to the
frontier: the runs that no run of less compute beats. Losses along a frontier fall by construction,
even if they are noise. So a line is fitted only to a frontier of 6 runs or more over a factor 30 of
compute, where losses that do not depend on compute are as straight in 1 table of 100. N excludes
embeddings and read-out, as in the paper; C includes read-out and attention. Behind the frontier the
figure shows the learning curves of all runs with their envelope. A cosine that has not ended keeps
the envelope above the loss of a run of that length. All sizes but those of `--budget gpu` are
trained at one batch size, so L(C) is compared with Kaplan's 0.057 at one batch size, not with the
0.050 that they find after adjusting compute to small batches. Kaplan et al. stop early on small
data sets that they repeat; here every token is new. Every run is from one seed. Rows are weighted
by the spread of losses over seeds from `scaling run seed_noise` (`experiments.shared.error_bars`);
bars in the figure cover 95 % of it.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import FitError
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import KAPLAN, KAPLAN_C, KAPLAN_D, KAPLAN_N
from analysis.laws.law import Law
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared import language_models as lm
from experiments.shared.error_bars import error_bars, log_weights
from experiments.shared.panels import draw_law, exponent_of, mark_excluded, stacked
from scaling.config import RunConfig
from sweeps.recipes import crossed
from sweeps.shapes import Recipe


def _sweep(
    recipe: Callable[[], Recipe], sizes: Sequence[float], tokens: Sequence[float]
) -> list[RunConfig]:
    return crossed(sizes, tokens, recipe(), size_tolerance=0.4)


CURVES = True

_small = partial(lm.small_models, evaluations=12)

SWEEP: Sweep = {
    "smoke": partial(_sweep, _small, (1.1e4, 3.3e4, 9e4, 2.5e5), (1e5, 2.5e5, 6e5)),
    "cpu": partial(
        _sweep, _small, (1.1e4, 2e4, 3.3e4, 6.8e4, 1.2e5, 2.5e5), (2.5e5, 5e5, 1e6, 2e6, 4e6)
    ),
    "gpu": partial(
        _sweep, lm.large_models, (3e6, 1.4e7, 2.9e7, 5.5e7, 1.2e8), (3e8, 1e9, 3e9, 1e10)
    ),
}


ALONE = {"N": KAPLAN_N, "D": KAPLAN_D, "C": KAPLAN_C}
PUBLISHED = {"N": 0.076, "D": 0.095, "C": 0.057}
LABELS = {
    "N": "parameters without embeddings, $N$",
    "D": "training tokens, $D$",
    "C": "training FLOPs, $C$",
}
SAME_TOKENS = 1.1
"""Numbers of tokens within this factor count as equal, because runs take whole batches."""
FRONTIER_RUNS, FRONTIER_SPAN = 6, 30
"""A line along the frontier needs so many runs, and so large a ratio of compute."""

EXPECTED = (
    *(
        Expected(
            name=f"straight_{name}",
            says=f"squared correlation of log L and log {name}",
            low=0.95,
            source="Kaplan et al. 2020, figure 1",
        )
        for name in ALONE
    ),
    Expected(
        name="joint",
        says="root mean square of log loss minus log L(N, D)",
        high=0.05,
        source="Kaplan et al. 2020, figure 4",
    ),
)

CAPTION = (
    "Loss over (a) parameters, (b) tokens and (c) compute, each with its power law and 95 % "
    "band, runs that others limit in grey; (d) every run over its tokens with the joint law.",
    "Squared correlations of logs are {straight_N}, {straight_D} and {straight_C}; the joint "
    "law leaves {joint} root mean square.",
)
ALT = (
    "Four charts of loss on logarithmic axes: straight lines in parameters, in tokens and in "
    "compute.",
    "The joint law of parameters and tokens leaves {joint} of log loss.",
)


class Details(NamedTuple):
    """What the figure draws."""

    ends: pd.DataFrame
    learning: pd.DataFrame
    taken: Mapping[str, pd.DataFrame]
    fits: Mapping[str, FitResult]
    joint: FitResult
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Fits Kaplan's laws of one variable, each to its own runs, and the joint law to all runs.

    Raises:
        FitError: No joint law. A law of one variable that cannot be fitted is reported with its
            reason.
    """
    asked = table[["data.context", "train.batch_size", "train.steps"]].astype(float).prod(axis=1)
    runs, excluded = results.usable(table.assign(D=asked), ["eval_loss_nats"])
    bars = error_bars(runs)
    ends = lm.points(runs, "n_params_non_embedding").assign(sd=bars.sd)
    taken = {
        "N": ends[ends["D"] > np.max(ends["D"]) / SAME_TOKENS],
        "D": ends[ends["N"] == ends["N"].max()],
        "C": _frontier(ends),
    }
    joint = _fit(KAPLAN, ends, ["N", "D"])
    fits: dict[str, FitResult] = {}
    measured: dict[str, Measured] = {}
    for name, rows in taken.items():
        try:
            fits[name] = _alone(name, rows)
        except FitError as error:
            measured[f"straight_{name}"] = Measured(value=None, note=str(error))
        else:
            measured[f"straight_{name}"] = _straight(name, rows, fits[name])
    off = np.log(ends["loss"].to_numpy() / joint.predict(ends[["N", "D"]].to_numpy()))
    measured["joint"] = Measured(value=float(np.sqrt(np.mean(off**2))), note=bars.description)
    shown = [
        taken[name].assign(law=f"L({name})", fitted=each.predict(taken[name][name].to_numpy()))
        for name, each in fits.items()
    ]
    shown.append(ends.assign(law="L(N, D)", fitted=joint.predict(ends[["N", "D"]].to_numpy())))
    left_out = excluded.rename(columns={"run_id": "run"}).loc[:, ["run", "why"]]
    return Findings(
        measured=measured,
        verdict=f"L(N, D): {_params(joint)}; {joint.verdict.value}. {joint.reason}",
        shown=stacked(*shown, left_out).rename(
            columns={"run": "run_ids", "loss": "loss_nats", "sd": "loss_sd_nats"}
        ),
        details=Details(
            ends=ends,
            learning=lm.evaluations(runs, curves, "n_params_non_embedding"),
            taken=taken,
            fits=fits,
            joint=joint,
            excluded=excluded,
        ),
        report={
            "fits": {name: result.to_dict() for name, result in fits.items()},
            "joint": joint.to_dict(),
        },
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws L(N), L(D) and L(C), each with its law, and the joint law over the whole grid.

    Behind L(C) lie the learning curves of all runs and their envelope.
    """
    with style.paper_figure(2, 2, height=5.8) as (drawing, axes):
        for ax, name in zip(axes.flat, ALONE, strict=False):
            if name == "C":
                _draw_curves(ax, findings)
            _draw_alone(ax, findings, name)
        overview(axes[1, 1], findings)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws every run against its tokens, with the joint law per size; marks runs left out."""
    ends, joint = findings.details.ends, findings.details.joint
    along = np.geomspace(ends["D"].min(), ends["D"].max(), 60)
    sizes = sorted(ends["N"].unique())
    for number, size in enumerate(sizes):
        each, look = ends[ends["N"] == size], style.SERIES[number % len(style.SERIES)]
        at = np.stack([np.full_like(along, size), along], axis=1)
        ax.plot(along, joint.predict(at), color=look.color, linewidth=0.9)
        ax.errorbar(
            each["D"],
            each["loss"],
            yerr=1.96 * each["sd"],
            **look.marks(),
            label=f"$N$ = {size:,.0f}",
        )
    ax.set(xscale="log", yscale="log", xlabel=LABELS["D"], ylabel="loss (nats per token)")
    log_ticks(ax, "x", "y", most=6)
    mark_excluded(ax, findings.details.excluded, "D")
    style.legend_above(ax, n_columns=3)


def _draw_curves(ax: Axes, findings: Findings[Details]) -> None:
    """Draws every learning curve, in the colour of its size in the last panel, and the envelope.

    The beginnings of curves, far above any end, are cut off.
    """
    ends, learning = findings.details.ends, findings.details.learning
    for number, (_, of_size) in enumerate(learning.groupby("N")):
        color = style.SERIES[number % len(style.SERIES)].color
        for _, curve in of_size.groupby("run"):
            curve = curve.sort_values("C")
            ax.plot(curve["C"], curve["loss"], color=color, linewidth=0.5, alpha=0.5, zorder=1.5)
    lowest = _frontier(learning)
    ax.plot(lowest["C"], lowest["loss"], color=style.INK, linewidth=1, label="envelope", zorder=1.8)
    low, high = ends["loss"].min(), ends["loss"].max()
    near = learning["C"][learning["loss"] < 1.1 * high]
    ax.set(xlim=(near.min() / 1.2, near.max() * 1.2), ylim=(low / 1.03, 1.1 * high))


def _draw_alone(ax: Axes, findings: Findings[Details], name: str) -> None:
    ends, taken = findings.details.ends, findings.details.taken[name]
    others = ends[~ends["run"].isin(taken["run"])]
    ax.plot(others[name], others["loss"], color=style.GREY, marker=".", linestyle="none", alpha=0.5)
    look = style.SERIES[0]
    ax.errorbar(taken[name], taken["loss"], yerr=1.96 * taken["sd"], **look.marks())
    ax.set(xscale="log", yscale="log", xlabel=LABELS[name], ylabel="loss (nats per token)")
    result = findings.details.fits.get(name)
    if result is None:
        why = f"no fit: {findings.measured[f'straight_{name}'].note}"
        ax.text(
            0.5,
            0.97,
            textwrap.fill(why, 48),
            transform=ax.transAxes,
            ha="center",
            va="top",
            fontsize=7,
            color=style.GREY,
        )
    else:
        along = np.geomspace(taken[name].min(), taken[name].max(), 60)
        draw_law(ax, along, result, exponent_of(result))
        ax.legend(loc="upper right")
    log_ticks(ax, "x", "y", most=6)


def _params(result: FitResult) -> str:
    return ", ".join(
        f"{name} = {value:.4g} [{low:.4g}, {high:.4g}]"
        for name, value in result.params.items()
        for low, high in [result.intervals[name]]
    )


def _straight(name: str, rows: pd.DataFrame, result: FitResult) -> Measured:
    logs = np.log(rows[[name, "loss"]].to_numpy(np.float64))
    return Measured(
        value=float(np.corrcoef(logs.T)[0, 1] ** 2),
        note=f"{exponent_of(result)}, Kaplan's {PUBLISHED[name]:g}",
    )


def _alone(name: str, rows: pd.DataFrame) -> FitResult:
    """Fits the law of one variable.

    Raises:
        FitError: As `analysis.fitting.fit.fit`, or a frontier too short for its straightness to say
            much.
    """
    if name == "C" and (why := _too_short(rows)):
        raise FitError(why)
    return _fit(ALONE[name], rows, [name])


def _too_short(frontier: pd.DataFrame) -> str | None:
    """Reason not to fit a line along the frontier; None where it is long enough."""
    compute = frontier["C"].to_numpy(np.float64)
    span = compute.max() / compute.min()
    if len(frontier) >= FRONTIER_RUNS and span >= FRONTIER_SPAN:
        return None
    return (
        f"{len(frontier)} runs on the frontier, over a factor {span:.0f} of compute: a line along "
        f"it needs {FRONTIER_RUNS} over a factor {FRONTIER_SPAN}. Add budgets."
    )


def _fit(law: Law, rows: pd.DataFrame, inputs: list[str]) -> FitResult:
    weights = log_weights(rows["loss"], rows["sd"])
    return fit(law, rows[inputs], rows["loss"], weights=weights)


def _frontier(ends: pd.DataFrame) -> pd.DataFrame:
    """Runs with the lowest loss among those of as much compute or less."""
    ordered = ends.sort_values("C")
    return ordered.loc[ordered["loss"] == ordered["loss"].cummin()]
