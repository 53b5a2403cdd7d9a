"""Pre-training as a configuration: durations, identity, what it counts, what it refuses."""

import dataclasses
import gzip
import json
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from scaling.accounting import account
from scaling.config import RunConfig, load_config, resolved, run_id
from scaling.data.gaussian import GaussianTeacher
from scaling.data.ngram import NGram
from scaling.data.text import Text
from scaling.models.linear import Linear
from scaling.models.parametrization import MuP
from scaling.models.transformer import Transformer
from scaling.overrides import replace_at
from scaling.pretraining import Muon, Pretraining, ScheduleFree, learning_rates
from scaling.schedules import Constant, Cosine, StableDecay
from scaling.solving import Ridgeless
from scaling.training import SGD, Adam, Gradient

ADAM = Adam(learning_rate=3e-3)
RUN = RunConfig(
    model=Transformer(width=16, depth=2, heads=2),
    data=NGram(vocab_size=10, context=16, n_tokens=3200, n_eval=20),
    train=Pretraining(optimizer=ADAM, steps=30, batch_size=4),
)
CONTEXT, BATCH, N_TRAIN = 16, 4, 200


def plan_of(config: RunConfig) -> Pretraining:
    assert isinstance(config.train, Pretraining)
    return config.train


def trained(**changes: object) -> RunConfig:
    train = dataclasses.replace(RUN.train, **{"steps": None, **changes})
    return dataclasses.replace(RUN, train=train)


FLOPS_A_STEP = BATCH * (RUN.model.flops_forward(16, 10) + RUN.model.flops_backward(16, 10))


@pytest.mark.parametrize(
    "duration",
    [
        {"tokens": 30 * BATCH * CONTEXT},
        {"tokens": 29 * BATCH * CONTEXT + 1},  # rounded up
        {"epochs": 30 * BATCH / N_TRAIN},
        {"epochs": 30.9 * BATCH / N_TRAIN},  # rounded down
        {"flops": 30 * FLOPS_A_STEP},
        {"flops": 29.01 * FLOPS_A_STEP},
    ],
)
def test_a_duration_in_any_unit_is_the_same_run_in_steps(duration):
    config = trained(**duration)
    assert account(config).steps == 30
    assert run_id(config) == run_id(RUN)


def test_one_epoch_sees_every_sequence_at_most_once():
    for batch_size in (1, 7, 16, 199, 200):
        counts = account(trained(epochs=1, batch_size=batch_size))
        assert N_TRAIN - batch_size < counts.n_examples_seen <= N_TRAIN
        assert counts.n_tokens_seen == counts.n_tokens_unique
    for epochs, steps in [(0.3, 3), (0.1 * 3, 3), (0.7, 7), (1.0, 10)]:
        assert account(trained(epochs=epochs, batch_size=20)).steps == steps
    assert account(trained(epochs=1e-6)).steps == 1


def test_repetition_is_asked_for_and_counted():
    config = replace_at(RUN, "data.repeat", True)
    config = replace_at(config, "train.epochs", 2.5)
    counts = account(config)
    assert counts.epochs == 2.5
    assert counts.n_tokens_seen == 2.5 * 3200
    assert counts.n_tokens_unique == 3200


