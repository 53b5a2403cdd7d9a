"""Data sets of the Hugging Face hub, streamed once into the cache as compressed JSON lines."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

from scaling.data.cache import atomic_write, cache_folder, sha256_of
from scaling.extras import needed
from scaling.fields import nearest

SCHEME = "hf://"
"""How a path that names a data set of the hub begins."""

_CHOICES = ("config", "split", "revision", "documents")


def local_copy(path: str, text_field: str) -> Path:
    """The texts of `hf://owner/name?config=...&split=...&revision=...&documents=...`.

    The stream (split `train` unless named) is read in its order, `documents` of it where that is
    given, and kept for good: name a revision (a commit) for results that others can repeat.

    Raises:
        ValueError: the package `datasets` is missing, the hub does not answer, or its rows do not
            hold the text.
    """
    copy = cache_folder() / "hub" / f"{sha256_of([path, text_field])}.jsonl.gz"
    if copy.exists():
        return copy
    with atomic_write(copy) as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as compressed:
        for text in _texts(path, text_field):
            compressed.write(json.dumps({text_field: text}).encode() + b"\n")
    return copy


def _texts(path: str, text_field: str) -> Iterator[str]:
    name, choices, n_documents = _parse(path)
    datasets = needed("datasets", f"data.path = {path!r}", extra="text", otherwise="give files")
    try:
        rows = datasets.load_dataset(
            name,
            choices.get("config"),
            split=choices.get("split", "train"),
            revision=choices.get("revision"),
            streaming=True,
        )
        for number, row in enumerate(itertools.islice(rows, n_documents), start=1):
            if not isinstance(text := row.get(text_field), str):
                raise ValueError(
                    f"data.path = {path!r}: row {number:,} has no text in field data.text_field = "
                    f"{text_field!r}; {nearest(text_field, row)}"
                )
            yield text
    except OSError as error:
        raise ValueError(f"data.path = {path!r} cannot be fetched: {error}. Try again") from error


def _parse(path: str) -> tuple[str, dict[str, str], int | None]:
    name, _, query = path.removeprefix(SCHEME).partition("?")
    choices = dict(parse_qsl(query, keep_blank_values=True))
    for choice in choices:
        if choice not in _CHOICES:
            remedy = nearest(choice, _CHOICES)
            raise ValueError(f"data.path = {path!r}: no option {choice!r}; {remedy}")
    number = choices.get("documents")
    if number is not None and not (number.isdecimal() and int(number)):
        raise ValueError(f"data.path = {path!r}: documents = {number!r}: give a whole number")
    return name, choices, None if number is None else int(number)
