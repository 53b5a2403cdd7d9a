"""How deep should a graph convolution be?

Claim: a convolution averages the noise of a node's neighbours away and mixes the labels. Depth
therefore helps first and then hurts (over-smoothing), in a closed form: Phi of the signal, which
shrinks by the graph's own at every convolution but for walks that turn back, over noise of which
the share that all nodes have in common never shrinks. More edges help at once, more nodes only
where that share counts.
Paper: Wu, Chen, Wang, Jadbabaie 2022 (arXiv 2212.10701) for the trade; the closed form is derived
in `analysis.theory.over_smoothing`.
Command: scaling run graphs
Cost: 7 depths x 50 graphs of 2,000 nodes and 2 depths x 4 degrees x 24 graphs of two sizes, about 1
minute on two CPU cores.
Expected: at 2,000 nodes, mean degree 60 and both signals 0.3 the best depth is 2, in simulation and
by the formula, and the accuracy is within 0.05 of the formula up to depth 2. The network is one
feature and its threshold at 0; a threshold that is learnt undoes part of over-smoothing. Double
descent on graphs is in `graph_double_descent`.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.estimate import Floats
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.smoothed_nodes import SmoothedNodes
from scaling.models.linear import Linear
from scaling.solving import Ridgeless
from sweeps.space import chain, grid

SIGNAL = 0.3
"""Signal of the features and of the graph."""
JUDGED = 2
"""Depth up to which accuracy is compared with the formula: beyond, one draw a graph dominates."""


class Size(NamedTuple):
    """What a declared size of the experiment runs."""

    nodes: int
    degree: float
    depths: tuple[int, ...]
    graphs: int
    other_nodes: int
    degrees: tuple[float, ...]
    fewer_graphs: int


def _sweep(size: Size) -> list[RunConfig]:
    def base(nodes: int) -> RunConfig:
        return RunConfig(
            model=Linear(n_features=1),
            data=SmoothedNodes(
                n_train=nodes // 2,
                n_eval=nodes - nodes // 2,
                degree=size.degree,
                feature_signal=SIGNAL,
                graph_signal=SIGNAL,
            ),
            train=Ridgeless(),
        )

    return chain(
        grid(base(size.nodes), {"data.depth": size.depths, "seed": range(size.graphs)}),
        *(
            # Graphs of their own, so that points are independent.
            grid(
                base(nodes),
                {
                    "data.depth": (1, 2),
                    "data.degree": size.degrees,
                    "seed": range(nodes, nodes + size.fewer_graphs),
                },
            )
            for nodes in (size.nodes, size.other_nodes)
        ),
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, Size(600, 40, (0, 1, 2, 3, 4), 24, 300, (10, 20), 12)),
    "cpu": partial(_sweep, Size(2000, 60, (0, 1, 2, 3, 4, 6, 8), 50, 500, (10, 20, 60, 120), 24)),
    "gpu": partial(
        _sweep, Size(8000, 60, (0, 1, 2, 3, 4, 6, 8, 12), 100, 2000, (10, 30, 100, 300), 50)
    ),
}

EXPECTED = (
    Expected(
        name="best_depth",
        says="depth of the best accuracy",
        low=2,
        high=2,
        source="closed form: 2 at this setting",
        budgets=("cpu",),
    ),
    Expected(
        name="off_formula",
        says=f"largest distance of the accuracy from the formula, depth <= {JUDGED}",
        high=0.05,
        source="closed form",
    ),
    Expected(
        name="over_smoothing",
        says="accuracy lost from the best to the largest depth",
        low=0.05,
        source="closed form: 0.33 at depth 8",
    ),
)

CAPTION = (
    "Accuracy of a graph convolution (a) over the number of convolutions with the closed form, "
    "and (b) over the mean degree at two sizes and depths; bars are standard errors.",
    "The best depth is {best_depth}; at the largest depth an accuracy of {over_smoothing} is "
    "lost again.",
)
ALT = (
    "Line chart of accuracy over depth: it rises to a best depth and falls again by "
    "{over_smoothing}.",
)


class Details(NamedTuple):
    """What the figure draws: mean accuracies by depth, and by degree, with their formula."""

    by_depth: pd.DataFrame
    by_degree: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares accuracies with the formula, along depth and along degree.

    Raises:
        ValueError: No run along depth is done.
    """
    runs, excluded = results.usable(table, ["eval_error"])
    runs = runs.assign(
        accuracy=1 - runs["eval_error"],
        nodes=runs["data.n_train"] + runs["data.n_eval"],
        depth=runs["data.depth"],
        degree=runs["data.degree"],
    )
    nodes = int(runs["nodes"].to_numpy().max())
    deep = runs["depth"].max()
    setting = float(runs.loc[runs["depth"] == deep, "degree"].iloc[0])
    first = runs.loc[
        (runs["nodes"] == nodes) & (runs["degree"] == setting) & (runs["seed"] < nodes)
    ]
    if first.empty:
        raise ValueError("No run along depth is done. Run the command again.")
    by_depth = _compared(first)
    by_degree = _compared(runs.loc[runs["seed"] >= runs["nodes"]])
    accuracy, depth = (by_depth[name].to_numpy(np.float64) for name in ("mean", "depth"))
    best = int(depth[np.argmax(accuracy)])
    formula = int(depth[np.argmax(by_depth["theory"])])
    every = pd.concat([by_depth, by_degree], ignore_index=True)
    judged = every.loc[every["depth"] <= JUDGED]
    worst = judged.iloc[judged["off"].abs().argmax()]
    return Findings(
        measured={
            "best_depth": Measured(value=best, note=f"formula {formula}"),
            "off_formula": Measured(
                value=abs(float(worst["off"])),
                note=(
                    f"{worst['off']:+.3f} at depth {worst['depth']:g}, degree "
                    f"{worst['degree']:g}, {worst['nodes']:g} nodes; {len(judged)} points"
                ),
            ),
            "over_smoothing": Measured(value=float(accuracy.max() - accuracy[-1])),
        },
        verdict=(
            f"Depth {best} is best at {nodes} nodes of degree {setting:g} (formula: {formula}): "
            f"accuracy {accuracy.max():.3f}, against {accuracy[0]:.3f} without the graph and "
            f"{accuracy[-1]:.3f} at depth {depth[-1]:g}."
        ),
        shown=with_notes(every, excluded.assign(depth=excluded["data.depth"]), "depth"),
        details=Details(by_depth, by_degree),
        report={"signal": SIGNAL, "degree": setting},
    )


