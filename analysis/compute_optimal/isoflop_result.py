"""What an iso-FLOP analysis found: every budget's valley, and the power laws through the minima."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from analysis import writing
from analysis.compute_optimal.growth import Trend
from analysis.compute_optimal.seed_noise import SeedNoise
from analysis.compute_optimal.valley import Method, Valley


class Trends(NamedTuple):
    """Power laws in compute through the minima.

    Attributes:
        params: N*, parameters.
        tokens: D*, training tokens.
        tokens_per_param: D* / N*.
    """

    params: Trend
    tokens: Trend
    tokens_per_param: Trend


@dataclass(frozen=True, eq=False)
class IsoflopResult:
    """Minima of all budgets and the power laws through them.

    Attributes:
        method: How minima were found.
        span: Largest ratio of a size to that of the lowest loss for a parabola; None without limit.
        noise: The noise behind the intervals.
        level: Probability with which an interval is to cover.
        n_replicates: Bootstrap replicates.
        seed: Seed of the bootstrap.
        valleys: Every budget in ascending order, the refused ones too.
        trends: The power laws; None where only one budget has a minimum.
    """

    method: Method
    span: float | None
    noise: SeedNoise
    level: float
    n_replicates: int
    seed: int
    valleys: tuple[Valley, ...]
    trends: Trends | None

    def summary(self) -> str:
        """The analysis as a plain-text table."""
        lines = [
            f"{'FLOPs':>10} {'sizes':>6}   optimal parameters, tokens and loss "
            f"({self.method}, {100 * self.level:g} % intervals)"
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
            return "\n".join([*lines, "", "one minimum makes no exponent: add budgets"])
        names = ("N*", "D*", "D*/N*")
        for name, trend in zip(names, self.trends, strict=True):
            lines.append(
                f"{name:>6} = {trend.coefficient:.4g} C^{trend.exponent}, "
                f"R2 {trend.r_squared:.4f}, {trend.n_budgets} budgets, scatter {trend.misfit:.2g} "
                "times the noise"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """The result as strict JSON; an open end of an interval, infinite, is null."""
        values: dict[str, Any] = {
            "method": self.method,
            "span": self.span,
            "noise": asdict(self.noise),
            "level": self.level,
            "n_replicates": self.n_replicates,
            "seed": self.seed,
            "valleys": [asdict(valley) for valley in self.valleys],
            "trends": None,
        }
        if self.trends is not None:
            values["trends"] = {name: asdict(t) for name, t in self.trends._asdict().items()}
        return writing.dumps(values)
