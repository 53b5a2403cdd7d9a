"""Mixtures of experts: what they compute, count and see, in training and in evaluation."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from products import flops_of_products
from random_parameters import random_parameters

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
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (3, CONTEXT))
SHAPE = {"width": 6, "depth": 1, "heads": 3}
FINE = MixtureOfExperts(**SHAPE, ff_width=8, expansion=2, granularity=2, capacity_factor=1.0)
SWITCH = MixtureOfExperts(**SHAPE, expansion=4, activation="gelu", capacity_factor=1.0)
HASH = MixtureOfExperts(**SHAPE, expansion=4, router="hash", capacity_factor=1.0)
EACH = {"fine": FINE, "hash": HASH}

every_router = pytest.mark.parametrize("name", EACH)


class Evaluated(NamedTuple):
    """What a model says of all tokens but the last; tokens compete for places in training alone."""

    loss: jax.Array
    penalty: jax.Array
    in_training: jax.Array
    logits: jax.Array


@functools.cache
def start(family):
    """A small model and the gradient of its objective, one program, and its parameters."""
    model = built(family, CONTEXT, VOCAB)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def evaluated(params, tokens):
        seen = tokens[:, :-1]
        in_training, penalty = model.penalised(params, seen)
        chances = jax.nn.log_softmax(in_training)
        loss = -jnp.mean(jnp.take_along_axis(chances, tokens[:, 1:, None], axis=-1))
        return loss + penalty, Evaluated(loss, penalty, in_training, model.apply(params, seen))

    return evaluated, random_parameters(model)


@every_router
def test_flops_are_those_of_the_products_that_training_computes(name):
    """Without room to spare: 24 tokens fill the places evenly. `built` compares parameters."""
    family = EACH[name]
    model = family.build(CONTEXT, VOCAB)
    params = jax.eval_shape(model.init, jax.random.key(0))

    def loss(params, tokens):
        return jnp.sum(model.penalised(params, tokens)[0] ** 2)

    forward, both = (
        flops_of_products(jax.make_jaxpr(function)(params, TOKENS).jaxpr)
        for function in (loss, jax.grad(loss))
    )
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
    """It starts from the same scales, and in training too an expert has room for all."""
    families = Transformer(**SHAPE), MixtureOfExperts(**SHAPE, expansion=1)
    of_dense, of_mixture = (
        {name: each.rule(one) for name, one in each.parameters(CONTEXT, VOCAB)["blocks"].items()}
        for each in families
    )
    assert of_mixture.items() > of_dense.items()
    dense, alone = (each.build(CONTEXT, VOCAB) for each in families)
    params, like = random_parameters(alone), jax.eval_shape(dense.init, jax.random.key(0))
    blocks = {
        name: params["blocks"][name].reshape(leaf.shape) for name, leaf in like["blocks"].items()
    }

    @jax.jit
    def logits(params, blocks, tokens):
        expected = dense.apply(params | {"blocks": blocks}, tokens)
        return expected, alone.apply(params, tokens), *alone.penalised(params, tokens)

    expected, found, training, penalty = logits(params, blocks, TOKENS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(training, expected, rtol=1e-5, atol=1e-6)
    assert penalty == pytest.approx(0.01)


@every_router
def test_nothing_is_dropped_where_capacity_is_large(name):
    family, params = EACH[name], start(EACH[name])[1]["blocks"]
    x = np.random.default_rng(3).normal(size=(24, 6)).astype("f4")
    weights = {key: leaf[0] for key, leaf in params.items()}
    ways = [(1.0, False), (family.n_experts / family.n_active, True), (1.0, True)]

    @jax.jit
    def added(x, weights, tokens):
        each = []
        for capacity, in_training in ways:
            experts = family._experts()._replace(capacity_factor=capacity)
            through = computation._routed(family, experts)(tokens, in_training)
            each.append(through(x, weights).added)
        return each

    dropless, ample, tight = map(np.asarray, added(x, weights, TOKENS))
    np.testing.assert_allclose(ample, dropless, rtol=1e-5, atol=1e-5)
    passed = ~np.isclose(tight, dropless, atol=1e-4).all(axis=1)
    assert passed.any() and not passed.all()
    # A token that no expert has a place for is left as it is.
    assert name == "fine" or (tight[passed] == 0).all()


@every_router
@pytest.mark.parametrize("in_training", [False, True])
def test_no_logit_depends_on_a_later_token(name, in_training):
    """Nor, where tokens compete for places, on sequences later in the batch."""
    evaluated, params = start(EACH[name])

    def logits(tokens):
        (_, found), _ = evaluated(params, tokens)
        return np.asarray(found.in_training if in_training else found.logits)

    for new in range(3):  # other tokens choose other experts
        changed = TOKENS.copy()
        changed[1, 3] = (TOKENS[1, 3] + 1 + new) % VOCAB
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
    params = start(FINE)[1]["blocks"]
    weights = {name: params[name][0] for name in ("ff_in", "ff_out", "router")}
    x = random.normal(size=(24, 6)).astype("f4")
    experts = FINE._experts()

    @jax.jit
    def both(x, weights, tokens):
        through = computation._routed(FINE, experts)(tokens, False)
        choice = computation.choice(experts, weights["router"], x, tokens.reshape(-1))
        return through(x, weights).added, choice.imbalance

    found, imbalance = both(x, weights, TOKENS)
    exponential = np.exp(x @ weights["router"])
    chances = exponential / exponential.sum(axis=1, keepdims=True)
    chosen = np.argsort(-chances, axis=1)[:, :2]
    best = np.take_along_axis(chances, chosen, axis=1)
    gates = best / best.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, layer(FINE, x, weights, chosen, gates), atol=1e-4)
    # The share of all choices times the mean chance over all tokens, not over those chosen alone.
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
    chosen = choose(router, np.ones((3, 1), "bfloat16"), np.arange(3))
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
    evaluated, params = start(EACH[name])
    (_, before), gradient = evaluated(params, TOKENS)
    stepped = jax.tree.map(lambda leaf, slope: leaf - 0.1 * np.asarray(slope), params, gradient)
    (_, after), _ = evaluated(stepped, TOKENS)
    found = [float(before.loss), float(after.loss)]
    assert found == pytest.approx(GOLDEN[name], rel=1e-6)


RUN = RunConfig(
    model=SWITCH,
    data=NGram(vocab_size=8, context=CONTEXT, n_tokens=2**10, n_eval=4, repeat=True),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=3, steps=2),
)


def test_training_adds_the_balance_loss_to_its_objective_and_not_to_its_loss():
    evaluated, params = start(FINE)
    model = FINE.build(CONTEXT, VOCAB)
    setup = token_setup.Setup(model, RUN.train, None, 1, SpecialTokens(VOCAB))
    assert RUN.train.objective == CAUSAL
    both = jax.jit(functools.partial(token_step._objective, setup))
    objective, loss = both(params, TOKENS, token_step.Keys())
    penalty = evaluated(params, TOKENS)[0][1].penalty
    assert float(objective) - float(loss) == pytest.approx(float(penalty), rel=1e-3)
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
