"""Recipes of the language-model experiments, and their runs as rows of N, D, C and loss.

**Conventions.** N counts the parameters in products with activations (`n_params_matmul`): it
includes the read-out and excludes the embedding. D counts the tokens seen. C is the exact sum of
FLOPs over matrix products, with attention in full and the read-out (`flops_train`); at these sizes
it is some 10 to 40 % above 6 N D. Loss is in nats per token on held-out documents, the same for
every run.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.compute_optimal.approaches import by_envelope
from analysis.compute_optimal.approaches_result import Approach, Approaches
from analysis.compute_optimal.learning_curves import learning_curves
from analysis.estimate import Bootstrap, Estimate
from experiments.experiment import Measured
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.data.tokenizing import BPE
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.recipes import aspect_ratio
from sweeps.rules import (
    Cell,
    deepseek_batch_size,
    falling_beyond,
    olmo_batch_size,
    olmo_learning_rate,
    parameters_as_tokens,
    share_of_run,
    tuned,
)
from sweeps.shapes import Count, Recipe

LINE = 112
"""Characters of a doubt on the screen."""

TUNED = {1.1e4: 0.024, 3.3e4: 0.015, 1.4e5: 0.006, 3.6e5: 0.0035, 8.2e5: 0.002}
"""Learning rates by size: the best on a grid in factors of 2 at 2e11 and 2e12 FLOPs, interpolated.

