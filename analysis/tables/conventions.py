"""Ways to count parameters and compute that a table allows.

| symbol | meaning |
|---|---|
| N | parameters, in all or without embeddings |
| D | training tokens |
| C | training FLOPs: k N D with N counted either way, or a column of the table |
| M | tokens per parameter, D / N |

The choice moves exponents. Embeddings are a share of N that falls with size, so that N without them
grows faster than N with them, and a loss that is a power of one count is another power of the other
(Pearce & Song, arXiv:2406.12907; Porian et al., arXiv:2406.19146).
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.tables.headings import stated
from analysis.tables.origins import RATIOS, Column, Product
from analysis.tables.read import Source

SAME = 1e-9
"""Relative difference up to which two ways to count are one."""

Kind = Literal["total", "non-embedding", "embedding", "flops"]
"""What a column counts, by its name."""


class Convention(NamedTuple):
    """One way to count N and C. Two with equal fields are the same; `str` is for print.

    Attributes:
        n: Column of N; "N" as the table has it.
        embeddings: Column of embedding parameters to add to N (sign 1) or to subtract from it
            (sign -1); None where N is a column by itself.
        sign: Sign of `embeddings`; 0 without them.
        c: Column of C, "C" as the table has it; or the product C = k N D.
    """

    n: str = "N"
    embeddings: str | None = None
    sign: Literal[-1, 0, 1] = 0
    c: str | Product = "C"

    def __str__(self) -> str:
        parts = []
        if self.embeddings is not None:
            parts.append(f"N {'with' if self.sign > 0 else 'without'} {self.embeddings}")
        elif self.n != "N":
            parts.append(f"N = {self.n}")
        if self.c != "C":
            parts.append(str(self.c) if isinstance(self.c, Product) else f"C = {self.c}")
        return ", ".join(parts)


OWN = Convention()
"""The way in which the table itself counts."""


def conventions(source: Source) -> list[Convention]:
    """Returns every way to count N and C for which a table has columns, except its own.

    Columns are recognised by their names: `params_non_embedding`, `n_params_total`,
    `flops_train`, ... Where no column counts N otherwise, one of embeddings is added to N or
    subtracted from it. D or C that was derived from the others is derived again.

    Args:
        source: The table, from `analysis.tables.read.read`.

    Returns:
        The conventions, each of which changes N, D or C; empty if the table allows only its own.
    """
    table, derived = source.table, _derived(source)
    if "N" not in table or derived == "N":
        return []
    names = map(str, table.select_dtypes("number").columns)
    kinds: dict[str, Kind | None] = {name: _kind(name) for name in names}
    computes: list[str | Product] = ["C"] if "C" in table else []
    if derived is None and {"D", "C"} <= set(table):
        computes.append(source.product)
    computes += [name for name, kind in kinds.items() if kind == "flops"]

    found, seen = [], [_counts(source, OWN)]
    for size in _sizes(source, kinds):
        for c in computes:
            convention = size._replace(c=c)
            counts = _counts(source, convention)
            if not any(_alike(counts, other) for other in seen):
                found.append(convention)
                seen.append(counts)
    return found


def recount(source: Source, convention: Convention) -> pd.DataFrame:
    """Returns a table with N, D, C and what follows from them counted by a convention.

    Args:
        source: The table.
        convention: One of `conventions(source)`.

    Returns:
        The table; D or C that it lacks is not added.

    Raises:
        ValueError: A column without a positive number in a row that has a loss.
    """
    counts = _counts(source, convention)
    for name, values in counts.items():
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            row = source.table.index[wrong[0]]
            raise ValueError(
                f"{convention}: {name} is {values[wrong[0]]:g} in "
                f"{source.table.index.name or 'row'} {row} ({len(wrong)} such rows), but must be "
                "above 0; fill the column in, or leave this convention out"
            )
    return source.table.assign(**counts)


def _sizes(source: Source, kinds: Mapping[str, Kind | None]) -> list[Convention]:
    """The ways to count N, the table's own first, each with C as the table has it."""
    others = [Convention(n=n) for n, kind in kinds.items() if kind in ("total", "non-embedding")]
    if not others:
        origin = source.origins["N"]
        without = isinstance(origin, Column) and _kind(origin.columns[0]) == "non-embedding"
        sign = 1 if without else -1
        others = [
            Convention(embeddings=n, sign=sign) for n, kind in kinds.items() if kind == "embedding"
        ]
    return [OWN, *others]


def _counts(source: Source, convention: Convention) -> dict[str, Floats]:
    """N, D, C and what follows from them, as far as the table has them."""
    table, derived = source.table, _derived(source)

    def column(name: str, quantity: str) -> Floats:
        values = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        unit = None if name == quantity else stated(name, quantity).unit
        return unit.convert(values) if unit else values

    # 1. N and C by their columns; 2. D, which may follow from both; 3. C, where it follows from
    # N and D; 4. the ratios.
    counts = {"N": column(convention.n, "N")}
    if convention.embeddings is not None:
        counts["N"] = counts["N"] + convention.sign * column(convention.embeddings, "N")
    if isinstance(convention.c, str) and "C" in table:
        counts["C"] = column(convention.c, "C")
    if "D" in table:
        d = source.origins.get("D")
        counts["D"] = d.of(counts) if isinstance(d, Product) else column("D", "D")
        if isinstance(convention.c, Product) or (convention.c == "C" and derived == "C"):
            counts["C"] = source.product.of(counts)
        for ratio in RATIOS:
            if source.origins.get(ratio.quantity) == ratio:
                values = {
                    name: counts[name] if name in counts else column(name, name)
                    for name in ratio[1:]
                }
                counts[ratio.quantity] = ratio.of(values)
    return counts


def _alike(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> bool:
    return all(
        np.allclose(values, other[name], rtol=SAME, atol=0, equal_nan=True)
        for name, values in one.items()
    )


def _derived(source: Source) -> str | None:
    """Which of N, D and C followed from the other two; None where none did."""
    for name in ("N", "D", "C"):
        if isinstance(source.origins.get(name), Product):
            return name
    return None


def _kind(name: str) -> Kind | None:
    """What a column counts, by a user's name for it; None where the name does not say."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    plain = "".join(words)
    if "per" in words or any(word in plain for word in ("trainable", "forward", "inference")):
        return None
    if any(word in ("flops", "flop") for word in words):
        return "flops"
    if re.search(r"(non|no|without|excl\w*?)emb", plain):
        return "non-embedding"
    if not re.search(r"param", plain):
        return None
    if "emb" in plain and not re.search(r"with|incl|plus", plain):
        return "embedding"
    return "total" if re.search(r"total|all|active|with|incl|plus", plain) else None
