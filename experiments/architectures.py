"""Where in a text do recurrent, convolutional and n-gram networks fall behind the Transformer?

Claim: an LSTM predicts the first tokens of a context as well as a Transformer or better, and stops
gaining from more of them; a Transformer goes on. An n-gram stops at its order, a convolution at its
receptive field.
Paper: Kaplan et al. 2020 (arXiv 2001.08361), section 3.2.1 and figure 7.
Command: scaling run architectures
Cost: 30 runs on source code, of which 18 tune learning rates, and 11 on a planted source: 6e12
FLOPs, 170 s of a CPU core.
Expected: at equal compute the loss of the LSTM is below the Transformer's on the first 16 bytes and
above it beyond 64, by 0.01 nats or more, and changes sides between bytes 2 and 100; beyond what
they see, the convolution and the n-grams are flat; on the planted source no family is below the
entropy, and counted n-grams are best at its order.

All networks have two blocks or more, about as many parameters, and the same FLOPs of training. A
network predicts the same held-out windows as all others. Loss by position alone is no measure: the
text itself is harder at some positions than at others. What is drawn is the difference from a
neural 8-gram, for which all positions from the eighth on are alike. Three rates are tried for each
family, at a quarter of the compute. At the size `cpu` the largest was best for all of them, twice
the one that is compared: no family is shown at its best rate. The planted source is a Markov chain,
whose probabilities predict its held-out tokens as well as any model can.

At the size `cpu` the Transformer has taken 660 steps and is still behind at every position but one:
the LSTM is ahead by 0.074 nats [0.035, 0.113] beyond 64 tokens, so that two expectations fail. With
four times the compute (one seed) it is ahead by 0.014 there and by 0.030 on the first 16 tokens:
the Transformer's gain from far tokens comes with training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from analysis.estimate import Floats
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import stacked
from scaling.config import RunConfig
from scaling.counting import Counting
from scaling.data.ngram import NGram
from scaling.data.text import Text
from scaling.fields import from_dict
from scaling.models.compressor import Compressor
from scaling.models.convolutional import Convolutional
from scaling.models.counted_ngram import CountedNGram
from scaling.models.family import Family
from scaling.models.gru import GRU
from scaling.models.lstm import LSTM
from scaling.models.min_gru import MinGRU
from scaling.models.neural_ngram import NeuralNGram
from scaling.models.parametrization import MuP
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import Positions, positions
from scaling.training import Adam

RATES = {
    "transformer": 0.01,
    "lstm": 0.01,
    "gru": 0.01,
    "min_gru": 0.01,
    "convolutional": 0.01,
    "neural_ngram": 0.01,
}
"""Learning rates of the runs that are compared. Of the grid around them the largest, 0.02, was the
best for every family at a quarter of the compute of the size `cpu`: the report doubts them."""

GRID = (0.5, 1.0, 2.0)
"""Rates that are tried, as multiples of those."""

TUNED_AT = 0.25
"""Share of the compute at which rates are tried."""

RULER = "neural_ngram"
COMPARED = ("lstm", "transformer")
EARLY, LATE = 16, 64


class Size(NamedTuple):
    """One size of the sweep.

    Attributes:
        width: Width of the Transformer.
        flops: FLOPs of training a network on text, and on the planted source.
        names: Networks that are trained on text.
        planted: Networks that are trained on the planted source.
        source: The planted source.
        context: Tokens of text that a prediction may see.
        batch_size: Sequences in a batch.
        n_eval: Held-out windows of text.
        n_seeds: Seeds of the LSTM and the Transformer; other networks have one.
        tunes: Whether learning rates are tried.
        orders: Orders of the counted n-grams.
        compute_dtype: Type of activations.
        base_width: Width of the Transformer at which the rates were tuned, from which muP carries
            them to this width; None for the standard parametrization.
    """

    width: int
    flops: tuple[float, float]
    source: NGram
    orders: Sequence[int]
    names: Sequence[str] = tuple(RATES)
    planted: Sequence[str] = tuple(RATES)
    context: int = 128
    batch_size: int = 16
    n_eval: int = 256
    n_seeds: int = 3
    tunes: bool = True
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    base_width: int | None = None


def _networks(size: Size, names: Sequence[str]) -> list[Family]:
    """Networks of about 24 width^2 parameters in blocks."""
    width, dtype = size.width, size.compute_dtype
    families: list[Family] = [
        Transformer(width=width, depth=2, head_size=16, activation="gelu", compute_dtype=dtype),
        LSTM(width=5 * width // 4, depth=2, compute_dtype=dtype),
        GRU(width=3 * width // 2, depth=2, compute_dtype=dtype),
        MinGRU(width=width, depth=2, compute_dtype=dtype),
        Convolutional(width=width, depth=4, compute_dtype=dtype),
        NeuralNGram(width=width, depth=2, order=8, compute_dtype=dtype),
    ]
    chosen = [family for family in families if family.kind in names]
    return chosen if size.base_width is None else [_scaled(each, size) for each in chosen]


def _scaled(family: Any, size: Size) -> Family:
    """A network under muP, with the rates of one that is narrower by the same factor."""
    assert size.base_width is not None
    base = MuP(base_width=family.width * size.base_width // size.width, base_head_size=16)
    return replace(family, parametrization=base)


def _trained(
    family: Family, data: Text | NGram, flops: float, batch_size: int, scale: float = 1.0
) -> RunConfig:
    """A network, for as many FLOPs, at its learning rate times a factor."""
    train = Pretraining(
        optimizer=Adam(learning_rate=scale * RATES[family.kind], b2=0.99),
        batch_size=batch_size,
        flops=flops,
        evaluations=1,
        loss_by_position=True,
    )
    warmup = train.length(family, data).tokens // 20
    return RunConfig(model=family, data=data, train=replace(train, warmup_tokens=warmup))


def _sweep(size: Size) -> list[RunConfig]:
    """Networks on text, first those that tune rates; then networks and counts on the source."""
    text = Text(context=size.context, n_eval=size.n_eval, repeat=True)
    on_text, on_source = size.flops
    runs = []
    for family in _networks(size, size.names):
        if size.tunes:
            tried = (TUNED_AT * on_text, size.batch_size)
            runs += [_trained(family, text, *tried, scale) for scale in GRID]
        full = _trained(family, text, on_text, size.batch_size)
        seeds = range(size.n_seeds if family.kind in COMPARED else 1)
        runs += [replace(full, seed=seed) for seed in seeds]
    runs += [
        _trained(family, size.source, on_source, size.batch_size)
        for family in _networks(size, size.planted)
    ]
    programs: list[Literal["zlib", "lzma"]] = ["zlib", "lzma"]
    runs += [
        RunConfig(model=Compressor(program=each), data=text, train=Counting()) for each in programs
    ]
    runs += [
        RunConfig(model=CountedNGram(order=order), data=size.source, train=Counting())
        for order in size.orders
    ]
    return runs


SMALL = Size(
    width=16,
    flops=(2e9, 1e9),
    source=NGram(context=16, vocab_size=8, order=2, n_tokens=2**16, n_eval=128, repeat=True),
    orders=(1, 2, 3),
    names=("transformer", "lstm", "neural_ngram"),
    planted=(),
    context=32,
    batch_size=8,
    n_eval=64,
    n_seeds=1,
    tunes=False,
)
MIDDLE = Size(
    width=32,
    flops=(4e11, 4e10),
    source=NGram(context=32, vocab_size=8, order=3, n_tokens=2**19, n_eval=512, repeat=True),
    orders=(1, 2, 3, 4, 5),
)
LARGE = MIDDLE._replace(
    width=512, flops=(2e16, 4e11), context=512, batch_size=64, n_eval=1024,
    compute_dtype="bfloat16", base_width=MIDDLE.width,
)  # fmt: skip

SWEEP: Sweep = {
    "smoke": partial(_sweep, SMALL),
    "cpu": partial(_sweep, MIDDLE),
    "gpu": partial(_sweep, LARGE),
}

_FULL = ("cpu", "gpu")
_KAPLAN = "Kaplan et al. 2020, section 3.2.1 and figure 7"

EXPECTED = (
    Expected(
        name="early",
        says=f"LSTM minus Transformer on the first {EARLY} tokens, nats",
        high=-0.01,
        source=_KAPLAN,
        budgets=_FULL,
    ),
    Expected(
        name="late",
        says=f"LSTM minus Transformer beyond {LATE} tokens, nats",
        low=0.01,
        source=_KAPLAN,
        budgets=_FULL,
    ),
    Expected(
        name="crossing",
        says="tokens up to which the LSTM gains on the Transformer",
        low=2,
        high=100,
        source=f"{_KAPLAN}: an LSTM plateaus after fewer than 100 tokens",
        budgets=_FULL,
    ),
    Expected(
        name="convolution_slope",
        says="convolution minus 8-gram, rise beyond the receptive field, nats",
        low=-0.02,
        high=0.02,
        source="a receptive field of 1 + 2 (2^depth - 1) tokens is exact",
        budgets=_FULL,
    ),
    Expected(
        name="counted_slope",
        says="n-gram of the source's order minus entropy, rise beyond it, nats",
        low=-0.02,
        high=0.02,
        source="an n-gram sees n tokens",
    ),
    Expected(
        name="order",
        says="order of the best counted n-gram minus that of the source",
        low=0,
        high=0,
        source="a Markov chain of order n depends on n tokens",
    ),
    Expected(
        name="least_excess",
        says="least excess of any family over the planted entropy, nats",
        low=0,
        source="no model's expected loss is below the entropy",
    ),
)

CAPTION = (
    "Held-out loss by tokens seen before: (a) families less the neural 8-gram, (b) LSTM less "
    "Transformer, a grey line a seed, (c) the excess over the entropy of a planted source.",
    "The LSTM gains on the Transformer up to token {crossing}; the least excess of any family "
    "is {least_excess} nats.",
)
ALT = (
    "Line charts of loss differences by position in the text.",
    "LSTM and Transformer change sides after {crossing} tokens.",
)


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        positions: Loss minus that of the 8-gram by family and position, on text.
        difference: LSTM minus Transformer by position, of each seed.
        excess: Loss minus that of the source's own probabilities, by model.
    """

    positions: pd.DataFrame
    difference: pd.DataFrame
    excess: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares families by position, and on the planted source with the entropy.

    Raises:
        ValueError: No run of the ruler, the LSTM or the Transformer is done, or no counted n-gram.
    """
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    text, source = (runs.loc[runs["data.kind"] == kind] for kind in ("text", "ngram"))
    networks = text.loc[text["model.kind"].isin(RATES)]
    full = networks.loc[networks["flops_train"] > 0.5 * networks["flops_train"].max()]
    if missing := {RULER, *COMPARED} - set(full["model.kind"]):
        raise ValueError(f"No run of {', '.join(sorted(missing))} is done. Run the command again.")
    if "counted_ngram" not in set(source["model.kind"]):
        raise ValueError("No counted n-gram is done. Run the command again.")
    by_position, difference = _by_position(full), _difference(full)
    if difference.empty:
        raise ValueError(
            f"No seed of both {' and '.join(COMPARED)} is done. Run the command again."
        )
    excess = _excess(source)
    tried = networks.loc[networks["flops_train"] <= 0.5 * networks["flops_train"].max()]
    lines, doubts = _tuning(tried)
    measured = {
        "early": _mean(difference, 0, EARLY),
        "late": _mean(difference, LATE, None),
        "crossing": _crossing(difference),
        "convolution_slope": _slope(by_position, "convolutional", _receptive_field(full)),
        **_on_source(source, excess),
    }
    baselines = text.loc[text["model.kind"] == "compressor"]
    programs = ", ".join(
        f"{name} {bits:.2f}"
        for name, bits in zip(
            baselines["model.program"], baselines["eval_bits_per_byte"], strict=True
        )
    )
    losses = full.groupby("model.kind")["eval_loss_nats"].mean().sort_values()
    order = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
    return Findings(
        measured=measured,
        verdict="\n".join(
            [f"loss on text at equal compute, nats: {order}", f"bits per byte: {programs}", *lines]
        ),
        shown=stacked(
            by_position,
            difference,
            excess,
            excluded.assign(run_ids=excluded["run_id"]).loc[:, ["why", "run_ids"]],
        ),
        details=Details(by_position, difference, excess),
        doubts=doubts,
        report={"rates": RATES},
    )


def _parts(runs: pd.DataFrame) -> list[Positions]:
    return list(positions(int(runs["data.context"].iloc[0])))


def _by_position(full: pd.DataFrame) -> pd.DataFrame:
    """Rows of family, positions and loss minus that of the ruler, means over seeds."""
    parts = _parts(full)
    columns = [f"eval_by.{part.name}" for part in parts]
    means = full.loc[:, ["model.kind", *columns]].groupby("model.kind").mean()
    ids = full.groupby("model.kind")["run_id"].agg(" ".join)
    return pd.DataFrame(
        [
            {
                "family": family,
                "first": part.first,
                "end": part.end,
                "loss": row[f"eval_by.{part.name}"],
                "gain": row[f"eval_by.{part.name}"] - means.loc[RULER, f"eval_by.{part.name}"],
                "run_ids": ids[family],
            }
            for family, row in means.iterrows()
            for part in parts
        ]
    )


def _difference(full: pd.DataFrame) -> pd.DataFrame:
    """Rows of seed, positions and LSTM minus Transformer of that seed."""
    one, other = (full.loc[full["model.kind"] == name].set_index("seed") for name in COMPARED)
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "first": part.first,
                "end": part.end,
                "difference": one.loc[seed, column] - other.loc[seed, column],
            }
            for seed in sorted(set(one.index) & set(other.index))
            for part in _parts(full)
            for column in [f"eval_by.{part.name}"]
        ]
    )


def _mean(difference: pd.DataFrame, first: int, end: int | None) -> Measured:
    """The mean over positions from `first` to `end`, with an interval over seeds."""
    inside = difference["first"] >= first
    if end is not None:
        inside &= difference["end"] <= end
    rows = difference.loc[inside]
    if rows.empty:
        return Measured(value=None, note="the context is too short")
    weights = (rows["end"] - rows["first"]).to_numpy(np.float64)
    weighted = rows.assign(total=weights * rows["difference"], weight=weights).groupby("seed")
    return _over_seeds((weighted["total"].sum() / weighted["weight"].sum()).to_numpy(np.float64))


def _over_seeds(values: Floats) -> Measured:
    """A mean with a 95 % interval by Student's t; without one where there is one seed."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Measured(value=mean, note="one seed")
    half = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Measured(value=mean, low=mean - half, high=mean + half)


