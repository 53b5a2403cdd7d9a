"""What do two modalities gain or lose by each other in one model?

Claim: one model for two modalities loses to a model for each where it is small, because they
compete for it, and gains where they share rules: its loss is the mean of both, less what they have
in common, plus a competition that falls with parameters.
Paper: Aghajanyan et al. 2023 (arXiv 2301.03728) for the law `mixed_modal`.
Command: scaling run mixed_modal
Cost: 3 sizes x 3 lengths x 6 sets of sequences x 2 seeds, about 2 minutes on two CPU cores.
Expected: modalities are two n-gram sources behind a marker, which have none, half or all of their
rules in common, so that the least loss of each is exact, and no run is below it. With all rules in
common a mixture is one source of twice the tokens, and as far above its least loss as that is. It
is below the mean of two models in every cell. With none, long mixtures are above it at every size,
and least at the largest, though not in order of size. The law describes this roughly:
with equal rules the gain depends on tokens, and the law takes it to be constant.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import MIXED_MODAL
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Json, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.mixed_ngrams import MixedNGrams, Sources
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.space import chain, grid

SHARES = (0.0, 0.5, 1.0)
"""Parts of the rules that both sources have in common."""
BATCH, CONTEXT = 16, 32


def _source(sources: Sources, shared: float, n_tokens: int) -> MixedNGrams:
    return MixedNGrams(
        context=CONTEXT, n_eval=512, sources=sources, shared=shared, n_tokens=n_tokens
    )  # fmt: skip


def _sweep(widths: tuple[int, ...], lengths: tuple[int, ...], seeds: int) -> list[RunConfig]:
    """Each source alone for every length, and mixtures for twice as long."""
    n_tokens = 2 * max(lengths) * BATCH * CONTEXT

    def runs(sources: Sources, shared: float, steps: tuple[int, ...]) -> list[RunConfig]:
        base = RunConfig(
            model=Transformer(width=widths[0], depth=2, head_size=8),
            data=_source(sources, shared, n_tokens),
            train=Pretraining(
                optimizer=Adam(learning_rate=0.01, b2=0.99),
                batch_size=BATCH,
                steps=steps[0],
                evaluations=1,
            ),
        )
        axes = {"model.width": widths, "train.steps": steps, "seed": range(seeds)}
        return grid(base, axes)

    twice = tuple(2 * steps for steps in lengths)
    # All rules in common, the second source is the first.
    return chain(
        runs("first", 0.0, (*lengths, twice[-1])),
        *(runs("second", shared, lengths) for shared in SHARES if shared < 1),
        *(runs("both", shared, twice) for shared in SHARES),
    )


SWEEP: Sweep = {
    "smoke": partial(_sweep, (8,), (150, 300), 1),
    "cpu": partial(_sweep, (8, 16, 24), (250, 500, 1000), 2),
    "gpu": partial(_sweep, (8, 16, 32, 64, 128), (500, 1000, 2000, 4000, 8000), 4),
}

_EXACT = "exact: entropy of the chains"
_PAPER = "Aghajanyan et al. 2023"

EXPECTED = (
    Expected(
        name="floor",
        says="least distance of a loss from the least possible, standard errors",
        low=-3.0,
        source=_EXACT,
    ),
    Expected(
        name="twice",
        says="excess of a mixture of equal rules over one source of as many tokens, ratio",
        low=0.6,
        high=1.6,
        source="exact: the same sequences but for the marker; geometric mean over cells",
    ),
    Expected(
        name="synergy",
        says="share of cells in which equal rules are below the mean of two models",
        low=0.9,
        source=f"{_PAPER}: synergy",
    ),
    Expected(
        name="competition",
        says="least competition of disjoint rules, longest runs",
        unit="nats",
        low=0.0,
        source=f"{_PAPER}: competition",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="falls",
        says="competition of disjoint rules at the smallest size over the largest, longest runs",
        low=2.0,
        source=f"{_PAPER}: competition falls with size",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="ordered",
        says="share of cells in which more rules in common gain more",
        low=0.8,
        source="more of the tokens serve both",
        budgets=("cpu", "gpu"),
    ),
    Expected(
        name="gain",
        says="C of equal rules less C of disjoint rules",
        unit="nats",
        low=0.0,
        source=f"{_PAPER}: gain where modalities have something in common",
        budgets=("cpu", "gpu"),
    ),
)

CAPTION = (
    "Loss of one model for two sources less the mean of two models, (a) over size, longest runs, "
    "with the law fitted to all lengths, and (b) over tokens at the smallest and the largest size.",
    "(c) Excess over the least loss of a mixture whose sources are equal, against one source of as "
    "many tokens; its ratio is {twice}.",
)
ALT = (
    "Three panels: disjoint rules cost a small model {competition} or more and a large one less, "
    "common rules gain at every size, and mixtures of equal rules lie on the diagonal.",
)


class Details(NamedTuple):
    """What the figure draws."""

    cells: pd.DataFrame  # one row a share, size and length, means over seeds
    equal: pd.DataFrame  # excess over the least loss: of equal rules mixed, and of one source
    laws: dict[float, FitResult]


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Compares every mixture with its sources alone, and all with their least losses.

    Raises:
        ValueError: No mixture has both of its sources alone beside it.
    """
    runs, excluded = results.usable(table, ["eval_loss_nats", "eval_loss_sem_nats"])
    rows = _rows(runs)
    above = rows.assign(above=rows["loss"] - rows["least"])
    means = {
        kind: float(np.mean(group["above"]))
        for kind, group in above.groupby(["sources", "shared", "n", "steps"])
    }
    cells = _cells(rows, means)
    equal = _equal(cells, means)
    laws = {
        share: law
        for share in SHARES
        if (law := _law(cells.loc[cells["shared"] == share])) is not None
    }
    below = ((rows["loss"] - rows["least"]) / rows["sem"]).to_numpy(np.float64)
    measured = {
        "floor": Measured(value=float(below.min()), note=f"{len(rows)} runs"),
        "twice": _ratio(equal),
        **_measured(cells),
        "gain": _gain(laws),
    }
    return Findings(
        measured=measured,
        verdict=_verdict(cells, laws),
        shown=with_notes(cells, excluded.assign(n=excluded["n_params_matmul"]), "n"),
        details=Details(cells, equal, laws),
        report={f"shared {share:g}": _reported(law) for share, law in laws.items()},
    )


