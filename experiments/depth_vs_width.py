"""Deep and narrow or shallow and wide? Loss against the aspect ratio at equal size.

Claim: at a fixed number of parameters and tokens, the loss varies by a few per cent while the
aspect ratio, width over depth, varies by a large factor, as long as there are two blocks or more.
Paper: Kaplan et al. 2020 (arXiv 2001.08361), section 3.1 and figure 5: a factor 40 in the aspect
ratio is "only slightly impacting performance", and 6 layers of width 4288 come within 3 % of 48
layers of width 1600; figure 6: fewer than two layers, or extreme ratios, are worse than the rest.
Command: scaling run depth_vs_width
Cost: 2 sizes of 3e4 and 9e4 parameters x depths 1, 2, 4 and 8 x 2 learning rates x 2 seeds,
7e12 FLOPs, about 5 min on two CPU cores.
Expected: among shapes of two blocks or more, over a factor 7 in aspect ratio, the worst is within
6 % of the best of its size. Where one of these shapes has no learning rate at which every seed is
done, there is no such number. The loss of one block (a factor 20 in all) is reported beside it. The
best aspect ratio is reported with its interval over seeds where a parabola in its logarithm has a
minimum inside the grid; otherwise the verdict says that it is not resolved.

Every shape is taken at the better of two learning rates, a factor 2 apart, because a rate tuned on
one shape would favour it. A rate at which a seed diverged or failed is not considered. Widths are
the multiples of 4, the size of a head, with the nearest number of parameters in products. The
remaining difference in size is corrected by the slope of log loss against log N between sizes of
the same depth, where there are several. FLOPs are not equal: at one size, those of attention grow
with depth times width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.compute_optimal.valley import Valley
from analysis.compute_optimal.valleys import valleys
from analysis.errors import FitError
from analysis.estimate import Floats
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared import language_models as lm
from experiments.shared.panels import mark_excluded, one_panel, plain, with_notes
from experiments.shared.tuned import RATE, at_best_rates
from scaling.config import RunConfig
from scaling.models.transformer import Transformer
from sweeps.recipes import crossed
from sweeps.rules import Rule
from sweeps.shapes import Recipe

SAME_SIZE = 1.3
"""Sizes within this factor of the next count as one size."""

SHAPE = ["model.width", "model.depth"]


def of_depth(recipe: Recipe, depth: int, head_size: int, rate: float) -> Recipe:
    """Recipe of models of one depth, with heads of one size and `rate` times the learning rate."""
    model, rule = recipe.base.model, recipe.learning_rate
    assert isinstance(model, Transformer) and rule is not None
    faster: Rule = lambda cell: rate * rule(cell)  # noqa: E731
    return replace(
        recipe,
        base=replace(recipe.base, model=replace(model, depth=depth, head_size=head_size)),
        depth=None,
        multiple_of=head_size,
        learning_rate=faster,
    )


def _sweep(
    recipe: Callable[[], Recipe],
    sizes: Sequence[float],
    depths: Sequence[int],
    tokens: float,
    rates: Sequence[float],
    n_seeds: int,
    head_size: int,
) -> list[RunConfig]:
    runs = []
    for depth in depths:
        for rate in rates:
            shaped = of_depth(recipe(), depth, head_size, rate)
            runs += crossed(sizes, [tokens], shaped, size_tolerance=0.2)
    return lm.reseeded(runs, range(n_seeds))


_small = partial(lm.small_models, n_eval=256, evaluations=1)

SWEEP: Sweep = {
    "smoke": partial(
        _sweep,
        _small,
        sizes=(2.9e4,),
        depths=(1, 2, 4, 8),
        tokens=1e5,
        rates=(1,),
        n_seeds=2,
        head_size=4,
    ),
    "cpu": partial(
        _sweep,
        _small,
        sizes=(2.9e4, 8.85e4),
        depths=(1, 2, 4, 8),
        tokens=5e5,
        rates=(0.5, 1),
        n_seeds=2,
        head_size=4,
    ),
    "gpu": partial(
        _sweep,
        lm.large_models,
        sizes=(1.4e7, 5.5e7),
        depths=(1, 2, 4, 8, 16, 32),
        tokens=1e9,
        rates=(0.5, 1),
        n_seeds=3,
        head_size=32,
    ),
}

EXPECTED = (
    Expected(
        name="spread",
        says="worst loss over best at one size, minus 1 (two blocks or more)",
        high=0.06,
        source="Kaplan et al. 2020, section 3.1 and figure 5: a few per cent",
    ),
)

CAPTION = (
    "Loss above that of the best shape over the ratio of width to depth, a line a size, with "
    "standard errors.",
    "Shapes of two blocks or more differ by {spread} of the loss at most.",
)
ALT = (
    "Line chart of loss over aspect ratio: a wide, flat valley.",
    "From two blocks on shapes of one size differ by {spread} at most.",
)


class Details(NamedTuple):
    """What the figure draws."""

    shapes: pd.DataFrame
    valleys: Mapping[float, Valley]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds loss against aspect ratio at every size, at the best rate of each shape.

    Raises:
        ValueError: No shape of two blocks or more has a learning rate at which every seed is done.
    """
    width, depth = table[SHAPE].to_numpy(np.float64).T
    runs, excluded = results.usable(table.assign(aspect=width / depth), ["eval_loss_nats"])
    runs = _complete_rates(runs, table)
    if runs.loc[runs["model.depth"] > 1].empty:
        raise ValueError(
            "No shape of two blocks or more has a learning rate at which every seed is done. Run "
            "the command again, or lower the rates."
        )
    lost = _lost(runs, table.loc[table["model.depth"] > 1])
    sized = runs.assign(size=_sizes(runs["n_params_matmul"].to_numpy(np.float64)))
    runs = at_best_rates(sized, SHAPE)
    slope = _slope(runs)
    off = (runs["size"] / runs["n_params_matmul"].to_numpy(np.float64)) ** slope
    runs = runs.assign(loss=runs["eval_loss_nats"] * off)
    shown = results.summarise(runs, ["size", "aspect", "model.depth"], "loss")
    deep = shown[shown["model.depth"] > 1]
    spread, reach = {}, {}
    for size in np.unique(deep["size"]):
        loss, aspect = deep.loc[deep["size"] == size, ["mean", "aspect"]].to_numpy().T
        spread[size] = float(loss.max() / loss.min() - 1)
        reach[size] = float(aspect.max() / aspect.min())
    resolved = _resolved(runs)
    return Findings(
        measured={
            "spread": Measured(
                value=None if lost else max(spread.values()),
                note=lost or f"over a factor {min(reach.values()):.0f} of aspect ratio",
            )
        },
        verdict="\n".join(
            [_line(size, spread[size], _behind(shown, size), resolved.get(size)) for size in spread]
            + ([f"Of the remaining shapes only: {lost}."] if lost else [])
        ),
        shown=with_notes(shown, excluded, "aspect"),
        details=Details(shown, resolved, excluded),
        report={
            "slope_of_log_loss_on_log_n": slope,
            "spread": {f"{size:.0f}": value for size, value in spread.items()},
            "best_aspect": {
                f"{size:.0f}": plain(valley.optimum)
                for size, valley in resolved.items()
                if valley.optimum is not None
            },
        },
    )


