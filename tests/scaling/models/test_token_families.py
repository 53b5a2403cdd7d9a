"""Families of tokens that are stacks of residual blocks: counts, causality, what they compute."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from products import flops_of_products
from random_parameters import random_parameters

from scaling.models.built import built
from scaling.models.convolutional import Convolutional
from scaling.models.gru import GRU
from scaling.models.layers import product
from scaling.models.lstm import LSTM
from scaling.models.min_gru import GATE_BIASES, MinGRU
from scaling.models.neural_ngram import NeuralNGram
from scaling.models.parametrization import MuP, learning_rate_multipliers
from scaling.models.recurrence import (
    Cell,
    Pulled,
    associative,
    linear_recurrence,
    recurrence,
    sequential,
)
from scaling.models.residual_stack_apply import causal_convolution, causal_patches
from scaling.models.selective_ssm import STEPS, SelectiveSSM

CONTEXT, VOCAB = 7, 11
SMALL = [
    LSTM(width=6, depth=2),
    GRU(width=6, depth=2),
    MinGRU(width=6, depth=2),
    Convolutional(width=6, depth=2),
    NeuralNGram(width=6, depth=2, order=3),
    SelectiveSSM(width=6, depth=2, states=3),
]
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (3, CONTEXT))

every_family = pytest.mark.parametrize("family", SMALL, ids=lambda family: family.kind)


@functools.cache
def start(family):
    """Loss, logits and gradients of a small model, one program for all, and its parameters."""
    model = built(family, CONTEXT, VOCAB)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def evaluated(params, tokens):
        logits = model.apply(params, tokens[:, :-1])
        chances = jax.nn.log_softmax(logits)
        loss = -jnp.mean(jnp.take_along_axis(chances, tokens[:, 1:, None], axis=-1))
        return loss, logits

    return evaluated, random_parameters(model)


def logits_of(family, tokens=TOKENS):
    """Of all tokens but the last."""
    evaluated, params = start(family)
    (_, logits), _ = evaluated(params, tokens)
    return np.asarray(logits)


@every_family
def test_flops_are_those_of_the_products_it_computes(family):
    """Parameters are compared with the pytree by `built`."""
    model = family.build(CONTEXT, VOCAB)
    params = jax.eval_shape(model.init, jax.random.key(0))

    def loss(params, tokens):
        return jnp.sum(model.apply(params, tokens) ** 2)

    forward, both = (
        flops_of_products(jax.make_jaxpr(function)(params, TOKENS).jaxpr)
        for function in (model.apply, jax.grad(loss))
    )
    assert forward == len(TOKENS) * family.flops_forward(CONTEXT, VOCAB)
    assert both - forward == len(TOKENS) * family.flops_backward(CONTEXT, VOCAB)


@every_family
def test_no_logit_depends_on_a_later_token(family):
    changed = TOKENS.copy()
    changed[:, 2] = (TOKENS[:, 2] + 1) % VOCAB
    before, after = logits_of(family), logits_of(family, changed)
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    reach = getattr(family, "receptive_field", getattr(family, "order", CONTEXT))
    differs = (before[:, 2:] != after[:, 2:]).any(axis=-1)
    assert differs[:, :reach].all() and not differs[:, reach:].any()


def test_the_receptive_field_of_convolutions_is_exact():
    """1 + 2 (2^depth - 1) tokens: the last logits when each of those before is another one."""
    family = Convolutional(width=3, depth=3)
    context = family.receptive_field + 3
    model = family.build(context, VOCAB)
    tokens = np.zeros((context + 1, context), int)
    tokens[np.arange(context), np.arange(context)] = 1
    last = np.asarray(jax.jit(model.apply)(random_parameters(model), tokens))[:, -1]
    assert family.receptive_field == 15
    assert np.array_equal((last[:-1] != last[-1]).any(axis=1), np.arange(context) >= 3)


GOLDEN = {
    "lstm": [2.71709, 2.61857],
    "gru": [2.529198, 2.512014],
    "min_gru": [2.39422, 2.346443],
    "convolutional": [2.50051, 2.472595],
    "neural_ngram": [2.485692, 2.465752],
    "selective_ssm": [2.536889, 2.507602],
}


@every_family
def test_golden_loss_after_one_step(family):
    """Frozen. Update the numbers only for a deliberate change of the numerics."""
    evaluated, params = start(family)
    (loss, _), gradient = evaluated(params, TOKENS)
    stepped = jax.tree.map(lambda leaf, slope: leaf - 0.1 * np.asarray(slope), params, gradient)
    found = [float(loss), float(evaluated(stepped, TOKENS)[0][0])]
    assert found == pytest.approx(GOLDEN[family.kind], rel=1e-6)


def _norm(x, gain):
    return gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def assert_blocks_are(family, block):
    """Compares the logits of a sequence with those of a plain function of (x, layer) in float64."""
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), start(family)[1])
    x = params["embedding"][TOKENS[0, :-1]]
    for i in range(len(params["blocks"]["norm"])):
        x = x + block(x, {name: leaf[i] for name, leaf in params["blocks"].items()})
    expected = _norm(x, params["final_norm"]) @ params["readout"]
    np.testing.assert_allclose(logits_of(family)[0], expected, atol=2e-5)


def _through_cell(make, gates, into):
    """A block that is a cell of flax.nnx, whose dense layers `into` fills from our matrices."""

    @jax.jit
    def through(x, layer):
        zeros = nnx.initializers.zeros_init()
        starts = {"kernel_init": zeros, "recurrent_kernel_init": zeros}
        cell = make(x.shape[-1], x.shape[-1], rngs=nnx.Rngs(0), **starts)
        given, recalled, shift = (
            jnp.split(layer[name], gates, axis=-1) for name in ("input", "recurrent", "bias")
        )
        into(cell, given, recalled, shift)
        return nnx.RNN(cell)(x[None])[0]

    def block(x, layer):
        return np.asarray(through(_norm(x, layer["norm"]).astype("f4"), layer))

    return block


def test_lstm_is_that_of_flax_with_one_added_to_its_forget_gate():
    def into(cell, given, recalled, shift):
        projected = [cell.ii, cell.if_, cell.ig, cell.io]
        for place, layer in enumerate([cell.hi, cell.hf, cell.hg, cell.ho]):
            projected[place].kernel[...] = given[place]
            layer.kernel[...] = recalled[place]
            layer.bias[...] = shift[place] + (place == 1)

    assert_blocks_are(SMALL[0], _through_cell(nnx.LSTMCell, 4, into))


def test_gru_is_that_of_flax_without_the_bias_of_its_recurrent_candidate():
    def into(cell, given, recalled, shift):
        cell.dense_i.kernel[...] = jnp.concatenate(given, axis=-1)
        cell.dense_i.bias[...] = jnp.concatenate(shift, axis=-1)
        cell.dense_h.kernel[...] = jnp.concatenate(recalled, axis=-1)

    assert_blocks_are(SMALL[1], _through_cell(nnx.GRUCell, 3, into))


def test_min_gru_is_a_plain_loop():
    def block(x, layer):
        width = x.shape[-1]
        both = _norm(x, layer["norm"]) @ layer["input"]
        shift = layer["gate_bias"] + np.linspace(*GATE_BIASES, width)
        h, states = np.zeros(width), []
        for row in both:
            z = 1 / (1 + np.exp(-row[:width] - shift))
            h = (1 - z) * h + z * row[width:]
            states.append(h)
        mixed = np.array(states) @ layer["out"]
        hidden = _norm(x + mixed, layer["ff_norm"]) @ layer["ff_in"]
        gelu = hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3))) / 2
        return mixed + gelu @ layer["ff_out"]

    assert_blocks_are(SMALL[2], block)


def test_convolutions_are_those_of_flax():
    @functools.partial(jax.jit, static_argnums=0)
    def convolved(place, x, layer):
        sizes = {"kernel_size": 3, "padding": "CAUSAL", "kernel_dilation": 2**place}
        zeros = nnx.initializers.zeros_init()
        window = nnx.Conv(6, 12, **sizes, kernel_init=zeros, rngs=nnx.Rngs(0))
        window.kernel[...] = layer["window"].reshape(3, 6, 12)
        window.bias[...] = layer["bias"]
        return window(x[None])[0]

    def block(x, layer):
        place = len(seen)
        seen.append(place)
        both = convolved(place, _norm(x, layer["norm"]).astype("f4"), layer)
        value, gate = np.split(np.asarray(both), 2, axis=-1)
        return value / (1 + np.exp(-gate)) @ layer["out"]

    seen = []
    assert_blocks_are(SMALL[3], block)


def test_selective_state_space_is_a_plain_loop():
    def block(x, layer):
        inner, silu = 12, lambda y: y / (1 + np.exp(-y))
        both = _norm(x, layer["norm"]) @ layer["input"]
        u, gate = np.pad(both[:, :inner], ((3, 0), (0, 0))), both[:, inner:]
        rates = np.exp(layer["log_decay"]) * np.arange(1, 4)
        first = np.log(np.expm1(np.geomspace(*STEPS, inner)))
        h, out = np.zeros((inner, 3)), []
        for t in range(len(x)):
            v = silu((u[t : t + 4] * layer["window"]).sum(axis=0) / 2)
            selected = v @ layer["select"]
            step = np.log1p(np.exp(selected[:inner] + layer["step_bias"] + first))
            b, c = np.split(selected[inner:], 2)
            h = np.exp(-step[:, None] * rates) * h + (step * v)[:, None] * b
            out.append(h @ c + layer["skip"] * v)
        return (np.array(out) * silu(gate)) @ layer["out"]

    assert_blocks_are(SMALL[5], block)


def test_gradients_of_a_recurrence_are_those_of_the_loop():
    random = np.random.default_rng(1)
    weights, inputs = (random.normal(size=shape).astype("f4") for shape in ((3, 6), (5, 2, 6)))

    def step(states, given, product):
        new, gate = jnp.split(given * product + given, 2, axis=-1)
        return jnp.tanh(new + states[1]), jnp.sin(gate + states[0] * states[1])

    def forward(*taken):
        return jax.vjp(step, *taken)

    cell = Cell(2, forward, lambda kept, later: Pulled(*kept(later)))

    def plain(weights, inputs):
        def through(states, given):
            states = step(states, given, states[0] @ weights)
            return states, states[0]

        return jax.lax.scan(through, (jnp.zeros((2, 3)),) * 2, inputs)[1]

    def total(outputs):
        return jnp.sum(jnp.sin(3 * outputs))

    ours, theirs = (
        jax.jit(jax.value_and_grad(lambda *x, of=of: total(of(*x)), argnums=(0, 1)))
        for of in (lambda *x: recurrence(cell, *x), plain)
    )
    pairs = zip(*(jax.tree.leaves(each(weights, inputs)) for each in (ours, theirs)), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_tall_matrix_has_the_derivatives_of_the_plain_product():
    random = np.random.default_rng(3)
    x, tall = (random.normal(size=shape).astype("f4") for shape in ((2, 5, 8), (2, 8, 3)))

    def slope(multiply, x, matrix):
        return jax.grad(lambda *f: jnp.sum(jnp.sin(multiply(*f))), argnums=(0, 1))(x, matrix)

    def both(multiply, x, matrix):
        """In reverse, and forwards through that."""
        return jax.jvp(functools.partial(slope, multiply), (x, matrix), (x, matrix))

    for factors in ((x, tall), (x[0], tall[0])):
        found, expected = (
            jax.tree.leaves(jax.jit(functools.partial(both, of))(*factors))
            for of in (product, jnp.matmul)
        )
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_causal_convolution_is_the_product_with_patches():
    random = np.random.default_rng(4)
    x, window = (random.normal(size=shape).astype("f4") for shape in ((6, 2, 3), (9, 4)))
    distances = (1, 2, 7)

    @jax.jit
    def both(x, window):
        patches = [causal_patches(x, 3, apart) for apart in distances]
        return patches, [causal_convolution(x, window, 3, apart) for apart in distances]

    for patches, found in zip(*both(x, window), strict=True):
        np.testing.assert_allclose(found, np.asarray(patches) @ window, rtol=1e-5, atol=1e-5)


def test_linear_recurrences_agree_with_each_other_and_so_do_their_gradients():
    random = np.random.default_rng(2)
    decays, inputs = random.uniform(0, 1, (9, 4)), random.normal(size=(9, 4))
    found = [
        jax.jit(jax.value_and_grad(lambda *x, of=of: jnp.sum(jnp.sin(of(*x))), argnums=(0, 1)))(
            decays.astype("f4"), inputs.astype("f4")
        )
        for of in (linear_recurrence, associative, sequential)
    ]
    for other in found[1:]:
        for a, b in zip(jax.tree.leaves(found[0]), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_selective_state_space_has_no_maximal_update_rules():
    with pytest.raises(ValueError, match="'mup' has no rules for a state space"):
        SelectiveSSM(width=8, depth=1, parametrization=MuP(base_width=4))


@pytest.mark.parametrize("family", SMALL[:5], ids=lambda family: family.kind)
def test_maximal_update_scales_every_matrix(family):
    wide = type(family)(width=24, depth=2, parametrization=MuP(base_width=6))
    rates = learning_rate_multipliers(wide, CONTEXT, VOCAB)
    matrices = [each for each in rates["blocks"].values() if each != 1]
    assert matrices == [0.25] * len(matrices)
    assert sum(
        parameter.role in ("hidden", "branch_out") for parameter in wide.block_parameters().values()
    ) == len(matrices)
    assert rates["embedding"] == rates["readout"] == 1
