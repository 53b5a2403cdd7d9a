"""Which column of a table holds which quantity: as declared (`N=params[1e6]`), or by its name.

Every table is searched for N parameters, D tokens or examples, C training FLOPs, U unique tokens,
loss, and the labels `run`, `group` and `seed`. M tokens per parameter, X experts, epochs, width,
depth, accuracy and error are looked for only where a law needs them. Any other quantity that a law
needs is known by its own name alone. A declaration may name anything.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.errors import nearest_name, typed
from analysis.tables import results, units
from analysis.tables.cells import numbers
from analysis.tables.headings import BRACKETED, Heading, known, readings, stated, unsure_unit
from analysis.tables.names import KNOWN, bare, words
from analysis.tables.near import is_spread, near
from analysis.tables.origins import Column

LABELS = ("run", "group", "seed")
_COUNTED = ("N", "D", "C", "U")
_ALWAYS = ("N", "D", "C", "U", "loss", "seed", "run", "group")
_ALIKE = 1e-9
"""Relative difference up to which two columns hold the same values."""

# Names in the project's own results say what they count, so that no choice is left.
_OF_RESULTS = {
    "N": ("n_params_total",),
    "D": ("n_tokens_seen", "n_examples_seen", "n_train_examples"),
    "C": ("flops_train",),
    "loss": ("eval_loss_nats",),
    "epochs": ("epochs",),
    "error": ("eval_error",),
    "run": ("run_id",),
    "seed": ("seed",),
}
_ELSEWHERE = frozenset(
    "batch batches vocab vocabulary context sequence seq block length step steps warmup lr rate "
    "hours seconds minutes time cost price gpu gpus".split()
)
"""Words of a column that holds something else than a count of parameters, tokens or FLOPs."""
_DECLARATION = re.compile(
    r"""\s*(?P<quantity>\w+)\s*=\s*
        (?P<column>"[^"]*"|'[^']*'|[^,=\[\]]*(?:\[[^\]]*\])?)\s*
        (?P<unit>\[[^\]]*\])?\s*(?:,|$)""",
    re.VERBOSE,
)


def parse_columns(text: str) -> dict[str, str]:
    """Returns columns by quantity from `N=params[1e6],D=tokens,loss="eval/loss, final"`.

    Raises:
        ValueError: A text of another form, or a quantity given twice.
    """
    declared: dict[str, str] = {}
    end = 0
    while end < len(text):
        found = _DECLARATION.match(text, end)
        column = found and (found["column"].strip() + (found["unit"] or ""))
        if not found or not column:
            raise ValueError(
                f"columns {text[end:]!r}: not of the form N=params[1e6],D=tokens,loss=val_loss; "
                "write it so, with quotes around a name that holds a comma, an equals sign or a "
                "bracket"
            )
        if found["quantity"] in declared:
            raise ValueError(f"columns {text!r}: {found['quantity']} is given twice; give it once")
        declared[found["quantity"]] = column
        end = found.end()
    return declared


class Choice(NamedTuple):
    """Columns by quantity, and what speaks against them.

    Attributes:
        columns: The column of each quantity that the table is known to hold.
        doubts: A sentence for each column that is named for a quantity and was not taken.
    """

    columns: list[Column]
    doubts: list[str]


class _Candidate(NamedTuple):
    """A column that is named for a quantity.

    Attributes:
        name: The column.
        heading: What its name says.
        rank: Preference, the lowest first: the tier of the name, then a loss in other units.
        holds: "numbers", "text" or "nothing".
    """

    name: str
    heading: Heading
    rank: tuple[int, bool]
    holds: str


def choose(
    frame: pd.DataFrame,
    declared: Mapping[str, str],
    needs: Sequence[str] = (),
    seek: Sequence[str] = _ALWAYS,
) -> Choice:
    """Chooses a column for each quantity: as declared, and for the others by well-known names.

    Args:
        frame: The raw table.
        declared: Columns by quantity, as `parse_columns` returns them.
        needs: Quantities to look for besides `seek`.
        seek: Quantities that are taken where a column is named for them.

    Raises:
        ValueError: A declared column that is missing, an unknown unit, several columns with other
            values whose names fit one quantity, or a column whose name fits best and that holds no
            numbers.
    """
    names = [str(name) for name in frame.columns]
    chosen = [_declared(names, quantity, text) for quantity, text in declared.items()]
    doubts = [doubt for column in chosen for doubt in _unsure_unit(column)]
    used = {name for column in chosen for name in column.columns}
    left = [name for name in names if name not in used]
    for quantity in dict.fromkeys((*needs, *seek)):
        if quantity not in declared:
            column, about = _by_name(frame, left, quantity, quantity in needs)
            doubts += [*about, *_nearly(frame, left, quantity, column)]
            if column:
                chosen.append(column)
                left = [name for name in left if name not in column.columns]
    return Choice(chosen, doubts)


def missing(frame: pd.DataFrame, quantity: str) -> str:
    """Returns the message where no column is known to hold a quantity: the nearest, or all."""
    names = [str(name) for name in frame.columns]
    shown = ", ".join(map(repr, names))
    empty = _candidates(frame, names, quantity)
    if empty and _holds(results.column(frame, empty[0].name), quantity) == "numbers":
        return (
            f"column {empty[0].name!r} is named for {quantity}, which is needed, but declared for "
            "another quantity; leave that out of --columns"
        )
    if empty:
        return (
            f"column {empty[0].name!r} is named for {quantity} but holds no number; fill it in, or "
            f"declare another, as --columns {quantity}=NAME (there are {shown})"
        )
    known = [each for tier in KNOWN.get(quantity, ()) for each in tier.split()] + [quantity]
    # Not `did_you_mean`: a column may be near to any of the names by which a quantity is known.
    # A name that is known for another quantity, such as d_model beside D, is no candidate.
    tiers = [tier for other, each in KNOWN.items() if other != quantity for tier in each]
    others = {word for tier in tiers for word in tier.split()}
    filled = [name for name in names if _holds(results.column(frame, name), quantity) == "numbers"]
    near = [
        (difflib.SequenceMatcher(None, bare(heading.name), word).ratio(), name)
        for name in filled
        for heading in readings(name, quantity)
        for word in known
        if len(word) > 1 and bare(heading.name) not in others and not is_spread(name)
        if quantity not in _COUNTED or _ELSEWHERE.isdisjoint(words(name.lower()))
    ]
    score, nearest = max(near, default=(0.0, ""))
    if score < 0.6:
        return (
            f"no column for {quantity}; declare it, as --columns {quantity}=NAME "
            f"(there are {shown})"
        )
    alike = [name for name in filled if _stem(name) == _stem(nearest)]
    if len(alike) > 1:
        several = ", ".join(map(repr, alike[:3])) + (", ..." if len(alike) > 3 else "")
        return (
            f"no column for {quantity}, but {len(alike)} that differ in a number ({several}); give "
            f"each its own rows, with the number in a column (there are {shown})"
        )
    return (
        f"no column for {quantity}; is it {nearest!r}? declare it, as --columns "
        f"{declaration(quantity, nearest)} (there are {shown})"
    )


def _stem(name: str) -> str:
    """A name without the number at its end, or with what counts it: `loss_1B`, `loss_seed0`."""
    return re.sub(
        r"[^a-z0-9]*(?:seed|run|fold|rep)?[^a-z0-9]*\d+(?:\.\d+)?[kmbt]?$", "", name.lower()
    )


def declaration(quantity: str, name: str, unit: str | None = None) -> str:
    """Returns what declares a column for a quantity, as it is typed after `--columns`.

    Args:
        quantity: `N`, ...
        name: The column.
        unit: Its unit; by default that which its name states, if any.
    """
    heading = stated(name, quantity)
    stands = unit or (heading.unit.text if heading.unit and heading.in_words else None)
    return typed(f"{quantity}={_quoted(name)}" + (f"[{stands}]" if stands else ""))


def _declared(names: Sequence[str], quantity: str, text: str) -> Column:
    """The column that a declaration names: tried from the literal name to the parts of a label."""
    bare_text = (
        text[1:-1] if text[:1] in "\"'" and text[-1:] == text[:1] and len(text) > 1 else text
    )
    if bare_text in names:
        return _column(quantity, bare_text)
    found = BRACKETED.fullmatch(text) if text.endswith("]") else None
    unit = units.unit(quantity, found["unit"]) if found else None
    column = (found["name"] if found else text).strip("\"'")
    if column in names:
        return _column(quantity, column, unit)
    headed = [
        name
        for name in names
        if any(each.name == column and not each.in_words for each in readings(name, quantity))
    ]
    if len(headed) == 1:
        return _column(quantity, headed[0], unit)
    parts = [part.strip() for part in column.split("+")]
    if quantity in LABELS and all(part in names for part in parts):
        return Column(quantity, tuple(parts))
    if (other := _by_other_name(names, column)) is not None:
        return _column(quantity, other, unit)
    raise ValueError(f"no column {column!r} for {quantity}; {nearest_name(column, names)}")


def _by_other_name(names: Sequence[str], name: str) -> str | None:
    """The one column that a name means, where none is called so; None where none or several are.

    `width` is `model.width` of a results folder or `config.width` of W&B, `test_error` is the
    `eval_error` of records, and `N` whichever column is named for it.
    """
    for tried in (name, re.sub("^test_", "eval_", name)):
        meant = [each for each in names if each in (tried, f"{tried}_nats")]
        meant = meant or [each for each in names if each.rpartition(".")[2] == tried]
        if len(meant) == 1:
            return meant[0]
    if results.RECORD_COLUMNS <= set(names):
        own = [each for each in _OF_RESULTS.get(name, ()) if each in names]
        return own[0] if own else None
    ranked = [(found[1], each) for each in names if (found := known(each, name))]
    best = [each for place, each in ranked if place == min(ranked)[0]]
    return best[0] if len(best) == 1 else None


def _column(quantity: str, name: str, unit: units.Unit | None = None) -> Column:
    """A declared column, in the unit given or else that of its name."""
    if unit is not None:
        return Column(quantity, (name,), unit)
    heading = stated(name, quantity)
    return Column(quantity, (name,), heading.unit, unit_in_name=heading.in_words)


def _unsure_unit(column: Column) -> Iterator[str]:
    """A doubt about a declared column whose last letter may be a unit."""
    letter = None if column.unit else unsure_unit(column.columns[0], column.quantity)
    if letter:
        declared = declaration(column.quantity, column.columns[0], letter.upper())
        yield (
            f"{column.quantity} is taken as it stands; if the last letter of "
            f"{column.columns[0]!r} is a unit, declare --columns {declared}"
        )


def _by_name(
    frame: pd.DataFrame, names: Sequence[str], quantity: str, needed: bool
) -> tuple[Column | None, list[str]]:
    """The column whose name fits a quantity best, None where none does; and doubts about it."""
    candidates = _candidates(frame, names, quantity)
    filled = [each for each in candidates if each.holds == "numbers"]
    if quantity in LABELS:
        return (_recognised(quantity, filled[0]) if filled else None), []
    if not filled:
        first = next((each for each in candidates if each.holds == "text"), None)
        if first is not None and needed:  # its first cell at fault will be named
            return _recognised(quantity, first), []
        return None, [_unread(each, quantity) + "; it is not taken" for each in candidates]
    best, *others = filled
    rivals = [each for each in others if each.rank == best.rank and _differ(frame, best, each)]
    if rivals:
        found = [best, *rivals]
        if _never_together(frame, [each.name for each in found]):
            raise ValueError(
                f"columns {' and '.join(repr(each.name) for each in found)} are named for "
                f"{quantity} and filled in different rows; give them one name"
            )
        shown = " or ".join(declaration(quantity, each.name) for each in found)
        raise ValueError(
            f"{len(found)} columns may hold {quantity}: "
            f"{', '.join(repr(each.name) for each in found)}; "
            f"declare the one you mean, as --columns {shown}"
        )
    unread = [each for each in candidates if each.holds != "numbers"]
    if unread and unread[0].rank < best.rank:
        raise ValueError(
            f"{_unread(unread[0], quantity)}; fill it in, or take {best.name!r} instead, as "
            f"--columns {declaration(quantity, best.name)}"
        )
    doubts = [f"{_unread(each, quantity)}; {best.name!r} is taken" for each in unread]
    if others:
        passed = ", ".join(repr(each.name) for each in others)
        doubts.append(f"{quantity} is read from {best.name!r}, not from {passed}")
    return _recognised(quantity, best), doubts


def _nearly(
    frame: pd.DataFrame, names: Sequence[str], quantity: str, taken: Column | None
) -> Iterator[str]:
    """Doubts about columns that are nearly named for a quantity and were not taken."""
    if quantity in LABELS or results.are_records(frame):
        return
    own = None if taken is None else numbers(results.column(frame, taken.columns[0])).to_numpy()
    for name in names:
        found = near(name, quantity)
        if found is None or _holds(results.column(frame, name), quantity) != "numbers":
            continue
        values = numbers(results.column(frame, name)).to_numpy()
        if own is not None and np.allclose(own, values, rtol=_ALIKE, atol=0, equal_nan=True):
            continue
        if taken is not None:
            yield f"{quantity} is read from {taken.columns[0]!r}, not from {name!r}: {found.why}"
            continue
        unit = "1e6" if "unit" in found.why else None
        remedy = (
            f"declare it, as --columns {declaration(quantity, name, unit)}"
            if found.is_readable
            else "add a column of the numbers themselves"
        )
        yield (
            f"column {name!r} is nearly named for {quantity} and is not taken: {found.why}; "
            f"{remedy}"
        )


def _candidates(frame: pd.DataFrame, names: Sequence[str], quantity: str) -> list[_Candidate]:
    """The columns that are named for a quantity, the best first."""
    if results.are_records(frame):
        # Every record has all of these columns, filled as the run had it.
        own = (name for name in (quantity, *_OF_RESULTS.get(quantity, ())) if name in names)
        filled = (name for name in own if bool(results.column(frame, name).notna().any()))
        found = [(name, Heading(name), (0, False)) for name in islice(filled, 1)]
    else:
        read = ((name, known(name, quantity)) for name in names)
        found = [
            (name, each[0], (each[1], quantity == "loss" and each[0].in_words))
            for name, each in read
            if each is not None
        ]
    candidates = [
        _Candidate(name, heading, rank, _holds(results.column(frame, name), quantity))
        for name, heading, rank in found
    ]
    return sorted(candidates, key=lambda each: each.rank)


def _recognised(quantity: str, found: _Candidate) -> Column:
    unit = found.heading.unit
    return Column(quantity, (found.name,), unit, False, found.heading.in_words)


def _holds(column: pd.Series, quantity: str) -> str:
    """What a column holds: numbers, mostly (for a label, anything), text, or nothing."""
    filled = column.dropna()
    if filled.empty:
        return "nothing"
    if quantity in LABELS:
        return "numbers"
    some = filled if len(filled) <= 1000 else filled.iloc[:: len(filled) // 1000]
    found = numbers(some).notna()
    return "numbers" if found.mean() >= 0.5 else "text"


def _differ(frame: pd.DataFrame, one: _Candidate, other: _Candidate) -> bool:
    """Whether two columns hold other values, each in its unit."""
    values = []
    for each in (one, other):
        given = numbers(results.column(frame, each.name)).to_numpy()
        values.append(each.heading.unit.convert(given) if each.heading.unit else given)
    return not np.allclose(*values, rtol=_ALIKE, atol=0, equal_nan=True)


def _never_together(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    """Whether no row fills two of the columns, as where records spell a key in two ways."""
    filled = [numbers(results.column(frame, name)).notna() for name in names]
    return bool((np.sum(filled, axis=0) == 1).all())


def _unread(found: _Candidate, quantity: str) -> str:
    holds = "is empty" if found.holds == "nothing" else "holds text, not numbers"
    return f"column {found.name!r} is named for {quantity} but {holds}"


def _quoted(name: str) -> str:
    """A name as a declaration takes it."""
    if not re.search(r"[\s,=\[\]\"']", name):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'
