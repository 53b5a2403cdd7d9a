"""Runs of `deep_double_descent` as rows of network, width, samples and noise; judged along an axis.

The three cards of that sweep cut it along its width, its epochs and its samples. All ask for the
threshold, the peak and the minima of test error and test loss.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.double_descent import verdict
from analysis.double_descent.seeds import Statistic
from analysis.double_descent.verdict import DoubleDescent
from analysis.estimate import Estimate
from analysis.tables import results
from experiments.experiment import Json, Measured
from experiments.shared.panels import plain
from experiments.shared.seeds import mean_of


class Network(NamedTuple):
    """How a family of models is called: in names of numbers, in titles, and its width."""

    key: str
    title: str
    width: str = "channels"


NETWORKS = {
    "cnn_1d": Network("cnn", "CNN"),
    "mlp": Network("mlp", "MLP", "width of hidden layers"),
    "image_cnn": Network("image_cnn", "CNN", "channels k of the first layer"),
    "preact_resnet18": Network("resnet18", "ResNet18", "channels k of the first stage"),
    "encoder_decoder": Network("transformer", "Transformer", "embedding size d"),
}
"""Families of models of the sweep."""

LABELS = {
    "train_error": "train error (fraction)",
    "eval_error": "test error (fraction)",
    "eval_loss_nats": "test loss (nats)",
    "weight_norm_l2": "norm of the weights",
}
"""Quantities of a run, and their labels."""

# The error is bounded, so that its mean over seeds says more than the median; the loss is not.
STATISTICS: Mapping[str, Statistic] = {"eval_error": "mean", "eval_loss_nats": "median"}
"""Test metrics that are judged, and their centre over seeds: the error is bounded, so that its mean
says more than the median; the loss is not."""

INTERPOLATED = 0.01
"""Train error, against the noisy labels, below which a network interpolates."""

FEWEST = 3
"""Fewest sizes of a curve."""


class Slice(NamedTuple):
    """Which runs of the sweep are compared; what is None varies."""

    network: str
    noise: float
    width: int | None = None

    def __str__(self) -> str:
        width = "" if self.width is None else f" of width {self.width}"
        return f"{NETWORKS[self.network].title}{width}, {self.noise:.0%} noise"


def usable(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits a table of runs as `analysis.tables.results.usable`, with short names of its columns.

    `noisy_eval_error` is the error that is expected against test labels with the noise of those
    trained on: of "any_class", err (1 - f) + f (1 - 1/K); of "wrong_class", where a wrong answer
    meets the corrupted label at times, err (1 - f) + f (1 - err / (K - 1)).
    """
    error, fraction = (
        table[name].astype(float) for name in ("eval_error", "data.label_noise.fraction")
    )
    n_classes = table["n_outputs"].astype(float)
    any_class = table["data.label_noise.convention"] == "any_class"
    met = np.where(any_class, 1 / n_classes, error / (n_classes - 1))
    return results.usable(
        table.assign(
            network=table["model.kind"],
            width=table["model.width"],
            n=table["data.n_train"],
            noise=table["data.label_noise.fraction"],
            noisy_eval_error=error * (1 - fraction) + fraction * (1 - met),
        ),
        list(LABELS),
    )


