"""What the approaches of Hoffmann et al. found on one table, as rows of one report."""

import textwrap
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from analysis import writing
from analysis.compute_optimal.envelope_result import EnvelopeResult
from analysis.compute_optimal.growth import Growth
from analysis.compute_optimal.isoflop_result import IsoflopResult
from analysis.estimate import Estimate
from analysis.fitting.result import FitResult

Status = Literal["estimated", "doubtful", "refused", "not applicable"]
"""Whether an approach has an answer, and one without a doubt to tell."""

LONGEST_LINE = 160
"""Characters of the line that says why an approach is refused or doubtful."""

Detail: TypeAlias = EnvelopeResult | IsoflopResult | FitResult
"""The analysis behind an approach."""


class Exponents(NamedTuple):
    """Power laws in compute.

    Attributes:
        params: N*, parameters; its exponent is a.
        tokens: D*, training tokens; its exponent is b.
        tokens_per_param: D* / N*.
    """

    params: Growth
    tokens: Growth
    tokens_per_param: Growth


@dataclass(frozen=True, eq=False)
class Approach:
    """One approach on one table.

    Attributes:
        name: The number of the approach, and which form of it.
        status: Whether there is an answer, and one without a doubt.
        reason: The refusal or the doubts; empty without either.
        exponents: The power laws; None where refused or not applicable; so are the next three.
        optimal_params: N* at the compute of the report.
        tokens_per_param: D* / N* there.
        detail: The analysis behind it.
    """

    name: str
    status: Status
    reason: str
    exponents: Exponents | None
    optimal_params: Estimate | None
    tokens_per_param: Estimate | None
    detail: Detail | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Approaches:
    """All approaches on one table, from `analysis.compute_optimal.approaches.three_approaches`.

    Attributes:
        flops: The compute at which optima are told, FLOPs.
        compute: The smallest and the largest of the table, FLOPs.
        level: Probability with which an interval is to cover.
        rows: The approaches in order, those that cannot be done too.
        notes: What else to know of the rows they took.
    """

    flops: float
    compute: tuple[float, float]
    level: float
    rows: tuple[Approach, ...]
    notes: tuple[str, ...]

    def cells(self) -> list[tuple[str, ...]]:
        """Returns the headings, then the exponents and optima of each approach, as text."""
        at = f"N* at {self.flops:.3g} FLOPs"
        table: list[tuple[str, ...]] = [("approach", "a", "b", at, "D*/N* there")]
        for row in self.rows:
            if row.exponents is None:
                table.append((row.name, row.status, "", "", ""))
            else:
                a, b = row.exponents.params.exponent, row.exponents.tokens.exponent
                both = (f"{a.value:.4f} [{a.low:.4f}, {a.high:.4f}]" for a in (a, b))
                table.append((row.name, *both, str(row.optimal_params), str(row.tokens_per_param)))
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
        lines = [f"{row.name}, {row.status}: {row.reason}" for row in self.rows if row.reason]
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

    def to_json(self) -> str:
        """The rows as strict JSON, without replicates; null where there is no number."""
        return writing.dumps(
            {
                "flops": self.flops,
                "compute": self.compute,
                "level": self.level,
                "notes": self.notes,
                "approaches": [_plain(row) for row in self.rows],
            }
        )


def _plain(row: Approach) -> dict[str, Any]:
    values: dict[str, Any] = {"name": row.name, "status": row.status, "reason": row.reason}
    values |= {name: None for name in ("a", "b", "optimal_params", "tokens_per_param", "laws")}
    if row.exponents is None:
        return values
    assert row.optimal_params is not None and row.tokens_per_param is not None
    return values | {
        "a": _ends(row.exponents.params.exponent),
        "b": _ends(row.exponents.tokens.exponent),
        "optimal_params": _ends(row.optimal_params),
        "tokens_per_param": _ends(row.tokens_per_param),
        "laws": {
            name: {
                "exponent": _ends(law.exponent),
                "exponent_se": law.exponent_se,
                "flops_ref": law.flops_ref,
                "value_ref": _ends(law.value_ref),
            }
            for name, law in row.exponents._asdict().items()
        },
    }


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
