"""What a curve of double descent is drawn against: size itself, or another quantity of each size.

Sizes order the models (width, number of features, samples, epochs). An axis may show something else
that each size has: parameters, EMC / n, effective parameters. Effective parameters fall again
beyond the threshold, so that a curve over them folds back (Curth et al. 2023, arXiv 2310.18988).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from analysis.double_descent.seeds import centre, group_by_size
from analysis.estimate import Estimate, Floats
from analysis.guards import positive_column
from analysis.plots.ticks import log_ticks

LABELS = {
    "width": "width",
    "parameters": "parameters",
    "samples": "training samples $n$",
    "epochs": "epochs",
    "steps": "steps",
    "features_over_samples": "features / samples, $p/n$",
    "parameters_over_samples": "parameters / samples",
    "emc_over_samples": "EMC / $n$",
    "effective_parameters": "effective parameters",
    "effective_over_samples": "effective parameters / $n$",
}
"""Labels of the usual axes, by name."""


@dataclass(frozen=True, eq=False)
class SizeAxis:
    """An x-axis, and where each size stands on it.

    Attributes:
        label: Label of the axis.
        sizes: Sizes with a known place, ascending, shape (n,); empty where a size is its own place.
        places: The place of each, positive, shape (n,).
    """

    label: str
    sizes: Floats
    places: Floats

    @property
    def folds(self) -> bool:
        """Whether a larger size may stand left of a smaller one."""
        return bool(np.any(np.diff(self.places) <= 0))

    def at(self, size: ArrayLike) -> Floats:
        """Returns the places of sizes, interpolated between known ones in logarithms.

        Sizes beyond the known ones stand with the nearest; that of NaN is NaN.
        """
        wanted = np.asarray(size, dtype=np.float64)
        if not len(self.sizes):
            return wanted
        with np.errstate(divide="ignore"):
            logs = np.interp(np.log(wanted), np.log(self.sizes), np.log(self.places))
        return np.exp(logs)

    def of(self, found: Estimate) -> Estimate:
        """Returns the place of a size with its interval: all places between the interval's ends."""
        if not len(self.sizes):
            return found
        low, high = (float(each) for each in self.at([found.low, found.high]))
        inside = self.places[(self.sizes >= found.low) & (self.sizes <= found.high)]
        ends = [low, high, *inside.tolist()]
        # Beyond the known sizes an interval stays open.
        is_open = found.low <= 0, np.isinf(found.high)
        return replace(
            found,
            value=float(self.at(found.value)),
            low=0.0 if is_open[0] else min(ends),
            high=np.inf if is_open[1] else max(ends),
        )

    def show_sizes(self, ax: Axes, label: str, *, most: int = 6) -> None:
        """Writes sizes themselves along the top, where they stand; none on an axis that folds.

        Call it once the data are drawn.

        Args:
            ax: Axes that are drawn over the places.
            label: Label of the sizes.
            most: Most sizes written.
        """
        if len(self.sizes) and not self.folds:
            along_top(ax, self.places, [f"{size:g}" for size in self.sizes], label, most=most)

    def finish(self, ax: Axes, *, most: int = 6) -> Axes:
        """Makes the x-axis logarithmic with its label; call it before locations are marked."""
        ax.set(xscale="log", xlabel=self.label)
        return log_ticks(ax, "x", most=most)


def along_top(
    ax: Axes, places: ArrayLike, texts: Sequence[str], label: str, *, most: int = 6
) -> None:
    """Writes what else is known of places on the x-axis along the top, where they stand.

    Call it once the data are drawn.

    Args:
        ax: Axes with a logarithmic x-axis.
        places: Places, ascending, shape (n,).
        texts: What is written at each, n of them; those that stand evenly are taken.
        label: Label of what is written.
        most: Most of them.
    """
    at = np.asarray(places, dtype=np.float64)
    logs = np.log(at)
    nearest = np.abs(logs[:, None] - np.linspace(logs[0], logs[-1], most)).argmin(axis=0)
    shown = np.unique(nearest)
    top = ax.secondary_xaxis("top")
    top.set_xticks(at[shown], [texts[int(each)] for each in shown])
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel(label)


def size_label(name: str) -> str:
    """Returns the label of the usual axis of this name, or the name itself."""
    return LABELS.get(name, name)


def own_axis(label: str) -> SizeAxis:
    """Returns the axis on which every size is its own place.

    Args:
        label: A name in `LABELS`, or any other label.
    """
    return SizeAxis(size_label(label), np.empty(0), np.empty(0))


def axis_of_runs(
    label: str,
    size: ArrayLike,
    place: ArrayLike,
    seed: ArrayLike,
    *,
    statistic: Literal["mean", "median"] = "median",
) -> SizeAxis:
    """Returns the axis of a quantity that was measured for each run: its centre at every size.

    Args:
        label: A name in `LABELS`, or any other label.
        size: Size of each run, shape (n_runs,).
        place: The quantity (parameters, EMC / n, effective parameters), positive, shape (n_runs,).
        seed: Seed label of each run, shape (n_runs,).
        statistic: Centre over seeds.

    Raises:
        ValueError: Values that are not positive, or repeated runs.
    """
    runs = group_by_size(size, seed, place=positive_column("place", place))
    return SizeAxis(size_label(label), runs.sizes, centre(runs.values["place"], statistic))
