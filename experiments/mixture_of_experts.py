"""Do more experts help at equal compute, for every size, and does the router have to be learned?

Claim: a mixture of experts is better than the dense model of equal active compute, by a power of
the number of experts whose exponent changes with the log of the size. A hash of the token is a
router that works at once. A learned router pays off later in training.
Paper: Clark et al. 2022 (arXiv 2202.01169), equation 1 and table 3: the law of routed language
models; Fedus et al. 2021 (arXiv 2101.03961): the learned router; Roller et al. 2021 (arXiv
2106.04426): the hash.
Command: scaling run mixture_of_experts
Cost: 4 sizes x 4 numbers of experts and 3 routers x 2 lengths x 5 seeds, each x 3 learning rates;
3.2e13 FLOPs, twelve minutes of a core.
Expected: with four experts a hash gains 0.04 nats or more on the dense model at equal active FLOPs,
and a learned router 0.01 nats or more at the longer training, and more than at the shorter. In the
law of routed models the exponent of the experts, b + c log10 N, is below 0 at every size. Size
`cpu` gave 0.098 [0.067, 0.128] nats by hash, and by the learned router -0.097 [-0.121, -0.072]
after 400 steps and 0.022 [-0.020, 0.064] after 1600: that it gains by then is not settled, that it
gains more than before is.

The dense model is the mixture of one expert. A mixture takes as many steps and as many FLOPs in
experts as it does, but for the router, and more memory. Each router, number of experts, size and
length takes the best of three learning rates, which are lower for the learned router and for the
largest size. Runs are paired: at one seed all see the same
text in the same order, and all are evaluated on the same windows, where no token is dropped. A hash
by the number of a byte spreads text unevenly, and gets more room for it than a learned router.
Equal steps is neither equal seconds nor equal memory.

Up to 16 experts do not tell how much each counts from where they begin and cease to: the law is
fitted as if all counted, with k held at 1 and X_max at its bound. It has no irreducible loss, and
losses bend away from a power of N within these sizes: intervals are as wide as that leaves them.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.errors import FitError
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.verdict import Verdict
from analysis.laws.routed import ROUTED, effective_parameters
from analysis.plots import style
from analysis.plots.ticks import log_ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.expert_runs import FEW, LARGE, MIDDLE, ROUTERS, SMALL, sweep
from experiments.shared.panels import mark_excluded, stacked
from experiments.shared.seeds import LEVEL, interval_of, mean_of
from experiments.shared.tuned import RATE, at_best_rates, at_the_edge

UNSATURATED = {"k": 1.0, "X_max": 1e6}
"""One expert counts as one, and no number of them is too many."""
CELL = ["router", "model.expansion", "model.width", "steps"]

SWEEP: Sweep = {
    "smoke": partial(sweep, SMALL),
    "cpu": partial(sweep, MIDDLE),
    "gpu": partial(sweep, LARGE),
}

_FULL = ("cpu", "gpu")

EXPECTED = (
    Expected(
        name="hash",
        says=f"nats gained by a hash of {FEW} experts at equal active FLOPs, longest training",
        low=0.04,
        source="Clark et al. 2022, table 3: HASH",
        unit="nats",
        budgets=_FULL,
    ),
    Expected(
        name="learned",
        says=f"nats gained by a learned router of {FEW} experts, longest training",
        low=0.01,
        source="Fedus et al. 2021: a switch layer beats the dense one at equal FLOPs",
        unit="nats",
        budgets=_FULL,
    ),
    Expected(
        name="later",
        says=f"nats that a learned router of {FEW} experts gains more, longest training",
        low=0.0,
        source="a learned router has to be learned first",
        unit="nats",
        budgets=_FULL,
    ),
    Expected(
        name="exponent",
        says="exponent of the experts, b + c log10 N, at the size where it is the largest",
        high=0.0,
        source="Clark et al. 2022, equation 1: experts help below N_cutoff",
        budgets=_FULL,
    ),
    Expected(
        name="worse",
        says="largest loss of a mixture by hash over that of its dense model, nats",
        high=0.1,
        source="more experts do no harm that is larger than the noise of short runs",
        unit="nats",
    ),
)

CAPTION = (
    "(a) Held-out loss over the number of experts, a series a size; (b) what a mixture is worth "
    "as a dense model, in parameters, by the law; (c) gain on the dense model by router over "
    "the length of training.",
    "At equal active compute a hash of four experts gains {hash} and a learned router {learned}.",
)
ALT = (
    "Charts of loss and gain over experts and over training.",
    "Four experts gain {hash} by a hash and {learned} by a learned router.",
)


class Details(NamedTuple):
    """What the figure draws.

    Attributes:
        law: Loss by width and number of experts, hash.
        fitted: The law of routed models on them; None where they are too few.
        gains: Nats gained on the dense model, by router, length and seed.
        excluded: Runs that are left out, and why.
    """

    law: pd.DataFrame
    fitted: FitResult | None
    gains: pd.DataFrame
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame) -> Findings[Details]:
    """Fits the law of routed models, and pairs routers with the dense model.

    Raises:
        ValueError: No run of a router is done at any length at which the dense model is.
    """
    usable, excluded = results.usable(_with_router(table), ["eval_loss_nats"])
    runs = at_best_rates(usable, CELL)
    gains = _gains(runs)
    if missing := [name for name in ROUTERS[1:] if name not in set(gains["router"])]:
        raise ValueError(
            f"No run of {', '.join(missing)} has a dense run of its length and seed beside it. Run "
            "the same command again; `scaling show` gives the reasons."
        )
    law = _law_rows(runs)
    fitted = _fitted(law)
    measured = {name: _gain(gains, name, longest=True) for name in ROUTERS[1:]}
    measured["later"] = _later(gains)
    dense = law.loc[law["model.expansion"] == 1].set_index("model.width")["mean"]
    beside = law.loc[law["model.width"].isin(dense.index)]
    above = beside["mean"].to_numpy() - dense.loc[beside["model.width"]].to_numpy()
    measured["worse"] = Measured(value=float(np.max(above)) if len(above) else None)
    measured["exponent"] = _exponent(fitted, law)
    early = {name: _gain(gains, name, longest=False) for name in ROUTERS[1:]}
    return Findings(
        measured=measured,
        verdict="\n".join(
            [
                _line(name, early[name], measured[name], sorted(gains["steps"].unique()))
                for name in ROUTERS[1:]
            ]
            + _law_lines(fitted, law)
        ),
        shown=stacked(
            law.assign(part="law"),
            gains.assign(part="routers", run_ids=gains["run_id"]).drop(columns="run_id"),
            excluded.loc[:, [*CELL, "why"]].assign(part="left out"),
        ),
        details=Details(law, fitted, gains, excluded),
        doubts=[
            *([] if fitted is None or fitted.verdict is Verdict.CONVERGED else [fitted.reason]),
            *at_the_edge(usable, runs, CELL),
        ],
        report={"rates": _rates(runs), "routed": None if fitted is None else {**fitted.params}},
    )


def _with_router(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the router by name; one expert is the dense model."""
    return table.assign(router=table["model.router"].where(table["model.expansion"] > 1, "dense"))