They are the best of three up to 2e6 tokens or so. Longer runs need less: at 6e6 to 1.3e7 tokens the
best rate is a third to a half of these, and with it a run of 11,000 parameters ends 0.08
nats lower.
"""

TUNED_AT_TOKENS = 16_384
TUNED_LARGER_BATCH = {1.2e5: 0.03, 9e6: 0.0035, 2.3e7: 0.0022}
"""Learning rates by size for batches of `TUNED_AT_TOKENS` tokens: the line N^(-1/2) through the
best on a grid in factors of 2, at five sizes of 1.2e5 to 9e6 parameters and 6 to 25 tokens per
parameter, extended beyond."""


def small_models(*, n_eval: int = 512, evaluations: int = 16) -> Recipe:
    """Recipe of byte-level models of 10^4 to 10^6 parameters on the standard library's source code.

    They have two blocks or more, one per 32 units of width; batches of 8 sequences of 64 bytes,
    small because the noise of such an early gradient is small; and a cosine that ends with the run.
    """
    base = RunConfig(
        model=Transformer(width=8, depth=2, head_size=8),
        data=Text(context=64, n_eval=n_eval),
        train=Pretraining(
            optimizer=Adam(learning_rate=0.01, b2=0.99, weight_decay=0.1),
            batch_size=8,
            steps=1,
            evaluations=evaluations,
        ),
    )
    return Recipe(
        base=base,
        depth=aspect_ratio(32, at_least=2),
        multiple_of=8,
        learning_rate=falling_beyond(2.5e6, 0.6, tuned(TUNED)),
        warmup_tokens=share_of_run(0.05),
    )


def medium_models() -> Recipe:
    """Recipe of byte-level models of 10^5 to 10^7 parameters, for minutes of one accelerator.

    The text is that of the small models, in sequences of 256 bytes. The standard library has 30
    million bytes: `repeat` lets the sweep be priced on any machine, and has no effect once
    data.path names a corpus of some hundred million. Batches grow as DeepSeek's do, from 2,000
    tokens at 1.6e13 FLOPs, a third of theirs. With one batch of 16,384 tokens for all, the smallest
    budgets had so few steps that their largest models never came near an optimum.
    """
    base = RunConfig(
        model=Transformer(width=64, depth=2, head_size=32, qk_norm=True, compute_dtype="bfloat16"),
        data=Text(context=256, n_eval=1024, repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=0.01, b2=0.99, weight_decay=0.1), steps=1, evaluations=12
        ),
    )
    return Recipe(
        base=base,
        depth=aspect_ratio(64, at_least=3),
        multiple_of=32,
        learning_rate=_tuned_for_batch,
        batch_size=_growing_batch,
        warmup_tokens=share_of_run(0.05),
    )


def _growing_batch(cell: Cell) -> float:
    return deepseek_batch_size(cell) / 3


def _tuned_for_batch(cell: Cell) -> float:
    """Scales the rate of the larger batch by the root of the batch (Malladi et al. 2205.10287).

    The batch is taken before rounding to a power of two, which the rate does not follow.
    """
    share = _growing_batch(cell) * cell.context / TUNED_AT_TOKENS
    return tuned(TUNED_LARGER_BATCH)(cell) * share**0.5


def large_models() -> Recipe:
    """Recipe of models of 10^6 parameters and more for an accelerator, with 8192 byte-pair tokens.

    The standard library has some 8 million such tokens: `repeat` lets the sweep be priced on any
    machine, and has no effect once data.path names a corpus of billions.
    """
    base = RunConfig(
        model=Transformer(width=64, depth=2, head_size=64, qk_norm=True, compute_dtype="bfloat16"),
        data=Text(context=1024, tokenizer=BPE(vocab_size=8192), repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=0.003, b2=0.95, weight_decay=0.1), steps=1, evaluations=20
        ),
    )
    return Recipe(
        base=base,
        depth=aspect_ratio(64, at_least=2),
        multiple_of=64,
        learning_rate=olmo_learning_rate,
        batch_size=olmo_batch_size,
        warmup_tokens=parameters_as_tokens,
        at_once=32,
    )


def reseeded(configs: Iterable[RunConfig], seeds: Iterable[int]) -> list[RunConfig]:
    """Repeats runs from other seeds, which set the initial weights and the order of the data."""
    seeds = list(seeds)
    return [replace(config, seed=seed) for config in configs for seed in seeds]


def points(runs: pd.DataFrame, count: Count = "n_params_matmul") -> pd.DataFrame:
    """Makes rows of N, D, C and loss of the ends of runs, with `run`, the run_id."""
    return pd.DataFrame(
        {
            "run": runs["run_id"].to_numpy(),
            "N": runs[count].to_numpy(np.float64),
            "D": runs["n_tokens_seen"].to_numpy(np.float64),
            "C": runs["flops_train"].to_numpy(np.float64),
            "loss": runs["eval_loss_nats"].to_numpy(np.float64),
        }
    )


def evaluations(
    runs: pd.DataFrame, curves: pd.DataFrame, count: Count = "n_params_matmul"
) -> pd.DataFrame:
    """Makes rows of N, D, C and loss of evaluations along runs, with `run`, the run_id."""
    ends = points(runs, count).merge(runs[["run_id", "steps"]], left_on="run", right_on="run_id")
    each = curves[["run_id", "step", "eval_loss"]].merge(ends, on="run_id")
    share = each["step"] / each["steps"].astype(np.float64)
    return pd.DataFrame(
        {
            "run": each["run_id"],
            "N": each["N"],
            "D": each["D"] * share,
            "C": each["C"] * share,
            "loss": each["eval_loss"],
        }
    )


def with_envelope(found: Approaches, learning: pd.DataFrame) -> Approaches:
    """Adds approach 1, which needs learning curves, to the approaches on ends of the same runs."""
    curves = learning_curves(
        learning["run"], learning["N"], learning["loss"], flops=learning["C"], tokens=learning["D"]
    )
    first = by_envelope(curves, found.flops, Bootstrap(level=found.level))
    rows = tuple(first if row.kind is first.kind else row for row in found.rows)
    return replace(found, rows=rows)


def answers(found: Approaches) -> list[str]:
    """Exponents and the optimal ratio of every approach that has them, one line each."""
    head = f"N* ~ C^a, D* ~ C^b, and tokens per parameter at {found.flops:.3g} FLOPs, by approach:"
    return [head] + [
        f"{row.kind.title}: a = {_rounded(row.exponents.params.exponent)}, "
        f"b = {_rounded(row.exponents.tokens.exponent)}, D*/N* = {row.tokens_per_param}"
        for row in found.rows
        if row.exponents is not None
    ]


def doubts(found: Approaches) -> list[str]:
    """Refusals and doubts of the approaches, one line each; their reports have all reasons."""
    doubted = (row for row in found.rows if row.reason)
    lines = [f"approach {row.kind.title}, {row.status}: {row.reason}" for row in doubted]
    return [
        textwrap.shorten(line, LINE, placeholder=" ... (all of it in report.json)")
        for line in [*lines, *found.notes]
    ]


def _rounded(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def exponent(approach: Approach, of: Literal["params", "tokens"] = "params") -> Measured:
    """Exponent of an approach as a measured number: a of "params", b of "tokens"."""
    if approach.exponents is None:
        return Measured(value=None, note=f"{approach.status}: {approach.reason}")
    exponents = approach.exponents
    found = (exponents.params if of == "params" else exponents.tokens).exponent
    return Measured(value=found.value, low=found.low, high=found.high)


def half_width(measured: Measured) -> Measured:
    """Half the width of the interval of a measured number."""
    if measured.low is None or measured.high is None:
        return Measured(value=None, note=measured.note)
    return Measured(value=(measured.high - measured.low) / 2)
