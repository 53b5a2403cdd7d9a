"""How far does each way to divide one training over many devices go, and what do mixtures gain?

Claim: no single way suffices. Data parallelism ends at the sequences of a batch, and gathers all
weights over slow links; tensor parallelism pays from the device on that leaves the node; pipelines
end at the layers, and idle where microbatches are few. Together they train a trillion parameters at
half of the devices' peak. A roofline of products, memory and links predicts it.
Paper: Narayanan et al. 2021 (arXiv 2104.04473), tables 1 and 2; Rajbhandari et al. 2019 (arXiv
1910.02054); Korthikanti et al. 2022 (arXiv 2205.05198). The runs that the plan is held against are
those of `analysis/parallelism/published_runs.toml`, with their sources.
Command: scaling run parallelism
Cost: none; nothing is trained.
Expected: utilisation within 8 points of what six of eight published runs reported, and room where
they had room; tensor parallelism inside the node in the best mixture for every number of devices;
GPT-3 on 1,536 devices more than twice as fast by a mixture as by sharded weights alone, where
Narayanan et al. measured 3.2 times.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.parallelism import devices
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Recipe
from analysis.parallelism.plan import AXES, choose
from analysis.parallelism.published_runs import PublishedRun, find, predicted_runs
from analysis.parallelism.shape import TransformerShape
from analysis.plots import style, ticks
from experiments.experiment import Expected, Findings, Measured

WITHIN = 0.08
"""Largest distance of a plan from the utilisation reported."""
N_DEVICES = 1536
"""Devices at which model sizes are laid side by side, those of GPT-3 in the paper."""
BATCH = 1536
"""Sequences of a step."""
OVER_DEVICES = "megatron-18.4b"
"""The model that is divided over more and more devices."""
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
        name="fit",
        says="published runs of eight that fit by the plan",
        low=8,
        source="they ran",
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
    "{within} of them lie in it.",
    "(b) A model of 18.4 billion parameters over the number of A100s by each way to divide it, at "
    "1,536 sequences a step; eight are a node. (c) Models of growing size on 1,536 devices. A line "
    "ends where a way does, or memory.",
    "On 1,536 devices the best mixture trains GPT-3 {mixture} times as fast as sharded weights.",
)
ALT = (
    "Three panels: {within} of eight runs lie within 8 points of the diagonal; utilisation falls "
    "with devices for each pure strategy, and a mixture stays above them, {mixture} times sharded "
    "weights on 1,536 devices; the same over model size.",
)


class Facts(NamedTuple):
    """Published runs, and the models that are planned."""

    runs: tuple[PublishedRun, ...]
    models: tuple[PublishedRun, ...]


class Details(NamedTuple):
    """What the figure draws: plans over devices and over sizes, a row each."""

    over_devices: pd.DataFrame
    over_sizes: pd.DataFrame


def _facts() -> Facts:
    """The facts that are in the package."""
    names = ("1.7b", "7.5b", "18.4b", "39.1b", "76.1b", "145.6b", "310.1b", "529.6b")
    models = tuple(find(f"megatron-{name}") for name in names)
    return Facts(predicted_runs(), (*models, find("gpt-1t")))


FACTS = _facts


def analyse(facts: Facts) -> Findings[Details]:
    """Plans the published runs as they were, and each strategy over devices and sizes."""
    shown = pd.DataFrame([_row(run) for run in facts.runs])
    off = {run.name: run.planned_utilisation() - run.utilisation for run in facts.runs}
    within = sum(abs(each) <= WITHIN for each in off.values())
    worst = max(off, key=lambda name: abs(off[name]))
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
            "within": Measured(value=within, note=f"{worst} is off by {100 * off[worst]:+.1f}"),
            "fit": Measured(value=sum(run.plan().fits for run in facts.runs)),
            "tensor": Measured(value=float(np.nanmax(mixed)) / _device().node),
            "mixture": Measured(
                value=there["best mixture"].utilisation / there["sharded weights"].utilisation
            ),
        },
        verdict=_verdict(within, over_devices, there),
        shown=shown,
        details=Details(_table("devices", over_devices), _table("parameters", sizes)),
    )


def _table(x: str, rows: list[tuple[int, str, "_Found"]]) -> pd.DataFrame:
    return pd.DataFrame([{x: at, "strategy": name, **each._asdict()} for at, name, each in rows])


def _row(run: PublishedRun) -> dict[str, object]:
    """A published run beside its plan."""
    planned = run.plan()
    return {
        "run": run.name,
        "devices": int(planned.layout.size),
        "device": run.device.name,
        "mesh": str(planned.layout),
        "counted": run.counted,
        "reported": run.utilisation,
        "planned": run.planned_utilisation(),
        "memory_bytes": float(planned.memory.total),
        "fits": planned.fits,
        "seconds_a_step": float(planned.seconds.total),
    }


class _Found(NamedTuple):
    """The best plan by a strategy; NaN where it has none that fits."""

    utilisation: float = math.nan
    tensor: float = math.nan
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
    return _Found(best[0].utilisation, float(best[0].layout.tensor), str(best[0].layout))


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
    """Draws planned over reported utilisation, and strategies over devices and over size."""
    details = findings.details
    with style.paper_figure(1, 3, height=2.7) as (drawing, axes):
        overview(axes[0, 0], findings)
        axes[0, 1].axvline(_device().node, color=style.GREY, linewidth=0.8)
        for ax, rows, x, label in (
            (axes[0, 1], details.over_devices, "devices", "devices (A100)"),
            (axes[0, 2], details.over_sizes, "parameters", "parameters"),
        ):
            for look, (name, of) in zip(
                style.SERIES, rows.groupby("strategy", sort=False), strict=False
            ):
                ax.plot(of[x], 100 * of["utilisation"], **look.line(), label=name)
                ax.plot(of[x], 100 * of["utilisation"], **look.marks(), markersize=3)
            ax.set(xscale="log", xlabel=label, ylabel="use of the peak (%)", ylim=(0, 80))
            ticks.log_ticks(ax, "x", most=5)
        style.outer_legend(drawing, axes[0, 1:2], "outside lower center", 4)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws planned over reported utilisation of the published runs."""
    shown = findings.shown
    ends = np.array([30.0, 70.0])
    ax.fill_between(ends, ends - 100 * WITHIN, ends + 100 * WITHIN, color=style.GREY, alpha=0.2,
                    linewidth=0)  # fmt: skip
    ax.plot(ends, ends, color=style.GREY, linewidth=0.8)
    for look, (device, rows) in zip(
        style.SERIES, shown.groupby("device", sort=False), strict=False
    ):
        ax.plot(100 * rows["reported"], 100 * rows["planned"], **look.marks(),
                label=str(device))  # fmt: skip
    ax.set(xlabel="reported use of the peak (%)", ylabel="planned (%)", xlim=ends, ylim=ends)
    style.legend_above(ax)