def _sizes(counts: Floats) -> Floats:
    """Size class of every run: the geometric mean of the sizes that count as one with its own."""
    distinct, which = np.unique(counts, return_inverse=True)
    cuts = np.flatnonzero(distinct[1:] > SAME_SIZE * distinct[:-1]) + 1
    means = [np.full(len(each), np.exp(np.log(each).mean())) for each in np.split(distinct, cuts)]
    return np.concatenate(means)[which]


def _complete_rates(runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Runs of shapes and learning rates at which every seed of the table is done."""
    planned, done = (
        each.groupby([*SHAPE, RATE])["run_id"].transform("size") for each in (table, runs)
    )
    return runs.loc[done == planned.loc[runs.index]]


def _lost(runs: pd.DataFrame, table: pd.DataFrame) -> str:
    """Sentence that names the shapes of the table without runs; empty where all have some."""
    kept, asked = (
        {(width, depth) for width, depth in each[SHAPE].to_numpy(np.float64)}
        for each in (runs, table)
    )
    if asked <= kept:
        return ""
    shapes = "; ".join(
        f"width {width:.0f}, depth {depth:.0f}" for width, depth in sorted(asked - kept)
    )
    return f"no learning rate has every seed done at {shapes}"


def _slope(runs: pd.DataFrame) -> float:
    """Slope of log loss against log N at equal depth, by least squares; 0 for a single size."""
    if len(np.unique(runs["size"])) < 2:
        return 0.0
    logs = pd.DataFrame(
        np.log(runs[["n_params_matmul", "eval_loss_nats"]].to_numpy(np.float64)), runs.index
    )
    x, y = (logs - logs.groupby(runs["model.depth"]).transform("mean")).to_numpy().T
    return float(x @ y / (x @ x))


def _resolved(runs: pd.DataFrame) -> dict[float, Valley]:
    """Fits parabolas in log aspect ratio at every size, as to iso-FLOP curves in log N.

    Returns:
        The valleys that have a minimum inside the grid which the seeds resolve, by size.
    """
    try:
        found = valleys(runs["aspect"], runs["loss"], runs["size"])
    except FitError:
        return {}
    sizes = sorted(runs["size"].unique())
    return {
        size: valley
        for size, valley in zip(sizes, found.valleys, strict=True)
        if valley.optimum is not None
    }


def _behind(shown: pd.DataFrame, size: float) -> float | None:
    """Loss of one block over the best of its size, minus 1; None where one block has no runs."""
    mean, depth = shown.loc[shown["size"] == size, ["mean", "model.depth"]].to_numpy().T
    return float(mean[depth == 1][0] / mean.min() - 1) if 1 in depth else None


def _line(size: float, spread: float, behind: float | None, valley: Valley | None) -> str:
    """What was found at one size, on one line."""
    best = "not resolved" if valley is None else f"{valley.optimum}"
    alone = "" if behind is None else f", one block {behind:.1%} above the best"
    return f"N = {size:,.0f}: losses within {spread:.1%}{alone}; best aspect ratio {best}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws the loss over that of the best shape against the aspect ratio."""
    return one_panel(overview, findings, height=2.8)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the excess over the best loss of each size, with parabolas where resolved."""
    shapes, valleys, excluded = findings.details
    for look, size in zip(style.SERIES, np.unique(shapes["size"]), strict=False):
        each = shapes.loc[shapes["size"] == size]
        least = each["mean"].min()
        ax.errorbar(
            each["aspect"],
            100 * (each["mean"] / least - 1),
            yerr=100 * each["sem"] / least,
            color=look.color,
            marker=look.marker,
            linestyle="none" if size in valleys else look.linestyle,
            linewidth=0.8,
            label=f"$N$ = {size:,.0f}",
        )
        if size in valleys:
            along = np.array(valleys[size].curve_x)
            curve = 100 * (np.array(valleys[size].curve_loss) / least - 1)
            ax.plot(along, curve, **look.line(), linewidth=0.9)
    ax.set(xscale="log", xlabel="aspect ratio, width / depth", ylabel="loss above the best (%)")
    log_ticks(ax, "x", most=6)
    mark_excluded(ax, excluded, "aspect")
    style.legend_above(ax)
