"""What size and how many tokens are compute-optimal for a language model?

Claim: among models trained with equal compute, one size has the lowest loss. That size grows as C^a
with a near 0.5, so parameters and tokens should be scaled alike.
Paper: Hoffmann et al. 2022 (arXiv 2203.15556), figures 2 and 3, approaches 1, 2 and 3; Besiroglu et
al. 2024 (arXiv 2404.10102); DeepSeek-AI 2024 (arXiv 2401.02954), table 4.
Command: scaling run chinchilla
Cost: 5 budgets of 8e10 to 3.2e12 FLOPs x 6 or 7 sizes of 4e3 to 4e5 parameters, with repeats from
other seeds, 4e13 FLOPs in all: 5 to 20 min on two CPU cores. The text is the standard library's
source code, byte by byte. `--budget gpu` goes on to 4e15 FLOPs and 2e7 parameters, 4e16 FLOPs in
all: minutes on one H200 with --workers 5, so that some workers compile while others train. It needs
a corpus of 200 MB or more: --set data.path=/a/corpus. docs/results/h200.md reports what an earlier
form of it found.
Expected: minima of parabolas (approach 2) give a between 0.4 and 0.7 and b between 0.3 and 0.6,
with 95 % intervals narrower than +-0.15, and a minimum inside the grid at three budgets or more.
The parametric fit (approach 3), which holds all budgets to one law, gives a in the same range. The
literature has a at 0.45 to 0.58, on larger models; on CPython 3.11's library this sweep gives 0.60
[0.56, 0.66]. The envelope of learning curves (approach 1) is reported beside them, or refused with
a reason: it drops where a cosine ends and lies too high between such ends, by an amount that
depends on the size.

Error bars of losses are the spread over seeds, estimated from the repeats here. It is taken to be
the same at every size, because `scaling run seed_noise` resolves no growth
(`experiments.shared.error_bars`). Minima are redrawn with that noise, and rows of the parametric
fits are weighted by it.

N counts parameters in products with activations: it includes the read-out and excludes the
embedding. C is the exact sum of FLOPs. `scaling run kaplan_vs_chinchilla` reports what other ways
to count and to train make of the same runs and some more.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.compute_optimal.approaches import three_approaches
from analysis.compute_optimal.approaches_result import Approaches, ApproachKind
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.compute_optimal.points import SeedNoise
from analysis.errors import FitError
from analysis.fitting.result import FitResult
from analysis.planning.allocate import FAR, allocate
from analysis.planning.allocation import Allocation
from analysis.planning.training_cost import paid_cost
from analysis.plots.isoflop import draw_valleys, frame_valleys
from analysis.plots.style import legend_above
from analysis.tables import results
from experiments.experiment import Budget, Expected, Findings, Measured, Sweep
from experiments.shared import language_models as lm
from experiments.shared.error_bars import error_bars
from experiments.shared.language_model_figures import approaches_and_surface
from experiments.shared.panels import growth_rows, size_cells, stacked
from scaling.config import RunConfig
from sweeps.recipes import around, iso_flop
from sweeps.shapes import Recipe

CURVES = True


def _sweep(
    recipe: Callable[[], Recipe],
    budgets: Sequence[float],
    expected: tuple[float, float],
    factor: float,
    n_sizes: int,
    n_repeated: int,
) -> list[RunConfig]:
    """iso-FLOP runs about an expected optimum (N, C), the first budgets with two more seeds."""
    made = recipe()
    sizes = around(*expected, exponent=0.5, factor=factor, n_sizes=n_sizes)
    # The two smallest shapes are a factor 2.9 apart; sizes that share a shape are one run.
    by_budget = [iso_flop([flops], sizes, made, size_tolerance=0.71) for flops in budgets]
    runs = [run for of_budget in by_budget for run in of_budget]
    for of_budget in by_budget[:n_repeated]:
        middle = len(of_budget) // 2
        runs += lm.reseeded(of_budget[middle - 1 : middle + 2], seeds=(1, 2))
    return runs


RECIPES: Mapping[Budget, Callable[[], Recipe]] = {
    "smoke": partial(lm.small_models, n_eval=256, evaluations=8),
    "cpu": lm.small_models,
    "gpu": lm.medium_models,
}

SWEEP: Sweep = {
    "smoke": partial(
        _sweep,
        RECIPES["smoke"],
        (3e10, 8.5e10, 2.4e11),
        expected=(2.3e4, 1e11),
        factor=2.7,
        n_sizes=5,
        n_repeated=1,
    ),
    "cpu": partial(
        _sweep,
        RECIPES["cpu"],
        (8e10, 2e11, 5e11, 1.25e12, 3.2e12),
        expected=(5.4e4, 5e11),
        factor=3.75,
        n_sizes=7,
        n_repeated=3,
    ),
    "gpu": partial(
        _sweep,
        RECIPES["gpu"],
        (1.6e13, 6.4e13, 2.5e14, 1e15, 4e15),
        expected=(3.5e6, 1e15),
        factor=3,
        n_sizes=7,
        n_repeated=3,
    ),
}


_SOURCE = "Hoffmann et al. 2022: a of 0.46 to 0.50; DeepSeek-AI 2024: 0.45 to 0.58 by corpus"

EXPECTED = (
    Expected(
        name="a", says="a of N* ~ C^a, minima of parabolas", low=0.4, high=0.7, source=_SOURCE
    ),
    Expected(
        name="b", says="b of D* ~ C^b, minima of parabolas", low=0.3, high=0.6, source=_SOURCE
    ),
    *(
        Expected(
            name=f"{name}_half_width",
            says=f"half the 95 % interval of {name}",
            high=0.15,
            source="the design of the sweep",
        )
        for name in ("a", "b")
    ),
    Expected(
        name="minima",
        says="budgets with a minimum inside the grid",
        unit="budgets",
        low=3,
        source="Hoffmann et al. 2022, figure 3: at all nine budgets",
    ),
    Expected(
        name="a_fit",
        says="a of the parametric fit",
        low=0.4,
        high=0.7,
        source="Besiroglu et al. 2024: 0.513",
    ),
    Expected(
        name="epochs",
        says="largest number of passes over the data",
        unit="epochs",
        high=4,
        source="Muennighoff et al. 2023: up to four passes are nearly as good as new data",
    ),
)

CAPTION = (
    "(a) Learning curves with their envelope, (b) valleys of loss over size at equal compute, "
    "(c) optimal parameters and (d) tokens per parameter by every approach with 95 % bands, (e) "
    "the fitted surface of loss, (f) the optimum over compute, dashed beyond the runs.",
    "Optimal parameters grow as compute to the power {a} by the minima and {a_fit} by the "
    "parametric fit.",
)
ALT = (
    "Six panels on compute-optimal training.",
    "Each budget has a valley of loss over model size, and the best size grows as compute to "
    "the power {a}.",
)


class Details(NamedTuple):
    """What the figure draws."""

    approaches: Approaches
    valleys: IsoflopResult | None
    fit: FitResult


def analyse(table: pd.DataFrame, curves: pd.DataFrame) -> Findings[Details]:
    """Applies approaches 2 and 3 to the ends of the runs, approach 1 to their learning curves."""
    runs, excluded = results.usable(table, ["eval_loss_nats"])
    ends = lm.points(runs)
    bars = error_bars(runs)
    found = three_approaches(ends, noise=SeedNoise(bars.sd, bars.degrees_of_freedom))
    found = lm.with_envelope(found, lm.evaluations(runs, curves))
    parabola, parametric = found.of(ApproachKind.PARABOLA), found.of(ApproachKind.SQUARED)
    minima, fitted = parabola.detail, parametric.detail
    valleys = minima if isinstance(minima, IsoflopResult) else None
    if not isinstance(fitted, FitResult):
        raise FitError(f"no law of N and D: {parametric.reason}")
    cost = paid_cost(ends)
    spent = cost.ratio(np.log(ends["N"].to_numpy())) * ends["N"] * ends["D"]
    largest = float(np.max(spent))
    allocation = allocate(fitted, FAR * largest, largest_flops=largest, cost=cost)
    a, b = lm.exponent(parabola), lm.exponent(parabola, "tokens")
    n_minima = sum(valley.refusal is None for valley in valleys.valleys) if valleys else 0
    return Findings(
        measured={
            "a": a,
            "b": b,
            "a_half_width": lm.half_width(a),
            "b_half_width": lm.half_width(b),
            "minima": Measured(value=n_minima, note=bars.description),
            "a_fit": lm.exponent(parametric),
            "epochs": Measured(value=float(np.max(runs["epochs"]))),
        },
        verdict="\n".join([*lm.answers(found), _allocated(allocation)]),
        shown=_shown(runs, excluded, found),
        details=Details(approaches=found, valleys=valleys, fit=fitted),
        doubts=[*lm.doubts(found), *allocation.notes],
        report={
            **found.to_dict(),
            "details": found.details(),
            "allocation": allocation.to_dict(),
            "counts": {"N": "n_params_matmul", "D": "n_tokens_seen", "C": "flops_train"},
        },
    )


def _allocated(allocation: Allocation) -> str:
    return (
        f"The parametric fit puts {allocation.flops:.3g} FLOPs ({allocation.cost}) into "
        f"{allocation.parameters.value:.3g} parameters and {allocation.tokens.value:.3g} tokens: "
        f"loss {allocation.loss} nats."
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws curves, valleys, growth by every approach, the surface L(N, D) and the allocation."""
    details = findings.details
    return approaches_and_surface(details.approaches, details.fit)


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws the valleys: loss against size at every budget."""
    valleys = findings.details.valleys
    if valleys is not None:
        draw_valleys(ax, valleys)
        frame_valleys(ax, valleys)
        legend_above(ax)


def _shown(runs: pd.DataFrame, excluded: pd.DataFrame, found: Approaches) -> pd.DataFrame:
    """Table of the runs, those left out with the reason, the minima and the power laws."""
    columns = {"flops_train": "flops", "n_params_matmul": "n_params", "n_tokens_seen": "tokens"}
    columns |= {"eval_loss_nats": "loss_nats", "run_id": "run_ids"}
    runs, excluded = (each.rename(columns=columns) for each in (runs, excluded))
    kept = [*columns.values(), "seed"]
    minima = [
        {"kind": "minimum", "approach": row.kind.title, "flops": valley.flops, "why": valley.reason}
        | ({} if valley.optimal_params is None else size_cells(valley.optimal_params))
        | ({} if valley.lowest_loss is None else {"loss_nats": valley.lowest_loss.value})
        for row in found.rows
        if isinstance(row.detail, IsoflopResult)
        for valley in row.detail.valleys
    ]
    laws = [cells for row in found.rows for cells in growth_rows(row, found.compute)]
    return stacked(
        runs[kept].assign(kind="run"),
        excluded[[*kept, "why"]].assign(kind="left out"),
        pd.DataFrame(minima),
        pd.DataFrame(laws),
    )
