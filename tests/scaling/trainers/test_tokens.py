"""Pre-training runs: plain peers, identities, determinism, planted truths, divergence."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from random_parameters import random_parameters

from scaling.config import RunConfig, shape_of
from scaling.data.ngram import NGram, chain_of
from scaling.data.text import Text
from scaling.data.token_dataset import TokenDataset
from scaling.devices.runtime import compile_quickly
from scaling.keys import key_for
from scaling.models.transformer import Transformer
from scaling.objectives.objective import SpecialTokens
from scaling.overrides import replace_at
from scaling.pretraining import Muon, Pretraining, ScheduleFree
from scaling.record import (
    VOLATILE_COLUMNS,
    Curve,
    CurvePoint,
    RunRecord,
    dump_curve_line,
    load_curve,
    positions,
    row,
)
from scaling.run import run
from scaling.schedules import Constant, Cosine
from scaling.sealed import DamagedFileError
from scaling.trainers import (
    gradient_noise,
    token_evaluation,
    token_programs,
    token_setup,
    token_step,
)
from scaling.trainers import tokens as train_tokens
from scaling.trainers.divergence import Spikes, no_spikes, unharmed
from scaling.trainers.optimizers import param_groups
from scaling.training import SGD, Adam
from scaling.workspace import Workspace

GPT = Transformer(width=8, depth=1, heads=2, positions="learned", norm="layer", activation="gelu")
NGRAM = NGram(vocab_size=8, context=8, n_tokens=2**13, n_eval=64)
RUN = RunConfig(
    model=GPT,
    data=NGRAM,
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01, weight_decay=0.1),
        schedule=Cosine(floor=0.1),
        batch_size=4,
        warmup_tokens=3 * 32,
        clip_norm=0.5,
        steps=12,
        evaluations=12,
    ),
    seed=3,
)
"""All runs of this shape share one compilation."""
MANY = dataclasses.replace(NGRAM, n_tokens=2**16, n_eval=1024)
"""Held-out tokens enough that their noise does not hide what a fifth of a training gains."""


def lasting(record: RunRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


def changed(config: RunConfig, **values: Any) -> RunConfig:
    """The configuration with fields of `train` replaced."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **values))


def plan_of(config: RunConfig) -> Pretraining:
    assert isinstance(config.train, Pretraining)
    return config.train


def dataset(seed: int) -> TokenDataset:
    return NGRAM.load(seed)


def setup(plan: Pretraining, n_eval_at_once: int, **more: Any) -> token_setup.Setup:
    groups = param_groups(plan.optimizer, GPT, 8, 8)
    special = SpecialTokens(8)
    return token_setup.Setup(GPT.build(8, 8), plan, groups, n_eval_at_once, special, **more)


def compiled(config: RunConfig = RUN) -> token_programs.Trainer:
    """The functions that `run` uses."""
    return token_programs.compiled(shape_of(config), 1)


def filled(batches: np.ndarray) -> np.ndarray:
    """A block of the size that is compiled, whose first batches are these."""
    block = np.zeros((256, *batches.shape[1:]), np.int32)
    block[: len(batches)] = batches
    return block


def losses(curve: Curve) -> list[float]:
    return [point.train_loss for point in curve]


