"""The cost of a run in closed form, under every counting convention side by side.

| symbol | meaning |
|---|---|
| N | parameters |
| D | training examples (tokens) seen, repetitions counted |
| C | training FLOPs; a multiply-add is 2 |
| n, p | rows and columns of a feature matrix |

Only matrix products and factorisations are counted: element-wise work is below a per cent of any
run worth counting. XLA's own count tests these formulas and does not replace them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from scaling.counting import Counting
from scaling.data.token_dataset import TokenSource
from scaling.models.family import KernelFamily, TranslatingFamily, offers
from scaling.policy_gradient import PolicyGradient
from scaling.pretraining import Pretraining
from scaling.solving import OnePassSGD
from scaling.streaming import OnStream
from scaling.training import Gradient

if TYPE_CHECKING:
    from scaling.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Account:
    """Counts of one run. FLOPs are floats: they outgrow 64-bit integers.

    `n_params_embedding` are looked up by token and position. `n_params_non_embedding` leave out
    those and the read-out to the vocabulary (Kaplan et al., arXiv 2001.08361, section 2.1);
    `n_params_matmul` are those in products with activations, read-out included, tied or not
    (Porian et al., arXiv 2406.19146, section 3, count these); of experts, those that a token meets.
    Families without tokens have one count for all.

    Tokens are counted three ways: `n_tokens_seen` are read, repetitions counted, of which
    `n_tokens_predicted` count in the loss of the objective, and `n_tokens_unique` are different
    ones of the data.

    `flops_train` is the exact sum over matrix products (or the factorisation's count), those of a
    teacher's predictions included. The others
    are the rule of thumb 6 N D with each N; None for closed-form runs, where it means nothing.
    """

    n_params_total: int
    n_params_trainable: int
    n_params_embedding: int
    n_params_non_embedding: int
    n_params_matmul: int
    n_examples_seen: int
    n_tokens_seen: int | None
    n_tokens_predicted: int | None
    n_tokens_unique: int | None
    steps: int | None
    epochs: float
    flops_train: float
    flops_train_6n_non_embedding_d: float | None
    flops_train_6n_matmul_d: float | None
    flops_train_6n_total_d: float | None


def account(config: RunConfig, steps: int | None = None) -> Account:
    """Parameters, examples and FLOPs of a run, without running it.

    Args:
        config: the run.
        steps: steps really taken, of a gradient run that ended early; None for all.

    Examples:
        >>> from scaling import MLP, MNIST1D, Adam, Gradient, RunConfig
        >>> train = Gradient(optimizer=Adam(learning_rate=1e-3), batch_size=50, epochs=10)
        >>> counts = account(RunConfig(model=MLP(width=8), data=MNIST1D(n_train=100), train=train))
        >>> counts.n_params_total, counts.steps, counts.n_examples_seen, counts.flops_train
        (490, 20, 1000, 2144000.0)
    """
    model, data, train = config.model, config.data, config.train
    shape = (data.n_inputs, config.n_outputs)
    groups = model.count_params(*shape)
    total, trainable = sum(groups.values()), model.count_trainable(*shape)
    embedding, non_embedding, matmul = 0, total, total
    tokens = predicted = unique = None
    n_train = data.n_train
    if isinstance(train, Pretraining):
        steps = train.length(model, data).steps if steps is None else steps
        counted = seen = steps * train.batch_size
        trainable = groups["readout"] if train.trained == "readout" else trainable
    elif isinstance(train, Gradient | OnePassSGD):
        planned, batch_size, _ = train.duration(data.n_train)
        steps = planned if steps is None else steps
        counted = seen = steps * batch_size
    elif isinstance(train, OnStream):
        steps = train.steps if steps is None else steps
        counted = seen = steps * train.batch_size
    else:
        steps, counted, seen = None, None, n_train
        if isinstance(train, Counting):
            assert isinstance(data, TokenSource)
            tokens = unique = n_train * data.context
    if (of_example := _tokens_of_example(config)) is not None:
        embedding = groups.get("embedding", 0)
        non_embedding = total - embedding - groups.get("readout", 0)
        matmul = model.count_matmul(*shape)
        tokens, unique = seen * data.n_inputs, min(seen, n_train) * data.n_inputs
        counted, predicted = seen * of_example.met, round(seen * of_example.predicted)
    if offers(model, KernelFamily):
        flops = flops_kernel(n_train, *shape)
    elif counted is None:
        readout = 2.0 * trainable
        flops = (model.flops_forward(*shape) - readout) * seen
        flops += flops_least_squares(seen, trainable // data.n_outputs, data.n_outputs)
        flops *= getattr(train, "members", 1)  # parameters are those of one member
    else:
        flops = float(_flops_of_example(config)) * seen

    def rule_of_thumb(n_params: int) -> float | None:
        return None if counted is None else 6.0 * n_params * counted

    return Account(
        n_params_total=total,
        n_params_trainable=trainable,
        n_params_embedding=embedding,
        n_params_non_embedding=non_embedding,
        n_params_matmul=matmul,
        n_examples_seen=seen,
        n_tokens_seen=tokens,
        n_tokens_predicted=predicted,
        n_tokens_unique=unique,
        steps=steps,
        epochs=seen / n_train,
        flops_train=flops,
        flops_train_6n_non_embedding_d=rule_of_thumb(non_embedding),
        flops_train_6n_matmul_d=rule_of_thumb(matmul),
        flops_train_6n_total_d=rule_of_thumb(total),
    )


def _flops_of_example(config: RunConfig) -> int:
    """FLOPs of an example in training by gradients: of all passes over it, and of a teacher's."""
    model, train, shape = config.model, config.train, (config.data.n_inputs, config.n_outputs)
    back = train if isinstance(train, Pretraining) else None
    each = model.flops_forward(*shape)
    each += back.flops_backward(model, *shape) if back else model.flops_backward(*shape)
    if config.distilled_from is not None:
        each += config.distilled_from.model.flops_forward(*shape)
    return each * (train.method.passes if isinstance(train, PolicyGradient) else 1)


class _Tokens(NamedTuple):
    """Tokens of an example: those that a parameter meets, and those predicted, on average."""

    met: int
    predicted: float


def _tokens_of_example(config: RunConfig) -> _Tokens | None:
    """Tokens of an example; None without any, and where they are counted rather than trained on.

    A parameter of a decoder meets as many tokens as are predicted; the encoder's are counted alike.
    In pre-training every parameter is counted as meeting the whole sequence.
    """
    model, data, train = config.model, config.data, config.train
    if isinstance(train, Pretraining):
        return _Tokens(data.n_inputs, train.objective.n_predicted(data.n_inputs))
    if offers(model, TranslatingFamily):
        target = data.n_inputs - model.source_length
        return _Tokens(target, target)
    return None


def flops_kernel(n: int, n_inputs: int, n_outputs: int) -> float:
    """FLOPs of kernel regression by eigenvalues and the products that use it.

    Inner products of all inputs, 2 n^2 each, 9 n^3 for eigenvalues and -vectors (Golub & Van Loan,
    Matrix Computations, 4th ed., section 8.3), and 4 n^2 for each output.
    """
    return 2.0 * n**2 * n_inputs + 9.0 * n**3 + 4.0 * n**2 * n_outputs


def flops_least_squares(n: int, p: int, n_outputs: int) -> float:
    """FLOPs of a least-squares solve by a thin SVD and the products that use it.

    The R-bidiagonalisation count 6 m k^2 + 20 k^3 for an m x k matrix, m >= k (Golub & Van Loan,
    Matrix Computations, 4th ed., section 8.6), and 2 k (n + p) for each output.
    """
    m, k = max(n, p), min(n, p)
    return 6.0 * m * k**2 + 20.0 * k**3 + 2.0 * k * (n + p) * n_outputs
