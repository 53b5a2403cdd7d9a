"""Does a Transformer that learns from its prompt become the best estimator there is?

Claim: trained on prompts of linear tasks, a Transformer answers as ridge regression does, the exact
Bayes estimate, after few examples; what it loses to the exact floor after more falls with its size
as a power law, to what its training leaves. Trained on few tasks it becomes the Bayes estimate for
those alone, which fails on new ones; from some number of tasks on it answers new ones, too.
Paper: Garg, Tsipras, Liang, Valiant 2022 (arXiv 2208.01066); Raventos, Paul, Chen, Ganguli 2023
(arXiv 2306.15063) for the number of tasks, whose tasks have 8 dimensions and whose thresholds lie
at 2^11 to 2^15 of them, after 500,000 steps.
Command: scaling run in_context
Cost: 13 runs of 4,000 steps of 64 prompts, about 3 minutes on two CPU cores.
Expected: after k <= D / 2 examples of D dimensions the largest model is within 5 % of ridge. The
excess falls with parameters. A model of 4 tasks lies nearer to their Bayes estimate than to ridge,
one of 256 or more nearer to ridge. The error on new tasks falls with the number of tasks. Least
squares inside a prompt diverges at k = D, as it does in double descent.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import SATURATING_POWER_LAW
from analysis.plots import style
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared import prompt_figures as panels
from experiments.shared.panels import with_notes
from experiments.shared.prompt_errors import (
    Floor,
    columns,
    errors_by_examples,
    errors_by_tasks,
    excess_by_size,
    floor_of,
)
from scaling.config import RunConfig
from scaling.data.linear_tasks import LinearTasks
from scaling.data.stream import MOST_EXAMPLES
from scaling.models.prompt_transformer import PromptTransformer
from scaling.schedules import Linear
from scaling.streaming import Streaming
from scaling.training import Adam
from sweeps.space import chain, grid

FEW, MANY = 4, 256
"""Tasks up to which a model must be the Bayes estimate of its own, and from which on ridge."""


class Size(NamedTuple):
    """What a declared size of the experiment runs."""

    dimension: int
    length: int
    depth: int
    widths: tuple[int, ...]  # on endless tasks
    width: int  # on numbers of tasks
    tasks: tuple[int, ...]
    steps: int
    batch: int
    seeds: int  # on endless tasks; one on numbers of tasks
    prompts: int


def _sweep(size: Size) -> list[RunConfig]:
    base = RunConfig(
        model=PromptTransformer(width=size.width, depth=size.depth),
        data=LinearTasks(dimension=size.dimension, length=size.length, prompts=size.prompts),
        train=Streaming(
            optimizer=Adam(learning_rate=5e-3),
            schedule=Linear(),
            objective="squared_error",
            batch_size=size.batch,
            steps=size.steps,
            warmup=size.steps // 50,
            evaluations=4,
        ),
    )
    return chain(
        grid(base, {"model.width": size.widths, "seed": range(size.seeds)}),
        grid(base, {"data.tasks": size.tasks}),
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, Size(2, 6, 1, (16,), 16, (2,), 400, 64, 1, 256)),
    "cpu": partial(
        _sweep, Size(4, 12, 3, (8, 16, 32, 64), 32, (4, 16, 64, 256, 1024), 4000, 64, 2, 1024)
    ),
    "gpu": partial(
        _sweep,
        Size(
            dimension=8,
            length=16,
            depth=4,
            widths=(16, 32, 64, 128, 256),
            width=64,
            tasks=tuple(2**k for k in range(2, 19, 2)),
            steps=50_000,
            batch=256,
            seeds=3,
            prompts=2048,
        ),
    ),
}

_EXACT = "exact: ridge regression is the Bayes estimate"
_RAVENTOS = "Raventos et al. 2023"

EXPECTED = (
    Expected(
        name="early",
        says="largest distance of the error from that of ridge, k <= D / 2, widest model",
        high=0.05,
        source=_EXACT,
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="off_floor",
        says="distance of the error of ridge on held-out prompts from the exact floor",
        high=0.05,
        source="exact: mean over Wishart eigenvalues",
    ),
    Expected(
        name="by_size",
        says="exponent of the excess over the floor in parameters",
        low=0.05,
        source="excess falls with size",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="few_tasks",
        says=f"squared distance from the estimate for <= {FEW} own tasks, over that from ridge",
        high=1.0,
        source=f"{_RAVENTOS}: below the threshold, the estimate for their own",
    ),
    Expected(
        name="many_tasks",
        says=f"squared distance from ridge, over that from the estimate for >= {MANY} own tasks",
        high=1.0,
        source=f"{_RAVENTOS}: above the threshold, ridge",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="new_tasks",
        says="largest rise of the error on new tasks from one number of tasks to the next",
        high=0.02,
        source=f"{_RAVENTOS}: more tasks, less error on new ones",
    ),
    Expected(
        name="threshold",
        says="tasks from which a model lies nearer to ridge than to the estimate for its own",
        low=2**9.5,
        high=2**13.5,
        source=f"{_RAVENTOS}: 2^11 to 2^12 at this size, within a factor of 4",
        budgets=("gpu",),
    ),
    Expected(
        name="diverges_at",
        says="examples after which least squares has its largest error, over D",
        low=1.0,
        high=1.0,
        source="exact: infinite at k = D, double descent",
    ),
)

CAPTION = (
    "(a) Squared error over the examples in the prompt, by width, beside exact ridge; (b) "
    "excess over the floor over parameters; (c) error on own and on new tasks over the number "
    "of tasks trained on, beside both Bayes estimates; (d) least squares and ridge, simulated "
    "and exact.",
    "Early in the prompt the widest model is within {early} of ridge; the excess falls as "
    "parameters to the power {by_size}.",
)
ALT = (
    "Charts of the error of a Transformer that regresses in its prompt: it falls with examples "
    "beside ridge regression.",
    "Early in the prompt the widest model is within {early} of ridge.",
)


class Details(NamedTuple):
    """What the figure draws; `by_examples` and `by_size` are of runs on endless tasks."""

    floor: Floor
    by_examples: pd.DataFrame
    by_size: pd.DataFrame
    by_tasks: pd.DataFrame
    law: FitResult | None
    threshold: float | None


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares models with both Bayes estimates, by examples, size and number of tasks."""
    runs, excluded = results.usable(table, ["eval_squared_error"])
    first_run = runs.iloc[0]
    dimension, length = int(first_run["data.dimension"]), int(first_run["data.length"])
    floor = floor_of(dimension, length, float(first_run["data.noise"]))
    endless = runs["data.tasks"] == MOST_EXAMPLES
    by_examples = errors_by_examples(runs.loc[endless], floor)
    by_size = excess_by_size(runs.loc[endless], length)
    by_tasks = errors_by_tasks(runs, length)
    law, threshold = _law(by_size), _threshold(by_tasks)
    few = by_tasks["tasks"] <= FEW
    many = (by_tasks["tasks"] >= MANY) & (by_tasks["tasks"] < MOST_EXAMPLES)
    measured = {
        "early": _early(by_examples, dimension),
        "off_floor": _off_floor(by_examples, floor),
        "by_size": _exponent(law),
        "few_tasks": _nearer(by_tasks.loc[few], "discrete", "ridge"),
        "many_tasks": _nearer(by_tasks.loc[many], "ridge", "discrete"),
        "new_tasks": _largest_rise(by_tasks),
        "threshold": Measured(value=threshold),
        "diverges_at": _diverges_at(floor, dimension),
    }
    shown = pd.concat([by_examples, by_size, by_tasks], ignore_index=True)
    return Findings(
        measured=measured,
        verdict=_verdict(by_size, by_tasks, threshold),
        shown=with_notes(shown, excluded.assign(tasks=excluded["data.tasks"]), "tasks"),
        details=Details(floor, by_examples, by_size, by_tasks, law, threshold),
        report={"exact_floor": floor.ridge.tolist(), "threshold_tasks": threshold},
    )


