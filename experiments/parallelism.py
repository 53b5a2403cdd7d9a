"""How far does each way to divide one training over many devices go, and what do mixtures gain?

Claim: no single way suffices. Data parallelism ends at the sequences of a batch, and a batch beyond
the critical one saves no steps; tensor parallelism pays until it leaves the node; pipelines begin
where weights no longer fit beside it, end at the layers, and idle where microbatches are few.
Together they train a trillion parameters at half of the devices' peak. A roofline of products,
memory and links predicts it.
Paper: Narayanan et al. 2021 (arXiv 2104.04473), tables 1 and 2; Rajbhandari et al. 2019 (arXiv
1910.02054); Korthikanti et al. 2022 (arXiv 2205.05198); Kaplan et al. 2020 (arXiv 2001.08361),
equation 1.4. The runs that the plan is held against are those of
`analysis/parallelism/published_runs.toml`, with their sources.
Command: scaling run parallelism
Cost: none; nothing is trained.
Expected: utilisation within 8 points of what six of eight published runs reported, and room where
they had room; tensor parallelism inside the node in the best mixture for every number of devices;
GPT-3 on 1,536 devices more than twice as fast by a mixture as by sharded weights alone, where
Narayanan et al. measured 3.2 times. The last one fails: the plan says 1.4, and 0.95 for the two
set-ups that they ran. It misses their ZeRO-3, whose links would have reached a tenth of what it
takes (a sixth on 384 devices); weights sharded by programs of 2023, which set how much of them
travels unseen, are planned within 8 points.

The critical batch is the one that `scaling run critical_batch --budget smoke` measured, at 2.5 nats
a byte, carried on to the loss of the model by Kaplan's exponent; its own range of losses is too
narrow for one. Beside it stands Kaplan's, which was measured on larger models. A token is taken as
four bytes, and the loss as that of Hoffmann et al. 2022 (arXiv 2203.15556), approach 3, at 20
tokens a parameter.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.parallelism import devices
from analysis.parallelism.choice import choose
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import AXES, Recipe
from analysis.parallelism.published_runs import PublishedRun, find, predicted_runs, published_runs
from analysis.parallelism.shape import TransformerShape
from analysis.plots import style, ticks
from analysis.published import library
from experiments.experiment import Expected, Findings, Measured

WITHIN = 0.08
"""Largest distance of a plan from the utilisation reported."""
N_DEVICES = 1536
"""Devices at which model sizes are laid side by side, those of GPT-3 in the paper."""
BATCH = 1536
"""Sequences of a step."""
OVER_DEVICES = "megatron-18.4b"
"""The model that is divided over more and more devices."""
CRITICAL = (2.479, 1545.0)
"""Nats a byte, and the critical batch there in bytes: `scaling run critical_batch --budget smoke`,
interval 1,111 to 2,131."""
KAPLAN = (2e8, 1 / 0.21)
"""Critical batch in tokens at a loss of 1 nat, and its exponent in 1 / loss (equation 1.4)."""
BYTES_A_TOKEN = 4
TOKENS_A_PARAMETER = 20
STRATEGIES = {
    "sharded weights": ("data", "fsdp"),
    "tensor": ("tensor",),
    "pipeline": ("pipe",),
    "best mixture": AXES,
}

EXPECTED = (
    Expected(
        name="within",
        says=f"published runs of eight whose utilisation is planned within {100 * WITHIN:g} points",
        low=6,
        source="their papers",
    ),
    Expected(
        name="fit", says="published runs of eight that fit by the plan", low=8, source="they ran"
    ),
    Expected(
        name="tensor",
        says="longest tensor axis of the best mixtures, over the devices of a node",
        high=1,
        source="Narayanan et al. 2021, section 3.2, takeaway 1",
    ),
    Expected(
        name="mixture",
        says=f"speed of the best mixture over sharded weights, GPT-3 on {N_DEVICES:,} devices",
        low=2,
        source="Narayanan et al. 2021, table 2: 141 over 44 TFLOP/s",
    ),
)

CAPTION = (
    "(a) Utilisation of eight published runs, planned over reported, with a band of 8 points: "
    "{within} of them lie in it. Small dots are runs that set the plan's constants. Crosses are "
    "runs with sharded weights by a program of 2021, which the plan misses.",
    "(b) A model of 18.4 billion parameters over the number of A100s by each way to divide it, at "
    "1,536 sequences a step, by kernels of today; the star is what was reported of it in 2021, by "
    "a program that computed activations twice. Devices left of the line share a node. In the "
    "shaded range one sequence a device is the critical batch: as measured here and carried on to "
    "the model's loss (left end), and by Kaplan et al. (right end).",
    "(c) Models of growing size on 1,536 A100s, by kernels of today, and what was reported on "
    "devices and by programs of their own: stars the eight runs of (a), dots those that set the "
    "speed of products. A line ends where its way divides the model no further, or where memory "
    "is full. (d) How many devices share products, sequences and layers in the best mixture of "
    "(c).",
    "On 1,536 devices the best mixture trains GPT-3 {mixture} times as fast as sharded weights by "
    "the plan, where 3.2 times was measured in 2021.",
)
ALT = (
    "Four panels: {within} of eight runs lie within 8 points of the diagonal; each pure strategy "
    "ends or falls as devices grow, and a mixture stays above them, {mixture} times sharded "
    "weights on 1,536 devices; the same over model size; tensor parallelism stays in the node and "
    "pipelines lengthen with size.",
)


class Facts(NamedTuple):
    """Published runs, and the models that are planned."""

    runs: tuple[PublishedRun, ...]
    others: tuple[PublishedRun, ...]
    models: tuple[PublishedRun, ...]


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        others: Runs that the plan is not held against, planned over reported, a row each.
        over_devices: Plans by each strategy over numbers of devices.
        over_sizes: The same over models.
        divided: The run whose model is divided over devices.
        critical: Devices with one sequence each at the critical batch: measured, and Kaplan's.
    """

    others: pd.DataFrame
    over_devices: pd.DataFrame
    over_sizes: pd.DataFrame
    divided: pd.Series
    critical: tuple[float, float]


