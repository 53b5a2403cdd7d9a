"""How large a batch still saves steps? Critical batch size and gradient noise scale.

Claim: reaching a loss takes S = S_min + E_min / B steps at batch size B, so that
(S / S_min - 1) (E / E_min - 1) = 1. The critical batch E_min / S_min grows as the loss falls, and
has the order of magnitude of the gradient noise scale tr(Sigma) / |G|^2 measured along the way.
Paper: McCandlish et al. 2018 (arXiv 1812.06162), equations 2.9 (noise scale), 2.11 (frontier) and
2.12 (critical batch), figure 4, and appendix A.1, how the noise scale is measured; Kaplan et al.
2020 (arXiv 2001.08361), section 5.1: B_crit = B* / L^(1 / 0.21) at every size.
Command: scaling run critical_batch
Cost: 2 sizes of 1e4 and 3e4 parameters x 7 batch sizes of 128 to 8192 tokens x 4 learning rates,
5.5e12 FLOPs, 2 to 5 min on two CPU cores.
Expected: the fewest steps lie within 15 % of the frontier, root mean square over batches, losses
and sizes. B_crit grows as the loss falls: at every size the 95 % interval of its exponent ends
below 0, so noise about a constant B_crit passes once in forty at one size (`--budget smoke`) and
more rarely at two. The exponents are reported beside Kaplan's -4.8. B_crit and the noise scale
agree within a factor 5, the order of magnitude that McCandlish et al. claim.

Steps are read off curves at a constant learning rate after 20 steps of warm-up, made monotone by
isotonic regression. At every batch size several rates are tried, a factor 2 apart about one that
grows as the root of the batch. For each loss the best is taken, between the grid points by a
parabola: with one rate for all batches, the frontier would measure the rate. The noise scale is
that of the best runs, from gradients of halves of batches, within half the distance of a loss from
its neighbours. A rate that diverged at some batch is left out there, and marked in the figure.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.tables import results
from experiments.experiment import Expected, Findings, Json, Measured, Sweep
from experiments.shared import batch_frontier_figures as figures
from experiments.shared import language_models as lm
from experiments.shared.batch_frontier import AtSize, at_size
from experiments.shared.panels import left_out, plain, stacked
from scaling.config import RunConfig
from scaling.pretraining import Pretraining
from scaling.record import finite
from scaling.schedules import Constant
from sweeps.recipes import crossed
from sweeps.rules import Rule
from sweeps.shapes import Recipe

CURVES = True
WARMUP_STEPS = 20
KAPLAN_EXPONENT = -1 / 0.21


def _at_batch(recipe: Recipe, batch_size: int, factor: float) -> Recipe:
    """Recipe at one batch size, in two parts or more, with `factor` times the rate, constant."""
    train, rule = recipe.base.train, recipe.learning_rate
    assert isinstance(train, Pretraining) and rule is not None
    warmup = WARMUP_STEPS * batch_size * recipe.base.data.n_inputs
    rate: Rule = lambda cell: factor * rule(cell)  # noqa: E731
    return replace(
        recipe,
        base=replace(recipe.base, train=replace(train, batch_size=batch_size, schedule=Constant())),
        batch_size=None,
        learning_rate=rate,
        warmup_tokens=lambda cell: warmup,
        at_once=min(recipe.at_once or batch_size, batch_size // 2),
    )


def _sweep(
    recipe: Callable[[], Recipe],
    sizes: Sequence[float],
    batch_sizes: Sequence[int],
    rates: Sequence[float],
    least: tuple[float, float],
) -> list[RunConfig]:
    """Declares every batch size and rate at every size, each run somewhat beyond the frontier.

    Args:
        recipe: Settings that runs share.
        sizes: Numbers of parameters.
        batch_sizes: Sequences per batch.
        rates: Factors on the recipe's rate at 8 sequences; other batches scale it by the root of
            their ratio to 8.
        least: Steps and tokens, somewhat above S_min and E_min of the lowest loss to be reached.
    """
    made, (steps, tokens) = recipe(), least
    runs = []
    for batch_size in batch_sizes:
        enough = tokens + steps * batch_size * made.base.data.n_inputs
        for rate in rates:
            at_batch = _at_batch(made, batch_size, rate * math.sqrt(batch_size / 8))
            runs += crossed(sizes, [enough], at_batch, size_tolerance=0.4)
    return runs


SWEEP: Sweep = {
    "smoke": partial(
        _sweep,
        partial(lm.small_models, n_eval=128, evaluations=24),
        sizes=(1.1e4,),
        batch_sizes=(2, 8, 32, 64),
        rates=(0.35, 0.7),
        least=(60, 9e4),
    ),
    "cpu": partial(
        _sweep,
        partial(lm.small_models, n_eval=128, evaluations=40),
        sizes=(1.1e4, 3.3e4),
        batch_sizes=(2, 4, 8, 16, 32, 64, 128),
        rates=(0.175, 0.35, 0.7, 1.4),
        least=(120, 3e5),
    ),
    "gpu": partial(
        _sweep,
        lm.large_models,
        sizes=(3e6, 1.4e7),
        batch_sizes=(8, 16, 32, 64, 128, 256, 512, 1024),
        rates=(0.175, 0.35, 0.7),
        least=(2000, 5e8),
    ),
}

EXPECTED = (
    Expected(
        name="frontier",
        says="root mean square of log steps minus log(S_min + E_min / B)",
        high=0.15,
        source="McCandlish et al. 2018, equation 2.11",
    ),
    Expected(
        name="growth",
        says="upper end of the exponent of B_crit in the loss, at the worst size",
        high=0,
        source="Kaplan et al. 2020, equation 1.4: -4.8",
    ),
    Expected(
        name="ratio",
        says="B_crit over the gradient noise scale",
        low=0.2,
        high=5,
        source="McCandlish et al. 2018: equal in order of magnitude",
    ),
)

CAPTION = (
    "(a) Steps over tokens to reach a loss, a curve a loss, with the frontier that each fit "
    "gives; (b) critical batch and gradient noise scale over the loss, with intervals; (c) the "
    "best learning rate over the batch.",
    "Log steps lie within {frontier} of the frontier, and the critical batch is {ratio} times "
    "the noise scale.",
)
ALT = (
    "Curves of steps against tokens: larger batches save steps at the price of tokens.",
    "The critical batch grows as the loss falls and is {ratio} times the gradient noise scale.",
)


class Details(NamedTuple):
    """What the figure draws."""

    found: Sequence[AtSize]
    excluded: pd.DataFrame


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Finds the frontier at every size and loss, and the noise scale of the runs on it.

    Raises:
        FitError: Too few batch sizes, or no loss that all of them reach.
    """
    batch = table["train.batch_size"].astype(float) * table["data.context"].astype(float)
    runs, excluded = results.usable(table.assign(batch=batch), ["eval_loss_nats"])
    by_run = {str(run): rows for run, rows in curves.sort_values("step").groupby("run_id")}
    found = [at_size(each, by_run) for _, each in runs.groupby("n_params_matmul")]
    ratios = [
        (size.n_params, loss, batch.value / noise.value)
        for size in found
        for loss, batch, noise in zip(size.losses, size.growth.batch, size.noise, strict=True)
    ]
    logs = np.log([ratio for *_, ratio in ratios])
    scatter = [fitted.noise for size in found for fitted in size.growth.fits]
    return Findings(
        measured={
            "frontier": Measured(
                value=float(np.sqrt(np.mean(np.square(scatter)))),
                note=f"{min(scatter):.2g} to {max(scatter):.2g} over losses and sizes",
            ),
            "growth": _growth(found),
            "ratio": Measured(
                value=float(np.exp(logs.mean())),
                note=f"{np.exp(logs.min()):.2g} to {np.exp(logs.max()):.2g} over losses and sizes",
            ),
        },
        verdict="\n".join(map(_line, found)),
        shown=_shown(found, excluded),
        details=Details(found, excluded),
        report={"at_size": [_plain(size) for size in found]},
    )


