"""RunRecord and Curve: the one schema in which a run reports, and the checksummed file it leaves.

Plain Python: importing this module imports neither JAX nor NumPy, so that any program can read
results. Columns carry their unit in their name; `None` means that a quantity does not apply.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scaling.fields import flatten
from scaling.sealed import (
    DamagedFileError,
    digest,
    entry,
    in_lines,
    parse,
    seal,
    sealed_text,
    sha256,
    unseal,
)

SCHEMA_VERSION = 1
_THIS_VERSION = str(SCHEMA_VERSION).encode()

Status = Literal["done", "diverged", "failed", "missing", "paused"]
"""What became of a run. One that is paused was measured before its end and is to be resumed: its
record is no result."""

VOLATILE_COLUMNS = (
    "attempt",
    "wall_seconds",
    "processor_seconds",
    "peak_memory_bytes",
    "compile_seconds",
    "train_seconds",
    "tokens_per_second",
    "model_flops_per_second",
    "model_flops_utilisation",
    "finished_at_utc",
)
"""Columns (with all of `environment.*`) in which two equal runs may differ."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The outcome of one run. Losses are in nats per prediction, errors are fractions.

    `eval_*` is measured on held-out examples (classes clean, regression targets with the noise of
    their teacher); `train_*` on the training set against the labels that were trained on,
    `train_error_clean` against the labels before noise. Squared errors are summed over outputs and
    averaged over examples. `gradient_*`, of batches trained on in several parts, are means over the
    steps since the evaluation before (`scaling.trainers.gradient_noise`). Steps, examples and FLOPs
    are those really spent: of a run that diverged, up to the evaluation that found it out.
    `effective_params_*` are n times the mean squared norm of the rows of the smoother on training
    or held-out examples (`scaling.trainers.solve`). Where the solver's cut-off matters, the error
    with `other_rcond` stands beside that with `rcond`.
    `eval_by` holds parts of the held-out loss, and measurements beside it, by name, where the run
    was to measure them.
    `train_seconds` are those that the last attempt at a run on tokens spent on steps and
    evaluations, and the rates are of its steps.
    `processor_seconds` are those of all threads of the process, of the last attempt, and
    `peak_memory_bytes` is the most memory that the process had taken until then, other runs before
    this one included; in a pack seconds are shared equally.
    `n_curve_points` and `curve_sha256` say what the file of the learning curve holds;
    None where older code wrote it.
    """

    run_id: str
    status: Status
    config: Mapping[str, Any]
    schema_version: int = SCHEMA_VERSION
    reason: str | None = None
    message: str | None = None
    attempt: int | None = None

    n_params_total: int | None = None
    n_params_trainable: int | None = None
    n_params_embedding: int | None = None
    n_params_non_embedding: int | None = None
    n_params_matmul: int | None = None
    n_features: int | None = None
    n_outputs: int | None = None
    n_train_examples: int | None = None
    n_eval_examples: int | None = None
    n_examples_seen: int | None = None
    n_tokens_seen: int | None = None
    n_tokens_predicted: int | None = None
    n_tokens_unique: int | None = None
    steps: int | None = None
    epochs: float | None = None
    flops_train: float | None = None
    flops_train_6n_non_embedding_d: float | None = None
    flops_train_6n_matmul_d: float | None = None
    flops_train_6n_total_d: float | None = None

    train_loss_nats: float | None = None
    train_error: float | None = None
    train_error_clean: float | None = None
    train_squared_error: float | None = None
    eval_loss_nats: float | None = None
    eval_loss_sem_nats: float | None = None
    eval_bits_per_byte: float | None = None
    eval_by: Mapping[str, float | None] | None = None
    eval_error: float | None = None
    eval_error_sem: float | None = None
    eval_squared_error: float | None = None
    eval_squared_error_sem: float | None = None
    eval_excess_risk: float | None = None
    weight_norm_l2: float | None = None
    gradient_squared_norm: float | None = None
    gradient_covariance_trace: float | None = None
    gradient_noise_scale_tokens: float | None = None

    ridge: float | None = None
    rcond: float | None = None
    rank: int | None = None
    other_rcond: float | None = None
    eval_squared_error_at_other_rcond: float | None = None
    effective_params_train: float | None = None
    effective_params_eval: float | None = None
    label_noise_fraction: float | None = None
    label_noise_mask_sha256: str | None = None
    diverged_at_step: int | None = None
    last_finite_train_loss: float | None = None
    n_loss_spikes: int | None = None

    wall_seconds: float | None = None
    processor_seconds: float | None = None
    peak_memory_bytes: int | None = None
    compile_seconds: float | None = None
    train_seconds: float | None = None
    tokens_per_second: float | None = None
    model_flops_per_second: float | None = None
    model_flops_utilisation: float | None = None
    finished_at_utc: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    n_curve_points: int | None = None
    curve_sha256: str | None = None


_NAMES = tuple(f.name for f in dataclasses.fields(RunRecord))


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One evaluation of a learning curve, at the state after `step` updates.

    `activation_scales` holds the root mean square of the output of each part of the model, by the
    part's name, where the run was to measure them; None for one that is not finite. So does
    `eval_by` hold held-out losses by name, such as those of `positions`. `eval_loss_sem` is the
    standard error of `eval_loss` over held-out examples, of runs on streams.
    """

    step: int
    n_examples_seen: int
    train_loss: float
    train_error: float | None = None
    eval_loss: float
    eval_loss_sem: float | None = None
    eval_error: float | None = None
    train_error_clean: float | None = None
    weight_norm_l2: float | None = None
    gradient_squared_norm: float | None = None
    gradient_covariance_trace: float | None = None
    gradient_noise_scale_tokens: float | None = None
    activation_scales: Mapping[str, float | None] | None = None
    eval_by: Mapping[str, float | None] | None = None


