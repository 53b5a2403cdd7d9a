"""Optimizers against optax's own, on the parameters of a tiny model and random gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers

from scaling.models.parametrization import MuP, learning_rate_multipliers
from scaling.models.transformer import Transformer
from scaling.pretraining import Muon, PretrainingOptimizer, ScheduleFree, learning_rates
from scaling.trainers.optimizers import build_optimizer, evaluated, param_groups
from scaling.training import SGD, Adam

MODEL = Transformer(width=6, depth=3, heads=1, ff_width=10)
SHAPE = (4, 5)
RATES = (0.3, 0.7, 0.5)
"""Shares of the peak learning rate, one a step."""


def drawn(seed: int, model: Transformer = MODEL) -> Any:
    """A tree like the model's parameters, of normal numbers."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.build(*SHAPE).init, jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)


def gradients_drawn(model: Transformer) -> Any:
    """One tree a step, stacked."""
    return jax.tree.map(
        lambda *each: np.stack(each), *(drawn(i + 1, model) for i in range(len(RATES)))
    )


def descended(
    optimizer: PretrainingOptimizer, model: Transformer = MODEL, gradient_scale: float = 1.0
) -> tuple[Any, Any]:
    """Parameters after three steps, and those that are evaluated."""
    groups = param_groups(optimizer, model, *SHAPE)
    peaks = learning_rates(optimizer)

    def step(carried, given):
        (params, state), (gradient, share) = carried, given
        updates, state = build_optimizer(optimizer, groups, share * jnp.array(peaks)).update(
            gradient, state, params
        )
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def stepped(params, gradients, shares):
        state = build_optimizer(optimizer, groups, jnp.array(peaks)).init(params)
        (params, state), _ = jax.lax.scan(step, (params, state), (gradients, shares))
        return params, evaluated(optimizer, state, params)

    gradients = jax.tree.map(lambda g: np.float32(gradient_scale) * g, gradients_drawn(model))
    return stepped(drawn(0, model), gradients, np.float32(RATES))


def peer_descended(peer: optax.GradientTransformation) -> tuple[Any, Any]:
    def step(carried, gradient):
        params, state = carried
        updates, state = peer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def stepped(params, gradients):
        return jax.lax.scan(step, (params, peer.init(params)), gradients)[0]

    return stepped(drawn(0), gradients_drawn(MODEL))


def first_update(build: Callable[[], Any], gradient: Any, params: Any) -> Any:
    @jax.jit
    def updated(gradient, params):
        move = build()
        return move.update(gradient, move.init(params), params)[0]

    return updated(gradient, params)


def peak(rate: float) -> optax.Schedule:
    return lambda count: rate * jnp.array(RATES)[count]


def not_gains(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: not path[-1].key.endswith("norm"), params)


def close(one: Any, other: Any) -> bool:
    same = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-5, atol=1e-6), one, other)
    return all(jax.tree.leaves(same))


@pytest.mark.parametrize(
    ("optimizer", "peer"),
    [
        (SGD(learning_rate=0.2, momentum=0.9), optax.sgd(peak(0.2), momentum=0.9)),
        (SGD(learning_rate=0.2), optax.sgd(peak(0.2))),
        (Adam(learning_rate=0.1, b2=0.95), optax.adam(peak(0.1), b2=0.95)),
        (
            Adam(learning_rate=0.1, weight_decay=0.3),
            optax.adamw(peak(0.1), weight_decay=0.3, mask=not_gains),
        ),
    ],
    ids=["momentum", "sgd", "adam", "adamw"],
)
def test_steps_are_those_of_optax(optimizer, peer):
    params, evaluated_at = descended(optimizer)
    assert close(params, peer_descended(peer)[0])
    assert close(params, evaluated_at)


def test_muon_is_that_of_optax_for_each_layer_and_adam_elsewhere():
    adam = Adam(learning_rate=0.05, weight_decay=0.2)
    optimizer = Muon(learning_rate=0.1, momentum=0.9, weight_decay=0.4, adam=adam)
    params, _ = descended(optimizer)
    axes = jax.tree.map(lambda _: None, params)
    matrices = ("qkv", "attention_out", "ff_in", "ff_out")
    axes["blocks"] |= dict.fromkeys(matrices, MuonDimensionNumbers(1, 2))
    muon = optax.contrib.muon(
        peak(0.1), beta=0.9, weight_decay=0.4, muon_weight_dimension_numbers=axes
    )
    by_muon, _ = peer_descended(muon)
    by_adam, _ = peer_descended(optax.adamw(peak(0.05), weight_decay=0.2, mask=not_gains))
    for name, expected in by_adam["blocks"].items():
        peer = by_muon["blocks"][name] if name in matrices else expected
        assert close(params["blocks"][name], peer), name
    assert close(*({k: v for k, v in tree.items() if k != "blocks"} for tree in (params, by_adam)))


