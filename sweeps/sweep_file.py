"""Files that declare a sweep: TOML of our own, sweep files of W&B, multirun lines of Hydra.

    name = "widths"
    [set]
    model = "transformer"
    train.tokens = 1e6
    [grid]
    model.width = [16, 32, 64]
    seed = "0..4"

The same keys may be written as YAML or JSON. A file with `parameters` is one of W&B; a file of
another ending, or a text with `--multirun` or `-m`, holds the command line of a Hydra multirun.
Files are small, plain and strict: no pipes or devices, at most 256 KiB (YAML 32 KiB), nothing
nested deeply, no aliases, no tags, no key twice; nothing in them is executed.

Sources: W&B documentation, "Define a sweep configuration"; Hydra 1.3 documentation, "Multi-run" and
"Extended override syntax".
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from scaling.fields import nearest
from scaling.sealed import parse
from sweeps import files
from sweeps.declared import Declaration

MOST_BYTES = 2**18
MOST_BYTES_OF_YAML = 2**15  # PyYAML reads some 50 kB a second
DEEPEST = 16
"""Most levels of tables, one inside the other."""

_TEXTS = ("set", "grid", "zip", "draw")
_NUMBERS = ("draws", "sample", "random_seed")


@dataclass(frozen=True)
class SweepFile:
    """What a file declares.

    Attributes:
        declared: Fields of a `Declaration`, by name.
        ignored: Keys of the file that have no meaning here.
    """

    declared: Mapping[str, Any]
    ignored: tuple[str, ...] = ()


def read(source: str) -> SweepFile:
    """Reads a sweep file, or the command line of a Hydra multirun.

    Raises:
        ValueError: a file that cannot be read, that is not strict, or that says what nothing here
            does.
    """
    if re.search(r"\s(--multirun|-m)(\s|$)", source) and not Path(source).is_file():
        return _of_hydra(source)
    path = Path(source)
    text = _text_of(path)
    try:
        match path.suffix:
            case ".toml":
                plain = tomllib.loads(text)
            case ".json":
                plain = parse(text)
            case ".yaml" | ".yml":
                plain = _yaml(text)
            case _:
                return _of_hydra(text)
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deeply to be a sweep") from None
    except ValueError as error:
        raise ValueError(f"{path}: not readable as {path.suffix[1:]}: {error}") from None
    try:
        _check(plain)
        return _of_wandb(plain) if "parameters" in plain else _own(plain)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _text_of(path: Path) -> str:
    most = MOST_BYTES_OF_YAML if path.suffix in (".yaml", ".yml") else MOST_BYTES
    try:
        return files.read_bytes(path, most).decode("utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"--from {path}: {error.strerror}. Give a regular file of at most {most:,} bytes, or a "
            "Hydra command line with --multirun"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"--from {path} is not UTF-8 text: save it as UTF-8") from None


def _yaml(text: str) -> Any:
    import yaml

    class Strict(yaml.SafeLoader):
        """Plain values alone: an alias can make a small file as large as memory."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("aliases are not read: write the values out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key) for key, _ in node.value]
            if twice := next((key for key in keys if keys.count(key) > 1), None):
                raise ValueError(f"the key {twice!r} is given twice")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Strict)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _check(plain: Any, level: int = 0) -> None:
    """Refuses what no sweep has: another thing than tables of text keys, or deep ones."""
    if level == 0 and not isinstance(plain, dict):
        raise ValueError(f"it holds a {type(plain).__name__}, no table of fields")
    if level > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    if isinstance(plain, dict):
        if strange := next((key for key in plain if not isinstance(key, str)), None):
            raise ValueError(f"the key {strange!r} is no text: put it in quotes")
    for value in plain.values() if isinstance(plain, dict) else plain:
        if isinstance(value, dict | list):
            _check(value, level + 1)


def _own(plain: Mapping[str, Any]) -> SweepFile:
    known = {each.name for each in fields(Declaration)}
    for name, value in plain.items():
        if name not in known:
            raise ValueError(f"no key {name!r}; {nearest(name, known)}")
        wanted = dict if name in _TEXTS else int if name in _NUMBERS else str
        if not isinstance(value, wanted) or isinstance(value, bool):
            words = {dict: "a table of fields", int: "a whole number", str: "text"}
            raise ValueError(f"{name} = {value!r}: give {words[wanted]}")
    found = {
        name: tuple(f"{path}={_spec(path, each)}" for path, each in _flat(value))
        if name in _TEXTS
        else value
        for name, value in plain.items()
    }
    return SweepFile(found)


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _spec(path: str, value: Any) -> str:
    """The values of a field as `sweeps.axes` reads them."""
    if not isinstance(value, list):
        return _text(path, value)
    texts = [_text(path, each) for each in value]
    if with_comma := next((text for text in texts if "," in text), None):
        raise ValueError(
            f"{path}: {with_comma!r} has a comma, which separates values: give other text"
        )
    return ",".join(texts)


def _text(path: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, int | str):
        return str(value)
    raise ValueError(f"{path} = {value!r}: give a number, text, true or false, or a list of them")


_IGNORED_OF_WANDB = ("program", "command", "metric", "description", "project", "entity", "job")
_RANGES = {"uniform": "", "log_uniform_values": "log:", "int_uniform": "int:"}
"""Distributions of W&B between `min` and `max`, as `sweeps.axes` names them."""