def plain_logits(params: Any, tokens: jax.Array) -> jax.Array:
    """A GPT of one block as one would write it down, a sequence and a head at a time."""

    def norm(x: jax.Array, gain: jax.Array) -> jax.Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * gain[None]

    layer = jax.tree.map(lambda leaf: leaf[0], params["blocks"])
    context, width, head = len(tokens), 8, 4
    x = params["embedding"][tokens] + params["positions"]
    qkv = norm(x, layer["attention_norm"]) @ layer["qkv"]
    heads = []
    for h in range(width // head):
        q, k, v = (
            qkv[:, part * width + h * head : part * width + (h + 1) * head] for part in range(3)
        )
        scores = jnp.where(jnp.tri(context, dtype=bool), q @ k.T / head**0.5, -1e30)
        heads.append(jax.nn.softmax(scores) @ v)
    x = x + jnp.concatenate(heads, axis=-1) @ layer["attention_out"]
    x = x + jax.nn.gelu(norm(x, layer["ff_norm"]) @ layer["ff_in"]) @ layer["ff_out"]
    return norm(x, params["final_norm"]) @ params["readout"]


@pytest.mark.slow
def test_losses_are_those_of_the_model_and_the_loop_written_plainly():
    n_steps = 12
    rate = optax.join_schedules(
        [
            optax.linear_schedule(0.01 / 4, 0.01, 3),
            optax.cosine_decay_schedule(0.01, n_steps - 3, alpha=0.1),
        ],
        [3],
    )
    peer = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adamw(
            rate,
            weight_decay=0.1,
            mask=lambda tree: jax.tree.map_with_path(
                lambda path, _: not path[-1].key.endswith("norm"), tree
            ),
        ),
    )

    def step(given: Any, batch: jax.Array) -> tuple[Any, jax.Array]:
        params, state = given

        def loss(params: Any) -> jax.Array:
            logits = jax.vmap(lambda sequence: plain_logits(params, sequence[:-1]))(batch)
            chances = jax.nn.log_softmax(logits)
            return -jnp.take_along_axis(chances, batch[:, 1:, None], axis=-1).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = peer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    @jax.jit
    def trained(params: Any, batches: Any) -> tuple[jax.Array, jax.Array]:
        (params, _), values = jax.lax.scan(step, (params, peer.init(params)), batches)
        return values, optax.tree.norm(params)

    params = compiled().init(key_for(3, "init")).params
    batches = dataset(3).sequences(3, 0, 4 * n_steps).reshape(n_steps, 4, -1)
    expected, norm = map(np.asarray, trained(params, batches))
    record, curve = run(RUN)
    assert losses(curve) == pytest.approx(expected, rel=2e-5)
    assert record.weight_norm_l2 == pytest.approx(float(norm), rel=1e-5)


def test_golden_losses():
    """Frozen. Update the numbers only for a deliberate change of the numerics."""
    record, curve = run(RUN)
    assert losses(curve)[:2] == pytest.approx([2.5034003, 2.1893377], rel=1e-5)
    assert record.eval_loss_nats == pytest.approx(1.6918720, rel=1e-5)


def test_same_configuration_same_bits():
    (first, curve), (again, curve_again) = run(RUN), run(RUN)
    assert lasting(first) == lasting(again)
    assert curve == curve_again


def test_a_record_says_what_was_spent_and_measured():
    record, curve = run(RUN)
    assert record.status == "done" and record.n_loss_spikes == 0
    assert (record.steps, record.n_examples_seen, record.n_tokens_seen) == (12, 48, 384)
    assert (record.n_tokens_unique, record.epochs) == (384, 48 / 1024)
    total = 2 * 64 + 64 + 8 + 2 * 8 + 8 * 24 + 64 + 2 * 8 * 32
    assert record.n_params_total == record.n_params_trainable == total
    assert record.flops_train_6n_total_d == 6 * total * 384
    assert [(point.step, point.n_examples_seen) for point in curve[:2]] == [(1, 4), (2, 8)]
    assert record.eval_loss_nats == curve[-1].eval_loss
    assert record.train_loss_nats == curve[-1].train_loss
    # Tokens of an n-gram source stand for no bytes.
    assert record.eval_bits_per_byte is None and record.eval_error is None


@pytest.mark.slow
def test_evaluations_and_blocks_do_not_disturb_training(monkeypatch: pytest.MonkeyPatch):
    """23 steps in blocks of at most 5 or 256, measured 1, 3 or 23 times: the same bits."""
    long = changed(RUN, steps=23)
    whole, every = run(changed(long, evaluations=23))
    thrice, three = run(changed(long, evaluations=3))
    monkeypatch.setattr(token_programs, "_TOKENS_IN_BLOCK", 5 * 32)
    anew = functools.lru_cache(token_programs.compiled.__wrapped__)
    monkeypatch.setattr(train_tokens, "compiled", anew)
    assert token_programs.steps_in_block(plan_of(RUN), 8) == 5
    once, _ = run(changed(long, evaluations=1))
    again, three_again = run(changed(long, evaluations=3))
    assert whole.eval_loss_nats == thrice.eval_loss_nats == once.eval_loss_nats
    assert whole.weight_norm_l2 == once.weight_norm_l2
    assert lasting(thrice) == lasting(again) and three == three_again
    assert [point.step for point in three] == [8, 15, 23]
    each = losses(every)
    means = [np.mean(each[a:b]) for a, b in [(0, 8), (8, 15), (15, 23)]]
    assert losses(three) == pytest.approx(means, rel=1e-6)
    assert once.train_loss_nats == pytest.approx(np.mean(each), rel=1e-6)


