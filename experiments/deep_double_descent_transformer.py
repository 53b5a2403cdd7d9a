"""Does a Transformer that translates show deep double descent as its embedding widens?

Claim: trained long on few pairs of sentences, without label noise, the test loss of an
encoder-decoder Transformer rises towards the embedding size at which it can just fit its training
set, and falls beyond it. More pairs lower the curve and move its peak to larger models, so that at
some sizes more pairs do harm.
Paper: Nakkiran et al. 2019 (arXiv 1912.02292), figures 3 and 8, appendix B: six layers in encoder
and decoder, 8 heads, feed-forward layers four times as wide as the embedding, 80,000 steps of Adam,
warm-up and then 1 / sqrt(step), label smoothing of 0.1, no dropout; embeddings of 8 to 200 on 4,000
and 18,000 pairs of IWSLT'14. The claim is qualitative: no number of it is read off here.
Command: scaling run deep_double_descent_transformer
Cost: 54 runs of one block in encoder and decoder, about 4 CPU-minutes, most of them compiling.
`gpu` and `full` are planned and have not been run.
Expected: test loss peaks near the interpolation threshold, at both numbers of pairs. Twice the
pairs move the peak to larger embeddings, and at some size raise the loss.

Here the language pair is planted (`scaling.data.translation`): a lexicon of two senses a word, of
which the word before it decides, and phrases turned around. `full` has the paper's network and
training; its peak rate and warm-up are those that fairseq's scripts for IWSLT'14 give. The
threshold is where 1 % of the words trained on are wrong. At one seed all sizes share their pairs,
and fewer pairs are the beginning of more.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis.double_descent.verdict import DoubleDescent
from analysis.plots import descent, style
from analysis.plots.descent_axes import own_axis
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.deep_descent import (
    NETWORKS,
    judged_along,
    reported,
    rise_between,
    sentences,
    shown_by_seeds,
    usable,
)
from experiments.shared.panels import left_out, measured, peak_of, stacked, summaries, tick_widths
from experiments.shared.seeds import mean_of
from scaling.config import RunConfig
from scaling.data.translation import PlantedTranslation
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.record import finite
from scaling.training import Adam, Gradient
from sweeps.space import grid

SMOOTHING = 0.1


def _sweep(
    widths: Sequence[int],
    n_pairs: Sequence[int],
    *,
    model: EncoderDecoder,
    data: PlantedTranslation,
    train: Gradient,
) -> list[RunConfig]:
    base = RunConfig(model=model, data=data, train=train)
    return grid(base, {"data.n_train": n_pairs, "model.width": widths, "seed": range(3)})


def _training(rate: float, *, warmup: int, batch_size: int, steps: int) -> Gradient:
    return Gradient(
        optimizer=Adam(learning_rate=rate, b2=0.98),
        schedule="warmup_inverse_sqrt",
        warmup=warmup,
        label_smoothing=SMOOTHING,
        batch_size=batch_size,
        steps=steps,
        evaluations=12,
        spacing="geometric",
    )


_PAPERS = EncoderDecoder(width=8, depth=6, heads=8, source_length=16)
_LARGE = PlantedTranslation(n_train=2_000, n_words=1_000, length=16, n_eval=2_000)

THRESHOLD_ALONG = "model.width"

SWEEP: Sweep = {
    "smoke": partial(
        _sweep,
        [4, 16],
        [40],
        model=EncoderDecoder(width=2, depth=1, heads=2, source_length=6),
        data=PlantedTranslation(n_train=40, n_words=16, length=6, n_eval=200),
        train=_training(1e-2, warmup=50, batch_size=20, steps=400),
    ),
    "cpu": partial(
        _sweep,
        [4, 8, 10, 12, 14, 16, 20, 28, 40],
        [125, 250],
        model=EncoderDecoder(width=2, depth=1, heads=2, source_length=8),
        data=PlantedTranslation(n_train=125, n_eval=500),
        train=_training(4e-3, warmup=200, batch_size=32, steps=1_500),
    ),
    "gpu": partial(
        _sweep,
        [8, 16, 24, 32, 40, 48, 64, 96, 128],
        [2_000, 4_000],
        model=_PAPERS,
        data=_LARGE,
        train=_training(1e-3, warmup=2_000, batch_size=256, steps=20_000),
    ),
    "full": partial(
        _sweep,
        [8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 200, 256],
        [4_000, 18_000],
        model=_PAPERS,
        data=_LARGE,
        train=_training(5e-4, warmup=4_000, batch_size=256, steps=80_000),
    ),
}

_NAKKIRAN = "Nakkiran et al. 2019, figure 3"

EXPECTED = (
    Expected(
        name="few_loss_ratio",
        says="fewer pairs: peak of test loss over interpolation threshold",
        low=0.5,
        high=2.0,
        source="Nakkiran et al. 2019, section 5: the peak lies where EMC = n",
        budgets=("cpu", "gpu", "full"),
    ),
    Expected(
        name="many_loss_ratio",
        says="more pairs: peak of test loss over interpolation threshold",
        low=0.5,
        high=2.0,
        source="Nakkiran et al. 2019, section 5: the peak lies where EMC = n",
        budgets=("cpu", "gpu", "full"),
    ),
    Expected(
        name="peak_moves",
        says="embedding size at the peak, more pairs over fewer",
        low=1.0,
        source=f"{_NAKKIRAN}: more pairs move the peak right",
        budgets=("cpu", "gpu", "full"),
    ),
    Expected(
        name="harm",
        says="rise of test loss by more pairs at one size, beyond seed noise (nats)",
        low=0.0,
        source=f"{_NAKKIRAN}: at some sizes more pairs do worse",
        budgets=("cpu", "gpu", "full"),
    ),
    Expected(
        name="few_fitted",
        says="fewer pairs: share of trained words that the widest gets wrong",
        high=0.05,
        source=f"{_NAKKIRAN}: the largest models fit their training set",
        budgets=("smoke", "cpu", "gpu", "full"),
    ),
)

CAPTION = (
    "Test loss, test error and train error over the embedding size, a line a number of sentence "
    "pairs, with bands over seeds; the last panel is the rise of test loss by more pairs.",
    "The loss of fewer pairs peaks at {few_loss_ratio} of its threshold, and more pairs move "
    "the peak by a factor of {peak_moves}.",
)
ALT = (
    "Line charts of a translation model over its embedding size.",
    "Test loss rises towards the size that fits the training pairs, and peaks at "
    "{few_loss_ratio} of it.",
)

LABELS = {
    "eval_loss_nats": "test loss (nats)",
    "train_loss_nats": "train loss (nats)",
    "eval_error": "test error (fraction of words)",
    "train_error": "train error (fraction of words)",
}
"""Quantities that the figure shows."""


class Details(NamedTuple):
    """What the figure draws: runs, findings by number of pairs, and rises by more pairs by size."""

    runs: pd.DataFrame
    found: Mapping[int, Mapping[str, DoubleDescent]]
    rises: Mapping[float, Measured]


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Finds threshold and peak over embedding size at each number of pairs, and compares them."""
    runs, excluded = usable(table)
    numbers_of_pairs = sorted(set(runs["n"].tolist()))
    groups = {n: runs.loc[runs["n"] == n] for n in numbers_of_pairs}
    found, doubts = judged_along(groups, lambda rows: rows["width"])
    numbers: dict[str, Measured] = {}
    for name, n in (("few", numbers_of_pairs[0]), ("many", numbers_of_pairs[-1])):
        numbers |= _of_widest(name, groups[n])
        if n in found:
            numbers |= _of_curve(name, found[n]["eval_loss_nats"])
    lines = sentences({f"{n:,} pairs": by_metric for n, by_metric in found.items()})
    rises: dict[float, Measured] = {}
    if len(found) > 1:
        few, many = min(found), max(found)
        numbers["peak_moves"] = _moved(*(found[n]["eval_loss_nats"] for n in (few, many)))
        rises = _rises(runs, few, many)
        numbers["harm"] = shown_by_seeds(list(rises.values()))
        lines.append(_comparison(rises, few, many))
    return Findings(
        measured=numbers,
        verdict="\n".join(lines) or "too few sizes for a verdict",
        shown=stacked(summaries(runs, ["n", "width"], LABELS), left_out(excluded, "n", "width")),
        details=Details(runs, found, rises),
        doubts=doubts,
        report=reported({f"{n} pairs": by_metric for n, by_metric in found.items()}),
    )


