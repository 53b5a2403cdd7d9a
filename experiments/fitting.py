"""`scaling fit`: anybody's table -> a law, how far to trust it, and how other choices change it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from analysis import checks, sources
from analysis.errors import FitError
from analysis.files import replace_file
from analysis.fit import fit
from analysis.fit_result import FitResult
from analysis.flags import without_flagged
from analysis.laws import LAWS, Law
from experiments.screen import console
from scaling.fields import nearest
from sweeps.files import storing

HUBER = 1e-3
"""The usual threshold on log loss (Hoffmann et al. 2022, arXiv 2203.15556, section 3.3)."""

MOST_FLAGS = 10
"""Flagged rows told one by one; the JSON file tells all."""


def run(path: str, law_name: str, columns: str | None, delta: float | None, to: str | None) -> int:
    """Reads, checks and fits a table, and prints the fit beside its alternatives."""
    law = load_law(law_name)
    source = sources.read(path, columns, needs=(*law.inputs, "loss"))
    flags = checks.check(source.table)
    console.print(source.describe(), markup=False)
    _print_flags(flags)

    result = _fit(law, source.table, delta)
    console.print(f"\n{result.summary()}\n", markup=False)
    others = list(_alternatives(law, source.table, flags, delta))
    _print_alternatives(result, others)
    if to is not None:
        told = {
            "fit": json.loads(result.to_json()),
            "alternatives": {
                name: json.loads(other.to_json()) if isinstance(other, FitResult) else other
                for name, other in others
            },
            "flags": [
                {name: str(value) for name, value in flag.items()}
                for flag in flags.to_dict(orient="records")
            ],
            "source": {
                "path": str(source.path),
                "sha256": source.sha256,
                "format": source.format,
                "rows": len(source.table),
                "taken": dict(source.taken),
                "convention": source.convention,
            },
        }
        with storing(Path(to)):
            replace_file(Path(to), (json.dumps(told, indent=1, allow_nan=False) + "\n").encode())
        console.print(f"{to}: written", markup=False)
    return 0


def load_law(name: str) -> Law:
    """A law by its name, or a user's own as `module:NAME`.

    Raises:
        ValueError: no such law (the nearest name is given), or a module without it.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in LAWS:
            raise ValueError(f"no law {name!r}; {nearest(name, LAWS)}, or your own module:NAME")
        return LAWS[name]
    try:
        law = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"law {name!r}: {error}") from None
    if not isinstance(law, Law):
        raise ValueError(f"law {name!r} is a {type(law).__name__}, not an analysis.laws.Law")
    return law


def _fit(law: Law, table: pd.DataFrame, delta: float | None) -> FitResult:
    x = table.loc[:, list(law.inputs)].to_numpy(np.float64)
    return fit(law, x, table["loss"].to_numpy(np.float64), delta=delta)


def _alternatives(
    law: Law, table: pd.DataFrame, flags: pd.DataFrame, delta: float | None
) -> Iterator[tuple[str, FitResult | str]]:
    """The same law under the other choices: the other loss, and without the flagged rows."""
    other = HUBER if delta is None else None
    kept = without_flagged(table, flags)
    choices = [(f"all rows, {_loss(other)}", table, other)]
    if len(kept) < len(table):
        choices += [(f"without flagged rows, {_loss(d)}", kept, d) for d in (delta, other)]
    for name, rows, d in choices:
        try:
            yield f"{name} ({len(rows):,})", _fit(law, rows, d)
        except (ValueError, FitError) as error:
            yield name, str(error)


def _loss(delta: float | None) -> str:
    return "squared error" if delta is None else f"Huber {delta:g}"


def _print_flags(flags: pd.DataFrame) -> None:
    for _, flag in flags.head(MOST_FLAGS).iterrows():
        console.print(f"  {flag['reason']}: {flag['detail']}", markup=False)
    if len(flags) > MOST_FLAGS:
        console.print(f"  and {len(flags) - MOST_FLAGS:,} more")
    if len(flags):
        console.print("flagged rows are kept; the table below says what they change")


def _print_alternatives(result: FitResult, others: list[tuple[str, FitResult | str]]) -> None:
    listing = Table(box=None, padding=(0, 2, 0, 0))
    listing.add_column("how it would change")
    for name in result.params:
        listing.add_column(name, justify="right")
    told: list[tuple[str, FitResult | str]] = [("this fit", result), *others]
    for name, fitted in told:
        if isinstance(fitted, str):
            listing.add_row(name, fitted)
        else:
            listing.add_row(name, *(f"{value:.5g}" for value in fitted.params.values()))
    console.print(listing)
