"""The memory of a run in closed form, before anything is allocated.

`data` and `state` are what a run holds for certain: its examples as arrays, and its parameters with
their gradient and averages, or the matrices of a closed-form solution. `working` is an estimate of
the activations of one batch, of which compilers keep more or less. Over several devices of one
machine it is the sum. Programs themselves take `PROCESS_BYTES` beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaling.data.stream import StreamSource
from scaling.data.token_dataset import TokenSource
from scaling.models.family import KernelFamily, SizedFamily, offers
from scaling.pretraining import Muon, Pretraining, ScheduleFree
from scaling.solving import GradientFlow, OptimalRidge, Ridge, Ridgeless, RidgelessEnsemble
from scaling.training import SGD, Adam

if TYPE_CHECKING:
    from scaling.config import RunConfig

PROCESS_BYTES = 330e6
"""Python, JAX, XLA and the programs that it compiles for a small model, on a CPU."""

_IN_CLOSED_FORM = (Ridgeless, Ridge, OptimalRidge, RidgelessEnsemble, GradientFlow)
_NARROW, _FLOAT, _DOUBLE = 2, 4, 8
_VALUES_A_TOKEN = 16  # activations that training keeps, in widths, of a block of two layers
_LOGITS = 3  # outputs, their softmax and its gradient


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or its accelerator had no memory left."""
    says = any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))  # XLA's
    return isinstance(error, MemoryError) or says


class Memory(NamedTuple):
    """Bytes of one run."""

    data: float
    state: float
    working: float

    @property
    def held(self) -> float:
        """What is allocated for certain."""
        return self.data + self.state

    @property
    def total(self) -> float:
        """Bytes in all, with those of the process itself."""
        return PROCESS_BYTES + self.held + self.working


def memory_of(config: RunConfig) -> Memory:
    """Memory of a run on one device, without running it."""
    shape = (config.data.n_inputs, config.n_outputs)
    n_params = float(sum(config.model.count_params(*shape).values()))
    if isinstance(config.train, _IN_CLOSED_FORM):
        return Memory(_data(config, _DOUBLE), _matrices(config), 0.0)
    optimizer = getattr(config.train, "optimizer", None)
    if optimizer is None:
        return Memory(_data(config, _DOUBLE), _DOUBLE * n_params, 0.0)
    state = n_params * (2 * _FLOAT + optimizer_bytes(config.train))
    return Memory(_data(config, _FLOAT), state, _activations(config))


def optimizer_bytes(train: object) -> int:
    """Bytes a parameter of what an optimizer keeps between steps, wherever it lies.

    Of Muon those of its Adam, the more: its matrices have one average.
    """
    width = _NARROW if getattr(train, "optimizer_dtype", "float32") == "bfloat16" else _FLOAT
    match getattr(train, "optimizer", None):
        case SGD(momentum=momentum):
            return width if momentum > 0 else 0
        case Adam() | Muon():
            return 2 * width
        case ScheduleFree():  # an average, and an iterate that is never narrowed
            return width + _FLOAT
        case _:
            return 0


def _data(config: RunConfig, width: int) -> float:
    data = config.data
    if isinstance(data, StreamSource):
        return float(width * data.n_eval * data.n_inputs)
    if isinstance(data, TokenSource):  # its tokens are mapped, or two bytes each
        return float(2 * _FLOAT * data.n_eval * data.context)
    return float((_DOUBLE + width) * (data.n_train + data.n_eval) * data.n_inputs)


def _matrices(config: RunConfig) -> float:
    """Features, or the kernel, with their factors."""
    n = config.data.n_train
    if offers(config.model, KernelFamily):
        return float(3 * _DOUBLE * n * n)
    p = getattr(config.model, "n_features", 0)
    return float(_DOUBLE * (2 * n * p + min(n, p) * (n + p)))


def _activations(config: RunConfig) -> float:
    """Activations of a batch, or of what is evaluated at once, and its logits."""
    model, train = config.model, config.train
    shape = (config.data.n_inputs, config.n_outputs)
    width = model.width if offers(model, SizedFamily) else 1
    if isinstance(train, Pretraining):
        tokens = train.batch_size // train.microbatches * config.data.n_inputs
        depth = getattr(model, "depth", 1)
        heads = getattr(getattr(model, "sizes", None), "heads", 0)
        attended = 2 * heads * config.data.n_inputs
        a_token = depth * (_VALUES_A_TOKEN * width + attended) + _LOGITS * config.n_outputs
        return float(_FLOAT * tokens * a_token)
    at_once = max(getattr(train, "batch_size", None) or config.data.n_train, config.data.n_eval)
    # Each value of a layer is a sum over at least `width` products.
    values = model.flops_forward(*shape) / (2 * width) + config.data.n_inputs
    return float(2 * _FLOAT * at_once * values)
