"""The Transformer's configuration: what it counts, what it refuses, how it is written down."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from products import flops_by_xla, flops_of_products

from scaling.fields import from_dict, to_dict
from scaling.models.transformer import Transformer


@st.composite
def configs(draw):
    kv_heads, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return Transformer(
        width=draw(st.integers(1, 24)),
        depth=draw(st.integers(1, 3)),
        heads=kv_heads * groups,
        kv_heads=kv_heads,
        head_size=2 * draw(st.integers(1, 4)),
        ff_width=draw(st.none() | st.integers(1, 40)),
        positions=draw(st.sampled_from(["rotary", "learned"])),
        norm=draw(st.sampled_from(["rms", "layer"])),
        activation=draw(st.sampled_from(["swiglu", "gelu"])),
        tied=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )


@pytest.mark.medium
@settings(deadline=None, max_examples=60)
@given(configs(), st.integers(1, 9), st.integers(1, 30))
def test_parameter_counts_are_those_of_the_pytree(config, context, vocab):
    params = jax.eval_shape(config.build(context, vocab).init, jax.random.key(0))
    groups = dict.fromkeys(("embedding", "attention", "feed_forward", "norm", "readout"), 0)
    for path, leaf in jax.tree.leaves_with_path(params):
        name = path[-1].key
        if name in ("embedding", "positions"):
            groups["embedding"] += leaf.size
        elif name in ("qkv", "attention_out"):
            groups["attention"] += leaf.size
        elif name in ("ff_in", "ff_out"):
            groups["feed_forward"] += leaf.size
        else:
            groups["readout" if name == "readout" else "norm"] += leaf.size
    assert config.count_params(context, vocab) == groups
    assert config.count_trainable(context, vocab) == sum(groups.values())


@pytest.mark.parametrize(
    ("config", "context", "vocab", "published"),
    [
        # GPT-2 small has 124,439,808; its biases are 12 (2304 + 768 + 3072 + 768 + 2 768) + 768.
        (
            Transformer(
                width=768, depth=12, heads=12, positions="learned", activation="gelu", tied=True
            ),
            1024,
            50257,
            124_439_808 - 102_144,
        ),
        (Transformer(width=4096, depth=32, heads=32, ff_width=11008), 2048, 32000, 6_738_415_616),
        (
            Transformer(width=4096, depth=32, heads=32, kv_heads=8, ff_width=14336),
            8192,
            128256,
            8_030_261_248,
        ),
    ],
    ids=["GPT-2", "LLaMA-7B", "Llama-3-8B"],
)
def test_published_sizes(config, context, vocab, published):
    assert config.count_trainable(context, vocab) == published


@settings(deadline=None, max_examples=15)
@given(configs(), st.integers(1, 5), st.integers(1, 9), st.integers(1, 30))
@pytest.mark.slow
def test_flops_are_those_of_the_products_it_computes(config, batch, context, vocab):
    model = config.build(context, vocab)
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((batch, context), jnp.int32)

    def loss(params, tokens):
        return jnp.sum(model.apply(params, tokens) ** 2)

    forward = flops_of_products(jax.make_jaxpr(model.apply)(params, tokens).jaxpr)
    both = flops_of_products(jax.make_jaxpr(jax.grad(loss))(params, tokens).jaxpr)
    assert forward == batch * config.flops_forward(context, vocab)
    assert both - forward == batch * config.flops_backward(context, vocab)


@pytest.mark.parametrize(
    "config",
    [
        Transformer(width=256, depth=2, heads=2, activation="gelu"),
        Transformer(width=192, depth=3, heads=4, kv_heads=2, head_size=64, qk_norm=True),
        Transformer(width=256, depth=1, heads=2, ff_width=320, positions="learned", tied=True),
    ],
    ids=["GELU", "grouped queries", "tied"],
)
def test_flops_are_those_of_xla_unrolled(config):
    context, vocab, batch = 128, 512, 2
    model = config.build(context, vocab)
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((batch, context), jnp.int32)

    def gradient(params, tokens):
        return jax.grad(lambda p: jnp.sum(model.apply(p, tokens) ** 2))(params)

    forward, backward = (
        batch * f(context, vocab) for f in (config.flops_forward, config.flops_backward)
    )
    # XLA counts element-wise work too, two per cent of so small a model.
    assert flops_by_xla(model.apply, params, tokens) == pytest.approx(forward, rel=0.03)
    assert flops_by_xla(gradient, params, tokens) == pytest.approx(forward + backward, rel=0.03)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give heads, head_size or both"),
        ({"heads": 3}, "heads = 3 does not divide width = 16: give a divisor"),
        ({"head_size": 5}, "head_size = 5 does not divide width = 16: give a divisor"),
        ({"heads": 4, "kv_heads": 3}, "kv_heads = 3 does not divide heads = 4"),
        ({"heads": 4, "kv_heads": 8}, "kv_heads = 8 does not divide heads = 4"),
        ({"heads": 16}, "head_size = 1 must be even for rotary positions: give an even"),
        ({"heads": 4, "positions": "rotory"}, "did you mean 'rotary'"),
        ({"heads": 0}, "heads = 0 is impossible"),
        (
            {
                "heads": 4,
                "tied": True,
                "parametrization": {"kind": "mup", "base_width": 8, "zero_readout": True},
            },
            "would start a tied embedding at zero",
        ),
    ],
)
def test_impossible_shapes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Transformer(**{"width": 16, "depth": 2} | fields)


@settings(deadline=None, max_examples=20)
@given(configs())
def test_a_configuration_survives_writing_down_and_filling_in(config):
    assert from_dict(Transformer, to_dict(config)) == config
    resolved = config.resolve()
    assert resolved.resolve() == resolved
    assert resolved.sizes == config.sizes
    assert None not in resolved.sizes


@pytest.mark.parametrize("width", [16, 96, 100])
def test_open_sizes_follow_the_width(width):
    gated = Transformer(width=width, depth=1, heads=2)
    plain = Transformer(width=width, depth=1, head_size=width // 2, activation="gelu")
    assert plain.sizes == (2, 2, width // 2, 4 * width)
    assert gated.sizes.ff_width % 8 == 0
    assert 0 <= gated.sizes.ff_width - 8 * width / 3 < 8
