"""How long after it has learnt its training set does a network learn the rule?

Claim: a network learns half of all sums modulo a prime by heart within 200 steps, and the rule much
later and at once. Weight decay sets the delay, which grows as its inverse; without weight decay the
rule is not learnt within the run.
Paper: Power, Burda, Edwards, Babuschkin, Misra 2022 (arXiv 2201.02177); the network is that of
Gromov 2023 (arXiv 2301.02679).
Command: scaling run grokking
Cost: 12 runs, about 30 s on two CPU cores.
Expected: (a + b) mod 47, 50 % of the pairs, width 128, z^2, full batches, AdamW at 3e-3 with
b2 = 0.98: train accuracy above 99 % by step 200; test accuracy above 99 % at step 900 for weight
decay 1, at 3,467 (standard deviation 306 over seeds) for 0.3, and never for 0. Runs that end before
are counted as longer delays than their length, not left out.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.fitting.survival import DelayLaw, fit_delays
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import measured, with_notes
from scaling.config import RunConfig
from scaling.data.modular import ModularArithmetic
from scaling.models.summed_embeddings import SummedEmbeddings
from scaling.training import Adam, Gradient
from sweeps.space import chain, grid

CURVES = True

INTERVAL = 100
"""Steps between evaluations."""


def _sweep(steps: dict[float, int], seeds: dict[float, int]) -> list[RunConfig]:
    def runs(weight_decay: float) -> list[RunConfig]:
        base = RunConfig(
            model=SummedEmbeddings(width=128),
            data=ModularArithmetic(modulus=47),
            train=Gradient(
                optimizer=Adam(learning_rate=3e-3, b2=0.98, weight_decay=weight_decay),
                steps=steps[weight_decay],
                evaluations=steps[weight_decay] // INTERVAL,
            ),
        )
        return grid(base, {"seed": range(seeds[weight_decay])})

    return chain(*map(runs, steps))


SWEEP: Sweep = {
    "smoke": partial(_sweep, {1.0: 1200, 0.3: 4000, 0.0: 1200}, {1.0: 2, 0.3: 1, 0.0: 1}),
    "cpu": partial(
        _sweep, {1.0: 1500, 0.5: 3000, 0.3: 5000, 0.0: 10_000}, {1.0: 3, 0.5: 3, 0.3: 3, 0.0: 3}
    ),
    "gpu": partial(
        _sweep,
        {1.0: 3000, 0.5: 5000, 0.3: 8000, 0.2: 20_000, 0.1: 50_000, 0.0: 100_000},
        dict.fromkeys((1.0, 0.5, 0.3, 0.2, 0.1, 0.0), 10),
    ),
}

LEARNT = 0.01
"""Error below which a set of pairs is learnt."""

ROUNDED = 2.0**-24
"""Train loss below which the softmax of the right class rounds to 1 in float32."""

_SOURCE = "measured at this size: steps 900; 3,467 ± 306 (s.d.); not by 10,000"

EXPECTED = (
    Expected(
        name="memorised",
        says="time at which the last run has learnt its training set",
        unit="steps",
        high=200,
        source=_SOURCE,
    ),
    Expected(
        name="delay_1",
        says="mean time of generalisation, weight decay 1",
        unit="steps",
        low=800,
        high=1000,
        source=_SOURCE,
    ),
    Expected(
        name="delay_0.3",
        says="mean time of generalisation, weight decay 0.3",
        unit="steps",
        low=3467 - 306,
        high=3467 + 306,
        source=_SOURCE,
    ),
    Expected(
        name="without_decay",
        says="share of runs without weight decay that generalise",
        high=0,
        source=_SOURCE,
    ),
    Expected(
        name="exponent",
        says="exponent of the delay in 1 / weight decay",
        low=0.8,
        high=1.2,
        source="weights shrink at the rate of the decay: delay ~ 1 / weight decay",
    ),
)

CAPTION = (
    "(a) Test error (solid) and train error (dotted) and (b) weight norm over steps, a line a "
    "run and a shade a weight decay; (c) step of generalisation over one over the weight decay, "
    "arrows where it was not reached.",
    "The delay grows as one over the weight decay to the power {exponent}.",
)
ALT = (
    "Line charts of training on modular addition: train error is zero after {memorised}, and "
    "test error falls much later.",
    "The delay grows as one over the weight decay to the power {exponent}.",
)


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame  # one row a run, with its delays
    curves: pd.DataFrame  # one row an evaluation, with the weight decay
    law: DelayLaw | None


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Finds when each run learns its training set and the rule, and how that follows the decay."""
    runs, excluded = results.usable(table, ["train_error", "eval_error"])
    runs = runs.assign(decay=runs["train.optimizer.weight_decay"])
    histories = curves.merge(runs[["run_id", "decay"]], on="run_id").sort_values("step")
    delays = pd.DataFrame([_delays(h) | {"run_id": i} for i, h in histories.groupby("run_id")])
    runs = runs.merge(delays, on="run_id")
    law, why = None, ""
    try:
        law = _law(runs)
    except FitError as error:
        why = str(error)
    shown = runs[["decay", "seed", "memorised", "after", "until", "rounded"]].assign(
        run_ids=runs["run_id"]
    )
    until, decay = (runs[name].to_numpy(np.float64) for name in ("until", "decay"))
    free = decay == 0
    doubts = []
    n_rounded = int(np.sum(runs["rounded"].to_numpy()))
    if n_rounded:
        doubts.append(
            f"In {n_rounded} of {len(runs)} runs the train loss fell below {ROUNDED:.1g} before "
            "the rule was learnt: float32 then rounds the softmax of the right class to 1, and the "
            "gradient is one of rounding. Delays at small weight decay may depend on it."
        )
    return Findings(
        measured={
            "memorised": _summary(runs["memorised"].to_numpy(np.float64), np.max),
            "delay_1": _summary(until[decay == 1], np.mean),
            "delay_0.3": _summary(until[decay == 0.3], np.mean),
            "without_decay": _share(runs.loc[free]),
            "exponent": Measured(value=None, note=why) if law is None else measured(law.exponent),
        },
        verdict=_verdict(runs, law, why),
        shown=with_notes(shown, excluded, "train.optimizer.weight_decay"),
        details=Details(runs, histories, law),
        doubts=doubts,
        report={"interval": INTERVAL, "n_censored": int(np.isinf(until).sum())},
    )