def largest_sets(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs on the most samples of each network."""
    return runs.loc[runs["n"] == runs.groupby("network")["n"].transform("max")]


def slices(runs: pd.DataFrame, *, by_width: bool = False) -> Iterator[tuple[Slice, pd.DataFrame]]:
    """Runs of each network and noise, noisy ones first; of each width too, if asked."""
    keys = ["network", "noise", *(["width"] if by_width else [])]
    found = {Slice(*key) for key in runs.loc[:, keys].itertuples(index=False, name=None)}
    for each in sorted(found, key=lambda one: (one.network, -one.noise, one.width or 0)):
        yield each, of_slice(runs, each)


def of_slice(rows: pd.DataFrame, each: Slice) -> pd.DataFrame:
    """The runs or evaluations of a slice."""
    same = (rows["network"] == each.network) & (rows["noise"] == each.noise)
    return rows.loc[same if each.width is None else same & (rows["width"] == each.width)]


def of_network(rows: pd.DataFrame, each: Slice) -> pd.DataFrame:
    """The runs or evaluations of a slice's network, whatever the noise."""
    return rows.loc[rows["network"] == each.network]


def judged(size: ArrayLike, rows: pd.DataFrame) -> dict[str, DoubleDescent]:
    """The verdict on each test metric of runs or evaluations, over a size of theirs."""
    return {
        metric: verdict.descent(
            size,
            rows["train_error"],
            rows[metric],
            rows["seed"],
            tolerance=INTERPOLATED,
            statistic=statistic,
        )
        for metric, statistic in STATISTICS.items()
    }


Group = TypeVar("Group", bound=Hashable)


def judged_along(
    groups: Mapping[Group, pd.DataFrame], size_of: Callable[[pd.DataFrame], ArrayLike]
) -> tuple[dict[Group, dict[str, DoubleDescent]], list[str]]:
    """The verdicts on groups of runs over a size, and what is said of sizes and seeds missing.

    Args:
        groups: Runs of each group, such as a slice.
        size_of: The size of each run of a group.
    """
    found: dict[Group, dict[str, DoubleDescent]] = {}
    doubts: list[str] = []
    for each, rows in groups.items():
        size = np.asarray(size_of(rows), np.float64)
        _, place, n_seeds = np.unique(size, return_inverse=True, return_counts=True)
        several = n_seeds[place] > 1
        if not np.all(several):
            doubts.append(f"{each}: {sum(n_seeds == 1)} sizes have one seed done and are left out")
        if (n := sum(n_seeds > 1)) < FEWEST:
            doubts.append(f"{each}: {n} sizes are done, too few for a curve")
        else:
            found[each] = judged(size[several], rows.loc[several])
    return found, doubts


def rise_between(
    rows: pd.DataFrame, axis: str, ends: tuple[float, float], metric: str, note: str
) -> Measured:
    """Rise of a metric between two places on an axis, in pairs of one seed.

    Args:
        rows: Runs or evaluations of one slice.
        axis: Column of the axis, such as "width".
        ends: From where to where.
        metric: Column that rises.
        note: Says so, for the reader.
    """
    first, last = (rows.loc[rows[axis] == end].set_index("seed")[metric] for end in ends)
    return mean_of((last - first).dropna(), note)


def shown_by_seeds(rises: Sequence[Measured]) -> Measured:
    """The clearest of several rises; no number where seeds could have made all of them."""
    shown = [each for each in rises if each.low is not None and each.low > 0]
    if shown:
        return max(shown, key=lambda each: each.low or 0.0)
    best = max(rises, key=lambda each: each.value or 0.0)
    interval = "" if best.low is None else f" [{best.low:.3g}, {best.high:.3g}]"
    return Measured(value=None, note=f"{best.value:.3g}{interval}, within seed noise: {best.note}")


def sentences(found: Mapping[Group, Mapping[str, DoubleDescent]]) -> list[str]:
    """A line of the verdict for each group and test metric."""
    return [
        sentence(each, metric, one)
        for each, by_metric in found.items()
        for metric, one in by_metric.items()
    ]


def reported(
    found: Mapping[Group, Mapping[str, DoubleDescent]], emcs: Mapping[Group, Estimate] | None = None
) -> dict[str, Json]:
    """What a report keeps of each verdict: threshold or complexity, peak, and p-value."""
    return {
        f"{each}, {metric}": {
            **({"threshold": plain(one.threshold)} if emcs is None else {"emc": plain(emcs[each])}),
            "peak": None if one.peak is None else plain(one.peak.location),
            "p": None if one.peak is None else one.peak.p_value,
            "verdict": one.verdict.value,
        }
        for each, by_metric in found.items()
        for metric, one in by_metric.items()
    }


def sentence(about: object, metric: str, found: DoubleDescent) -> str:
    """One line of a verdict."""
    return f"{about}, {LABELS[metric].partition(' (')[0]}: {found.verdict.value}. {found.reason}"
