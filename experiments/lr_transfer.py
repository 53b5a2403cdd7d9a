"""Does the best learning rate of a narrow model serve a wide one? Transfer under muP.

Claim: under muP the best learning rate is the same at every width. In the standard parametrization
it falls with width, nearly as its inverse.
Paper: Yang et al. 2022 (arXiv 2203.03466), figures 1 and 4.
Command: scaling run lr_transfer
Cost: 100 runs of 160 steps, 1.6e13 FLOPs, about 4 min on two CPU cores.
Expected: over widths 32 to 256 the best rates under muP lie within a factor 2; in the standard
parametrization they fall as width^-0.5 or faster.

At each width, rates are on a grid in factors of 2. The best is the minimum of a parabola in log
rate through the lowest point and those within a factor 4 of it. The grid of the standard
parametrization moves as 1 / width, so that the same number of points brackets either minimum. The
size of the heads is the same at every width. Smaller widths have several seeds, from which the
noise is estimated. At the smallest width both parametrizations are the same model, trained twice.
Transfer does not mean a lower loss: after so few steps, with each at its best rate, a model of
width 256 ends 0.1 nats lower in the standard parametrization.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.compute_optimal.valley import Curve, Valley
from analysis.compute_optimal.valleys import Valleys, valleys
from analysis.errors import FitError
from analysis.plots import style
from analysis.plots.isoflop import draw_optima
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, measured, share_limits, tick_widths, with_notes
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.models.parametrization import MuP, Standard
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import finite
from scaling.training import Adam
from sweeps.space import chain, grid

OCTAVES = (-2, -1, 0, 1, 2)
"""Positions on the grid of rates, in factors of 2 about its middle."""


def _sweep(
    n_seeds: Mapping[int, int],
    middle: float,
    *,
    steps: int = 160,
    batch_size: int = 8,
    context: int = 64,
    head_size: int = 16,
    n_eval: int = 128,
    compute_dtype: Literal["float32", "bfloat16"] = "float32",
) -> list[RunConfig]:
    """Declares grids of rates about the `middle` of the smallest width, with seeds by width."""
    smallest = min(n_seeds)
    model = Transformer(width=smallest, depth=2, head_size=head_size, compute_dtype=compute_dtype)
    base = RunConfig(
        model=model,
        data=Text(context=context, n_eval=n_eval),
        train=Pretraining(
            optimizer=Adam(learning_rate=middle, b2=0.99),
            batch_size=batch_size,
            warmup_tokens=batch_size * context * steps // 10,
            steps=steps,
            evaluations=1,
        ),
    )
    mup = MuP(base_width=smallest, base_head_size=head_size)

    def of(width: int, parametrization: MuP | Standard, middle: float) -> list[RunConfig]:
        sized = replace(model, width=width, parametrization=parametrization)
        return grid(
            replace(base, model=sized),
            {
                "train.optimizer.learning_rate": [middle * 2.0**octave for octave in OCTAVES],
                "seed": range(n_seeds[width]),
            },
        )

    return chain(
        *(of(width, mup, middle) for width in n_seeds),
        *(of(width, Standard(), middle * smallest / width) for width in n_seeds),
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, {16: 4, 64: 1}, 0.024),
    "cpu": partial(_sweep, {32: 4, 64: 3, 128: 2, 256: 1}, 0.016),
    "gpu": partial(
        _sweep,
        {256: 8, 512: 4, 1024: 2, 2048: 1, 4096: 1},
        0.004,
        steps=2000,
        batch_size=32,
        context=256,
        head_size=64,
        n_eval=512,
        compute_dtype="bfloat16",
    ),
}


SPAN = 4.0
"""A parabola goes through rates within this factor of the one with the lowest loss."""

EXPECTED = (
    Expected(
        name="mup_ratio",
        says="largest over smallest best rate, muP",
        high=2,
        source="Yang et al. 2022, figure 1: the same at every width",
    ),
    Expected(
        name="standard_exponent",
        says="exponent of the best rate over width, standard",
        high=-0.5,
        source="Yang et al. 2022, figure 1; table 3: hidden rates fall as 1 / width",
    ),
)

CAPTION = (
    "Loss over learning rate by width under (a) muP and (b) standard parametrization, parabolas "
    "through filled points, minima with intervals; (c) the best rate over width with power laws "
    "and bands.",
    "The best rates differ {mup_ratio} times under muP; under standard parametrization they "
    "fall as width to the power {standard_exponent}.",
)
ALT = (
    "Valleys of loss over learning rate: under muP their minima stay within a factor of "
    "{mup_ratio}, under standard parametrization they move as width to the power "
    "{standard_exponent}.",
)

TITLES = {"mup": "muP", "standard": "standard"}


class Details(NamedTuple):
    """What the figure draws."""

    cells: pd.DataFrame
    found: Mapping[str, Valleys]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds the best learning rate at every width of both parametrizations, and how it moves.

    Raises:
        ValueError: A parametrization has no runs, or no width with a minimum.
    """
    table = table.assign(
        width=table["model.width"],
        learning_rate=table["train.optimizer.learning_rate"],
        parametrization=table["model.parametrization.kind"],
    )
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    shown = results.summarise(runs, ["parametrization", "width", "learning_rate"], "eval_loss_nats")
    widths = {
        name: sorted(table.loc[table["parametrization"] == name, "width"].unique())
        for name in TITLES
    }
    found = {name: _valleys(runs.loc[runs["parametrization"] == name], name) for name in TITLES}
    numbers = {f"{name}_ratio": _ratio(each, widths[name]) for name, each in found.items()}
    numbers |= {f"{name}_exponent": _exponent(each) for name, each in found.items()}
    best = pd.DataFrame(
        [
            {
                "parametrization": name,
                "width": valley.group,
                "best_rate": rate.value,
                "low": rate.low,
                "high": rate.high,
            }
            for name, result in found.items()
            for valley in result.valleys
            if (rate := valley.optimum) is not None
        ]
    )
    return Findings(
        measured=numbers,
        verdict="\n".join(_line(name, result) for name, result in found.items()),
        shown=pd.concat([with_notes(shown, excluded, "width"), best]),
        details=Details(shown, found, excluded),
    )


