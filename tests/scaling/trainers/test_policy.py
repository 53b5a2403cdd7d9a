"""Policy gradients: unbiased, clipped as PPO is, exact where the answer is known, and refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.parity_tasks import ParityTasks
from scaling.data.proxy_rewards import ProxyRewards
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.overrides import replace_at
from scaling.policy_gradient import PPO, PolicyGradient, Reinforce
from scaling.run import run
from scaling.streaming import Streaming
from scaling.trainers import policy
from scaling.training import SGD

SOURCE = ProxyRewards(dimension=3, n_eval=256)
PLAN = PolicyGradient(
    optimizer=SGD(learning_rate=0.2), penalty=0.5, batch_size=256, steps=60, evaluations=3
)
RUN = RunConfig(model=Linear(n_features=1), data=SOURCE, train=PLAN)


@functools.partial(jax.jit, static_argnums=0)
def gradient(plan, theta, before, noise):
    """Of what a step minimises, in the mean of the policy."""
    world = {name: jnp.asarray(array) for name, array in SOURCE.world(0).items()}
    old = jnp.broadcast_to(before, noise.shape)
    of = policy.advantages(plan, policy.costs(plan, SOURCE, world, old, noise))
    return jax.grad(
        lambda mean: policy.surrogate(plan, jnp.broadcast_to(mean, noise.shape), old, noise, of)
    )(theta)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).standard_normal((20_000, 3)).astype(np.float32)


@pytest.mark.usefixtures("users_jax")
def test_the_gradient_is_that_of_the_penalised_reward(noise):
    """b - penalty theta, both by REINFORCE and by the first step of PPO on a batch."""
    theta = np.array([0.5, -1.0, 0.2], np.float32)
    exact = np.array([1.0, 0.0, 0.0]) - PLAN.penalty * theta
    for method in (Reinforce(), PPO()):
        plan = replace_at(PLAN, "method", method)
        found = np.asarray(gradient(plan, theta, theta, noise))
        np.testing.assert_allclose(-found, exact, atol=0.06)


@pytest.mark.usefixtures("users_jax")
def test_ppo_stops_where_ratios_have_left_the_clip(noise):
    """Of responses that are to become likelier and already are, or the reverse, nothing is left."""
    plan = replace_at(PLAN, "method", PPO(clip=1e-6))
    before = np.zeros(3, np.float32)
    ahead = np.array(
        [0.1, 0.0, 0.0], np.float32
    )  # a step along the proxy, by which ratios move apart
    left = gradient(plan, ahead, before, noise)
    free = gradient(replace_at(PLAN, "method", PPO(clip=1e6)), ahead, before, noise)
    assert np.abs(np.asarray(left)).max() < 0.1 * np.abs(np.asarray(free)).max()


@pytest.mark.medium
def test_a_run_ends_at_the_tilt_and_is_counted():
    record, curve = run(RUN)
    by = record.eval_by
    assert by["kl"] == pytest.approx(1 / (2 * 0.5**2), rel=0.02)
    assert by["proxy"] == pytest.approx(2, rel=0.02)
    # -log E exp(proxy / penalty) over the start
    assert record.eval_loss_nats == pytest.approx(-1 / (2 * 0.5**2), abs=1e-3)
    assert [point.step for point in curve] == [20, 40, 60]
    a_pass = 2 * 3
    assert account(RUN).flops_train == 60 * 256 * 2 * a_pass
    ppo = replace_at(RUN, "train.method", PPO(passes=4))
    assert account(ppo).flops_train == 4 * account(RUN).flops_train


@pytest.mark.parametrize(
    ("model", "data", "train", "said"),
    [
        (MLP(width=4, depth=1), ParityTasks(tasks=2, bits=6, sparse=2), PLAN, "needs rewards"),
        (
            Linear(n_features=1),
            SOURCE,
            Streaming(
                optimizer=SGD(learning_rate=0.1), objective="squared_error", batch_size=4, steps=1
            ),
            "rewards in place of targets",
        ),
        (Linear(n_features=1), SOURCE, replace_at(PLAN, "batch_size", 1), "give 2 or more"),
    ],
)
def test_what_has_no_rewards_is_refused(model, data, train, said):
    with pytest.raises(ValueError, match=said):
        RunConfig(model=model, data=data, train=train)
