"""Runs by other objectives than causal prediction: golden losses, common evaluations, refusals."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from random_parameters import random_parameters

from scaling.accounting import account
from scaling.config import RunConfig, load_config, resolved, run_id, shape_of
from scaling.data.ngram import NGram
from scaling.data.text import Text
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.transformer import Transformer
from scaling.objectives.causal import Causal
from scaling.objectives.masked import Masked
from scaling.objectives.objective import Objective, SpecialTokens
from scaling.objectives.prefix import Prefix
from scaling.objectives.span import Span
from scaling.overrides import replace_at, replace_together
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.trainers import token_setup, token_step
from scaling.training import Adam

MODEL = Transformer(width=8, depth=1, heads=2)
DATA = NGram(vocab_size=8, context=16, n_tokens=2**13, n_eval=12, repeat=True)
COMMON = (Causal(), Prefix(share=0.5), Masked(rate=0.25), Span(rate=0.25, mean=2))
RUN = RunConfig(
    model=MODEL,
    data=DATA,
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01),
        batch_size=4,
        steps=6,
        evaluations=2,
        objective=Masked(rate=0.25),
        evaluate_on=COMMON,
    ),
)
SPECIAL = SpecialTokens(8)


def with_objective(objective: Any) -> RunConfig:
    return replace_at(RUN, "train.objective", objective)


@pytest.fixture(scope="module")
def losses() -> dict[str, float]:
    """Training loss of each objective on the same windows, at the same weights."""
    model = MODEL.build(16, RUN.n_outputs)
    params = jax.jit(model.init)(jax.random.key(1))
    params = jax.tree.map(lambda leaf: 3 * np.asarray(leaf), params)

    def plan(objective: Objective) -> Pretraining:
        train = with_objective(objective).train
        assert isinstance(train, Pretraining)
        return train

    def loss(params: Any, windows: Any, objective: Objective) -> tuple[jax.Array, jax.Array]:
        key = jax.random.key(2)
        keys = token_step.Keys(objective=key)
        setup = token_setup.Setup(model, plan(objective), None, 4, SPECIAL)
        ours = token_step._objective(setup, params, windows, keys)[0]
        inputs, targets, weights, visible = objective.examples(
            windows, jax.random.clone(key), SPECIAL
        )
        more = {} if visible is None else {"visible": visible}
        logits = model.apply(params, inputs, **more)
        each = optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets)
        weights = jnp.ones_like(each) if weights is None else weights
        return ours, (weights * each).sum() / weights.sum()

    found = jax.jit(lambda *given: {each.kind: loss(*given, each) for each in COMMON})(
        params, DATA.load(0).sequences(0, 0, 4)
    )
    for ours, plain in found.values():
        assert float(ours) == pytest.approx(float(plain), rel=1e-6)
    return {kind: float(ours) for kind, (ours, _) in found.items()}


def test_golden_losses_of_objectives(losses):
    golden = {"causal": 7.4528828, "prefix": 5.9965191, "masked": 8.0046844, "span": 13.6872816}
    assert losses == pytest.approx(golden, rel=1e-5)


@pytest.mark.medium
def test_a_run_is_evaluated_on_its_own_objective_and_by_name_on_others():
    record, curve = run(RUN)
    assert record.status == "done"
    by_name = curve[-1].eval_by
    assert by_name == record.eval_by and by_name is not None
    assert set(by_name) == {"causal", "prefix", "masked", "span"}
    # The own objective is among them: on the same examples, the same loss.
    assert by_name["masked"] == pytest.approx(record.eval_loss_nats, rel=1e-6)
    assert record.eval_bits_per_byte is None
    assert record.n_tokens_seen == 6 * 4 * 16
    assert record.n_tokens_predicted == 6 * 4 * 4
    assert record.n_outputs == 8 + Span(rate=0.25, mean=2).n_special(16) == 12


def test_the_objective_is_part_of_the_identity_and_the_default_is_not():
    plain = replace_together(RUN, {"train.objective": Causal(), "train.evaluate_on": ()})
    assert "objective" not in resolved(plain)["train"]
    assert "evaluate_on" not in resolved(plain)["train"]
    ids = {run_id(with_objective(each)) for each in (*COMMON, Masked(rate=0.5))}
    assert len(ids | {run_id(plain)}) == 6
    for config in (RUN, plain):
        assert load_config(resolved(config)) == dataclasses.replace(
            config, train=config.train.resolve(MODEL, DATA), model=MODEL.resolve()
        )
    assert len({shape_of(with_objective(each)) for each in COMMON}) == 4


@pytest.mark.parametrize(
    ("objective", "predicted"), [(Causal(), 16), (Prefix(), 8.5), (Masked(rate=0.25), 4)]
)
def test_tokens_are_counted_three_ways(objective, predicted):
    counts = account(replace_at(with_objective(objective), "train.steps", 400))
    assert counts.n_tokens_seen == 400 * 4 * 16
    assert counts.n_tokens_predicted == 400 * 4 * predicted
    assert counts.n_tokens_unique == 2**13
    # Compute does not depend on the objective.
    assert counts.flops_train == account(replace_at(RUN, "train.steps", 400)).flops_train


class OneWay(Transformer):
    """A family that sees nothing to come."""

    kind = "one_way"
    visibilities = ("causal",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model": OneWay(width=8, depth=1, heads=2)},
            "train.objective: 'masked' needs a model whose positions see the whole sequence",
        ),
        ({"train.evaluate_on": (Masked(), Masked(rate=0.5))}, "two objectives of one kind"),
        ({"train.loss_by_position": True}, "train.loss_by_position = True is for causal"),
        ({"train.activation_scales": True}, "train.activation_scales = True is for causal"),
        ({"data": Text(document_mask=True)}, "data.document_mask = True is for causal"),
        ({"train.objective": Span(rate=0.98)}, "has no example of 16 tokens"),
    ],
)
def test_what_does_not_fit_an_objective_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        replace_together(RUN, changes)


SPAN = Span(rate=0.25, mean=2)
PAIRED = replace_together(
    RUN,
    {
        "model": EncoderDecoder(width=8, depth=1, heads=2, source_length=SPAN.source(16)),
        "train.objective": SPAN,
        "train.evaluate_on": (),
    },
)


@pytest.mark.medium
def test_an_encoder_decoder_predicts_the_answer_from_the_text_with_its_holes():
    """The decoder begins with the last sentinel, which ends every text, and predicts the answer."""
    windows = jax.device_put(DATA.load(0).sequences(0, 0, 4))
    model, source = PAIRED.model.build(16, PAIRED.n_outputs), SPAN.source(16)
    params = random_parameters(model)
    setup = token_setup.Setup(model, PAIRED.train, None, 4, SPECIAL, source=source)

    @jax.jit
    def both(params, key):
        ours = token_step._objective(setup, params, windows, token_step.Keys(objective=key))[0]
        made = SPAN.examples(windows, jax.random.clone(key), SPECIAL)
        logits, expected = model.apply(params, made.inputs), made.targets[:, source:]
        each = optax.losses.softmax_cross_entropy_with_integer_labels(logits, expected)
        return ours, made._replace(targets=None), each

    found = jax.tree.map(np.asarray, both(params, jax.random.key(2)))
    ours, (inputs, _, weights, visible), each = found
    assert (visible == source + 1).all()
    assert (inputs[:, source] == SPECIAL.first_sentinel + SPAN.sizes(16).spans - 1).all()
    assert each.shape[1] == 16 - source and weights[:, :source].sum() == 0
    counted = weights[:, source:]
    assert float(ours) == pytest.approx(float((counted * each).sum() / counted.sum()), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train.objective": Causal()}, "'causal' has no source .*: use an objective of kind 's"),
        ({"train.evaluate_on": (Prefix(),)}, "train.evaluate_on: 'prefix' has no source"),
        ({"model.source_length": 5}, r"= 5 differs from the \d+ tokens .*: give model.source_l"),
    ],
)
def test_what_an_encoder_cannot_read_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        replace_together(PAIRED, changes)


@pytest.mark.slow
def test_an_encoder_decoder_trains_on_spans():
    longer = {"train.steps": 60, "train.optimizer.learning_rate": 0.03}
    record, curve = run(replace_together(PAIRED, longer))
    assert record.n_tokens_predicted == 60 * 4 * SPAN.n_predicted(16)
    assert curve[-1].train_loss < curve[0].train_loss < np.log(20)


@pytest.mark.slow
def test_microbatches_and_spans_train_and_a_run_repeats_itself():
    config = replace_together(
        RUN, {"train.objective": SPAN, "train.microbatches": 2, "train.evaluate_on": ()}
    )
    one, again = run(config), run(config)
    assert [p.train_loss for p in one[1]] == [p.train_loss for p in again[1]]
    longer = replace_together(config, {"train.steps": 200, "train.optimizer.learning_rate": 0.03})
    first, last = run(longer)[1]
    assert last.train_loss < first.train_loss < np.log(12)
