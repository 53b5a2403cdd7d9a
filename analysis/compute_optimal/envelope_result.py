"""The envelope of learning curves, its steps, and the power laws through its hand-overs."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from analysis.compute_optimal.growth import NAMES, Exponents, Trend
from analysis.compute_optimal.learning_curves import LearningCurve
from analysis.compute_optimal.valley import Refusal
from analysis.estimate import Bootstrap, Floats
from analysis.writing import JsonResult, plain


class Step(NamedTuple):
    """A span of compute over which one size has the lowest loss.

    Attributes:
        flops_low: FLOPs at its beginning.
        flops_high: FLOPs at its end.
        n_params: The size; None where it is not known.
        refusal: Why the optimum is not bracketed there; None if it is.
        reason: The refusal in a sentence; empty without one.
    """

    flops_low: float
    flops_high: float
    n_params: float | None
    refusal: Refusal | None
    reason: str


class HandOver(NamedTuple):
    """The compute at which a larger size takes over on the envelope.

    Attributes:
        flops: FLOPs at which both sizes have the same loss.
        n_params: N*, the geometric mean of the two sizes.
        tokens: D*, the geometric mean of their tokens there.
        smaller: The size before the hand-over.
        larger: The size after it.
    """

    flops: float
    n_params: float
    tokens: float
    smaller: float
    larger: float


@dataclass(frozen=True, eq=False)
class EnvelopeResult(JsonResult):
    """The lowest loss over all learning curves at each compute, and how the optimum grows along it.

    Attributes:
        bootstrap: Replicates, sets of runs drawn with replacement, and the level of the intervals.
        share_defined: Share of the replicates with an exponent; the others have fewer than two
            hand-overs and are left out.
        share_reordered: Share of the compute where the size of lowest loss was out of order.
        curves: The learning curves.
        flops: Compute along the envelope, FLOPs, shape `(n_flops,)`.
        loss: The envelope, nats, NaN where there is no curve, shape `(n_flops,)`.
        steps: Sizes on the envelope in ascending order of compute, the refused spans too.
        hand_overs: Hand-overs between the steps, in ascending order of compute.
        trends: Power laws through the hand-overs. Their `misfit` and `tau` are NaN: runs are
            resampled, with whatever makes them scatter, and not their noise.
    """

    bootstrap: Bootstrap
    share_defined: float
    share_reordered: float
    curves: tuple[LearningCurve, ...] = field(repr=False)
    flops: Floats = field(repr=False)
    loss: Floats = field(repr=False)
    steps: tuple[Step, ...]
    hand_overs: tuple[HandOver, ...]
    trends: Exponents[Trend]

    def summary(self) -> str:
        """Returns the envelope as a plain-text table."""
        lines = [f"{'FLOPs':>22}   parameters of the lowest loss ({len(self.curves)} curves)"]
        for step in self.steps:
            size = "" if step.n_params is None else f"{step.n_params:.4g}"
            refused = "" if step.refusal is None else f"refused, {step.refusal}: {step.reason}"
            parts = [part for part in (size, refused) if part]
            lines.append(f"{step.flops_low:>10.3g} {step.flops_high:>11.3g}   {', '.join(parts)}")
        lines += [
            f"{name:>6} = {trend}, {trend.n_points} hand-overs"
            for name, trend in zip(NAMES, self.trends, strict=True)
        ]
        lines.append(f"{100 * self.bootstrap.level:g} % intervals over resampled runs")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain values, without the curves themselves."""
        return plain(
            {
                "level": self.bootstrap.level,
                "n_replicates": self.bootstrap.n,
                "seed": self.bootstrap.seed,
                "n_runs": len(self.curves),
                "share_defined": self.share_defined,
                "share_reordered": self.share_reordered,
                "steps": [step._asdict() for step in self.steps],
                "hand_overs": [each._asdict() for each in self.hand_overs],
                "trends": {name: t.to_dict() for name, t in self.trends._asdict().items()},
            }
        )
