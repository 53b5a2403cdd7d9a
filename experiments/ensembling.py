"""What removes the peak? Averaging over what the random features happened to be.

Claim: near the interpolation threshold test error is dominated by the draw of the random features.
The mean of K models with features of their own has the same bias and 1/K of that variance, so that
the rise towards the peak goes as K grows. At N = n itself the variance is infinite, and no finite
number of members removes the peak.
Paper: d'Ascoli, Refinetti, Biroli, Krzakala 2020 (arXiv 2003.01054), section 4 and figure 5;
Belkin et al. 2019 (arXiv 1812.11118) for the peak. Data: Greydanus & Kobak 2024 (MNIST-1D).
Command: scaling run ensembling
Cost: 11 sizes x 4 ensembles x 10 seeds, about 25 s on two CPU cores.
Expected: the test squared error of K members is A + B / K at every size, with A what any number of
members leaves: of the fall from one member to sixteen, two members have 8/15 and four have 12/15.
A single member has a peak at N = n. A has none: near the threshold it is at most 1.2 times its
value at the first minimum of a single member.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.double_descent import verdict
from analysis.estimate import Floats
from analysis.plots import curves, descent, style, ticks
from analysis.plots.descent_axes import own_axis
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import peak_of, with_notes
from scaling.config import RunConfig
from scaling.data.mnist1d import MNIST1D
from scaling.models.random_features import RandomFeatures
from scaling.solving import RidgelessEnsemble
from sweeps.space import grid

RATIOS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.6, 2.5, 4.0)
"""N/n. At N = n the mean over draws is infinite: medians are drawn there, and no variance is."""

MEMBERS = (1, 2, 4, 16)


def _sweep(ratios: tuple[float, ...], n_train: int, n_seeds: int) -> list[RunConfig]:
    base = RunConfig(
        model=RandomFeatures(n_features=1, activation="fourier", weight_scale=0.35),
        data=MNIST1D(n_train=n_train),
        train=RidgelessEnsemble(members=1),
    )
    sizes = [round(ratio * n_train) for ratio in ratios]
    axes = {"model.n_features": sizes, "train.members": MEMBERS, "seed": range(n_seeds)}
    return grid(base, axes)


THRESHOLD_ALONG = "model.n_features"

SWEEP: Sweep = {
    "smoke": partial(_sweep, (0.2, 0.4, 0.7, 1.0, 1.4, 2.5), n_train=60, n_seeds=10),
    "cpu": partial(_sweep, RATIOS, n_train=200, n_seeds=10),
    "gpu": partial(_sweep, RATIOS, n_train=1000, n_seeds=20),
}

INTERPOLATED = 1e-12
"""Train squared error below which a model interpolates; one-hot targets are of order one."""

_IDENTITY = "independent members: bias + variance / K, exactly"

EXPECTED = (
    Expected(
        name="fall_of_2",
        says="share of the fall from 1 to 16 members that 2 have",
        low=8 / 15 - 0.05,
        high=8 / 15 + 0.05,
        source=_IDENTITY + ": 8/15",
    ),
    Expected(
        name="fall_of_4",
        says="share of the fall from 1 to 16 members that 4 have",
        low=12 / 15 - 0.05,
        high=12 / 15 + 0.05,
        source=_IDENTITY + ": 12/15",
    ),
    Expected(
        name="peak_of_1",
        says="peak of a single member, N/n",
        low=0.9,
        high=1.1,
        source="Belkin et al. 2019: at N = n",
    ),
    Expected(
        name="limit_over_first_minimum",
        says="limit of many members, largest near N = n / at the first minimum",
        high=1.2,
        source="d'Ascoli et al. 2020, fig. 5: no peak is left",
    ),
)

CAPTION = (
    "(a) Test squared error over features per example for K members, medians with 68 % of "
    "seeds, and the limit of many, dashed; (b) mean error over 1 / K at three sizes.",
    "A single member peaks at N/n = {peak_of_1}; two members have a share of {fall_of_2} of the "
    "fall from 1 to 16.",
)
ALT = (
    "Line charts of ensembles: the more members, the lower the peak at N/n = {peak_of_1}, and "
    "the limit of many has none.",
    "Error is straight in one over the number of members.",
)


class Details(NamedTuple):
    """What the figure draws."""

    runs: pd.DataFrame
    excluded: pd.DataFrame
    sizes: Floats  # N/n, without N = n
    errors: Floats  # mean error there for each number of members, shape (n_sizes, 4)
    limit: Floats  # mean error of many members there, shape (n_sizes,)


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Splits the error into what any number of members leaves and what falls as 1 / K."""
    runs, excluded = results.usable(table, ["eval_squared_error", "train_squared_error"])
    runs = runs.assign(
        ratio=runs["model.n_features"] / runs["data.n_train"], members=runs["train.members"]
    )
    away = runs[runs["ratio"] != 1]
    mean = away.pivot_table("eval_squared_error", "ratio", "members", aggfunc="mean")
    sizes, errors = mean.index.to_numpy(np.float64), mean[list(MEMBERS)].to_numpy(np.float64)
    one, two, four, most = errors.T
    limit = (MEMBERS[-1] * most - one) / (MEMBERS[-1] - 1)
    # Sizes weigh alike: the variance near the threshold is a hundred times that elsewhere.
    falls = {f"fall_of_{k}": (one - some) / (one - most) for k, some in {2: two, 4: four}.items()}
    below = sizes < 1
    first = int(np.argmin(np.where(below, one, np.inf)))
    near = (sizes > sizes[first]) & (sizes < 2)
    single = runs[runs["members"] == 1]
    found = verdict.descent(
        single["ratio"],
        single["train_squared_error"],
        single["eval_squared_error"],
        single["seed"],
        tolerance=INTERPOLATED,
    )
    relative = limit[near].max() / limit[first]
    shown = results.summarise(runs, ["ratio", "members"], "eval_squared_error")
    return Findings(
        measured={
            **{name: _mean(fall) for name, fall in falls.items()},
            "peak_of_1": peak_of(found),
            "limit_over_first_minimum": Measured(
                value=float(relative), note=f"a single member: {one[near].max() / one[first]:.3g}"
            ),
        },
        verdict=(
            f"one member: {found.verdict.value}. {found.reason}\n"
            f"many members: error at most {relative:.3g} times that at N/n = {sizes[first]:g}, "
            f"where a single member has its first minimum."
        ),
        shown=with_notes(shown, excluded, "model.n_features"),
        details=Details(runs, excluded, sizes, errors, limit),
    )