def _of_curve(name: str, loss: DoubleDescent) -> dict[str, Measured]:
    """Numbers of the curve of test loss at one number of pairs."""
    return {
        f"{name}_threshold": measured(loss.threshold),
        f"{name}_peak": peak_of(loss),
        f"{name}_loss_ratio": peak_of(loss, loss.ratio),
        f"{name}_loss_at_peak": peak_of(loss, loss.peak and loss.peak.height),
    }


def _of_widest(name: str, rows: pd.DataFrame) -> dict[str, Measured]:
    """Numbers of the largest embedding at one number of pairs."""
    widest = rows.loc[rows["width"] == max(rows["width"])]
    return {
        f"{name}_widest_loss": mean_of(widest["eval_loss_nats"]),
        f"{name}_fitted": mean_of(widest["train_error"]),
    }


def _moved(few: DoubleDescent, many: DoubleDescent) -> Measured:
    """The size at the peak with more pairs over that with fewer; ends pair the opposite ends."""
    for one, about in ((few, "fewer"), (many, "more")):
        if peak_of(one).value is None or one.peak is None:
            return Measured(value=None, note=f"no peak with {about} pairs: {one.verdict.value}")
    assert few.peak is not None and many.peak is not None
    before, after = few.peak.location, many.peak.location
    return Measured(
        value=after.value / before.value,
        low=finite(after.low / before.high),
        high=finite(after.high / before.low) if before.low > 0 else None,
    )


