"""Sealed JSON: content beside its own SHA-256, so that damage is never read as data.

Plain Python, strict both ways: no NaN is written, and none is read; nor is a duplicate key, a byte
that was altered, or JSON nested so deeply that reading it would take a machine down.

A sealed text has two checksums. `sha256` is that of the content, whatever the spelling. With
`text_sha256`, that of the text itself, a reader knows before it parses that all is as written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

DEEPEST = 64
"""Most levels of JSON, one inside the other."""

_encode = json.JSONEncoder(allow_nan=False).encode
_HEAD = re.compile(rb'\{"sha256": "[0-9a-f]{64}", "text_sha256": "([0-9a-f]{64})", "(\w+)": ')
_TAIL = b"}\n"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


class DamagedFileError(Exception):
    """A file of a results folder is not as it was written."""


def digest(content: Any) -> str:
    """SHA-256 of JSON values, whatever the order of their keys.

    Raises:
        ValueError: a non-finite number, which strict JSON cannot hold.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode())


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of the bytes of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(name: str, content: Any, *, lines: bool = False) -> str:
    """Text that holds `content` under `name`, beside its checksums; raises as `digest` does.

    With `lines`, an object is written by `in_lines`.
    """
    text = in_lines(content) if lines else _encode(content)
    sums = f'"sha256": "{digest(content)}", "text_sha256": "{sha256(text.encode())}"'
    return f'{{{sums}, "{name}": {text}{_TAIL.decode()}'


def in_lines(content: Mapping[str, Any]) -> str:
    """Text of an object, each of its entries on a line of its own."""
    entries = ",\n ".join(f"{_encode(name)}: {_encode(value)}" for name, value in content.items())
    return f"{{\n {entries}\n}}"


def entry(text: bytes, name: str) -> bytes | None:
    """Text of one entry of what `in_lines` wrote, found without parsing the rest."""
    start = text.find(f'\n "{name}": '.encode())
    if start < 0:
        return None
    line = text[text.index(b": ", start) + 2 : text.index(b"\n", start + 1)]
    return line.removesuffix(b",")


def sign(content: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its own checksum as one more entry: for files that others read as well."""
    return {"sha256": digest(content), **content}


def signed(document: Any) -> dict[str, Any]:
    """The object that `sign` was given.

    Raises:
        DamagedFileError: it is altered, or no such object.
    """
    if not isinstance(document, dict) or "sha256" not in document:
        raise DamagedFileError("it has no checksum")
    content = {name: value for name, value in document.items() if name != "sha256"}
    if document["sha256"] != digest(content):
        raise DamagedFileError("its content does not match its checksum")
    return content


def unseal(name: str, text: str | bytes) -> Any:
    """Reads what `seal` wrote, now or before it wrote `text_sha256`.

    Raises:
        DamagedFileError: the text is incomplete, altered, or not such a file.
    """
    data = text.encode() if isinstance(text, str) else text
    try:
        if (body := sealed_text(name, data)) is not None:
            return parse(body)
        document = parse(data)
        content, expected = document[name], document["sha256"]
        found = digest(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(f"not a complete {name}: {error}") from None
    if expected != found:
        raise DamagedFileError("its content does not match its checksum")
    return content


def sealed_text(name: str, data: bytes) -> bytes | None:
    """The text of the content that `seal` wrote; None where it is not as `seal` wrote it."""
    head = _HEAD.match(data)
    if head is None or head[2] != name.encode() or not data.endswith(_TAIL):
        return None
    body = data[head.end() : -len(_TAIL)]
    return body if sha256(body).encode() == head[1] else None


def parse(text: str | bytes) -> Any:
    """Parses strict JSON: finite numbers, every key of an object once, `DEEPEST` levels at most.

    Raises:
        ValueError: anything else.
    """
    data = text.encode() if isinstance(text, str) else text
    _require_shallow(data)
    return json.loads(
        data.decode(),  # UTF-8 alone: `json` would guess
        object_pairs_hook=_without_duplicates,
        parse_constant=_not_finite,
        parse_float=_finite,
    )


def _require_shallow(data: bytes) -> None:
    """Refuses JSON that nests too deeply, before a parser recurses into it."""
    if data.count(b"[") + data.count(b"{") <= DEEPEST:
        return
    level = 0
    for found in _TOKEN.finditer(data):
        token = found[0]
        level += 1 if token in b"[{" else -1 if token in b"]}" else 0
        if level > DEEPEST:
            raise ValueError(f"it nests more than {DEEPEST} levels")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise ValueError("a key appears twice")
    return plain


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        _not_finite(text)
    return value


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a finite number")