@pytest.mark.medium
def test_runs_that_differ_in_arguments_share_one_compilation():
    reference = run(RUN)[0].eval_loss_nats
    compilations = token_programs.compiled.cache_info().misses
    for path, value in [
        ("seed", 1),
        ("train.optimizer.learning_rate", 0.02),
        ("train.steps", 17),
        ("train.tokens", 320),
        ("train.warmup_tokens", 0),
        ("train.schedule.horizon", 20),
        ("train.evaluations", 2),
        ("data.n_tokens", 2**12),
    ]:
        loss = run(replace_at(RUN, path, value))[0].eval_loss_nats
        assert (loss == reference) == (path == "train.evaluations"), path
    assert token_programs.compiled.cache_info().misses == compilations


@pytest.mark.slow
def test_runs_side_by_side_under_vmap_are_those_alone():
    """Seeds and learning rates as one batch; to the last bits, which depend on the batch."""
    one, steps, seeds = compiled(), 12, (0, 1, 2)
    many = token_programs.make_trainer(setup(plan_of(RUN), NGRAM.n_eval))
    peaks = np.array([[0.003], [0.01], [0.03]], np.float32)
    batches = [dataset(seed).sequences(seed, 0, 4 * steps).reshape(steps, 4, -1) for seed in seeds]
    held_out = dataset(0).eval_tokens

    def begun(seed: int) -> token_step.State:
        return one.init(key_for(seed, "init"))

    def losses_of(trainer: Any, state: Any, block: Any, rates: Any) -> tuple[Any, Any]:
        arguments = token_step.Arguments(rates, *map(np.int32, (steps, 3, 0)))
        state, _ = trainer.advance(state, block, np.int32(steps), arguments)
        return state.loss_sum / steps, trainer.measure(state, held_out).eval_losses

    states = jax.tree.map(lambda *leaves: np.stack(leaves), *map(begun, seeds))
    together = jax.jit(jax.vmap(functools.partial(losses_of, many)))
    found = jax.tree.map(np.asarray, together(states, np.stack(batches), peaks))
    for i, seed in enumerate(seeds):
        alone = losses_of(one, begun(seed), filled(batches[i]), peaks[i])
        for ours, theirs in zip(found, alone, strict=True):
            np.testing.assert_allclose(ours[i], theirs, atol=2e-6)


def test_a_horizon_makes_a_run_the_beginning_of_a_longer_one():
    cut = changed(RUN, schedule=Cosine(floor=0.1, horizon=12), steps=6, evaluations=6)
    assert losses(run(cut)[1]) == losses(run(RUN)[1])[:6]
    # The warm-up may outlive the run, where the schedule does.
    rising = changed(RUN, warmup_tokens=11 * 32, schedule=Cosine(horizon=12), steps=6)
    assert run(rising)[0].status == "done"
    with pytest.raises(ValueError, match="are not fewer than the schedule's 192 tokens"):
        changed(rising, schedule=Cosine())


@pytest.fixture
def short_of_memory(monkeypatch):
    """A machine that has room for batches in four parts, or more."""
    tried, compiled = [], token_programs.compiled

    def with_little(shape, parts=1):
        tried.append(parts)
        if parts < 4:
            says = "INTERNAL: Error dispatching computation: Out of memory allocating 9 bytes."
            raise RuntimeError(says)
        return compiled(shape, parts)

    monkeypatch.setattr(train_tokens, "compiled", with_little)
    return tried


@pytest.mark.medium
def test_out_of_memory_a_batch_is_trained_on_in_parts_to_the_same_numbers(
    short_of_memory, monkeypatch, tmp_path
):
    record, _ = run(RUN)
    assert short_of_memory == [1, 2, 4] and record.environment["batch_in_parts"] == 4
    work = Workspace(tmp_path)
    run(RUN, work._replace(pause_at=5))
    monkeypatch.undo()
    whole, _ = run(RUN)
    assert "batch_in_parts" not in whole.environment
    resumed, _ = run(RUN, work)  # with room for whole batches
    assert resumed.environment["batch_in_parts"] == 4
    assert resumed.environment["resumed_at_steps"] == [5]
    of_both = (
        {k: v for k, v in lasting(each).items() if isinstance(v, float)} for each in (record, whole)
    )
    found, expected = of_both
    assert found == pytest.approx(expected, rel=2e-5)
    assert record.run_id == whole.run_id and record.gradient_noise_scale_tokens is None


