"""Why did Kaplan find an exponent of 0.73 where Chinchilla found 0.5?

Claim: at small scale the exponent a of N* ~ C^a depends on what is counted and on how runs are
trained. A count without the read-out makes small models look smaller than they are. A warm-up as
long for short runs as for long ones handicaps large models at small budgets. Either makes the
optimum appear to grow faster with compute.
Paper: Porian et al. 2024 (arXiv 2406.19146), section 3 and figure 1, whose steps these are; Pearce
& Song 2024 (arXiv 2406.12907); Kaplan et al. 2020 (arXiv 2001.08361): 0.73, or 0.88 without their
correction; Hoffmann et al. 2022 (arXiv 2203.15556): 0.5.
Command: scaling run kaplan_vs_chinchilla
Cost: the runs of `scaling run chinchilla`, which are not trained again, and 49 more at 3 budgets of
2e11 to 1.25e12 FLOPs, 3e13 FLOPs in all: 4 to 20 min on two CPU cores.
Expected: Kaplan's training raises a. Runs trained in his way are compared with tuned ones, the
read-out counted in both, so that training alone makes the difference. A confidence of 5 % or less
would refute the claim, one of 95 % confirms it; five sizes at three budgets can reach that, the two
budgets of smoke cannot. All five steps are reported with their intervals; the first, from Kaplan's
count to ours, is one of counting. For tuned runs, the count without read-out and embeddings gives
an a that is higher by 0.02 to 0.3, by minima of parabolas and by the parametric fit. For minima
this shift is arithmetic: given the shapes, Pearce & Song derive it from the share of the read-out,
which falls with size, and noise moves both exponents alike. With 256 tokens in the vocabulary the
read-out is 55 % of the smallest model and 6 % of the largest. Kaplan's vocabulary of 50,000 left
out most of a small model.

The steps (`experiments.shared.staircase`) keep Kaplan's 3,000 steps of warm-up and his cosine over
250,000, at batches of 1,024 tokens instead of 2^19. The warm-up is then 1.3 times as long as the
best run of the smallest budget; over the budgets of Porian et al. the same ratio falls from 3.9 to
0.2. The single learning rate, 0.003, suits models of some 4e5 parameters. It is an eighth of the
best rate of the smallest model, or a third of it in the longest runs. Budgets are few and span a
short range, so intervals are wide and smaller steps are not resolved. The grids differ as well: the
first three sets of runs have five sizes per budget, those of the first set smaller ones; the tuned
runs have 6, 7 and 7 sizes, with repeats.

Minima are taken over size at the exact compute of each run, so that only N is counted anew, while
Kaplan et al. left the read-out out of C as well. The parametric fit takes C = 6 N D with the N of
each row. Error bars are those of `chinchilla`; its repeats give the noise of every stage.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.estimate import Floats
from analysis.fitting.bootstrap.replicates import percentiles
from analysis.plots import style
from analysis.tables import results
from experiments import chinchilla
from experiments.experiment import Budget, Expected, Findings, Measured, Sweep
from experiments.shared import staircase
from experiments.shared.counting import COUNTS, METHODS, Exponent, recounted
from experiments.shared.error_bars import error_bars
from experiments.shared.panels import stacked
from scaling.config import RunConfig
from sweeps.shapes import Count

RUNS_OF = "chinchilla"


def _sweep(
    budget: Budget,
    way: staircase.OneWay,
    slow: Mapping[float, Sequence[float]],
    grid: Mapping[float, Sequence[float]],
) -> list[RunConfig]:
    """Runs of chinchilla, and more at the other stages."""
    more = staircase.runs(chinchilla.RECIPES[budget](), way, slow, grid)
    return chinchilla.SWEEP[budget]() + more


_TINY = {3e10: (3.7e3, 1.1e4, 2e4, 3.3e4), 2.4e11: (1.1e4, 2e4, 3.3e4, 6.8e4)}

SWEEP: Sweep = {
    "smoke": partial(
        _sweep, "smoke", way=staircase.OneWay(batch_size=8, horizon=40_000), slow=_TINY, grid=_TINY
    ),
    "cpu": partial(
        _sweep,
        "cpu",
        way=staircase.OneWay(batch_size=16),
        slow={
            2e11: (3.7e3, 1.1e4, 2e4, 3.3e4, 5e4),
            5e11: (3.7e3, 1.1e4, 2e4, 3.3e4, 5e4),
            1.25e12: (1.1e4, 2e4, 3.3e4, 5e4, 9e4),
        },
        grid={
            2e11: (1.1e4, 2e4, 3.3e4, 5e4, 9e4),
            5e11: (1.1e4, 2e4, 3.3e4, 6.8e4, 1.2e5),
            1.25e12: (2e4, 3.3e4, 6.8e4, 1.2e5, 2.5e5),
        },
    ),
    "gpu": partial(
        _sweep,
        "gpu",
        way=staircase.OneWay(batch_size=16),
        slow={
            6.4e13: (1.7e5, 3.6e5, 6.3e5, 9.7e5, 1.4e6),
            2.5e14: (3.6e5, 6.3e5, 9.7e5, 1.4e6, 2.5e6),
            1e15: (6.3e5, 9.7e5, 1.4e6, 2.5e6, 5e6),
        },
        grid={
            6.4e13: (3.6e5, 6.3e5, 9.7e5, 1.4e6, 2.5e6),
            2.5e14: (6.3e5, 9.7e5, 1.4e6, 2.5e6, 5e6),
            1e15: (1.4e6, 2.5e6, 3.2e6, 6.2e6, 1.1e7),
        },
    ),
}

LEVEL = 0.95

SHIFTS = (0.12, -0.12)
"""Places of two series beside a row of the figure."""

_EXPONENT = "exponent $a$ of $N^* \\propto C^a$"

PUBLISHED = {"Chinchilla": 0.5, "Kaplan,\nadjusted": 0.73, "Kaplan": 0.88}
"""Published exponents a: Hoffmann et al., table 2; Kaplan et al. with and without their adjustment
of compute to small batches (Porian et al., figure 1)."""

EXPECTED = (
    Expected(
        name="staircase",
        says="confidence that Kaplan's training raises a (minima, read-out counted)",
        low=0.05,
        source="Porian et al. 2024, figure 1: from 0.50 to 0.71; below 5 % the claim is refuted",
    ),
    Expected(
        name="moves_minima",
        says="a without the read-out minus a with it (minima)",
        low=0.02,
        high=0.3,
        source="the arithmetic of Pearce & Song 2024; Porian et al. 2024, figure 1: 0.13",
    ),
    Expected(
        name="moves_fit",
        says="a without the read-out minus a with it (parametric fit)",
        low=0.02,
        high=0.3,
        source="Pearce & Song 2024: 0.51 becomes 0.74 to 0.78 at Kaplan's sizes",
    ),
)

CAPTION = (
    "(a) Exponent of the optimal size in compute at every step from Kaplan's way of training to "
    "Chinchilla's, beside Porian et al. (2024); (b) the exponent of the tuned runs under every "
    "count of parameters, beside published ones. Bars are 95 % intervals.",
    "Leaving the read-out out of the count moves it by {moves_minima} by the minima and by "
    "{moves_fit} by the parametric fit.",
)
ALT = (
    "Exponents with intervals: Kaplan's way gives the largest, and counting the read-out, "
    "scaling the warm-up and tuning bring it towards one half.",
    "The count alone moves it by {moves_minima}.",
)


class Details(NamedTuple):
    """What the figure draws."""

    steps: Sequence[Exponent | str]
    counts: Mapping[tuple[str, Count], Exponent]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds the exponent a at every step of the staircase, and of tuned runs under every count."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    bars = error_bars(runs)
    climbed = staircase.climb(runs, bars)
    tuned = (staircase.stage_of(runs) == staircase.TUNED).to_numpy()
    found = recounted(runs.loc[tuned], bars._replace(sd=bars.sd[tuned]))
    measured = {"staircase": _training(climbed, bars.description)}
    for method in METHODS:
        kaplans, ours = (
            found[method, count] for count in ("n_params_non_embedding", "n_params_matmul")
        )
        measured[f"moves_{method}"] = _shift(kaplans, ours)
    shown = pd.DataFrame([*_steps(runs, climbed), *_counts(runs.loc[tuned], found)])
    left_out = excluded.rename(columns={"run_id": "run_ids"}).loc[:, ["run_ids", "why"]]
    verdict = [
        f"{step.says}: {'no a' if isinstance(a, str) else f'a = {a}'}, Porian et al. "
        f"{step.published[0]:g}{f'. {a}' if isinstance(a, str) else ''}"
        for step, a in zip(staircase.STEPS, climbed, strict=True)
    ]
    verdict += [
        f"a = {a} {METHODS[method]}, N: {COUNTS[count]}".replace("\n", " ").replace("$", "")
        for (method, count), a in found.items()
    ]
    return Findings(
        measured=measured,
        verdict="\n".join(verdict),
        shown=stacked(shown, left_out),
        details=Details(climbed, found, excluded),
        report={
            "steps": [
                {"says": step.says} | _plain(a)
                for step, a in zip(staircase.STEPS, climbed, strict=True)
            ],
            "exponents": [
                {"method": method, "counted": count} | _plain(a)
                for (method, count), a in found.items()
            ],
        },
    )


def _training(climbed: Sequence[Exponent | str], noise: str) -> Measured:
    """Confidence that Kaplan's training gives a higher exponent than ours, counted the same way."""
    ends = staircase.READ_OUT_COUNTED, len(climbed) - 1
    above, below = (climbed[end] for end in ends)
    if isinstance(above, str) or isinstance(below, str):
        why = [
            f"{staircase.STEPS[end].says}: {a}"
            for end in ends
            if isinstance(a := climbed[end], str)
        ]
        return Measured(value=None, note="; ".join(why))
    shift = _shift(above, below)
    return Measured(
        value=float(np.mean(_differences(above, below) > 0)),
        note=f"a rises by {above.value - below.value:.3f} [{shift.low:.3f}, {shift.high:.3f}], "
        f"{shift.note}; {noise}",
    )