def _rates(runs: pd.DataFrame) -> dict[str, float]:
    """The rate that each cell takes, by name."""
    chosen = runs.drop_duplicates(CELL)
    names = [
        f"{router}, {experts} experts, width {width}, {steps} steps"
        for router, experts, width, steps in chosen[CELL].itertuples(index=False)
    ]
    return dict(zip(names, chosen[RATE].to_numpy(np.float64).tolist(), strict=True))


def _law_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean losses by width and number of experts, at the length that has the most widths."""
    by_hash = runs.loc[runs["router"] != "learned"]
    steps = by_hash.groupby("steps")["model.width"].nunique().idxmax()
    # The seed of the whole grid, so that no cell has others in its mean.
    cells = by_hash.loc[(by_hash["steps"] == steps) & (by_hash["seed"] == 0)]
    by = ["model.width", "model.expansion", "n_params_matmul"]
    return results.summarise(cells, by, "eval_loss_nats")


def _gains(runs: pd.DataFrame) -> pd.DataFrame:
    """Nats gained on the dense model of a seed, where a learned router is beside it."""
    at = ["model.width", "steps", "seed"]
    learned = runs.loc[runs["router"] == "learned", at].drop_duplicates()
    few = runs.loc[runs["model.expansion"].isin((1, FEW))].merge(learned, on=at)
    dense = few.loc[few["router"] == "dense"].set_index(at)["eval_loss_nats"]
    mixed = few.loc[few["router"] != "dense"]
    mixed = mixed.merge(dense.rename("dense"), left_on=at, right_index=True)
    mixed = mixed.assign(gain=mixed["dense"] - mixed["eval_loss_nats"])
    return mixed.loc[:, ["router", *at, "flops_train", "gain", "run_id"]]


def _gain(gains: pd.DataFrame, router: str, *, longest: bool) -> Measured:
    """Mean gain over seeds at the longest or shortest training."""
    of = gains.loc[gains["router"] == router]
    steps = of["steps"].max() if longest else of["steps"].min()
    return mean_of(of.loc[of["steps"] == steps, "gain"])


def _later(gains: pd.DataFrame) -> Measured:
    """What a learned router gains at the longest training less what it gains at the shortest."""
    wide = gains.loc[gains["router"] == "learned"].pivot_table("gain", "seed", "steps")
    if len(wide.columns) < 2:
        return Measured(value=None, note="the learned router has one length of training")
    return mean_of((wide[wide.columns[-1]] - wide[wide.columns[0]]).dropna())


def _inputs(law: pd.DataFrame) -> Floats:
    return law[["n_params_matmul", "model.expansion"]].to_numpy(np.float64)


def _fitted(law: pd.DataFrame) -> FitResult | None:
    """The law of routed models in which all experts count; None where there are too few rows."""
    losses = law["mean"].to_numpy(np.float64)
    try:
        return fit(ROUTED, _inputs(law), losses, bootstrap=Bootstrap(n=400), fixed=UNSATURATED)
    except FitError:
        return None


def _exponents(params: Floats, law: pd.DataFrame) -> Floats:
    """Exponent of the experts, b + c log10 N, of each size; a row a set of parameters."""
    n = np.unique(law["n_params_matmul"].to_numpy(np.float64))
    return params[..., 1, None] + params[..., 2, None] * np.log10(n)


def _params(fitted: FitResult) -> Floats:
    return np.array([fitted.params[name] for name in ROUTED.params])


def _exponent(fitted: FitResult | None, law: pd.DataFrame) -> Measured:
    if fitted is None:
        return Measured(value=None, note=f"{len(law)} rows are too few for the law")
    largest = _exponents(fitted.replicates, law).max(axis=-1)
    low, high = np.quantile(largest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(_exponents(_params(fitted), law).max())
    return Measured(value=value, low=float(low), high=float(high))


def _line(router: str, early: Measured, late: Measured, steps: Sequence[int]) -> str:
    return (
        f"{router}, {FEW} experts, gains {interval_of(early)} nats on the dense model after "
        f"{steps[0]} steps and {interval_of(late)} after {steps[-1]}"
    )


def _law_lines(fitted: FitResult | None, law: pd.DataFrame) -> list[str]:
    if fitted is None:
        return [f"no law: {len(law)} cells are too few"]
    b, c = fitted.params["b"], fitted.params["c"]
    sign = "shrinks" if c > 0 else "grows"
    n, most = _inputs(law).max(axis=0)
    worth = effective_parameters(_params(fitted), n, most) / n
    return [
        f"routed law: exponent of the experts {b:.3f} {c:+.3f} log10 N, which {sign} with size; "
        f"{most:.0f} experts at N = {n:,.0f} are worth {worth:.1f} times as large a dense model"
    ]


def figure(findings: Findings[Details]) -> Figure:
    """Draws losses against experts, what they are worth, and gains against training."""
    with style.paper_figure(1, 3, height=2.9) as (drawing, axes):
        law, worth, routers = axes[0]
        overview(law, findings)
        _draw_worth(worth, findings.details)
        _draw_gains(routers, findings.details)
        style.outer_legend(drawing, [law], "outside lower center", 4)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws loss against the number of experts by size, with the law."""
    law, fitted, _, excluded = findings.details
    for look, (n, rows) in zip(style.SERIES, law.groupby("n_params_matmul"), strict=False):
        ax.plot(rows["model.expansion"], rows["mean"], **look.marks(), label=f"$N$ = {n:,.0f}")
        if fitted is not None:
            along = _along(rows)
            ax.plot(along[:, 1], fitted.predict(along), **look.line())
    ax.set(yscale="log", ylabel="held-out loss (nats)")
    log_ticks(ax, "y", most=5)
    _along_experts(ax, law)
    mark_excluded(ax, excluded, "model.expansion")


