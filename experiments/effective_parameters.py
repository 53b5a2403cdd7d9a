"""Does the peak of random features remain over the parameters that are in effect? MNIST-1D.

Claim: beyond the interpolation threshold more features make a smoother solution. Counted by the
rows of its smoother on held-out examples, the parameters in effect peak at N = n and fall again.
Drawn over them the curve folds back: on either branch the error only rises with the parameters in
effect, and double descent is two U-shaped or L-shaped curves over two axes.
Paper: Curth, Jeffares, van der Schaar 2023 (NeurIPS; arXiv 2310.18988), sections 4 and 5.
Command: scaling run effective_parameters
Cost: none beside `belkin`, whose runs it draws.
Expected: on training examples minimum-norm least squares has N parameters in effect below the
threshold, exactly; on held-out examples they peak at N = n, and are fewer than n at N = 10 n. The
rank correlation of test squared error and parameters in effect is at least 0.9 on both branches.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import descent, style, ticks
from analysis.plots.descent_axes import axis_of_runs, own_axis
from analysis.tables import results
from experiments import belkin
from experiments.experiment import Expected, Findings, Measured
from experiments.shared.panels import summaries, with_notes

RUNS_OF = "belkin"
SWEEP = belkin.SWEEP

DRAWN = (belkin.CLEAN, belkin.RIDGED)
_PAPER = "Curth et al. 2023, sections 4 and 5"

EXPECTED = (
    Expected(
        name="identity",
        says="largest relative deviation from N on training examples, N <= n",
        high=1e-6,
        source="trace of a projection",
    ),
    Expected(
        name="peak",
        says="most parameters in effect on held-out examples, N/n",
        low=0.95,
        high=1.05,
        source=_PAPER,
    ),
    Expected(name="far", says="parameters in effect at N = 10 n, over n", high=1, source=_PAPER),
    *(
        Expected(
            name=name,
            says=f"rank correlation of error and parameters in effect, {where}",
            low=0.9,
            source=_PAPER,
        )
        for name, where in (("below", "N <= n"), ("beyond", "N >= n"))
    ),
)

CAPTION = (
    "Test squared error over (a) features per example and (b) parameters in effect on held-out "
    "examples; (c) these over features per example: medians with bands over seeds.",
    "Parameters in effect are most at N/n = {peak} and {far} of n at ten times the threshold.",
)
ALT = (
    "Line charts: over features the error peaks; over the parameters in effect it only rises, "
    "on a curve that folds back.",
    "These parameters are most at N/n = {peak}.",
)


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame
    n: int


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares the error over features with that over the parameters in effect."""
    n = int(table["data.n_train"].iloc[0])
    table = table.assign(ratio=table["model.n_features"] / n)
    columns = ["eval_squared_error", "effective_params_train", "effective_params_eval"]
    runs, excluded = results.usable(table, columns)
    runs = runs.assign(setting=belkin.settings(runs))
    clean = runs.loc[runs["setting"] == belkin.CLEAN]
    narrow = clean.loc[clean["ratio"] <= 1]
    off = np.abs(narrow["effective_params_train"] / narrow["model.n_features"].astype(float) - 1)
    shown = summaries(runs, ["setting", "ratio"], columns)
    medians = clean.groupby("ratio")[columns].median()
    in_effect = medians["effective_params_eval"]
    return Findings(
        measured={
            "identity": Measured(value=float(np.max(off))),
            "peak": Measured(value=float(in_effect.index[int(np.argmax(in_effect))])),
            "far": Measured(value=float(in_effect.iloc[-1] / n)),
            "below": Measured(value=_rises(medians.loc[medians.index <= 1])),
            "beyond": Measured(value=_rises(medians.loc[medians.index >= 1])),
        },
        verdict=(
            f"At N = 10 n, {in_effect.index[-1] * n:g} features have {in_effect.iloc[-1]:.3g} "
            f"parameters in effect, as few as {_as_few(in_effect):.2g} n features have below the "
            "threshold. On either branch the error rises with the parameters in effect: over them "
            "there is no peak, but two branches."
        ),
        shown=with_notes(shown, excluded, "ratio"),
        details=Details(runs, n),
    )


def _rises(medians: pd.DataFrame) -> float:
    """Rank correlation of error and parameters in effect over sizes."""
    ranks = medians.rank()
    return float(np.corrcoef(ranks["effective_params_eval"], ranks["eval_squared_error"])[0, 1])


def _as_few(in_effect: pd.Series) -> float:
    """N/n below the threshold with as many parameters in effect as the largest model."""
    below = in_effect.loc[in_effect.index <= 1]
    logs = np.interp(np.log(in_effect.iloc[-1]), np.log(below), np.log(np.asarray(below.index)))
    return float(np.exp(logs))


def figure(findings: Findings[Details]) -> Figure:
    """Draws the error over features and over the parameters in effect, and these over features."""
    runs, n = findings.details
    by_features = own_axis("features / examples, $N/n$")
    with style.paper_style():
        drawing, (left, middle, right), _ = descent.descent_panels(3)
        for ax in (left, middle, right):
            ticks.log_scale(ax, "y", ticks=(1,))
        for name, look in zip(DRAWN, style.SERIES, strict=False):
            rows = runs.loc[runs["setting"] == name]
            ratio, error, seed = rows["ratio"], rows["eval_squared_error"], rows["seed"]
            in_effect = rows["effective_params_eval"]
            folded = axis_of_runs("parameters in effect, held-out", ratio, in_effect, seed)
            descent.draw_quantity(
                left, ratio, error, seed, axis=by_features, label=name, style=look
            )
            descent.draw_quantity(middle, ratio, error, seed, axis=folded, label=name, style=look)
            descent.draw_quantity(
                right, ratio, in_effect, seed, axis=by_features, label=name, style=look
            )
        sizes = np.geomspace(runs["ratio"].min(), runs["ratio"].max(), 100)
        label = "least squares, training examples: min(N, n)"
        in_training = np.minimum(sizes, 1) * n
        descent.draw_theory(right, sizes, in_training, axis=by_features, label=label)
        for ax in (left, middle):
            ax.set_ylabel("test squared error (one-hot units²)")
        right.set_ylabel("parameters in effect")
        style.outer_legend(drawing, [left, right], "outside lower center", 3)
    return drawing