def _shift(above: Exponent, below: Exponent) -> Measured:
    """Difference of two exponents; replicates of the same runs are pairs."""
    low, high = percentiles(_differences(above, below), LEVEL)
    return Measured(
        value=above.value - below.value,
        low=float(low),
        high=float(high),
        note=f"from {below.value:.3f} to {above.value:.3f}",
    )


def _differences(above: Exponent, below: Exponent) -> Floats:
    """Differences of the replicates in which both exponents were found."""
    apart = above.replicates - below.replicates
    return apart[np.isfinite(apart)]


def _plain(a: Exponent | str) -> dict[str, float | str]:
    return {"why": a} if isinstance(a, str) else {"value": a.value, "low": a.low, "high": a.high}


def _steps(runs: pd.DataFrame, climbed: Sequence[Exponent | str]) -> list[dict[str, str | float]]:
    stage = staircase.at_shared_budgets(runs)
    published = ("published", "published_low", "published_high")
    return [
        {"step": step.says, "counted": step.counted, "method": "minima"}
        | dict(zip(published, step.published, strict=True))
        | _plain(a)
        | {"run_ids": " ".join(runs.loc[stage == step.runs, "run_id"])}
        for step, a in zip(staircase.STEPS, climbed, strict=True)
    ]


def _counts(
    runs: pd.DataFrame, found: Mapping[tuple[str, Count], Exponent]
) -> list[dict[str, str | float]]:
    ids = " ".join(runs["run_id"])
    return [
        {"step": "tuned runs recounted", "counted": count, "method": method}
        | _plain(a)
        | {"run_ids": ids}
        for (method, count), a in found.items()
    ]


