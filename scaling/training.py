"""Gradient descent on data that fit on the device, as configurations.

`scaling.trainers.gradient` carries it out. Nothing here imports JAX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

from scaling.data.digits import Digits
from scaling.data.images import Images
from scaling.data.token_dataset import TokenSource
from scaling.data.translation import PlantedTranslation
from scaling.fields import Argument, Checked, Count, Decay, Newer, NonNegative, Positive, Range
from scaling.kinds import DataConfig, ModelConfig
from scaling.models.family import KernelFamily, offers
from scaling.schedules import Constant, Cosine, Duration, InverseSqrt, Schedule, WarmupInverseSqrt

LearningRate = Annotated[Positive, Argument(1.0)]


@dataclass(frozen=True, kw_only=True)
class SGD(Checked):
    """Stochastic gradient descent, with heavy-ball momentum where it is not 0."""

    kind: ClassVar[str] = "sgd"
    learning_rate: LearningRate
    momentum: Decay = 0.0


@dataclass(frozen=True, kw_only=True)
class Adam(Checked):
    """Adam (Kingma & Ba, arXiv 1412.6980); decoupled weight decay where it is not 0 (AdamW)."""

    kind: ClassVar[str] = "adam"
    learning_rate: LearningRate
    b1: Decay = 0.9
    b2: Decay = 0.999
    weight_decay: NonNegative = 0.0


MAX_STEPS = 2**31 - 1
"""Steps are counted on the device in 32 bits."""


@dataclass(frozen=True, kw_only=True)
class Gradient(Checked):
    """Gradient training for a stated duration, evaluated at its start and `evaluations` times more.

    Evaluations come at even intervals, or ("geometric") at steps that grow by one factor from the
    first to the last, so that the beginning is resolved as finely as the end. The duration is given
    in exactly one unit; `resolve` turns it into steps. A batch size of None is the whole training
    set. Batches are drawn without replacement, epoch by epoch; examples that do not fill a last
    batch are left to the next shuffle. With `augmentation`, images of each batch are cropped out of
    four pixels of zeros around them and mirrored, at random. The learning rate rises over `warmup`
    steps before it follows its schedule. With `label_smoothing` = s, training takes 1 - s of the
    loss at the label and s of its mean over all classes (Szegedy et al. 2015, arXiv 1512.00567,
    section 7); losses that are reported are those at the label.
    """

    kind: ClassVar[str] = "gradient"
    exclusive: ClassVar[tuple[str, ...]] = ("steps", "epochs", "examples")
    optimizer: SGD | Adam
    schedule: Literal["constant", "cosine", "inverse_sqrt", "warmup_inverse_sqrt"] = "constant"
    objective: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    batch_size: Count | None = None
    steps: Annotated[Count | None, Argument(1)] = None
    epochs: Positive | None = None
    examples: Count | None = None
    evaluations: Annotated[Count, Argument(1)] = 20
    spacing: Annotated[Literal["even", "geometric"], Argument("even"), Newer()] = "even"
    augmentation: Annotated[Literal["none", "crop_flip"], Newer()] = "none"
    warmup: Annotated[int, Range(low=0), Newer()] = 0
    label_smoothing: Annotated[Decay, Newer()] = 0.0

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a batch larger than the data, or an objective that the data do not have."""
        if isinstance(data, TokenSource) or model.takes_tokens:
            raise ValueError(
                f"train.kind = 'gradient' takes no tokens, and model.kind = {model.kind!r} with "
                f"data.kind = {data.kind!r} does: use train.kind = 'pretraining'"
            )
        if offers(model, KernelFamily):
            raise ValueError(
                f"model.kind = {model.kind!r} has no parameters that gradients could train: use "
                "train.kind = 'ridge' or 'ridgeless'"
            )
        if self.batch_size is not None and self.batch_size > data.n_train:
            raise ValueError(
                f"train.batch_size = {self.batch_size} exceeds data.n_train = {data.n_train}: "
                "give a smaller batch, or none for full batches"
            )
        if self.objective == "cross_entropy" and data.n_classes is None:
            raise ValueError(
                f"train.objective = 'cross_entropy' needs classes, which data.kind = {data.kind!r} "
                "does not have: use 'squared_error'"
            )
        if self.augmentation != "none" and not isinstance(data, Images | Digits):
            raise ValueError(
                f"train.augmentation = {self.augmentation!r} is for images, and data.kind = "
                f"{data.kind!r} has none: leave it out, or use data.kind = 'images'"
            )
        if self.objective == "squared_error" and isinstance(data, PlantedTranslation):
            raise ValueError(
                f"train.objective = 'squared_error' has one target an example, and data.kind = "
                f"{data.kind!r} has several: use 'cross_entropy'"
            )
        if self.objective == "squared_error" and self.label_smoothing:
            raise ValueError(
                f"train.label_smoothing = {self.label_smoothing:g} is for train.objective = "
                "'cross_entropy': leave it out"
            )
        if (steps := self.duration(data.n_train).steps) > MAX_STEPS:
            raise ValueError(f"{steps:,} steps are above {MAX_STEPS:,}: give a shorter run")
        if self.warmup >= steps:
            raise ValueError(
                f"train.warmup = {self.warmup:,} is not below the run's {steps:,} steps: warm up "
                "for fewer, or train for longer"
            )
        if data.n_eval == 0:
            raise ValueError("gradient training needs held-out examples: give data.n_eval >= 1")

    def duration(self, n_train: int) -> Duration:
        """Steps, batch size and evaluations on a training set of `n_train` examples."""
        batch_size = self.batch_size or n_train
        if self.steps is not None:
            steps = self.steps
        else:
            examples = self.examples or (self.epochs or 0) * n_train
            steps = math.ceil(examples / batch_size)
        return Duration(steps, batch_size, min(self.evaluations, steps))

    @property
    def shares(self) -> Schedule:
        """The schedule by its name; the cosine falls to 0 at the end of the run."""
        return {
            "constant": Constant(),
            "cosine": Cosine(floor=0.0),
            "inverse_sqrt": InverseSqrt(),
            "warmup_inverse_sqrt": WarmupInverseSqrt(),
        }[self.schedule]

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration with the duration in steps and the batch size filled in."""
        filled = self.duration(data.n_train)._asdict()
        return replace(self, epochs=None, examples=None, **filled)
