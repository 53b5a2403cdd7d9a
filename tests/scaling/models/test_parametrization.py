"""Standard and maximal-update parametrization: rules by role, and activations that follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from random_parameters import random_parameters

from scaling.models import transformer_apply
from scaling.models.parametrization import MuP, Standard, learning_rate_multipliers
from scaling.models.transformer import Transformer

CONTEXT, VOCAB = 8, 13


def rates_by_name(config):
    multipliers = learning_rate_multipliers(config, CONTEXT, VOCAB)
    return {path[-1].key: rate for path, rate in jax.tree.leaves_with_path(multipliers)}


def rules_by_name(config):
    parameters = config.parameters(CONTEXT, VOCAB)
    flat = {**parameters, **parameters["blocks"]}
    return {name: config.rule(entry) for name, entry in flat.items() if name != "blocks"}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_mup_is_standard_at_the_base_shape(depth, tied):
    base = MuP(base_width=24, base_head_size=8, base_depth=depth)
    one, other = (
        Transformer(width=24, depth=depth, head_size=8, tied=tied, parametrization=parametrization)
        for parametrization in (Standard(), base)
    )
    assert rules_by_name(one) == rules_by_name(other)
    assert one.parametrization.attention_scale(8) == pytest.approx(base.attention_scale(8))
    assert set(rates_by_name(other).values()) == {1.0}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_multipliers_are_a_tree_like_the_parameters(positions, tied):
    config = Transformer(
        width=16, depth=2, heads=2, qk_norm=True, positions=positions, tied=tied,
        parametrization=MuP(base_width=8),
    )  # fmt: skip
    params = jax.eval_shape(config.build(CONTEXT, VOCAB).init, jax.random.key(0))
    multipliers = learning_rate_multipliers(config, CONTEXT, VOCAB)
    assert jax.tree.structure(multipliers) == jax.tree.structure(params)


def test_width_scales_as_published():
    """Yang et al. 2022, table 8, at four times the base width."""
    config = Transformer(width=64, depth=2, head_size=16, parametrization=MuP(base_width=16))
    rules = rules_by_name(config)
    assert rules["embedding"] == (1, 1, 1)
    assert rules["qkv"] == rules["ff_in"] == (1 / 8, 1 / 4, 1)
    assert rules["attention_out"] == (1 / 16, 1 / 4, 1)
    assert rules["final_norm"].learning_rate == rules["ff_norm"].learning_rate == 1
    assert rules["readout"] == (1 / 4, 1, 1 / 4)
    assert config.parametrization.attention_scale(16) == 1 / 16
    zero = Transformer(
        width=64, depth=2, heads=4, parametrization=MuP(base_width=16, zero_readout=True)
    )
    assert rules_by_name(zero)["readout"] == (0, 1, 1 / 4)


@pytest.mark.parametrize(("exponent", "rate"), [(1.0, 1.0), (0.5, 0.5)])
def test_depth_scales_as_published(exponent, rate):
    """Dey et al. 2025, table 1, at four times the base depth and the base width."""
    base = MuP(base_width=16, base_depth=2, depth_exponent=exponent)
    config = Transformer(width=16, depth=8, heads=2, parametrization=base)
    rules, rates = rules_by_name(config), rates_by_name(config)
    assert rules["ff_out"].output == rules["attention_out"].output == 4**-exponent
    assert rules["attention_out"].init_sd == 1 / 8  # of the base depth, (2 2 16)^-1/2
    in_blocks = ("qkv", "attention_out", "ff_in", "ff_out", "attention_norm", "ff_norm")
    assert {rates[name] for name in in_blocks} == {rate}
    assert {rates[name] for name in ("embedding", "final_norm", "readout")} == {1.0}


def test_multipliers_of_the_forward_pass_are_applied():
    """They are those of matrices scaled: branches at twice the depth, logits at twice the width."""
    base = MuP(base_width=8, base_head_size=8, base_depth=1)
    config = Transformer(width=16, depth=2, head_size=8, parametrization=base)
    model = config.build(CONTEXT, VOCAB)
    params = random_parameters(model, sd=0.3)
    blocks = params["blocks"]
    halved = {name: blocks[name] / 2 for name in ("attention_out", "ff_out")}
    standard = Transformer(width=16, depth=2, head_size=8).build(CONTEXT, VOCAB)
    same = params | {"blocks": blocks | halved, "readout": params["readout"] / 2}
    tokens = np.arange(CONTEXT)[None]
    ours, theirs = jax.jit(model.apply), jax.jit(standard.apply)
    np.testing.assert_allclose(ours(params, tokens), theirs(same, tokens), atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base_width": 0}, "base_width = 0 is impossible"),
        ({"base_width": 8, "depth_exponent": 0.3}, "at least 0.5 and at most 1"),
        ({"base_width": 8, "base_depth": 0}, "base_depth = 0 is impossible"),
    ],
)
def test_impossible_bases_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MuP(**fields)


def zipf_batches(n, batch, context, vocab):
    """Independent tokens of Zipf's frequencies: something to learn at once, without a corpus."""
    frequencies = 1 / np.arange(1, vocab + 1)
    random = np.random.default_rng(0)
    return random.choice(vocab, (n, batch, context + 1), p=frequencies / frequencies.sum())


