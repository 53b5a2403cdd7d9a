"""From scale to a task's metric: a fit that predicts the loss, and behind it one that takes a loss.

Both steps are uncertain. Their bootstraps count as independent, so any replicate of the one may go
with any of the other. They are paired at random; otherwise two fits drawn with one seed would share
their draws. Where the same runs are behind both fits, the errors of a run's loss and of its metric
are not independent given its size; the band ignores that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimate import Floats
from analysis.fitting.bootstrap.replicates import percentile_interval
from analysis.fitting.engine.observations import as_inputs
from analysis.fitting.result import FitResult
from analysis.guards import positive
from analysis.tables.values import FRACTIONS

_PAIRING_SEED = 0


@dataclass(frozen=True, eq=False)
class Chained:
    """Two fits, made by `chain`.

    Attributes:
        loss_fit: Predicts the loss.
        metric_fit: Predicts the metric from a loss.
        losses: Least and largest loss that `metric_fit` has seen; None where that is not known.
    """

    loss_fit: FitResult
    metric_fit: FitResult
    losses: tuple[float, float] | None

    def predict(self, x: ArrayLike) -> Floats:
        """Returns the metric at the predicted loss, shape `(n,)`.

        Args:
            x: Inputs of the law of the loss, shape `(n,)`, or `(n, n_inputs)`; positive and finite.

        Raises:
            ValueError: x of another shape, or not positive and finite.
        """
        return self.metric_fit.predict(self.loss_fit.predict(x))

    def predict_interval(self, x: ArrayLike, level: float | None = None) -> tuple[Floats, Floats]:
        """Returns the confidence band of the metric, for each x by itself.

        The band is for the mean curve, not for a new run, which scatters about it.

        Args:
            x: As in `predict`.
            level: Nominal coverage of the metric at one x; that of the metric's fit unless given.

        Returns:
            Lower and upper end, each of shape `(n,)`: percentiles over pairs of replicates.

        Raises:
            ValueError: As `predict`, or an impossible level.
        """
        level = self.metric_fit.level if level is None else level
        first, second = self.loss_fit, self.metric_fit
        n_pairs = min(len(first.replicates), len(second.replicates))
        partners = np.random.default_rng(_PAIRING_SEED).permutation(len(second.replicates))
        log_losses = first.law.log_predict(
            first.replicates[:n_pairs], np.log(as_inputs(first.law, x))
        )
        paired = zip(second.replicates[partners[:n_pairs]], log_losses, strict=True)
        curves = np.stack([second.law.log_predict(theta, log[:, None]) for theta, log in paired])
        low, high = percentile_interval(curves, level)
        return np.exp(low), np.exp(high)

    def notes(self, x: ArrayLike) -> tuple[str, ...]:
        """Returns a sentence for each doubt about the predictions at x (as in `predict`).

        A loss may lie outside those that the metric was fitted to, a share of examples above 1.
        """
        losses, metric = self.loss_fit.predict(x), self.predict(x)
        found = []
        if self.losses is not None:
            low, high = self.losses
            outside = (losses < low) | (losses > high)
            if outside.any():
                furthest = losses[np.argmax(np.maximum(low - losses, losses - high))]
                found.append(
                    f"{int(outside.sum())} of {len(losses)} predicted losses, such as "
                    f"{furthest:.4g}, lie outside {low:.4g} to {high:.4g}, to which "
                    f"{self.metric_fit.law.name} was fitted: there the metric is extrapolated too."
                )
        output = self.metric_fit.law.output
        if output in FRACTIONS and np.any(metric > 1):
            found.append(
                f"The predicted {output} reaches {metric.max():.4g}, but none is above 1: the rows "
                f"of {self.metric_fit.law.name} do not show where it levels off."
            )
        return tuple(found)

    def summary(self, x: ArrayLike | None = None) -> str:
        """Returns the chain as plain text, with predictions and notes at x if given."""
        first, second = self.loss_fit, self.metric_fit
        output = second.law.output
        lines = [
            f"{', '.join(first.law.inputs)} -> loss -> {output}",
            *(f"{fit.law.name}: {fit.law.formula}" for fit in (first, second)),
            *(f"{fit.law.name}, {fit.verdict}: {fit.reason}" for fit in (first, second)),
        ]
        if x is None:
            return "\n".join(lines)
        inputs = as_inputs(first.law, x)
        low, high = self.predict_interval(inputs)
        columns = (*inputs.T, first.predict(inputs), self.predict(inputs))
        lines += [
            "",
            " ".join(f"{name:>11}" for name in (*first.law.inputs, "loss", output))
            + f"   {100 * second.level:g} % interval",
            *(
                " ".join(f"{value:>11.5g}" for value in values) + f"   [{least:.5g}, {most:.5g}]"
                for *values, least, most in zip(*columns, low, high, strict=True)
            ),
            *self.notes(inputs),
        ]
        return "\n".join(lines)


def chain(
    loss_fit: FitResult, metric_fit: FitResult, *, losses: ArrayLike | None = None
) -> Chained:
    """Chains a law of the loss and a law that predicts a metric from the loss.

    Args:
        loss_fit: A fit of any law whose y is a loss.
        metric_fit: A fit of a law whose one input is that loss, such as
            `analysis.laws.TASK_SIGMOID`: the same loss, on the same text.
        losses: The losses that `metric_fit` was fitted to, shape `(n,)`, to report predictions
            outside their range; positive.

    Raises:
        ValueError: Laws that do not fit together, or losses that are not positive and finite.
    """
    first, second = loss_fit.law, metric_fit.law
    if second.inputs != ("loss",):
        raise ValueError(
            f"{second.name} takes {', '.join(second.inputs)}, but the second law of a chain takes "
            "the loss alone: give a fit of a law such as task_sigmoid second."
        )
    if first.output != "loss":
        raise ValueError(
            f"{first.name} predicts {first.output}, but {second.name} takes a loss: give a fit of "
            "a law of the loss, such as chinchilla, first."
        )
    seen = None
    if losses is not None:
        values = np.asarray(losses, dtype=np.float64).reshape(-1)
        positive("losses", values)
        seen = (float(values.min()), float(values.max()))
    return Chained(loss_fit, metric_fit, seen)
