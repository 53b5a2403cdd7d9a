"""What an entry of the library holds: curves with constants, and the conventions behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import nearest_name
from analysis.estimate import Floats
from analysis.guards import positive
from analysis.laws.law import Law
from analysis.published.conversions import LOSS_UNITS, Count, LossUnit

Output = Literal[
    "loss", "N", "D", "flops_per_token", "batch", "learning_rate", "D_T", "error", "KL",
    "vocabulary_parameters", "width", "depth", "mlp_width",
]  # fmt: skip
"""What a curve predicts; sizes and D are those of the best model for a budget C."""

UNITS: Mapping[str, float] = {
    "1": 1.0,
    "FLOPs": 1.0,
    "PF-days": 8.64e19,
    "TPUv3-core-days": 1.0,
}
"""Units of inputs in published formulas, in FLOPs where they are compute.

A time on a device is no number of FLOPs: it is kept as it is, and predictions take it so.
"""

TIMES = frozenset({"TPUv3-core-days"})
"""Those units that are times on a device."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One equation with its constants.

    Attributes:
        name: Its name within the entry.
        law: The equation.
        constants: The numbers as printed.
        params: The law's parameters that follow from them, in the units of `units`.
        errors: Published standard errors of constants; empty where none was given.
        output: What it predicts.
        where: Table or equation of the paper.
        units: Unit of an input where it is not counted one by one, a name of `UNITS`.
        ranges: Least and largest value of each input in the data, counted one by one.
    """

    name: str
    law: Law
    constants: Mapping[str, float]
    params: Mapping[str, float]
    errors: Mapping[str, float]
    output: Output
    where: str
    units: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]

    @property
    def theta(self) -> Floats:
        """The law's coordinates, shape `(n_params,)`, in the units of `units`."""
        return self.law.to_theta(np.array([self.params[name] for name in self.law.params]))

    def predict(self, at: Mapping[str, ArrayLike]) -> Floats:
        """Returns the curve.

        Args:
            at: A number or an array for each input of the law, counted one by one (C in FLOPs);
                all broadcast to one shape.

        Returns:
            y, of that shape.

        Raises:
            ValueError: An input that is missing, unknown, or not positive and finite.
        """
        log_x = [np.log(column) for column in self._inputs(at)]
        shape = np.broadcast_shapes(*(column.shape for column in log_x))
        table = np.stack([np.broadcast_to(column, shape).ravel() for column in log_x], axis=-1)
        return np.exp(self.law.log_predict(self.theta, table)).reshape(shape)

    def beyond(self, at: Mapping[str, ArrayLike]) -> dict[str, float]:
        """Returns by what factor inputs lie outside the range of the data; only those that do."""
        found = {}
        for name, (low, high) in self.ranges.items():
            values = np.asarray(at[name], dtype=np.float64)
            factor = max(float(np.max(values)) / high, low / float(np.min(values)))
            if factor > 1:
                found[name] = factor
        return found

    @property
    def signature(self) -> str:
        """What it predicts of what, such as loss(N, D)."""
        return f"{self.output}({', '.join(self.law.inputs)})"

    def _inputs(self, at: Mapping[str, ArrayLike]) -> list[Floats]:
        for name in at:
            if name not in self.law.inputs:
                raise ValueError(
                    f"{self.name} is a law of {', '.join(self.law.inputs)}, not of {name}: "
                    f"{nearest_name(name, self.law.inputs)}"
                )
        missing = [name for name in self.law.inputs if name not in at]
        if missing:
            raise ValueError(
                f"{self.name} is a law of {', '.join(self.law.inputs)}, and {', '.join(missing)} "
                f"is not given: add {missing[0]}=NUMBER"
            )
        return [
            positive(name, at[name]) / UNITS[self.units.get(name, "1")] for name in self.law.inputs
        ]


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A number that the paper prints and the entry must give.

    Attributes:
        curve: Name of the curve; "" for the best model of a budget, whichever curves give it.
        quantity: "y" of the curve, the name of a number derived from it, or N, D or "loss" at the
            best model for `at["C"]`.
        at: The inputs.
        value: The number.
        tolerance: Largest relative difference: that of the digits printed.
        where: Table, figure or section.
    """

    curve: str
    quantity: str
    at: Mapping[str, float]
    value: float
    tolerance: float
    where: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A published law.

    Attributes:
        name: Its name, such as hoffmann2022-approach3.
        title: What it says.
        paper: Authors, year and identifier.
        loss: Unit of the loss with its tokenizer; "" where no curve predicts one.
        parameters: How N is counted.
        count: The same, where it is one of the ways that conversions know.
        tokens: How D is counted.
        compute: How C is counted.
        data: The data behind it, and their licence.
        later: What later work found wrong with it.
        curves: Its equations.
        printed: Numbers of the paper that the curves must give.
    """

    name: str
    title: str
    paper: str
    loss: str
    parameters: str
    count: Count | None
    tokens: str
    compute: str
    data: str
    later: tuple[str, ...]
    curves: tuple[Curve, ...]
    printed: tuple[Printed, ...]

    @property
    def loss_unit(self) -> LossUnit | None:
        """Unit of its loss, where it is one that conversions know."""
        return next((unit for unit in LOSS_UNITS if self.loss.startswith(unit)), None)

    def curve(self, name: str | None = None, output: Output | None = None) -> Curve:
        """Returns a curve by name or by what it predicts; the first of those that fit.

        Raises:
            ValueError: There is none.
        """
        for curve in self.curves:
            if name in (None, curve.name) and output in (None, curve.output):
                return curve
        known = [curve.name for curve in self.curves]
        if name is not None:
            raise ValueError(f"{self.name} has no curve {name!r}: {nearest_name(name, known)}")
        raise ValueError(
            f"{self.name} predicts {', '.join(sorted({c.output for c in self.curves}))}, no "
            f"{output}: choose another law from `scaling laws`"
        )