def _facts() -> Facts:
    """The facts that are in the package."""
    names = ("1.7b", "7.5b", "18.4b", "39.1b", "76.1b", "145.6b", "310.1b", "529.6b")
    models = tuple(find(f"megatron-{name}") for name in names)
    others = tuple(run for run in published_runs().values() if run.sets)
    return Facts(predicted_runs(), others, (*models, find("gpt-1t")))


FACTS = _facts


def analyse(facts: Facts) -> Findings[Details]:
    """Plans the published runs as they were, and each strategy over devices and sizes."""
    shown = pd.DataFrame([_row(run) for run in facts.runs])
    planned, reported = shown[["planned", "reported"]].to_numpy(np.float64).T
    off = planned - reported
    within, worst = int(np.sum(np.abs(off) <= WITHIN)), int(np.argmax(np.abs(off)))
    divided, gpt3 = find(OVER_DEVICES).shape, find("gpt3-175b").shape
    over_devices = [
        (2**k, name, _best(divided, 2**k, name)) for k in range(14) for name in STRATEGIES
    ]
    sizes = [
        (run.shape.parameters, name, _best(run.shape, N_DEVICES, name))
        for run in facts.models
        for name in STRATEGIES
    ]
    there = {name: _best(gpt3, N_DEVICES, name) for name in STRATEGIES}
    mixed = [each.tensor for _, name, each in (*over_devices, *sizes) if name == "best mixture"]
    return Findings(
        measured={
            "within": Measured(
                value=within, note=f"{facts.runs[worst].name} is off by {100 * off[worst]:+.1f}"
            ),
            "fit": Measured(value=int(np.count_nonzero(shown["fits"]))),
            "tensor": Measured(value=float(np.nanmax(mixed)) / _device().node),
            "mixture": Measured(
                value=there["best mixture"].utilisation / there["sharded weights"].utilisation,
                note=f"{_as_they_ran():.2f} for the two set-ups of the paper",
            ),
        },
        verdict=_verdict(within, over_devices, there),
        shown=shown,
        details=Details(
            pd.DataFrame([_row(run) for run in facts.others]),
            _table("devices", over_devices),
            _table("parameters", sizes),
            pd.Series(_row(find(OVER_DEVICES))),
            critical_devices(divided),
        ),
    )


def _as_they_ran() -> float:
    """Planned speed of the mixture of Narayanan et al. 2021, table 2, over ZeRO-3 there."""
    mixture, sharded = (find(name).plan() for name in ("gpt3-175b", f"zero3-175b-{N_DEVICES}"))
    return mixture.tokens_per_second / sharded.tokens_per_second


