"""Model: a pair of pure functions. Nothing else is a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from flax import nnx
    from jax import Array

Params = Any
"""A pytree of arrays."""


class Spread(NamedTuple):
    """A model of tokens as each device of a mesh computes it, on its part of every array.

    Attributes:
        hidden: (parameters, tokens, in_training=, and by name what `Model.apply` takes) -> a row of
            states for each token, and the penalty that training adds to its loss.
        read_out: parameters -> (rows of states -> logits of this device's part of the vocabulary).
        vocabulary: Axes of the mesh that divide the vocabulary.
    """

    hidden: Callable[..., tuple[Array, Array]]
    read_out: Callable[[Params], Callable[[Array], Array]]
    vocabulary: tuple[Any, ...]


class Model(NamedTuple):
    """`init(key) -> params` and `apply(params, inputs) -> outputs`, batch axis first.

    A model of tokens takes more inputs by name if its family says so, each only where a run asks
    for it: `segments` (batch, context), the document of each token, outside which it sees nothing;
    `visible` (batch), the number of first positions of each sequence that see each other, without
    which none sees a later one; and `dropout_key`, without which nothing is dropped.

    A model with running statistics keeps them in `params` under the key `RUNNING`. `apply` uses
    them; `train(params, inputs) -> (outputs, statistics)` uses those of the batch, and returns the
    running ones after it. They are no parameters: no gradient reaches them and no count has them.

    A model of tokens that computes otherwise in training offers `penalised`, which takes what
    `apply` takes and returns outputs and a number that training adds to its loss. Evaluations use
    `apply`, and no loss that is reported has that number in it.

    A model that devices can share offers `spread`: from the `scaling.devices.axes.Axes` of a mesh
    to what each of them computes.

    The interface follows optax's `GradientTransformation`: a NamedTuple of functions, so that
    `jax.jit`, `grad`, `vmap` and `eval_shape` apply to it without ceremony.
    """

    init: Callable[[Array], Params]
    apply: Callable[..., Array]
    train: Callable[[Params, Array], tuple[Array, Params]] | None = None
    penalised: Callable[..., tuple[Array, Array]] | None = None
    spread: Callable[[Any], Spread] | None = None


RUNNING = "running_statistics"
"""Key of running statistics among the parameters of a model that has them."""


def parameters_of(params: Params) -> Params:
    """The parameters that are trained, without running statistics."""
    if isinstance(params, dict) and RUNNING in params:
        return {name: value for name, value in params.items() if name != RUNNING}
    return params


def with_statistics(params: Params, statistics: Params | None) -> Params:
    """Parameters with other running statistics; None leaves a model that has none as it is."""
    return params if statistics is None else {**params, RUNNING: statistics}


def from_nnx(make: Callable[[nnx.Rngs], nnx.Module]) -> Model:
    """Splits a flax.nnx module, at once, into pure functions over its state.

    The state is its parameters (`nnx.Param`), and for a module with batch norms their statistics.

    Args:
        make: builds the module from its random streams; called once for each `init`.
    """
    import jax
    from flax import nnx

    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(params=0)))
    graphdef, _, statistics = nnx.split(abstract, nnx.Param, nnx.BatchStat)
    if jax.tree.leaves(statistics):
        return _with_statistics(make, graphdef)
    graphdef = nnx.graphdef(abstract)

    def init(key: Array) -> Params:
        return nnx.to_pure_dict(nnx.state(make(nnx.Rngs(params=key)), nnx.Param))

    def apply(params: Params, inputs: Array) -> Array:
        return nnx.merge(graphdef, params)(inputs)

    return Model(init, apply)


def _with_statistics(make: Callable[[nnx.Rngs], nnx.Module], graphdef: Any) -> Model:
    """The functions of a module with batch norms."""
    from flax import nnx

    def init(key: Array) -> Params:
        _, params, statistics = nnx.split(make(nnx.Rngs(params=key)), nnx.Param, nnx.BatchStat)
        return nnx.to_pure_dict(params) | {RUNNING: nnx.to_pure_dict(statistics)}

    def module_of(params: Params, training: bool) -> Any:
        module = nnx.merge(graphdef, parameters_of(params), params[RUNNING])
        module.train() if training else module.eval()
        return module

    def apply(params: Params, inputs: Array) -> Array:
        return module_of(params, training=False)(inputs)

    def train(params: Params, inputs: Array) -> tuple[Array, Params]:
        module = module_of(params, training=True)
        outputs = module(inputs)
        return outputs, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    return Model(init, apply, train)
