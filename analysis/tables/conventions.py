"""Ways to count parameters and compute that a table allows.

| symbol | meaning |
|---|---|
| N | parameters, in all or without embeddings |
| D | training tokens |
| C | training FLOPs: k N D with N counted either way, or a column of the table |
| M | tokens per parameter, D / N |

Which of them was used moves exponents. Embeddings are a share of N that falls with size, so that N
without them grows faster than N with them, and a loss that falls as one power of the one falls as
another of the other (Pearce & Song, arXiv:2406.12907; Porian et al., arXiv:2406.19146).
"""

import re
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.tables.read import Source

SAME = 1e-9
"""Relative difference up to which two ways to count are one."""

Kind = Literal["total", "non-embedding", "embedding", "flops"]
"""What a column counts, by its name."""


class Convention(NamedTuple):
    """One way to count.

    Attributes:
        name: What to call it.
        n: Column of N.
        embeddings: Column of embedding parameters to add to N (sign 1) or to take from it (-1);
            None where N is a column by itself.
        sign: See there.
        c: Column of C; "C" as the table has it, None for k N D.
    """

    name: str
    n: str
    embeddings: str | None
    sign: int
    c: str | None


def conventions(source: Source) -> list[Convention]:
    """Every way to count N and C for which a table has columns, but its own.

    Columns are recognised by their names: `params_non_embedding`, `n_params_total`,
    `flops_train`, ... Where no column counts N otherwise, one of embeddings is added to N or taken
    from it. Where D came from C and N it follows them; where C did, it follows N.

    Args:
        source: The table, from `analysis.tables.read.read`.

    Returns:
        The conventions, each of which changes N, D or C; empty where the table has but its own.
    """
    table, derived = source.table, _derived(source)
    if "N" not in table or derived == "N":
        return []
    kinds = {str(name): _kind(str(name)) for name in table.select_dtypes("number").columns}
    named = re.fullmatch(r"N = '(.*?)'.*", source.taken["N"])
    without = named is not None and _kind(named[1]) == "non-embedding"

    sizes = [Convention("", "N", None, 0, "C")]
    for name, kind in kinds.items():
        if kind in ("total", "non-embedding"):
            sizes.append(Convention(f"N = {name}", name, None, 0, "C"))
    if len(sizes) == 1:
        for name, kind in kinds.items():
            if kind == "embedding":
                how, sign = ("with", 1) if without else ("without", -1)
                sizes.append(Convention(f"N {how} {name}", "N", name, sign, "C"))
    computes: list[tuple[str, str | None]] = [("", "C")] if "C" in table else []
    if derived is None and {"D", "C"} <= set(table):
        computes.append((source.convention, None))
    computes += [(f"C = {name}", name) for name, kind in kinds.items() if kind == "flops"]

    found, seen = [], [_counts(source, sizes[0]._replace(c="C"))]
    for size in sizes:
        for says, c in computes:
            name = ", ".join(part for part in (size.name, says) if part)
            convention = size._replace(name=name, c=c)
            counts = _counts(source, convention)
            if not any(_alike(counts, other) for other in seen):
                found.append(convention)
                seen.append(counts)
    return found


def recount(source: Source, convention: Convention) -> pd.DataFrame:
    """The table of a source with N, D, C and what follows from them counted by another convention.

    Args:
        source: The table.
        convention: One of `conventions(source)`.

    Returns:
        The table; what it lacks of D and C stays away.

    Raises:
        ValueError: A column without a positive number in a row that has a loss.
    """
    counts = _counts(source, convention)
    for name, values in counts.items():
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            row = source.table.index[wrong[0]]
            raise ValueError(
                f"{convention.name}: {name} is {values[wrong[0]]:g} in "
                f"{source.table.index.name or 'row'} {row} ({len(wrong)} such rows): fill the "
                "column in, or leave this convention out"
            )
    return source.table.assign(**counts)


def _counts(source: Source, convention: Convention) -> dict[str, Floats]:
    """N, D, C and what follows from them, as far as the table has them."""
    table, derived = source.table, _derived(source)

    def column(name: str) -> Floats:
        return table[name].to_numpy(dtype=np.float64, na_value=np.nan)

    counts = {"N": column(convention.n)}
    if convention.embeddings is not None:
        counts["N"] = counts["N"] + convention.sign * column(convention.embeddings)
    k = _flops_per_product(source)
    if convention.c is not None and "C" in table:
        counts["C"] = column(convention.c)
    if "D" in table:
        counts["D"] = counts["C"] / (k * counts["N"]) if derived == "D" else column("D")
        if convention.c is None or (convention.c == "C" and derived == "C"):
            counts["C"] = k * counts["N"] * counts["D"]
        if source.taken.get("M") == "M = D / N":
            counts["M"] = counts["D"] / counts["N"]
        if source.taken.get("epochs") == "epochs = D / U":
            counts["epochs"] = counts["D"] / column("U")
    return counts


def _alike(one: dict[str, Floats], other: dict[str, Floats]) -> bool:
    return all(
        np.allclose(values, other[name], rtol=SAME, atol=0, equal_nan=True)
        for name, values in one.items()
    )


def _derived(source: Source) -> str | None:
    """Which of N, D and C followed from the other two; None where none did."""
    pattern = {"N": r"N = C / \(\S+ D\)", "D": r"D = C / \(\S+ N\)", "C": r"C = \S+ N D"}
    for name, sentence in pattern.items():
        if re.fullmatch(sentence, source.taken.get(name, "")):
            return name
    return None


def _flops_per_product(source: Source) -> float:
    """The number k of C = k N D."""
    return float(source.convention.removeprefix("C = ").removesuffix(" N D"))


def _kind(name: str) -> Kind | None:
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
