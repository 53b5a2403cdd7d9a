"""What does it take to repeat what was said: two layers of attention, or a large state?

Claim: of random tokens that repeat with an unknown period, a Transformer of two layers learns to
say each period again, within a short window of training: one layer marks each token with the one
before it, and the next finds where the current token stood. One layer cannot, and stays at what not
knowing the period costs. Recurrent families have a state instead, and none recalls more than it
holds: the larger the state, the more.
Paper: Olsson et al. 2022 (arXiv 2209.11895) for induction heads; Jelassi et al. 2024 (arXiv
2402.01032) for copying from a state.
Command: scaling run induction
Cost: 16 runs of up to 2,000 steps of 32 sequences, about 2 minutes on two CPU cores.
Expected: on repeated tokens two layers come down to a tenth of log V, where the exact loss is near
0. One layer is never below the exact loss of one who weighs all periods alike. No recurrent network
is below log V less its bits over the tokens. With more numbers in its state, each recalls more.
"""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

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
from scaling.data.repeated import Repeated
from scaling.fields import from_dict, types_of
from scaling.models.family import Family
from scaling.models.gru import GRU
from scaling.models.lstm import LSTM
from scaling.models.min_gru import MinGRU
from scaling.models.selective_ssm import KERNEL, SelectiveSSM
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.record import Positions, positions
from scaling.training import Adam
from sweeps.space import chain, grid

CURVES = True

BITS = 32
"""Bits of a number of a state: states are of single precision in every family."""
RECURRENT = {"lstm": LSTM, "gru": GRU, "min_gru": MinGRU, "selective_ssm": SelectiveSSM}
LABELS = {"lstm": "LSTM", "gru": "GRU", "min_gru": "minGRU", "selective_ssm": "selective SSM"}


class Size(NamedTuple):
    """What a declared size of the experiment runs; `half` is a power of two.

    Sequences with an unknown period have one of half / 2 + 1 to half, those to recall half + 1, so
    that the predictions from place half to twice that are all of tokens that repeat, and of the
    latter none a second time.
    """

    half: int
    vocabulary: int
    width: int  # of the Transformers
    depths: tuple[int, ...]
    seeds: int
    steps: int
    families: tuple[str, ...]
    widths: tuple[int, ...]  # of the recurrent networks
    recurrent_steps: int
    batch: int = 32


def _sweep(size: Size) -> list[RunConfig]:
    half = size.half
    unknown = Repeated(
        context=2 * half, vocab_size=size.vocabulary, least_period=half // 2 + 1, period=half,
        n_tokens=2 * half * size.batch * size.steps,
    )  # fmt: skip
    known = Repeated(
        context=2 * half + 1, vocab_size=size.vocabulary, least_period=half + 1, period=half + 1,
        n_tokens=(2 * half + 1) * size.batch * size.recurrent_steps,
    )  # fmt: skip

    def run(model: Family, data: Repeated, steps: int, evaluations: int) -> RunConfig:
        plan = Pretraining(
            optimizer=Adam(learning_rate=1e-2),
            batch_size=size.batch,
            steps=steps,
            warmup_tokens=steps // 20 * size.batch * data.context,
            evaluations=evaluations,
            loss_by_position=True,
        )
        return RunConfig(model=model, data=data, train=plan)

    attention = Transformer(width=size.width, depth=1, heads=2)
    return chain(
        grid(
            run(attention, unknown, size.steps, 24),
            {"model.depth": size.depths, "seed": range(size.seeds)},
        ),
        *(
            grid(
                run(RECURRENT[kind](width=size.widths[0], depth=1), known, size.recurrent_steps, 4),
                {"model.width": size.widths},
            )
            for kind in size.families
        ),
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, Size(8, 8, 16, (1, 2), 1, 150, ("min_gru",), (4,), 150)),
    "cpu": partial(_sweep, Size(16, 32, 32, (1, 2), 2, 1200, tuple(RECURRENT), (2, 8, 32), 2000)),
    "gpu": partial(
        _sweep,
        Size(
            half=128,
            vocabulary=256,
            width=128,
            depths=(1, 2, 4),
            seeds=4,
            steps=10_000,
            families=tuple(RECURRENT),
            widths=(8, 32, 128, 512),
            recurrent_steps=20_000,
            batch=128,
        ),
    ),
}