def test_a_run_whose_numbers_depend_on_its_parts_fails_with_its_reason(short_of_memory):
    for path, value in (("model.dropout", 0.1), ("train.batch_size", 6)):
        short_of_memory.clear()
        with pytest.raises(RuntimeError, match="Out of memory"):
            run(replace_at(RUN, path, value))
        assert short_of_memory == ([1] if path == "model.dropout" else [1, 2])


def test_divergence_is_a_row_with_step_and_last_finite_loss():
    config = changed(RUN, optimizer=Adam(learning_rate=1e38, weight_decay=0.1), evaluations=3)
    record, curve = run(config)
    assert record.status == "diverged" and record.reason == "non_finite_loss"
    assert record.diverged_at_step in (1, 2, 3)
    # Found out at the first evaluation, after 4 of 12 steps: the rest is not trained.
    assert (record.steps, record.n_tokens_seen) == (4, 128)
    assert record.last_finite_train_loss is not None
    assert record.train_loss_nats is None and record.eval_loss_nats is None
    assert curve == () and record.n_loss_spikes == 0


def columns_of(**changes: Any) -> dict[str, Any]:
    evaluation = token_evaluation.Evaluation(
        step=jnp.int32(40),
        watch=unharmed(),
        n_spikes=jnp.int32(2),
        loss_sum=jnp.float32(30.0),
        norms=None,
        eval_losses=jnp.array([1.0, 2.0, 3.0, 6.0]),
        weight_norm=jnp.float32(5.0),
        activation_scales={},
        eval_wrong=None,
        eval_by={},
    )
    interval = train_tokens.Interval(10, evaluation._replace(**changes))
    return train_tokens._columns(interval, RUN, bytes_per_token=4.0)


def test_columns_of_an_evaluation():
    columns = columns_of()
    assert columns == {
        "status": "done",
        "steps": 40,
        "train_loss_nats": 3.0,
        "eval_loss_nats": 3.0,
        "eval_loss_sem_nats": pytest.approx(np.sqrt((4 + 1 + 0 + 9) / 3) / 2),
        "eval_error": None,
        "eval_error_sem": None,
        # 3 nats a token of 4 bytes.
        "eval_bits_per_byte": pytest.approx(3 / np.log(2) / 4),
        "eval_by": None,
        "weight_norm_l2": 5.0,
        "n_loss_spikes": 2,
        **dict.fromkeys(gradient_noise.COLUMNS),
    }
    lonely = columns_of(eval_losses=jnp.array([2.0]))
    assert np.isnan(lonely["eval_loss_sem_nats"]) and lonely["status"] == "done"


def test_an_evaluation_that_is_not_finite_is_divergence_too():
    columns = columns_of(eval_losses=jnp.array([1.0, jnp.inf]))
    assert (columns["status"], columns["diverged_at_step"]) == ("diverged", 40)
    watch = (
        unharmed().after(jnp.int32(0), jnp.float32(1.5)).after(jnp.int32(1), jnp.float32(np.nan))
    )
    columns = columns_of(watch=watch.after(jnp.int32(2), jnp.float32(1.0)))
    assert columns["diverged_at_step"] == 1 and columns["last_finite_train_loss"] == 1.5
    assert columns["n_loss_spikes"] == 2


@jax.jit
def spiked(series: jax.Array) -> Spikes:
    steps = jnp.arange(len(series))
    return jax.lax.scan(lambda s, x: (s.after(*x), None), no_spikes(), (steps, series))[0]


def falling(n_steps: int) -> np.ndarray:
    """A learning curve: a power law with noise."""
    noise = np.random.default_rng(0).standard_normal(n_steps)
    return 2.0 + 4.0 * np.arange(1, n_steps + 1) ** -0.3 + 0.05 * noise


