"""Translations are trained as other data in memory: token by token, smoothed, warmed up."""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.data.translation import PlantedTranslation
from scaling.fields import Checked, Count
from scaling.keys import key_for
from scaling.model import Model
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.family import Family
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.models.transformer import Transformer
from scaling.run import run
from scaling.solving import Ridgeless
from scaling.trainers.objectives import smoothed_cross_entropy
from scaling.training import Adam, Gradient


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bag(Checked, Family):
    """Logits from the sum of the source and from the word before: a family of one's own."""

    kind: ClassVar[str] = "bag"
    source_length: Count

    def build(self, n_inputs, n_outputs):
        """The model."""

        def init(key):
            return {"rows": jax.random.normal(key, (2, n_outputs, n_outputs))}

        def apply(params, tokens):
            source, before = jnp.split(tokens, [self.source_length], axis=1)
            of_source = jnp.mean(params["rows"][0][source], axis=1, keepdims=True)
            return of_source + params["rows"][1][before]

        return Model(init, apply)

    def count_params(self, n_inputs, n_outputs):
        """Parameters by group."""
        return {"embedding": 2 * n_outputs**2}

    def flops_forward(self, n_inputs, n_outputs):
        """None are products."""
        return 5 * n_inputs


RUN = RunConfig(
    model=Bag(source_length=3),
    data=PlantedTranslation(
        n_train=20, n_words=6, length=3, n_eval=30, label_noise=LabelNoise(fraction=0.3)
    ),
    train=Gradient(
        optimizer=Adam(learning_rate=0.01, b2=0.98),
        schedule="warmup_inverse_sqrt",
        warmup=4,
        label_smoothing=0.1,
        steps=12,
        evaluations=3,
    ),
)


@functools.cache
def found():
    return run(RUN)


@pytest.mark.medium
def test_training_follows_the_recursion_of_optax():
    """Full batches: Adam, the published schedule, targets smoothed as optax smooths them."""
    data = RUN.data.load(0)
    model = RUN.model.build(6, 7)
    x, y = jnp.asarray(data.train_inputs), jnp.asarray(data.train_targets)
    smooth = optax.smooth_labels(jax.nn.one_hot(y, 7), 0.1)
    peer = optax.adam(lambda t: 0.01 * jnp.minimum((t + 1) / 5, jnp.sqrt(5 / (t + 1))), b2=0.98)

    def loss(params):
        return jnp.mean(optax.softmax_cross_entropy(model.apply(params, x), smooth))

    @jax.jit
    def trained(params):
        def step(_, state):
            params, memory = state
            updates, memory = peer.update(jax.grad(loss)(params), memory, params)
            return optax.apply_updates(params, updates), memory

        params, _ = jax.lax.fori_loop(0, 12, step, (params, peer.init(params)))
        return params, model.apply(params, x), model.apply(params, jnp.asarray(data.eval_inputs))

    _, on_train, on_eval = trained(jax.jit(model.init)(key_for(0, "init")))
    record, curve = found()
    plain = optax.softmax_cross_entropy_with_integer_labels
    assert record.train_loss_nats == pytest.approx(float(jnp.mean(plain(on_train, y))), rel=1e-5)
    of_tokens = np.asarray(plain(on_eval, jnp.asarray(data.eval_targets)))
    assert record.eval_loss_nats == pytest.approx(np.mean(of_tokens), rel=1e-5)
    of_pairs = np.mean(of_tokens, axis=1)
    sem = np.std(of_pairs, ddof=1) / np.sqrt(30)
    assert record.eval_loss_sem_nats == pytest.approx(sem, rel=1e-4)
    wrong = np.argmax(np.asarray(on_eval), axis=-1) != data.eval_targets
    assert record.eval_error == pytest.approx(wrong.mean(), rel=1e-6)
    told = np.argmax(np.asarray(on_train), axis=-1)
    assert record.train_error == pytest.approx(np.mean(told != np.asarray(y)), rel=1e-6)
    clean = np.mean(told != data.train_targets_clean)
    assert record.train_error_clean == pytest.approx(clean, rel=1e-6)
    assert [point.step for point in curve] == [0, 4, 8, 12]
    assert curve[-1].train_error == record.train_error < curve[0].train_error


def test_tokens_that_are_predicted_are_counted():
    counts, record = account(RUN), found()[0]
    assert (counts.n_examples_seen, counts.n_tokens_seen) == (240, 1440)
    assert counts.n_tokens_unique == 120
    assert counts.n_tokens_predicted == 720
    assert counts.flops_train_6n_total_d == 6 * 98 * 720
    assert (counts.n_params_total, counts.n_params_non_embedding) == (98, 0)
    assert record.flops_train == 240 * 3 * 30
    changed = record.label_noise_fraction
    assert changed is not None and 0.1 < changed < 0.5


def test_smoothing_of_nothing_is_cross_entropy():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4")
    labels = np.array([[0, 1, 2, 3]] * 3)

    @jax.jit
    def both(logits, labels):
        plain = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return smoothed_cross_entropy(logits, labels, 0.0), plain

    np.testing.assert_allclose(*both(logits, labels), rtol=1e-5)


def test_tokens_that_the_encoder_decoder_counts():
    model = EncoderDecoder(width=4, depth=1, heads=2, source_length=3)
    counts = account(dataclasses.replace(RUN, model=model))
    groups = model.count_params(6, 7)
    assert counts.n_params_embedding == groups["embedding"] == 7 * 4
    # The embedding is read out too.
    assert counts.n_params_matmul == counts.n_params_total - groups["norm"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": MLP(width=4)}, "'mlp' does not go with data.kind = 'planted_translation'"),
        ({"model": Linear(n_features=3), "train": Ridgeless()}, "'linear' does not go with"),
        ({"model": Transformer(width=4, depth=1, heads=2)}, "'transformer' does not go with"),
        ({"data": MNIST1D(n_train=20)}, "'bag' does not go with data.kind = 'mnist1d'"),
        (
            {"model": EncoderDecoder(width=4, heads=2, source_length=4)},
            "differs from the 3 tokens of a source .* give model.source_length = 3",
        ),
    ],
)
def test_models_and_data_that_do_not_go_together_are_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(RUN, **fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"warmup": 12}, "warmup = 12 is not below the run's 12 steps: warm up for fewer"),
        ({"label_smoothing": 1.0}, "label_smoothing = 1"),
        ({"objective": "squared_error"}, "'squared_error' has one target an example"),
    ],
)
def test_impossible_training_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, **fields))


def test_squared_errors_are_not_smoothed():
    plan = Gradient(
        optimizer=Adam(learning_rate=0.1), steps=9, objective="squared_error", label_smoothing=0.1
    )
    with pytest.raises(ValueError, match="leave it out"):
        RunConfig(model=MLP(width=4), data=MNIST1D(n_train=100), train=plan)
