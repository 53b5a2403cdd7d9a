"""Files of other programs -> raw tables, with every row numbered as a person counts it in the file.

CSV, TSV, JSON lines, JSON in many forms (`json_forms`), any of these compressed, Parquet, a folder
of such files (`folders`), and the results folder of a sweep. Only the types of values are
interpreted here. Loading never runs code.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from analysis.tables import folders, json_forms, logs, results
from analysis.tables.files import (
    CODECS,
    loads,
    read_bytes,
    require_shallow,
    require_size,
    require_utf8,
)
from analysis.tables.names import plain
from analysis.tables.units import number
from analysis.tables.wandb import expand_dictionaries, flatten_record, tagged, unpivoted
from analysis.tables.wide import with_sizes_in_names
from scaling import record

LABELS = ("run", "runid", "name", "id", "group")
_BLANK = codecs.BOM_UTF8 + b" \t\r\n"
_MISSING = [*pyarrow.csv.ConvertOptions().null_values, "None", "none"]


class RawTable(NamedTuple):
    """A file, unchanged.

    Attributes:
        frame: All columns. The index numbers the rows as in the file; its name says how: "line"
            (the first line of the file is 1), "row" (the first row is 1) or "record" (a run_id).
        format: Name of the format in which the file was read.
        files: The files that were read; none of a results folder.
    """

    frame: pd.DataFrame
    format: str
    files: tuple[Path, ...] = ()


def read_raw(path: Path) -> RawTable:
    """Reads a file, a folder of files or a results folder.

    Raises:
        ValueError: No such file, an unknown ending, an empty file, or content in another format
            than the ending says. The message names the line and the remedy.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; check the path")
    if not path.is_dir():
        return RawTable(*_read_file(path), (path,))
    if next(record.published_files(path), None) or next(path.rglob("store.json"), None):
        frame = results.read(path).set_index("run_id", drop=False)
        return RawTable(frame.rename_axis("record"), "results folder")
    files = folders.find(path, _ENDINGS)
    if not files:
        raise ValueError(
            f"{path}: the folder has no results and no tables; give the folder of one sweep, or of "
            f"files that end in {', '.join(_READERS)}"
        )
    folders.require_sizes(path, files)
    tables = [(file, *_read_file(file)) for file in files]
    names = ", ".join(sorted({name for _, _, name in tables}))
    frame = folders.joined(path, ((file, frame) for file, frame, _ in tables))
    if "run" in frame:
        frame = with_sizes_in_names(frame)
    return RawTable(frame, f"{len(files):,} files ({names})", tuple(files))


def _read_file(path: Path) -> tuple[pd.DataFrame, str]:
    """The table of one file, and the name of its format."""
    # 1. The ending names the format, the one after it the compression.
    *_, inner, outer = "", "", *(suffix.lower() for suffix in path.suffixes)
    codec = CODECS.get(outer)
    ending = outer if codec is None else inner
    if ending not in _READERS:
        raise ValueError(
            f"{path}: the ending names no known format; give a file that ends in "
            f"{', '.join(_READERS)} (or that and {', '.join(CODECS)}), or the results folder of a "
            "sweep"
        )
    # 2. The text becomes a table in the form in which the file has it.
    name, read = _READERS[ending]
    data = read_bytes(path, codec)
    if not data.strip(_BLANK):
        raise ValueError(
            f"{path}: the file is empty; give one line with the names of the columns, such as "
            "N,D,loss, then one line for each run"
        )
    frame = read(path, data)
    if frame.empty:
        raise ValueError(f"{path}: the table has no rows; give one for each run")
    # 3. What trackers nest, or write side by side, becomes columns and rows.
    frame = tagged(expand_dictionaries(frame), path)
    long = unpivoted(frame)
    return (frame if long is frame else with_sizes_in_names(long)), name


def _read_delimited(path: Path, data: bytes, delimiter: str) -> pd.DataFrame:
    require_utf8(path, data)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # lines end as those of old Macs do
    header_line, header = _first_line(data)
    if delimiter not in header:
        delimiter = next((other for other in "\t;|" if other in header), delimiter)
    _require_separated(path, header, header_line, delimiter)
    names = _names(path, next(csv.reader([header], delimiter=delimiter)), header_line)
    labels = {name: pa.string() for name in names if plain(name) in LABELS}
    try:
        # Types are inferred from the first rows. Where a later row has text, everything is read
        # as text, and `values` names the row if the column has to hold numbers.
        columns = _parse_delimited(data, names, header_line, delimiter, labels)
    except pa.ArrowInvalid:
        try:
            texts = dict.fromkeys(names, pa.string())
            columns = _parse_delimited(data, names, header_line, delimiter, texts)
        except pa.ArrowInvalid as error:
            raise _ragged(path, data, names, delimiter, error) from None
    filled = islice((line for line, _ in _csv_records(data, delimiter)), 1, None)
    return _to_pandas(columns).set_axis(_line_numbers(data, len(columns), header_line, filled))


def _parse_delimited(
    data: bytes, names: list[str], header_line: int, delimiter: str, types: dict[str, pa.DataType]
) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        pyarrow.csv.ReadOptions(column_names=names, skip_rows=header_line),
        pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
        pyarrow.csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, null_values=_MISSING
        ),
    )


def _require_separated(path: Path, header: str, line: int, delimiter: str) -> None:
    """Refuses a table of Markdown, and a header whose names are separated by blanks alone."""
    words = header.split()
    if header.lstrip().startswith("|"):
        form = "a table of Markdown"
    elif delimiter not in header and len(words) > 1 and not header.startswith("#"):
        form = f"one name, {header.strip()!r}, unless blanks separate several"
    else:
        return
    raise ValueError(
        f"{path}: line {line} has {form}; separate names and values by commas, as in N,D,loss"
    )


