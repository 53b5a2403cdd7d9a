"""`scaling laws`: the published laws listed, shown, and laid side by side over compute."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import FitError
from analysis.estimate import factor_text
from analysis.guards import positive
from analysis.latex import tabular
from analysis.published import library
from analysis.published.entry import Entry
from analysis.published.optimum import MOST_BEYOND, Best, best_model, given
from analysis.writing import plain
from experiments.commands.console import console, print_table, write_text
from experiments.commands.options.analyses import LawsOptions
from sweeps.files import storing

if TYPE_CHECKING:
    import pandas as pd

_REFERENCE = 1e21  # FLOPs at which the list gives the best model
_MOST_FLOPS = 1e100
_DRAWN = (1e-4, 10.0)  # from, to, in multiples of the budget
_N_DRAWN = 21

Found = list[tuple[Entry, Best]]
"""Laws with the best model by each."""


def run(options: LawsOptions) -> int:
    """Lists, shows or compares published laws."""
    if options.action == "list":
        return _list()
    if options.action == "show":
        return _show(options)
    return _compare(options)


def _list() -> int:
    rows = []
    for name in library.names():
        entry = library.find(name)
        predicts = ", ".join(dict.fromkeys(curve.signature for curve in entry.curves))
        rows.append((name, predicts, _ratio(entry), entry.title))
    headings = ("law", "predicts", f"D/N at {_REFERENCE:.0e}", "what it says")
    print_table(headings, rows, ("left", "left", "right", "left"))
    console.print("\n`scaling laws show NAME` prints constants, conventions, range and doubts.")
    return 0


def _ratio(entry: Entry) -> str:
    try:
        return f"{best_model(entry, _REFERENCE).tokens_per_parameter:.3g}"
    except ValueError:
        return ""


def _show(options: LawsOptions) -> int:
    if options.name is None:
        raise ValueError(
            "which law? give its name, e.g. `scaling laws show hoffmann2022-approach3`"
        )
    known = options.name in library.names()
    several = () if known else library.of_paper(options.name)
    entries = [library.find(name) for name in several or (options.name,)]
    console.print("\n\n\n".join("\n".join(_described(entry)) for entry in entries), soft_wrap=True)
    if options.json is not None:
        found = [_as_dict(entry) for entry in entries]
        text = json.dumps(plain(found if several else found[0]), indent=1, allow_nan=False)
        write_text(options.json, text)
    return 0


def _described(entry: Entry) -> Iterator[str]:
    yield f"{entry.name}: {entry.title}"
    yield f"{entry.paper}"
    for curve in entry.curves:
        yield ""
        yield f"{curve.name} ({curve.where})"
        units = "".join(f", {name} in {unit}" for name, unit in curve.units.items())
        yield f"  {curve.law.formula}, predicts {curve.output}{units}"
        for name, value in curve.constants.items():
            error = f" +- {curve.errors[name]:g}" if name in curve.errors else ""
            yield f"  {name} = {value:g}{error}"
        for name, (low, high) in curve.ranges.items():
            yield f"  data: {name} from {low:.3g} to {high:.3g}"
    yield ""
    for what, text in (
        ("loss", entry.loss),
        ("N", entry.parameters),
        ("D", entry.tokens),
        ("C", entry.compute),
        ("data", entry.data),
    ):
        if text:
            yield f"{what}: {text}"
    if entry.printed:
        yield ""
        yield "the paper prints, and this law gives"
        for printed in entry.printed:
            what = printed.quantity if printed.quantity != "y" else printed.curve
            at = ", ".join(f"{name} = {value:g}" for name, value in printed.at.items())
            where = f" at {at}" if at else ""
            yield (
                f"  {what}{where}: {printed.value:g}, {given(entry, printed):.4g} ({printed.where})"
            )
    if entry.later:
        yield ""
        yield "found later"
        yield from (f"  {each}" for each in entry.later)


def _as_dict(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "title": entry.title,
        "paper": entry.paper,
        "conventions": {
            "loss": entry.loss,
            "parameters": entry.parameters,
            "tokens": entry.tokens,
            "compute": entry.compute,
        },
        "data": entry.data,
        "later": entry.later,
        "curves": [
            {
                "name": curve.name,
                "form": curve.law.name,
                "formula": curve.law.formula,
                "output": curve.output,
                "constants": curve.constants,
                "errors": curve.errors,
                "units": curve.units,
                "ranges": curve.ranges,
                "where": curve.where,
            }
            for curve in entry.curves
        ],
    }


def _compare(options: LawsOptions) -> int:
    if options.flops is None:
        raise ValueError("compare at which compute? give --flops, e.g. --flops 1e24")
    flops = float(positive("--flops", options.flops, "give e.g. 1e24"))
    if not 1 <= flops <= _MOST_FLOPS:
        raise ValueError(
            f"--flops {flops:g}: a budget is between 1 and {_MOST_FLOPS:g} FLOPs; give e.g. 1e24"
        )
    entries = [library.find(name) for name in (*library.names(), *options.law)]
    found, left_out = _best_of(entries, flops, math.inf if options.far else MOST_BEYOND)
    headings = ("law", "N", "D", "D/N", "loss", "unit of loss", "beyond its data")
    rows = [_row(entry, best) for entry, best in found]
    console.print(f"the best model for {flops:.4g} FLOPs")
    print_table(headings, rows, ("left", "right", "right", "right", "right", "left", "left"))
    console.print(
        "\nLosses of different tokenizers and texts do not compare. N is counted as each paper "
        "does (`scaling laws show NAME`).",
        soft_wrap=True,
    )
    unknown = [entry.name for entry, best in found if best.factor is None]
    if unknown:
        console.print(
            f"The range of the data of {', '.join(unknown)} is not known: how far {flops:.4g} "
            "FLOPs lie beyond it is not checked.",
            soft_wrap=True,
        )
    for name, reason in left_out.items():
        console.print(f"left out: {name}: {reason}", soft_wrap=True)
    if options.json is not None:
        write_text(options.json, json.dumps(plain(_best_dict(flops, found)), indent=1))
    if options.latex is not None:
        write_text(options.latex, "\n".join(tabular(headings, rows, "lrrrrll")))
    if options.figure is not None:
        _draw(_table([entry for entry, _ in found], flops), flops, Path(options.figure))
    return 0


def _best_of(entries: list[Entry], flops: float, most: float) -> tuple[Found, dict[str, str]]:
    """The best model by each law that gives one, and why others are left out."""
    found: Found = []
    left_out: dict[str, str] = {}
    for entry in entries:
        try:
            best = best_model(entry, flops)
        except FitError as error:
            left_out[entry.name] = str(error)
        except ValueError:
            continue  # it gives no best model: nothing to compare
        else:
            if best.factor is not None and best.factor > most:
                left_out[entry.name] = (
                    f"{factor_text(best.factor)} times beyond its data, and at most {most:g} is "
                    "allowed; --far keeps it"
                )
            else:
                found.append((entry, best))
    return found, left_out


def _row(entry: Entry, best: Best) -> tuple[str, ...]:
    beyond = "" if best.factor is None or best.factor <= 1 else f"{factor_text(best.factor)} x"
    inferred = {"N": "N = C/(6 D)", "D": "D = C/(6 N)", "": ""}[best.inferred]
    return (
        entry.name,
        f"{best.parameters:.3g}",
        f"{best.tokens:.3g}",
        f"{best.tokens_per_parameter:.3g}",
        "" if best.loss is None else f"{best.loss:.4g}",
        "" if best.loss is None else entry.loss.split(",")[0],
        ", ".join(filter(None, (beyond or ("unknown" if best.factor is None else ""), inferred))),
    )


def _best_dict(flops: float, found: Found) -> dict[str, object]:
    return {
        "flops": flops,
        "best": [
            {
                "law": entry.name,
                "parameters": best.parameters,
                "tokens": best.tokens,
                "tokens_per_parameter": best.tokens_per_parameter,
                "loss": best.loss,
                "loss_unit": entry.loss,
                "beyond": best.factor,
                "inferred": best.inferred,
            }
            for entry, best in found
        ],
    }


def _table(entries: list[Entry], flops: float) -> pd.DataFrame:
    """The best model over compute by each law, a row each."""
    import pandas as pd  # which a list of laws does not need

    rows = []
    for entry in entries:
        for budget in np.geomspace(flops * _DRAWN[0], flops * _DRAWN[1], _N_DRAWN):
            best = best_model(entry, float(budget))
            rows.append(
                {
                    "law": entry.name,
                    "flops": budget,
                    "parameters": best.parameters,
                    "tokens": best.tokens,
                    "tokens_per_parameter": best.tokens_per_parameter,
                    "beyond": math.nan if best.factor is None else best.factor,
                }
            )
    return pd.DataFrame(rows)


def _draw(table: pd.DataFrame, flops: float, stem: Path) -> None:
    from analysis.plots import style
    from analysis.plots.published import published_figure
    from analysis.tables import results

    known = _named_models(flops * _DRAWN[0], flops * _DRAWN[1])
    with storing(stem):
        written = style.save(published_figure(table, flops, known), stem)
        results.write(table, stem.with_suffix(".csv"))
    console.print(f"{', '.join(map(str, (*written, stem.with_suffix('.csv'))))}: written")


def _named_models(low: float, high: float) -> pd.DataFrame:
    """Named models whose compute, parameters and tokens are known, within a range of compute."""
    import pandas as pd

    from analysis.named_models.registry import models

    rows = [
        {
            "model": model.name,
            "flops": model.flops,
            "parameters": model.active,
            "tokens_per_parameter": model.tokens / model.active,
        }
        for model in models()
        if model.flops and model.active and model.tokens and low <= model.flops <= high
    ]
    columns = ["model", "flops", "parameters", "tokens_per_parameter"]
    return pd.DataFrame(rows, columns=columns)
