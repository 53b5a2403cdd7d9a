"""Do abilities emerge, or do sharp metrics make them seem to?

Claim: a network that is asked for many sparse parities learns each at once, the most frequent
first. Its mean loss is the frequency of what it has not learnt yet: a smooth sum of sharp steps,
and over steps nearly a power law. Exact match of a chain of answers, which is sharp in the mean
loss, jumps without any of that.
Paper: Michaud, Liu, Girit, Tegmark 2023 (arXiv 2303.13506); Schaeffer, Miranda, Koyejo 2023 (arXiv
2304.15004) for the metric.
Command: scaling run emergence
Cost: 17 runs of up to 16,000 steps, about 2 minutes on two CPU cores.
Expected: of 64 tasks of three signs out of 32, asked for with frequency k^-1.4, under 10 % of
losses lie between 0.1 and 0.9 of log 2 once the first is learnt. Tasks appear in the order of their
frequency, after steps that fall as its power, with an exponent of -1.3 to -0.7 (theory -1). The
loss of a run whose learning rate has decayed is the exact tail sum, within 10 % where five or more
are learnt. Laws `quanta` and `quanta_n` are fitted to loss over steps, examples and parameters,
with a scale of their own. At the size `cpu` that is 1.36, 0.91 and 0.54 of the exact one: tasks are
not learnt in proportion to parameters, where 4,000 steps are as much of a limit.
"""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.survival import DelayLaw, fit_delays
from analysis.laws import QUANTA, QUANTA_N, Law
from analysis.plots import style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Json, Measured, Sweep
from experiments.shared import emergence_figures as panels
from experiments.shared.panels import with_notes
from experiments.shared.watched_tasks import (
    CHAIN,
    LEARNT,
    Watched,
    artefact,
    metrics_of,
    task_losses,
    watched_runs,
)
from scaling.config import RunConfig
from scaling.data.parity_tasks import ParityTasks
from scaling.models.mlp import MLP
from scaling.schedules import Constant, Linear
from scaling.streaming import Streaming
from scaling.training import Adam
from sweeps.space import chain, grid

CURVES = True

WIDTH, BATCH, RATE = 128, 512, 5e-3
BETWEEN = (0.1, 0.9)
FEWEST = 5
"""Tasks learnt from which on the loss is compared with the tail sum."""


class Size(NamedTuple):
    """What a declared size of the experiment runs."""

    tasks: int
    per_task: int
    watched: int  # steps of the runs that are watched as they learn
    evaluations: int
    seeds: int
    lengths: tuple[int, ...]
    widths: tuple[int, ...]
    examples: tuple[int, ...]
    length: int  # steps of the runs of other widths and of few examples


def _sweep(size: Size) -> list[RunConfig]:
    data = ParityTasks(tasks=size.tasks, per_task=size.per_task)

    def run(rate: float, schedule: Constant | Linear, steps: int, evaluations: int) -> RunConfig:
        plan = Streaming(
            optimizer=Adam(learning_rate=rate),
            schedule=schedule,
            batch_size=BATCH,
            steps=steps,
            evaluations=evaluations,
            spacing="geometric",
        )
        return RunConfig(model=MLP(width=WIDTH, depth=1), data=data, train=plan)

    watched = run(RATE, Constant(), size.watched, size.evaluations)
    ended = run(RATE, Linear(), size.length, 1)
    fixed = run(RATE, Linear(), size.length, 12)
    return chain(
        grid(watched, {"seed": range(size.seeds)}),
        grid(ended, {"train.steps": size.lengths}),
        grid(ended, {"model.width": size.widths}),
        grid(fixed, {"data.n_train": size.examples}),
    )


SWEEP: Sweep = {
    "smoke": partial(
        _sweep, Size(16, 32, 3600, 24, 2, (300, 600, 1200), (8,), (2**13, 2**15), 600)
    ),
    "cpu": partial(
        _sweep,
        Size(
            tasks=64,
            per_task=64,
            watched=12_000,
            evaluations=44,
            seeds=3,
            lengths=(1000, 2000, 4000, 8000, 16_000),
            widths=(8, 16, 32, 64),
            examples=(2**14, 2**15, 2**16, 2**17, 2**18),
            length=4000,
        ),
    ),
    "gpu": partial(
        _sweep,
        Size(
            tasks=512,
            per_task=32,
            watched=200_000,
            evaluations=80,
            seeds=5,
            lengths=(1000, 4000, 16_000, 64_000, 200_000),
            widths=(8, 16, 32, 64, 256, 512),
            examples=tuple(2**k for k in range(14, 25, 2)),
            length=64_000,
        ),
    ),
}

_MICHAUD = "Michaud et al. 2023"