def figure(findings: Findings[Details]) -> Figure:
    """Draws the staircase beside that of Porian et al., and the tuned runs under every count."""
    with style.paper_figure(2, 1, height=5.2) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_counts(axes[1, 0], findings)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the exponent at every step, beside that of Porian et al."""
    steps, climbed = staircase.STEPS, findings.details.steps
    series = {
        "here": [
            (np.nan,) * 3 if isinstance(a, str) else (a.value, a.low, a.high) for a in climbed
        ],
        "Porian et al. 2024": [step.published for step in steps],
    }
    _draw_exponents(ax, series, [f"{'+ ' if i else ''}{each.says}" for i, each in enumerate(steps)])
    for number, line in enumerate(series.values()):
        value = np.array(line)[:, 0]
        look = style.SERIES[number]
        ax.plot(
            value,
            SHIFTS[number] - np.arange(len(steps)),
            color=look.color,
            linewidth=0.6,
            alpha=0.5,
        )
    for number, a in enumerate(climbed):
        if isinstance(a, str):
            ax.annotate(
                "not found",
                (0.02, SHIFTS[0] - number),
                xycoords=("axes fraction", "data"),
                va="center",
                color=style.SERIES[0].color,
            )
    if n_excluded := len(findings.details.excluded):
        ax.annotate(
            f"{n_excluded} run{'s' if n_excluded > 1 else ''} left out",
            (0.98, 0.03),
            xycoords="axes fraction",
            ha="right",
        )
    style.legend_above(ax, n_columns=2)


def _draw_counts(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the exponents under every count, with intervals, beside the published ones."""
    found = findings.details.counts
    series = {
        label: [(a.value, a.low, a.high) for a in (found[method, count] for count in COUNTS)]
        for method, label in METHODS.items()
    }
    _draw_exponents(ax, series, list(COUNTS.values()))
    for name, value in PUBLISHED.items():
        ax.axvline(value, color=style.GREY, linestyle=(0, (3, 2)), linewidth=0.8, zorder=1)
        ax.annotate(
            f"{name} {value:g}",
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=style.GREY,
            fontsize=7,
        )
    low, high = ax.get_xlim()
    beside = 0.08  # where half the name of the outermost published number ends
    ax.set_xlim(
        min(low, min(PUBLISHED.values()) - beside), max(high, max(PUBLISHED.values()) + beside)
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.2), ncols=2)


def _draw_exponents(
    ax: Axes, series: Mapping[str, Sequence[Sequence[float]]], rows: Sequence[str]
) -> None:
    """Draws two series of exponents with intervals, side by side, a row of the panel for each."""
    for shift, (label, found), look in zip(SHIFTS, series.items(), style.SERIES, strict=False):
        value, low, high = np.array(found).T
        ax.errorbar(
            value,
            shift - np.arange(len(rows)),
            xerr=np.abs(np.stack([low, high]) - value),
            **look.marks(),
            label=label,
        )
    ax.set_yticks(-np.arange(len(rows)), rows)
    ax.set(xlabel=_EXPONENT, ylim=(0.5 - len(rows), 0.5))
