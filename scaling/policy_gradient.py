"""Policy gradients on streams of prompts and noise, as a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from scaling.data.proxy_rewards import RewardSource
from scaling.fields import Checked, Count, Positive
from scaling.kinds import DataConfig, ModelConfig
from scaling.streaming import OnStream


@dataclass(frozen=True, kw_only=True)
class Reinforce(Checked):
    """REINFORCE: one step a batch along the mean of advantage times the score.

    The baseline of a response is the mean return of the others of its batch, so that the gradient
    has no bias (Kool, van Hoof & Welling 2019).
    """

    kind: ClassVar[str] = "reinforce"
    passes: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True)
class PPO(Checked):
    """Proximal policy optimisation: several steps on a batch, along a clipped ratio.

    Advantages are those of `Reinforce`, and are not scaled.

    Reference: Schulman et al. 2017, arXiv 1707.06347, equation 7.

    Attributes:
        clip: Distance of the ratio of new to old chances from 1 beyond which it counts no more.
        passes: Steps on each batch.
    """

    kind: ClassVar[str] = "ppo"
    clip: Positive = 0.2
    passes: Count = 4


@dataclass(frozen=True, kw_only=True)
class PolicyGradient(OnStream):
    """Training of a Gaussian policy on the rewards of its own responses, evaluated at intervals.

    The model gives the mean m of the policy N(m, I) for a prompt; the policy of the start is
    N(0, I). The return of a response x is its proxy reward less the penalty times the log ratio of
    the policy to the start, so that the optimum is the start tilted by exp(reward / penalty). The
    loss is the mean of log ratio - reward / penalty, in nats: up to a constant the divergence from
    that optimum.

    Attributes:
        method: How a batch of returns becomes steps.
        penalty: Reward that a nat of divergence from the start costs.
    """

    kind: ClassVar[str] = "policy_gradient"
    method: Reinforce | PPO = field(default_factory=Reinforce)
    penalty: Positive

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses data without rewards, and batches that leave nothing for a baseline."""
        super().check(model, data)
        if not isinstance(data, RewardSource):
            raise ValueError(
                f"train.kind = 'policy_gradient' needs rewards, and data.kind = {data.kind!r} has "
                "none: use data.kind = 'proxy_rewards'"
            )
        if self.batch_size < 2:
            raise ValueError(
                f"train.batch_size = {self.batch_size} leaves no other response for the baseline: "
                "give 2 or more"
            )