def _rises(runs: pd.DataFrame, few: int, many: int) -> dict[float, Measured]:
    """Rise of test loss by more pairs at each size that both have, in pairs of one seed."""
    common = set.intersection(*(set(runs["width"][runs["n"] == n]) for n in (few, many)))
    ends = float(few), float(many)
    return {
        width: rise_between(
            runs.loc[runs["width"] == width], "n", ends, "eval_loss_nats", f"d = {width:g}"
        )
        for width in sorted(common)
    }


def _comparison(rises: Mapping[float, Measured], few: int, many: int) -> str:
    """One line on the sizes at which more pairs do harm."""
    raised = [
        f"{width:g} ({'shown by seeds' if (rise.low or 0.0) > 0 else 'within seed noise'})"
        for width, rise in rises.items()
        if (rise.value or 0.0) > 0
    ]
    if not raised:
        return f"{many:,} pairs have a lower mean test loss than {few:,} at every size"
    return f"{many:,} pairs have a higher mean test loss than {few:,} at d = {', '.join(raised)}"


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses and errors over embedding size, and what more pairs do at each size."""
    details = findings.details
    with style.paper_figure(2, 2, height=5.0) as (drawing, axes):
        for ax in axes[0]:
            _draw(ax, details, "eval_loss_nats")
        for ax, (n, by_metric) in zip(axes[0], details.found.items(), strict=False):
            one = by_metric["eval_loss_nats"]
            peak = one.peak.location if one.peak and one.verdict.has_peak else None
            descent.mark_descent(ax, _AXIS, threshold=one.threshold, peak=peak)
            ax.set_title(f"threshold and peak of {n:,} pairs")
        _draw(axes[1, 0], details, "train_error")
        _draw_rises(axes[1, 1], details)
        style.outer_legend(drawing, axes.flat, "outside lower center", 5)
    return drawing


_AXIS = own_axis(NETWORKS["encoder_decoder"].width)


def _draw(ax: Axes, details: Details, quantity: str) -> None:
    """Draws one quantity, a line for each number of pairs."""
    ax.margins(y=0.15)  # room for the bars along the top
    for n, look in zip(sorted(set(details.runs["n"].tolist())), style.SERIES, strict=False):
        rows = details.runs.loc[details.runs["n"] == n]
        size, value, seed = rows["width"], rows[quantity], rows["seed"]
        descent.draw_quantity(ax, size, value, seed, axis=_AXIS, label=f"{n:,} pairs", style=look)
    tick_widths(ax, _apart(details.runs["width"]))
    ax.set_ylabel(LABELS[quantity])


def _draw_rises(ax: Axes, details: Details) -> None:
    """Draws the rise of test loss by more pairs, with the interval over pairs of one seed."""
    if not details.rises:
        ax.set_axis_off()
        return
    look = style.SERIES[2]
    shown = {width: one for width, one in details.rises.items() if one.value is not None}
    low, value, high = (
        np.array([getattr(one, end) for one in shown.values()], np.float64)
        for end in ("low", "value", "high")
    )
    ax.errorbar(
        list(shown),
        value,
        yerr=[value - low, high - value],
        color=look.color,
        marker=look.marker,
        linestyle="none",
        label="rise of test loss by more pairs, 95 %",
    )
    ax.axhline(0, color=style.GREY, linewidth=0.6)
    ax.set(xscale="log", xlabel=_AXIS.label, ylabel="rise by more pairs (nats)")
    tick_widths(ax, _apart(details.runs["width"]))


def _apart(widths: ArrayLike) -> list[float]:
    """The widths that have room for a label on a logarithmic axis: a fifth apart."""
    shown: list[float] = []
    for width in np.unique(np.asarray(widths, np.float64)).tolist():
        if not shown or width >= 1.2 * shown[-1]:
            shown.append(width)
    return shown
