"""A fit as a plain-text table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.losses import named

if TYPE_CHECKING:
    from analysis.fit_result import FitResult
    from analysis.resampling import Resampling

_BOOTSTRAP: dict[Resampling, str] = {
    "residuals": "residuals redrawn",
    "within_x": "residuals redrawn within each x",
    "units": "residuals of units redrawn",
    "parametric": "noise drawn anew",
    "rows": "rows redrawn",
    "sandwich": "limit of rows redrawn, a normal",
}


def plain_table(result: FitResult) -> str:
    """The verdict, the parameters and what is derived from them, the objective, the bootstrap."""
    how = result.bootstrap
    width = max(len("parameter"), *map(len, result.params))
    units = "" if how.n_units is None else f", {how.n_units} units"
    freedom = (
        ""
        if how.degrees_of_freedom is None
        else f"{how.degrees_of_freedom:.4g} degrees of freedom, "
    )
    kind = "log residuals" if result.scale == "log" else "residuals"
    rms = float(np.sqrt(np.mean(result.residuals**2)))
    lines = [
        f"{result.law.name}: {result.law.formula}",
        f"{result.verdict}: {result.reason}",
        "",
        f"{'parameter':<{width}} {'estimate':>13} {'std. error':>13}   "
        f"{100 * result.level:g} % interval",
        *(
            f"{name:<{width}} {value:>13.6g} {'held':>13}"
            if name in result.fixed
            else f"{name:<{width}} {value:>13.6g} {result.standard_errors[name]:>13.3g}   "
            f"[{result.intervals[name][0]:.6g}, {result.intervals[name][1]:.6g}]"
            for name, value in result.params.items()
        ),
        *(
            f"{name:<{width}} {value:>13.6g} {error:>13.3g}   [{low:.6g}, {high:.6g}]"
            for name, (value, error, (low, high)) in result.derived().items()
        ),
        "",
        f"{result.n_points} points, {kind} {rms:.3g} rms, objective {result.objective:.6g} "
        f"({named(result.delta, result.above)})",
        f"{result.n_starts_agreeing} of {result.n_starts} starts agree, gradient "
        f"{result.gradient_norm:.1e}, condition number {result.condition_number:.3g}",
        f"percentile bootstrap, {_BOOTSTRAP[how.resampling]}: {how.n_replicates} replicates"
        f"{units}, {freedom}seed {how.seed}",
    ]
    return "\n".join(lines)
