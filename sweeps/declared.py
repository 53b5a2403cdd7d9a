"""Sweeps without a file of their own: a few texts that say which runs there are.

    Declaration(
        name="widths",
        set=("model=transformer", "train.tokens=1e6"),
        grid=("model.width=16,32,64", "seed=0..4"),
    )

The runs are the product of every axis of `grid`, the fields of `zip` in step, and `draws` random
settings of the fields of `draw`. They are counted before any is made. A declaration is its own
command: `command` writes it as `scaling sweep` takes it, and a plan keeps that.
"""

from __future__ import annotations

import math
import random
import re
import shlex
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scaling.config import RunConfig
from scaling.counting import Counting
from scaling.fields import as_typed, from_dict, nearest, types_of
from scaling.kinds import ModelConfig
from scaling.models.compressor import Compressor
from scaling.models.counted_ngram import CountedNGram
from scaling.models.kernel import Kernel
from scaling.models.linear import Linear
from scaling.models.random_features import RandomFeatures
from scaling.overrides import replace_together
from sweeps.axes import MAX_RUNS, Axis, Value, parse_axis, parse_drawn, split

LONGEST_NAME = 64
"""Most letters of a sweep's name, which names its results folder."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_KINDS = ("model", "data", "train")

Tree = dict[str, Any]
"""Fields of a configuration by name, with those below them."""

_TOKENS: Tree = {
    "data": {"kind": "text"},
    "train": {
        "kind": "pretraining",
        "optimizer": {"kind": "adam", "learning_rate": 0.01, "b2": 0.99},
    },
}
_SHAPE = {"depth": 2, "head_size": 8}
_COUNTED: Tree = {"data": {"kind": "text"}, "train": {"kind": Counting.kind}}
_SOLVED: Tree = {
    "data": {"kind": "gaussian", "n_train": 100, "dimension": 400, "noise_variance": 0.25},
    "train": {"kind": "ridgeless"},
}
_EXAMPLES: Tree = {
    "data": {"kind": "mnist1d", "n_train": 4000},
    "train": {
        "kind": "gradient",
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "batch_size": 128,
    },
}
"""What a model is trained on, and how, unless the declaration says otherwise: beginnings, not
recommendations."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A sweep as its command declares it; every field but numbers and name is text as typed.

    Attributes:
        name: Name of the sweep and of its results folder.
        set: Fields that all runs share, e.g. "train.tokens=1e6"; "model=transformer" is short for
            "model.kind=transformer".
        grid: Axes of which every combination is run.
        zip: Axes of one length, taken in step.
        draw: Fields that are drawn at random.
        draws: Number of random settings of them.
        sample: Number of runs to draw from all, without replacement; None for all.
        random_seed: Seed of what is drawn.
    """

    name: str
    set: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()
    zip: tuple[str, ...] = ()
    draw: tuple[str, ...] = ()
    draws: int = 1
    sample: int | None = None
    random_seed: int = 0

    def command(self) -> str:
        """The command line that declares it."""
        words = ["scaling", "sweep", "--name", self.name]
        for name in ("set", "grid", "zip", "draw"):
            for text in getattr(self, name):
                words += [f"--{name}", text]
        if self.draw:
            words += ["--draws", str(self.draws)]
        if self.sample is not None:
            words += ["--sample", str(self.sample)]
        if self.draw or self.sample is not None:
            words += ["--random-seed", str(self.random_seed)]
        return shlex.join(words)

    def axes(self) -> tuple[str, ...]:
        """Paths of the fields that vary, in the order of their axes."""
        varying = (*self.grid, *self.zip, *self.draw)
        return tuple(_full(split(text)[0]) for text in varying)


class _Block(NamedTuple):
    """Fields that vary together: row number k holds the values of all of them."""

    paths: tuple[str, ...]
    n_rows: int
    columns: Sequence[Sequence[Value]]


def configs_of(declared: Declaration) -> list[RunConfig]:
    """The runs of a declaration, those of a grid with its last axis running fastest.

    Raises:
        ValueError: a name that is none, more than `MAX_RUNS` runs, no such field (with the
            nearest), or an impossible value.
    """
    check_name(declared.name)
    blocks = _blocks(declared)
    shared = _shared(declared, [path for block in blocks for path in block.paths])
    # 1. Runs are counted before any is made.
    n_all = math.prod(block.n_rows for block in blocks)
    n_runs = n_all if declared.sample is None else declared.sample
    if not 1 <= n_runs <= n_all:
        raise ValueError(f"--sample {n_runs:,} of {n_all:,} runs: give 1 to {n_all:,}")
    if n_runs > MAX_RUNS:
        raise ValueError(
            f"the sweep has {n_runs:,} runs, more than {MAX_RUNS:,}: give fewer values, or draw "
            "some of them with --sample"
        )
    numbers: Sequence[int] = range(n_all)
    if declared.sample is not None:
        numbers = sorted(random.Random(declared.random_seed).sample(numbers, n_runs))
    # 2. Each is made of the defaults of its model, what all share, and its own values. Many differ
    #    in seeds alone: the rest of them is made and checked once.
    made: dict[tuple[tuple[str, Value], ...], RunConfig] = {}
    found: list[RunConfig] = []
    for number in numbers:
        values = {**shared, **_row(blocks, number)}
        seed = {name: values.pop(name) for name in ("seed",) if name in values}
        rest = tuple(values.items())
        if rest not in made:
            made[rest] = _config(values)
        found.append(replace_together(made[rest], seed))
    return found


def extended(declared: Declaration, grid: Sequence[str], draws: int | None) -> Declaration:
    """The declaration with more values of some fields, or more random settings.

    Args:
        declared: The sweep; those of its runs that are done are kept.
        grid: More values, as axes; a field that all runs share becomes an axis.
        draws: Number of random settings in all; the first are those of before.

    Raises:
        ValueError: nothing is added, the field is zipped or drawn, or the runs are a sample.
    """
    if declared.sample is not None:
        raise ValueError(
            "the runs are a random sample; more values would give another: declare a new sweep"
        )
    if not grid and (draws is None or draws <= declared.draws):
        raise ValueError("nothing is added: give --grid with more values, or more --draws")
    axes = {_full(axis.path): axis for axis in map(parse_axis, declared.grid)}
    shared = {_full(split(text)[0]): split(text)[1] for text in declared.set}
    for path in (_full(split(text)[0]) for text in (*declared.zip, *declared.draw)):
        if path in {_full(split(text)[0]) for text in grid}:
            raise ValueError(
                f"{path} is zipped or drawn, and takes no more values: declare a new sweep"
            )
    for text in grid:
        path, values = _full(split(text)[0]), parse_axis(text).values
        before = axes[path].values if path in axes else [shared.pop(path)] if path in shared else []
        if len(before) + len(values) > MAX_RUNS:
            raise ValueError(f"{text!r} has {len(values):,} values: give fewer")
        axes[path] = Axis(path, list(dict.fromkeys(map(str, (*before, *values)))))
    return replace(
        declared,
        set=tuple(f"{path}={value}" for path, value in shared.items()),
        grid=tuple(f"{path}={','.join(map(str, axis.values))}" for path, axis in axes.items()),
        draws=draws or declared.draws,
    )


def check_name(name: str) -> None:
    """Refuses a name that cannot be that of a folder on every machine.

    Raises:
        ValueError: the name, what is allowed, and what to do.
    """
    reserved = _DEVICES.fullmatch(name)
    if not _NAME.fullmatch(name) or name.endswith(".") or reserved:
        shown = repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...")
        why = "a device on some machines" if reserved else f"{len(name)} characters"
        raise ValueError(
            f"--name {shown} ({why}) cannot name a results folder: give at most {LONGEST_NAME} "
            "letters, digits, '-', '_' and '.', the first a letter or digit, e.g. widths"
        )


def _blocks(declared: Declaration) -> list[_Block]:
    """What varies: each axis of the grid, the zipped fields, and the drawn ones."""
    blocks = [_block([parse_axis(text)]) for text in declared.grid]
    if declared.zip:
        axes = [parse_axis(text) for text in declared.zip]
        lengths = {axis.path: len(axis.values) for axis in axes}
        if len(set(lengths.values())) > 1:
            each = ", ".join(f"{path} has {length:,}" for path, length in lengths.items())
            raise ValueError(f"zipped axes differ in length: {each}. Give each the same number")
        blocks.append(_block(axes))
    if declared.draw:
        drawn = [parse_drawn(text) for text in declared.draw]
        if not 1 <= declared.draws <= MAX_RUNS:
            raise ValueError(f"--draws {declared.draws:,}: give 1 to {MAX_RUNS:,}")
        rng = random.Random(declared.random_seed)
        rows = [[each.draw(rng) for each in drawn] for _ in range(declared.draws)]
        blocks.append(
            _block(
                [
                    Axis(each.path, column)
                    for each, column in zip(drawn, zip(*rows, strict=True), strict=True)
                ]
            )
        )
    return blocks


def _block(axes: Sequence[Axis]) -> _Block:
    paths = tuple(_full(axis.path) for axis in axes)
    return _Block(paths, len(axes[0].values), [axis.values for axis in axes])


def _shared(declared: Declaration, varying: Sequence[str]) -> dict[str, Value]:
    """The fields that all runs share; no field is declared twice."""
    shared: dict[str, Value] = {}
    for text in declared.set:
        path, value = split(text)
        path = _full(path)
        if shared.setdefault(path, as_typed(value)) != value:
            raise ValueError(
                f"{path} is set to {shared[path]} and to {value}, but it takes one value: give one "
                "of the two, or an axis of --grid"
            )
    paths = [*shared, *varying]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise ValueError(
            f"{twice} is declared twice: give it once, in --set, --grid, --zip or --draw"
        )
    return shared


def _row(blocks: Sequence[_Block], number: int) -> dict[str, Value]:
    """Values of the fields that vary in run `number` of the product."""
    row: dict[str, Value] = {}
    for block in reversed(blocks):
        number, place = divmod(number, block.n_rows)
        values = (column[place] for column in block.columns)
        row.update(zip(block.paths, values, strict=True))
    return row


def _config(values: Mapping[str, Value]) -> RunConfig:
    """The run of these values, by path, over the defaults of its model."""
    own: Tree = {}
    for path, value in values.items():
        *above, name = path.split(".")
        level = own
        for each in above:
            level = level.setdefault(each, {})
            if not isinstance(level, dict):
                raise ValueError(
                    f"{path}: {each!r} has a value, and so no fields: give one of both"
                )
        level[name] = value
    kinds = {cls.kind: cls for cls in typing.get_args(ModelConfig) if hasattr(cls, "kind")}
    kind = own.get("model", {}).get("kind")
    if kind is None:
        raise ValueError(f"the sweep has no model: give --model; {nearest('', kinds)}")
    if kind not in kinds:
        raise ValueError(f"--model {str(kind)!r}: {nearest(str(kind), kinds)}")
    return from_dict(RunConfig, _over(_defaults(kinds[kind], own["model"]), own))


def _defaults(model: Any, own: Tree) -> Tree:
    """What a family is trained on, and how, and sizes of it that are not declared."""
    if issubclass(model, CountedNGram | Compressor):
        return _COUNTED
    if model.takes_tokens:
        known = types_of(model).keys() - ({"head_size"} if "heads" in own else set())
        return {"model": {k: v for k, v in _SHAPE.items() if k in known}, **_TOKENS}
    return _SOLVED if issubclass(model, Linear | RandomFeatures | Kernel) else _EXAMPLES


def _over(defaults: Any, own: Any) -> Any:
    """Fields of a run over the defaults; a default of another kind has no fields in common."""
    if not isinstance(own, dict) or not isinstance(defaults, dict):
        return own
    if "kind" in own and own["kind"] != defaults.get("kind", own["kind"]):
        return own
    return {**defaults, **{name: _over(defaults.get(name), value) for name, value in own.items()}}


def _full(path: str) -> str:
    return f"{path}.kind" if path in _KINDS else path
