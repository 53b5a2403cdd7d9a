"""Typed trees of frozen dataclasses: checked, converted, and written as plain JSON values.

A configuration is a tree of frozen dataclasses. A field that may hold one of several dataclasses
is a union, and each member names itself by a class attribute `kind`. A union with a `Protocol`
among its members is open: it takes values of dataclasses that it does not name, too, but reads only
those that it names. Everything that turns text, JSON or a sweep axis into a configuration goes
through here, so a misspelt name or an impossible value gets the same message wherever it came from.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Closed or half-open interval of allowed numbers, used as `Annotated[int, Range(low=1)]`."""

    low: float = -math.inf
    high: float = math.inf
    low_excluded: bool = False
    high_excluded: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether `value` is inside."""
        above = value > self.low if self.low_excluded else value >= self.low
        return above and (value < self.high if self.high_excluded else value <= self.high)

    def __str__(self) -> str:
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'greater than' if self.low_excluded else 'at least'} {self.low:g}")
        if self.high < math.inf:
            bounds.append(f"{'less than' if self.high_excluded else 'at most'} {self.high:g}")
        return " and ".join(bounds)


@dataclass(frozen=True)
class Argument:
    """Marks a field that compiled code takes as an argument, or does not see at all.

    Runs that differ in such fields alone share compiled code. It is used beside the type, as
    `Annotated[Positive, Argument(1.0)]`.

    Attributes:
        stand_in: Value that `without_arguments` gives the field.
    """

    stand_in: Any


@dataclass(frozen=True)
class Newer:
    """Marks a field that is newer than results which stand, as `Annotated[bool, Newer()]`.

    At its default, under which those results were made, it is left out of plain values. The
    identity of older runs stands so, and their files are read as before.
    """


Positive = Annotated[float, Range(low=0, low_excluded=True)]
NonNegative = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
Decay = Annotated[float, Range(low=0, high=1, high_excluded=True)]
Count = Annotated[int, Range(low=1)]
"""The ranges that fields are usually declared with."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Remedy for a misspelt name: the nearest valid name, and all valid names."""
    names = sorted(known)
    lowered = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), sorted(lowered), n=1, cutoff=0.5)
    hint = f"did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{hint}valid: {', '.join(names)}"


@functools.cache
def types_of(cls: type) -> dict[str, Any]:
    """Annotated types of a dataclass's own fields, `Annotated` kept."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


class _Field(NamedTuple):
    """A field of a dataclass, and whether a value is one that checking leaves as it is."""

    name: str
    annotation: Any
    is_settled: Callable[[Any], bool]


@functools.cache
def _fields_of(cls: type) -> tuple[_Field, ...]:
    """Fields of a dataclass: sweeps check the same few classes a hundred thousand times."""
    return tuple(_Field(name, kind, _settled(kind)) for name, kind in types_of(cls).items())


class Checked:
    """A base of frozen dataclasses: it checks and normalises every field when one is made.

    Integers become floats where a float is declared, NumPy scalars become Python ones, lists
    become tuples: equal values then have one spelling, and one hash.

    A class may declare `exclusive`, a tuple of optional fields of which exactly one must be set
    (durations in different units).
    """

    def __post_init__(self) -> None:
        check_fields(self)


def check_fields(config: Any) -> None:
    """Checks and normalises the fields of a frozen dataclass, as `Checked` says.

    Raises:
        ValueError: a value of another type or outside its declared range.
    """
    cls = type(config)
    for name, annotation, is_settled in _fields_of(cls):
        value = getattr(config, name)
        if not is_settled(value):
            value = _convert(value, annotation, f"{label_of(cls)}.{name}")
            object.__setattr__(config, name, value)
    exclusive = getattr(cls, "exclusive", ())
    given = [name for name in exclusive if getattr(config, name) is not None]
    if exclusive and len(given) != 1:
        raise ValueError(
            f"{label_of(cls)}: give exactly one of {', '.join(exclusive)}; "
            f"given: {', '.join(given) or 'none'}"
        )


def to_dict(config: Any) -> Any:
    """Plain JSON values of a configuration tree; union members carry their `kind`."""
    written = _written(type(config))
    if written is not None:
        plain = {} if written.kind is None else {"kind": written.kind}
        for name, left_out in written.fields:
            value = getattr(config, name)
            if value != left_out:
                plain[name] = to_dict(value)
        return plain
    if isinstance(config, tuple):
        return [to_dict(item) for item in config]
    return config


class _Written(NamedTuple):
    """How instances of a dataclass are written: their kind, and each field with what leaves it out.

    A field that is marked as newer is left out at its default, any other never.
    """

    kind: str | None
    fields: tuple[tuple[str, Any], ...]


_NEVER = object()


@functools.cache
def _written(cls: type) -> _Written | None:
    """How instances of a class are written; None for a class that is no dataclass."""
    if not dataclasses.is_dataclass(cls):
        return None
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in types_of(cls).items()}
    fields = dataclasses.fields(cls)
    newer = {name for name, each in marks.items() if any(isinstance(m, Newer) for m in each)}
    return _Written(
        getattr(cls, "kind", None),
        tuple((f.name, f.default if f.name in newer else _NEVER) for f in fields),
    )


def from_dict(cls: type[T], data: Any, where: str = "config") -> T:
    """Rebuilds a configuration from `to_dict`'s output.

    Raises:
        ValueError: an unknown, missing or impossible field, with its path and the nearest name.
    """
    return _convert(data, cls, where)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted columns of a configuration: `{"model.kind": "mlp", "model.width": 8, ...}`."""
    flat: dict[str, Any] = {}
    for name, value in (config if isinstance(config, Mapping) else to_dict(config)).items():
        if type(value) is dict or isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def without_arguments(config: T) -> T:
    """A copy of a configuration tree in which every `Argument` has its stand-in."""
    changes = dict(_stand_ins(type(config)))
    for name in types_of(type(config)):
        value = getattr(config, name)
        if name not in changes and dataclasses.is_dataclass(value):
            changes[name] = without_arguments(value)
    return dataclasses.replace(typing.cast(Any, config), **changes)


