"""Copies of a configuration with other values at some field paths, such as `train.steps`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from scaling.fields import as_typed, from_dict, label_of, nearest, types_of

T = TypeVar("T")


def replace_at(config: T, path: str, value: Any) -> T:
    """A copy with the field at a dotted path replaced; see `replace_together`."""
    return replace_together(config, {path: value})


def replace_together(config: T, changes: Mapping[str, Any]) -> T:
    """A copy with the fields at dotted paths replaced at once, every level checked again.

    A level is checked once, with all of its changes: values that fit together are taken in any
    order, even where the first alone would be impossible. Setting one of several `exclusive`
    fields clears the others. A field below one that is itself replaced is that of the new value.

    Raises:
        ValueError: a path names no field (the nearest one is given), or a value is impossible, by
            itself or beside the others.
    """
    (copy,) = replace_in_turn(config, list(changes), [list(changes.values())])
    return copy


def replace_in_turn(config: T, paths: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[T]:
    """A copy with the fields at dotted paths replaced, for each row of their values.

    Copies whose rows have the same values below a field have one object there, which is made and
    checked once: most runs of a sweep share their model or their data with others.

    Raises:
        ValueError: as `replace_together` does, of the first row that cannot be taken.
    """
    listed = list(rows)
    if not paths:
        return [config] * len(listed)
    names = [tuple(path.split(".")) for path in paths]
    made: dict[_Values, Any] = {}
    return [
        _rebuilt(config, [_Change(*each) for each in zip(paths, names, row, strict=True)], made)
        for row in listed
    ]


def parse_overrides(config: T, *texts: str) -> T:
    """Applies typed overrides such as `train.steps=200` to a configuration, all at once.

    Raises:
        ValueError: not of the form `path=value`, one path with two values, no such field, or an
            impossible value.
    """
    changes: dict[str, str] = {}
    for text in texts:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not path:
            raise ValueError(
                f"override {text!r}: write it as field.path=value, e.g. train.steps=200"
            )
        if changes.setdefault(path, as_typed(value)) != value:
            raise ValueError(
                f"{path} is set to {changes[path]} and to {value}, but it takes one value: give "
                "one of the two"
            )
    return replace_together(config, changes)


class _Change(NamedTuple):
    """A field to replace: its path, the names of that path from some level on, and its value."""

    path: str
    names: tuple[str, ...]
    value: Any


_Values = tuple[tuple[str, int], ...]
"""Paths and their values by identity: equal ones may differ, as 1 and True do."""


def _rebuilt(config: Any, changes: Sequence[_Change], made: dict[_Values, Any]) -> Any:
    """A copy of one level with all of its changes; `made` holds the fields of earlier copies."""
    by_name: dict[str, list[_Change]] = {}
    for change in changes:
        by_name.setdefault(change.names[0], []).append(change)
    new = {}
    for name, of_it in by_name.items():
        values = tuple((each.path, id(each.value)) for each in of_it)
        if values not in made:
            made[values] = _new_value(config, name, of_it)
        new[name] = made[values]
    exclusive = getattr(type(config), "exclusive", ())
    if any(name in exclusive for name in new):
        new = dict.fromkeys(exclusive) | new
    with _blaming(changes):
        return dataclasses.replace(config, **new)


def _new_value(config: Any, name: str, changes: Sequence[_Change]) -> Any:
    """The new value of one field, which is replaced or has fields that are."""
    cls, value = type(config), getattr(config, name, None)
    below = [each._replace(names=each.names[1:]) for each in changes if len(each.names) > 1]
    with _blaming(changes):
        if not dataclasses.is_dataclass(cls):
            raise ValueError(f"a {cls.__name__} has no field {name!r}: give the value itself")
        known = types_of(cls)
        if name == "kind" and hasattr(config, "kind"):
            raise ValueError(
                "a kind cannot be overridden alone; choose another experiment or sweep"
            )
        if name not in known:
            raise ValueError(f"no field {name!r} in {label_of(cls)}; {nearest(name, known)}")
        for change in changes:
            if len(change.names) == 1:
                value = from_dict(known[name], change.value, f"{label_of(cls)}.{name}")
    return _rebuilt(value, below, {}) if below else value


@contextlib.contextmanager
def _blaming(changes: Sequence[_Change]) -> Generator[None]:
    """Names the changes that an error comes from."""
    try:
        yield
    except ValueError as error:
        shown = ", ".join(f"{each.path} = {each.value!r}" for each in changes)
        raise ValueError(f"{shown}: {error}") from None
