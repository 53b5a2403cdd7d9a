"""Gradient runs: identities, determinism, divergence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from random_parameters import random_parameters

from scaling.config import RunConfig
from scaling.data.gaussian import GaussianTeacher
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.keys import key_for
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.models.random_features import RandomFeatures
from scaling.overrides import replace_at
from scaling.record import VOLATILE_COLUMNS, row
from scaling.run import run
from scaling.schedules import share_of_peak
from scaling.trainers import gradient as trainer
from scaling.trainers import gradient_step
from scaling.training import SGD, Adam, Gradient

MLP_RUN = RunConfig(
    model=MLP(width=12),
    data=MNIST1D(n_train=60, label_noise=LabelNoise(fraction=0.2), n_eval=100),
    train=Gradient(
        optimizer=SGD(learning_rate=0.05, momentum=0.9), batch_size=20, steps=40, evaluations=4
    ),
    seed=3,
)


def lasting(record):
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


def test_gradient_descent_on_least_squares_follows_its_recursion():
    config = RunConfig(
        model=Linear(n_features=6),
        data=GaussianTeacher(n_train=30, dimension=6, noise_variance=0.1, n_eval=10),
        train=Gradient(
            optimizer=SGD(learning_rate=0.01), objective="squared_error", steps=25, evaluations=5
        ),
    )
    data = config.data.load(0)
    b = np.zeros(6)
    losses = [np.mean((data.train_inputs @ b - data.train_targets) ** 2)]
    for step in range(25):
        residual = data.train_inputs @ b - data.train_targets
        b -= 0.01 * 2 * data.train_inputs.T @ residual / 30
        if step % 5 == 4:
            losses.append(np.mean((data.train_inputs @ b - data.train_targets) ** 2))
    record, curve = run(config)
    assert [point.step for point in curve] == [0, 5, 10, 15, 20, 25]
    assert np.allclose([point.train_loss for point in curve], losses, rtol=1e-5)
    assert record.train_squared_error == pytest.approx(losses[-1], rel=1e-5)
    assert record.weight_norm_l2 == pytest.approx(np.linalg.norm(b), rel=1e-5)
    assert record.train_error is None


@pytest.mark.medium
@pytest.mark.parametrize(
    ("optimizer", "peer"),
    [
        (SGD(learning_rate=0.05, momentum=0.9), optax.sgd(0.05, momentum=0.9)),
        (Adam(learning_rate=3e-3), optax.adam(3e-3)),
        (Adam(learning_rate=3e-3, weight_decay=0.1), optax.adamw(3e-3, weight_decay=0.1)),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_optimizers_are_those_of_optax(optimizer, peer):
    config = replace_at(replace_at(MLP_RUN, "train.batch_size", None), "train.steps", 7)
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, optimizer=optimizer)
    )
    data = config.data.load(3)
    model = config.model.build(40, 10)
    x, y = jax.device_put((data.train_inputs.astype("f4"), data.train_targets))

    @jax.jit
    def loss(params):
        logits = model.apply(params, x)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    @jax.jit
    def step(params, state):
        updates, state = peer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    params = jax.jit(model.init)(key_for(3, "init"))
    state = jax.jit(peer.init)(params)
    for _ in range(7):
        params, state = step(params, state)
    assert run(config)[0].train_loss_nats == pytest.approx(float(loss(params)), rel=1e-5)


def test_cosine_schedule_ends_at_zero():
    plan = Gradient(optimizer=SGD(learning_rate=2), schedule="cosine", steps=100)

    @jax.jit
    def both(steps):
        theirs = optax.cosine_decay_schedule(2.0, 100)(steps)
        return 2 * share_of_peak(plan.shares, steps, jnp.int32(100)), theirs

    np.testing.assert_allclose(*both(np.arange(101)), atol=1e-6)


def test_the_cosine_keeps_the_bits_of_recorded_runs():
    """pi * step comes before the division: the other order differs in the last bits."""
    plan = Gradient(optimizer=SGD(learning_rate=2), schedule="cosine", steps=100)
    step = np.arange(100)
    share = jax.jit(lambda step, steps: share_of_peak(plan.shares, step, steps))
    formula = jax.jit(lambda step, steps: 0.5 * (1 + jnp.cos(jnp.pi * step / steps)))
    one, other = (np.asarray(each(step, np.int32(100))) for each in (share, formula))
    assert np.array_equal(one, other)


def test_every_epoch_sees_every_example_once():
    """Inputs are unit vectors, so the weights that a step moves name its batch."""
    n = 6
    plan = Gradient(optimizer=SGD(learning_rate=1e-6), batch_size=2, steps=1)
    identity = Linear(n_features=n).build(n, 1)
    make = trainer.make_trainer(
        identity, dataclasses.replace(plan, objective="squared_error"), n, None
    )
    state = jax.jit(make.init)(key_for(0, "init"))
    ones = np.ones(n, np.float32)
    batch = trainer.Batch(np.eye(n, dtype=np.float32), ones, ones)
    advance = jax.jit(make.advance)
    orders = []
    for _ in range(4):
        moved = []
        for _ in range(n // 2):
            before = np.asarray(state.params["readout"])
            state = advance(
                state, np.int32(1), batch, np.float32(0.1), np.int32(9), key_for(0, "order")
            )
            after = np.asarray(state.params["readout"])
            moved.append(frozenset(np.flatnonzero(after - before)))
        assert set().union(*moved) == set(range(n))
        assert all(len(pair) == 2 for pair in moved)
        orders.append(tuple(moved))
    assert len(set(orders)) > 1


def test_same_configuration_same_bits():
    (first, curve), (again, curve_again) = run(MLP_RUN), run(MLP_RUN)
    assert lasting(first) == lasting(again)
    assert curve == curve_again


@pytest.mark.parametrize("duration", [("train.epochs", 40 / 3), ("train.examples", 800)])
def test_durations_in_other_units_train_the_same(duration):
    assert lasting(run(replace_at(MLP_RUN, *duration))[0]) == lasting(run(MLP_RUN)[0])


def test_evaluations_do_not_disturb_training():
    often = run(replace_at(MLP_RUN, "train.evaluations", 40))[0]
    seldom = run(replace_at(MLP_RUN, "train.evaluations", 1))[0]
    assert often.train_loss_nats == seldom.train_loss_nats
    assert often.eval_error == seldom.eval_error


def test_geometric_evaluations_are_dense_at_the_start_and_end_with_the_run():
    plan = replace_at(MLP_RUN, "train.spacing", "geometric").train
    at = trainer.evaluated_after(dataclasses.replace(plan, steps=20_000, evaluations=48), 4000)
    assert at[0] == 0 and at[1] == 1 and at[-1] == 20_000
    ratios = at[10:] / at[9:-1]
    assert np.all(np.diff(at) > 0) and ratios[-20:].std() < 0.01
    assert list(
        trainer.evaluated_after(dataclasses.replace(plan, steps=3, evaluations=9), 4000)
    ) == [0, 1, 2, 3]
    assert list(trainer.evaluated_after(dataclasses.replace(plan, steps=1), 4000)) == [0, 1]
    evenly = run(MLP_RUN)[0]
    geometric, curve = run(replace_at(MLP_RUN, "train.spacing", "geometric"))
    assert geometric.train_loss_nats == evenly.train_loss_nats
    assert [point.step for point in curve] == [0, 1, 3, 12, 40]


def test_the_history_has_weight_norm_and_error_on_clean_labels():
    record, curve = run(MLP_RUN)
    assert curve[-1].weight_norm_l2 == record.weight_norm_l2
    assert curve[-1].train_error_clean == record.train_error_clean
    assert curve[0].weight_norm_l2 != record.weight_norm_l2


@pytest.mark.parametrize("n", [999, 1000, 1234])
def test_outputs_in_blocks_are_those_of_the_whole(n):
    model = MLP(width=6).build(5, 3)
    inputs = np.random.default_rng(1).normal(size=(n, 5)).astype("f4")

    @jax.jit
    def both(params, inputs):
        return gradient_step._in_blocks(model, params, inputs), model.apply(params, inputs)

    np.testing.assert_allclose(*both(random_parameters(model), inputs), atol=1e-6)


@pytest.mark.medium
def test_runs_that_differ_in_arguments_share_one_compilation():
    trainer._compiled.cache_clear()
    for path, value in [
        ("seed", 1),
        ("train.optimizer.learning_rate", 0.01),
        ("train.steps", 33),
        ("data.label_noise.fraction", 0.5),
    ]:
        run(replace_at(MLP_RUN, path, value))
    assert trainer._compiled.cache_info().misses == 1
    run(replace_at(MLP_RUN, "model.width", 13))
    assert trainer._compiled.cache_info().misses == 2


def test_divergence_is_a_row_with_step_and_last_finite_loss():
    config = replace_at(MLP_RUN, "train.optimizer.learning_rate", 1e4)
    record, curve = run(config)
    assert record.status == "diverged"
    assert record.reason == "non_finite_loss"
    assert record.diverged_at_step is not None
    assert 0 < record.diverged_at_step < 10
    # Found out at the first evaluation, after 10 of 40 steps: no more was spent.
    assert (record.steps, record.n_examples_seen, record.epochs) == (10, 200, 10 / 3)
    whole = run(MLP_RUN)[0].flops_train
    assert whole is not None and record.flops_train == whole / 4
    assert record.last_finite_train_loss is not None
    assert np.isfinite(record.last_finite_train_loss)
    assert record.train_loss_nats is None
    assert all(point.step <= record.diverged_at_step for point in curve)


def test_random_features_train_their_readout_alone():
    config = RunConfig(
        model=RandomFeatures(n_features=20, weight_scale=0.35),
        data=MNIST1D(n_train=60, n_eval=100),
        train=Gradient(optimizer=SGD(learning_rate=0.1), steps=10, objective="squared_error"),
    )
    record, curve = run(config)
    assert record.status == "done"
    assert curve[-1].train_loss < curve[0].train_loss == pytest.approx(1.0)


def test_golden_metrics():
    """One short run, frozen. Update the numbers only for a deliberate change of the numerics."""
    record, _ = run(MLP_RUN)
    assert record.n_params_total == 40 * 12 + 12 + 12 * 12 + 12 + 12 * 10 + 10
    assert record.train_loss_nats == pytest.approx(1.033712, rel=1e-5)
    assert record.eval_loss_nats == pytest.approx(2.614889, rel=1e-5)