def scale_after_training(config, learning_rate, steps=5, seeds=4):
    """RMS of each activation on unseen tokens after some Adam steps, geometric mean over seeds."""
    context, vocab = 16, 128
    model = config.build(context, vocab)
    rates = learning_rate_multipliers(config, context, vocab)
    batches = zipf_batches(steps + 1, 16, context, vocab)
    adam = optax.scale_by_adam()

    def loss(params, tokens):
        logits = model.apply(params, tokens[:, :-1])
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:])
        return jnp.mean(losses)

    def step(state, tokens):
        params, moments = state
        direction, moments = adam.update(jax.grad(loss)(params, tokens), moments)
        params = jax.tree.map(
            lambda p, d, rate: p - learning_rate * rate * d, params, direction, rates
        )
        return (params, moments), None

    @jax.jit
    def of_seed(seed, batches):
        params = model.init(jax.random.key(seed))
        (params, _), _ = jax.lax.scan(step, (params, adam.init(params)), batches[:-1])
        named = config.activations(params, batches[-1, :, :-1])
        return {name: jnp.log(jnp.mean(jnp.square(x))) / 2 for name, x in named.items()}

    runs = [of_seed(seed, batches) for seed in range(seeds)]
    return {name: np.mean([run[name] for run in runs]) for name in runs[0]}


@pytest.mark.slow
@pytest.mark.parametrize("parametrization", [MuP(base_width=32, zero_readout=True), Standard()])
def test_activations_keep_their_scale_over_width_in_mup_alone(parametrization):
    widths = [32, 64, 256]
    configs = [
        Transformer(width=width, depth=2, head_size=16, parametrization=parametrization)
        for width in widths
    ]
    scales = [scale_after_training(config, learning_rate=3e-3) for config in configs]
    found = {
        name: np.polyfit(np.log(widths), [scale[name] for scale in scales], 1)[0]
        for name in scales[0]
    }
    if isinstance(parametrization, MuP):
        assert all(abs(slope) < 0.05 for slope in found.values()), found
    else:
        grows = [name for name, slope in found.items() if slope > 0.1]
        assert {"block_0.attention", "block_1.feed_forward", "logits"} <= set(grows), found


@pytest.mark.slow
@pytest.mark.parametrize("base_depth", [2, None])
def test_activations_keep_their_scale_over_depth_given_a_base_depth(base_depth, monkeypatch):
    # Half as much to compile.
    monkeypatch.setattr(transformer_apply, "UNROLLED_DEPTH", 0)
    depths = [2, 4, 8]
    # An exponent of 1 lets go of what branches add at the start, and so flattens out later.
    parametrization = MuP(
        base_width=32, zero_readout=True, base_depth=base_depth, depth_exponent=0.5
    )
    configs = [
        Transformer(width=32, depth=depth, head_size=16, parametrization=parametrization)
        for depth in depths
    ]
    scales = [scale_after_training(config, learning_rate=3e-3) for config in configs]
    ends = {
        "logits": [scale["logits"] for scale in scales],
        "residual": [s[f"block_{d - 1}.residual"] for s, d in zip(scales, depths, strict=True)],
    }
    found = {name: np.polyfit(np.log(depths), end, 1)[0] for name, end in ends.items()}
    if base_depth is None:
        assert all(slope > 0.1 for slope in found.values()), found
    else:
        assert all(abs(slope) < 0.05 for slope in found.values()), found