def _delays(history: pd.DataFrame) -> dict[str, float]:
    """When a run has learnt its training set, and between which steps the rule; infinite if never.

    A crossing is the first evaluation at which the error is below 1 %.
    """
    steps = history["step"].to_numpy(np.float64)

    def first(name: str) -> int | None:
        below = np.flatnonzero(history[name].to_numpy(np.float64) < LEARNT)
        return int(below[0]) if len(below) else None

    train, test = first("train_error"), first("eval_error")
    before = slice(None) if test is None else slice(test)
    return {
        "memorised": np.inf if train is None else steps[train],
        "after": steps[-1] if test is None else steps[max(test - 1, 0)],
        "until": np.inf if test is None else steps[test],
        "rounded": bool((history["train_loss"].to_numpy()[before] < ROUNDED).any()),
    }


def _law(runs: pd.DataFrame) -> DelayLaw:
    """The delay over 1 / weight decay; runs without decay say nothing of a power law."""
    decay, after, until = (runs[n].to_numpy(np.float64) for n in ("decay", "after", "until"))
    kept = decay > 0
    return fit_delays(1 / decay[kept], after[kept], until[kept])


def _summary(values: Floats, summary: Callable[[Floats], Any]) -> Measured:
    """A summary of steps over runs; no number where a run has not got there, or there is none."""
    if not len(values) or not np.isfinite(values).all():
        return Measured(value=None, note=f"{np.isinf(values).sum()} of {len(values)} never")
    steps = ", ".join(f"{value:,.0f}" for value in values)
    return Measured(value=float(summary(values)), note=f"steps {steps}")


def _share(runs: pd.DataFrame) -> Measured:
    """The share of runs that generalise; no number where there is no run."""
    if runs.empty:
        return Measured(value=None, note="no run without weight decay is done")
    seen = np.isfinite(runs["until"].to_numpy(np.float64))
    return Measured(value=float(seen.mean()), note=f"judged until step {max(runs['after']):,.0f}")