def _mean(falls: Floats) -> Measured:
    """Mean over sizes with twice its standard error."""
    error = 2 * falls.std(ddof=1) / np.sqrt(len(falls))
    return Measured(
        value=float(falls.mean()), low=float(falls.mean() - error), high=float(falls.mean() + error)
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws the error over size for every number of members, and over 1 / K for every size."""
    with style.paper_style():
        drawing, (over_size, over_members), _ = descent.descent_panels(2, height=2.9)
        overview(over_size, findings)
        _draw_members(over_members, findings.details)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the test squared error against N/n: medians with 68 % of the seeds, and the limit."""
    runs, _, sizes, _, limit = findings.details
    axis = own_axis("features / examples, $N/n$")
    ticks.log_scale(ax, "x")
    ticks.log_scale(ax, "y", ticks=(1,))
    for members, look in zip(MEMBERS, style.SERIES, strict=False):
        rows = runs[runs["members"] == members]
        descent.draw_quantity(
            ax,
            rows["ratio"],
            rows["eval_squared_error"],
            rows["seed"],
            axis=axis,
            label=f"K = {members}",
            style=look,
        )
    curves.draw_theory(ax, sizes, limit, label="K to ∞, from 1 and 16")
    ax.set_ylabel("test squared error (one-hot units²)")
    style.legend_above(ax)


def _draw_members(ax: Axes, details: Details) -> None:
    """Draws the mean error against 1 / K at some sizes, where straight lines are expected."""
    inverse = [1 / members for members in MEMBERS]
    drawn = np.flatnonzero((details.sizes >= 0.6) & (details.sizes <= 2.5))
    for at, look in zip(drawn, style.SERIES, strict=False):
        mean, limit = details.errors[at], details.limit[at]
        ax.plot(inverse, mean, **look.marks(), label=f"N/n = {details.sizes[at]:g}")
        ax.plot([0, 1], [limit, mean[0]], color=look.color, linewidth=0.9, linestyle="--")
    ax.set_ylim(bottom=0)
    ax.set(xlabel="1 / members, 1/K", ylabel="mean test squared error")
    style.legend_above(ax)
