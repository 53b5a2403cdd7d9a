"""Published laws beside a fit: how well each predicts the rows that were fitted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.fitting.result import FitResult
from analysis.published import library
from analysis.published.entry import Curve, Entry
from experiments.commands.console import console, print_table

_UNIT = "nats/token"  # of the losses of a table


@dataclass(frozen=True)
class Beside:
    """A published law at the rows of a fit.

    Attributes:
        law: Its name.
        curve: The curve that takes the table's inputs.
        bias: Mean of log y - log law.
        rms: Root mean square of it.
        beyond: Largest factor by which rows lie outside its data; 1 inside, None where unknown.
        unit: Unit of its loss, with tokenizer and text.
        parameters: How it counts N; "" where it takes none.
        residuals: log y - log law of each row.
    """

    law: str
    curve: str
    bias: float
    rms: float
    beyond: float | None
    unit: str
    parameters: str
    residuals: Floats

    def to_dict(self) -> dict[str, object]:
        """Returns plain values, without the residuals."""
        return {name: value for name, value in asdict(self).items() if name != "residuals"}


def found(names: Sequence[str], table: pd.DataFrame, output: str) -> tuple[Beside, ...]:
    """Evaluates published laws at the rows of a table.

    Args:
        names: Names of laws, or paths of a user's own.
        table: The rows, inputs counted one by one.
        output: What the fit predicts.

    Raises:
        ValueError: An unknown law, one of another output or unit, or of inputs that are not there.
    """
    return tuple(_beside(library.find(name), table, output) for name in names)


def _beside(entry: Entry, table: pd.DataFrame, output: str) -> Beside:
    curve = _curve(entry, table, output)
    if output == "loss" and entry.loss_unit != _UNIT:
        raise ValueError(
            f"--beside {entry.name}: its loss is in {entry.loss}, that of the table in {_UNIT}, "
            "and they do not compare: choose another law from `scaling laws`"
        )
    at = {name: table[name].to_numpy(np.float64) for name in curve.law.inputs}
    residuals = np.log(table[output].to_numpy(np.float64)) - np.log(curve.predict(at))
    outside = curve.beyond(at)
    return Beside(
        law=entry.name,
        curve=curve.name,
        bias=float(np.mean(residuals)),
        rms=float(np.sqrt(np.mean(residuals**2))),
        beyond=max(outside.values(), default=1.0) if curve.ranges else None,
        unit=entry.loss,
        parameters=entry.parameters if "N" in curve.law.inputs else "",
        residuals=residuals,
    )


def _curve(entry: Entry, table: pd.DataFrame, output: str) -> Curve:
    """The curve of most inputs that the table has."""
    fitting = [
        curve
        for curve in entry.curves
        if curve.output == output and set(curve.law.inputs) <= set(table)
    ]
    if not fitting:
        gives = dict.fromkeys(each.signature for each in entry.curves)
        raise ValueError(
            f"--beside {entry.name}: no curve of it gives {output} from the columns of the table; "
            f"it gives {', '.join(gives)}. Choose another law from `scaling laws`"
        )
    return max(fitting, key=lambda curve: len(curve.law.inputs))


def show(result: FitResult, laws: Sequence[Beside]) -> None:
    """Prints the laws under the fit that they stand beside."""
    if not laws:
        return
    own = float(np.sqrt(np.mean(result.residuals**2)))
    rows = [("this fit", "", f"{own:.4f}", "")]
    for each in laws:
        far = (
            "unknown" if each.beyond is None else "" if each.beyond <= 1 else f"{each.beyond:.3g} x"
        )
        rows.append((each.law, f"{each.bias:+.4f}", f"{each.rms:.4f}", far))
    console.print("beside published laws: log of the rows over the law")
    print_table(("law", "mean", "rms", "beyond its data"), rows, ("left", "right", "right", "left"))
    for each in laws:
        if each.parameters:
            console.print(f"{each.law} counts N: {each.parameters}", soft_wrap=True)
    units = dict.fromkeys(each.unit for each in laws if each.unit)
    if units:
        console.print(f"their losses are in {'; '.join(units)}: other tokenizers and texts do not "
                      "compare\n", soft_wrap=True)  # fmt: skip