Curve = tuple[CurvePoint, ...]


class Positions(NamedTuple):
    """Neighbouring positions of a sequence, over which a loss is averaged.

    The prediction at position t is of the token after t others, counted from the first that a model
    sees: `first` is among them and `end` is not.
    """

    first: int
    end: int

    @property
    def name(self) -> str:
        """Name of their mean loss in `eval_by`."""
        return f"position {self.first}-{self.end}"


def positions(context: int) -> tuple[Positions, ...]:
    """The positions of a sequence in parts that double: 0-1, 1-2, 2-4, 4-8, ... to the context."""
    edges = [0, *(2**k for k in range(context.bit_length()) if 2**k < context), context]
    return tuple(map(Positions, edges[:-1], edges[1:]))


def dump_record(record: RunRecord) -> str:
    """The text of a record's file: strict JSON, the record beside the checksums of its content.

    Raises:
        ValueError: a non-finite number, which strict JSON cannot hold.
    """
    return seal("record", vars(record), lines=True)


def load_record(text: str | bytes) -> RunRecord:
    """Reads what `dump_record` wrote; raises as `record_text` does."""
    return parse_record(record_text(text))


def record_text(text: str | bytes) -> bytes:
    """The text of a record, a line for each column, out of that of its file.

    It is as written, but not parsed: `column` and `parse_record` read it.

    Raises:
        DamagedFileError: the text is incomplete, altered, or not such a file.
        ValueError: written under another schema version.
    """
    data = text.encode() if isinstance(text, str) else text
    body = sealed_text("record", data)
    if body is None or not body.startswith(b'{\n "run_id": '):  # of older code, or damaged
        plain = unseal("record", data)
        if not isinstance(plain, dict) or "schema_version" not in plain:
            raise DamagedFileError("not a complete record")
        body = in_lines(plain).encode()
    if (version := entry(body, "schema_version")) != _THIS_VERSION:
        raise ValueError(
            f"schema version {(version or b'?').decode()} is not {SCHEMA_VERSION}, the one this "
            "program reads"
        )
    return body


def column(text: bytes, name: str) -> Any:
    """Value of one column of a record's text (`record_text`); None where it has no such column."""
    value = entry(text, name)
    return None if value is None else parse(value)


