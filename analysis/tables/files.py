"""The bytes of a file: never those of a pipe, more than fit into memory, or JSON nested deeply."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
"""Compressions by the ending of a file."""

MOST_BYTES = 2**28
"""Most bytes of a table, expanded: about ten million rows of three numbers."""

DEEPEST = 64
"""Most levels of JSON, one inside the other."""

_PIECE = 2**20
_MAGIC = {
    b"\x1f\x8b": "compressed by gzip, as its ending does not say; add .gz to its name",
    b"BZh": "compressed by bzip2, as its ending does not say; add .bz2 to its name",
    b"\x28\xb5\x2f\xfd": "compressed by zstd, as its ending does not say; add .zst to its name",
    b"PK\x03\x04": "a zip archive or a workbook; unpack it, or export the sheet as CSV",
    b"PAR1": "a Parquet file, as its ending does not say; rename it to .parquet",
    b"\xff\xfe": "line 1 is not UTF-8 but UTF-16; save the file as UTF-8",
    b"\xfe\xff": "line 1 is not UTF-8 but UTF-16; save the file as UTF-8",
}
_TEXTS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the table; fetch that by git lfs pull",
    b"<!doctype html": "a page of HTML, not a table; save the table itself, as CSV or JSON",
    b"<html": "a page of HTML, not a table; save the table itself, as CSV or JSON",
}
"""What stands in place of a table, by how it begins, in small letters."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def read_bytes(path: Path, codec: str | None) -> bytes:
    """Returns the content of a file, expanded.

    Args:
        path: The file.
        codec: One of `CODECS`; None for a file that is not compressed.

    Raises:
        ValueError: A pipe or a device, more than `MOST_BYTES`, or a damaged file.
    """
    if not path.is_file():
        raise ValueError(
            f"{path}: a pipe or a device, not a file; write what it gives to a file, and give that"
        )
    if codec is None:
        require_size(path, path.stat().st_size)
        return path.read_bytes()
    pieces, size = [], 0
    try:
        with pa.input_stream(path, compression=codec) as stream:
            while piece := stream.read(_PIECE):
                pieces.append(piece)
                size += len(piece)
                require_size(path, size)
    except OSError as error:
        raise ValueError(
            f"{path}: not a complete {codec} file ({error}); write or copy it again"
        ) from None
    return b"".join(pieces)


def require_size(path: Path, size: int) -> None:
    """Refuses a table that takes more than `MOST_BYTES`.

    Raises:
        ValueError: It does.
    """
    if size > MOST_BYTES:
        raise ValueError(
            f"{path}: expands to more than {MOST_BYTES >> 20} MiB, which is more than a table of "
            "runs; write the rows and columns that you need to a smaller file"
        )


def require_utf8(path: Path, data: bytes) -> None:
    """Refuses bytes that are no UTF-8, by line, and texts that stand in place of a table.

    Raises:
        ValueError: They are not.
    """
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise ValueError(f"{path}: {what}")
    head = data[:64].lstrip().lower()
    for start, what in _TEXTS.items():
        if head.startswith(start):
            raise ValueError(f"{path}: {what}")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from None


def require_shallow(path: Path, data: bytes) -> None:
    """Refuses JSON of more than `DEEPEST` levels, before a parser recurses into it.

    Raises:
        ValueError: It is; the message names the line.
    """
    if _too_deep(data) is None:
        return
    # Brackets inside strings do not nest.
    at = _too_deep(_STRING.sub(lambda found: b" " * len(found[0]), data))
    if at is not None:
        line = data[:at].count(b"\n") + 1
        raise ValueError(
            f"{path}: line {line} nests more than {DEEPEST} levels; write what you need as an "
            "object of names and numbers for each run"
        )


def loads(text: str | bytes) -> Any:
    r"""Returns the value of a JSON text, every key of an object once.

    A lone surrogate, which no file and no screen can take, becomes its escape: the text `\ud800`.

    Raises:
        ValueError: Not JSON, or a key that an object has twice, of which one would be lost.
    """
    written = text if isinstance(text, str) else text.decode("utf-8-sig")
    mend = _encodable if _SURROGATE.search(written) else None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in found if names.count(name) > 1)
            raise ValueError(
                f"an object has the key {twice!r} twice; rename or delete one of the two"
            )
        return found if mend is None else mend(found)

    return json.loads(written, object_pairs_hook=once)


def _encodable(value: Any) -> Any:
    """The value, its lone surrogates as escapes; objects inside it are mended already."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    return value


def _too_deep(data: bytes) -> int | None:
    """Place of the first bracket that opens too many levels, strings not looked at."""
    letters = np.frombuffer(data, dtype=np.uint8)
    brackets = np.flatnonzero(np.isin(letters, np.frombuffer(b"[]{}", dtype=np.uint8)))
    opens = np.isin(letters[brackets], np.frombuffer(b"[{", dtype=np.uint8))
    deep = np.cumsum(np.where(opens, 1, -1)) > DEEPEST
    return int(brackets[np.argmax(deep)]) if deep.any() else None
