"""The encoder-decoder Transformer: what it computes, counts, costs and sees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from products import flops_by_xla
from random_parameters import random_parameters

from scaling.models.built import built
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.encoder_decoder_apply import sinusoids

SOURCE, TARGET, VOCAB = 5, 4, 11
SMALL = EncoderDecoder(width=8, depth=2, heads=2, source_length=SOURCE)
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (3, SOURCE + TARGET))


@functools.cache
def start():
    """The compiled outputs of the small model, and random parameters."""
    model = SMALL.build(SOURCE + TARGET, VOCAB)
    return jax.jit(model.apply), random_parameters(model, sd=0.3)


def reference(params, tokens):
    """Logits of one pair in float64, a head and a position at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def norm(x, layer):
        x = x - x.mean(-1, keepdims=True)
        return layer["scale"] * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) + layer["bias"]

    def attend(x, seen, layer, causal):
        def heads(of, name):
            return np.einsum("td,dhk->thk", of, layer[name]["kernel"]) + layer[name]["bias"]

        q, k, v = heads(x, "query"), heads(seen, "key"), heads(seen, "value")
        mixed = np.zeros_like(q)
        for t in range(len(x)):
            until = t + 1 if causal else len(seen)
            for h in range(q.shape[1]):
                weights = np.exp(k[:until, h] @ q[t, h] / np.sqrt(q.shape[2]))
                mixed[t, h] = weights @ v[:until, h] / weights.sum()
        return np.einsum("thk,hkd->td", mixed, layer["out"]["kernel"]) + layer["out"]["bias"]

    def feed_forward(x, layer):
        hidden = norm(x, layer["norm"]) @ layer["into"]["kernel"] + layer["into"]["bias"]
        return np.maximum(hidden, 0) @ layer["out"]["kernel"] + layer["out"]["bias"]

    def layers(stack):
        return [jax.tree.map(lambda leaf, i=i: leaf[i], stack) for i in range(SMALL.depth)]

    def embedded(tokens):
        scale, width = np.sqrt(SMALL.width), SMALL.width
        angle = np.arange(len(tokens))[:, None] * 10_000.0 ** (-np.arange(0, width, 2) / width)
        waves = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(len(tokens), width)
        return scale * params["embedding"]["embedding"][tokens] + waves

    x, y = embedded(tokens[:SOURCE]), embedded(tokens[SOURCE:])
    for layer in layers(params["encoder"]):
        normed = norm(x, layer["attention_norm"])
        x = x + attend(normed, normed, layer["attention"], False)
        x = x + feed_forward(x, layer["feed_forward"])
    x = norm(x, params["encoder_norm"])
    for layer in layers(params["decoder"]):
        normed = norm(y, layer["attention_norm"])
        y = y + attend(normed, normed, layer["attention"], True)
        y = y + attend(norm(y, layer["source_norm"]), x, layer["source_attention"], False)
        y = y + feed_forward(y, layer["feed_forward"])
    return norm(y, params["decoder_norm"]) @ params["embedding"]["embedding"].T


def test_logits_are_those_of_a_plain_reference():
    apply, params = start()
    logits = np.asarray(apply(params, TOKENS))
    assert logits.dtype == np.float32
    for tokens, ours in zip(TOKENS, logits, strict=True):
        np.testing.assert_allclose(ours, reference(params, tokens), atol=2e-5)


def test_a_logit_sees_the_whole_source_and_the_target_so_far():
    """Each token in turn becomes another one; a logit changes where it may see that token."""
    apply, params = start()
    before = np.asarray(apply(params, TOKENS))
    for place in range(SOURCE + TARGET):
        changed = TOKENS.copy()
        changed[:, place] = (changed[:, place] + 3) % VOCAB
        moved = np.any(np.asarray(apply(params, changed)) != before, axis=2)
        seen = np.arange(TARGET) >= place - SOURCE
        assert np.array_equal(moved, np.tile(seen, (3, 1))), place


@pytest.mark.medium
@pytest.mark.parametrize(
    "family",
    [SMALL, EncoderDecoder(width=6, depth=1, heads=3, source_length=2)],
    ids=["small", "short source"],
)
def test_parameters_and_outputs_are_those_that_are_counted(family):
    built(family, SOURCE + TARGET, VOCAB)
    groups = dict.fromkeys(("embedding", "attention", "feed_forward", "norm", "readout"), 0)
    params = jax.eval_shape(family.build(SOURCE + TARGET, VOCAB).init, jax.random.key(0))
    for path, leaf in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        of_ff = "feed_forward" in name
        group = "norm" if "norm" in name else "feed_forward" if of_ff else "attention"
        groups["embedding" if name.startswith("embedding") else group] += leaf.size
    assert family.count_params(SOURCE + TARGET, VOCAB) == groups


def test_parameters_of_the_base_model_are_those_published():
    """Vaswani et al. 2017, table 3: 65 million, with 37,000 tokens."""
    base = EncoderDecoder(width=512, source_length=1)
    assert sum(base.count_params(2, 37_000).values()) == pytest.approx(65e6, rel=0.03)


@pytest.mark.medium
@pytest.mark.parametrize(("source", "target"), [(64, 64), (96, 32)])
def test_flops_are_those_of_xla_unrolled(source, target):
    family = EncoderDecoder(width=256, depth=1, heads=2, source_length=source)
    inputs, vocab, batch = source + target, 300, 2
    model = family.build(inputs, vocab)
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((batch, inputs), jnp.int32)

    def loss(params, tokens):
        return jnp.sum(model.apply(params, tokens) ** 2)

    forward, backward = family.flops_forward(inputs, vocab), family.flops_backward(inputs, vocab)
    for function, flops in ((model.apply, forward), (jax.grad(loss), forward + backward)):
        counted = flops_by_xla(function, params, tokens)
        assert batch * flops == pytest.approx(counted, rel=0.02)


@pytest.mark.medium
def test_logits_and_embeddings_begin_with_variance_one():
    family = EncoderDecoder(width=256, depth=1, heads=4, source_length=SOURCE)
    model = family.build(SOURCE + TARGET, 500)
    params = jax.jit(model.init)(jax.random.key(0))
    embedding = np.asarray(params["embedding"]["embedding"])
    assert np.std(16 * embedding) == pytest.approx(1, rel=0.02)
    logits = jax.jit(model.apply)(params, TOKENS)
    assert np.std(np.asarray(logits)) == pytest.approx(1, rel=0.15)


def test_positions_are_sines_and_cosines_whose_products_depend_on_distance():
    waves = sinusoids(40, 6)[0]
    assert np.array_equal(waves[0], [0, 1, 0, 1, 0, 1])
    products = waves @ waves.T
    for distance in (1, 7):
        np.testing.assert_allclose(np.diag(products, distance), products[0, distance], rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 12}, "heads = 8 does not divide width = 12: give a width that is a multiple"),
        ({"width": 0}, "width = 0"),
        ({"width": 8, "source_length": 0}, "source_length = 0"),
    ],
)
def test_impossible_sizes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        EncoderDecoder(**{"source_length": 5} | fields)


def test_a_source_that_leaves_no_target_is_refused():
    with pytest.raises(ValueError, match="source_length = 5 leaves no target in inputs of 5"):
        SMALL.check(5)
