"""How far may a policy be optimised against a reward model before gold reward falls?

Claim: as the best of n responses by a learnt proxy is taken of more, gold reward first rises, then
falls. Over d, the root of the divergence from the start, it follows d (alpha - beta d) rather than
d (alpha - beta log d). More comparisons move the peak up. Heavy tails of the proxy's error are what
turns gold over: with Gaussian ones, it never does. An exact tilt towards the proxy is drawn beside
best-of-n and not judged: for reinforcement learning, which it stands for, the paper has the
logarithmic form.
Paper: Gao, Schulman, Hilton 2022 (arXiv 2210.10760), whose coefficients are in figures alone; Kwa,
Thomas, Garriga-Alonso 2024 (arXiv 2407.14503) for the tails.
Command: scaling run reward_models
Cost: 48 proxies of up to 32 units on up to 16,000 comparisons, about 2 minutes on two CPU cores.
Expected: the quadratic form fits best-of-n no worse than the logarithmic in 75 % of proxies, for d
above 0.3. Those of 1,000 comparisons or fewer peak inside n = 1,000 where responses have heavy
tails. The gold peak rises with comparisons. The beta of a Gaussian proxy, whose gold is known, is
within 0.05 of 0.
"""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theory
from analysis.estimate import Bootstrap, Floats
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import BEST_OF_N, RL_REWARD
from analysis.plots import style, ticks
from analysis.tables import results
from experiments.experiment import Expected, Findings, Measured, Sweep
from experiments.shared.panels import with_notes
from scaling.config import RunConfig
from scaling.data.preferences import Preferences
from scaling.models.reward_model import RewardModel
from scaling.streaming import Streaming
from scaling.training import Adam
from sweeps.space import grid

CURVES = True

HEAVY, LIGHT = 4, 8
"""Degrees of freedom of the responses: the heavier tails turn gold over, with both it bends."""
FEW = 1000
"""Comparisons up to which a proxy must peak inside n = 1,000."""
LEAST = 0.3
"""Least d that is fitted: the slope of the logarithmic form is infinite at 0."""
GAUSSIAN_NOISE = 1.0
"""Standard deviation of the error of the Gaussian proxy whose gold is known."""


def _sweep(
    comparisons: tuple[int, ...], widths: tuple[int, ...], seeds: int, n_pairs: int
) -> list[RunConfig]:
    base = RunConfig(
        model=RewardModel(width=widths[0]),
        data=Preferences(n_train=comparisons[0], n_eval=n_pairs),
        train=Streaming(
            optimizer=Adam(learning_rate=1e-2),
            batch_size=min(comparisons),
            steps=600,
            evaluations=10,
            spacing="geometric",
        ),
    )
    axes = {
        "model.width": widths,
        "data.freedom": (HEAVY, LIGHT),
        "data.n_train": comparisons,
        "seed": range(seeds),
    }
    return grid(base, axes)


SWEEP: Sweep = {
    "smoke": partial(_sweep, (250, 4000), (8,), 1, 2**13),
    "cpu": partial(_sweep, (250, 1000, 4000, 16_000), (2, 8, 32), 2, 2**15),
    "gpu": partial(_sweep, (250, 1000, 4000, 16_000, 64_000), (2, 8, 32, 128), 5, 2**18),
}

_GAO = "Gao et al. 2022"

EXPECTED = (
    Expected(
        name="quadratic",
        says="share of proxies whose best-of-n the quadratic form fits no worse",
        low=0.75,
        source=f"{_GAO}, section 3",
    ),
    Expected(
        name="peaks_inside",
        says=f"share of proxies of <= {FEW:,} comparisons, heavy tails, that peak at n <= 1,000",
        low=1.0,
        source="measured at this size: all",
    ),
    Expected(
        name="with_data",
        says="rank correlation of the gold peak with comparisons, widths apart (Spearman)",
        low=0.8,
        source=f"{_GAO}: peaks rise with comparisons",
    ),
    Expected(
        name="null",
        says="beta of best-of-n by a proxy with Gaussian errors",
        low=-0.05,
        high=0.05,
        source="exact: gold of the best of n is E max / (1 + s^2)^1/2",
    ),
)

CAPTION = (
    "Gold reward over d, the root of the divergence, of best-of-n (marks, with the fitted form) "
    "and of an exact tilt (dotted), for (a) heavier and (b) lighter tails; (c) the peak over "
    "comparisons; (d) exact errors without a network.",
    "The quadratic form fits a share of {quadratic} of the proxies no worse; the rank "
    "correlation of peak and comparisons is {with_data}.",
)
ALT = (
    "Charts of gold reward under optimisation of a proxy: it rises, peaks and falls, later with "
    "more comparisons.",
    "The rank correlation of the peak with comparisons is {with_data}.",
)


