"""Labels of bytes: what they are, how they are predicted, and read-outs that learn alone."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_parameters import random_parameters
from small_library import small_library

from scaling.accounting import account
from scaling.config import RunConfig, resolved
from scaling.data.byte_kinds import FIRST_KIND, KINDS, ByteKinds, kinds_of
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.objectives.labelled import Labelled
from scaling.objectives.objective import SpecialTokens
from scaling.overrides import replace_together
from scaling.pretraining import Pretraining
from scaling.trainers import token_evaluation, token_setup, token_step
from scaling.trainers.optimizers import param_groups
from scaling.training import Adam

RUN = RunConfig(
    model=Transformer(width=8, depth=1, heads=2),
    data=NGram(vocab_size=8, context=16, n_tokens=2**13, n_eval=12, repeat=True),
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01, weight_decay=0.1),
        batch_size=4,
        steps=2,
        trained="readout",
        objective=Labelled(),
    ),
)


def test_kinds_are_those_of_pythons_own_tokens():
    source = "if x_é >= 12:  # größer\n    y = 'ü' + f(None)\n".encode()
    kinds = kinds_of(source)
    assert len(kinds) == len(source)
    for text, kind in {
        b"if": "keyword",
        "x_é".encode(): "name",
        b">=": "operator",
        b"12": "number",
        "# größer".encode(): "comment",
        "'ü'".encode(): "string",
        b"None": "keyword",
        b"    ": "other",
    }.items():
        first = source.index(text)
        assert {KINDS[k] for k in kinds[first : first + len(text)]} == {kind}, text
    assert not kinds_of(b"def f(:\n '''").any()


@pytest.fixture
def library(tmp_path):
    with small_library(tmp_path):
        yield


def test_an_example_ends_with_the_kind_of_its_last_byte(library):
    config = ByteKinds(context=16, n_labels=100, n_eval=20)
    data = config.load(0)
    assert data.n_windows == 100 and data.eval_tokens.shape == (20, 17)
    sequences = data.sequences(0, 0, 100)
    assert (sequences[:, [0, -1]] == 0xFF).all()
    for text, label in zip(sequences[:, 1:-2], sequences[:, -2] - FIRST_KIND, strict=True):
        last = bytes(text.astype(np.uint8))[-1:]
        if last in b"=":
            assert KINDS[label] == "operator"
        if last in b"\n":
            assert KINDS[label] == "other"
    fewer = replace(config, n_labels=50).load(0)
    np.testing.assert_array_equal(fewer.train[:800], data.train[:800])


def test_labels_that_are_too_many_or_alike_are_refused(library):
    with pytest.raises(ValueError, match=r"data.n_labels = 1,000,000 exceeds the .* stretches"):
        ByteKinds(context=16, n_labels=10**6, n_eval=20).load(0)
    with pytest.raises(ValueError, match=r"data.n_labels = 1 labels are all of the kind"):
        ByteKinds(context=16, n_labels=1, n_eval=20).load(0)
    with pytest.raises(ValueError, match=r"byte_kinds.context = 2 holds no byte"):
        ByteKinds(context=2, n_labels=10)


def test_the_label_alone_counts():
    windows = np.arange(34).reshape(2, 17)

    def examples(objective):
        found = jax.jit(lambda windows: objective.examples(windows, None, SpecialTokens(99)))
        return jax.tree.map(np.asarray, found(windows))

    found = examples(Labelled())
    assert found.weights is not None and found.weights.sum() == 2
    assert found.targets[found.weights == 1].tolist() == windows[:, -2].tolist()
    assert found.visible is None
    # Seen from both sides is all before the label, which is the last input.
    found = examples(Labelled(view="full"))
    assert found.visible is not None and found.visible.tolist() == [15, 15]
    assert found.inputs[:, 15].tolist() == windows[:, -2].tolist()


@pytest.mark.medium
def test_only_the_read_out_learns_and_only_it_is_priced():
    plan, model = RUN.train, RUN.model
    assert isinstance(plan, Pretraining)
    groups = param_groups(plan.optimizer, model, 16, 8, plan.trained)
    setup = token_setup.Setup(model.build(16, 8), plan, groups, 4, SpecialTokens(8))
    params = random_parameters(setup.model)
    batch = jax.device_put(RUN.data.load(0).sequences(0, 0, 4))
    rates, count = jnp.array([0.01]), jnp.int32(2)
    arguments = token_step.Arguments(rates, count, jnp.int32(0), jnp.int32(0))
    after = jax.jit(lambda p: token_step._step(setup, token_step.start(setup, p), batch, arguments))
    moved = jax.tree.map(lambda a, b: (a != np.asarray(b)).any(), params, after(params).params)
    # Of labels it is also measured how many are told wrongly.

    @jax.jit
    def wrong(params, batch):
        logits = setup.logits(params, Labelled().examples(batch, None, setup.special))
        measured = token_evaluation.measure(setup, token_step.start(setup, params), batch)
        return measured.eval_wrong, logits[:, -2].argmax(-1) != batch[:, -2]

    found, expected = wrong(params, batch)
    assert found.tolist() == expected.tolist()
    assert moved.pop("readout") and not any(jax.tree.leaves(moved))
    whole = account(replace_together(RUN, {"train.trained": "all"}))
    assert account(RUN).n_params_trainable == 8 * 8 < whole.n_params_trainable
    forward, a_sequence = model.flops_forward(16, 8), 2 * 8 * 8 * 16
    assert account(RUN).flops_train == 8 * (forward + a_sequence) < whole.flops_train
    assert "trained" not in resolved(replace_together(RUN, {"train.trained": "all"}))["train"]


def test_a_model_without_a_read_out_of_its_own_has_nothing_to_train():
    with pytest.raises(
        ValueError, match=r"train.trained = 'readout' needs a model with a read-out"
    ):
        replace_together(RUN, {"model.tied": True})