def test_muon_brings_every_singular_value_of_every_layer_near_one():
    """Layers whose gradients differ a thousandfold move as far; a wide matrix moves further."""
    optimizer = Muon(learning_rate=1.0, momentum=0.0, adam=Adam(learning_rate=1.0))
    gradient = drawn(1)
    scale = np.array([1e-3, 1.0, 1e3], np.float32)[:, None, None]
    blocks = {k: v * scale if v.ndim == 3 else v for k, v in gradient["blocks"].items()}
    gradient |= {"blocks": blocks}
    groups = param_groups(optimizer, MODEL, *SHAPE)
    updates = first_update(
        lambda: build_optimizer(optimizer, groups, jnp.ones(2)), gradient, gradient
    )
    for name in ("qkv", "attention_out", "ff_in", "ff_out"):
        layers = np.asarray(updates["blocks"][name])
        wider = max(1.0, layers.shape[2] / layers.shape[1]) ** 0.5
        values = np.linalg.svd(layers, compute_uv=False) / wider
        assert np.all((values > 0.3) & (values < 1.3)), name


def test_schedule_free_is_that_of_optax_and_evaluates_an_average():
    optimizer = ScheduleFree(learning_rate=0.1, b1=0.8, b2=0.95)
    params, average = descended(optimizer)
    base = optax.chain(
        optax.scale_by_rms(0.95, eps_in_sqrt=False, bias_correction=True),
        optax.scale_by_learning_rate(lambda count: peak(0.1)(count)),
    )
    # optax counts the wrapper's steps from 1.
    peer = optax.contrib.schedule_free(base, lambda count: peak(0.1)(count - 1), b1=0.8)
    peer_params, state = peer_descended(peer)
    assert close(params, peer_params)
    peer_average = jax.jit(optax.contrib.schedule_free_eval_params)(state, peer_params)
    assert close(average, peer_average)
    assert not close(params, average)


def test_schedule_free_adamw_is_that_of_optax():
    """Its own shortcut takes one rate for all steps, and decays every parameter."""
    optimizer = ScheduleFree(learning_rate=0.1, weight_decay=0.3)
    groups = param_groups(optimizer, MODEL, *SHAPE)
    params = drawn(0)
    updates, expected = (
        first_update(build, drawn(1), params)
        for build in (
            lambda: build_optimizer(optimizer, groups, jnp.array([0.1])),
            lambda: optax.contrib.schedule_free_adamw(0.1, weight_decay=0.3),
        )
    )
    decayed = not_gains(params)
    same = jax.tree.map(lambda d, a, b: not d or close(a, b), decayed, updates, expected)
    assert all(jax.tree.leaves(same))


def test_decay_is_the_same_at_every_width():
    """Without gradients the parameters shrink by the learning rate times the decay, gains not."""
    wide = Transformer(width=12, depth=3, heads=1, parametrization=MuP(base_width=6))
    assert learning_rate_multipliers(wide, *SHAPE)["blocks"]["qkv"] == 0.5
    for model in (MODEL, wide):
        _, params = descended(Adam(learning_rate=0.1, weight_decay=0.5), model, 0.0)
        shrunk = np.prod([1 - 0.1 * share * 0.5 for share in RATES])
        expected = jax.tree.map(
            lambda decays, leaf, shrunk=shrunk: leaf * (shrunk if decays else 1.0),
            not_gains(params),
            drawn(0, model),
        )
        assert close(params, expected)


def test_multipliers_act_on_the_direction_of_adam():
    """Adam's first step is the sign of the gradient, times rate and multiplier."""
    wide = Transformer(width=12, depth=4, heads=1, parametrization=MuP(base_width=6, base_depth=1))
    optimizer = Adam(learning_rate=0.1, weight_decay=0.5)
    params, gradient = drawn(0, wide), jax.tree.map(np.sign, drawn(1, wide))
    groups = param_groups(optimizer, wide, *SHAPE)
    updates = first_update(
        lambda: build_optimizer(optimizer, groups, jnp.array([0.1])), gradient, params
    )
    expected = jax.tree.map(
        lambda m, decays, p, g: -0.1 * (m * g + 0.5 * decays * p),
        learning_rate_multipliers(wide, *SHAPE),
        not_gains(params),
        params,
        gradient,
    )
    assert close(updates, expected)
