"""`scaling predict`: what a fit or a published law says at points, with intervals and distance."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.estimate import Floats, factor_text, interval_text
from analysis.published import library
from analysis.published.entry import TIMES, Curve, Entry
from analysis.tables import results
from analysis.tables.read import read
from analysis.writing import plain
from experiments.commands import counting
from experiments.commands.console import console, print_table, write_text
from experiments.commands.options.analyses import PredictOptions
from experiments.commands.pairs import AT
from sweeps.files import storing

WHICH = "give one of --fit FILE (of `scaling fit --json`) and --law NAME (of `scaling laws`)"

_SIZES = ("N", "D", "C")


def run(options: PredictOptions) -> int:
    """Predicts by a fit or by a published law; prints the points and writes them."""
    if (options.fit is None) == (options.law is None):
        raise ValueError(WHICH)
    if options.law is not None:
        table, notes = _by_law(options, library.find(options.law))
    else:
        assert options.fit is not None
        table, notes = _by_fit(options, options.fit)
    _print(table)
    if notes:
        console.print("\n" + "\n".join(notes), soft_wrap=True)
    if options.to is not None:
        path = Path(options.to)
        with storing(path):
            results.write(table, path)
        console.print(f"{path}: written")
    if options.json is not None:
        points = plain(table.to_dict(orient="records"))
        text = json.dumps({"points": points, "notes": notes}, indent=1, allow_nan=False)
        write_text(options.json, text)
    return 0


def _points(options: PredictOptions, inputs: Sequence[str]) -> dict[str, Floats]:
    """The inputs of the points asked for, each of shape `(n,)`.

    Raises:
        ValueError: No points, both kinds, or an input that a law does not have or misses.
    """
    if (options.at is None) == (options.points is None):
        raise ValueError(
            f"predict where? give one of --at {','.join(f'{name}=NUMBER' for name in inputs)} and "
            "--points TABLE"
        )
    if options.at is not None:
        at = AT.parse_numbers(options.at)
        for name, value in at.items():
            if value <= 0:
                raise ValueError(
                    f"--at {options.at}: {name} = {value:g}, but it is a number above 0; write "
                    f"{AT.form}"
                )
        return {name: np.array([value]) for name, value in at.items()}
    assert options.points is not None
    # The sizes of points may be all alike, where those of rows to fit may not.
    needs = [name for name in inputs if name not in _SIZES]
    found = read(options.points, options.columns, needs=needs).table
    missing = [name for name in inputs if name not in found]
    if missing:
        raise ValueError(
            f"{options.points} has no column for {', '.join(missing)}: name it, as in "
            f"--columns {missing[0]}=COLUMN"
        )
    return {name: found[name].to_numpy(np.float64) for name in inputs}


def _by_law(options: PredictOptions, entry: Entry) -> tuple[pd.DataFrame, list[str]]:
    if options.then is not None:
        raise ValueError("--then takes a loss from a fit: give --fit FILE in place of --law")
    curve = entry.curve(options.curve)
    at = _points(options, curve.law.inputs)
    if options.curve is None:
        _require_curve(entry, curve, at)
    counted = counting.as_counted(at, entry, options)
    predicted = curve.predict(counted)  # which also refuses inputs that the law does not have
    counting.require_near(curve, counted, options)
    table = pd.DataFrame({**at, curve.output: counting.in_unit(predicted, curve, entry, options)})
    table["beyond"] = _beyond(curve.ranges, counted)
    notes = [f"{entry.name}, {curve.name} ({curve.where}): {curve.law.formula}"]
    if curve.output == "loss" and entry.loss:
        notes.append(f"loss in {f'{options.unit}, of ' if options.unit else ''}{entry.loss}")
    if options.count not in (None, entry.count):
        notes.append(f"N is given as {options.count}, and taken as {entry.count}")
    elif "N" in at and entry.parameters:
        notes.append(f"N counts parameters {entry.parameters}")
    # What is no number of FLOPs is taken in the paper's unit.
    notes += [f"{name} is in {unit}" for name, unit in curve.units.items() if unit in TIMES]
    others = [each.name for each in entry.curves if each is not curve]
    if options.curve is None and others:
        notes.append(f"other curves of {entry.name}, by --curve: {', '.join(others)}")
    notes.append(f"no interval: {_why_none(curve)}")
    return table, [*notes, *_far(table)]


def _require_curve(entry: Entry, first: Curve, at: Mapping[str, Floats]) -> None:
    """Names the curves of a law that take the inputs given, where its first one does not."""
    fitting = [each.name for each in entry.curves if set(each.law.inputs) == set(at)]
    if fitting and first.name not in fitting:
        raise ValueError(
            f"{entry.name}, {first.name} is a law of {', '.join(first.law.inputs)}, not of "
            f"{', '.join(at)}: choose a curve of {', '.join(at)} by --curve "
            + " or --curve ".join(map(repr, fitting))
        )


def _why_none(curve: Curve) -> str:
    if curve.errors:
        return "standard errors alone are published, and constants of a law move together"
    return "none is published"


def _by_fit(options: PredictOptions, path: str) -> tuple[pd.DataFrame, list[str]]:
    # Published laws need nothing of what fits load.
    from analysis.planning.task_chain import chain
    from experiments.commands import fit_files

    fitted = fit_files.read(path)
    result = fitted.result
    law = result.law
    at = _points(options, law.inputs)
    _require_inputs(at, law.inputs, law.name)
    x = np.stack([at[name] for name in law.inputs], axis=-1)
    table = pd.DataFrame({**at, law.output: result.predict(x)})
    notes = [f"{law.name}, {result.verdict}: {result.reason}"]
    ends = result.predict_interval(x)
    table[f"{law.output}_low"], table[f"{law.output}_high"] = ends
    if result.loss.above == 1:
        table["new_run_low"], table["new_run_high"] = result.prediction_interval(x)
    else:
        notes.append("no interval of a new run: the fit seeks the floor of its rows (--above)")
    if options.then is not None:
        metric = fit_files.read(options.then)
        chained = chain(result, metric.result, losses=metric.ranges.get("loss"))
        output = chained.metric_fit.law.output
        table[output] = chained.predict(x)
        table[f"{output}_low"], table[f"{output}_high"] = chained.predict_interval(x)
        notes.extend(chained.notes(x))
    table["beyond"] = _beyond(fitted.ranges, at)
    return table, [*notes, *_far(table)]


def _require_inputs(at: Mapping[str, Floats], inputs: Sequence[str], law: str) -> None:
    if set(at) != set(inputs):
        wanted = ",".join(f"{name}=NUMBER" for name in inputs)
        raise ValueError(
            f"--at names {', '.join(at)}, but {law} is a law of {', '.join(inputs)}: give {wanted}"
        )


def _beyond(ranges: Mapping[str, tuple[float, float]], at: Mapping[str, Floats]) -> Floats:
    """How far each point lies outside the data, as the largest factor; 1 inside, NaN unknown."""
    known = [name for name in at if name in ranges]
    if not known:
        return np.full(len(next(iter(at.values()))), math.nan)
    with np.errstate(over="ignore"):
        factors = [
            np.maximum(at[name] / ranges[name][1], ranges[name][0] / at[name]) for name in known
        ]
    return np.maximum(np.max(factors, axis=0), 1.0)


def _far(table: pd.DataFrame) -> list[str]:
    beyond = table["beyond"].to_numpy(np.float64)
    if np.all(np.isnan(beyond)):
        return ["how far the points lie beyond the data is not known"]
    outside = int(np.sum(beyond > 1))
    if not outside:
        return []
    return [
        f"{outside} of {len(beyond)} points lie outside the data, the farthest by "
        f"{factor_text(beyond.max())} times: whether the law holds there is not known"
    ]


def _print(table: pd.DataFrame) -> None:
    columns: dict[str, list[str]] = {}
    for name in table:
        assert isinstance(name, str)
        if name.endswith("_high"):
            continue
        values = table[name].to_numpy(np.float64)
        if name.endswith("_low"):
            ends = zip(values, table[name.replace("_low", "_high")], strict=True)
            title = name.removesuffix("_low").replace("_", " ") + " interval"
            columns[title] = [interval_text(low, high, ".5g") for low, high in ends]
        elif name == "beyond":
            columns["beyond its data"] = [_factor(value) for value in values.tolist()]
        else:
            columns[name] = [f"{value:.5g}" for value in values]
    print_table(list(columns), list(zip(*columns.values(), strict=True)))


def _factor(value: float) -> str:
    return "unknown" if math.isnan(value) else "inside" if value <= 1 else f"{factor_text(value)} x"