def critical_devices(shape: TransformerShape) -> tuple[float, float]:
    """Returns the devices with one sequence each at the critical batch, measured and Kaplan's."""
    law = library.find("hoffmann2022-approach3").curve()
    size = float(shape.parameters)
    loss = float(law.predict({"N": size, "D": TOKENS_A_PARAMETER * size}))
    (measured_at, batch), (at_one, exponent) = CRITICAL, KAPLAN
    measured = batch * (measured_at * BYTES_A_TOKEN / loss) ** exponent / BYTES_A_TOKEN
    return measured / shape.context, at_one * loss**-exponent / shape.context


def _table(x: str, rows: list[tuple[int, str, "_Found"]]) -> pd.DataFrame:
    return pd.DataFrame([{x: at, "strategy": name, **each._asdict()} for at, name, each in rows])


def _row(run: PublishedRun) -> dict[str, object]:
    """A published run beside its plan."""
    planned, utilisation = run.plan(), run.planned_utilisation()
    return {
        "run": run.name,
        "parameters": run.shape.parameters,
        "sets": run.sets,
        "devices": int(planned.layout.size),
        "device": run.device.name,
        "mesh": str(planned.layout),
        "counted": run.counted,
        "reported": run.utilisation,
        "planned": utilisation,
        "reported_model": run.utilisation * planned.utilisation / utilisation,
        "memory_bytes": float(planned.memory.total),
        "fits": planned.fits,
        "seconds_a_step": float(planned.seconds.total),
    }


class _Found(NamedTuple):
    """The best plan by a strategy; NaN where it has none that fits."""

    utilisation: float = math.nan
    tensor: float = math.nan
    context: float = math.nan
    pipe: float = math.nan
    mesh: str = ""


def _device() -> Device:
    return devices.find("a100")


def _best(shape: TransformerShape, n_devices: int, strategy: str) -> _Found:
    recipe, axes = Recipe(batch=BATCH), STRATEGIES[strategy]
    try:
        best = choose(shape, _device(), n_devices, recipe, n_best=1, axes=axes).best
    except ValueError:  # the strategy does not divide the devices
        return _Found()
    if not best:
        return _Found()
    mesh = best[0].layout
    lengths = (float(mesh.tensor), float(mesh.context), float(mesh.pipe))
    return _Found(best[0].utilisation, *lengths, str(mesh))


