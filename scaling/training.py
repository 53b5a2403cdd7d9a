"""The ways to train a run, as configurations: closed-form solutions and gradient descent.

`scaling.trainers.solve` and `scaling.trainers.gradient` carry them out. Nothing here imports JAX.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from scaling.data.byte_kinds import ByteKinds
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher, Isotropic
from scaling.data.graph import GraphNodes
from scaling.data.images import Images
from scaling.data.linear_tasks import LinearTasks
from scaling.data.mixed_ngrams import MixedNGrams
from scaling.data.mnist1d import MNIST1D
from scaling.data.modular import ModularArithmetic
from scaling.data.network_teacher import NetworkTeacher
from scaling.data.ngram import NGram
from scaling.data.paired_views import PairedViews
from scaling.data.parity import SparseParity
from scaling.data.parity_tasks import ParityTasks
from scaling.data.power_law_features import PowerLawFeatures
from scaling.data.preferences import Preferences
from scaling.data.proxy_rewards import ProxyRewards
from scaling.data.repeated import Repeated
from scaling.data.small_table import SmallTable
from scaling.data.smoothed_nodes import SmoothedNodes
from scaling.data.sphere import SphereTeacher
from scaling.data.text import Text
from scaling.data.token_dataset import TokenSource
from scaling.data.translation import PlantedTranslation
from scaling.fields import (
    Argument,
    Checked,
    Count,
    Decay,
    Fraction,
    Newer,
    NonNegative,
    Positive,
    Range,
)
from scaling.models.cnn_1d import CNN1D
from scaling.models.compressor import Compressor
from scaling.models.convolutional import Convolutional
from scaling.models.counted_ngram import CountedNGram
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.family import (
    Family,
    KernelFamily,
    LinearFamily,
    TranslatingFamily,
    offers,
)
from scaling.models.gru import GRU
from scaling.models.image_cnn import ImageCNN
from scaling.models.kernel import Kernel
from scaling.models.linear import Linear
from scaling.models.lstm import LSTM
from scaling.models.min_gru import MinGRU
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.mlp import MLP
from scaling.models.neural_ngram import NeuralNGram
from scaling.models.preact_resnet18 import PreActResNet18
from scaling.models.prompt_transformer import PromptTransformer
from scaling.models.random_features import RandomFeatures
from scaling.models.reward_model import RewardModel
from scaling.models.selective_ssm import SelectiveSSM
from scaling.models.summed_embeddings import SummedEmbeddings
from scaling.models.transformer import Transformer
from scaling.models.two_encoders import TwoEncoders
from scaling.schedules import Constant, Cosine, InverseSqrt, Schedule, WarmupInverseSqrt

ModelConfig = (
    Linear
    | RandomFeatures
    | Kernel
    | MLP
    | RewardModel
    | TwoEncoders
    | PromptTransformer
    | CNN1D
    | ImageCNN
    | PreActResNet18
    | SummedEmbeddings
    | Transformer
    | MixtureOfExperts
    | LSTM
    | GRU
    | MinGRU
    | Convolutional
    | NeuralNGram
    | SelectiveSSM
    | CountedNGram
    | Compressor
    | EncoderDecoder
    | Family
)
"""The families of this package, and any other: see `scaling.own_code` for one of a user's own."""

DataConfig = (
    GaussianTeacher
    | SphereTeacher
    | NetworkTeacher
    | SmallTable
    | PowerLawFeatures
    | GraphNodes
    | SmoothedNodes
    | MNIST1D
    | Digits
    | Images
    | ModularArithmetic
    | SparseParity
    | ParityTasks
    | Preferences
    | ProxyRewards
    | PairedViews
    | LinearTasks
    | PlantedTranslation
    | Text
    | NGram
    | ByteKinds
    | Repeated
    | MixedNGrams
)


@dataclass(frozen=True, kw_only=True)
class Ridgeless(Checked):
    """Minimum-norm least squares on a model's features or kernel, solved in float64.

    Singular values (of a kernel, eigenvalues) below `rcond` times the largest count as zero. The
    height of the peak at the interpolation threshold depends on it, so it is part of the run's
    identity; None means float64 epsilon times the larger side of the feature matrix, NumPy's
    choice.
    """

    kind: ClassVar[str] = "ridgeless"
    rcond: Annotated[Fraction | None, Argument(None)] = None

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a model that is not linear in what is trained."""
        _require_closed_form(self.kind, model)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration with the cut-off filled in."""
        if self.rcond is not None:
            return self
        larger = max(data.n_train, getattr(model, "n_features", 0))
        return replace(self, rcond=larger * sys.float_info.epsilon)


@dataclass(frozen=True, kw_only=True)
class RidgelessEnsemble(Ridgeless):
    """The mean output of several minimum-norm fits of one training set, each on its own features.

    The features of the first are those that the run's seed draws for a single fit.
    """

    kind: ClassVar[str] = "ridgeless_ensemble"
    members: Count


@dataclass(frozen=True, kw_only=True)
class Ridge(Checked):
    """Ridge regression (X'X/n + ridge)^-1 X'y/n on a model's features, solved in float64.

    On a kernel K its outputs are those of (K + n ridge)^-1 y.
    """

    kind: ClassVar[str] = "ridge"
    ridge: Annotated[Positive, Argument(1.0)]

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a model that is not linear in what is trained."""
        _require_closed_form(self.kind, model)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration itself: no field is left open."""
        return self


