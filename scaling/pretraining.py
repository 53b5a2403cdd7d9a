"""Training on a stream of tokens, as a configuration; `scaling.trainers.tokens` carries it out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, NamedTuple, Self, get_args

from scaling.data.token_dataset import TokenSource
from scaling.devices.mesh import Axis, Mesh
from scaling.fields import Argument, Checked, Count, Decay, Newer, NonNegative, Positive, Range
from scaling.kinds import DataConfig, ModelConfig
from scaling.models.compressor import Compressor
from scaling.models.counted_ngram import CountedNGram
from scaling.models.family import (
    ObservedFamily,
    RoutedFamily,
    SharedFamily,
    TranslatingFamily,
    offers,
)
from scaling.models.parametrization import Parametrized, Standard
from scaling.objectives.causal import CAUSAL, Causal
from scaling.objectives.distilled import Distilled
from scaling.objectives.labelled import Labelled
from scaling.objectives.masked import Masked
from scaling.objectives.mixture import Mixture
from scaling.objectives.prefix import Prefix
from scaling.objectives.span import Span
from scaling.schedules import Constant, Cosine, Schedule, steps_of_trunk
from scaling.training import MAX_STEPS, SGD, Adam, LearningRate


@dataclass(frozen=True, kw_only=True)
class Muon(Checked):
    """Orthogonalised momentum for the matrices in blocks, Adam for all other parameters.

    The update of a matrix is its Nesterov momentum with singular values brought near to 1 by five
    Newton-Schulz steps, times max(1, fan_out / fan_in)^1/2 (Jordan et al. 2024, "Muon: an
    optimizer for hidden layers in neural networks"). Matrices that are stored as one
    (queries, keys and values; gates and what they gate) are orthogonalised together.

    Attributes:
        learning_rate: Learning rate of the matrices in blocks.
        momentum: Decay of the average of their gradients, between 0 and 1.
        weight_decay: Decoupled weight decay of the matrices in blocks.
        adam: Optimizer of embeddings, gains and the read-out.
    """

    kind: ClassVar[str] = "muon"
    learning_rate: LearningRate
    momentum: Decay = 0.95
    weight_decay: NonNegative = 0.0
    adam: Adam


@dataclass(frozen=True, kw_only=True)
class ScheduleFree(Checked):
    """AdamW whose iterates are averaged instead of its learning rate decayed.

    Gradients are taken between the iterate and the average, a share `b1` of the way to the
    average, which alone is evaluated (Defazio et al. 2024, arXiv 2405.15682, algorithm 1).
    """

    kind: ClassVar[str] = "schedule_free"
    learning_rate: LearningRate
    b1: Annotated[float, Range(low=0, high=1, low_excluded=True, high_excluded=True)] = 0.9
    b2: Decay = 0.999
    weight_decay: NonNegative = 0.0


PretrainingOptimizer = SGD | Adam | Muon | ScheduleFree


PretrainingObjective = Causal | Prefix | Masked | Span | Mixture | Distilled | Labelled

Trained = Literal["all", "readout"]
"""Which parameters change in training."""


def learning_rates(optimizer: PretrainingOptimizer) -> tuple[float, ...]:
    """Peak learning rates of an optimizer; of Muon's two, Adam's is the second."""
    rate = optimizer.learning_rate
    return (rate, optimizer.adam.learning_rate) if isinstance(optimizer, Muon) else (rate,)


class Length(NamedTuple):
    """Length of a run.

    Attributes:
        steps: Number of optimizer steps.
        warmup: Number of warm-up steps; more than `steps` where the schedule outlives the run.
        trunk: Number of first steps that are the same for every length of run.
        horizon: Number of steps until the schedule ends.
        tokens: Tokens predicted in `steps`, repetitions counted.
    """

    steps: int
    warmup: int
    trunk: int
    horizon: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Pretraining(Checked):
    """Training on tokens for a stated duration, evaluated at even intervals.

    A trunk that runs of several lengths have in common is evaluated when 1, 2, 4, 8, ... steps are
    done and at its end, so that these evaluations are common too; the `evaluations` at even
    intervals are those after it.

    The duration is given in exactly one unit; `resolve` turns it into steps. Tokens and FLOPs are
    rounded up; epochs are rounded down, so that one epoch sees nothing twice. `flops` are those of
    `accounting`, summed over matrix products. `batch_size` counts sequences, and
    `microbatches` splits each batch into parts whose gradients are added up before the step; where
    there are several, the noise of the gradient is reported (`scaling.trainers.gradient_noise`).
    `z_loss` times the squared log of the softmax's normaliser is added to the training loss
    (Chowdhery et al. 2022, arXiv 2204.02311, section 5), never to one reported. With
    `activation_scales` every evaluation also measures the root mean square of the output of each
    part of the model, over all held-out tokens, and with `loss_by_position` the mean held-out loss
    over parts of a sequence (`scaling.record.positions`). `objective` says what is predicted.
    Losses of different objectives are not comparable, so every evaluation measures the held-out
    loss of the run's own, and by the names of their kinds those of `evaluate_on`, on the same
    examples in every run. `trained` = "readout" leaves all other parameters as they were: a linear
    probe of a pre-trained model. `mesh` spreads the run over devices, each
    of which takes an equal part of every batch or microbatch. `optimizer_dtype` is the type of the
    averages of gradients that the optimizer keeps, rounded at random to "bfloat16" so that their
    means are right, and `optimizer_memory` where its state lies between steps: "host" leaves the
    memory of devices free, for the time to move it there and back at every step.
    """

    kind: ClassVar[str] = "pretraining"
    exclusive: ClassVar[tuple[str, ...]] = ("steps", "tokens", "epochs", "flops")
    optimizer: PretrainingOptimizer
    schedule: Schedule = field(default_factory=Cosine)
    batch_size: Count = 16
    microbatches: Count = 1
    warmup_tokens: Annotated[int, Range(low=0), Argument(0)] = 0
    clip_norm: Positive | None = 1.0
    z_loss: NonNegative = 0.0
    steps: Annotated[Count | None, Argument(1)] = None
    tokens: Count | None = None
    epochs: Positive | None = None
    flops: Positive | None = None
    evaluations: Annotated[Count, Argument(1)] = 10
    activation_scales: bool = False
    loss_by_position: Annotated[bool, Newer()] = False
    objective: Annotated[PretrainingObjective, Newer()] = CAUSAL
    evaluate_on: Annotated[tuple[PretrainingObjective, ...], Newer()] = ()
    trained: Annotated[Trained, Newer()] = "all"
    optimizer_dtype: Annotated[Literal["float32", "bfloat16"], Newer()] = "float32"
    optimizer_memory: Annotated[Literal["device", "host"], Newer()] = "device"
    mesh: Mesh = field(default_factory=Mesh)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size % self.microbatches:
            raise ValueError(
                f"pretraining.microbatches = {self.microbatches} does not divide batch_size = "
                f"{self.batch_size}: give a divisor"
            )
        at_once = self.batch_size // self.microbatches
        if at_once % self.mesh.replicas:
            raise ValueError(
                f"pretraining.mesh of {self.mesh.size} devices ({self.mesh}) does not divide the "
                f"{at_once} sequences of a batch or microbatch: give a multiple of "
                f"{self.mesh.replicas} in batch_size / microbatches, or fewer devices"
            )
        if isinstance(self.optimizer, ScheduleFree) and not isinstance(self.schedule, Constant):
            raise ValueError(
                f"pretraining.schedule.kind = {self.schedule.kind!r} decays the learning rate, "
                "which optimizer.kind = 'schedule_free' keeps constant: use schedule.kind = "
                "'constant'"
            )

    @property
    def objectives(self) -> tuple[PretrainingObjective, ...]:
        """The run's own objective, and those that it is evaluated on."""
        return (self.objective, *self.evaluate_on)

    def is_shared(self, model: ModelConfig) -> bool:
        """Whether devices each compute a part of the model, as the family says.

        Elsewhere XLA divides the program of one device. Tokens that compete for places must know of
        those of other devices.
        """
        routed = self.mesh.size > 1 and isinstance(model, RoutedFamily)
        return routed or self.mesh.divides_models

    def n_special(self, context: int) -> int:
        """Tokens of the vocabulary that the data do not have."""
        return max(objective.n_special(context) for objective in self.objectives)

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses data without tokens, and runs that the data or the model do not allow."""
        if isinstance(model, CountedNGram | Compressor):
            raise ValueError(
                f"model.kind = {model.kind!r} has nothing that gradients could train: use "
                "train.kind = 'counting'"
            )
        translates = offers(model, TranslatingFamily)
        if not isinstance(data, TokenSource) or not (model.takes_tokens or translates):
            raise ValueError(
                "train.kind = 'pretraining' trains a model that takes tokens, such as model.kind = "
                f"'transformer', on data.kind = 'text' or 'ngram', not {model.kind!r} on "
                f"{data.kind!r}: use train.kind = 'gradient'"
            )
        self._check_objectives(model, data)
        if isinstance(model, RoutedFamily):
            model.check_share(self.batch_size // self.microbatches * data.context)
        if self.is_shared(model):
            self._check_shared(model, data)
        if getattr(data, "document_mask", False) and not model.takes_segments:
            raise ValueError(
                f"data.document_mask = True asks models to keep within documents, and model.kind = "
                f"{model.kind!r} cannot (takes_segments is False): leave the mask out"
            )
        if self.activation_scales and not isinstance(model, ObservedFamily):
            raise ValueError(
                "train.activation_scales = True measures the output of each part of a model, which "
                f"model.kind = {model.kind!r} does not offer: define `activations` as "
                "scaling.models.family.ObservedFamily asks"
            )
        if isinstance(self.optimizer, Muon) and not isinstance(model, Parametrized):
            raise ValueError(
                f"train.optimizer.kind = 'muon' must know which parameters are matrices in blocks; "
                f"model.kind = {model.kind!r} gives them no roles: use 'adam', or define "
                "`parameters` and `rule` as scaling.models.parametrization.Parametrized asks"
            )
        self._check_trained(model, data)
        parametrization = getattr(model, "parametrization", Standard())
        if not isinstance(parametrization, Standard) and isinstance(self.optimizer, SGD | Muon):
            raise ValueError(
                f"model.parametrization.kind = {parametrization.kind!r} scales Adam's "
                f"learning rates, not those of train.optimizer.kind = {self.optimizer.kind!r}: "
                "use 'adam' or 'schedule_free', or parametrization.kind = 'standard'"
            )
        length = self.length(model, data)
        if length.steps > MAX_STEPS:
            raise ValueError(f"{length.steps:,} steps are above {MAX_STEPS:,}: give a shorter run")
        if length.horizon > MAX_STEPS:
            raise ValueError(
                f"train.schedule.horizon = {length.horizon:,} steps are above {MAX_STEPS:,}: give "
                "fewer"
            )
        if length.warmup >= length.horizon:
            tokens = length.horizon * self.batch_size * data.context
            raise ValueError(
                f"train.warmup_tokens = {self.warmup_tokens:,} are not fewer than the "
                f"schedule's {tokens:,} tokens: warm up for fewer, or train for longer"
            )
        data.check_tokens(length.tokens)

    def _check_shared(self, model: ModelConfig, data: TokenSource) -> None:
        """Refuses a mesh whose axes do not divide a model or its data."""
        mesh, kind = self.mesh, model.kind
        for axis in (axis for axis in get_args(Axis) if mesh.along(axis) > 1):
            divided = _divided_by(model, axis)
            if divided is None:
                able = [f"train.mesh.{other}" for other in axes_of(model)]
                raise ValueError(
                    f"train.mesh.{axis} = {mesh.along(axis)} cannot divide model.kind = {kind!r}: "
                    f"set train.mesh.{axis} = 1 and use {', '.join(able[:-1])} or {able[-1]}"
                )
            if axis == "context":
                divided = {**divided, "tokens of data.context": data.context}
            n = mesh.along(axis) * (mesh.interleave if axis == "pipe" else 1)
            for what, size in divided.items():
                if size % n:
                    divides, together = "does not divide", ""
                    if n > mesh.along(axis):
                        divides = f"with interleave = {mesh.interleave} {divides}"
                        together = " as pipe * interleave"
                    raise ValueError(
                        f"train.mesh.{axis} = {mesh.along(axis)} {divides} the {size:,} {what}: "
                        f"give {_divisors_near(size, n)}{together}"
                    )
        if mesh.interleave > 1 and self.microbatches % mesh.pipe:
            raise ValueError(
                f"train.mesh.interleave = {mesh.interleave} takes microbatches through the "
                f"pipeline {mesh.pipe} at a time, and train.microbatches = {self.microbatches}: "
                f"give a multiple of {mesh.pipe}, or interleave = 1"
            )
        for name, asked in (
            ("model.dropout", model.takes_dropout),
            ("train.objective of kind 'distilled'", isinstance(self.objective, Distilled)),
        ):
            if asked:
                able = "train.mesh.data and train.mesh.fsdp"
                if isinstance(model, RoutedFamily):
                    able = "one device"
                raise ValueError(
                    f"{name} works for model.kind = {kind!r} on {able} alone, not on a mesh of "
                    f"{mesh}: leave one of the two out"
                )

    def _check_trained(self, model: ModelConfig, data: DataConfig) -> None:
        if self.trained == "readout" and not (
            isinstance(model, Parametrized)
            and model.count_params(data.n_inputs, data.n_outputs).get("readout")
        ):
            raise ValueError(
                f"train.trained = 'readout' needs a model with a read-out of its own, and "
                f"model.kind = {model.kind!r} has none: set model.tied = false, or trained = 'all'"
            )

    def _check_objectives(self, model: ModelConfig, data: TokenSource) -> None:
        kinds = [objective.kind for objective in self.evaluate_on]
        if len(set(kinds)) < len(kinds):
            raise ValueError(
                f"train.evaluate_on has two objectives of one kind ({', '.join(kinds)}), whose "
                "losses would have one name: give one of each kind"
            )
        if Distilled.kind in kinds:
            raise ValueError(
                "train.evaluate_on has 'distilled', whose held-out loss is that of 'causal': give "
                "that one"
            )
        for objective in self.objectives:
            objective.check(data.context)
            if offers(model, TranslatingFamily):
                self._check_source(objective, model, data.context)
                continue
            for needed in objective.visibilities:
                if needed not in model.visibilities:
                    of = "objective" if objective is self.objective else "evaluate_on"
                    raise ValueError(
                        f"train.{of}: {objective.kind!r} needs a model whose positions see "
                        f"{_SEEN[needed]}, and model.kind = {model.kind!r} offers "
                        f"{', '.join(model.visibilities)} alone: use model.kind = 'transformer', "
                        "or an objective of kind 'causal'"
                    )
        of_causal = {
            "train.activation_scales": self.activation_scales,
            "train.loss_by_position": self.loss_by_position,
            "data.document_mask": getattr(data, "document_mask", False),
        }
        other = [each.kind for each in self.objectives if not isinstance(each, Causal)]
        for name, asked in of_causal.items():
            if asked and other:
                raise ValueError(
                    f"{name} = True is for causal prediction, and {other[0]!r} is among the "
                    "objectives of the run: leave one of the two out"
                )

    def _check_source(
        self, objective: PretrainingObjective, model: TranslatingFamily, context: int
    ) -> None:
        """Refuses an objective without a source for an encoder, and a source of another length."""
        of = "objective" if objective is self.objective else "evaluate_on"
        source = objective.source(context)
        if source is None:
            raise ValueError(
                f"train.{of}: {objective.kind!r} has no source that model.kind = {model.kind!r} "
                "could read before it predicts: use an objective of kind 'span', or model.kind = "
                "'transformer'"
            )
        if source != model.source_length:
            raise ValueError(
                f"model.source_length = {model.source_length} differs from the {source} tokens "
                f"that train.{of} of kind {objective.kind!r} gives an encoder of data.context = "
                f"{context}: give model.source_length = {source}"
            )

    def length(self, model: ModelConfig, data: DataConfig) -> Length:
        """Steps and tokens of a run of a model and data that `check` lets pass."""
        assert isinstance(data, TokenSource)
        a_step = self.batch_size * data.context
        if self.steps is not None:
            steps = self.steps
        elif self.tokens is not None:
            steps = math.ceil(self.tokens / a_step)
        elif self.epochs is not None:
            whole = self.epochs * data.n_train / self.batch_size
            steps = max(1, math.floor(whole * (1 + 1e-12)))  # 0.3 * 10 is 3, not 2.99...
        else:
            assert self.flops is not None
            shape = (data.n_inputs, data.n_outputs + self.n_special(data.context))
            a_sequence = model.flops_forward(*shape) + self.flops_backward(model, *shape)
            steps = math.ceil(self.flops / (a_sequence * self.batch_size))
        horizon = self.schedule.horizon if isinstance(self.schedule, Cosine) else None
        warmup = math.ceil(self.warmup_tokens / a_step)
        trunk = steps_of_trunk(self.schedule, steps)
        return Length(steps, warmup, trunk, horizon or steps, steps * a_step)

    def flops_backward(self, model: ModelConfig, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: the gradients of what is trained."""
        if self.trained == "readout":
            return 2 * model.count_params(n_inputs, n_outputs)["readout"] * n_inputs
        return model.flops_backward(n_inputs, n_outputs)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration with the duration in steps."""
        length = self.length(model, data)
        return replace(
            self, tokens=None, epochs=None, flops=None, steps=length.steps,
            evaluations=min(self.evaluations, length.steps - length.trunk),
        )  # fmt: skip


def axes_of(model: ModelConfig) -> tuple[Axis, ...]:
    """Axes of a mesh that divide runs of a family of tokens; all have `data` and `fsdp`."""
    return tuple(axis for axis in get_args(Axis) if _divided_by(model, axis) is not None)


def _divided_by(model: ModelConfig, axis: Axis) -> dict[str, int] | None:
    """What an axis divides in a model, each with its number; None where it divides nothing."""
    if offers(model, SharedFamily):
        return model.divided_by(axis)
    return {} if axis in ("data", "fsdp") else None


def _divisors_near(size: int, n: int) -> str:
    """The divisors of a size below and above a number."""
    below = max(k for k in range(1, n) if size % k == 0)
    above = next((k for k in range(n + 1, size + 1) if size % k == 0), None)
    return f"{below}" if above is None else f"{below} or {above}"


_SEEN = {
    "causal": "what came before them",
    "prefix": "a prefix from both sides ('prefix')",
    "full": "the whole sequence ('full')",
}