def _crossing(difference: pd.DataFrame) -> Measured:
    """Where the lead of the LSTM, summed from the first token, is largest; ends over seeds."""
    found = []
    for _, rows in [*difference.groupby("seed"), (None, difference)]:
        mean = rows.groupby(["first", "end"])["difference"].mean()
        ends = mean.index.get_level_values("end").to_numpy()
        lead = np.cumsum(mean.to_numpy() * (ends - mean.index.get_level_values("first").to_numpy()))
        found.append(float(ends[lead.argmin()]) if lead.min() < 0 else 0.0)
    *seeds, value = found
    return Measured(value=value, low=min(*seeds, value), high=max(*seeds, value))


def _receptive_field(full: pd.DataFrame) -> int:
    depth = full.loc[full["model.kind"] == "convolutional", "model.depth"]
    return Convolutional(width=1, depth=int(depth.iloc[0])).receptive_field if len(depth) else 0


def _slope(by_position: pd.DataFrame, family: str, beyond: int) -> Measured:
    """How far the last positions lie above the first that are beyond a receptive field."""
    rows = by_position.loc[
        (by_position["family"] == family) & (by_position["first"] >= max(beyond - 1, 7))
    ]
    if len(rows) < 2:
        return Measured(value=None, note="fewer than two parts of the context lie beyond it")
    gain = rows.sort_values("first")["gain"].to_numpy(np.float64)
    return Measured(value=float(gain[-1] - gain[0]))


