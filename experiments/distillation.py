"""When does a teacher help? When it is far better than its student, and most where text is short.

Claim: a student that learns the predictions of a better model ends below one that learns the text,
by more where text is short; a teacher of its own size harms it. Each teacher helps up to a compute
of the student, which is the greater the better the teacher.
Paper: Busbridge et al. 2025 (arXiv 2502.08606): distillation beats supervised training only up to a
compute, or where a teacher is there already; Hinton et al. 2015 (arXiv 1503.02531).
Command: scaling run distillation
Cost: 3 teachers of 1.1e4 to 1.1e5 parameters; a student of 1.1e4 at 5 lengths up to 1.2 MB of text,
by itself and after each, and at one length on 256 KiB; 4 seeds: 99 runs, 1.0e13 FLOPs, three
minutes of a core.
Expected: at 600 steps the best teacher lowers the loss on held-out text, by more on 256 KiB than on
all; a teacher of the student's size raises it, on all of the text; the crossing of that teacher
lies within the lengths, and that of the best not below it. Size `cpu` gave 0.081 [0.053, 0.108]
nats, 0.083 [0.069, 0.098] more on 256 KiB, and -0.044 [-0.063, -0.025].

Losses are cross-entropies on held-out text, of teacher, student and control alike. Teachers are
trained on all of the text, so that on 256 KiB they bring knowledge of the rest. Student compute is
that of the student alone; `flops_train` of a distilled run also counts the teacher's predictions,
and no run counts the teacher's training, which is shared by all of its students.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import mark_excluded, stacked
from experiments.shared.seeds import interval_of, mean_of
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.models.transformer import Transformer
from scaling.objectives.distilled import Distilled
from scaling.overrides import replace_together
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.space import grid

TEACHER_SEED = 9
"""No student starts from the weights of its teacher, or sees the text in its order."""


class Teacher(NamedTuple):
    """Size and length of a teacher."""

    width: int
    steps: int


class Student(NamedTuple):
    """Size of the student, numbers of steps, and tokens of its short text."""

    width: int
    lengths: Sequence[int]
    short: int


def _sweep(
    student: Student,
    teachers: Sequence[Teacher],
    n_seeds: int,
    *,
    depth: int = 2,
    context: int = 64,
    batch_size: int = 16,
    learning_rate: float = 5e-3,
) -> list[RunConfig]:
    """A student by itself and after each teacher, at every length, and at one on short text."""
    base = RunConfig(
        model=Transformer(width=student.width, depth=depth, head_size=8),
        data=Text(context=context, n_eval=512, repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=learning_rate),
            batch_size=batch_size,
            steps=student.lengths[0],
            evaluations=2,
        ),
    )
    taught = [
        {
            "train.objective": Distilled(),
            "distilled_from": replace_together(
                base, {"model.width": each.width, "train.steps": each.steps, "seed": TEACHER_SEED}
            ),
        }
        for each in teachers
    ]
    return [
        replace_together(run, changes)
        for changes in ({}, *taught)
        for run in (
            *grid(base, {"train.steps": student.lengths, "seed": range(n_seeds)}),
            *grid(
                base,
                {
                    "data.n_tokens": [student.short],
                    "train.steps": [_judged(student.lengths)],
                    "seed": range(n_seeds),
                },
            ),
        )
    ]


def _judged(lengths: Sequence[int]) -> int:
    """The length at which teachers are judged: the last but one."""
    return sorted(lengths)[-2]


SWEEP: Sweep = {
    "smoke": partial(
        _sweep, Student(8, (60, 120, 240), 2**13), (Teacher(8, 60), Teacher(8, 480)), 1,
        depth=1, batch_size=8,
    ),
    "cpu": partial(
        _sweep, Student(16, (75, 150, 300, 600, 1200), 2**18),
        (Teacher(16, 600), Teacher(32, 600), Teacher(64, 1200)), 4,
    ),
    "gpu": partial(
        _sweep, Student(64, (500, 1000, 2000, 4000, 8000, 16_000), 2**20),
        (Teacher(64, 4000), Teacher(128, 4000), Teacher(256, 8000), Teacher(512, 8000)), 3,
        depth=4, context=256, learning_rate=2e-3,
    ),
}  # fmt: skip

SOURCE = "Busbridge et al. 2025"
EXPECTED = (
    Expected(
        name="order",
        says="nats by which a student of the best teacher is below one of the worst",
        low=0.0,
        source=f"{SOURCE}: student loss falls with that of its teacher, before it is too good",
        unit="nats",
    ),
    Expected(
        name="best",
        says="nats that the best teacher gains, with all of the text",
        low=0.0,
        source=f"{SOURCE}: distillation helps at small student compute",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="short",
        says="nats that the best teacher gains more on short text",
        low=0.0,
        source=f"{SOURCE}: where data are few a teacher is worth more",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="worst",
        says="nats that a teacher of the student's size gains, with all of the text",
        high=0.0,
        source=f"{SOURCE}: no student ends below its teacher's means for ever",
        unit="nats",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="crossing",
        says="student compute up to which the worst teacher helps, over that of the judged length",
        high=1.0,
        source=f"{SOURCE}: supervised training wins at enough compute",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="later",
        says="student compute up to which the best teacher helps, over that of the worst",
        low=1.0,
        source=f"{SOURCE}: the crossing grows with the teacher",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "(a) Held-out loss of a student by itself and after each teacher over its own compute, "
    "open marks on short text; (b) what each teacher gains over learning the text, a mark a "
    "seed.",
    "The best teacher gains {best} with all of the text and {short} more on short text; one of "
    "the student's size {worst}.",
)
ALT = (
    "Line charts of loss and of gain over student compute, a line a teacher.",
    "The best teacher gains {best}, one of the student's size {worst}.",
)

_BY_ITSELF = "by itself"


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        students: Runs of the student that are done, with `teacher` and `short`.
        gains: Gain of each teacher by length and text: `each` seed, and their mean.
        teachers: Loss of each teacher, by its name; the best last.
        excluded: Runs that are left out, and why.
    """

    students: pd.DataFrame
    gains: pd.DataFrame
    teachers: dict[str, float]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares the student after each teacher with the student by itself.

    Raises:
        ValueError: No run of the student by itself, or of two teachers with their students, is
            done.
    """
    usable, excluded = results.usable(_with_teachers(table), ["eval_loss_nats"])
    students, losses = _divided(usable)
    gains = _gains(students, list(losses))
    if len(set(gains["teacher"])) < 2:
        raise ValueError(
            "Fewer than two teachers have students beside one without, so teachers cannot be "
            "compared. Run the same command again; `scaling show` gives the reasons."
        )
    worst, *_, best = (name for name in losses if name in set(gains["teacher"]))
    judged = sorted(gains["steps"].unique())[-2:][0]

    def gain(teacher: str, short: bool) -> pd.Series:
        found = gains.loc[(gains["teacher"] == teacher) & (gains["short"] == short)]
        found = found.loc[found["steps"] == judged, "each"]
        return pd.Series(dtype=np.float64) if found.empty else found.iloc[0]

    all_text, few = gain(best, False), gain(best, True)
    crossings = {name: _crossing(gains, name) for name in (worst, best)}
    at = gains.loc[gains["steps"] == judged, "compute"].iloc[0]
    measured = {
        "order": mean_of((all_text - gain(worst, False)).dropna()),
        "best": mean_of(all_text),
        "short": mean_of((few - all_text).dropna()),
        "worst": mean_of(gain(worst, False)),
        "crossing": Measured(value=crossings[worst] / at),
        "later": Measured(value=crossings[best] / crossings[worst]),
    }
    ranked = ", ".join(f"{name} ({loss:.2f})" for name, loss in losses.items())
    return Findings(
        measured=measured,
        verdict=(
            f"teachers by loss: {ranked} nats. At {judged} steps the best gains "
            f"{interval_of(measured['best'])} nats with all of the text and "
            f"{interval_of(mean_of(few))} on short text, the worst "
            f"{interval_of(measured['worst'])}; they help up to "
            f"{crossings[best]:.1e} and {crossings[worst]:.1e} FLOPs of the student"
        ),
        shown=stacked(
            results.summarise(students, ["teacher", "short", "steps", "compute"], "eval_loss_nats"),
            excluded.loc[:, ["teacher", "steps", "why"]],
        ),
        details=Details(students, gains, losses, excluded),
        report={"teachers": losses, "crossings": crossings},
    )


def _with_teachers(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the teacher of each run by name, whether its text is short, and as teacher."""
    width, steps, n_tokens = (
        table[name].to_numpy(np.float64) if name in table else np.full(len(table), np.nan)
        for name in ("distilled_from.model.width", "distilled_from.train.steps", "data.n_tokens")
    )
    taught = [
        _BY_ITSELF if np.isnan(each) else _name(each, length)
        for each, length in zip(width, steps, strict=True)
    ]
    own = [_name(*each) for each in zip(table["model.width"], table["train.steps"], strict=True)]
    return table.assign(
        teacher=taught, short=~np.isnan(n_tokens), own=own, is_teacher=table["seed"] == TEACHER_SEED
    )