def parse_record(text: bytes) -> RunRecord:
    """The record of a text that `record_text` gave.

    Raises:
        DamagedFileError: its columns are not those of a record.
        ValueError: it has columns of a newer program.
    """
    plain = parse(text)
    if newer := sorted(plain.keys() - {*_NAMES}):
        raise ValueError(
            f"run {plain.get('run_id')} has a column {newer[0]!r}, which this program, an older "
            "one, does not know: read it with the program that wrote it"
        )
    try:
        return RunRecord(**plain)
    except TypeError as error:
        raise DamagedFileError(f"not a record: {error}") from None


def differences(text: bytes, other: RunRecord) -> list[str]:
    """Columns of a record's text (`record_text`) in which another record differs.

    Those of time and place are left out, and those that only one of two programs knows.
    """
    left_out = {*VOLATILE_COLUMNS, "environment"}
    # Through text: a record in memory may hold tuples or integers where its file holds lists.
    theirs = parse(record_text(dump_record(other)))
    return [
        name
        for name, value in parse(text).items()
        if name in theirs and name not in left_out and value != theirs[name]
    ]


def dump_curve_line(point: CurvePoint) -> str:
    """One line of a curve file: a JSON record and the first 8 hex digits of its SHA-256."""
    plain = dataclasses.asdict(point)
    return json.dumps({"crc": digest(plain)[:8], **plain}, allow_nan=False) + "\n"


def with_curve(record: RunRecord, text: str) -> RunRecord:
    """The record with what its curve file, of this text, is known by."""
    points, sum_ = text.count("\n"), sha256(text.encode())
    return dataclasses.replace(record, n_curve_points=points, curve_sha256=sum_)


def load_curve(text: str | bytes, record: RunRecord | None = None) -> Curve:
    """Reads a file of lines that `dump_curve_line` wrote, all of it or nothing.

    Args:
        text: Content of the file.
        record: Record of the run, which knows its curve by number of points and checksum; one
            that older code wrote knows neither.

    Raises:
        DamagedFileError: a line is altered or incomplete, or the curve is not that of the record.
    """
    data = text.encode() if isinstance(text, str) else text
    if record is not None and record.curve_sha256 not in (None, sha256(data)):
        lines, points = data.count(b"\n"), record.n_curve_points
        raise DamagedFileError(
            f"its {lines} lines do not match the checksum of the {points} points that were measured"
        )
    *lines, rest = data.split(b"\n")
    if rest:
        raise DamagedFileError(f"line {len(lines) + 1} is cut off")
    return tuple(_point(number, line) for number, line in enumerate(lines, start=1))


def _point(number: int, line: bytes) -> CurvePoint:
    try:
        plain = parse(line)
        if plain.pop("crc") == digest(plain)[:8]:
            return CurvePoint(**plain)
        damage = "does not match its checksum"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        damage = "is no point of a curve"
    raise DamagedFileError(f"line {number} {damage}")


def row(record: RunRecord) -> dict[str, Any]:
    """A record as one flat table row; what holds more than one value, in dotted columns."""
    return _row(vars(record))


def row_of_text(text: bytes) -> dict[str, Any]:
    """The row of the record whose text `record_text` gave."""
    return _row(parse(text))


def _row(columns: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name in _NAMES:
        value = columns.get(name)
        if name == "config":
            flat |= flatten(value or {})
        elif name == "environment":
            flat |= flatten(value or {}, "environment.")
        elif name == "eval_by":
            flat |= flatten(value or {}, "eval_by.")
        else:
            flat[name] = value
    return flat


def published_files(folder: Path) -> Iterator[Path]:
    """The files of a results folder that hold one record each, in order of run_id."""
    return iter(sorted(folder.glob("runs/*/*/result.json")))


def finite(value: Any) -> float | None:
    """A Python float, or None where it is not finite: strict JSON has no NaN."""
    number = float(value)
    return number if math.isfinite(number) else None