def _verdict(runs: pd.DataFrame, law: DelayLaw | None, why: str) -> str:
    lines = []
    for decay, group in runs.groupby("decay", sort=False):
        until, after = (group[name].to_numpy(np.float64) for name in ("until", "after"))
        seen = until[np.isfinite(until)]
        at = f" at step {seen.mean():,.0f}" if len(seen) else ""
        rest = f" ({len(until) - len(seen)} not by step {after.max():,.0f})"
        lines.append(
            f"weight decay {decay:g}: {len(seen)} of {len(until)} generalise{at}"
            f"{rest * (len(seen) < len(until))}."
        )
    if law is None:
        return "\n".join([*lines, f"No law of the delay: {why}."])
    fitted = (
        f"delay = {law.scale} x (1 / weight decay)^e, e = {law.exponent}, from {law.n_events} "
        f"events and {law.n_censored} censored runs."
    )
    return "\n".join([*lines, fitted])


def figure(findings: Findings[Details]) -> Figure:
    """Draws errors and weight norm over steps, and the delay against 1 / weight decay."""
    with style.paper_figure(1, 3, height=2.7) as (drawing, axes):
        errors, norm, delay = axes[0]
        _draw_histories(errors, findings.details, "eval_error", "error (fraction)")
        _draw_histories(norm, findings.details, "weight_norm_l2", "weight norm (ℓ2)")
        overview(delay, findings)
        style.outer_legend(drawing, axes[0], "outside lower center", 6)
    return drawing


def _looks(runs: pd.DataFrame) -> dict[float, style.Series]:
    """A shade and a mark for each decay, the lightest for the least."""
    decays = sorted(runs["decay"].unique(), reverse=True)
    shades = colormaps["viridis"](np.linspace(0, 0.75, len(decays)))
    return {
        float(decay): style.SERIES[i % len(style.SERIES)]._replace(color=to_hex(shade))
        for i, (decay, shade) in enumerate(zip(decays, shades, strict=True))
    }


def _draw_histories(ax: Axes, details: Details, quantity: str, label: str) -> None:
    """Draws a quantity over steps, a line a run; beside the test error the train error, dotted."""
    for decay, look in _looks(details.runs).items():
        name = f"weight decay {decay:g}"
        for _, history in details.curves[details.curves["decay"] == decay].groupby("run_id"):
            rows = history[history["step"] > 0]
            ax.plot(rows["step"], rows[quantity], color=look.color, linewidth=0.9, label=name)
            name = ""
            if quantity == "eval_error":
                ax.plot(rows["step"], rows["train_error"], color=look.color, lw=0.9, ls=":")
    ticks.log_scale(ax, "x", ticks=(1,))
    if quantity == "eval_error":
        ax.set_title("test (solid) and train (dotted)")
    ax.set(xlabel="step", ylabel=label)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the step of generalisation against 1 / weight decay; arrows are censored runs."""
    runs, _, law = findings.details
    decay, after, until = (runs[n].to_numpy(np.float64) for n in ("decay", "after", "until"))
    seen = np.isfinite(until)
    decays = np.unique(np.where(decay > 0, decay, decay.max() or 1.0))
    never = 3 / decays.min()  # where runs without weight decay are drawn
    places = {value: 1 / value if value else never for value in np.unique(decay)}
    for value, look in _looks(runs).items():
        mine, x = decay == value, places[value]
        ax.plot(np.full((mine & seen).sum(), x), until[mine & seen], **look.marks())
        for end in np.unique(after[mine & ~seen]):
            arrow = {"arrowstyle": "->", "color": look.color, "linewidth": 1.2}
            ax.plot([x], [end], **look.marks())
            ax.annotate("", (x, 1.5 * end), (x, end), arrowprops=arrow)
    ticks.log_scale(ax, "x", ticks=(1,))
    ticks.log_scale(ax, "y")
    if law is not None:
        along = np.geomspace(0.8 / decays.max(), 1.25 / decays.min(), 20)
        ax.plot(along, law.at(along), color=style.INK, linewidth=0.9, label="fitted power law")
    ax.set_xticks(list(places.values()), [f"{1 / value:.2g}" if value else "∞" for value in places])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(0.6 / decays.max(), 1.6 * max(places.values()))
    ax.set_ylim(0.7 * float(until[seen].min(initial=after.max())), 2.2 * float(after.max()))
    ax.set_title("arrows: not by that step")
    ax.set(xlabel="1 / weight decay", ylabel="step of generalisation")
