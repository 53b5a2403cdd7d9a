"""Mixtures of experts: what they compute, count and see, in training and in evaluation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from products import flops_of_products

from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.models import mixture_of_experts_apply as computation
from scaling.models.built import built
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.parametrization import MuP, learning_rate_multipliers
from scaling.models.transformer import Transformer
from scaling.objectives.causal import CAUSAL
from scaling.objectives.objective import SpecialTokens
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining
from scaling.trainers import token_setup, token_step
from scaling.training import Adam

CONTEXT, VOCAB = 8, 11
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, VOCAB, (3, CONTEXT)))
SHAPE = {"width": 6, "depth": 1, "heads": 3}
FINE = MixtureOfExperts(**SHAPE, ff_width=8, expansion=2, granularity=2, capacity_factor=1.0)
SWITCH = MixtureOfExperts(**SHAPE, expansion=4, activation="gelu", capacity_factor=1.0)
HASH = MixtureOfExperts(**SHAPE, expansion=4, router="hash", capacity_factor=1.0)
EACH = {"fine": FINE, "hash": HASH}

every_router = pytest.mark.parametrize("name", EACH)


@functools.cache
def start(family):
    """The compiled functions of a small model, and random parameters."""
    model = built(family, CONTEXT, VOCAB)
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(random.normal(0.1, 0.5, leaf.shape)), shapes)
    return jax.jit(model.apply), jax.jit(model.penalised), params


def with_capacity(family, factor):
    return replace_at(family, "capacity_factor", factor)


@every_router
def test_flops_are_those_of_the_products_that_training_computes(name):
    """Without room to spare: 24 tokens fill the places evenly. `built` compares parameters."""
    family = EACH[name]
    model = family.build(CONTEXT, VOCAB)
    params = jax.eval_shape(model.init, jax.random.key(0))

    def loss(params):
        return jnp.sum(model.penalised(params, TOKENS)[0] ** 2)

    forward = flops_of_products(jax.make_jaxpr(loss)(params).jaxpr)
    both = flops_of_products(jax.make_jaxpr(jax.grad(loss))(params).jaxpr)
    assert forward == len(TOKENS) * family.flops_forward(CONTEXT, VOCAB)
    assert both - forward == len(TOKENS) * family.flops_backward(CONTEXT, VOCAB)


def test_active_parameters_are_those_of_the_dense_model_and_the_router():
    dense = Transformer(**SHAPE, ff_width=8)
    of_dense, of_mixture = dense.count_params(CONTEXT, VOCAB), FINE.count_params(CONTEXT, VOCAB)
    router = 6 * 4
    assert of_mixture == of_dense | {"feed_forward": 2 * of_dense["feed_forward"], "router": router}
    assert FINE.count_matmul(CONTEXT, VOCAB) == dense.count_matmul(CONTEXT, VOCAB) + router
    assert FINE.flops_forward(CONTEXT, VOCAB) == (
        dense.flops_forward(CONTEXT, VOCAB) + 2 * CONTEXT * router
    )
    # Two whole experts a token: the feed-forward layer is paid twice.
    twice = MixtureOfExperts(**SHAPE, ff_width=8, expansion=4, top_k=2)
    more = twice.count_matmul(CONTEXT, VOCAB) - dense.count_matmul(CONTEXT, VOCAB) - router
    assert more == of_dense["feed_forward"]


def test_a_mixture_of_one_expert_is_the_dense_model():
    """With the same initial weights, and in training too: an expert has room for all."""
    dense = Transformer(**SHAPE).build(CONTEXT, VOCAB)
    alone = MixtureOfExperts(**SHAPE, expansion=1).build(CONTEXT, VOCAB)

    @jax.jit
    def logits(key):
        params = alone.init(key)
        training = alone.penalised(params, TOKENS)
        return dense.apply(dense.init(key), TOKENS), alone.apply(params, TOKENS), *training

    expected, found, training, penalty = logits(jax.random.key(3))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(training, expected, rtol=1e-5, atol=1e-6)
    assert penalty == pytest.approx(0.01)


@every_router
def test_nothing_is_dropped_where_capacity_is_large(name):
    family, params = EACH[name], start(EACH[name])[2]["blocks"]
    x = jnp.asarray(np.random.default_rng(3).normal(size=(24, 6)), jnp.float32)
    weights = {key: leaf[0] for key, leaf in params.items()}

    def added(capacity, in_training):
        experts = family._experts()._replace(capacity_factor=capacity)
        return computation._routed(family, experts)(TOKENS, in_training)(x, weights).added

    dropless, ample, tight = jax.jit(
        lambda: (
            added(1.0, False),
            added(family.n_experts / family.n_active, True),
            added(1.0, True),
        )
    )()
    np.testing.assert_allclose(ample, dropless, rtol=1e-5, atol=1e-5)
    passed = ~np.isclose(tight, dropless, atol=1e-4).all(axis=1)
    assert passed.any() and not passed.all()
    # A token that no expert has a place for is left as it is.
    assert name == "fine" or (tight[passed] == 0).all()


@every_router
@pytest.mark.parametrize("in_training", [False, True])
def test_no_logit_depends_on_a_later_token(name, in_training):
    """Nor, where tokens compete for places, on sequences later in the batch."""
    apply, penalised, params = start(EACH[name])

    def logits(tokens):
        return np.asarray(penalised(params, tokens)[0] if in_training else apply(params, tokens))

    for new in range(3):  # other tokens choose other experts
        changed = TOKENS.at[1, 3].set((TOKENS[1, 3] + 1 + new) % VOCAB)
        same = logits(TOKENS) == logits(changed)
        assert same[0].all() and same[1, :3].all() and not same[1, 3].all()
        assert in_training or same[2].all()


def test_places_go_to_tokens_in_their_order():
    chosen = np.random.default_rng(1).permuted(np.tile(np.arange(4), (20, 1)), axis=1)[:, :2]
    taken, expected = [0] * 4, []
    for expert in chosen.reshape(-1):
        expected.append(expert * 7 + taken[expert] if taken[expert] < 7 else 28)
        taken[expert] += 1
    found = jax.jit(functools.partial(computation.places, 4, 7))(chosen)
    assert found.reshape(-1).tolist() == expected and 28 in expected


def layer(family, x, weights, chosen, gates):
    """What a layer adds to rows, a token and an expert at a time."""
    out = np.zeros_like(x)
    for t, row in enumerate(x):
        for expert, gate in zip(chosen[t], gates[t], strict=True):
            hidden = row @ weights["ff_in"][expert]
            value, other = np.split(hidden, 2)
            out[t] += gate * (value / (1 + np.exp(-value)) * other) @ weights["ff_out"][expert]
    return out


def test_a_layer_is_a_sum_over_the_experts_of_a_token():
    """Fine-grained experts are weighted by their share of the chances of those chosen."""
    random = np.random.default_rng(2)
    params = start(FINE)[2]["blocks"]
    weights = {name: params[name][0] for name in ("ff_in", "ff_out", "router")}
    x = random.normal(size=(24, 6)).astype("f4")
    experts = FINE._experts()
    found = jax.jit(computation._routed(FINE, experts)(TOKENS, False))(x, weights).added
    exponential = np.exp(x @ weights["router"])
    chances = exponential / exponential.sum(axis=1, keepdims=True)
    chosen = np.argsort(-chances, axis=1)[:, :2]
    best = np.take_along_axis(chances, chosen, axis=1)
    gates = best / best.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, layer(FINE, x, weights, chosen, gates), atol=1e-4)
    # The share of all choices times the mean chance over all tokens, not over those chosen alone.
    choose = jax.jit(functools.partial(computation.choice, experts))
    imbalance = choose(weights["router"], x, TOKENS.reshape(-1)).imbalance
    shares = np.bincount(chosen.reshape(-1), minlength=4) / chosen.size
    assert imbalance == pytest.approx(4 * shares @ chances.mean(axis=0), rel=1e-5)


def test_the_balance_loss_is_1_where_all_is_even_and_the_number_of_experts_where_one_is_chosen():
    choose = jax.jit(functools.partial(computation.choice, SWITCH._experts()))
    rows, number, third = np.eye(4, dtype="f4"), np.arange(4), np.arange(4) == 2
    even = choose(30 * rows, rows, number)
    one = choose(np.tile(np.float32(30) * third, (4, 1)), rows, number)
    assert even.imbalance == pytest.approx(1) and one.imbalance == pytest.approx(4)
    assert sorted(even.experts[:, 0].tolist()) == [0, 1, 2, 3]
    # One expert of many is multiplied by its chance over an even one.
    np.testing.assert_allclose(even.gates, 4, rtol=1e-6)


def test_a_router_counts_in_float32():
    """Logits that differ by less than bfloat16 resolves choose by the difference."""
    router = np.array([[1.0, 1.0 + 2**-12]], "f4")
    choose = jax.jit(functools.partial(computation.choice, SWITCH._experts()._replace(n=2)))
    chosen = choose(router, jnp.ones((3, 1), jnp.bfloat16), np.arange(3))
    assert (chosen.experts == 1).all() and chosen.gates.dtype == jnp.bfloat16
    narrow = replace_at(SWITCH, "compute_dtype", "bfloat16").build(CONTEXT, VOCAB)
    jaxpr = jax.make_jaxpr(narrow.apply)(jax.eval_shape(narrow.init, jax.random.key(0)), TOKENS)
    assert "f32[24,4]" in str(jaxpr)


GOLDEN = {
    "fine": [2.746971, 2.686465],
    "hash": [2.612573, 2.564129],
}


@every_router
def test_golden_loss_after_one_step(name):
    """Frozen. Update the numbers only for a deliberate change of the numerics."""
    model, params = EACH[name].build(CONTEXT, VOCAB), start(EACH[name])[2]

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def both(params):
        logits, penalty = model.penalised(params, TOKENS[:, :-1])
        chances = jax.nn.log_softmax(logits)
        loss = -jnp.mean(jnp.take_along_axis(chances, TOKENS[:, 1:, None], axis=-1))
        return loss + penalty, loss

    (_, loss), gradient = both(params)
    stepped = jax.tree.map(lambda leaf, slope: leaf - 0.1 * slope, params, gradient)
    found = [float(loss), float(both(stepped)[0][1])]
    assert found == pytest.approx(GOLDEN[name], rel=1e-6)


RUN = RunConfig(
    model=SWITCH,
    data=NGram(vocab_size=8, context=CONTEXT, n_tokens=2**10, n_eval=4, repeat=True),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=3, steps=2),
)


def test_training_adds_the_balance_loss_to_its_objective_and_not_to_its_loss():
    model, params = FINE.build(CONTEXT, VOCAB), start(FINE)[2]
    setup = token_setup.Setup(model, RUN.train, None, 1, SpecialTokens(VOCAB))
    assert RUN.train.objective == CAUSAL
    batch = jnp.concatenate([TOKENS, TOKENS[:, :1]], axis=1)
    both = jax.jit(functools.partial(token_step._objective, setup))
    objective, loss = both(params, batch, token_step.Keys())
    penalty = start(FINE)[1](params, TOKENS)[1]
    assert float(objective - loss) == pytest.approx(float(penalty), rel=1e-3)
    assert penalty > 0.001


def test_more_experts_than_tokens_in_a_share_of_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"4 experts and a share of a batch 3 tokens .*give fewer"):
        SWITCH.check_share(3)
    with pytest.raises(ValueError, match=r"32 experts and a share of a batch 24 tokens"):
        replace_at(RUN, "model.expansion", 32)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"expansion": 2, "top_k": 3}, r"top_k = 3 is more than the 2 experts: give fewer"),
        ({"expansion": 2, "granularity": 3}, r"granularity = 3 does not divide ff_width = 16"),
        ({"expansion": 2, "top_k": 2, "router": "hash"}, r"gives every token one expert, not 2"),
        (
            {"expansion": 2, "parametrization": MuP(base_width=6, zero_readout=True)},
            r"would start the router at zero",
        ),
    ],
)
def test_bad_fields_are_refused_with_a_remedy(fields, says):
    with pytest.raises(ValueError, match=says):
        MixtureOfExperts(**SHAPE, **fields)


def test_maximal_update_scales_experts_as_layers_and_the_router_as_a_readout():
    shape = {"width": 24, "depth": 2, "heads": 2, "ff_width": 32, "expansion": 4}
    wide = MixtureOfExperts(**shape, parametrization=MuP(base_width=6))
    rates = learning_rate_multipliers(wide, CONTEXT, VOCAB)["blocks"]
    assert rates["ff_in"] == rates["ff_out"] == 0.25 and rates["router"] == 1
    assert wide._experts().router_multiplier == 0.25
    tree = wide.parameters(CONTEXT, VOCAB)["blocks"]
    assert tree["ff_out"].fan_in == 32 and wide.rule(tree["router"]).init_sd == 6**-0.5