def _names(path: Path, header: list[str], line: int) -> list[str]:
    """The names of the columns; refuses a header that names one twice or holds numbers."""
    names = [name.strip() or f"column {place}" for place, name in enumerate(header, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path}: line {line} names the column {twice[0]!r} twice; rename one of the two"
        )
    if all(number(name) is not None for name in names):
        raise ValueError(
            f"{path}: line {line} holds numbers, where the names of the columns should be; put a "
            "line such as N,D,loss before it"
        )
    return names


def _ragged(
    path: Path, data: bytes, names: list[str], delimiter: str, error: Exception
) -> ValueError:
    """The error on the first line with another number of values than there are columns."""
    for line, values in _csv_records(data, delimiter):
        if len(values) != len(names) and names[0].startswith("#"):
            return ValueError(
                f"{path}: line {line} has {len(values)} values, but the first line is a comment "
                f"({names[0]}); delete the lines that begin with #"
            )
        if len(values) != len(names):
            return ValueError(
                f"{path}: line {line} has {len(values)} values, but there are {len(names)} "
                f"columns ({', '.join(names)}); complete the line, or quote values that hold "
                f"{delimiter!r}"
            )
    return ValueError(f"{path}: {error}")


def _read_json_lines(path: Path, data: bytes) -> pd.DataFrame:
    require_utf8(path, data)
    require_shallow(path, data)
    try:
        frame = _to_pandas(pyarrow.json.read_json(pa.BufferReader(data)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Arrow needs one type for a key and does not read NaN, which W&B and others write.
        frame = pd.DataFrame([flatten_record(each) for each in _json_lines(path, data)])
    filled = (place for place, line in enumerate(io.BytesIO(data), 1) if line.strip())
    return frame.set_axis(_line_numbers(data, len(frame), 0, filled))


def _json_lines(path: Path, data: bytes) -> Iterator[dict[str, object]]:
    for place, line in enumerate(data.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}: line {place} is not JSON ({error}); give one object a line"
            ) from None
        if not isinstance(value, dict):
            a_list = isinstance(value, list)
            remedy = "rename it to .json" if a_list else 'give one a line, such as {"N": 1e6}'
            raise ValueError(f"{path}: line {place} is no JSON object; {remedy}")
        yield value


def _read_json(path: Path, data: bytes) -> pd.DataFrame:
    require_utf8(path, data)
    require_shallow(path, data)
    try:
        document = loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        lines = "Extra data" in str(error) and data.count(b"\n") > 0
        remedy = (
            "rename it to .jsonl if it has an object a line" if lines else "give a list of objects"
        )
        raise ValueError(f"{path}: not JSON ({error}); {remedy}") from None
    if isinstance(document, dict):
        document = logs.records(document) or json_forms.records(document)
    if not isinstance(document, list) or not all(isinstance(each, dict) for each in document):
        raise ValueError(
            f"{path}: the JSON is neither a list of objects nor an object of columns of equal "
            "length; give a list with one object for each run"
        )
    frame = pd.DataFrame([flatten_record(each) for each in document])
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="row"))


def _read_parquet(path: Path, data: bytes) -> pd.DataFrame:
    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
        require_size(path, 8 * file.metadata.num_rows * file.metadata.num_columns)
        columns = file.read()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{path}: not a complete Parquet file ({error}); write or copy it again"
        ) from None
    return _to_pandas(columns).set_axis(pd.RangeIndex(1, len(columns) + 1, name="row"))


_READERS: dict[str, tuple[str, Callable[[Path, bytes], pd.DataFrame]]] = {
    ".csv": ("CSV", partial(_read_delimited, delimiter=",")),
    ".tsv": ("TSV", partial(_read_delimited, delimiter="\t")),
    ".jsonl": ("JSON lines", _read_json_lines),
    ".ndjson": ("JSON lines", _read_json_lines),
    ".json": ("JSON", _read_json),
    ".parquet": ("Parquet", _read_parquet),
}
_ENDINGS = [ending + codec for ending in _READERS for codec in ("", *CODECS)]


def _to_pandas(columns: pa.Table) -> pd.DataFrame:
    """A table as data frame; the fields of nested columns become columns."""
    while any(pa.types.is_struct(column.type) for column in columns.schema):
        columns = columns.flatten()
    return columns.to_pandas(ignore_metadata=True)


def _first_line(data: bytes) -> tuple[int, str]:
    """Number and text of the first line that is not blank; call it only where there is one."""
    lines = enumerate(io.BytesIO(data), 1)
    place, line = next(each for each in lines if each[1].strip(_BLANK))
    return place, line.decode("utf-8-sig").strip("\r\n")


def _line_numbers(data: bytes, n_rows: int, header_lines: int, exactly: Iterator[int]) -> pd.Index:
    """Line of each row: consecutive, unless blank lines or quoted line ends lie between.

    `exactly` is read only then.
    """
    n_lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if n_lines == n_rows + header_lines:
        return pd.RangeIndex(header_lines + 1, n_lines + 1, name="line")
    return pd.Index(np.fromiter(exactly, dtype=np.int64), name="line")


def _csv_records(data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """First line and values of every record, the header included; blank lines have none."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    reader, end = csv.reader(text, delimiter=delimiter), 0
    try:
        for values in reader:
            if values:
                yield end + 1, values
            end = reader.line_num
    except csv.Error as error:
        raise ValueError(
            f"line {end + 1} is no record ({error}); save the file anew, every run on a line"
        ) from None