EXPECTED = (
    Expected(
        name="between",
        says="share of per-task losses between 0.1 and 0.9 log 2, once a task is learnt",
        high=0.1,
        source="measured at this size: 4 %",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="off_tail",
        says=f"largest distance of the loss from the exact tail sum, >= {FEWEST} learnt",
        high=0.1,
        source="exact: log 2 a task that is not learnt",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="slope",
        says="slope of log steps of emergence in log frequency",
        low=-1.3,
        high=-0.7,
        source=f"{_MICHAUD}: so many examples of its own each, -1",
    ),
    Expected(
        name="order",
        says="rank correlation of the order of emergence and of frequency (Spearman)",
        low=0.9,
        source=f"{_MICHAUD}: the most frequent first",
    ),
    Expected(
        name="off_quanta",
        says="largest distance of the loss over steps from the law quanta, but for its scale",
        high=0.15,
        source=f"{_MICHAUD}: n ~ steps^(1 / (1 + exponent))",
    ),
    Expected(
        name="artefact",
        says=f"largest second difference in log steps: match of {CHAIN} answers over log loss",
        low=5.0,
        source="Schaeffer et al. 2023: sharp in the metric, not in the model",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Loss of some tasks and of all, weighted, over steps; (b) step at which each task "
    "appears over its frequency; (c) loss over tasks learnt with the exact tail sum; (d) "
    "metrics over steps, each over its range.",
    "Steps of emergence fall as frequency to the power {slope}; the rank correlation of both "
    "orders is {order}.",
)
ALT = (
    "Four charts: each task is learnt at once, the frequent ones first, and their sum is smooth.",
    "The step at which a task appears is its frequency to the power {slope}.",
)


class Fitted(NamedTuple):
    """A law of the loss along one axis, and how it agrees with the tasks.

    Attributes:
        law: The fit, at the exponent and the number of the tasks.
        off: The loss that is farthest from it, less 1 in units of it.
        at: Where that one lies.
        scale: Its A over that of the exact sum. Where it is not near 1, tasks are not learnt at the
            rate of the law, and its x0 or N0 is not what the first of them takes.
    """

    law: FitResult
    off: float
    at: float
    scale: float


class Details(NamedTuple):
    """What the figure draws."""

    watched: Watched
    frequency: Floats
    law: DelayLaw
    ended: pd.DataFrame  # one row a run of `off_tail`
    metrics: pd.DataFrame  # at doubling steps: metrics of the watched runs, over their range
    exponent: float


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Finds when tasks appear, what loss they leave, and what two metrics make of it."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    first_run = runs.iloc[0]
    n_tasks, exponent = int(first_run["data.tasks"]), float(first_run["data.exponent"])
    frequency = ParityTasks(tasks=n_tasks, exponent=exponent).probabilities
    constant = runs["train.schedule.kind"] == "constant"
    watched = watched_runs(curves.loc[curves["run_id"].isin(runs.loc[constant, "run_id"])], n_tasks)
    after, until = watched.emergence()
    often = np.broadcast_to(frequency, until.shape)
    law = fit_delays(1 / often.ravel(), after.ravel(), until.ravel())
    ended = _ended(runs.loc[~constant], curves, n_tasks, exponent)
    fits = _fits(ended, n_tasks, exponent)
    metrics = metrics_of(watched)
    measured = {
        "between": _between(watched),
        "off_tail": _off_tail(ended),
        "slope": Measured(
            value=-law.exponent.value, low=-law.exponent.high, high=-law.exponent.low,
            note=f"{law.n_events} emergences, {law.n_censored} still to come",
        ),
        "order": _order(frequency, until),
        "off_quanta": _off_quanta(fits.get("steps")),
        "artefact": artefact(metrics),
    }  # fmt: skip
    return Findings(
        measured=measured,
        verdict=_verdict(measured, fits),
        shown=with_notes(ended, excluded, "steps"),
        details=Details(watched, frequency, law, ended, metrics, exponent),
        report={name: _reported(fitted) for name, fitted in fits.items()},
    )


def _ended(runs: pd.DataFrame, curves: pd.DataFrame, n_tasks: int, exponent: float) -> pd.DataFrame:
    """The best evaluation of each run whose learning rate fell to 0, beside the tail sum.

    A run on few examples over-fits them in the end; those on fresh ones are best at theirs.
    """
    history = curves[curves["run_id"].isin(runs["run_id"])]
    best = history.loc[history.groupby("run_id")["eval_loss"].idxmin()].set_index("run_id")
    best = best.loc[runs["run_id"]]
    losses = task_losses(list(best["eval_by"]), n_tasks)
    learnt = (losses < LEARNT).sum(axis=1)
    rows = runs[["steps", "seed"]].assign(
        along=[_along(run, runs) for run in runs.to_dict("records")],
        width=runs["model.width"],
        n_params=runs["n_params_total"],
        n_train=runs["data.n_train"],
        loss=best["eval_loss"].to_numpy(),
        likelihood=[each["likelihood"] for each in best["eval_by"]],
        learnt=learnt,
        tail=theory.quanta_loss(learnt, exponent=exponent, tasks=n_tasks),
        run_ids=runs["run_id"],
    )
    return rows.sort_values(["along", "steps", "width", "n_train"])


def _along(run: Mapping[Hashable, Any], runs: pd.DataFrame) -> str:
    largest = {name: runs[name].to_numpy().max() for name in ("data.n_train", "model.width")}
    if run["data.n_train"] < largest["data.n_train"]:
        return "examples"
    return "parameters" if run["model.width"] < largest["model.width"] else "steps"


def _between(watched: Watched) -> Measured:
    some = watched.learnt.any(axis=2)
    low, high = BETWEEN
    losses = watched.losses[some]
    share = float(np.mean((losses > low) & (losses < high)))
    return Measured(value=share, note=f"{losses.size} losses")


def _off_tail(ended: pd.DataFrame) -> Measured:
    judged = ended.loc[(ended["along"] == "steps") & (ended["learnt"] >= FEWEST)]
    if judged.empty:
        return Measured(value=None, note=f"no run learnt {FEWEST} tasks")
    off = (judged["loss"] / judged["tail"] - 1).to_numpy()
    worst = int(np.argmax(np.abs(off)))
    learnt = ", ".join(map(str, judged["learnt"]))
    return Measured(value=float(abs(off[worst])), note=f"{off[worst]:+.1%}; learnt {learnt}")


def _order(frequency: Floats, until: Floats) -> Measured:
    from scipy.stats import spearmanr  # half a second, for this number alone

    seen = np.isfinite(until).any(axis=0)
    steps = np.array([np.mean(column[np.isfinite(column)]) for column in until.T[seen]])
    found, _ = spearmanr(frequency[seen], -steps)
    return Measured(value=float(np.asarray(found)), note=f"{seen.sum()} tasks")


def _fits(ended: pd.DataFrame, n_tasks: int, exponent: float) -> dict[str, Fitted]:
    """The laws of steps, examples and parameters, where there are runs enough."""
    axes: dict[str, tuple[Law, str]] = {
        "steps": (QUANTA, "steps"), "examples": (QUANTA, "n_train"),
        "parameters": (QUANTA_N, "n_params"),
    }  # fmt: skip
    fits = {}
    fixed = {"tasks": float(n_tasks), "alpha": exponent}
    most_frequent = ParityTasks(tasks=n_tasks, exponent=exponent).probabilities[0]
    exact_scale = np.log(2) * most_frequent / exponent
    for name, (law, column) in axes.items():
        rows = ended.loc[ended["along"] == name]
        if name == "parameters":  # the runs of full width and this length belong to it, too
            same = (ended["along"] == "steps") & ended["steps"].isin(rows["steps"])
            rows = ended.loc[same | (ended["along"] == name)]
        x, y = rows[column].to_numpy(np.float64), rows["loss"].to_numpy(np.float64)
        try:
            result = fit(law, x, y, fixed=fixed, bootstrap=Bootstrap(n=200))
        except FitError:
            continue
        away = y / result.predict(x) - 1
        worst = int(np.argmax(np.abs(away)))
        scale = float(result.params["A"] / exact_scale)
        fits[name] = Fitted(result, float(away[worst]), float(x[worst]), scale)
    return fits


def _off_quanta(fitted: Fitted | None) -> Measured:
    if fitted is None:
        return Measured(value=None, note="too few lengths")
    return Measured(value=abs(fitted.off), note=f"{fitted.off:+.1%} at {fitted.at:,.0f}")


def _reported(fitted: Fitted) -> Json:
    law = fitted.law
    params = {name: float(v) for name, v in law.params.items()}
    return {"law": law.law.name, **params, "off": fitted.off, "scale": fitted.scale}


def _verdict(measured: dict[str, Measured], fits: dict[str, Fitted]) -> str:
    slope, between = measured["slope"], measured["between"]
    lines = [
        f"Once a task is learnt, {between.value:.1%} of losses lie between 0.1 and 0.9 log 2. "
        f"Steps of emergence ~ frequency^{slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}]."
    ]
    if (off := measured["off_tail"]).value is not None:
        lines.append(f"The loss is the tail sum of what is not learnt to {off.value:.1%}.")
    if (ratio := measured["artefact"]).value is not None:
        lines.append(
            f"Exact match of {CHAIN} answers bends {ratio.value:.1f} times as sharply as the log "
            "of the loss that it is made of."
        )
    laws = ", ".join(
        f"{name} to {abs(fitted.off):.1%} at {fitted.scale:.2f} of the exact scale"
        for name, fitted in fits.items()
    )
    return "\n".join([*lines, f"The laws follow the loss over {laws}."] if fits else lines)


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses of tasks over steps, when they appear, the tail sum, and both metrics."""
    watched, frequency, law, ended, metrics, exponent = findings.details
    with style.paper_figure(2, 2, height=4.6) as (drawing, axes):
        panels.draw_tasks(axes[0, 0], watched, frequency)
        panels.draw_emergence(axes[0, 1], watched, frequency, law)
        panels.draw_tail(axes[1, 0], ended, len(frequency), exponent)
        panels.draw_metrics(axes[1, 1], metrics)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the loss of each task and the mean over steps, of the first watched run."""
    panels.draw_tasks(ax, findings.details.watched, findings.details.frequency)