def _excess(source: pd.DataFrame) -> pd.DataFrame:
    """Rows of model, order, positions and loss above that of the source's probabilities."""
    columns = source.filter(regex=r"^data\.").rename(columns=lambda name: name[5:])
    plain = columns.drop(columns="fingerprint").iloc[0].dropna().to_dict()
    chain = from_dict(NGram, {name: plain[name] for name in plain if hasattr(NGram, name)})
    exact = -chain.log_chances(chain.load(0).eval_tokens)
    parts = [Positions(0, chain.context), *_parts(source)]
    return pd.DataFrame(
        [
            {
                "family": run["model.kind"],
                "order": run.get("model.order"),
                "first": part.first,
                "end": part.end,
                "excess": loss - exact[:, part.first : part.end].mean(),
                "run_ids": run["run_id"],
            }
            for _, run in source.iterrows()
            for part in parts
            for loss in [run["eval_loss_nats"] if part is parts[0] else run[f"eval_by.{part.name}"]]
        ]
    )


def _on_source(source: pd.DataFrame, excess: pd.DataFrame) -> Mapping[str, Measured]:
    context, order = (int(source[f"data.{name}"].iloc[0]) for name in ("context", "order"))
    whole = excess.loc[(excess["first"] == 0) & (excess["end"] == context)]
    counted = whole.loc[whole["family"] == "counted_ngram"].set_index("order")["excess"]
    beyond = excess.loc[
        (excess["family"] == "counted_ngram")
        & (excess["order"] == order)
        & (excess["first"] >= order - 1)
        & (excess["end"] - excess["first"] < context)
    ].sort_values("first")["excess"]
    slope = (
        Measured(value=float(beyond.iloc[-1] - beyond.iloc[0]))
        if len(beyond)
        else Measured(value=None, note="the n-gram of the source's order is not done")
    )
    return {
        "order": Measured(value=float(counted.idxmin()) - order),
        "counted_slope": slope,
        "least_excess": Measured(value=float(whole["excess"].min())),
    }


