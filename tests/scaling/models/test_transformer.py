"""The decoder-only Transformer: what it computes, and what it starts from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.keys import key_for
from scaling.model import Model
from scaling.models import transformer_apply
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
    width=16, depth=2, heads=2, positions="learned", norm="layer", activation="gelu", tied=True
)
FAMILIES = [
    SMALL,
    PLAIN,
    Transformer(width=12, depth=1, heads=3, head_size=8, ff_width=20, qk_norm=True),
]
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, VOCAB, (3, CONTEXT)))


@functools.cache
def start(config):
    """The model, compiled, and random parameters."""
    model = config.build(CONTEXT, VOCAB)
    init, apply = model.init, model.apply
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: random.normal(0.1, 0.3, leaf.shape).astype(np.float32),
        jax.eval_shape(init, jax.random.key(0)),
    )
    return Model(init, jax.jit(apply)), params


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
    model, params = start(config)
    logits = model.apply(params, TOKENS)
    assert logits.dtype == jnp.float32
    for sequence, ours in zip(TOKENS, logits, strict=True):
        np.testing.assert_allclose(ours, reference(config, params, sequence), atol=3e-6)


@pytest.mark.parametrize("config", FAMILIES, ids=["rotary", "learned", "qk_norm"])
def test_no_gradient_reaches_back_from_later_tokens(config):
    model, params = start(config)

    # Every token another one, so that a row of the embedding is a position; read out apart from
    # it, where it is tied, so that only the input side is seen.
    def logits(rows):
        if not config.tied:
            return model.apply(params | {"embedding": rows}, jnp.arange(CONTEXT)[None])[0]
        moved = {"positions": params["positions"] + rows[:CONTEXT]}
        return model.apply(params | moved, jnp.arange(CONTEXT)[None])[0]

    rows = jnp.zeros((VOCAB, config.width)) if config.tied else params["embedding"]
    jacobian = jax.jit(jax.jacrev(logits))(rows)[:, :, :CONTEXT]
    reached = np.asarray(jnp.any(jacobian != 0, axis=(1, 3)))
    assert np.array_equal(reached, np.tri(CONTEXT, dtype=bool))


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
    segments = jnp.array([[0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0]])
    packed = model.apply(params, TOKENS, segments=segments)
    for tokens, of_row, numbers in zip(TOKENS, packed, np.asarray(segments), strict=True):
        alone = [
            reference(SMALL, params, tokens[numbers == number]) for number in np.unique(numbers)
        ]
        np.testing.assert_allclose(of_row, np.concatenate(alone), atol=3e-6)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("bfloat16", 0.01)])
def test_gradients_of_the_read_out_are_those_of_a_product_and_as_narrow(dtype, error):
    random = np.random.default_rng(0)
    x, matrix, cotangent = (
        jnp.asarray(random.normal(size=shape), dtype) for shape in ((40, 30), (30, 50), (40, 50))
    )

    def pulled_back(x, matrix):
        logits, back = jax.vjp(widened_product, x, matrix)
        assert logits.dtype == jnp.float32
        return back(cotangent.astype(jnp.float32))

    exact = [np.asarray(given, np.float64) for given in (x, matrix, cotangent)]
    expected = exact[2] @ exact[1].T, exact[0].T @ exact[2]
    for ours, theirs in zip(pulled_back(x, matrix), expected, strict=True):
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
    x = jnp.full((400, 500), 2.0)
    out = np.asarray(dropout(x, 0.3, jax.random.key(0)))
    assert set(np.unique(out)) == {0.0, np.float32(2 / 0.7)}
    # 2e5 draws: a standard error of 0.001
    assert np.mean(out == 0) == pytest.approx(0.3, abs=0.004)
    assert out.mean() == pytest.approx(2.0, rel=0.006)


def test_nothing_is_dropped_without_a_key():
    config = Transformer(width=16, depth=2, heads=2, dropout=0.5)
    model, params = start(config)
    plain, _ = start(Transformer(width=16, depth=2, heads=2))
    np.testing.assert_array_equal(model.apply(params, TOKENS), plain.apply(params, TOKENS))
    one, again, other = (
        model.apply(params, TOKENS, dropout_key=jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_shorter_sequences_give_the_beginning_of_longer_ones():
    model, params = start(SMALL)
    begun = model.apply(params, TOKENS[:, :3])
    np.testing.assert_allclose(begun, model.apply(params, TOKENS)[:, :3], atol=1e-6)


def test_grouped_queries_are_full_heads_with_keys_and_values_repeated():
    model, params = start(SMALL)
    full, _ = start(Transformer(width=16, depth=2, heads=4))
    qkv = params["blocks"]["qkv"].reshape(2, 16, 8, 4)
    q, k, v = qkv[:, :, :4], qkv[:, :, 4:6], qkv[:, :, 6:]
    wide = jnp.concatenate([q, *(jnp.repeat(y, 2, axis=2) for y in (k, v))], axis=2)
    blocks = params["blocks"] | {"qkv": wide.reshape(2, 16, -1)}
    np.testing.assert_array_equal(
        model.apply(params, TOKENS), full.apply(params | {"blocks": blocks}, TOKENS)
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_rotary_products_depend_on_distance_alone(i, j, shift, seed):
    q, k = np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)
    angles = rotary_angles(101, 8)
    q, k = (jnp.asarray(np.tile(x, (1, 101, 1, 1))) for x in (q, k))
    q, k = (np.asarray(apply_rotary(x, angles))[0, :, 0] for x in (q, k))

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


@functools.cache
def gradient_of(config, unrolled_depth=transformer_apply.UNROLLED_DEPTH):
    params = start(SMALL)[1]
    model = config.build(CONTEXT, VOCAB)

    def loss(params):
        return jnp.mean(model.apply(params, TOKENS) ** 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer_apply, "UNROLLED_DEPTH", unrolled_depth)
        return jax.jit(jax.value_and_grad(loss))(params)


def assert_close(one, other, atol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), one, other)


@pytest.mark.parametrize(("remat", "unrolled_depth"), [("none", 0), ("full", 0), ("dots", 16)])
def test_loops_and_rematerialisation_change_no_number(remat, unrolled_depth):
    config = Transformer(width=16, depth=2, heads=4, kv_heads=2, remat=remat)
    assert_close(gradient_of(config, unrolled_depth), gradient_of(SMALL))


def test_bfloat16_computes_the_same_roughly_from_float32_parameters():
    half = Transformer(width=16, depth=2, heads=4, kv_heads=2, compute_dtype="bfloat16")
    model, params = start(half)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    logits, exact = model.apply(params, TOKENS), start(SMALL)[0].apply(params, TOKENS)
    assert logits.dtype == jnp.float32
    error = jnp.linalg.norm(logits - exact) / jnp.linalg.norm(exact)
    assert 1e-4 < error < 0.02  # a mantissa of 8 bits


def test_a_tied_read_out_is_the_embedding():
    model, params = start(PLAIN)
    assert "readout" not in params
    own = Transformer(
        width=16, depth=2, heads=2, positions="learned", norm="layer", activation="gelu"
    )
    untied = params | {"readout": params["embedding"].T / 4}
    np.testing.assert_allclose(
        model.apply(params, TOKENS), start(own)[0].apply(untied, TOKENS), atol=1e-6
    )


@pytest.mark.parametrize("unrolled_depth", [0, 16])
def test_activations_add_up_to_what_the_model_computes(unrolled_depth, monkeypatch):
    monkeypatch.setattr(transformer_apply, "UNROLLED_DEPTH", unrolled_depth)
    model, params = start(SMALL)
    named = jax.jit(lambda *x: SMALL.activations(*x))(params, TOKENS)
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
    longer = jnp.zeros((1, CONTEXT + 1), jnp.int32)
    with pytest.raises(ValueError, match="7 tokens are more than the 6 learned positions"):
        model.apply(params, longer)


def test_initial_scales_are_those_of_the_rule():
    config = Transformer(width=96, depth=8, heads=4)
    params = jax.jit(config.build(CONTEXT, 200).init)(jax.random.key(0))
    expected = {"embedding": 1, "readout": 96**-0.5}
    expected |= {"qkv": 96**-0.5, "ff_in": 96**-0.5}
    expected |= {"attention_out": (2 * 8 * 96) ** -0.5, "ff_out": (2 * 8 * 256) ** -0.5}
    flat = {path[-1].key: leaf for path, leaf in jax.tree.leaves_with_path(params)}
    for name, sd in expected.items():
        assert float(jnp.std(flat[name])) == pytest.approx(sd, rel=0.02), name
    assert all(np.all(flat[name] == 1) for name in flat.keys() - expected.keys())


def test_a_new_parameter_disturbs_no_old_one():
    key = key_for(3, "init")
    one = SMALL.build(CONTEXT, VOCAB).init(key)
    config = Transformer(width=16, depth=2, heads=4, kv_heads=2, positions="learned", qk_norm=True)
    other = config.build(CONTEXT, VOCAB).init(key)
    for path, leaf in jax.tree.leaves_with_path(one):
        found = other
        for part in path:
            found = found[part.key]
        assert np.array_equal(leaf, found)
