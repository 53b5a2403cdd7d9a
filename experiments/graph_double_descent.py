"""Does a graph convolution show double descent, and does theory give its curve?

Claim: least squares on the nodes of a graph, behind one convolution, peaks where the features of a
node are as many as the labels, and descends again beyond, below its first minimum. Risks and
accuracy have closed forms on both sides. The Gaussian model stands for block models (universality).
Paper: Shi, Pan, Hu, Dokmanić 2022 (arXiv 2212.13069, PNAS 2024); the closed forms are derived in
`analysis.theory.graph_convolution`.
Command: scaling run graph_double_descent
Cost: 4 sizes x 20 seeds at 2,000 nodes, 12 sizes x 12 seeds x 2 graphs at 600, about 20 s on two
CPU cores.
Expected: at 2,000 nodes and kappa <= 0.8 the test risk is within 5 % of theory. The peak is within
one grid step of kappa = 1, and the test risk ends below its first minimum. The test risk of a
directed block model of degree 20 is within 15 % of the Gaussian theory for kappa <= 0.8.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.double_descent import verdict
from analysis.estimate import Floats
from analysis.plots import descent as draw
from analysis.plots import style, ticks
from analysis.plots.descent_axes import SizeAxis, own_axis
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import peak_of, with_notes
from scaling.config import RunConfig
from scaling.data.graph import Graph, GraphNodes
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import grid

GRAPH_SIGNAL, FEATURE_SIGNAL, TRAIN_SHARE = 2.0, 1.0, 0.5
COARSE = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 2.0, 8.0)
WHOLE = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3, 2.0, 5.0)
"""kappa, features over labels, of the curves with a peak."""
BELOW = (0.1, 0.25, 0.5, 0.8)
"""kappa of the large graph, which theory is compared with."""
JUDGED = 0.8
"""Largest kappa at which the risk is compared with theory: nearer to 1 its mean hardly settles."""
INTERPOLATED = 1e-16
"""Train squared error below which a read-out interpolates; labels are -1 and 1."""


def _sweep(
    whole: tuple[float, ...], n_nodes: int, n_seeds: int, n_large: int, seeds_large: int
) -> list[RunConfig]:
    runs = []
    parts: tuple[tuple[Graph, int, tuple[float, ...], int], ...] = (
        ("gaussian", n_nodes, whole, n_seeds),
        ("directed_sbm", n_nodes, whole, n_seeds),
        ("gaussian", n_large, BELOW, seeds_large),
    )
    for graph, nodes, sizes, n in parts:
        n_train = round(TRAIN_SHARE * nodes)
        for kappa in sizes:
            dimension = round(kappa * n_train)
            base = RunConfig(
                model=Linear(n_features=dimension),
                data=GraphNodes(
                    n_train=n_train,
                    n_eval=nodes - n_train,
                    dimension=dimension,
                    graph_signal=GRAPH_SIGNAL,
                    feature_signal=FEATURE_SIGNAL,
                    graph=graph,
                ),
                train=Ridgeless(),
            )
            # Every point has its own seeds, so that points are independent.
            runs += grid(base, {"seed": range(1000 * dimension, 1000 * dimension + n)})
    return runs


SWEEP: Sweep = {
    "smoke": partial(_sweep, COARSE, n_nodes=240, n_seeds=12, n_large=600, seeds_large=16),
    "cpu": partial(_sweep, WHOLE, n_nodes=600, n_seeds=12, n_large=2000, seeds_large=20),
    "gpu": partial(_sweep, WHOLE, n_nodes=2000, n_seeds=40, n_large=6000, seeds_large=40),
}

EXPECTED = (
    Expected(
        name="off_theory",
        says="largest relative distance of the test risk from theory, kappa <= 0.8",
        high=0.05,
        source="closed form; at 2,000 nodes",
    ),
    Expected(
        name="accuracy_off_theory",
        says="largest distance of the accuracy from theory, kappa <= 0.8",
        high=0.02,
        source="closed form; at 2,000 nodes",
    ),
    Expected(
        name="peak",
        says="peak of the test risk, features / labels",
        low=0.9,
        high=1.1,
        source="Shi et al. 2022: at kappa = 1",
    ),
    Expected(
        name="second_descent",
        says="confidence that the test risk ends below its first minimum",
        low=0.95,
        source="closed form: 0.48 at kappa = 5, 0.70 at the first minimum",
    ),
    Expected(
        name="block_model_off_theory",
        says="largest relative distance of a directed block model's test risk, kappa <= 0.8",
        high=0.15,
        source="Shi et al. 2022: universality",
    ),
)

CAPTION = (
    "(a) Test squared error and (b) accuracy of regression on a graph over features per label, "
    "medians with 68 % of seeds, for a Gaussian graph and a directed block model; theory is "
    "dashed, residuals below.",
    "The risk peaks at {peak} and, below 0.8, is within {off_theory} of theory.",
)
ALT = (
    "Line charts over features per label: the error peaks and the accuracy dips at {peak}, as "
    "theory says, and both are better again beyond.",
)

GAUSSIAN, BLOCKS = "Gaussian graph", "directed block model"
LOOKS = {GAUSSIAN: style.SERIES[0], BLOCKS: style.SERIES[1]}
PANELS = {"eval_squared_error": "test squared error", "accuracy": "test accuracy"}
AXIS: SizeAxis = own_axis("features / training labels, $\\kappa$")


class Details(NamedTuple):
    """What the figure draws: runs at the smaller graphs with a whole curve, and what was found."""

    whole: pd.DataFrame
    found: verdict.DoubleDescent


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares risk and accuracy with theory, and finds the peak of the Gaussian graph."""
    table = table.assign(
        kappa=table["data.dimension"] / table["data.n_train"],
        nodes=table["data.n_train"] + table["data.n_eval"],
        graph=np.where(table["data.graph"] == "gaussian", GAUSSIAN, BLOCKS),
    )
    runs, excluded = results.usable(
        table, ["eval_squared_error", "eval_error", "train_squared_error"]
    )
    runs = runs.assign(accuracy=1 - runs["eval_error"])
    whole = runs.loc[runs["nodes"] < runs["nodes"].max()]
    gaussian = whole.loc[whole["graph"] == GAUSSIAN]
    found = verdict.descent(
        gaussian["kappa"],
        gaussian["train_squared_error"],
        gaussian["eval_squared_error"],
        gaussian["seed"],
        tolerance=INTERPOLATED,
    )
    shown = pd.concat([_compared(runs, quantity) for quantity in PANELS])
    nodes = int(np.max(runs["nodes"].to_numpy()))
    on_large = shown["nodes"] == nodes
    blocks = shown["graph"] == BLOCKS
    return Findings(
        measured={
            "off_theory": _farthest(shown.loc[on_large], "eval_squared_error", f"{nodes} nodes"),
            "accuracy_off_theory": _farthest(shown.loc[on_large], "accuracy", f"{nodes} nodes"),
            "peak": peak_of(found),
            "second_descent": Measured(value=found.confidence_below),
            "block_model_off_theory": _farthest(shown.loc[blocks], "eval_squared_error", ""),
        },
        verdict=f"{GAUSSIAN}: {found.verdict.value}. {found.reason}",
        shown=with_notes(shown, excluded, "kappa", threshold=found.threshold),
        details=Details(whole, found),
        report={
            "graph_signal": GRAPH_SIGNAL,
            "feature_signal": FEATURE_SIGNAL,
            "train_share": TRAIN_SHARE,
        },
    )