def test_accounts_are_those_of_the_pytree_and_of_paper_and_pencil():
    """A model with two query heads for one key head, tied or not, counted by hand."""
    model = Transformer(width=8, depth=3, heads=2, kv_heads=1, ff_width=20, positions="learned")
    config = dataclasses.replace(RUN, model=model)
    params = jax.eval_shape(model.build(16, 10).init, jax.random.key(0))
    counts = account(config)
    sizes = jax.tree.map(lambda leaf: leaf.size, params)
    assert counts.n_params_total == sum(jax.tree.leaves(sizes)) == counts.n_params_trainable
    attention = 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8
    matrices = 3 * (attention + 3 * 8 * 20)
    norms = 3 * (8 + 8) + 8
    assert counts.n_params_embedding == 10 * 8 + 16 * 8
    assert counts.n_params_non_embedding == matrices + norms
    assert counts.n_params_matmul == matrices + 8 * 10
    assert counts.n_params_total == matrices + norms + 10 * 8 + 16 * 8 + 8 * 10
    tokens = 30 * BATCH * CONTEXT
    assert counts.n_tokens_seen == tokens and counts.n_examples_seen == 30 * BATCH
    assert counts.epochs == 30 * BATCH / N_TRAIN
    assert counts.flops_train_6n_non_embedding_d == 6 * (matrices + norms) * tokens
    assert counts.flops_train_6n_matmul_d == 6 * (matrices + 80) * tokens
    assert counts.flops_train_6n_total_d == 6 * counts.n_params_total * tokens
    # Scores and mixing: each token with 16 others, over 2 heads of size 4, twice, in 3 layers.
    scores = 3 * 2 * 16 * 8
    assert counts.flops_train == 6 * (matrices + 80 + scores) * tokens
    assert account(config, steps=10).flops_train == counts.flops_train / 3

    tied = account(replace_at(config, "model.tied", True))
    assert tied.n_params_total == counts.n_params_total - 80
    assert tied.n_params_matmul == counts.n_params_matmul
    assert tied.flops_train == counts.flops_train


def test_run_id_does_not_depend_on_where_data_lie(tmp_path):
    documents = [f"document {i} says {i * i} {'and so on ' * (i % 7)}" for i in range(400)]
    lines = "\n".join(json.dumps({"text": text}) for text in documents)
    ids = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"{name}.jsonl"
        path.write_text(lines)
        data = Text(path=str(path), context=16, n_eval=8)
        ids.append(run_id(dataclasses.replace(RUN, data=data)))
    zipped = tmp_path / "there.jsonl.gz"
    zipped.write_bytes(gzip.compress(lines.encode()))
    data = Text(path=str(zipped), context=16, n_eval=8)
    ids.append(run_id(dataclasses.replace(RUN, data=data)))
    other = tmp_path / "other.jsonl"
    other.write_text(lines.replace("says", "said"))
    data = Text(path=str(other), context=16, n_eval=8)
    assert len(set(ids)) == 1
    assert run_id(dataclasses.replace(RUN, data=data)) != ids[0]


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(learning_rate=0.1, momentum=0.9),
        Adam(learning_rate=1e-3, weight_decay=0.1),
        Muon(learning_rate=0.02, adam=ADAM),
        ScheduleFree(learning_rate=3e-3),
    ],
    ids=lambda optimizer: optimizer.kind,
)
def test_every_optimizer_reads_back_from_its_canonical_form(optimizer):
    config = trained(steps=30, optimizer=optimizer, schedule=Constant())
    again = load_config(resolved(config))
    assert plan_of(again).optimizer == optimizer
    assert run_id(again) == run_id(config) != run_id(RUN)
    faster = replace_at(config, "train.optimizer.learning_rate", 7.0)
    assert learning_rates(plan_of(faster).optimizer)[0] == 7


def test_more_evaluations_than_steps_are_as_many_as_steps():
    few = replace_at(replace_at(RUN, "train.steps", 3), "train.evaluations", 10)
    assert plan_of(few).resolve(few.model, few.data).evaluations == 3


def muon(**changes: float) -> Muon:
    return Muon(**{"learning_rate": 0.02, "adam": ADAM, **changes})