def _law(by_size: pd.DataFrame) -> FitResult | None:
    """The power law of the excess in parameters; None from too few sizes.

    What it levels off at is what the steps of training leave, at any size. Residuals are redrawn:
    two runs a size are too few to redraw within one.
    """
    x, y = (by_size[name].to_numpy(np.float64) for name in ("n_params", "excess"))
    try:
        return fit(SATURATING_POWER_LAW, x, y, bootstrap=Bootstrap(n=200, kind="residuals"))
    except FitError:
        return None


def _exponent(law: FitResult | None) -> Measured:
    if law is None:
        return Measured(value=None, note="too few sizes")
    low, high = law.intervals["alpha"]
    left = f"{law.params['E']:.3f} is left at any size after these steps"
    return Measured(value=law.params["alpha"], low=low, high=high, note=left)


def _early(by_examples: pd.DataFrame, dimension: int) -> Measured:
    widest = by_examples["width"] == by_examples["width"].max()
    rows = by_examples.loc[widest & (by_examples["examples"] <= dimension // 2)]
    off = rows["error"] / rows["floor"] - 1
    worst = rows.loc[off.idxmax()]
    return Measured(
        value=float(off.max()),
        note=f"after {worst['examples']:g} examples, width {worst['width']:g}",
    )


def _off_floor(by_examples: pd.DataFrame, floor: Floor) -> Measured:
    """Ridge against the floor, the mean over k: the same prompts serve every width of a seed."""
    found = by_examples["ridge_error"].to_numpy(np.float64).mean()
    exact = float(floor.ridge.mean())
    return Measured(value=abs(found / exact - 1), note=f"{found:.4f} against {exact:.4f}")


def _nearer(rows: pd.DataFrame, one: str, other: str) -> Measured:
    """Largest ratio of the distances from two estimates on new tasks."""
    if rows.empty:
        return Measured(value=None, note="no such number of tasks")
    tasks, near, far = columns(rows, "tasks", f"new_distance_{one}", f"new_distance_{other}")
    worst = int(np.argmax(near / far))
    return Measured(value=float(near[worst] / far[worst]), note=f"{tasks[worst]:,.0f} tasks")


def _largest_rise(by_tasks: pd.DataFrame) -> Measured:
    (errors,) = columns(by_tasks, "new_error_model")
    return Measured(
        value=float(np.max(errors[1:] / errors[:-1] - 1)), note=f"{len(errors)} numbers of tasks"
    )


def _diverges_at(floor: Floor, dimension: int) -> Measured:
    finite = np.isfinite(floor.least_squares)
    off = np.abs(floor.simulated[finite] / floor.least_squares[finite] - 1)
    return Measured(
        value=float(np.argmax(floor.simulated)) / dimension,
        note=f"within {off.max():.1%} of the exact error where that is finite",
    )


def _threshold(by_tasks: pd.DataFrame) -> float | None:
    """Number of tasks at which a model is as near to ridge as to the estimate for its own tasks.

    It lies where the log ratio of both distances on new tasks crosses 0, on the logarithm of M;
    None where it does not.
    """
    finite = by_tasks.loc[by_tasks["tasks"] < MOST_EXAMPLES]
    tasks, ridge, discrete = columns(finite, "tasks", "new_distance_ridge", "new_distance_discrete")
    ratio = np.log(ridge / discrete)
    below = np.flatnonzero((ratio[:-1] > 0) & (ratio[1:] <= 0))
    if not len(below):
        return None
    i = int(below[-1])
    share = ratio[i] / (ratio[i] - ratio[i + 1])
    return float(tasks[i] * (tasks[i + 1] / tasks[i]) ** share)


def _verdict(by_size: pd.DataFrame, by_tasks: pd.DataFrame, threshold: float | None) -> str:
    above = ", ".join(
        f"{group['excess'].to_numpy(np.float64).mean():.3f} (width {width:g})"
        for width, group in by_size.groupby("width")
    )
    fewest = by_tasks.to_dict("records")[0]
    lines = [
        f"Trained on endless tasks, answers lie {above} above the exact floor.",
        f"Of {fewest['tasks']:,} tasks, it errs by {fewest['own_error_model']:.2f} on those "
        f"(Bayes estimate {fewest['own_error_discrete']:.2f}, ridge "
        f"{fewest['own_error_ridge']:.2f}) and by {fewest['new_error_model']:.2f} on new ones "
        f"(ridge {fewest['new_error_ridge']:.2f}).",
    ]
    if threshold is not None:
        lines.append(f"From about {threshold:,.0f} tasks on it lies nearer to ridge.")
    return "\n".join(lines)


def figure(findings: Findings[Details]) -> Figure:
    """Draws errors by examples, excess by size, errors by tasks, and least squares."""
    details = findings.details
    with style.paper_figure(2, 2, height=4.8) as (drawing, axes):
        panels.draw_examples(axes[0, 0], details.floor, details.by_examples)
        panels.draw_excess(axes[0, 1], details.by_size, details.law)
        panels.draw_tasks(axes[1, 0], details.floor, details.by_tasks, details.threshold)
        panels.draw_least_squares(axes[1, 1], details.floor)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the error after each number of examples, by width, over the exact floor."""
    panels.draw_examples(ax, findings.details.floor, findings.details.by_examples)
