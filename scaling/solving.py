"""Ways to train a linear read-out without gradients through a network, as configurations.

`scaling.trainers` carries them out, in `solve`, `ensemble`, `flow` and `one_pass`. Nothing here
imports JAX.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

from scaling.data.gaussian import GaussianTeacher, Isotropic
from scaling.data.power_law_features import PowerLawFeatures
from scaling.fields import Argument, Checked, Count, Fraction, Positive
from scaling.kinds import DataConfig, ModelConfig
from scaling.models.family import KernelFamily, LinearFamily, offers
from scaling.models.linear import Linear
from scaling.schedules import Duration


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


class _Followed(Checked):
    """A base of ways that follow the test error of a linear read-out while it is trained."""

    kind: ClassVar[str]

    def check(self, model: ModelConfig, data: DataConfig) -> None:
        """Refuses a model that is not linear in what is trained, and data without a test error."""
        _require_features(self.kind, model)
        _require_test_error(self.kind, model, data)

    def resolve(self, model: ModelConfig, data: DataConfig) -> Self:
        """The configuration itself: no field is left open."""
        return self


@dataclass(frozen=True, kw_only=True)
class GradientFlow(_Followed):
    """Gradient flow on squared error from zero coefficients, followed exactly in float64.

    Step k is the time k * time_per_step of the flow of |y - Phi b|^2 / (2 n): what gradient descent
    of small steps would reach. It is evaluated at steps spread evenly over the logarithm, from 1 to
    `steps`.
    """

    kind: ClassVar[str] = "gradient_flow"
    time_per_step: Annotated[Positive, Argument(1.0)]
    steps: Annotated[Count, Argument(1)]
    evaluations: Annotated[Count, Argument(1)] = 60

    def evaluated_at(self) -> list[int]:
        """Steps at which the flow is measured, ascending, the last one included."""
        return spread_steps(self.steps, self.evaluations)


@dataclass(frozen=True, kw_only=True)
class OnePassSGD(_Followed):
    """Stochastic gradient descent over the training set once, one example a step, in float64.

    From zero coefficients, each example x, y moves them by -step_size (x'b - y) x. No example is
    seen twice, so that the risk is that of fresh examples. It is evaluated after 0 steps and at
    steps spread evenly over the logarithm.
    """

    kind: ClassVar[str] = "one_pass_sgd"
    step_size: Annotated[Positive, Argument(1.0)]
    evaluations: Annotated[Count, Argument(1)] = 40

    def duration(self, n_train: int) -> Duration:
        """Steps, one an example, and evaluations."""
        return Duration(n_train, 1, min(self.evaluations, n_train))


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


def _require_features(kind: str, model: ModelConfig) -> None:
    if not offers(model, LinearFamily):
        raise ValueError(
            f"train.kind = {kind!r} solves for a linear read-out, which model.kind = "
            f"{model.kind!r} is not: use train.kind = 'gradient'"
        )
