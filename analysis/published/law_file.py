"""An entry as a TOML file, checked as it is read."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from analysis.errors import nearest_name
from analysis.published.conversions import COUNTS
from analysis.published.entry import UNITS, Curve, Entry, Output, Printed
from analysis.published.forms import FORMS, constants_of, parameters

_MOST_BYTES = 1_000_000
_TEXTS = ("title", "paper", "loss", "parameters", "tokens", "compute", "data")
_REQUIRED = ("title", "paper")
_CURVE = ("name", "form", "output", "where", "constants", "errors", "units", "ranges")
_PRINTED = ("curve", "quantity", "at", "value", "tolerance", "where")


def read(path: Path) -> Entry:
    """Reads a published law from a file; its name is that of the file.

    Raises:
        ValueError: No such file, no TOML, or an entry that misses something; the message says
            what, and what is allowed.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file. Give a TOML file with a law (docs/laws.md)")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes, but a law has at most {_MOST_BYTES:,}. "
            "Give a TOML file with a law (docs/laws.md)"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML file: {error}. Mend it (docs/laws.md)") from None
    return _Reader(str(path)).entry(path.stem, values)


class _Reader:
    """Turns plain values into an entry; every refusal names the file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def entry(self, name: str, values: Mapping[str, Any]) -> Entry:
        self._require_known(values, (*_TEXTS, "count", "later", "curves", "printed"), "the file")
        for text in _REQUIRED:
            if not values.get(text):
                raise self._refusal(f"{text} is missing; write {text} = '...'")
        texts = {text: self._text(values, text) for text in _TEXTS}
        later = values.get("later", [])
        if not isinstance(later, list) or not all(isinstance(each, str) for each in later):
            raise self._refusal("later is no list of texts; write later = ['...']")
        count = values.get("count")
        if count is not None and count not in COUNTS:
            raise self._refusal(
                f"count = {count!r} is no way to count N: {nearest_name(str(count), COUNTS)}"
            )
        curves = tuple(self._curve(each) for each in self._tables(values, "curves"))
        if not curves:
            raise self._refusal("there is no [[curves]]; write one for each equation")
        printed = tuple(self._printed(each, curves) for each in self._tables(values, "printed"))
        return Entry(
            name=name, **texts, count=count, later=tuple(later), curves=curves, printed=printed
        )

    def _curve(self, values: Mapping[str, Any]) -> Curve:
        self._require_known(values, _CURVE, "a curve")
        form = self._text(values, "form")
        if form not in FORMS:
            raise self._refusal(f"form = {form!r} is no equation: {nearest_name(form, FORMS)}")
        law, output = FORMS[form], values.get("output", FORMS[form].output)
        if output not in get_args(Output):
            raise self._refusal(
                f"output = {output!r} is not known: {nearest_name(str(output), get_args(Output))}"
            )
        constants = self._numbers(values, "constants", constants_of(law), whole=True)
        units = values.get("units", {})
        for name, unit in units.items():
            if name not in law.inputs or unit not in UNITS:
                raise self._refusal(
                    f"units has {name} = {unit!r}; the inputs of {form} are "
                    f"{', '.join(law.inputs)}, and units are {', '.join(UNITS)}"
                )
        return Curve(
            name=self._text(values, "name") or form,
            law=law,
            constants=constants,
            params=parameters(law, constants),
            errors=self._numbers(values, "errors", constants_of(law)),
            output=output,
            where=self._text(values, "where"),
            units=dict(units),
            ranges=self._ranges(values, law.inputs),
        )

    def _printed(self, values: Mapping[str, Any], curves: Sequence[Curve]) -> Printed:
        self._require_known(values, _PRINTED, "a printed number")
        name = self._text(values, "curve")
        if name and name not in {curve.name for curve in curves}:
            known = [curve.name for curve in curves]
            raise self._refusal(f"curve = {name!r} is not there: {nearest_name(name, known)}")
        numbers = {key: values.get(key) for key in ("value", "tolerance")}
        for key, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self._refusal(f"a printed number has {key} = {value!r}; give a number")
        at = values.get("at", {})
        return Printed(
            curve=name,
            quantity=self._text(values, "quantity") or "y",
            at=self._numbers({"at": at}, "at", tuple(at)),
            value=float(values["value"]),
            tolerance=float(values["tolerance"]),
            where=self._text(values, "where"),
        )

    def _ranges(
        self, values: Mapping[str, Any], inputs: Sequence[str]
    ) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        for name, ends in values.get("ranges", {}).items():
            numbers = isinstance(ends, list) and all(isinstance(e, int | float) for e in ends)
            if name not in inputs or not numbers or len(ends) != 2 or not 0 < ends[0] <= ends[1]:
                raise self._refusal(
                    f"ranges has {name} = {ends!r}; write [least, largest] for an input of the "
                    f"law: {', '.join(inputs)}"
                )
            found[name] = (float(ends[0]), float(ends[1]))
        return found

    def _numbers(
        self, values: Mapping[str, Any], key: str, known: Sequence[str], *, whole: bool = False
    ) -> dict[str, float]:
        given = values.get(key, {})
        if not isinstance(given, dict):
            raise self._refusal(f"{key} is no table of numbers; write {key} = {{ E = 1.69 }}")
        for name, value in given.items():
            if name not in known:
                raise self._refusal(f"{key} has {name}: {nearest_name(name, known)}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self._refusal(f"{key} has {name} = {value!r}; give a number")
        missing = [name for name in known if name not in given]
        if whole and missing:
            raise self._refusal(f"{key} misses {', '.join(missing)}; give {', '.join(known)}")
        return {name: float(value) for name, value in given.items()}

    def _tables(self, values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        found = values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._refusal(f"{key} is no list of tables; write [[{key}]]")
        return found

    def _text(self, values: Mapping[str, Any], key: str) -> str:
        found = values.get(key, "")
        if not isinstance(found, str):
            raise self._refusal(f"{key} = {found!r} is no text; write {key} = '...'")
        return found

    def _require_known(self, values: Mapping[str, Any], known: Sequence[str], what: str) -> None:
        for key in values:
            if key not in known:
                raise self._refusal(f"{what} has {key!r}: {nearest_name(key, known)}")

    def _refusal(self, sentence: str) -> ValueError:
        return ValueError(f"{self.path}: {sentence}")