def _rows(runs: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "sources": runs["data.sources"].astype(str),
            "shared": runs["data.shared"].astype(np.float64),
            "n": runs["n_params_matmul"].astype(np.float64),
            "steps": runs["steps"].astype(np.float64),
            "tokens": runs["n_tokens_seen"].astype(np.float64),
            "loss": runs["eval_loss_nats"].astype(np.float64),
            "sem": runs["eval_loss_sem_nats"].astype(np.float64),
            "run_ids": runs["run_id"].astype(str),
        }
    )
    kinds = list(zip(rows["sources"], rows["shared"], strict=True))
    least = {kind: _source(kind[0], kind[1], CONTEXT).least_loss() for kind in set(kinds)}
    return rows.assign(least=[least[kind] for kind in kinds])


_Means = Mapping[Any, float]
"""Mean excess over the least loss by sources, share, N and steps."""


def _cells(rows: pd.DataFrame, means: _Means) -> pd.DataFrame:
    """Mixtures less the mean of their sources alone, which were trained for half as long.

    All above their least losses: that of a mixture has the choice of the marker in it.
    """
    found = []
    mixed = rows.loc[rows["sources"] == "both"]
    for (share, n, steps), group in mixed.groupby(["shared", "n", "steps"]):
        first = means.get(("first", 0.0, n, steps / 2))
        second = first if share == 1 else means.get(("second", share, n, steps / 2))
        if first is None or second is None:
            continue
        above = means["both", share, n, steps]
        found.append(
            {
                "shared": share,
                "n": n,
                "steps": steps,
                "tokens": group["tokens"].iloc[0],
                "mixed": above,
                "apart": (first + second) / 2,
                "excess": above - (first + second) / 2,
                "run_ids": " ".join(group["run_ids"]),
            }
        )
    if not found:
        raise ValueError(
            "No mixture has both of its sources alone beside it. Run the command again."
        )
    return pd.DataFrame(found)


def _equal(cells: pd.DataFrame, means: _Means) -> pd.DataFrame:
    """Excess over the least loss of equal rules mixed, and of one source trained for as long."""
    found = []
    for cell in cells.loc[cells["shared"] == 1].to_dict("records"):
        alone = means.get(("first", 0.0, cell["n"], cell["steps"]))
        if alone is not None:
            found.append({"n": cell["n"], "mixed": cell["mixed"], "alone": alone})
    return pd.DataFrame(found, columns=["n", "mixed", "alone"])


def _law(cells: pd.DataFrame) -> FitResult | None:
    """The law of one share; None from too few cells."""
    x = cells[["n", "tokens"]].to_numpy(np.float64)
    y = np.exp(cells["excess"].to_numpy(np.float64))
    try:
        return fit(MIXED_MODAL, x, y, bootstrap=Bootstrap(n=200))
    except FitError:
        return None


def _ratio(equal: pd.DataFrame) -> Measured:
    mixed, alone = (equal[name].to_numpy(np.float64) for name in ("mixed", "alone"))
    if not len(equal) or min(mixed.min(), alone.min()) <= 0:
        return Measured(value=None, note="no pair of runs above the least loss")
    value = float(np.exp(np.mean(np.log(mixed / alone))))
    return Measured(value=value, note=f"{len(equal)} cells")


def _measured(cells: pd.DataFrame) -> dict[str, Measured]:
    """Synergy, competition and their order."""
    longest = cells.loc[cells["steps"] == cells["steps"].max()]
    apart = longest.loc[longest["shared"] == 0].sort_values("n")["excess"].to_numpy(np.float64)
    equal = cells.loc[cells["shared"] == 1, "excess"].to_numpy(np.float64)
    by_share = cells.pivot(index=["n", "steps"], columns="shared", values="excess")
    ordered = np.all(np.diff(by_share.to_numpy(np.float64), axis=1) < 0, axis=1)
    return {
        "synergy": Measured(value=float(np.mean(equal < 0)), note=f"{len(equal)} cells"),
        "competition": Measured(value=float(apart.min()), note=f"{len(apart)} sizes"),
        "falls": Measured(value=float(apart[0] / apart[-1]) if apart[-1] > 0 else None),
        "ordered": Measured(value=float(np.mean(ordered)), note=f"{len(ordered)} cells"),
    }


