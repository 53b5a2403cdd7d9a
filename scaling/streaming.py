"""Training on streams of examples, as configurations; `trainers.stream` carries them out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, Self

from scaling.data.proxy_rewards import RewardSource
from scaling.data.stream import MOST_EXAMPLES, StreamSource
from scaling.fields import Argument, Checked, Count, Positive, Range
from scaling.kinds import DataConfig, ModelConfig
from scaling.schedules import Constant, Schedule, StableDecay
from scaling.solving import spread_steps
from scaling.training import MAX_STEPS, SGD, Adam


@dataclass(frozen=True, kw_only=True)
class OnStream(Checked):
    """A base of ways to train on batches of a stream, evaluated `evaluations` times.

    Evaluations come at even intervals, or ("geometric") at steps that grow by one factor from the
    first to the last, of which those that round to one step are one. The learning rate rises over
    `warmup` steps, and then follows the schedule.

    Attributes:
        clip_norm: Largest norm of a batch's gradient; None for any.
    """

    kind: ClassVar[str]
    optimizer: SGD | Adam
    schedule: Schedule = field(default_factory=Constant)
    batch_size: Count
    steps: Annotated[Count, Argument(1)]
    warmup: Annotated[int, Range(low=0), Argument(0)] = 0
    clip_norm: Positive | None = None
    evaluations: Annotated[Count, Argument(1)] = 20
    spacing: Annotated[Literal["even", "geometric"], Argument("even")] = "even"

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses data that are no stream, models of tokens, and lengths that cannot be."""
        if not isinstance(data, StreamSource) or model.takes_tokens:
            raise ValueError(
                f"train.kind = {self.kind!r} trains a model of numbers on a stream, such as "
                f"data.kind = 'parity_tasks', not {model.kind!r} on {data.kind!r}: use another "
                "train.kind"
            )
        if isinstance(self.schedule, StableDecay):
            raise ValueError(
                "train.schedule.kind = 'stable_decay' shares a trunk between runs, which "
                f"train.kind = {self.kind!r} does not: use 'constant', 'cosine', 'linear', "
                "'inverse_sqrt' or 'warmup_inverse_sqrt'"
            )
        if self.batch_size > data.n_train:
            raise ValueError(
                f"train.batch_size = {self.batch_size} exceeds data.n_train = {data.n_train}: "
                "give a smaller batch, or more examples"
            )
        if self.warmup >= self.steps:
            raise ValueError(
                f"train.warmup = {self.warmup} is not below train.steps = {self.steps}: warm up "
                "for fewer, or train for longer"
            )
        if self.steps > MAX_STEPS or self.steps * self.batch_size > MOST_EXAMPLES:
            raise ValueError(
                f"{self.steps:,} steps of {self.batch_size:,} examples are more than "
                f"{MAX_STEPS:,} steps or {MOST_EXAMPLES:,} examples: give a shorter run"
            )

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration with no more evaluations than steps."""
        return replace(self, evaluations=min(self.evaluations, self.steps))

    @property
    def evaluated_after(self) -> list[int]:
        """Numbers of steps after which a run is evaluated, ascending; geometric ones differ."""
        n = min(self.evaluations, self.steps)
        if self.spacing == "geometric":
            return spread_steps(self.steps, n)
        return [round(self.steps * number / n) for number in range(1, n + 1)]


@dataclass(frozen=True, kw_only=True)
class Streaming(OnStream):
    """Gradient training on batches of a stream.

    Attributes:
        objective: What is minimised. "contrastive" takes an output as two vectors, each half of
            it, and asks which second vector of the batch belongs to a first one and the reverse:
            the mean of both cross-entropies of their inner products.
    """

    kind: ClassVar[str] = "streaming"
    objective: Literal["cross_entropy", "squared_error", "contrastive"] = "cross_entropy"

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses what a stream cannot be trained on, and an objective without classes."""
        super().check(model, data)
        if isinstance(data, RewardSource):
            raise ValueError(
                f"data.kind = {data.kind!r} has rewards in place of targets: use train.kind = "
                "'policy_gradient'"
            )
        if (self.objective == "cross_entropy") != (data.n_classes is not None):
            raise ValueError(
                f"train.objective = {self.objective!r} does not suit data.kind = {data.kind!r}, "
                f"which has {'classes' if data.n_classes else 'no classes'}: use "
                f"{'cross_entropy' if data.n_classes else 'squared_error or contrastive'}"
            )
        if self.objective == "contrastive" and data.n_eval % self.batch_size:
            raise ValueError(
                f"data.n_eval = {data.n_eval} is not a multiple of train.batch_size = "
                f"{self.batch_size}, and the contrastive loss is that of whole batches: give one"
            )