def _compared(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracies over graphs, with the formula and their distance from it."""
    rows = results.summarise(runs, ["nodes", "degree", "depth"], "accuracy")
    formula = _formula(rows["depth"], rows["nodes"], rows["degree"])
    return rows.assign(theory=formula, off=rows["mean"] - formula)


def _formula(depth: object, nodes: object, degree: object) -> Floats:
    return theory.smoothed_accuracy(
        np.asarray(depth), nodes=np.asarray(nodes, np.float64),
        degree=np.asarray(degree, np.float64), feature_signal=SIGNAL, graph_signal=SIGNAL,
    )  # fmt: skip


def figure(findings: Findings[Details]) -> Figure:
    """Draws accuracy over depth, and over degree at two sizes."""
    with style.paper_figure(1, 2, height=2.7) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_degrees(axes[0, 1], findings.details.by_degree)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws accuracy over depth with its formula."""
    rows = findings.details.by_depth
    ax.plot(rows["depth"], rows["theory"], color=style.INK, linewidth=0.9, label="formula")
    ax.errorbar(
        rows["depth"], rows["mean"], rows["sem"], **style.SERIES[0].marks(), capsize=2,
        elinewidth=0.8, label="graphs, s.e.",
    )  # fmt: skip
    ax.axhline(0.5, color=style.GREY, linewidth=0.6)
    ax.set(xlabel="convolutions", ylabel="test accuracy")
    ax.legend(loc="upper right")


def _draw_degrees(ax: Axes, rows: pd.DataFrame) -> None:
    groups = rows.groupby(["nodes", "depth"])
    for look, (_, group) in zip(style.SERIES, groups, strict=False):
        nodes, depth = (float(group[name].iloc[0]) for name in ("nodes", "depth"))
        along = np.geomspace(group["degree"].min(), group["degree"].max(), 60)
        formula = _formula(np.full(60, int(depth)), np.full(60, nodes), along)
        ax.plot(along, formula, **look.line(), linewidth=0.9)
        label = f"{nodes:g} nodes, depth {depth:g}"
        ax.errorbar(
            group["degree"], group["mean"], group["sem"], **look.marks(), capsize=2,
            elinewidth=0.8, label=label,
        )  # fmt: skip
    ticks.log_scale(ax, "x")
    ax.set(xlabel="mean degree (edges a node)", ylabel="test accuracy")
    ax.legend(loc="upper left", fontsize=7)