_OLSSON = "Olsson et al. 2022"

EXPECTED = (
    Expected(
        name="two_layers",
        says="loss of two layers on repeated tokens, over log V",
        high=0.1,
        source=f"{_OLSSON}: induction heads",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="one_layer",
        says="least loss of one layer on repeated tokens, over that of not knowing the period",
        low=1.0,
        source=f"{_OLSSON}: one layer has no induction heads",
    ),
    Expected(
        name="window",
        says="steps in which two layers go from 3/4 to 1/4 of log V, over the step of 1/2",
        high=1.0,
        source=f"{_OLSSON}: in a short window of training",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="above_bound",
        says="least distance of the loss of recall from its bound by the bits of the state, nats",
        low=0.0,
        source="exact: log V - bits log 2 / tokens",
    ),
    Expected(
        name="by_state",
        says="share of families whose largest state recalls more bits than the smallest",
        low=1.0,
        source="more state, more bits",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Loss on repeated tokens over steps by depth, with log V and the loss of not knowing "
    "the period; (b) loss by place in the sequence beside the exact one; (c) bits recalled over "
    "the numbers in the state of recurrent families, with their bound.",
    "Two layers reach {two_layers} of log V; one layer stays at {one_layer} times the loss of "
    "not knowing the period.",
)
ALT = (
    "Charts of loss on repeated tokens.",
    "Two layers reach {two_layers} of log V, one layer {one_layer} times the loss of not "
    "knowing the period.",
)


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        watched: Loss on repeated tokens by depth, seed and step, nats.
        by_position: Mean loss by depth and part of the sequence at the end, and the exact one.
        recall: Loss of recall of each recurrent network, its state and the bound.
        vocabulary: Different tokens.
        blind: Exact loss of one who weighs all periods alike.
        length: Tokens that are recalled.
    """

    watched: pd.DataFrame
    by_position: pd.DataFrame
    recall: pd.DataFrame
    vocabulary: int
    blind: float
    length: int


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Compares depths on an unknown period, and states on a known one."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    is_attention = runs["model.kind"] == "transformer"
    attention, recurrent = runs.loc[is_attention], runs.loc[~is_attention]
    source = _source(attention)
    repeated = Positions(source.period, source.context)
    blind = _blind_loss(source)
    watched = _watched(attention, curves, repeated)
    recall = _recall(recurrent, _source(recurrent))
    log_v = float(np.log(source.vocab_size))
    measured = {
        "two_layers": Measured(value=float(_last(watched, 2).max()) / log_v),
        "one_layer": Measured(value=float(_last(watched, 1).min()) / blind),
        "window": _window(watched, log_v),
        "above_bound": _above_bound(recall),
        "by_state": _by_state(recall),
    }
    details = Details(
        watched, _by_position(attention, source), recall, source.vocab_size, blind,
        _source(recurrent).period - 1,
    )  # fmt: skip
    shown = pd.concat([watched, details.by_position, recall], ignore_index=True)
    return Findings(
        measured=measured,
        verdict=_verdict(details, measured),
        shown=with_notes(shown, excluded.assign(depth=excluded["model.depth"]), "depth"),
        details=details,
        report={"blind_loss_nats": blind, "log_vocabulary": log_v},
    )


def _source(runs: pd.DataFrame) -> Repeated:
    """The source that all of some runs have."""
    first = runs.iloc[:1].to_dict("records")[0]
    return from_dict(Repeated, {name: first[f"data.{name}"] for name in types_of(Repeated)})


def _blind_loss(source: Repeated) -> float:
    """Exact mean loss, on held-out repeated tokens, of one who weighs all periods alike.

    It knows which tokens stand a possible period back, and not which of these periods it is.
    """
    tokens = source.load(0).eval_tokens
    back = np.arange(source.least_period, source.period + 1)
    places = np.arange(source.period + 1, source.context + 1)
    same = tokens[:, places[:, None] - back] == tokens[:, places, None]
    return float(-np.log(same.mean(axis=-1)).mean())


def _watched(runs: pd.DataFrame, curves: pd.DataFrame, repeated: Positions) -> pd.DataFrame:
    depths = dict(zip(runs["run_id"], runs["model.depth"], strict=True))
    rows = curves.loc[curves["run_id"].isin(runs["run_id"])]
    return pd.DataFrame(
        {
            "depth": [depths[run] for run in rows["run_id"]],
            "step": rows["step"].to_numpy(),
            "loss": [each[repeated.name] for each in rows["eval_by"]],
            "run_ids": rows["run_id"].to_numpy(),
        }
    )


def _histories(watched: pd.DataFrame, depth: int) -> list[tuple[Floats, Floats]]:
    """Steps and losses of each run of a depth."""
    rows = watched.loc[watched["depth"] == depth].sort_values("step")
    return [
        (run["step"].to_numpy(np.float64), run["loss"].to_numpy(np.float64))
        for _, run in rows.groupby("run_ids")
    ]


def _last(watched: pd.DataFrame, depth: int) -> Floats:
    """Loss of each run of a depth at its end."""
    return np.array([losses[-1] for _, losses in _histories(watched, depth)])


def _crossing(steps: Floats, losses: Floats, level: float) -> float | None:
    """First step at which the loss passes a level, straight between evaluations."""
    below = np.flatnonzero(losses <= level)
    if not len(below) or below[0] == 0:
        return None
    i = int(below[0])
    share = (losses[i - 1] - level) / (losses[i - 1] - losses[i])
    return float(steps[i - 1] + share * (steps[i] - steps[i - 1]))


def _window(watched: pd.DataFrame, log_v: float) -> Measured:
    windows, drops = [], []
    for steps, losses in _histories(watched, 2):
        early, middle, late = (
            _crossing(steps, losses, share * log_v) for share in (3 / 4, 0.5, 1 / 4)
        )
        if early is not None and middle is not None and late is not None:
            windows.append((late - early) / middle)
            drops.append(middle)
    if not windows:
        return Measured(value=None, note="no run of two layers passes a quarter of log V")
    return Measured(value=float(np.max(windows)), note=f"drop at step {np.mean(drops):.0f}")


def _by_position(runs: pd.DataFrame, source: Repeated) -> pd.DataFrame:
    """Mean loss over seeds by depth and part, beside that of the source's own probabilities."""
    exact = -source.log_chances(source.load(0).eval_tokens)
    return pd.DataFrame(
        [
            {
                "depth": depth,
                "first": part.first,
                "end": part.end,
                "part_loss": group[f"eval_by.{part.name}"].to_numpy(np.float64).mean(),
                "exact": exact[:, part.first : part.end].mean(),
                "run_ids": " ".join(group["run_id"]),
            }
            for depth, group in runs.groupby("model.depth")
            for part in positions(source.context)
        ]
    )


def _state(run: Mapping[Hashable, Any]) -> int:
    """Numbers that a recurrent network passes from one token to the next."""
    kind, cells = run["model.kind"], run["model.width"] * run["model.depth"]
    if kind == "selective_ssm":  # memories, and what the convolution sees beside the current token
        return 2 * cells * (int(run["model.states"]) + KERNEL - 1)
    return cells * (2 if kind == "lstm" else 1)


def _recall(runs: pd.DataFrame, source: Repeated) -> pd.DataFrame:
    """Loss of the tokens that are said for the first time again, all from the state."""
    length = source.period - 1
    state = np.array([_state(run) for run in runs.to_dict("records")], np.float64)
    loss = runs[f"eval_by.{Positions(length, 2 * length).name}"].to_numpy(np.float64)
    of = {"length": length, "vocabulary": source.vocab_size}
    return pd.DataFrame(
        {
            "family": runs["model.kind"].to_numpy(),
            "width": runs["model.width"].to_numpy(),
            "state_numbers": state,
            "recall_loss": loss,
            "bound": theory.least_recall_loss(BITS * state, **of),
            "bits": theory.recalled_bits(loss, **of),
            "run_ids": runs["run_id"].to_numpy(),
        }
    )


def _above_bound(recall: pd.DataFrame) -> Measured:
    above = (recall["recall_loss"] - recall["bound"]).to_numpy(np.float64)
    per_number = (recall["bits"] / recall["state_numbers"]).to_numpy(np.float64)
    return Measured(value=float(above.min()), note=f"at most {per_number.max():.2f} bits a number")


def _by_state(recall: pd.DataFrame) -> Measured:
    more = []
    for _, rows in recall.groupby("family"):
        bits = rows.sort_values("state_numbers")["bits"].to_numpy(np.float64)
        more.append(bits[-1] > bits[0])
    return Measured(value=float(np.mean(more)), note=f"{sum(more)} of {len(more)}")


def _verdict(details: Details, measured: dict[str, Measured]) -> str:
    log_v, recall = np.log(details.vocabulary), details.recall.to_dict("records")
    most = max(recall, key=lambda row: row["bits"])
    ends = ", ".join(
        f"{_last(details.watched, depth).mean():.3f} at depth {depth}"
        for depth in sorted(set(details.watched["depth"]))
    )
    lines = [
        f"Of {log_v:.2f} nats a token, repeats with an unknown period cost {ends}; not knowing the "
        f"period costs {details.blind:.3f}.",
        f"Of {details.length} tokens, {details.length * log_v / np.log(2):.0f} bits, a "
        f"{LABELS[most['family']]} of {most['state_numbers']:.0f} numbers recalls most, "
        f"{most['bits']:.1f} bits.",
    ]
    if measured["window"].value is not None:
        lines[0] += f" Two layers: {measured['window'].note}."
    return "\n".join(lines)


def figure(findings: Findings[Details]) -> Figure:
    """Draws loss over steps by depth, by place in the sequence, and recall over the state."""
    with style.paper_figure(1, 3, height=2.7) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_positions(axes[0, 1], findings.details)
        _draw_recall(axes[0, 2], findings.details)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss on repeated tokens over training steps, by depth."""
    details = findings.details
    for look, depth in zip(style.SERIES, sorted(set(details.watched["depth"])), strict=False):
        label = f"{depth} layer{'s' if depth > 1 else ''}"
        for steps, losses in _histories(details.watched, depth):
            ax.plot(steps, losses, **look.line(), label=label)
            label = ""
    log_v = np.log(details.vocabulary)
    ax.axhline(log_v, color=style.GREY, linewidth=0.6, linestyle=":", label="log V")
    ax.axhline(
        details.blind, color=style.INK, linewidth=0.9, linestyle="--", label="period unknown"
    )
    ax.set(xlabel="step", ylabel="loss on repeated tokens (nats)", ylim=(0, 1.6 * log_v))
    ax.legend(loc="upper right", ncols=2, fontsize=6)


def _draw_positions(ax: Axes, details: Details) -> None:
    rows = details.by_position
    for look, (depth, group) in zip(style.SERIES, rows.groupby("depth"), strict=False):
        label = f"{depth} layer{'s' if depth != 1 else ''}"
        middle = np.sqrt((group["first"] + 1) * group["end"])
        ax.plot(middle, group["part_loss"], **look.marks(), label=label)
        ax.plot(middle, group["part_loss"], color=look.color, linewidth=0.6)
    exact = rows.loc[rows["depth"] == rows["depth"].min()]
    middle = np.sqrt((exact["first"] + 1) * exact["end"])
    ax.plot(middle, exact["exact"], color=style.INK, linewidth=0.9, label="exact")
    ticks.log_scale(ax, "x")
    ax.set(xlabel="place in the sequence", ylabel="loss (nats)", ylim=(0, None))
    ax.legend(loc="lower left")


def _draw_recall(ax: Axes, details: Details) -> None:
    rows = details.recall
    for look, (family, group) in zip(style.SERIES, rows.groupby("family"), strict=False):
        group = group.sort_values("state_numbers")
        ax.plot(group["state_numbers"], group["bits"], **look.marks(), label=LABELS[str(family)])
        ax.plot(group["state_numbers"], group["bits"], color=look.color, linewidth=0.6)
    all_bits = details.length * np.log2(details.vocabulary)
    along = np.geomspace(1, rows["state_numbers"].max(), 40)
    bound = np.minimum(BITS * along, all_bits)
    ax.plot(along, bound, color=style.INK, linewidth=0.9, label="bound")
    ticks.log_scale(ax, "x", ticks=(1,))
    ax.set(xlabel="numbers in the state", ylabel=f"bits recalled of {all_bits:.0f}")
    ax.set_ylim(-0.03 * all_bits, 1.4 * all_bits)
    ax.legend(loc="upper left", ncols=2, fontsize=6)