def _of_wandb(plain: Mapping[str, Any]) -> SweepFile:
    """A sweep file of W&B, by grid or at random."""
    method = plain.get("method")
    if method not in ("grid", "random"):
        raise ValueError(
            f"method = {method!r} of a W&B sweep is not supported: give 'grid' or 'random'"
        )
    known = {"name", "method", "parameters", "run_cap", *_IGNORED_OF_WANDB}
    if unknown := next((key for key in plain if key not in known), None):
        raise ValueError(f"{unknown!r} of a W&B sweep is not supported: leave it out")
    if not isinstance(plain["parameters"], dict):
        raise ValueError(
            "parameters is no table: give each field its value, values, or min and max"
        )
    declared: dict[str, Any] = {name: [] for name in _TEXTS}
    for path, parameter in _parameters(plain["parameters"]):
        kind, spec = _of_parameter(path, parameter)
        if kind == "draw" and method == "grid":
            raise ValueError(f"parameters.{path}: give `values` or `value`, as a grid needs")
        where = "draw" if kind == "grid" and method == "random" else kind
        declared[where].append(f"{path}={spec}")
    if method == "random":
        if not isinstance(plain.get("run_cap"), int):
            raise ValueError("a random sweep needs run_cap: give the number of its runs")
        declared["draws"] = plain["run_cap"]
    elif "run_cap" in plain:
        declared["sample"] = plain["run_cap"]
    found = {name: tuple(v) if isinstance(v, list) else v for name, v in declared.items() if v}
    if isinstance(plain.get("name"), str):
        found["name"] = plain["name"]
    return SweepFile(found, tuple(key for key in _IGNORED_OF_WANDB if key in plain))


def _parameters(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in table.items():
        if not isinstance(value, dict):
            raise ValueError(
                f"parameters.{above}{name} = {value!r}: give value, values, or min and max"
            )
        if isinstance(value.get("parameters"), dict):
            yield from _parameters(value["parameters"], f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _of_parameter(path: str, parameter: Mapping[str, Any]) -> tuple[str, str]:
    """Where a parameter of W&B belongs (set, grid or draw), and its values."""
    keys = set(parameter) - {"distribution"}
    how = parameter.get("distribution")
    if keys == {"value"} and how in (None, "constant"):
        return "set", _text(path, parameter["value"])
    if keys == {"values"} and how in (None, "categorical"):
        if not isinstance(parameter["values"], list) or not parameter["values"]:
            raise ValueError(f"parameters.{path}: values is no list")
        return "grid", _spec(path, parameter["values"])
    if keys == {"min", "max"}:
        low, high = parameter["min"], parameter["max"]
        whole = isinstance(low, int) and isinstance(high, int)
        how = how or ("int_uniform" if whole else "uniform")
        if how in _RANGES:
            return "draw", f"{_RANGES[how]}{_text(path, low)}..{_text(path, high)}"
    shown = how or ", ".join(sorted(keys))
    raise ValueError(
        f"parameters.{path}: {shown!r} is not supported: give value, values, or min and max with "
        f"the distribution {', '.join(_RANGES)}"
    )


_FUNCTION = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


def _of_hydra(text: str) -> SweepFile:
    """The command line of a Hydra multirun: its overrides, swept where they have several values."""
    lines = text.replace("\\\n", " ").splitlines()
    with_flag = [line for line in lines if re.search(r"(^|\s)(--multirun|-m)(\s|$)", line)]
    if len(with_flag) != 1:
        raise ValueError(
            f"--from: {len(with_flag)} lines with --multirun or -m; give one Hydra command line, "
            "or a file that ends in .toml, .yaml or .json"
        )
    try:
        words = shlex.split(with_flag[0], comments=True)
    except ValueError as error:
        raise ValueError(f"--from: not a command line ({error}): correct its quotes") from None
    declared: dict[str, list[str]] = {"set": [], "grid": []}
    ignored: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name.startswith("-"):
            continue
        path = name.lstrip("+")
        if path.startswith(("~", "hydra.", "hydra/")):
            ignored.append(name)
            continue
        spec, n_values = _of_override(path, value)
        declared["grid" if n_values > 1 else "set"].append(f"{path}={spec}")
    return SweepFile({name: tuple(each) for name, each in declared.items() if each}, tuple(ignored))


def _of_override(path: str, value: str) -> tuple[str, int]:
    """The values of an override, and how many there are."""
    called = _FUNCTION.fullmatch(value.strip())
    if called is None:
        values = [_unquoted(part) for part in value.split(",")]
    elif called[1] == "choice":
        values = [_unquoted(part) for part in called[2].split(",")]
    elif called[1] == "range":
        values = _hydra_range(path, called[2])
    else:
        raise ValueError(
            f"{path}={value}: {called[1]}() is not supported: give a list, choice() or range()"
        )
    return ",".join(values), len(values)


def _hydra_range(path: str, text: str) -> list[str]:
    """Whole numbers of Hydra's range, which leaves its end out as Python's does."""
    try:
        values = range(*(int(part) for part in text.split(",")))
    except (TypeError, ValueError):
        raise ValueError(
            f"{path}=range({text}): give whole numbers: range(start, stop, step)"
        ) from None
    if not 0 < len(values) <= MOST_BYTES:
        raise ValueError(
            f"{path}=range({text}) has {len(values):,} values: give 1 to {MOST_BYTES:,}"
        )
    return [str(value) for value in values]


def _unquoted(text: str) -> str:
    bare = text.strip()
    quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\""
    return bare[1:-1] if quoted else bare
