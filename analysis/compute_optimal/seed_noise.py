"""The seed noise of the losses behind valleys, and where it is known from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.compute_optimal.points import Points, SeedNoise
from analysis.compute_optimal.valley import (
    Curve,
    parabola_projection,
    parabola_weights,
    used_points,
)
from analysis.errors import FitError
from analysis.estimate import Floats

NoiseSource = Literal["given", "repeats", "residuals"]
"""Where the noise of a run is known from: the caller, runs repeated at one point, or the scatter of
the points about the parabolas of all curves, misfit of the parabola included."""

_MIN_REPEAT_DF = 5


@dataclass(frozen=True)
class KnownNoise:
    """The noise of the loss of one run, and its source.

    Attributes:
        source: Where it is known from.
        sd: Standard deviation, in units of the loss; None where it was given, and may differ from
            run to run.
        degrees_of_freedom: Degrees of freedom of `sd`; infinite where it was given as exact.
    """

    source: NoiseSource
    sd: float | None
    degrees_of_freedom: float

    def of_means(self, points: Points) -> Floats:
        """Standard deviation of the mean loss of each point, shape `(n_points,)`."""
        if points.noise is not None:
            return points.noise
        assert self.sd is not None
        return self.sd / np.sqrt(points.counts)


def known_noise(curves: Sequence[Points], curve: Curve, given: SeedNoise | None) -> KnownNoise:
    """The noise of a run, pooled over curves.

    Args:
        curves: Curves with enough points; at least one.
        curve: How each is drawn.
        given: The noise that the caller knows.

    Raises:
        FitError: Repeats are too few, and the method leaves no residuals to take it from.
    """
    if given is not None:
        return KnownNoise("given", None, float(given.degrees_of_freedom))
    squares = sum(points.squares for points in curves)
    df = float(sum(np.sum(points.counts - 1) for points in curves))
    if df >= _MIN_REPEAT_DF:
        return KnownNoise("repeats", float(np.sqrt(squares / df)), df)
    if curve.method == "akima":
        raise FitError(
            f"The seed noise is unknown: an Akima curve passes through every point, and repeated "
            f"runs have {df:.0f} degrees of freedom ({_MIN_REPEAT_DF} needed). Give noise, a "
            "standard deviation in units of the loss, or use parabolas."
        )
    for points in curves:
        used = used_points(points, curve)
        weights = parabola_weights(points)[used]
        design, projection = parabola_projection(np.log(points.x[used]), weights)
        residual = points.loss[used] - design @ (projection @ points.loss[used])
        squares += float(weights @ residual**2)
        df += len(residual) - design.shape[1]
    return KnownNoise("residuals", float(np.sqrt(squares / df)), df)
