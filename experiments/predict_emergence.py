"""Can the step at which an ability appears be predicted before it does?

Claim: each of many tasks takes as many examples of its own as any other, so the tasks that have
appeared in the first third of a run say when the others will: a power law of their frequency, with
an interval. Tasks that have not appeared yet are counted as later, not left out.
Paper: Michaud, Liu, Girit, Tegmark 2023 (arXiv 2303.13506): quanta in the order of frequency.
Command: scaling run predict_emergence
Cost: none beyond the runs of `emergence` that are watched as they learn.
Expected: 85 % or more of the tasks that appear later do so inside their 95 % interval, with a
median error of the step below 25 %. At most a tenth of those that are to appear before the end of
the run, with 97.5 % confidence, do not.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.estimate import Floats
from analysis.fitting.survival import DelayLaw, fit_delays
from analysis.plots import style, ticks
from analysis.tables import results
from experiments import emergence
from experiments.experiment import Budget, Expected, Findings, Measured, Sweep
from experiments.shared.panels import one_panel, with_notes
from experiments.shared.watched_tasks import watched_runs
from scaling.config import RunConfig
from scaling.data.parity_tasks import ParityTasks
from scaling.schedules import Constant
from scaling.streaming import Streaming

RUNS_OF = "emergence"
CURVES = True

SEEN = 1 / 3
"""Share of the steps that the prediction knows."""


def _sweep(budget: Budget) -> list[RunConfig]:
    """The runs of `emergence` that are watched as they learn."""
    return [
        run
        for run in emergence.SWEEP[budget]()
        if isinstance(run.train, Streaming) and isinstance(run.train.schedule, Constant)
    ]


SWEEP: Sweep = {
    "smoke": partial(_sweep, "smoke"),
    "cpu": partial(_sweep, "cpu"),
    "gpu": partial(_sweep, "gpu"),
}

EXPECTED = (
    Expected(
        name="inside",
        says="share of later tasks that appear inside their 95 % interval",
        low=0.85,
        source="nominal 0.95, of tasks that share the runs they appear in",
    ),
    Expected(
        name="error",
        says="median error of the step beyond the spacing of evaluations, share of it",
        high=0.25,
        source="Michaud et al. 2023: a power law of frequency",
    ),
    Expected(
        name="missing",
        says="share of tasks that were to appear before the end and did not",
        high=0.1,
        source="nominal 0.025 or less",
    ),
)

CAPTION = (
    "Step at which each task appears over its frequency: tasks known when the prediction is "
    "made (filled) and those that appear later (open), with the prediction and its 95 % band.",
    "The share of later tasks that appear inside their interval is {inside}, with a median "
    "error of {error}.",
)
ALT = (
    "Scatter chart of steps of emergence over frequency with a falling line: of the tasks that "
    "appear later a share of {inside} lies inside the predicted band.",
)


class Details(NamedTuple):
    """What the figure draws."""

    law: DelayLaw
    cut: float
    tasks: pd.DataFrame  # one row a task of a run


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Fits the tasks that appear early, and compares the others with their predictions."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    first_run = runs.iloc[0]
    n_tasks, exponent = int(first_run["data.tasks"]), float(first_run["data.exponent"])
    frequency = ParityTasks(tasks=n_tasks, exponent=exponent).probabilities
    watched = watched_runs(curves.loc[curves["run_id"].isin(runs["run_id"])], n_tasks)
    after, until = watched.emergence()
    cut = float(watched.steps[watched.steps <= SEEN * watched.steps[-1]][-1])
    early = until <= cut
    often = np.broadcast_to(frequency, until.shape)
    law = fit_delays(
        1 / often.ravel(),
        np.where(early, after, cut).ravel(),
        np.where(early, until, np.inf).ravel(),
    )
    low, high = law.next_at(1 / often)
    tasks = pd.DataFrame(
        {
            "run": np.repeat(np.arange(len(until)), n_tasks),
            "task": np.tile(np.arange(1, n_tasks + 1), len(until)),
            "frequency": often.ravel(),
            "after": after.ravel(),
            "until": until.ravel(),
            "predicted": law.at(1 / often).ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
        }
    )
    measured = _measured(tasks, cut, float(watched.steps[-1]))
    return Findings(
        measured=measured,
        verdict=(
            f"From the first {cut:,.0f} of {watched.steps[-1]:,.0f} steps ({law.n_events} "
            f"appearances): step of emergence ~ frequency^{-law.exponent.value:.2f}. "
            f"{measured['inside'].note}"
        ),
        shown=with_notes(tasks, excluded, "steps"),
        details=Details(law, cut, tasks),
        report={"cut": cut, "scatter": law.scatter},
    )


def _measured(tasks: pd.DataFrame, cut: float, end: float) -> dict[str, Measured]:
    later = tasks.loc[np.isfinite(tasks["until"]) & (tasks["until"] > cut)]
    if later.empty:
        nothing = Measured(value=None, note="no task appears later")
        return dict.fromkeys(("inside", "error", "missing"), nothing)
    # A task has appeared somewhere between two evaluations: the interval must touch theirs.
    inside = (later["low"] <= later["until"]) & (later["after"] <= later["high"])
    error = _error(later["predicted"], later["after"], later["until"])
    sure = tasks.loc[(tasks["high"] <= end) & (tasks["predicted"] > cut)]
    missing = float(np.mean(np.isinf(sure["until"]))) if len(sure) else 0.0
    return {
        "inside": Measured(
            value=float(inside.mean()),
            note=f"{inside.sum()} of {len(later)} later appearances lie inside.",
        ),
        "error": Measured(value=float(np.median(error)), note=f"{len(later)} appearances"),
        "missing": Measured(value=missing, note=f"of {len(sure)}"),
    }


def _error(predicted: pd.Series, after: pd.Series, until: pd.Series) -> Floats:
    """Distance of predictions from the intervals between two evaluations, as a share."""
    guess, first, last = (each.to_numpy(np.float64) for each in (predicted, after, until))
    return np.maximum(np.maximum(first - guess, guess - last), 0) / last


def figure(findings: Findings[Details]) -> Figure:
    """Draws steps of emergence over frequency, known and predicted."""
    return one_panel(overview, findings, 2.7)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws steps of emergence over frequency, known and predicted."""
    law, cut, tasks = findings.details
    seen = tasks.loc[np.isfinite(tasks["until"])]
    along = np.geomspace(seen["frequency"].min(), seen["frequency"].max(), 60)
    low, high = law.next_at(1 / along)
    ax.fill_between(along, low, high, color=style.SERIES[0].color, alpha=0.18, linewidth=0)
    ax.plot(along, law.at(1 / along), **style.SERIES[0].line(), label="prediction, 95 %")
    early = seen["until"] <= cut
    for rows, look, filled, label in (
        (seen[early], style.SERIES[0], True, "known"),
        (seen[~early], style.SERIES[1], False, "appeared later"),
    ):
        ax.plot(rows["frequency"], rows["until"], **look.marks(filled=filled), label=label)
    ax.axhline(cut, color=style.GREY, linewidth=0.8, linestyle=":", label="known up to here")
    ticks.log_scale(ax, "x", "y", ticks=(1,))
    ax.set(xlabel="frequency of the task", ylabel="step of emergence")
    ax.legend(loc="upper right")