def _along(rows: pd.DataFrame) -> Floats:
    """N and a fine grid of experts, over those of some rows."""
    first, last = rows["model.expansion"].min(), rows["model.expansion"].max()
    experts = np.geomspace(first, last, 60)
    return np.stack([np.full(60, rows["n_params_matmul"].iloc[0], np.float64), experts], axis=-1)


def _draw_worth(ax: Axes, details: Details) -> None:
    """The dense model that is as good, over N, by the law."""
    law, fitted = details.law, details.fitted
    for look, (_, rows) in zip(style.SERIES, law.groupby("n_params_matmul"), strict=False):
        if fitted is not None:
            along = _along(rows)
            worth = effective_parameters(_params(fitted), along[:, 0], along[:, 1])
            ax.plot(along[:, 1], worth / along[:, 0], **look.line())
    ax.axhline(1, color=style.GREY, linewidth=0.8)
    if fitted is None:
        ax.text(0.5, 0.6, "too few cells\nfor the law", ha="center", transform=ax.transAxes)
    ax.set_ylabel("worth as a dense model (times $N$)")
    _along_experts(ax, law)


def _along_experts(ax: Axes, law: pd.DataFrame) -> None:
    experts = np.unique(law["model.expansion"].to_numpy(np.float64))
    ax.set(xscale="log", xlabel="experts")
    ax.set_xticks(experts, [f"{each:.0f}" for each in experts])
    ax.xaxis.set_minor_locator(NullLocator())


def _draw_gains(ax: Axes, details: Details) -> None:
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    # The first four looks are those of sizes, in the other panels.
    for look, (router, rows) in zip(
        style.SERIES[4:], details.gains.groupby("router"), strict=False
    ):
        mean = results.summarise(rows, ["steps"], "gain")
        ax.plot(mean["steps"], mean["mean"], **look.line(), label=f"{router}")
        ax.plot(rows["steps"], rows["gain"], **look.marks())
    ax.set(xscale="log", xlabel="steps", ylabel="gain on the dense model (nats)")
    ax.set_title(f"{FEW} experts", loc="right", fontsize=7)
    ax.legend()
    steps = np.unique(details.gains["steps"].to_numpy(np.float64))
    ax.set_xticks(steps, [f"{each:.0f}" for each in steps])
    ax.xaxis.set_minor_locator(NullLocator())