def _growth(found: Sequence[AtSize]) -> Measured:
    """Upper end of the exponent at the size where it is highest; no value where it is infinite.

    The best size, or an estimate without its interval, would pass by the luck of one frontier.
    """
    notes = [f"{size.growth.exponent} at N = {size.n_params:,}" for size in found]
    return Measured(
        value=finite(max(size.growth.exponent.high for size in found)), note="; ".join(notes)
    )


def _line(size: AtSize) -> str:
    """What was found at one size, on one line."""
    loss, batch, noise = size.losses[-1], size.growth.batch[-1], size.noise[-1]
    exponent = size.growth.exponent
    return (
        f"N = {size.n_params:,}: at {loss:.3f} nats B_crit is {batch} tokens and the noise scale "
        f"{noise}; B_crit ~ L^{exponent}, Kaplan's exponent {KAPLAN_EXPONENT:.1f}; "
        f"{size.inside():.0%} of the best rates inside their grids"
    )


def _plain(size: AtSize) -> dict[str, Json]:
    return {
        "n_params": size.n_params,
        "exponent": plain(size.growth.exponent),
        "losses": [
            {"loss": float(loss), "B_crit": plain(batch), "noise_scale": plain(noise)}
            | {"S_min": fitted.params["S_min"], "E_min": fitted.params["E_min"]}
            for loss, batch, noise, fitted in zip(
                size.losses, size.growth.batch, size.noise, size.growth.fits, strict=True
            )
        ],
    }


def _shown(found: Sequence[AtSize], excluded: pd.DataFrame) -> pd.DataFrame:
    """Table of the figure's numbers: steps with the runs behind them, B_crit, noise scales."""
    rows = []
    for size in found:
        for j, loss in enumerate(size.losses):
            at = {"n_params_matmul": size.n_params, "loss_nats": loss}
            for name, each in (("critical batch", size.growth.batch), ("noise", size.noise)):
                ends = {"tokens_low": each[j].low, "tokens_high": each[j].high}
                rows.append({"kind": name, **at, "tokens": each[j].value} | ends)
            for i, batch in enumerate(size.batch):
                rows.append(
                    {
                        "kind": "steps",
                        **at,
                        "batch_tokens": batch,
                        "steps": size.steps[i, j],
                        "tokens": batch * size.steps[i, j],
                        "best_rate": size.rates[i][size.best[i, j]],
                        "run_ids": size.run_ids[i][j],
                    }
                )
    return stacked(pd.DataFrame(rows), left_out(excluded.assign(kind="left out"), "kind"))


def figure(findings: Findings[Details]) -> Figure:
    """Draws the frontier of the smallest size, B_crit with the noise scale, and the best rates."""
    return figures.three_panels(*findings.details)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the critical batch and the noise scale against the loss, size by size."""
    figures.draw_growth(ax, findings.details.found)
