"""The facts on named models, read from a file and checked.

| symbol | meaning | unit |
|---|---|---|
| N | parameters: in all, and those that one token uses | 1 |
| D | tokens seen in training, epochs counted | 1 |
| C | training compute, as its source counts it | FLOPs |
"""

import tomllib
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from analysis.errors import did_you_mean

Confidence = Literal["stated", "derived", "estimated", "speculative"]
"""How a model's facts are known: stated by its makers, derived from what they stated, estimated by
others, or guessed; speculative ones stay out of fits and comparisons."""

Counted = Literal["model", "hardware"]
"""What the compute of a model is the compute of."""

_FILE = Path(__file__).with_name("models.toml")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A named model; None where a fact is not known.

    Attributes:
        name: Its name.
        date: When it was published.
        kind: What it does, such as "language".
        parameters: N in all.
        active: N that one token uses; that in all where every token uses all.
        tokens: D, epochs counted.
        unique_tokens: Tokens of the data set; None where not known.
        flops: C.
        flops_of: What C counts: the arithmetic of the model, or that of its chips over all of the
            time, restarts included.
        chips: Number of accelerators.
        chip: Their name, one of `analysis.named_models.identities.PEAKS`.
        hours: Hours of training on all of them.
        utilisation: Share of the peak that the model's FLOPs took.
        megawatt_hours: Energy of the training.
        dollars_2023: Cost of the training at rented prices, in dollars of 2023.
        confidence: How size and compute are known.
        sources: Where the facts come from.
        note: What else to know; may be empty.
    """

    name: str
    date: date
    kind: str
    parameters: float | None
    active: float | None
    tokens: float | None
    unique_tokens: float | None
    flops: float | None
    flops_of: Counted
    chips: int | None
    chip: str
    hours: float | None
    utilisation: float | None
    megawatt_hours: float | None
    dollars_2023: float | None
    confidence: Confidence
    sources: tuple[str, ...]
    note: str

    @property
    def is_sparse(self) -> bool:
        """Whether a token uses some of the parameters alone."""
        return self.active is not None and self.active != self.parameters

    @property
    def year(self) -> float:
        """The date as a number of years."""
        return year_of(self.date)


def year_of(day: date) -> float:
    """Returns a date as a number of years."""
    return day.year + (day - date(day.year, 1, 1)).days / 365.25


@cache
def models() -> tuple[Model, ...]:
    """Returns all models, oldest first."""
    rows = tomllib.loads(_FILE.read_text(encoding="utf-8"))["models"]
    return tuple(sorted(map(_model, rows), key=lambda model: model.date))


def find(name: str) -> Model:
    """Returns a model by its name, or by a beginning that it alone has.

    Case and marks do not matter.

    Raises:
        ValueError: An unknown name (the nearest is given), or a beginning of several.
    """
    by_name = {_bare(model.name): model for model in models()}
    if _bare(name) not in by_name:
        begun = [model for bare, model in by_name.items() if bare.startswith(_bare(name))]
        if len(begun) == 1:
            return begun[0]
        if begun and _bare(name):
            several = ", ".join(model.name for model in begun)
            raise ValueError(f"several models begin with {name!r}: give one of {several}")
        nearest = did_you_mean(name, (model.name for model in models()))
        raise ValueError(f"no model {name!r}: {nearest}`scaling models list` prints all names")
    return by_name[_bare(name)]


def _bare(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def _model(row: dict[str, Any]) -> Model:
    known = {each.name for each in fields(Model)}
    if wrong := set(row) - known:
        raise ValueError(f"{_FILE.name}: {row.get('name')} has {', '.join(sorted(wrong))}")
    if row["confidence"] not in get_args(Confidence) or not row["sources"]:
        raise ValueError(f"{_FILE.name}: {row['name']} has no source, or no known confidence")
    if row.get("flops_of", "model") not in get_args(Counted):
        raise ValueError(f"{_FILE.name}: {row['name']} has flops_of {row['flops_of']!r}")
    given: dict[str, Any] = {name: None for name in known}
    given |= {"chip": "", "note": "", "flops_of": "model"} | row
    given["sources"] = tuple(row["sources"])
    if given["active"] is None:
        given["active"] = given["parameters"]
    return Model(**given)
