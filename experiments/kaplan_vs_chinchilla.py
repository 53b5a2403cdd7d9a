"""Why Kaplan found 0.73 and Chinchilla 0.5: the same runs, counted in different ways.

Claim: at small scale the exponent a of N* ~ C^a depends on what is counted. Without the read-out,
and without embeddings, small models are taken for smaller than they are, and the optimum seems to
grow faster with compute.
Paper: Porian et al. 2024 (arXiv 2406.19146), section 3; Pearce & Song 2024 (arXiv 2406.12907);
Kaplan et al. 2020 (arXiv 2001.08361): 0.73, or 0.88 without their correction; Hoffmann et al. 2022
(arXiv 2203.15556): 0.5.
Command: scaling run kaplan_vs_chinchilla
Cost: none after `scaling run chinchilla`, whose runs these are; else as much.
Expected: a without read-out and embeddings above a with the read-out, by minima of parabolas and by
the parametric fit, with a confidence of 95 % each. How far depends on the share of the read-out:
with 256 tokens it is 40 % of the smallest model and 3 % of the largest, where Kaplan's vocabulary
of 50,000 hid most of a small model.

Minima are those over size at the exact compute of each run, so that there only N is counted anew;
the parametric fit takes C = 6 N D with the N of each row. Kaplan's warm-up and learning rate, which
Porian et al. find to matter as much, are not repeated here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from analysis import tables
from analysis.conventions import refit_under
from analysis.errors import FitError
from analysis.fit import fit
from analysis.fit_result import FitResult
from analysis.isoflop import isoflop
from analysis.laws import CHINCHILLA
from analysis.laws.law import Floats
from analysis.plots import style
from analysis.sources import Source
from experiments import chinchilla
from experiments import language_models as lm
from experiments.experiment import Expected, Findings, Measured, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sweeps.recipes import Count

RUNS_OF = "chinchilla"
SWEEP: Sweep = chinchilla.SWEEP
LAW = CHINCHILLA

COUNTS: dict[Count, str] = {
    "n_params_matmul": "read-out in, embedding out\n(Chinchilla, Porian)",
    "n_params_total": "all parameters",
    "n_params_non_embedding": "neither read-out nor embedding\n(Kaplan)",
}
PUBLISHED = {"Chinchilla": 0.5, "Kaplan,\nadjusted": 0.73, "Kaplan": 0.88}
"""Exponents a: table 2 of Hoffmann et al.; Kaplan et al. with their adjustment of compute to small
batches, and without (Porian et al., figure 1)."""

METHODS = {"minima": "minima of parabolas, exact $C$", "fit": "parametric fit, $C = 6ND$"}

EXPECTED = (
    Expected(
        name="moves_minima",
        says="confidence that Kaplan's count raises a, minima",
        low=0.95,
        source="Porian et al. 2024, figure 1: 0.71 to 0.84 from the read-out alone",
    ),
    Expected(
        name="moves_fit",
        says="confidence that Kaplan's count raises a, parametric fit",
        low=0.95,
        source="Pearce & Song 2024: 0.74 to 0.78 at Kaplan's sizes",
    ),
)


class Exponent(NamedTuple):
    """The exponent a by one method under one count, with its bootstrap replicates."""

    method: str
    counted: Count
    value: float
    low: float
    high: float
    replicates: Floats


def analyse(table: pd.DataFrame) -> Findings:
    """The exponent a by minima and by the parametric fit, under every count of parameters."""
    runs, excluded = tables.usable(table, ["eval_loss_nats"])
    found = {(each.method, each.counted): each for each in (*_by_minima(runs), *_by_fit(runs))}
    measured = {}
    for method in METHODS:
        low, high = (
            found[method, count] for count in ("n_params_matmul", "n_params_non_embedding")
        )
        n = min(len(low.replicates), len(high.replicates))
        # The same seed draws the same noise for both counts: replicates are pairs.
        above = high.replicates[:n] > low.replicates[:n]
        note = f"a from {low.value:.3f} to {high.value:.3f}"
        measured[f"moves_{method}"] = Measured(value=float(np.mean(above)), note=note)
    shown = pd.DataFrame(
        [{**each._asdict(), "run_ids": " ".join(runs["run_id"])} for each in found.values()]
    ).drop(columns="replicates")
    left_out = excluded.rename(columns={"run_id": "run_ids"}).loc[:, ["run_ids", "why"]]
    verdict = "\n".join(
        f"a = {each.value:.3f} [{each.low:.3f}, {each.high:.3f}] {METHODS[each.method]}, N: "
        f"{COUNTS[each.counted]}".replace("\n", " ").replace("$", "")
        for each in found.values()
    )
    return Findings(
        measured=measured,
        verdict=verdict,
        shown=pd.concat([shown, left_out] if len(left_out) else [shown]),
        details={"exponents": list(found.values())},
        report={"exponents": shown.drop(columns="run_ids").to_dict(orient="records")},
    )


def figure(findings: Findings) -> Figure:
    """The exponents under every count beside the published ones."""
    with style.paper_style():
        drawing, axes = style.new_figure(1, 1, width=5.2, height=2.6)
        overview(axes[0, 0], findings)
    return drawing


def overview(ax: Axes, findings: Findings) -> None:
    """The exponents under every count, with intervals, beside the published ones."""
    exponents: list[Exponent] = findings.details["exponents"]
    places = {count: -number for number, count in enumerate(COUNTS)}
    for shift, (method, label), look in zip(
        (0.13, -0.13), METHODS.items(), style.SERIES, strict=False
    ):
        chosen = [each for each in exponents if each.method == method]
        values = np.array([each.value for each in chosen])
        ends = np.array([[each.low, each.high] for each in chosen])
        ax.errorbar(
            values,
            [places[each.counted] + shift for each in chosen],
            xerr=np.abs(ends.T - values),
            color=look.color,
            marker=look.marker,
            linestyle="none",
            label=label,
        )
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
    ax.set_yticks(list(places.values()), list(COUNTS.values()))
    ax.set(xlabel="exponent $a$ of $N^* \\propto C^a$", ylim=(-len(COUNTS) + 0.5, 0.5))
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.2), ncols=2)


def _by_minima(runs: pd.DataFrame) -> list[Exponent]:
    found = []
    for count in COUNTS:
        ends = lm.points(runs, count)
        trends = isoflop(ends["N"], ends["loss"], flops=ends["C"], tokens=ends["D"]).trends
        if trends is None:
            raise FitError("one minimum makes no exponent: add budgets")
        a, replicates = trends.params.exponent, trends.params.replicates[:, 1]
        found.append(Exponent("minima", count, a.value, a.low, a.high, replicates))
    return found


def _by_fit(runs: pd.DataFrame) -> list[Exponent]:
    """The law fitted with N as it stands and under every other count that the table has."""
    first: Count = "n_params_matmul"
    others: tuple[Count, ...] = ("n_params_total", "n_params_non_embedding")
    ends = lm.points(runs, first)
    columns = runs[list(others)].astype(np.float64).reset_index(drop=True)
    source = Source(
        path=Path(RUNS_OF),
        format="results folder",
        sha256=None,
        table=pd.concat([ends.drop(columns="run"), columns], axis=1),
        excluded=pd.DataFrame(),
        taken={"N": f"N = '{first}'", "D": "D = 'n_tokens_seen'", "C": "C = 'flops_train'"},
        convention="C = 6 N D",
    )
    refitted = dict(refit_under(CHINCHILLA, source))
    fits: list[tuple[Count, FitResult | str]] = [
        (first, fit(CHINCHILLA, ends[["N", "D"]], ends["loss"])),
        *((count, refitted[f"N = {count}"]) for count in others),
    ]
    found = []
    for count, result in fits:
        if isinstance(result, str):
            raise FitError(f"{count}: {result}")
        a = result.derived()["a"]
        replicates = CHINCHILLA.derived(CHINCHILLA.to_params(result.replicates))["a"]
        found.append(Exponent("fit", count, a.value, *a.interval, np.asarray(replicates)))
    return found