def test_spikes_are_counted_and_noise_is_not():
    calm = falling(4000)
    assert spiked(calm).number == 0
    planted = calm.copy()
    planted[[10, 500, 501, 2000, 3999]] += 1.0  # the first is too early to be judged
    assert spiked(planted).number == 4
    dips = calm.copy()
    dips[[500, 2000]] -= 1.0
    assert spiked(dips).number == 0
    jump = calm.copy()
    jump[2000:] += 1.0
    assert 1 <= spiked(jump).number <= 30


def test_a_spike_is_no_part_of_what_comes_after():
    calm = np.ones(300) + 0.01 * np.random.default_rng(1).standard_normal(300)
    spikes = spiked(calm)
    assert float(spikes.mean) == pytest.approx(1.0, abs=0.005)
    assert float(spikes.variance) ** 0.5 == pytest.approx(0.01, rel=0.25)
    wild = calm.copy()
    wild[200:203] = 1e6
    assert spiked(wild).number == 3
    assert float(spiked(wild).mean) == pytest.approx(1.0, abs=0.02)


def one_step(batch: np.ndarray, **changes: Any) -> tuple[Any, float]:
    """What a step of gradient descent at rate 1 subtracts from the parameters, and the loss."""
    plan = Pretraining(
        optimizer=SGD(learning_rate=1.0),
        schedule=Constant(),
        batch_size=len(batch),
        steps=1,
        **changes,
    )
    trainer = token_programs.make_trainer(setup(plan, 1))
    arguments = token_step.Arguments(np.ones(1, np.float32), *map(np.int32, (1, 0, 0)))
    shapes = jax.eval_shape(trainer.init, jax.random.key(0))
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    params = jax.tree.map(np.asarray, compiled().init(key_for(0, "init")).params)
    given = (state._replace(params=params), batch[None], np.int32(1), arguments)
    after, _ = compile_quickly(trainer.advance, *given)(*given)
    moved = jax.tree.map(lambda old, new: old - np.asarray(new), params, after.params)
    return moved, float(after.loss_sum)


@pytest.fixture(scope="module")
def whole_step() -> tuple[Any, float]:
    """A step on a batch of 12 that is trained to small normalisers too."""
    return one_step(twelve(), clip_norm=None, z_loss=0.1)


def twelve() -> np.ndarray:
    return dataset(0).sequences(0, 0, 12)


@pytest.mark.slow
def test_microbatches_add_up_to_the_large_batch(whole_step):
    """They agree to float32's rounding of the gradient, and of the parameters that it moves."""
    whole, loss = whole_step
    parts, same = one_step(twelve(), clip_norm=None, z_loss=0.1, microbatches=3)
    assert same == pytest.approx(loss, rel=1e-6)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        assert np.allclose(a, b, rtol=0, atol=1e-6 * np.abs(a).max() + 2.5e-7)


@pytest.mark.slow
def test_gradients_are_clipped_and_z_loss_is_trained_on_but_not_reported(whole_step):
    whole, loss = whole_step
    clipped, found = one_step(twelve(), clip_norm=0.25)
    norms = [np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(g))) for g in (whole, clipped)]
    assert norms[0] > 0.5
    assert norms[1] == pytest.approx(0.25, rel=1e-4)
    assert found == pytest.approx(loss, rel=1e-6)
    directions = [g["readout"] / norm for g, norm in zip((whole, clipped), norms, strict=True)]
    assert not np.allclose(*directions, atol=1e-2)


def test_a_separator_is_the_first_input_of_the_next_document():
    tokens = np.array([[7, 1, 0, 2, 0, 0, 3], [0, 1, 2, 3, 4, 5, 0]])
    numbers = jax.jit(lambda tokens: token_setup.segments_of(tokens, 0))(tokens)
    assert numbers.tolist() == [[0, 0, 1, 1, 2, 3, 3], [1, 1, 1, 1, 1, 1, 2]]


def test_no_token_of_a_document_is_predicted_from_another():
    """Two documents before the same third: it is predicted alike, and their separators are not."""
    inputs = np.array([[3, 1, 4, 0, 2, 6, 5, 7], [7, 2, 2, 0, 2, 6, 5, 7]])
    model = GPT.build(8, 8)

    @jax.jit
    def logits(params, inputs):
        return model.apply(params, inputs, segments=token_setup.segments_of(inputs, 0))

    one, other = np.asarray(logits(random_parameters(model), inputs))
    assert np.array_equal(one[3:], other[3:])
    assert not np.allclose(one[2], other[2])


