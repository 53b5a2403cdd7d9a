"""Which column of a table holds which quantity: as declared (`N=params[1e6]`), or by its name.

Every table is searched for N parameters, D tokens or examples, C training FLOPs, U unique tokens,
loss, and the labels `run`, `group` and `seed`. M tokens per parameter, X experts, epochs, width,
depth, accuracy and error are looked for only where a law needs them. Any other quantity that a law
needs is known by its own name alone. A declaration may name anything.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.errors import nearest_name
from analysis.tables import results, units
from analysis.tables.formats import plain
from analysis.tables.origins import Column

LABELS = ("run", "group", "seed")
_ALWAYS = ("N", "D", "C", "U", "loss", "seed", "run", "group")

# Names by which a quantity is known, in tiers, the best first. Where a table has several names of
# one tier, the caller has to choose. Names are compared without case and punctuation, so that
# "eval/loss" is "evalloss".
_KNOWN: dict[str, tuple[str, ...]] = {
    "N": (
        "n params nparams numparams numparameters parameters nparameters parametercount "
        "modelsize modelparams totalparams totalparameters nparamstotal trainableparams "
        "nonembeddingparams nparamsnonembedding nonembeddingparameters",
    ),
    "D": (
        "d tokens ntokens numtokens trainingtokens traintokens tokensseen ntokensseen totaltokens",
        "examples nexamples seenexamples examplesseen nexamplesseen samplesseen samples nsamples "
        "trainexamples ntrainexamples datasetsize datasize",
    ),
    "C": (
        "c flops flop trainingflop trainingflops trainflops totalflops flopstrain compute "
        "trainingcompute pfdays petaflopdays",
    ),
    "U": ("u uniquetokens nuniquetokens uniqueexamples",),
    "M": ("tokensperparameter tokensperparam tokenparameterratio",),
    "X": ("experts nexperts numexperts expertcount numberofexperts",),
    "epochs": ("epochs nepochs numepochs",),
    "width": ("width modelwidth dmodel hiddensize hiddendim nembd embeddim",),
    "depth": ("depth modeldepth layers nlayers numlayers nlayer",),
    "loss": (
        "loss valloss validationloss evalloss testloss finalloss evallossnats lossnats lmloss",
        "trainloss trainingloss trainlossnats",
        "perplexity ppl valperplexity valppl evalperplexity evalppl",
    ),
    "accuracy": ("accuracy acc valaccuracy valacc evalaccuracy evalacc testaccuracy testacc",),
    "error": ("error errorrate valerror evalerror testerror",),
    "seed": ("seed randomseed",),
    "run": ("run runid", "runname name", "id"),
    "group": ("group",),
}
_UNITS_IN_NAMES = {"pfdays": "PF-days", "petaflopdays": "PF-days"} | {
    name: "perplexity" for name in _KNOWN["loss"][2].split()
}
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
_DECLARATION = re.compile(
    r"""\s*(?P<quantity>\w+)\s*=\s*
        (?P<column>"[^"]*"|'[^']*'|[^,=\[\]]*(?:\[[^\]]*\])?)\s*
        (?P<unit>\[[^\]]*\])?\s*(?:,|$)""",
    re.VERBOSE,
)
_BRACKETED = re.compile(r"(?P<name>.*?\S)\s*(?:\[(?P<unit>[^\]]*)\]|\((?P<other>[^)]*)\))")


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


def choose(
    frame: pd.DataFrame, declared: Mapping[str, str], needs: Sequence[str] = ()
) -> list[Column]:
    """Chooses a column for each quantity: as declared, and for the others by well-known names.

    Args:
        frame: The raw table.
        declared: Columns by quantity, as `parse_columns` returns them.
        needs: Quantities to look for besides those that are looked for in every table.

    Returns:
        The column of each quantity that the table is known to hold.

    Raises:
        ValueError: A declared column that is missing, an unknown unit, or several columns whose
            names fit one quantity.
    """
    names = [str(name) for name in frame.columns]
    chosen = [_declared(names, quantity, text) for quantity, text in declared.items()]
    used = {name for column in chosen for name in column.columns}
    left = [name for name in names if name not in used]
    for quantity in dict.fromkeys((*needs, *_ALWAYS)):
        if quantity not in declared:
            column = _by_name(frame, left, quantity)
            if column:
                chosen.append(column)
                left = [name for name in left if name not in column.columns]
    return chosen


def missing(names: Sequence[str], quantity: str) -> str:
    """Returns the message where no column is known to hold a quantity: the nearest, or all."""
    candidates = {_plain(name): name for name in names}
    known = [each for tier in _KNOWN.get(quantity, ()) for each in tier.split()] + [quantity]
    # Not `did_you_mean`: a column may be near to any of the names by which a quantity is known.
    near = [
        (difflib.SequenceMatcher(None, candidate, word).ratio(), name)
        for candidate, name in candidates.items()
        for word in known
        if len(word) > 1
    ]
    score, nearest = max(near, default=(0.0, ""))
    shown = ", ".join(map(repr, names))
    example = nearest if score >= 0.6 else "NAME"
    hint = f"is it {nearest!r}? " if score >= 0.6 else ""
    return (
        f"no column for {quantity}; {hint}declare it, as --columns {quantity}={_quoted(example)} "
        f"(there are {shown})"
    )


def _declared(names: Sequence[str], quantity: str, text: str) -> Column:
    """The column that a declaration names: tried from the literal name to the parts of a label."""
    bare = text[1:-1] if text[:1] in "\"'" and text[-1:] == text[:1] and len(text) > 1 else text
    if bare in names:
        return Column(quantity, (bare,), _unit_in_name(quantity, bare))
    found = _BRACKETED.fullmatch(text) if text.endswith("]") else None
    unit = units.unit(quantity, found["unit"]) if found else None
    column = (found["name"] if found else text).strip("\"'")
    if column in names:
        return Column(quantity, (column,), unit or _unit_in_name(quantity, column))
    headed = [name for name in names if _heading(name, quantity)[0] == column]
    if len(headed) == 1:
        return Column(quantity, (headed[0],), unit or _unit_in_name(quantity, headed[0]))
    parts = [part.strip() for part in column.split("+")]
    if quantity in LABELS and all(part in names for part in parts):
        return Column(quantity, tuple(parts))
    raise ValueError(f"no column {column!r} for {quantity}; {nearest_name(column, names)}")


def _by_name(frame: pd.DataFrame, names: Sequence[str], quantity: str) -> Column | None:
    """The column whose name fits a quantity best; None where none does."""
    if quantity in names and _can_hold(frame, quantity, quantity):
        return Column(quantity, (quantity,), None, False)
    if {"run_id", "schema_version", "status"} <= set(frame.columns):
        for name in _OF_RESULTS.get(quantity, ()):
            if name in names and _can_hold(frame, name, quantity):
                return Column(quantity, (name,), None, False)
        return None
    for tier in _KNOWN.get(quantity, ()):
        found = [
            name
            for name in names
            if _plain(_heading(name, quantity)[0]) in tier.split()
            and _can_hold(frame, name, quantity)
        ]
        if len(found) > 1 and quantity not in LABELS:
            shown = " or ".join(f"{quantity}={_quoted(name)}" for name in found)
            raise ValueError(
                f"{len(found)} columns may hold {quantity}: {', '.join(map(repr, found))}; "
                f"declare the one you mean, as --columns {shown}"
            )
        if found:
            return Column(quantity, (found[0],), _unit_in_name(quantity, found[0]), False)
    return None


def _can_hold(frame: pd.DataFrame, name: str, quantity: str) -> bool:
    """Whether a column can hold a quantity: mostly numbers; for a label, anything."""
    filled = results.column(frame, name).dropna()
    if quantity in LABELS:
        return not filled.empty
    some = filled if len(filled) <= 1000 else filled.iloc[:: len(filled) // 1000]
    numbers = pd.Series(pd.to_numeric(some, errors="coerce"))
    return not filled.empty and bool(numbers.notna().mean() >= 0.5)


def _unit_in_name(quantity: str, name: str) -> units.Unit | None:
    """The unit that the heading of a column states, or that its well-known name implies."""
    heading, unit = _heading(name, quantity)
    implied = _UNITS_IN_NAMES.get(_plain(heading)) if quantity in ("C", "loss") else None
    return units.unit(quantity, implied) if implied and not unit else unit


def _heading(name: str, quantity: str) -> tuple[str, units.Unit | None]:
    """Name and unit of a heading such as `tokens [1e9]` or `compute (PF-days)`."""
    found = _BRACKETED.fullmatch(name)
    unit = units.find(quantity, found["unit"] or found["other"] or "") if found else None
    return (found["name"], unit) if found and unit else (name, None)


def _plain(name: str) -> str:
    """A name without case, punctuation and the prefixes that W&B adds."""
    for part in ("config.", "summary.", "summary_metrics.", "summaryMetrics."):
        name = name.removeprefix(part)
    return plain(name)


def _quoted(name: str) -> str:
    """A name as a declaration takes it."""
    return f'"{name}"' if re.search(r"[\s,=\[\]]", name) else name