def _valleys(runs: pd.DataFrame, name: str) -> Valleys:
    """Valleys over learning rates at every width."""
    if runs.empty:
        raise ValueError(f"No run under {TITLES[name]} is done. Run the command again.")
    try:
        x, loss = runs["learning_rate"], runs["eval_loss_nats"]
        return valleys(x, loss, runs["width"], curve=Curve("parabola", SPAN))
    except FitError as error:
        raise ValueError(
            f"{TITLES[name]}: no width has a best learning rate inside its grid, which needs five "
            "rates or more. Move the grid or widen it."
        ) from error


def _ratio(found: Valleys, widths: Sequence[float]) -> Measured:
    """Ratio of the largest best rate to the smallest; their errors are independent.

    Args:
        found: Valleys of the runs that are done.
        widths: Widths of all runs. If one has no minimum, or no run that is done, there is no
            ratio.
    """
    best = {valley.group: rate for valley in found.valleys if (rate := valley.optimum)}
    without = [f"{width:g}" for width in widths if width not in best]
    if without:
        return Measured(value=None, note=f"no minimum at width {', '.join(without)}")
    if len(best) < 2:
        return Measured(value=None, note="a ratio needs two widths")
    with np.errstate(divide="ignore"):  # an end that the grid does not bound is 0 or infinite
        logs = np.log([[rate.low, rate.value, rate.high] for rate in best.values()])
    smallest, largest = logs[logs[:, 1].argmin()], logs[logs[:, 1].argmax()]
    ratio = largest[1] - smallest[1]
    down = np.hypot(largest[1] - largest[0], smallest[2] - smallest[1])
    up = np.hypot(largest[2] - largest[1], smallest[1] - smallest[0])
    high = finite(np.exp(ratio + up))
    return Measured(
        value=float(np.exp(ratio)),
        low=max(1.0, float(np.exp(ratio - down))),
        high=high,
        note="" if high else "no upper end: a minimum lies near the end of its grid",
    )


def _exponent(found: Valleys) -> Measured:
    if found.growth is None:
        return Measured(value=None, note="fewer than two widths have a minimum")
    return measured(found.growth.exponent)


def _line(name: str, found: Valleys) -> str:
    """Best rates of a parametrization, on one line."""
    rates = ", ".join(
        f"{valley.group:g}: {valley.optimum or 'no minimum'}" for valley in found.valleys
    )
    return f"{TITLES[name]}: best rate at width {rates}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws loss against learning rate for both, and the best rate against width.

    Open points lie beyond the span of the parabolas.
    """
    with style.paper_figure(1, 3, height=2.9) as (drawing, axes):
        for ax, name in zip(axes[0], TITLES, strict=False):
            _draw_valleys(ax, findings, name)
            ax.set_title(TITLES[name])
        share_limits(axes[0, :2], "x", "y")
        for ax in axes[0, :2]:
            log_ticks(ax, "x", most=4)
        style.outer_legend(drawing, axes[0, :1], "outside lower center", len(style.SERIES))
        overview(axes[0, 2], findings)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the best learning rate against width for both, with power laws."""
    for number, (name, found) in enumerate(findings.details.found.items()):
        label = TITLES[name]
        if found.growth is not None:
            label += f": width$^{{{found.growth.exponent.value:+.2f}}}$"
        best = [(valley.group, valley.optimum) for valley in found.valleys]
        draw_optima(
            ax, best, found.growth, label=label, refused="no minimum", style=style.SERIES[number]
        )
    ax.set(xscale="log", yscale="log", xlabel="width", ylabel="best learning rate")
    tick_widths(ax, findings.details.cells["width"])
    log_ticks(ax, "y", most=5)
    mark_excluded(ax, findings.details.excluded, "width")
    style.legend_above(ax, n_columns=1)


def _draw_valleys(ax: Axes, findings: Findings[Details], name: str) -> None:
    found = findings.details.found[name]
    for valley, look in zip(found.valleys, style.SERIES, strict=False):
        _draw_valley(ax, valley, look)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss (nats per token)")


def _draw_valley(ax: Axes, valley: Valley, look: style.Series) -> None:
    rates, losses, used = map(np.array, (valley.x, valley.loss, valley.used))
    ax.plot(rates[used], losses[used], **look.marks(), label=f"width {valley.group:g}")
    ax.plot(rates[~used], losses[~used], **look.marks(filled=False))
    ax.plot(valley.curve_x, valley.curve_loss, color=look.color, linewidth=0.9)
    best, lowest = valley.optimum, valley.lowest_loss
    if best is None or lowest is None:
        return
    # An open end stops at that of the grid.
    ends = max(best.low, valley.x[0]), min(best.high, valley.x[-1])
    ax.hlines(lowest.value, *ends, color=style.INK, linewidth=1.0, zorder=3.5)
    ax.plot(best.value, lowest.value, color=style.INK, marker="x", zorder=4)