@functools.cache
def _stand_ins(cls: type) -> Mapping[str, Any]:
    """Stand-ins of the fields of a class that are marked as arguments."""
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in types_of(cls).items()}
    return {name: m.stand_in for name, of in marks.items() for m in of if isinstance(m, Argument)}


class _Text(str):
    """A value as typed on a command line, still to be read as the type of its field."""

    __slots__ = ()


def as_typed(text: str) -> str:
    """A text as typed on a command line, which `from_dict` and others read as its field's type."""
    return _Text(text)


def label_of(cls: type) -> str:
    """Name of a class in messages: its kind, where it has one."""
    return getattr(cls, "kind", cls.__name__)


def _settled(annotation: Any) -> Callable[[Any], bool]:
    """Returns a quick test that a value is as `_convert` would return it; False may be either."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        base, limits = _settled(args[0]), [each for each in args[1:] if isinstance(each, Range)]
        return lambda value: base(value) and (value is None or all(value in it for it in limits))
    if origin in (typing.Union, types.UnionType):
        classes = frozenset(filter(_is_settled_by_class, args))
        members = [_settled(member) for member in args if member not in classes]
        return lambda value: type(value) in classes or any(each(value) for each in members)
    if origin is typing.Literal:
        words = [word for word in args if type(word) is str]
        return lambda value: type(value) is str and value in words
    if annotation is float:  # -0.0 is not settled, and 0.0 is taken for it
        return lambda value: type(value) is float and math.isfinite(value) and value != 0
    if annotation is int:
        return lambda value: type(value) is int and abs(value) < 2**63
    if _is_settled_by_class(annotation):
        return lambda value: type(value) is annotation
    return lambda value: False


def _is_settled_by_class(annotation: Any) -> bool:
    """Whether every instance of a class is settled."""
    return annotation in (str, bool, type(None)) or _is_checked_when_made(annotation)


def _is_checked_when_made(cls: Any) -> bool:
    """Whether instances are frozen, and only `Checked` makes them."""
    return _is_frozen(cls) and getattr(cls, "__post_init__", None) is Checked.__post_init__


def _convert(value: Any, annotation: Any, where: str) -> Any:
    """`value` as the annotated type, or a ValueError that says what `where` takes."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        converted = _convert(value, args[0], where)
        for limit in args[1:]:
            if isinstance(limit, Range) and converted is not None and converted not in limit:
                raise ValueError(f"{where} = {converted!r} is impossible: give a value {limit}")
        return converted
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, args, where)
    if origin is typing.Literal:
        if value not in args:
            raise ValueError(f"{where} = {str(value)!r}: {nearest(str(value), map(str, args))}")
        return str(value) if isinstance(value, str) else value
    if origin is tuple:
        if isinstance(value, _Text):
            value = [_Text(part) for part in value.split(",") if part]
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"{where} = {value!r}: give a list of values")
        return tuple(_convert(item, args[0], f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(annotation):
        return _convert_dataclass(value, typing.cast(type, annotation), where)
    return _convert_scalar(value, annotation, where)


def _convert_union(value: Any, members: tuple[Any, ...], where: str) -> Any:
    if type(None) in members:
        if value is None or (isinstance(value, _Text) and value.lower() in ("none", "null")):
            return None
        (member,) = (m for m in members if m is not type(None))
        return _convert(value, member, where)
    if type(value) in members:
        cls = type(value)
        return _convert_dataclass(value, cls, where) if dataclasses.is_dataclass(cls) else value
    kinds = {member.kind: member for member in members if hasattr(member, "kind")}
    if len(kinds) < len(members) and not isinstance(value, Mapping | str | type):
        return _checked_newcomer(value, kinds, where)
    if not isinstance(value, Mapping) or "kind" not in value:
        raise ValueError(f"{where} = {value!r}: give one of {', '.join(sorted(kinds))} with fields")
    kind = value["kind"]
    if kind not in kinds:
        raise ValueError(f"{where}.kind = {kind!r}: {nearest(str(kind), kinds)}")
    return _convert_dataclass(value, kinds[kind], where)


def _checked_newcomer(value: Any, kinds: Mapping[str, type], where: str) -> Any:
    """A value of a class that an open union does not name, if it is like those that it does."""
    cls = type(value)
    if not _is_frozen(cls):
        raise ValueError(
            f"{where} = {value!r}: give one of {', '.join(sorted(kinds))}, or a frozen dataclass. "
            f"{cls.__name__} is not one: decorate it with @dataclass(frozen=True, kw_only=True)"
        )
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str) or "kind" in types_of(cls):
        raise ValueError(
            f"{where}: {cls.__name__} has no kind: declare one, such as kind: ClassVar[str] = "
            f"{cls.__name__.lower()!r}"
        )
    if kind in kinds:
        taken = kinds[kind]
        raise ValueError(
            f"{where}: {cls.__name__} has the kind {kind!r} of {taken.__module__}.{taken.__name__}:"
            " give it another"
        )
    check_fields(value)
    return value


def _is_frozen(cls: type) -> bool:
    made_by = getattr(cls, "__dataclass_params__", None)
    return made_by is not None and made_by.frozen


def _convert_dataclass(value: Any, cls: type, where: str) -> Any:
    if isinstance(value, cls):
        if not _is_frozen(type(value)):
            raise ValueError(
                f"{where}: {type(value).__name__} is not a frozen dataclass, so its values "
                "could change: decorate it with @dataclass(frozen=True)"
            )
        if not _is_checked_when_made(type(value)):
            check_fields(value)
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} = {value!r}: give the fields of {label_of(cls)}")
    known = types_of(cls)
    fields = {name: item for name, item in value.items() if name != "kind"}
    for name in fields:
        if name not in known:
            raise ValueError(f"{where}: no field {name!r}; {nearest(str(name), known)}")
    required = {
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - fields.keys()):
        raise ValueError(f"{where}: missing {', '.join(missing)}")
    return cls(**{k: _convert(v, known[k], f"{where}.{k}") for k, v in fields.items()})


def _convert_scalar(value: Any, kind: type, where: str) -> Any:
    if kind is str:
        if isinstance(value, str):
            return str(value)
    elif kind is bool:
        words = {"true": True, "yes": True, "false": False, "no": False}
        if isinstance(value, _Text) and value.lower() in words:
            return words[value.lower()]
        if isinstance(value, bool):
            return value
    elif kind in (int, float):
        number = _number(value)
        if number is not None and kind is float and math.isfinite(number):
            return float(number) + 0.0  # -0.0 becomes 0.0: one value, one hash
        if number is not None and kind is int and number == number // 1 and abs(number) < 2**63:
            return int(number)
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{where} = {value!r} is not a finite number; give a finite one")
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise ValueError(f"{where} = {value!r}: give {names.get(kind, kind)}")


def _number(value: Any) -> int | float | None:
    if isinstance(value, _Text):
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                continue
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return int(value) if isinstance(value, numbers.Integral) else float(value)