def _compared(runs: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Means over seeds with theory; the distance is relative for the risk and plain else."""
    rows = results.summarise(runs, ["graph", "nodes", "kappa"], quantity)
    rows = rows.assign(
        quantity=quantity, theory=_theory(rows["kappa"].to_numpy(np.float64), quantity)
    )
    with np.errstate(invalid="ignore"):
        off = (rows["mean"] - rows["theory"]).abs()
        rows["off"] = off / rows["theory"] if quantity == "eval_squared_error" else off
    return rows


def _theory(kappa: Floats, quantity: str) -> Floats:
    risk = theory.graph_convolution_risk(
        kappa, graph_signal=GRAPH_SIGNAL, feature_signal=FEATURE_SIGNAL, train_share=TRAIN_SHARE
    )
    return risk.accuracy if quantity == "accuracy" else risk.test_risk


def _farthest(rows: pd.DataFrame, quantity: str, note: str) -> Measured:
    judged = rows.loc[(rows["quantity"] == quantity) & (rows["kappa"] <= JUDGED + 1e-9)]
    off, kappa = (judged[name].to_numpy(np.float64) for name in ("off", "kappa"))
    worst = int(np.argmax(off))
    return Measured(value=float(off[worst]), note=f"{note} at kappa = {kappa[worst]:g}".strip())


def figure(findings: Findings[Details]) -> Figure:
    """Draws test risk and accuracy against kappa, with theory and residuals below."""
    whole, _ = findings.details
    with style.paper_style():
        drawing, upper, lower = draw.descent_panels(2, residuals=True)
        for top, bottom, quantity in zip(upper, lower, PANELS, strict=True):
            _draw(top, findings, quantity)
            for name, look in LOOKS.items():
                rows = whole[(whole["graph"] == name) & (whole["kappa"] != 1)]
                draw.draw_residuals(
                    bottom, rows["kappa"], rows[quantity], rows["seed"],
                    partial(_theory, quantity=quantity), axis=AXIS, label=name, style=look,
                )  # fmt: skip
            top.set_xlabel("")
        style.outer_legend(drawing, upper, "outside lower center", 4)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the test risk against kappa."""
    _draw(ax, findings, "eval_squared_error")
    ax.legend(loc="upper left")


def _draw(ax: Axes, findings: Findings[Details], quantity: str) -> None:
    whole, found = findings.details
    if quantity == "eval_squared_error":
        ticks.log_scale(ax, "y", ticks=(1,))
    ends = whole["kappa"].min(), whole["kappa"].max()
    along = np.unique(np.r_[np.geomspace(*ends, 300), np.geomspace(0.98, 1.02, 41)])
    for name, look in LOOKS.items():
        rows = whole[whole["graph"] == name]
        draw.draw_quantity(
            ax, rows["kappa"], rows[quantity], rows["seed"], axis=AXIS,
            label=f"{name}, 68 %", style=look,
        )  # fmt: skip
    draw.draw_theory(ax, along, _theory(along, quantity), axis=AXIS)
    peak = found.peak and found.peak.location
    draw.mark_descent(ax, AXIS, threshold=found.threshold, peak=peak)
    ax.set_ylabel(PANELS[quantity])