MUP = Transformer(width=16, depth=2, heads=2, parametrization=MuP(base_width=8))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Pretraining(optimizer=ADAM),
            "give exactly one of steps, tokens, epochs, flops; given: none",
        ),
        (
            lambda: Pretraining(optimizer=ADAM, steps=3, flops=1e9),
            "exactly one of steps, tokens, epochs, flops; given: steps, flops",
        ),
        (
            lambda: Pretraining(optimizer=ADAM, steps=3, batch_size=6, microbatches=4),
            "microbatches = 4 does not divide batch_size = 6: give a divisor",
        ),
        (
            lambda: trained(steps=0),
            "pretraining.steps = 0 is impossible: give a value at least 1",
        ),
        (
            lambda: trained(tokens=3201),
            "the run takes 3,264 tokens and data has 3,200 to train on: .* set data.repeat = true",
        ),
        (
            lambda: trained(epochs=1.03),
            "the run takes 3,264 tokens and data has 3,200 to train on",
        ),
        (
            lambda: trained(steps=3, warmup_tokens=170),
            "train.warmup_tokens = 170 are not fewer than the schedule's 192 tokens: warm up",
        ),
        (
            lambda: trained(steps=3, clip_norm=0),
            "pretraining.clip_norm = 0.0 is impossible: give a value greater than 0",
        ),
        (
            lambda: trained(steps=3, optimizer=ScheduleFree(learning_rate=1e-3)),
            "schedule.kind = 'cosine' decays the .*, which optimizer.kind = 'schedule_free' keeps",
        ),
        (lambda: ScheduleFree(learning_rate=1e-3, b1=0), "schedule_free.b1 = 0.0 is impossible"),
        (lambda: muon(momentum=1), "muon.momentum = 1.0 is impossible: give a value"),
        (
            lambda: replace_at(
                trained(steps=3, optimizer=muon()), "train.optimizer.adam.learning_rat", 1
            ),
            "no field 'learning_rat' in adam; did you mean 'learning_rate'?",
        ),
        (
            lambda: dataclasses.replace(trained(steps=3, optimizer=muon()), model=MUP),
            "parametrization.kind = 'mup' scales Adam's learning rates, not those of "
            "train.optimizer.kind = 'muon': use 'adam'",
        ),
        (
            lambda: dataclasses.replace(
                trained(steps=3, optimizer=SGD(learning_rate=0.1)), model=MUP
            ),
            "not those of train.optimizer.kind = 'sgd'",
        ),
        (
            lambda: dataclasses.replace(
                RUN, data=GaussianTeacher(n_train=9, dimension=4), model=Linear(n_features=4)
            ),
            "trains a model that takes tokens, such as model.kind = 'transformer', on data.kind = "
            "'text' or 'ngram', not 'linear' on 'gaussian'",
        ),
        (
            lambda: dataclasses.replace(RUN, train=Gradient(optimizer=ADAM, steps=3)),
            "takes no tokens, .*: use train.kind = 'pretraining'",
        ),
        (
            lambda: dataclasses.replace(RUN, train=Ridgeless()),
            "solves for a linear read-out, which model.kind = 'transformer' is not",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_run_too_long_to_count_is_refused():
    endless = replace_at(RUN, "data.repeat", True)
    with pytest.raises(ValueError, match="2,147,483,648 steps are above 2,147,483,647: give a sh"):
        replace_at(endless, "train.steps", 2**31)
    assert account(replace_at(endless, "train.steps", 2**31 - 1)).steps == 2**31 - 1
    with pytest.raises(ValueError, match="horizon = 2,147,483,648 steps are above 2,147,483,647: "):
        replace_at(RUN, "train.schedule", Cosine(horizon=2**31))
    replace_at(RUN, "train.schedule", Cosine(horizon=2**31 - 1))


def test_schedules_are_chosen_by_kind():
    config = trained(steps=30, schedule=StableDecay(decay=0.5))
    plain = resolved(config)
    assert plain["train"]["schedule"] == {"kind": "stable_decay", "decay": 0.5}
    plain["train"]["schedule"]["kind"] = "stable_deca"
    with pytest.raises(ValueError, match="did you mean 'stable_decay'"):
        load_config(plain)
    late = replace_at(config, "train.schedule.decay", 0.1)
    assert plan_of(late).schedule == StableDecay(decay=0.1)


def test_activation_scales_are_asked_of_families_that_show_them():
    measuring = plan_of(trained(steps=30, activation_scales=True))
    measuring.check(RUN.model, RUN.data)
    closed: Any = SimpleNamespace(
        kind="mine", takes_tokens=True, takes_segments=False, visibilities=("causal",)
    )
    with pytest.raises(ValueError, match="'mine' does not offer: define `activations` as"):
        measuring.check(closed, RUN.data)
