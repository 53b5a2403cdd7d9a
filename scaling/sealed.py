"""Sealed JSON: content beside its own SHA-256, so that damage is never read as data.

Plain Python, strict both ways: no NaN is written, no duplicate key or altered byte is read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


class DamagedFileError(Exception):
    """A file of a results folder is not as it was written."""


def digest(content: Any) -> str:
    """SHA-256 of JSON values, whatever the order of their keys.

    Raises:
        ValueError: a non-finite number, which strict JSON cannot hold.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of the bytes of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(name: str, content: Any, *, indent: int | None = None) -> str:
    """Text that holds `content` under `name`, beside its SHA-256; raises as `digest` does."""
    sealed = {"sha256": digest(content), name: content}
    return json.dumps(sealed, indent=indent, allow_nan=False) + "\n"


def unseal(name: str, text: str | bytes) -> Any:
    """Reads what `seal` wrote.

    Raises:
        DamagedFileError: the text is incomplete, altered, or not such a file.
    """
    try:
        document = parse(text)
        content, expected = document[name], document["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(f"not a complete {name}: {error}") from None
    if expected != digest(content):
        raise DamagedFileError("its content does not match its checksum")
    return content


def parse(text: str | bytes) -> Any:
    """Parses JSON in which no key appears twice.

    Raises:
        ValueError: anything else.
    """
    return json.loads(text, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise ValueError("a key appears twice")
    return plain
