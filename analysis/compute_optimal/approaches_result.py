"""Results of the approaches of Hoffmann et al. on one table, as rows of one report."""

import textwrap
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeAlias

from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.compute_optimal.growth import Exponents, Growth, Trend
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.estimate import Estimate
from analysis.fitting.result import FitResult
from analysis.writing import JsonResult, plain

Status = Literal["estimated", "doubtful", "refused", "not applicable"]
"""Whether an approach has an answer, and whether that is in doubt."""

LONGEST_LINE = 160
"""Characters of the line that says why an approach is refused or doubtful."""

Detail: TypeAlias = EnvelopeResult | IsoflopResult | FitResult
"""The analysis behind an approach."""


class ApproachKind(Enum):
    """The approaches of Hoffmann et al. and the forms of them; the value is the printed title."""

    ENVELOPE = "1 envelope"
    """Approach 1, the envelope of learning curves."""

    PARABOLA = "2 parabola"
    """Approach 2, minima of parabolas through iso-FLOP points."""

    AKIMA = "2 Akima"
    """Approach 2, minima of Akima's interpolation of iso-FLOP points."""

    HUBER = "3 Huber 0.001"
    """Approach 3, a parametric fit by Huber's loss on log loss."""

    SQUARED = "3 squared error"
    """Approach 3, a parametric fit by squared error."""

    @property
    def title(self) -> str:
        """The number of the approach, and which form of it."""
        return self.value


@dataclass(frozen=True, eq=False)
class Approach:
    """One approach on one table.

    Attributes:
        kind: Which approach.
        status: Whether there is an answer, and whether that is in doubt.
        reason: The refusal in a line, or the doubts; empty without either.
        explanation: Details of a refusal, for a report; may be empty.
        exponents: The power laws; None where refused or not applicable; so are the next three.
        optimal_params: N* at the compute of the report.
        tokens_per_param: D* / N* there.
        detail: The analysis behind it.
    """

    kind: ApproachKind
    status: Status
    reason: str
    explanation: str = ""
    exponents: Exponents[Growth] | None = None
    optimal_params: Estimate | None = None
    tokens_per_param: Estimate | None = None
    detail: Detail | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns the approach as plain values, without replicates."""
        values: dict[str, Any] = {
            "name": self.kind.title,
            "status": self.status,
            "reason": self.reason,
            "explanation": self.explanation,
        }
        values |= {name: None for name in ("a", "b", "optimal_params", "tokens_per_param", "laws")}
        if self.exponents is None:
            return values
        assert self.optimal_params is not None and self.tokens_per_param is not None
        return values | {
            "a": _ends(self.exponents.params.exponent),
            "b": _ends(self.exponents.tokens.exponent),
            "optimal_params": _ends(self.optimal_params),
            "tokens_per_param": _ends(self.tokens_per_param),
            "laws": {name: _law(law) for name, law in self.exponents._asdict().items()},
        }


@dataclass(frozen=True, eq=False)
class Approaches(JsonResult):
    """All approaches on one table, from `analysis.compute_optimal.approaches.three_approaches`.

    Attributes:
        flops: The compute at which optima are reported, FLOPs.
        compute: The smallest and the largest of the table, FLOPs.
        level: Nominal coverage of the intervals.
        rows: The approaches in order, also those that cannot be done.
        notes: Sentences on the rows that they took, and on what to distrust.
    """

    flops: float
    compute: tuple[float, float]
    level: float
    rows: tuple[Approach, ...]
    notes: tuple[str, ...]

    def of(self, kind: ApproachKind) -> Approach:
        """Returns one approach."""
        return next(row for row in self.rows if row.kind is kind)

    def cells(self) -> list[tuple[str, ...]]:
        """Returns the headings, then the exponents and optima of each approach, as text."""
        at = f"N* at {self.flops:.3g} FLOPs"
        table: list[tuple[str, ...]] = [("approach", "a", "b", at, "D*/N* there")]
        for row in self.rows:
            if row.exponents is None:
                table.append((row.kind.title, row.status, "", "", ""))
            else:
                a, b = row.exponents.params.exponent, row.exponents.tokens.exponent
                both = (f"{a.value:.4f} [{a.low:.4f}, {a.high:.4f}]" for a in (a, b))
                optima = (str(row.optimal_params), str(row.tokens_per_param))
                table.append((row.kind.title, *both, *optima))
        return table

    def legend(self) -> str:
        """Returns what the symbols and intervals of `cells` mean."""
        return (
            f"N* ~ C^a, D* ~ C^b; {100 * self.level:g} % intervals: over resampled runs (1), "
            "seed noise (2), redrawn runs or residuals (3)"
        )

    def doubts(self) -> list[str]:
        """Returns why approaches are refused or doubtful, one line each, then the notes.

        A long reason is cut; `to_json` holds all of it.
        """
        doubted = (row for row in self.rows if row.reason)
        lines = [f"{row.kind.title}, {row.status}: {row.reason}" for row in doubted]
        short = [textwrap.shorten(line, LONGEST_LINE, placeholder=" ...") for line in lines]
        return [*short, *self.notes]

    def summary(self) -> str:
        """Returns the approaches as a plain-text table, and the doubts."""
        table = self.cells()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)
            ).rstrip()
            for cells in table
        ]
        return "\n".join([*lines, "", self.legend(), *self.doubts()])

    def to_dict(self) -> dict[str, Any]:
        """Returns the rows as plain values, without replicates."""
        return plain(
            {
                "flops": self.flops,
                "compute": self.compute,
                "level": self.level,
                "notes": self.notes,
                "approaches": [row.to_dict() for row in self.rows],
            }
        )

    def details(self) -> dict[str, dict[str, Any]]:
        """Returns the analyses behind the approaches as plain values, by title."""
        return {row.kind.title: row.detail.to_dict() for row in self.rows if row.detail}


def _law(law: Growth) -> dict[str, Any]:
    return {
        "exponent": _ends(law.exponent),
        "exponent_se": law.exponent_se,
        "tau": law.tau if isinstance(law, Trend) else None,
        "flops_ref": law.x_ref,
        "value_ref": _ends(law.value_ref),
    }


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