class Proxy(NamedTuple):
    """Gold reward along the optimisation of one proxy, best-of-n and tilt."""

    run: Mapping[Hashable, Any]
    n: Floats
    gold: Floats
    tilt_d: Floats
    tilt_gold: Floats
    quadratic: FitResult
    logarithmic: FitResult

    @property
    def d(self) -> Floats:
        """Root of the divergence of the best of n."""
        return np.sqrt(theory.best_of_n_kl(self.n))


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[list[Proxy]]:
    """Takes each proxy where its held-out loss is least, and fits both forms to its gold."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    best = curves.loc[curves.groupby("run_id")["eval_loss"].idxmin()].set_index("run_id")
    proxies = [_proxy(run, best["eval_by"][run["run_id"]]) for run in runs.to_dict("records")]
    null_n = np.geomspace(2, 1e6, 30)
    null_fit = _fitted(
        BEST_OF_N,
        np.sqrt(theory.best_of_n_kl(null_n)),
        theory.gaussian_proxy_gold(null_n, GAUSSIAN_NOISE),
    )
    shown = pd.DataFrame([_row(proxy) for proxy in proxies])
    beta, (low, high) = null_fit.params["beta"], null_fit.intervals["beta"]
    measured = {
        "quadratic": _share(
            shown["rms_quadratic"].to_numpy() <= shown["rms_logarithmic"].to_numpy()
        ),
        "peaks_inside": _peaks_inside(shown),
        "with_data": _with_data(shown),
        "null": Measured(value=beta, low=low, high=high, note="n up to 1e6"),
    }
    return Findings(
        measured=measured,
        verdict=_verdict(shown, measured),
        shown=with_notes(shown, excluded, "data.n_train"),
        details=proxies,
        doubts=_doubts(shown),
        report={"null": {"alpha": null_fit.params["alpha"], "beta": beta}, "least_d": LEAST},
    )


def _fitted(law, d: Floats, gold: Floats) -> FitResult:
    """The law through the start, whose gold is 0, from `LEAST` on."""
    kept = d > LEAST
    replicates = Bootstrap(n=200)
    return fit(law, d[kept], np.exp(gold[kept]), fixed={"base": 0.0}, bootstrap=replicates)


def _proxy(run: Mapping[Hashable, Any], named: dict[str, float]) -> Proxy:
    prefix = "gold best of "
    n = np.array([float(name.removeprefix(prefix)) for name in named if name.startswith(prefix)])
    gold = np.array([named[f"{prefix}{each:g}"] for each in n])
    strengths = [name.removeprefix("kl tilt ") for name in named if name.startswith("kl tilt ")]
    kl, tilt = (
        np.array([named[f"{name} tilt {strength}"] for strength in strengths])
        for name in ("kl", "gold")
    )
    within = kl < np.log(2 * run["data.n_eval"]) - 1  # beyond, one response has all the weight
    d = np.sqrt(theory.best_of_n_kl(n[n > 1]))
    fits = [_fitted(law, d, gold[n > 1]) for law in (BEST_OF_N, RL_REWARD)]
    run = {**run, "correlation": named["correlation"], "n_cut": int(np.sum(~within))}
    return Proxy(run, n[n > 1], gold[n > 1], np.sqrt(kl[within]), tilt[within], *fits)


def _rms(result: FitResult, d: Floats, gold: Floats) -> float:
    kept = d > LEAST
    return float(np.sqrt(np.mean((np.log(result.predict(d[kept])) - gold[kept]) ** 2)))


def _row(proxy: Proxy) -> dict[str, object]:
    peak = int(np.argmax(proxy.gold))
    return {
        "data.freedom": proxy.run["data.freedom"],
        "data.n_train": proxy.run["data.n_train"],
        "width": proxy.run["model.width"],
        "seed": proxy.run["seed"],
        "correlation": proxy.run["correlation"],
        "gold_peak": proxy.gold[peak],
        "n_peak": proxy.n[peak],
        "gold_last": proxy.gold[-1],
        "alpha": proxy.quadratic.params["alpha"],
        "beta": proxy.quadratic.params["beta"],
        "rms_quadratic": _rms(proxy.quadratic, proxy.d, proxy.gold),
        "rms_logarithmic": _rms(proxy.logarithmic, proxy.d, proxy.gold),
        "n_cut": proxy.run["n_cut"],
        "run_ids": proxy.run["run_id"],
    }


def _share(holds: np.ndarray) -> Measured:
    return Measured(value=float(np.mean(holds)), note=f"{int(holds.sum())} of {len(holds)}")


def _peaks_inside(shown: pd.DataFrame) -> Measured:
    judged = shown.loc[(shown["data.freedom"] == HEAVY) & (shown["data.n_train"] <= FEW)]
    if judged.empty:
        return Measured(value=None, note=f"no proxy of {FEW:,} comparisons or fewer")
    return _share(judged["n_peak"].to_numpy() <= 1000)


def _with_data(shown: pd.DataFrame) -> Measured:
    """Mean over widths and tails of the correlation over comparisons, of means over seeds."""
    from scipy.stats import spearmanr  # half a second, for this number alone

    found = []
    for _, rows in shown.groupby(["data.freedom", "width"]):
        n, peaks = (rows[name].to_numpy(np.float64) for name in ("data.n_train", "gold_peak"))
        sizes = np.unique(n)
        correlation, _ = spearmanr(sizes, [peaks[n == size].mean() for size in sizes])
        found.append(float(np.asarray(correlation)))
    return Measured(value=float(np.mean(found)), note=f"{len(found)} widths and tails")


def _verdict(shown: pd.DataFrame, measured: dict[str, Measured]) -> str:
    lines = []
    for freedom, rows in shown.groupby("data.freedom"):
        fell = np.mean(rows["gold_last"] < rows["gold_peak"] - 0.05)
        lines.append(
            f"{freedom:g} degrees of freedom: gold peaks at {rows['gold_peak'].min():.2f} to "
            f"{rows['gold_peak'].max():.2f}, n = {rows['n_peak'].min():g} to "
            f"{rows['n_peak'].max():g}, and falls by the largest n in {fell:.0%} of proxies."
        )
    return "\n".join([*lines, f"Gaussian errors: beta = {measured['null'].value:.3f}."])


def _doubts(shown: pd.DataFrame) -> list[str]:
    cut = int(shown["n_cut"].to_numpy().sum())
    if not cut:
        return []
    return [
        f"{cut} tilts beyond log(responses) - 1 nats are left out: one response has nearly all "
        "their weight. More held-out pairs (data.n_eval) reach further."
    ]


def figure(findings: Findings[list[Proxy]]) -> Figure:
    """Draws gold over d for both tails, the peak over comparisons, and the tails without a net."""
    with style.paper_figure(2, 2, height=4.8) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_gold(axes[0, 1], findings.details, LIGHT)
        _draw_peaks(axes[1, 0], findings.shown)
        _draw_tails(axes[1, 1])
    return drawing


def overview(ax: Axes, findings: Findings[list[Proxy]]) -> None:
    """Draws gold reward over d for responses with heavy tails."""
    _draw_gold(ax, findings.details, HEAVY)


def _draw_gold(ax: Axes, proxies: list[Proxy], freedom: int) -> None:
    """One proxy a number of comparisons, of the middle width: best-of-n, its fit, and the tilt."""
    widths = sorted({proxy.run["model.width"] for proxy in proxies})
    chosen = [
        proxy
        for proxy in proxies
        if proxy.run["data.freedom"] == freedom
        and proxy.run["seed"] == 0
        and proxy.run["model.width"] == widths[len(widths) // 2]
    ]
    chosen = sorted(chosen, key=lambda proxy: proxy.run["data.n_train"])
    for look, proxy in zip(style.SERIES, chosen, strict=False):
        label = f"{proxy.run['data.n_train']:,.0f}"
        ax.plot(proxy.d, proxy.gold, **look.marks(), label=label)
        along = np.linspace(LEAST, proxy.d.max(), 60)
        ax.plot(along, np.log(proxy.quadratic.predict(along)), color=look.color, linewidth=0.9)
        ax.plot(proxy.tilt_d, proxy.tilt_gold, color=look.color, linewidth=0.9, linestyle=":")
    ax.axhline(0, color=style.GREY, linewidth=0.6)
    ax.set_title(f"{freedom} degrees of freedom; dotted: tilt")
    ax.set(xlabel="$d = \\sqrt{KL}$ (nats$^{1/2}$)", ylabel="gold reward above the start")
    ax.legend(title="comparisons", loc="upper left", fontsize=7, title_fontsize=7)


def _draw_peaks(ax: Axes, shown: pd.DataFrame) -> None:
    rows = shown.loc[shown["data.freedom"] == HEAVY]
    for look, (width, group) in zip(style.SERIES, rows.groupby("width"), strict=False):
        means = group.groupby("data.n_train")["gold_peak"].mean()
        ax.plot(group["data.n_train"], group["gold_peak"], **look.marks(filled=False))
        ax.plot(means.index, means, **look.line(), label=f"{width:g} units")
    ticks.log_scale(ax, "x")
    ax.set(xlabel="comparisons", ylabel="peak of gold reward")
    ax.set_title(f"{HEAVY} degrees of freedom")
    ax.legend(loc="upper left")


def _draw_tails(ax: Axes) -> None:
    """Best-of-n without a network: errors that are Gaussian, and Student's."""
    n = np.geomspace(2, 1e5, 40)
    d = np.sqrt(theory.best_of_n_kl(n))
    gaussian = theory.gaussian_proxy_gold(n, GAUSSIAN_NOISE)
    ax.plot(d, gaussian, **style.SERIES[0].line(), label="Gaussian errors, exact")
    heavy = theory.heavy_proxy_gold(n, noise=0.5, freedom=3)
    ax.plot(d, heavy, **style.SERIES[1].line(), label="Student's errors, exact")
    ax.set_title("no network: gold N(0, 1)")
    ax.set(xlabel="$d = \\sqrt{KL}$ (nats$^{1/2}$)", ylabel="gold reward")
    ax.legend(loc="upper left")