def _gain(laws: dict[float, FitResult]) -> Measured:
    if not {0.0, 1.0} <= set(laws):
        return Measured(value=None, note="too few cells")
    apart, equal = laws[0.0], laws[1.0]
    return Measured(
        value=equal.params["C"] - apart.params["C"],
        note=f"{equal.params['C']:.4f} less {apart.params['C']:.4f}",
    )


def _reported(law: FitResult) -> Json:
    return {
        name: [float(law.params[name]), *(float(end) for end in law.intervals[name])]
        for name in law.params
    }


def _verdict(cells: pd.DataFrame, laws: dict[float, FitResult]) -> str:
    longest = cells.loc[cells["steps"] == cells["steps"].max()]
    lines = []
    for share, rows in longest.groupby("shared"):
        ordered = rows.sort_values("n")["excess"].to_numpy(np.float64)
        law = laws.get(float(str(share)))
        fitted = "" if law is None else f"; C = {law.params['C']:.4f}"
        lines.append(
            f"{100 * float(str(share)):.0f} % of the rules in common: {ordered[0]:+.4f} nats at "
            f"the smallest size, {ordered[-1]:+.4f} at the largest, longest runs{fitted}."
        )
    return "\n".join(lines)


def figure(findings: Findings[Details]) -> Figure:
    """Draws what mixtures gain or lose over size and over tokens, and mixtures of equal rules."""
    with style.paper_figure(1, 3, height=2.7) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_tokens(axes[0, 1], findings.details.cells)
        _draw_equal(axes[0, 2], findings.details.equal)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws what mixtures gain or lose over size, with the law of each share."""
    cells, _, laws = findings.details
    longest = cells.loc[cells["steps"] == cells["steps"].max()]
    along = np.geomspace(cells["n"].min(), cells["n"].max(), 40)
    for look, (share, rows) in zip(style.SERIES, longest.groupby("shared"), strict=False):
        share = float(str(share))
        label = f"{100 * share:.0f} % in common"
        ax.plot(rows["n"], rows["excess"], **look.marks(), label=label)
        if share in laws:
            ax.plot(along, _predicted(laws[share], along, rows), color=look.color, linewidth=0.9)
    ax.axhline(0, color=style.GREY, linewidth=0.6)
    ax.set(xscale="log", xlabel="parameters", ylabel="mixed less apart (nats)")
    ticks.log_ticks(ax, "x", most=4)
    ax.legend(loc="lower right", fontsize=7)


def _predicted(law: FitResult, along: Floats, rows: pd.DataFrame) -> Floats:
    tokens = np.full(len(along), rows["tokens"].to_numpy(np.float64)[0])
    return np.log(law.predict(np.stack([along, tokens], axis=1)))


def _draw_tokens(ax: Axes, cells: pd.DataFrame) -> None:
    sizes = np.unique(cells["n"].to_numpy(np.float64))
    for look, share in zip(style.SERIES, SHARES, strict=False):
        for size, filled in ((sizes[0], False), (sizes[-1], True)):
            rows = cells.loc[(cells["shared"] == share) & (cells["n"] == size)]
            thousands = rows["tokens"] / 1e3
            ax.plot(thousands, rows["excess"], **look.marks(filled=filled))
            ax.plot(thousands, rows["excess"], color=look.color, linewidth=0.9,
                    linestyle="-" if filled else ":")  # fmt: skip
    ax.axhline(0, color=style.GREY, linewidth=0.6)
    ax.set(xscale="log", xlabel="thousand tokens of both", ylabel="mixed less apart (nats)")
    ticks.log_ticks(ax, "x", most=3)
    smallest = f", open: {sizes[0]:,.0f}" if len(sizes) > 1 else ""
    ax.set_title(f"filled: {sizes[-1]:,.0f}{smallest} parameters", fontsize=7)


def _draw_equal(ax: Axes, equal: pd.DataFrame) -> None:
    for look, (size, rows) in zip(style.SERIES, equal.groupby("n"), strict=False):
        ax.plot(rows["alone"], rows["mixed"], **look.marks(), label=f"{float(str(size)):,.0f}")
    values = equal[["alone", "mixed"]].to_numpy(np.float64)
    ends = [values.min() / 1.3, values.max() * 1.3]
    ax.plot(ends, ends, color=style.GREY, linewidth=0.8)
    ax.set(xscale="log", yscale="log")
    ax.set(xlabel="one source (nats)", ylabel="equal rules mixed (nats)")
    ticks.log_ticks(ax, "x", "y", most=5)
    ax.legend(title="parameters", loc="lower right", fontsize=7, title_fontsize=7)
