"""What a run costs, in closed form, under every counting convention side by side.

| symbol | meaning |
|---|---|
| N | parameters |
| D | training examples (tokens) seen, repetitions counted |
| C | training FLOPs; a multiply-add is 2 |
| n, p | rows and columns of a feature matrix |

Only matrix products and factorisations are counted: element-wise work is below a per cent of any
run worth counting. XLA's own count is the test of these formulas, never the ruler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.training import Gradient

if TYPE_CHECKING:
    from scaling.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Account:
    """Counts of one run. FLOPs are floats: they outgrow 64-bit integers.

    `flops_train` is the exact sum over matrix products (or the factorisation's count). Beside it
    stands the rule of thumb 6 N D (Kaplan et al., arXiv 2001.08361, section 2.1) with N without
    and with embeddings, None for closed-form runs, where it means nothing.
    """

    n_params_total: int
    n_params_trainable: int
    n_params_embedding: int
    n_params_non_embedding: int
    n_examples_seen: int
    steps: int | None
    epochs: float
    flops_train: float
    flops_train_6n_non_embedding_d: float | None
    flops_train_6n_total_d: float | None


def account(config: RunConfig, steps: int | None = None) -> Account:
    """Parameters, examples and FLOPs of a run, without running it.

    Args:
        config: the run.
        steps: steps really taken, of a gradient run that ended early; None for all.
    """
    model, data = config.model, config.data
    shape = (data.n_inputs, data.n_outputs)
    total = sum(model.count_params(*shape).values())
    trainable = model.count_trainable(*shape)
    if isinstance(config.train, Gradient):
        planned, batch_size, _ = config.train.duration(data.n_train)
        steps = planned if steps is None else steps
        seen = steps * batch_size
        flops = float(model.flops_forward(*shape) + model.flops_backward(*shape)) * seen
        rule = 6.0 * total * seen  # no family has embeddings yet
    else:
        steps, seen, rule = None, data.n_train, None
        readout = 2.0 * trainable
        flops = (model.flops_forward(*shape) - readout) * data.n_train
        flops += flops_least_squares(data.n_train, trainable // data.n_outputs, data.n_outputs)
    return Account(
        n_params_total=total,
        n_params_trainable=trainable,
        n_params_embedding=0,
        n_params_non_embedding=total,
        n_examples_seen=seen,
        steps=steps,
        epochs=seen / data.n_train,
        flops_train=flops,
        flops_train_6n_non_embedding_d=rule,
        flops_train_6n_total_d=rule,
    )


def flops_least_squares(n: int, p: int, n_outputs: int) -> float:
    """FLOPs of a least-squares solve by a thin SVD and the products that use it.

    The R-bidiagonalisation count 6 m k^2 + 20 k^3 for an m x k matrix, m >= k (Golub & Van Loan,
    Matrix Computations, 4th ed., section 8.6), and 2 k (n + p) for each output.
    """
    m, k = max(n, p), min(n, p)
    return 6.0 * m * k**2 + 20.0 * k**3 + 2.0 * k * (n + p) * n_outputs
