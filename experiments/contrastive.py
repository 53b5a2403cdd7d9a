"""How near do two encoders come to what pairs of known mutual information allow?

Claim: the contrastive loss of two encoders falls with their size and with pairs towards an optimum
that is known exactly, and never below it: its excess follows power laws. Retrieval stays below the
ceiling of the exact critic. Classes that were never trained on are named by prompts, below a
ceiling that is known, too.
Paper: Radford et al. 2021 (arXiv 2103.00020) for the loss; van den Oord, Li, Vinyals 2018 (arXiv
1807.03748) for its bound; Cherti et al. 2022 (arXiv 2212.07143) for power laws of such models.
Command: scaling run contrastive
Cost: 14 runs of 800 steps of 256 pairs, about 1 minute on two CPU cores.
Expected: mutual information 1.636 nats; in batches of 256 the optimum is 3.915 nats, where knowing
nothing costs log 256 = 5.545, and the ceiling of retrieval 0.12. No loss lies more than 3 standard
errors below the optimum of the very pairs. The excess falls with parameters and with pairs.
Exponents are measured with intervals; a prototype with another camera had 0.52 and 0.41.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import POWER_LAW
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Json, Measured, Sweep
from experiments.shared.panels import draw_law, with_notes
from scaling.config import RunConfig
from scaling.data.paired_views import NAMED, PairedViews
from scaling.models.two_encoders import TwoEncoders
from scaling.streaming import Streaming
from scaling.training import Adam
from sweeps.space import chain, grid

CURVES = True

BATCH = 256


def _sweep(
    widths: tuple[int, ...], pairs: tuple[int, ...], steps: int, seeds: int, n_eval: int
) -> list[RunConfig]:
    base = RunConfig(
        model=TwoEncoders(width=widths[-1]),
        data=PairedViews(among=BATCH, n_eval=n_eval),
        train=Streaming(
            optimizer=Adam(learning_rate=3e-3),
            objective="contrastive",
            batch_size=BATCH,
            steps=steps,
            evaluations=12,
            spacing="geometric",
        ),
    )
    return chain(
        grid(base, {"model.width": widths, "seed": range(seeds)}),
        grid(base, {"data.n_train": pairs, "seed": range(seeds)}),
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, (16,), (1024, 4096), 400, 1, 1024),
    "cpu": partial(_sweep, (8, 16, 32, 64), (1024, 4096, 16_384), 800, 2, 4096),
    "gpu": partial(
        _sweep, (8, 16, 32, 64, 128, 256), tuple(2**k for k in range(10, 21, 2)), 8000, 4, 2**14
    ),
}

_BOUND = "exact: the critic log p(u, v) / (p(u) p(v)) is the best"

EXPECTED = (
    Expected(
        name="above_optimum",
        says="least distance of a loss from the optimum of its pairs, standard errors",
        low=-3.0,
        source=_BOUND,
    ),
    Expected(
        name="by_size",
        says="exponent of the excess in parameters",
        low=0.05,
        source="excess falls with size; 0.52 in a prototype with another camera",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="by_pairs",
        says="exponent of the excess in pairs",
        low=0.05,
        source="excess falls with pairs; 0.41 in a prototype with another camera",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="retrieval",
        says="largest share of partners found first, less that of the exact critic",
        high=0.0,
        source=_BOUND,
    ),
    Expected(
        name="named",
        says="largest share of classes named by prompts, less its ceiling",
        high=0.05,
        source="exact: prod of 1/2 + arcsin(c_i) / pi; size cpu names 2,048 pairs, s.e. 0.01",
    ),
)

CAPTION = (
    "Loss above the known optimum over (a) parameters and (b) pairs; (c) retrieval and naming "
    "over that excess, their ceilings dashed.",
    "The excess falls as parameters to the power {by_size} and pairs to the power {by_pairs}.",
)
ALT = (
    "Scatter charts of the excess loss of two encoders: it falls with size and with data, and "
    "retrieval rises as it falls.",
    "The nearest loss lies {above_optimum} standard errors above its optimum.",
)

AXES = {"parameters": "n_params", "pairs": "n_train"}


class Details(NamedTuple):
    """What the figure draws: the best evaluation of each run, and laws of the excess."""

    runs: pd.DataFrame
    laws: dict[str, FitResult]
    named: float


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Takes each run at its least loss, and fits the excess over the optimum of its pairs."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    best = curves.loc[curves.groupby("run_id")["eval_loss"].idxmin()].set_index("run_id")
    best = best.loc[runs["run_id"].tolist()]
    named = pd.DataFrame(best["eval_by"].tolist())
    widest = int(runs["n_params_total"].to_numpy().max())
    all_pairs = int(runs["data.n_train"].to_numpy().max())
    rows = pd.DataFrame(
        {
            "n_params": runs["n_params_total"].to_numpy(np.float64),
            "n_train": runs["data.n_train"].to_numpy(np.float64),
            "seed": runs["seed"].to_numpy(),
            "loss": best["eval_loss"].to_numpy(np.float64),
            "sem": best["eval_loss_sem"].to_numpy(np.float64),
            "optimum": named["optimum"].to_numpy(np.float64),
            "top_1": named["top-1 share"].to_numpy(np.float64),
            "ceiling": named["optimum top-1 share"].to_numpy(np.float64),
            "named": named["named share"].to_numpy(np.float64),
            "run_ids": runs["run_id"].to_numpy(),
        }
    )
    rows["excess"] = rows["loss"] - rows["optimum"]
    fresh, wide = rows["n_train"] == all_pairs, rows["n_params"] == widest
    parts = {"parameters": rows.loc[fresh], "pairs": rows.loc[wide & ~fresh]}
    laws = {name: law for name, part in parts.items() if (law := _law(part, AXES[name]))}
    source = PairedViews()
    ceiling = theory.sign_agreement(source.correlations[:NAMED])
    short = float(((rows["loss"] - rows["optimum"]) / rows["sem"]).to_numpy().min())
    measured = {
        "above_optimum": Measured(value=short, note=f"{len(rows)} runs"),
        "by_size": _exponent(laws.get("parameters")),
        "by_pairs": _exponent(laws.get("pairs")),
        "retrieval": Measured(value=float((rows["top_1"] - rows["ceiling"]).to_numpy().max())),
        "named": Measured(
            value=float(rows["named"].to_numpy().max()) - ceiling, note=f"ceiling {ceiling:.3f}"
        ),
    }
    return Findings(
        measured=measured,
        verdict=_verdict(rows, source),
        shown=with_notes(rows, excluded.assign(n_params=excluded["n_params_total"]), "n_params"),
        details=Details(rows, laws, ceiling),
        report={name: _reported(law) for name, law in laws.items()},
    )


def _law(rows: pd.DataFrame, column: str) -> FitResult | None:
    """The power law of the excess; None from too few runs above the optimum."""
    above = rows.loc[rows["excess"] > 0]
    x, y = (above[name].to_numpy(np.float64) for name in (column, "excess"))
    try:
        return fit(POWER_LAW, x, y, bootstrap=Bootstrap(n=200))
    except FitError:
        return None


def _exponent(law: FitResult | None) -> Measured:
    if law is None:
        return Measured(value=None, note="too few sizes")
    low, high = law.intervals["alpha"]
    return Measured(value=law.params["alpha"], low=low, high=high)


def _reported(law: FitResult) -> Json:
    return {name: float(value) for name, value in law.params.items()}


def _verdict(rows: pd.DataFrame, source: PairedViews) -> str:
    nearest = rows.loc[rows["excess"].idxmin()]
    bound = np.log(BATCH) - theory.mutual_information(source.correlations)
    return (
        f"Knowing nothing costs {np.log(BATCH):.3f} nats, the bound is {bound:.3f}, and the exact "
        f"critic has {nearest['optimum']:.3f} on these pairs. The nearest run has "
        f"{nearest['loss']:.3f}: {nearest['excess']:.3f} above. It finds "
        f"{nearest['top_1']:.1%} of partners first, of at most {nearest['ceiling']:.1%}."
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws the excess over parameters and over pairs, retrieval and naming over the excess."""
    with style.paper_figure(1, 3, height=2.6) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_excess(axes[0, 1], findings.details, "pairs")
        _draw_reach(axes[0, 2], findings.details)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the excess over parameters."""
    _draw_excess(ax, findings.details, "parameters")


def _draw_excess(ax: Axes, details: Details, name: str) -> None:
    rows, column = details.runs, AXES[name]
    fresh = rows["n_train"] == rows["n_train"].to_numpy().max()
    part = rows.loc[fresh if name == "parameters" else ~fresh]
    look = style.SERIES[0 if name == "parameters" else 1]
    ax.plot(part[column], part["excess"], **look.marks())
    if (law := details.laws.get(name)) is not None:
        along = np.geomspace(part[column].to_numpy().min(), part[column].to_numpy().max(), 40)
        draw_law(ax, along, law, f"exponent {law.params['alpha']:.2f}")
        ax.legend(loc="upper right")
    ticks.log_scale(ax, "x", "y")
    ax.set(xlabel=name, ylabel="loss above the optimum (nats)")


def _draw_reach(ax: Axes, details: Details) -> None:
    rows = details.runs
    for look, (column, ceiling, label) in zip(
        style.SERIES[2:],
        (
            ("top_1", float(rows["ceiling"].to_numpy(np.float64).mean()), "partners found first"),
            ("named", details.named, "classes named by prompts"),
        ),
        strict=False,
    ):
        ax.plot(rows["excess"], rows[column], **look.marks(), label=label)
        ax.axhline(ceiling, color=look.color, linewidth=0.9, linestyle="--")
    ax.set(xlabel="loss above the optimum (nats)", ylabel="share (dashed: ceiling)")
    ax.set_ylim(0, 0.8)
    ax.legend(loc="upper right", fontsize=7)