def _verdict(
    within: int, over_devices: list[tuple[int, str, _Found]], gpt3: dict[str, _Found]
) -> str:
    ends = {name: n for n, name, each in over_devices if not math.isnan(each.utilisation)}
    most = ", ".join(f"{name} {ends[name]:,}" for name in STRATEGIES)
    mixture, sharded = gpt3["best mixture"], gpt3["sharded weights"]
    return (
        f"{within} of 8 published runs are planned within {100 * WITHIN:g} points of their "
        "utilisation.\n"
        f"The most devices that a model of 18.4 billion parameters is divided over: {most}.\n"
        f"GPT-3 on {N_DEVICES:,} devices uses {100 * mixture.utilisation:.0f} % of the peak by "
        f"{mixture.mesh}, and {100 * sharded.utilisation:.0f} % by sharded weights alone."
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws planned over reported utilisation, strategies over devices and size, and mixtures."""
    details = findings.details
    with style.paper_figure(2, 2, height=5.4) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_others(axes[0, 0], details.others)
        axes[0, 0].set(xlim=(10, 62), ylim=(30, 62))
        _draw_strategies(axes[0, 1], details.over_devices, "devices", "devices (A100)")
        _draw_ends(axes[0, 1], details)
        _draw_strategies(axes[1, 0], details.over_sizes, "parameters", "parameters")
        _draw_reported(axes[1, 0], pd.concat([findings.shown, details.others]))
        _draw_mixture(axes[1, 1], details.over_sizes)
        style.outer_legend(drawing, axes.flat[1:2], "outside lower center", 4)
    return drawing


def _draw_strategies(ax: Axes, rows: pd.DataFrame, x: str, label: str) -> None:
    """Draws utilisation by each strategy."""
    strategies = rows.groupby("strategy", sort=False)
    for look, (name, of) in zip(style.SERIES, strategies, strict=False):
        ax.plot(of[x], 100 * of["utilisation"], **look.line(), label=name)
        ax.plot(of[x], 100 * of["utilisation"], **look.marks(), markersize=3)
    ax.set(xscale="log", xlabel=label, ylabel="model FLOPs, of the peak (%)", ylim=(0, 75))
    ticks.log_ticks(ax, "x", most=5)


def _draw_ends(ax: Axes, details: Details) -> None:
    """Marks the node, the critical batch, and what was reported of the model."""
    ax.axvline(_device().node, color=style.GREY, linewidth=0.8)
    ax.axvspan(*details.critical, color=style.GREY, alpha=0.2, linewidth=0)
    for x, text, side in (
        (_device().node * 1.1, "node", "left"),
        (math.sqrt(math.prod(details.critical)), "critical\nbatch", "center"),
    ):
        ax.annotate(text, (x, 2), ha=side, va="bottom", color=style.GREY, fontsize="small")
    run = details.divided
    ax.plot(run["devices"], 100 * run["reported_model"], "k*", markersize=6)


def _draw_reported(ax: Axes, runs: pd.DataFrame) -> None:
    """Draws what runs reported, of model FLOPs."""
    sets, held = runs[runs["sets"] == "PRODUCTS"], runs[runs["sets"] == ""]
    ax.plot(sets["parameters"], 100 * sets["reported_model"], ".", color=style.GREY, markersize=4)
    ax.plot(held["parameters"], 100 * held["reported_model"], "k*", markersize=5)


def _draw_mixture(ax: Axes, rows: pd.DataFrame) -> None:
    """Draws the lengths of the axes of the best mixture."""
    best = rows[rows["strategy"] == "best mixture"]
    for look, axis in zip(style.SERIES[4:], ("tensor", "context", "pipe"), strict=False):
        ax.plot(best["parameters"], best[axis], **{**look.marks(), **look.line()}, label=axis)
    ax.axhline(_device().node, color=style.GREY, linewidth=0.8)
    ax.annotate("node", (1, _device().node), xycoords=("axes fraction", "data"), ha="right",
                va="bottom", color=style.GREY, fontsize="small")  # fmt: skip
    ax.set(xscale="log", xlabel="parameters", ylabel="devices along an axis")
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter("{x:g}")
    ticks.log_ticks(ax, "x", most=5)
    ax.legend(loc="upper left")


_NAMES = {
    "gpt3-175b": ("GPT-3", (-4, -9)),
    "gpt-1t": ("GPT 1T", (-4, 4)),
    "mt-nlg-530b": ("MT-NLG", (-4, 4)),
    "opt-175b": ("OPT", (3, -19)),
    "bloom-176b": ("BLOOM", (5, -8)),
    "glm-130b": ("GLM", (-4, 4)),
    "llama-3.1-405b": ("Llama 3.1", (-4, -8)),
    "palm-540b": ("PaLM", (-4, 4)),
}


def _draw_others(ax: Axes, others: pd.DataFrame) -> None:
    """Draws the runs that set constants, and those that the plan misses."""
    for which, mark in ((others["sets"] != "nothing", "."), (others["sets"] == "nothing", "x")):
        of = others[which]
        ax.plot(100 * of["reported"], 100 * of["planned"], mark, color=style.GREY, markersize=3.5)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws planned over reported utilisation of the published runs."""
    shown = findings.shown
    ends = np.array([10.0, 70.0])
    ax.fill_between(ends, ends - 100 * WITHIN, ends + 100 * WITHIN, color=style.GREY, alpha=0.2,
                    linewidth=0)  # fmt: skip
    ax.plot(ends, ends, color=style.GREY, linewidth=0.8)
    for look, (device, rows) in zip(
        style.SERIES, shown.groupby("device", sort=False), strict=False
    ):
        ax.plot(100 * rows["reported"], 100 * rows["planned"], **look.marks(),
                label=str(device))  # fmt: skip
    for _, run in shown.iterrows():
        name, shift = _NAMES[str(run["run"])]
        ax.annotate(name, (100 * run["reported"], 100 * run["planned"]), xytext=shift,
                    textcoords="offset points", ha="left" if shift[0] > 0 else "right",
                    fontsize="small")  # fmt: skip
    ax.set(xlabel="reported use of the peak (%)", ylabel="planned (%)", xlim=(35, 62),
           ylim=(35, 62))  # fmt: skip
    style.legend_above(ax, 4)