def _tuning(tried: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The best of the rates tried, and doubts where another was used."""
    if tried.empty:
        return [], []
    best = tried.loc[tried.groupby("model.kind")["eval_loss_nats"].idxmin()]
    rates = dict(zip(best["model.kind"], best["train.optimizer.learning_rate"], strict=True))
    line = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
    doubts = [
        f"{name} was trained at the rate {RATES[name]:g}, and {rate:g} was best of three at a "
        "quarter of the compute"
        for name, rate in rates.items()
        if not np.isclose(rate, RATES[name])
    ]
    return [f"best rates of three at a quarter of the compute: {line}"], doubts


LABELS = {
    "transformer": "Transformer",
    "lstm": "LSTM",
    "gru": "GRU",
    "min_gru": "minimal GRU",
    "convolutional": "convolution",
    "counted_ngram": "counted n-gram",
    "neural_ngram": "neural 8-gram",
}
LOOKS = dict(zip(LABELS, style.SERIES, strict=True))


def figure(findings: Findings[Details]) -> Figure:
    """Draws families against the 8-gram by position, LSTM against Transformer, and the excess."""
    with style.paper_style():
        drawing, axes = style.new_figure(1, 3, width=style.DOUBLE_COLUMN, height=2.9)
        _draw_positions(axes[0, 0], findings)
        _draw_difference(axes[0, 1], findings.details.difference)
        _draw_excess(axes[0, 2], findings.details.excess)
        style.outer_legend(drawing, axes[0], "outside lower center", 4)
        style.letter_panels(axes)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss of each family minus that of the 8-gram against position."""
    _draw_positions(ax, findings)
    style.legend_above(ax, n_columns=2)


def _draw_positions(ax: Axes, findings: Findings[Details]) -> None:
    rows = findings.details.positions
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    for name, look in LOOKS.items():
        of = rows.loc[rows["family"] == name]
        if name != RULER and not of.empty:
            ax.plot(_middle(of), of["gain"], **look.line(), label=LABELS[name])
    ax.set(
        xscale="log", xlabel="tokens seen", ylabel="loss minus that of the\nneural 8-gram (nats)"
    )
    log_ticks(ax, "x", most=4)


def _middle(rows: pd.DataFrame) -> Floats:
    """Tokens that a prediction sees, the geometric mean over a part of the context."""
    first, end = (rows[name].to_numpy(np.float64) for name in ("first", "end"))
    return np.sqrt((first + 1) * end)


def _draw_difference(ax: Axes, difference: pd.DataFrame) -> None:
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    for _, rows in difference.groupby("seed"):
        ax.plot(_middle(rows), rows["difference"], color=style.GREY, linewidth=0.8)
    each = difference.loc[:, ["first", "end", "difference"]]
    mean = each.groupby(["first", "end"]).mean().reset_index()
    ax.plot(_middle(mean), mean["difference"], color=style.INK)
    ax.set(xscale="log", xlabel="tokens seen", ylabel="LSTM minus Transformer (nats)")
    ax.set_title("black: mean over seeds", loc="right", fontsize=7)
    log_ticks(ax, "x", most=4)


def _draw_excess(ax: Axes, excess: pd.DataFrame) -> None:
    whole = excess.loc[(excess["first"] == 0) & (excess["end"] == excess["end"].max())]
    for name, look in LOOKS.items():
        rows = whole.loc[whole["family"] == name].sort_values("order")
        if name == "counted_ngram":
            marked = {**look.marks(), **look.line()}
            ax.plot(rows["order"], rows["excess"], **marked, label=LABELS[name])
            ax.set_xticks(rows["order"].to_numpy(np.float64))
        elif not rows.empty:
            ax.axhline(rows["excess"].iloc[0], **look.line(), label=LABELS[name])
    ax.set(yscale="log", xlabel="order of the n-gram", ylabel="loss above the entropy (nats)")
