"""The decoder-only Transformer: what it computes, and what it starts from."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_parameters import random_parameters

from scaling.keys import key_for
from scaling.model import Model
from scaling.models import transformer_apply
from scaling.models.initial import drawn
from scaling.models.layers import (
    apply_rotary,
    causal_attention,
    dropout,
    rotary_angles,
    widened_product,
)
from scaling.models.transformer import Transformer

CONTEXT, VOCAB = 6, 11
SMALL = Transformer(width=16, depth=2, heads=4, kv_heads=2)
PLAIN = Transformer(
    width=16, depth=1, heads=2, positions="learned", norm="layer", activation="gelu", tied=True
)
SHALLOW = Transformer(width=12, depth=1, heads=3, head_size=8, ff_width=20, qk_norm=True)
FAMILIES = [SMALL, PLAIN, SHALLOW]
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (3, CONTEXT))


@functools.cache
def start(config):
    """The model, compiled, and random parameters."""
    model = config.build(CONTEXT, VOCAB)
    return Model(model.init, jax.jit(model.apply)), random_parameters(model, sd=0.3)


def reference(config, params, tokens):
    """Logits of one sequence in float64, a head and a position at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    heads, kv_heads, d, _ = config.sizes

    def norm(x, gain, centred):
        x = x - x.mean(-1, keepdims=True) * centred
        return gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)

    def turn(x, position):
        angle = position * 10_000.0 ** (-np.arange(d // 2) / (d // 2))
        z = (x[: d // 2] + 1j * x[d // 2 :]) * np.exp(1j * angle)
        return np.concatenate([z.real, z.imag])

    centred = config.norm == "layer"
    x = params["embedding"][np.asarray(tokens)]
    if config.positions == "learned":
        x = x + params["positions"][: len(x)]
    for i in range(config.depth):
        layer = {name: leaf[i] for name, leaf in params["blocks"].items()}
        qkv = norm(x, layer["attention_norm"], centred) @ layer["qkv"]
        qkv = qkv.reshape(len(x), heads + 2 * kv_heads, d)
        mixed = np.zeros((len(x), heads, d))
        for head in range(heads):
            of_kv = heads + head // (heads // kv_heads)
            q, k, v = qkv[:, head], qkv[:, of_kv], qkv[:, of_kv + kv_heads]
            if config.qk_norm:
                q, k = norm(q, layer["query_norm"], False), norm(k, layer["key_norm"], False)
            if config.positions == "rotary":
                q, k = (np.array([turn(row, t) for t, row in enumerate(y)]) for y in (q, k))
            for t in range(len(x)):
                weights = np.exp(k[: t + 1] @ q[t] * config.parametrization.attention_scale(d))
                mixed[t, head] = weights @ v[: t + 1] / weights.sum()
        x = x + mixed.reshape(len(x), -1) @ layer["attention_out"]
        hidden = norm(x, layer["ff_norm"], centred) @ layer["ff_in"]
        if config.activation == "swiglu":
            gate, hidden = np.split(hidden, 2, axis=-1)
            hidden = hidden * gate / (1 + np.exp(-gate))
        else:
            inner = np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)
            hidden = hidden * (1 + np.tanh(inner)) / 2
        x = x + hidden @ layer["ff_out"]
    x = norm(x, params["final_norm"], centred)
    if config.tied:
        return x @ params["embedding"].T / np.sqrt(config.width)
    return x @ params["readout"]


@pytest.mark.parametrize("config", FAMILIES, ids=["rotary", "learned", "qk_norm"])
def test_logits_are_those_of_a_plain_reference(config):
    """Grouped queries and a tied read-out are among them."""
    model, params = start(config)
    assert ("readout" in params) != config.tied
    logits = np.asarray(model.apply(params, TOKENS))
    assert logits.dtype == np.float32
    for sequence, ours in zip(TOKENS, logits, strict=True):
        np.testing.assert_allclose(ours, reference(config, params, sequence), atol=3e-6)


@pytest.mark.parametrize("config", FAMILIES, ids=["rotary", "learned", "qk_norm"])
def test_logits_depend_on_every_earlier_token_and_on_no_later_one(config):
    model, params = start(config)
    batch = np.tile(TOKENS[:1], (len(TOKENS), 1))
    before = np.asarray(model.apply(params, batch))
    reached = []
    # As many changed places in a batch as another test has sequences: the same compiled program.
    for places in np.split(np.arange(CONTEXT), CONTEXT // len(batch)):
        changed = batch.copy()
        changed[np.arange(len(batch)), places] += 1
        reached.append((np.asarray(model.apply(params, changed % VOCAB)) != before).any(axis=-1))
    assert np.array_equal(np.concatenate(reached).T, np.tri(CONTEXT, dtype=bool))


@pytest.mark.slow
def test_derivatives_in_forward_mode_are_those_of_reverse_mode():
    model, params = start(SMALL)
    along = jax.tree.map(lambda leaf: 0.1 * np.cos(leaf), params)

    def total(params):
        return jnp.sum(jnp.sin(model.apply(params, TOKENS)))

    _, forward = jax.jvp(total, (params,), (along,))
    reverse = jax.tree.map(lambda a, b: jnp.vdot(a, b), jax.grad(total)(params), along)
    np.testing.assert_allclose(forward, sum(jax.tree.leaves(reverse)), rtol=1e-4)


def test_packed_documents_are_predicted_as_if_each_stood_alone():
    """Rotary positions: only distances within a document are seen."""
    model, params = start(SMALL)
    segments = np.array([[0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0]])
    packed = np.asarray(model.apply(params, TOKENS, segments=segments))
    for tokens, of_row, numbers in zip(TOKENS, packed, segments, strict=True):
        alone = [
            reference(SMALL, params, tokens[numbers == number]) for number in np.unique(numbers)
        ]
        np.testing.assert_allclose(of_row, np.concatenate(alone), atol=3e-6)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("bfloat16", 0.01)])
def test_gradients_of_the_read_out_are_those_of_a_product_and_as_narrow(dtype, error):
    random = np.random.default_rng(0)
    x, matrix, cotangent = (
        random.normal(size=shape).astype(dtype) for shape in ((40, 30), (30, 50), (40, 50))
    )

    def pulled_back(x, matrix):
        logits, back = jax.vjp(widened_product, x, matrix)
        assert logits.dtype == jnp.float32
        return back(cotangent.astype(np.float32))

    exact = [np.asarray(given, np.float64) for given in (x, matrix, cotangent)]
    expected = exact[2] @ exact[1].T, exact[0].T @ exact[2]
    for ours, theirs in zip(jax.jit(pulled_back)(x, matrix), expected, strict=True):
        assert ours.dtype == dtype
        off = np.linalg.norm(np.asarray(ours, np.float64) - theirs)
        assert off < error * np.linalg.norm(theirs)
    products = [
        equation
        for equation in jax.make_jaxpr(pulled_back)(x, matrix).eqns
        if equation.primitive.name == "dot_general"
    ]
    assert len(products) >= 2
    assert all(factor.aval.dtype == dtype for one in products for factor in one.invars)


def test_dropout_keeps_the_mean_and_drops_the_share():
    x = np.full((400, 500), 2.0, np.float32)
    out = np.asarray(jax.jit(dropout, static_argnums=1)(x, 0.3, jax.random.key(0)))
    assert set(np.unique(out)) == {0.0, np.float32(2 / 0.7)}
    # 2e5 draws: a standard error of 0.001
    assert np.mean(out == 0) == pytest.approx(0.3, abs=0.004)
    assert out.mean() == pytest.approx(2.0, rel=0.006)


def test_nothing_is_dropped_without_a_key():
    model, params = start(dataclasses.replace(SHALLOW, dropout=0.5))
    plain, _ = start(SHALLOW)
    np.testing.assert_array_equal(model.apply(params, TOKENS), plain.apply(params, TOKENS))
    one, again, other = (
        model.apply(params, TOKENS, dropout_key=jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_shorter_sequences_give_the_beginning_of_longer_ones():
    model, params = start(SHALLOW)
    begun, all_of_it = (np.asarray(model.apply(params, TOKENS[:, :n])) for n in (3, CONTEXT))
    np.testing.assert_allclose(begun, all_of_it[:, :3], atol=1e-6)


turned = jax.jit(functools.partial(apply_rotary, angles=rotary_angles(101, 8)))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_rotary_products_depend_on_distance_alone(i, j, shift, seed):
    q, k = np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)
    q, k = (np.tile(x, (1, 101, 1, 1)) for x in (q, k))
    q, k = (np.asarray(turned(x))[0, :, 0] for x in (q, k))

    def product(at_q, at_k):
        return float(q[at_q] @ k[at_k])

    assert product(i + shift, j + shift) == pytest.approx(product(i, j), abs=2e-5)
    assert product(i, i) == pytest.approx(product(0, 0), abs=2e-5)


def test_attention_is_that_of_jax():
    random = np.random.default_rng(0)
    heads = [random.normal(size=(2, 5, n, 8)).astype(np.float32) for n in (6, 3, 3)]
    ours = jax.jit(functools.partial(causal_attention, scale=0.3))
    theirs = jax.jit(functools.partial(jax.nn.dot_product_attention, scale=0.3, is_causal=True))
    np.testing.assert_allclose(ours(*heads), theirs(*heads), atol=1e-6)


def test_attention_stands_large_logits():
    q = 1e4 * np.random.default_rng(0).normal(size=(1, 5, 1, 8)).astype(np.float32)
    both = jax.jit(jax.value_and_grad(lambda q: jnp.sum(causal_attention(q, q, q, 1.0))))
    value, gradient = both(q)
    assert np.isfinite(value) and np.isfinite(gradient).all()


LOOPED = Transformer(width=16, depth=2, heads=2, positions="learned", activation="gelu")


@functools.cache
def gradient_of(config, unrolled_depth=transformer_apply.UNROLLED_DEPTH):
    params = start(LOOPED)[1]
    model = config.build(CONTEXT, VOCAB)

    def loss(params, tokens):
        return jnp.mean(model.apply(params, tokens) ** 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer_apply, "UNROLLED_DEPTH", unrolled_depth)
        return jax.jit(jax.value_and_grad(loss))(params, TOKENS)


def assert_close(one, other, atol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), one, other)


@pytest.mark.parametrize(("remat", "unrolled_depth"), [("full", 0), ("dots", 16)])
def test_loops_and_rematerialisation_change_no_number(remat, unrolled_depth):
    config = dataclasses.replace(LOOPED, remat=remat)
    assert_close(gradient_of(config, unrolled_depth), gradient_of(LOOPED))


def test_bfloat16_computes_the_same_roughly_from_float32_parameters():
    model, params = start(dataclasses.replace(SHALLOW, compute_dtype="bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    logits, exact = (np.asarray(each.apply(params, TOKENS)) for each in (model, start(SHALLOW)[0]))
    assert logits.dtype == np.float32
    error = np.linalg.norm(logits - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 0.02  # a mantissa of 8 bits


@pytest.mark.parametrize("unrolled_depth", [0, 16])
def test_activations_add_up_to_what_the_model_computes(unrolled_depth, monkeypatch):
    monkeypatch.setattr(transformer_apply, "UNROLLED_DEPTH", unrolled_depth)
    model, params = start(SMALL)
    named = jax.jit(lambda *x: SMALL.activations(*x))(params, TOKENS)
    named = {name: np.asarray(activation) for name, activation in named.items()}
    parts = [f"block_{i}.{part}" for i in range(2) for part in ("attention", "feed_forward")]
    assert set(named) == {"embedding", *parts, "block_0.residual", "block_1.residual", "logits"}
    np.testing.assert_allclose(
        named["embedding"] + sum(named[part] for part in parts),
        named["block_1.residual"],
        atol=1e-6,
    )
    np.testing.assert_allclose(named["logits"], model.apply(params, TOKENS), atol=1e-6)


def test_more_tokens_than_positions_are_refused():
    model, params = start(PLAIN)
    longer = np.zeros((1, CONTEXT + 1), int)
    with pytest.raises(ValueError, match="7 tokens are more than the 6 learned positions"):
        model.apply(params, longer)


def initial(config, vocab, shape):
    """Initial parameters as if all had one shape, which is compiled once."""
    parameters = config.parameters(CONTEXT, vocab)
    of_one_shape = jax.tree.map(lambda each: dataclasses.replace(each, shape=shape), parameters)
    params = drawn(of_one_shape, config.rule, key_for(3, "init"))
    return {path[-1].key: np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(params)}


def test_initial_scales_are_those_of_the_rule():
    found = initial(Transformer(width=96, depth=8, heads=4), 200, (200, 100))
    expected = {"embedding": 1, "readout": 96**-0.5}
    expected |= {"qkv": 96**-0.5, "ff_in": 96**-0.5}
    expected |= {"attention_out": (2 * 8 * 96) ** -0.5, "ff_out": (2 * 8 * 256) ** -0.5}
    for name, sd in expected.items():
        assert found[name].std() == pytest.approx(sd, rel=0.02), name
    assert all((found[name] == 1).all() for name in found.keys() - expected.keys())


def test_a_new_parameter_disturbs_no_old_one():
    more = dataclasses.replace(SMALL, positions="learned", qk_norm=True)
    one, other = (initial(config, VOCAB, (3,)) for config in (SMALL, more))
    assert other.keys() > one.keys()
    for name, leaf in one.items():
        np.testing.assert_array_equal(leaf, other[name])
