"""Where in a text do recurrent, convolutional and n-gram networks fall behind the Transformer?

Claim: an LSTM predicts the first tokens of a context as well as a Transformer or better, and stops
gaining from more of them; a Transformer goes on. An n-gram stops at its order, a convolution at its
receptive field.
Paper: Kaplan et al. 2020 (arXiv 2001.08361), section 3.2.1 and figure 7.
Command: scaling run architectures
Cost: 58 networks on source code, of which 18 tune learning rates and 30 give exponents, and 11 runs
on a planted source: 8.6e13 FLOPs, 1,200 s of a CPU core.
Expected: at equal compute the loss of the LSTM is below the Transformer's on the first 16 bytes and
above it beyond 64, by 0.01 nats or more, and changes sides between bytes 2 and 100; beyond what
they see, the convolution and the n-grams are flat; on the planted source no family is below the
entropy, and counted n-grams are best at its order.

All networks have two blocks or more, about as many parameters, and the same FLOPs of training. A
network predicts the same held-out windows as all others. Loss by position alone is no measure: the
text itself is harder at some positions than at others. What is drawn is the difference from a
neural 8-gram, for which all positions from the eighth on are alike. Three rates are tried for each
family, at an eighth of the compute, and the report doubts a family whose best is another than the
one compared. The planted source is a Markov chain, whose probabilities predict its held-out tokens
as well as any model can.

Exponents of allocation are those of one law, L = E + A_f N^-alpha_f + B_f D^-beta_f with one floor
E for all families f: three widths at two shares of the compute and the one that is compared at all
of it. They are reported with their intervals and without an expectation.

The compute is what the Transformer needs: its gain from far tokens comes with training. With a
fifteenth of it, at half these rates, the LSTM was still ahead by 0.074 nats [0.035, 0.113] beyond
64 tokens, and with a quarter of it (one seed) by 0.014, and by 0.030 on the first 16 tokens. Size
`cpu` gave, over three seeds, -0.008 [-0.020, 0.004] on the first 16, which fails, 0.014 [-0.037,
0.064] beyond 64, which passes by its mean alone, and a change of sides after 32 tokens [2, 128].
The minimal GRU is best of all, 1.41 nats against 1.47 to 1.54. Three widths leave exponents wide:
0.31 for the Transformer to 0.60 for the GRU, and 0.5 inside every interval; the GRU has none.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Sweep
from experiments.shared import by_position
from experiments.shared.architecture_figures import Details, draw_positions, families_figure
from experiments.shared.by_position import COMPARED, RULER
from experiments.shared.family_exponents import family_exponents
from experiments.shared.panels import left_out, stacked
from scaling.config import RunConfig
from scaling.counting import Counting
from scaling.data.ngram import NGram
from scaling.data.text import Text
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
from scaling.record import finite
from scaling.training import Adam

RATES = {
    "transformer": 0.02,
    "lstm": 0.02,
    "gru": 0.02,
    "min_gru": 0.02,
    "convolutional": 0.02,
    "neural_ngram": 0.02,
}
"""Learning rates of the runs that are compared, at the width of the size `cpu`; other widths have
those that muP carries there."""

TUNED_WIDTH = 32

GRID = (0.5, 1.0, 2.0)
"""Rates that are tried, as multiples of those."""

TUNED_AT = 0.125
"""Share of the compute at which rates are tried."""

SHARES = (0.03125, TUNED_AT)
"""Shares of the compute at which networks of several widths are trained."""

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
        widths: Widths of the Transformer for the exponents of families.
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
    widths: Sequence[int] = ()


def _networks(size: Size, names: Sequence[str], width: int | None = None) -> list[Family]:
    """Networks of about 24 width^2 parameters in blocks."""
    width, dtype = width or size.width, size.compute_dtype
    families: list[Any] = [
        Transformer(width=width, depth=2, head_size=16, activation="gelu", compute_dtype=dtype),
        LSTM(width=5 * width // 4, depth=2, compute_dtype=dtype),
        GRU(width=3 * width // 2, depth=2, compute_dtype=dtype),
        MinGRU(width=width, depth=2, compute_dtype=dtype),
        Convolutional(width=width, depth=4, compute_dtype=dtype),
        NeuralNGram(width=width, depth=2, order=8, compute_dtype=dtype),
    ]
    chosen = [family for family in families if family.kind in names]
    if width == TUNED_WIDTH or not size.widths:
        return chosen
    parts = [each.width * TUNED_WIDTH // width for each in chosen]
    return [
        replace(each, parametrization=MuP(base_width=part, base_head_size=16))
        for each, part in zip(chosen, parts, strict=True)
    ]


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
    """Networks on text, first those that tune rates; then of other widths, and on the source."""
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
        _trained(family, text, share * on_text, size.batch_size)
        for share in SHARES
        for width in size.widths
        if (width, share) != (size.width, TUNED_AT)  # one of those that tune rates
        for family in _networks(size, size.names, width)
    ]
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
    width=TUNED_WIDTH,
    flops=(6e12, 4e10),
    source=NGram(context=32, vocab_size=8, order=3, n_tokens=2**19, n_eval=512, repeat=True),
    orders=(1, 2, 3, 4, 5),
    widths=(16, 32, 64),
)
LARGE = MIDDLE._replace(
    width=512, flops=(2e16, 4e11), context=512, batch_size=64, n_eval=1024,
    compute_dtype="bfloat16", widths=(256, 512, 1024),
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
    "Transformer, a grey line a seed; (c) the excess over the entropy of a planted source; (d) "
    "exponents of compute-optimal parameters, one floor for all families, with 95 % intervals.",
    "The LSTM gains on the Transformer up to token {crossing}; the least excess of any family "
    "is {least_excess} nats.",
)
ALT = (
    "Line charts of loss differences by position in the text.",
    "LSTM and Transformer change sides after {crossing} tokens.",
)


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
    position, difference = by_position.by_position(full), by_position.difference(full)
    if difference.empty:
        raise ValueError(
            f"No seed of both {' and '.join(COMPARED)} is done. Run the command again."
        )
    excess = by_position.excess(source)
    lines, doubts = _tuning(networks, full)
    exponents = family_exponents(networks, RATES)
    seen = by_position.receptive_field(full)
    measured = {
        "early": by_position.mean_difference(difference, 0, EARLY),
        "late": by_position.mean_difference(difference, LATE, None),
        "crossing": by_position.crossing(difference),
        "convolution_slope": by_position.rise(position, "convolutional", seen),
        **by_position.on_source(source, excess),
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
            [
                f"loss on text at equal compute, nats: {order}",
                f"bits per byte: {programs}",
                *lines,
                exponents.line(),
            ]
        ),
        shown=stacked(position, difference, excess, exponents.cells, left_out(excluded)),
        details=Details(position, difference, excess, exponents),
        doubts=doubts,
        report={
            "rates": RATES,
            "exponents": {
                name: {"value": a.value, "low": finite(a.low), "high": finite(a.high)}
                for name, a in exponents.of_parameters().items()
            },
        },
    )


def _tuning(networks: pd.DataFrame, full: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The best of the rates tried at the width that is compared; doubts where another was used."""
    share = networks["flops_train"] / full["flops_train"].max()
    compared = set(full[["model.kind", "model.width"]].itertuples(index=False, name=None))
    sizes = networks[["model.kind", "model.width"]].itertuples(index=False, name=None)
    same = np.array([size in compared for size in sizes])
    tried = networks.loc[same & (share > 0.9 * TUNED_AT) & (share < 0.5)]
    if tried.empty:
        return [], []
    best = tried.loc[tried.groupby("model.kind")["eval_loss_nats"].idxmin()]
    rates = dict(zip(best["model.kind"], best["train.optimizer.learning_rate"], strict=True))
    line = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
    where = f"at {TUNED_AT:g} of the compute"
    doubts = [
        f"{name} was trained at the rate {RATES[name]:g}, and {rate:g} was best of three {where}"
        for name, rate in rates.items()
        if not np.isclose(rate, RATES[name])
    ]
    return [f"best rates of three {where}: {line}"], doubts


def figure(findings: Findings[Details]) -> Figure:
    """Draws families by position, LSTM against Transformer, the excess, and exponents."""
    return families_figure(findings.details)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss of each family minus that of the 8-gram against position."""
    draw_positions(ax, findings.details.positions)
    style.legend_above(ax, n_columns=2)