@dataclass(frozen=True, kw_only=True)
class OptimalRidge(Checked):
    """Ridge regression at the risk-minimising penalty for an isotropic linear teacher.

    The optimum is noise_variance * p / (n * signal_power) (Hastie et al. 2019, arXiv 1903.08560,
    section 5), with signal and noise of the teacher as the model sees them: coordinates that the
    model does not observe act as noise.
    """

    kind: ClassVar[str] = "optimal_ridge"

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a problem for which the optimum has no closed form."""
        self.resolve(model, data)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Ridge:
        """The ridge regression at the optimal penalty."""
        if not (
            isinstance(model, Linear)
            and isinstance(data, GaussianTeacher)
            and isinstance(data.spectrum, Isotropic)
        ):
            raise ValueError(
                "train.kind = 'optimal_ridge' needs a linear model and data.kind = 'gaussian' with "
                "an isotropic spectrum; elsewhere give train.kind = 'ridge' and train.ridge"
            )
        observed = min(model.n_features / data.dimension, 1.0)
        power = data.spectrum.signal_power
        noise = data.noise_variance + (1 - observed) * power
        if noise == 0:
            raise ValueError(
                "train.kind = 'optimal_ridge' with data.noise_variance = 0 is a ridge of 0: "
                "use train.kind = 'ridgeless'"
            )
        return Ridge(ridge=noise * model.n_features / (data.n_train * observed * power))


@dataclass(frozen=True, kw_only=True)
class GradientFlow(Checked):
    """Gradient flow on squared error from zero coefficients, followed exactly in float64.

    Step k is the time k * time_per_step of the flow of |y - Phi b|^2 / (2 n): what gradient descent
    of small steps would reach. It is evaluated at steps spread evenly over the logarithm, from 1 to
    `steps`.
    """

    kind: ClassVar[str] = "gradient_flow"
    time_per_step: Annotated[Positive, Argument(1.0)]
    steps: Annotated[Count, Argument(1)]
    evaluations: Annotated[Count, Argument(1)] = 60

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a model that is not linear in what is trained, and data without a test error."""
        _require_features(self.kind, model)
        _require_test_error(self.kind, model, data)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration itself: no field is left open."""
        return self

    def evaluated_at(self) -> list[int]:
        """Steps at which the flow is measured, ascending, the last one included."""
        return spread_steps(self.steps, self.evaluations)


@dataclass(frozen=True, kw_only=True)
class OnePassSGD(Checked):
    """Stochastic gradient descent over the training set once, one example a step, in float64.

    From zero coefficients, each example x, y moves them by -step_size (x'b - y) x. No example is
    seen twice, so that the risk is that of fresh examples. It is evaluated after 0 steps and at
    steps spread evenly over the logarithm.
    """

    kind: ClassVar[str] = "one_pass_sgd"
    step_size: Annotated[Positive, Argument(1.0)]
    evaluations: Annotated[Count, Argument(1)] = 40

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a model that is not linear in what is trained, and data without a test error."""
        _require_features(self.kind, model)
        _require_test_error(self.kind, model, data)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration itself: no field is left open."""
        return self

    def duration(self, n_train: int) -> Duration:
        """Steps, one an example, and evaluations."""
        return Duration(n_train, 1, min(self.evaluations, n_train))


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


class Duration(NamedTuple):
    """Length of a gradient run, in optimizer steps of `batch_size` examples."""

    steps: int
    batch_size: int
    evaluations: int


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


def check_pairs(model: ModelConfig, data: DataConfig) -> None:
    """Refuses models of pairs on other data, other models on pairs, and two lengths of sources.

    Tokens become pairs by the objective of a run, which `Pretraining.check` compares.

    Raises:
        ValueError: model and data do not go together.
    """
    for family, source in ((RewardModel, Preferences), (TwoEncoders, PairedViews)):
        if isinstance(model, family) and not isinstance(data, source):
            raise ValueError(
                f"model.kind = {model.kind!r} takes the pairs of data.kind = {source.kind!r}, and "
                f"data.kind = {data.kind!r} has none: use data.kind = {source.kind!r}"
            )
    if isinstance(data, TokenSource):
        return
    read = model.source_length if offers(model, TranslatingFamily) else None
    given = data.source_length if isinstance(data, PlantedTranslation) else None
    if read == given:
        return
    if read is None or given is None:
        raise ValueError(
            f"model.kind = {model.kind!r} does not go with data.kind = {data.kind!r}: a source and "
            "its target are for model.kind = 'encoder_decoder', which takes nothing else"
        )
    raise ValueError(
        f"model.source_length = {read} differs from the {given} tokens of a source of data.kind = "
        f"{data.kind!r}: give model.source_length = {given}"
    )


def spread_steps(last: int, n: int) -> list[int]:
    """About n steps from 1 to the last, even on the logarithm; the last one is among them."""
    span = math.log(last) / max(n - 1, 1)
    return sorted({*(round(math.exp(span * i)) for i in range(n)), last})


def _require_test_error(kind: str, model: ModelConfig, data: DataConfig) -> None:
    exact = isinstance(data, GaussianTeacher | PowerLawFeatures) and isinstance(model, Linear)
    if data.n_eval == 0 and not exact:
        raise ValueError(
            f"the curve of train.kind = {kind!r} needs held-out examples: give data.n_eval >= 1"
        )


def _require_closed_form(kind: str, model: ModelConfig) -> None:
    if not offers(model, KernelFamily):
        _require_features(kind, model)


def _require_features(kind: str, model: ModelConfig) -> int:
    if not offers(model, LinearFamily):
        raise ValueError(
            f"train.kind = {kind!r} solves for a linear read-out, which model.kind = "
            f"{model.kind!r} is not: use train.kind = 'gradient'"
        )
    return model.n_features