@pytest.mark.slow
def test_losses_are_those_of_separated_documents():
    tokens = dataset(0).eval_tokens[:8]
    model = GPT.build(8, 8)

    @jax.jit
    def measured(state: Any, tokens: jax.Array) -> Any:
        found = [
            token_programs.make_trainer(
                setup(plan_of(RUN), 8, separator=separator, activations=GPT.activations)
            ).measure(state, tokens)
            for separator in (None, 0)
        ]
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        segments = token_setup.segments_of(inputs, 0)
        logits = model.apply(state.params, inputs, segments=segments)
        each = optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets)
        expected = each.mean(axis=1), jnp.sqrt(jnp.mean(logits**2))
        of_ours = [(one.eval_losses, one.activation_scales["logits"]) for one in found]
        return [*of_ours, expected], segments

    state = compiled().init(key_for(0, "init"))
    found, segments = jax.tree.map(np.asarray, measured(state, tokens))
    assert segments.max() > 0
    (mixed, scale_of_mixed), (separated, scale), (expected, expected_scale) = found
    np.testing.assert_allclose(separated, expected, rtol=1e-5)
    assert not np.allclose(separated, mixed)
    assert scale == pytest.approx(expected_scale, rel=1e-5)
    assert scale != pytest.approx(scale_of_mixed, rel=1e-4)


@pytest.mark.slow
def test_dropout_is_for_training_alone_and_the_same_for_the_same_seed():
    dropping = dataclasses.replace(RUN, model=dataclasses.replace(GPT, dropout=0.3))
    (one, curve), (again, _), (without, plain) = run(dropping), run(dropping), run(RUN)
    assert lasting(one) == lasting(again)
    assert losses(curve)[0] != losses(plain)[0]
    still = Adam(learning_rate=1e-12, weight_decay=0.1)
    # Nothing is learned: held out, where nothing is dropped, both are the same model.
    first, plainly = (run(changed(c, optimizer=still))[0] for c in (dropping, RUN))
    assert first.eval_loss_nats == pytest.approx(plainly.eval_loss_nats, rel=1e-6)
    assert one.eval_loss_nats != without.eval_loss_nats


@pytest.mark.slow
def test_activation_scales_and_losses_by_position_disturb_nothing():
    measuring = changed(RUN, activation_scales=True, loss_by_position=True, evaluations=2)
    record, curve = run(measuring)
    plain, plain_curve = run(changed(RUN, evaluations=2))
    assert curve[-1].eval_by is not None
    assert lasting(record) == lasting(plain) | {"run_id": record.run_id} | {
        "train.activation_scales": True,
        "train.loss_by_position": True,
        **{f"eval_by.{name}": loss for name, loss in curve[-1].eval_by.items()},
    }
    assert all(point.activation_scales is None for point in plain_curve)
    bare = [dataclasses.replace(p, activation_scales=None, eval_by=None) for p in curve]
    assert bare == list(plain_curve)

    batches = dataset(3).sequences(3, 0, 48).reshape(12, 4, 9)
    arguments = token_step.Arguments(np.array([0.01], "f4"), *map(np.int32, (12, 3, 0)))
    state = compiled().init(key_for(3, "init"))
    state, _ = compiled().advance(state, filled(batches), np.int32(12), arguments)
    held_out = dataset(3).eval_tokens

    @jax.jit
    def seen(params: Any, inputs: jax.Array, targets: jax.Array) -> Any:
        parts = GPT.activations(params, inputs)
        each = optax.losses.softmax_cross_entropy_with_integer_labels(parts["logits"], targets)
        return parts, each

    parts, each = jax.tree.map(np.asarray, seen(state.params, held_out[:, :-1], held_out[:, 1:]))
    expected = {
        name: float(np.sqrt(np.mean(part.astype(np.float64) ** 2))) for name, part in parts.items()
    }
    assert len(expected) == 5 and len(set(expected.values())) == 5
    assert curve[-1].activation_scales == pytest.approx(expected, rel=1e-5)
    named = {part.name: float(each[:, part.first : part.end].mean()) for part in positions(8)}
    assert len(named) == 4
    assert curve[-1].eval_by == pytest.approx(named, rel=1e-5)


