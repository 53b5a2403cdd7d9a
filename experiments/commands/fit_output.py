"""What `scaling fit` prints of a fit, and writes as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from analysis import writing
from analysis.estimate import interval_text
from analysis.fitting.profile import Profile
from analysis.fitting.result import FitResult
from experiments.commands.console import console, print_table

Alternative: TypeAlias = tuple[str, FitResult | dict[str, float] | str]
"""Another choice: its name, and the fit, its parameters alone, or why there is none."""


def print_profiles(profiles: Mapping[str, Profile] | str) -> None:
    """Prints profile-likelihood intervals, and which parameters the rows do not identify."""
    if isinstance(profiles, str):
        console.print(f"{profiles}\n")
        return
    rows = []
    for name, profile in profiles.items():
        reason = "" if profile.identifiable else profile.reason
        rows.append((name, interval_text(*profile.interval, ".6g"), reason))
    allows_for = {profile.allows_for for profile in profiles.values()} - {None}
    heading = ", ".join(["profile likelihood", *(f"for {each}" for each in allows_for)])
    print_table((heading, "interval", ""), rows)
    console.print()


def print_alternatives(result: FitResult, others: Sequence[Alternative]) -> None:
    """Prints the parameters under every choice, one line each."""
    rows, reasons = [], []
    for name, fitted in [("this fit", result), *others]:
        if isinstance(fitted, str):
            reasons.append(f"{name}: {fitted}")
        else:
            params = fitted.params if isinstance(fitted, FitResult) else fitted
            rows.append((name, *(f"{value:.5g}" for value in params.values())))
    headings = ("how it would change", *result.params)
    print_table(headings, rows, ("left", *("right" for _ in result.params)))
    for reason in reasons:
        console.print(reason)


def as_json(
    result: FitResult,
    profiles: Mapping[str, Profile] | str,
    others: Sequence[Alternative],
    flags: pd.DataFrame,
    about_rows: Mapping[str, Any],
) -> str:
    """Returns a fit with all that was printed of it, as strict JSON; an open end is null.

    `about_rows` holds where they come from (`source`) and doubts about them together (`doubts`).
    """
    values: dict[str, Any] = {
        "fit": result.to_dict(),
        "derived": {name: each._asdict() for name, each in result.derived().items()},
        "profiles": profiles
        if isinstance(profiles, str)
        else {name: profile.to_dict() for name, profile in profiles.items()},
        "alternatives": {
            name: _in_short(other) if isinstance(other, FitResult) else other
            for name, other in others
        },
        "flags": [
            {name: str(value) for name, value in flag.items()}
            for flag in flags.to_dict(orient="records")
        ],
        **about_rows,
    }
    return writing.dumps(values)


def _in_short(result: FitResult) -> dict[str, Any]:
    return {
        "params": result.params,
        "standard_errors": result.standard_errors,
        "intervals": result.intervals,
        "objective": result.objective,
        "n_points": result.n_points,
        "verdict": str(result.verdict),
        "reason": result.reason,
    }