def _name(width: float, steps: float) -> str:
    return f"width {width:.0f}, {steps:.0f} steps"


def _divided(usable: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Runs of the student, with its own compute, and losses of teachers, the worst first."""
    teachers = usable.loc[usable["is_teacher"]].sort_values("eval_loss_nats", ascending=False)
    students = usable.loc[~usable["is_teacher"]]
    alone = students.loc[students["teacher"] == _BY_ITSELF]
    compute = alone.groupby("steps")["flops_train"].first()
    losses = zip(teachers["own"], teachers["eval_loss_nats"], strict=True)
    return (
        students.assign(compute=students["steps"].map(compute).astype(np.float64)),
        {str(name): float(loss) for name, loss in losses},
    )


def _gains(students: pd.DataFrame, teachers: Sequence[str]) -> pd.DataFrame:
    """Loss of the student by itself less that after each teacher: `each` by seed, and the mean."""
    wide = students.pivot_table(
        index=["short", "steps", "compute", "seed"], columns="teacher", values="eval_loss_nats"
    )
    rows = []
    for teacher in teachers if _BY_ITSELF in wide else ():
        if teacher not in wide:
            continue
        gain = (wide[_BY_ITSELF] - wide[teacher]).dropna()
        for short, steps, compute in gain.index.droplevel("seed").unique():
            each = gain.loc[(short, steps, compute)].astype(np.float64)
            rows.append(
                {"teacher": teacher, "short": short, "steps": steps, "compute": compute,
                 "each": each, "mean": float(each.mean())}
            )  # fmt: skip
    columns = ["teacher", "short", "steps", "compute", "each", "mean"]
    return pd.DataFrame(rows, columns=columns)


def _crossing(gains: pd.DataFrame, teacher: str) -> float:
    """Student compute where the mean gain passes 0, by a line in its logarithm.

    The least compute where it is nowhere above, and the greatest where it never falls below.
    """
    own = gains.loc[(gains["teacher"] == teacher) & ~gains["short"]].sort_values("compute")
    log_c, mean = np.log(own["compute"].to_numpy(np.float64)), own["mean"].to_numpy(np.float64)
    helps = np.flatnonzero(mean > 0)
    if not len(helps):
        return float(np.exp(log_c[0]))
    last = helps[-1]
    if last == len(mean) - 1:
        return float(np.exp(log_c[-1]))
    share = mean[last] / (mean[last] - mean[last + 1])
    return float(np.exp(log_c[last] + share * (log_c[last + 1] - log_c[last])))


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses of the student, and the gain of each teacher, against student compute."""
    with style.paper_figure(1, 2, height=3.0) as (drawing, axes):
        _draw_losses(axes[0, 0], findings.details)
        overview(axes[0, 1], findings)
        style.outer_legend(drawing, axes[0, :1], "outside lower center", 2)
    return drawing


def _looks(details: Details) -> dict[str, style.Series]:
    return dict(zip((_BY_ITSELF, *details.teachers), style.SERIES, strict=False))


def _draw_losses(ax: Axes, details: Details) -> None:
    for name, look in _looks(details).items():
        own = details.students.loc[details.students["teacher"] == name]
        label = name
        if name in details.teachers:
            label = f"teacher of {name}: {details.teachers[name]:.2f} nats"
        mean = own.loc[~own["short"]].groupby("compute")["eval_loss_nats"].mean()
        ax.plot(mean.index, mean, **look.line(), label=label)
        for short in (False, True):
            runs = own.loc[own["short"] == short]
            ax.plot(runs["compute"], runs["eval_loss_nats"], **look.marks(filled=not short))
    ax.set(xscale="log", xlabel="student compute (FLOPs)", ylabel="student's held-out loss (nats)")
    log_ticks(ax, "x", most=4)
    mark_excluded(ax, details.excluded, "flops_train")


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws what each teacher gains against student compute, with intervals over seeds."""
    details = findings.details
    ax.axhline(0, color=style.GREY, linewidth=0.7)
    for name in details.teachers:
        look = _looks(details)[name]
        own = details.gains.loc[(details.gains["teacher"] == name) & ~details.gains["short"]]
        own = own.sort_values("compute")
        ax.plot(own["compute"], own["mean"], **look.line())
        for place, each in zip(own["compute"], own["each"], strict=True):
            ax.plot(np.full(len(each), place), each, **look.marks())
    ax.set(xscale="log", xlabel="student compute (FLOPs)", ylabel="gain over the text alone (nats)")
    log_ticks(ax, "x", most=4)