def test_positions_double_up_to_the_context():
    assert [tuple(part) for part in positions(1)] == [(0, 1)]
    assert [tuple(part) for part in positions(6)] == [(0, 1), (1, 2), (2, 4), (4, 6)]
    assert positions(256)[-1].name == "position 128-256"


def test_a_line_of_a_curve_keeps_named_measurements():
    point = CurvePoint(
        step=3,
        n_examples_seen=12,
        train_loss=2.0,
        eval_loss=1.5,
        activation_scales={"logits": 0.1 + 0.2, "embedding": None},
        eval_by={"position 0-1": 2.5},
    )
    line = dump_curve_line(point)
    assert load_curve(line) == (point,)
    with pytest.raises(DamagedFileError, match="line 1 does not match its checksum"):
        load_curve(line.replace("0.3", "0.4"))


def least_on(data: NGram) -> float:
    """Loss of the planted chain itself on the held-out sequences, bigrams only."""
    tokens = data.load(0).eval_tokens
    return float(-np.log(chain_of(data).transitions[tokens[:, :-1], tokens[:, 1:]]).mean())


def learns_the_planted_chain(config: RunConfig, within: float) -> None:
    data = config.data
    assert isinstance(data, NGram)
    record, curve = run(config)
    assert record.status == "done"
    assert record.eval_loss_nats is not None and record.eval_loss_sem_nats is not None
    floor = least_on(data)
    assert floor == pytest.approx(data.least_loss(), abs=4 * record.eval_loss_sem_nats)
    found = [point.eval_loss for point in curve]
    assert all(loss > floor for loss in found)
    assert all(b < a + 0.002 * floor for a, b in itertools.pairwise(found))
    assert found[0] - floor > 2 * (found[-1] - floor)
    assert record.eval_loss_nats < (1 + within) * floor


@pytest.mark.medium
def test_a_small_model_comes_down_to_the_entropy_of_a_planted_chain():
    long = dataclasses.replace(RUN, data=MANY)
    learns_the_planted_chain(changed(long, steps=2000, evaluations=5), within=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (Muon(learning_rate=0.02, adam=Adam(learning_rate=0.01)), Cosine()),
        (ScheduleFree(learning_rate=0.02), Constant()),
        (SGD(learning_rate=0.1, momentum=0.9), Cosine()),
    ],
    ids=["muon", "schedule_free", "sgd"],
)
def test_every_optimizer_learns_the_planted_chain(optimizer: Any, schedule: Any):
    long = dataclasses.replace(RUN, data=MANY)
    config = changed(long, optimizer=optimizer, schedule=schedule, steps=2000, evaluations=5)
    learns_the_planted_chain(config, within=0.04)


@pytest.mark.slow
def test_bits_per_byte_of_text(tmp_path: Any):
    texts = [f"{i} squared is {i * i}, and its cube is {i**3}.\n" for i in range(600)]
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.txt").write_text(text)
    data = Text(path=str(tmp_path), context=16, n_eval=16)
    record, _ = run(changed(dataclasses.replace(RUN, data=data), steps=60))
    assert record.eval_loss_nats is not None and record.eval_bits_per_byte is not None
    assert record.eval_loss_nats < np.log(256)
    assert record.eval_bits_per_byte == pytest.approx(record.eval_loss_nats / np.log(2))


@pytest.mark.slow
def test_averaged_parameters_are_those_that_are_measured():
    """Schedule-free runs report the norm of the average, which is below that of the iterate."""
    free = ScheduleFree(learning_rate=0.05)
    averaging = changed(RUN, optimizer=free, schedule=Constant())
    trainer = compiled(averaging)
    state = trainer.init(key_for(0, "init"))
    batches = dataset(0).sequences(0, 0, 4 * 256).reshape(256, 4, 9)
    arguments = token_step.Arguments(np.array([0.05], "f4"), *map(np.int32, (256, 0, 0)))
    state, _ = trainer.advance(state, batches, np.int32(256), arguments)
    found = float(trainer.measure(state, dataset(0).eval_tokens).weight_norm)

    @jax.jit
    def norms(state: Any) -> Any:
        average = optax.contrib.schedule_free_eval_params(state.optimizer, state.params)
        return optax.tree.norm(average), optax.tree.norm(state.params)

    of_average, of_iterate = map(float, norms(state))
    assert found == pytest.approx(of_average, rel=1e-5)
    assert found != pytest.approx(of_iterate, rel=1e-3)
