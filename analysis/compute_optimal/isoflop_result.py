"""Result of an iso-FLOP analysis: the valley of each budget, and power laws through the minima."""

from dataclasses import asdict, dataclass
from typing import Any

from analysis.compute_optimal.growth import NAMES, Exponents, Trend
from analysis.compute_optimal.points import KnownNoise
from analysis.compute_optimal.valley import Curve, Valley
from analysis.estimate import Bootstrap, Estimate
from analysis.writing import JsonResult, plain

ONE_MINIMUM = "Only one budget has a minimum; an exponent needs two. Add budgets."


@dataclass(frozen=True)
class BudgetValley(Valley):
    """The valley of a compute budget: `group` is FLOPs, `x` parameters and `other` tokens."""

    @property
    def flops(self) -> float:
        """The budget, FLOPs."""
        return self.group

    @property
    def n_params(self) -> tuple[float, ...]:
        """Distinct sizes, ascending."""
        return self.x

    @property
    def tokens(self) -> tuple[float, ...]:
        """Training tokens of each size."""
        assert self.other is not None
        return self.other

    @property
    def optimal_params(self) -> Estimate | None:
        """Size at the minimum; None where refused."""
        return self.optimum

    @property
    def optimal_tokens(self) -> Estimate | None:
        """Tokens at the minimum; None where refused."""
        return self.optimal_other

    @property
    def tokens_per_param(self) -> Estimate | None:
        """D* / N*; None where refused.

        At fixed compute D falls as N grows, so the ends of the interval are those of D* and N*.
        """
        size, data = self.optimal_params, self.optimal_tokens
        if size is None or data is None:
            return None
        high = data.high / size.low if size.low > 0 else float("inf")
        return Estimate(data.value / size.value, data.low / size.high, high, size.level)

    def to_dict(self) -> dict[str, Any]:
        """Returns the valley as plain values, with the names of its quantities."""
        names = {
            "group": "flops",
            "x": "n_params",
            "other": "tokens",
            "curve_x": "curve_n_params",
            "optimum": "optimal_params",
            "optimal_other": "optimal_tokens",
        }
        return {names.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class IsoflopResult(JsonResult):
    """Minima of all budgets and the power laws through them.

    Attributes:
        curve: How minima were found.
        noise: The noise behind the intervals.
        bootstrap: The replicates and the level of the intervals.
        valleys: Every budget in ascending order, the refused ones too.
        trends: The power laws; None where only one budget has a minimum.
    """

    curve: Curve
    noise: KnownNoise
    bootstrap: Bootstrap
    valleys: tuple[BudgetValley, ...]
    trends: Exponents[Trend] | None

    def summary(self) -> str:
        """Returns the analysis as a plain-text table."""
        lines = [
            f"{'FLOPs':>10} {'sizes':>6}   optimal parameters, tokens and loss "
            f"({self.curve.method}, {100 * self.bootstrap.level:g} % intervals)"
        ]
        for valley in self.valleys:
            found = f"{valley.optimal_params}, {valley.optimal_tokens}, {valley.lowest_loss}"
            parts = [found] if valley.refusal is None else [f"refused, {valley.refusal}"]
            parts += [valley.reason] if valley.reason else []
            lines.append(
                f"{valley.flops:>10.3g} {sum(valley.used):>2} of {len(valley.used):<2}   "
                f"{': '.join(parts)}"
            )
        if self.trends is None:
            return "\n".join([*lines, "", ONE_MINIMUM])
        for name, trend in zip(NAMES, self.trends, strict=True):
            parts = [f"{name:>6} = {trend}", f"{trend.n_points} budgets", trend.scatter()]
            lines.append(", ".join(part for part in parts if part))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain values."""
        trends = self.trends
        return plain(
            {
                "method": self.curve.method,
                "span": self.curve.span,
                "noise": asdict(self.noise),
                "level": self.bootstrap.level,
                "n_replicates": self.bootstrap.n,
                "seed": self.bootstrap.seed,
                "valleys": [valley.to_dict() for valley in self.valleys],
                "trends": trends and {name: t.to_dict() for name, t in trends._asdict().items()},
            }
        )
