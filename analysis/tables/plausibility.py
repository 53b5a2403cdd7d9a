"""Columns whose values as a whole are improbable in the unit that was taken: doubts with remedies.

A column in another unit is off by one factor in every row, so that no row stands out. What it is
held against: C = k N D, sizes of models and amounts of data that people train with, and the range
that a loss has in each unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from analysis.tables import units
from analysis.tables.columns import declaration
from analysis.tables.headings import known
from analysis.tables.origins import Column, Origin, Product

FEWEST_PARAMETERS = 1e5
"""Parameters of a largest model below which a column may be in thousands or millions."""
FEWEST_TOKENS = 1e3
"""Tokens of a longest run below which a column may be in billions."""
FEWEST_TOKENS_PER_PARAMETER = 1e-4
"""Tokens per parameter, in every row, below which one of the two may be in another unit."""
FEWEST_OF_TEXT = 0.1
"""Tokens per parameter likewise, where a column is named for tokens or D follows from C."""
TYPICAL = 20.0
"""Tokens per parameter by which a unit of C is guessed (Hoffmann et al. 2022)."""
FLOPS_OFF = 300.0
"""Factor between C and k N D in every row from which a column is in another unit."""
_WITHIN = 4.0
"""Factor up to which C may differ from k N D by how it is counted."""
HIGHEST = {"nats": 15.0, "bits": 15.0 / math.log(2), "bits per byte": 8.0}
"""Greatest losses: e^15 equal choices, more than any vocabulary has; the bits of a byte."""
_OF_BYTES = ("bpb", "bits/byte", "bitsperbyte")


def doubts(
    values: Mapping[str, pd.Series], origins: Mapping[str, Origin], product: Product
) -> Iterator[str]:
    """Yields a sentence for each column that is probably in another unit, with what to declare.

    Args:
        values: Values by quantity, in the units of this project.
        origins: Where they come from; only columns are judged, and sizes only without a unit.
        product: C = k N D.
    """
    largest = {name: float(each.max()) for name, each in values.items() if name in ("N", "D")}
    for name, least, noun in (("N", FEWEST_PARAMETERS, "M"), ("D", FEWEST_TOKENS, "B")):
        origin = origins.get(name)
        if name in largest and isinstance(origin, Column) and not origin.unit:
            if largest[name] < least:
                yield (
                    f"{name} is at most {largest[name]:g}; if {origin.columns[0]!r} is in other "
                    f"units, declare them, as --columns "
                    f"{declaration(name, origin.columns[0], noun)}"
                )
    yield from _derived(values, origins)
    yield from _ratios(values, origins, product, largest)
    yield from _loss(values, origins)


def _derived(values: Mapping[str, pd.Series], origins: Mapping[str, Origin]) -> Iterator[str]:
    """A doubt about C without a unit, where D or N follows from it and is far too small."""
    compute = origins.get("C")
    found = [each for each in origins.values() if isinstance(each, Product)]
    if not found or not isinstance(compute, Column) or compute.unit:
        return
    size = found[0].quantity
    largest, ratio = float(values[size].max()), values["D"] / values["N"]
    if size == "N" and largest >= FEWEST_PARAMETERS:
        return
    if size == "D" and largest >= FEWEST_TOKENS and float(ratio.max()) >= FEWEST_OF_TEXT:
        return
    short = TYPICAL / float(ratio.median())
    unit = units.of_factor("C", short if size == "D" else 1 / short, math.inf)
    yield (
        f"{found[0]} is at most {largest:.3g}; if {compute.columns[0]!r} is in other units than "
        f"FLOPs, declare them, as --columns {declaration('C', compute.columns[0], unit)}"
    )


def _ratios(
    values: Mapping[str, pd.Series],
    origins: Mapping[str, Origin],
    product: Product,
    largest: Mapping[str, float],
) -> Iterator[str]:
    """Doubts about C beside N and D, and about D beside N."""
    taken = {
        name: each for name in ("N", "D", "C") if isinstance(each := origins.get(name), Column)
    }
    if {"N", "D"} <= set(taken):
        per_parameter = float((values["D"] / values["N"]).max())
        of_text = "token" in taken["D"].columns[0].lower()
        least = FEWEST_OF_TEXT if of_text else FEWEST_TOKENS_PER_PARAMETER
        large = largest["N"] >= FEWEST_PARAMETERS and largest["D"] >= FEWEST_TOKENS
        if large and per_parameter < least:
            yield (
                f"D is at most {per_parameter:.2g} times N; if {taken['D'].columns[0]!r} is in "
                f"other units, declare them, as --columns "
                f"{declaration('D', taken['D'].columns[0], 'M')}"
            )
    if set(taken) != {"N", "D", "C"}:
        return
    ratio = values["C"] / product.of(values)
    least, median, greatest = (float(each) for each in np.quantile(ratio, [0.0, 0.5, 1.0]))
    if not (greatest < 1 / FLOPS_OFF or least > FLOPS_OFF):
        return
    says = f"C is {median:.3g} ({least:.3g} to {greatest:.3g}) times {product.flops:g} N D"
    given = taken["C"].unit.factor if taken["C"].unit else 1.0
    unit = units.of_factor("C", given / median, _WITHIN)
    remedy = f"the units of {', '.join(each.columns[0] for each in taken.values())} do not agree"
    if unit is not None:
        remedy += f"; is it --columns {declaration('C', taken['C'].columns[0], unit)}?"
    yield f"{says}: {remedy}"


def _loss(values: Mapping[str, pd.Series], origins: Mapping[str, Origin]) -> Iterator[str]:
    """Doubts about a loss beyond what its unit allows."""
    origin = origins.get("loss")
    if not isinstance(origin, Column) or (origin.unit and origin.unit.is_perplexity):
        return
    column = origin.columns[0]
    share = next((each for each in ("accuracy", "error") if known(column, each)), None)
    if share is not None:
        yield (
            f"loss is read from {column!r}, which is named for an {share}, a share or per cent; "
            f"laws of loss expect nats; if it is what is to be fitted, choose a law of {share}"
        )
        return
    factor = origin.unit.factor if origin.unit else 1.0
    in_bytes = origin.unit is not None and origin.unit.text.lower().replace(" ", "") in _OF_BYTES
    name = "bits per byte" if in_bytes else "nats" if factor == 1.0 else "bits"
    middle = float(values["loss"].median()) / factor
    if middle > HIGHEST[name]:
        perplexity = declaration("loss", column, "perplexity")
        yield (
            f"the median loss is {middle:.4g} {name}, which is more than any language model has; "
            f"if it is a perplexity, declare --columns {perplexity}"
        )
