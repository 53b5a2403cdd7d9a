"""Corpora: the files of a path, read as documents one after another, never in full.

A file is a document, a line of a JSON-lines file is one, and a text file above 1 MiB, which is a
collection rather than a document, is cut at the ends of lines into documents of 16 to 32 KiB. A
line that is longer is cut too. Files that hold no text are refused.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import io
import json
import os
import sysconfig
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from scaling.data.not_text import require_text, require_text_by_name
from scaling.fields import nearest

LONG = 2**20
"""Bytes above which a text file is cut into documents."""

PIECE = 2**14
"""Bytes after which the end of a line ends such a document; after as many more it ends anyway."""


class Document(NamedTuple):
    """A text that is learned as one, and its source.

    Attributes:
        text: Bytes of the text, UTF-8 or not.
        source: File, and line where there are several documents in it.
        offset: Offset of the text in the source, in bytes.
    """

    text: bytes
    source: str
    offset: int = 0


def files_of(path: str | None) -> tuple[Path, ...]:
    """Files of a corpus, sorted: a file, all that a folder holds, or what a glob matches.

    Hidden files of a folder are left out. None means the source code of the running
    interpreter's standard library, without installed packages and what its build wrote.

    Raises:
        ValueError: there are none, or one holds tokens instead of text.
    """
    if path is None:
        return _standard_library()
    place = Path(path).expanduser()
    if place.is_file():
        files = [place]
    elif place.is_dir():
        files = list(_below(place, (".",)))
    else:
        files = [Path(name) for name in glob.glob(str(place), recursive=True)]
    files = tuple(sorted(file for file in files if file.is_file()))
    if not files:
        raise ValueError(
            f"data.path = {path!r}: there is no such file, and no file in such a folder or of such "
            "a pattern; give a file, a folder or a glob such as 'books/**/*.txt'"
        )
    for file in files:
        require_text_by_name(file)
    return files


def documents_of(path: str | None, files: Iterable[Path], text_field: str) -> Iterator[Document]:
    """Documents of `files_of(path)`, empty ones left out.

    Of the standard library, files that are not UTF-8 (data of its tests) are left out too.

    Raises:
        ValueError: a compressed file is damaged, a file holds no text, or a JSON line does not hold
            the text.
    """
    for file in files:
        try:
            for document in _documents_in(file, text_field):
                if document.text and (path is not None or _is_utf8(document.text)):
                    yield document
        except (EOFError, zlib.error, OSError) as error:
            if getattr(error, "errno", None) is not None:
                raise  # an error of the machine, not of the file
            raise ValueError(
                f"{file} cannot be decompressed ({error}): fetch it again, or leave it out"
            ) from error


def require_utf8(document: Document) -> Document:
    """The document, if it is UTF-8.

    Raises:
        ValueError: it is not; says where.
    """
    try:
        document.text.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{document.source}: byte 0x{document.text[error.start]:02x} at offset "
            f"{document.offset + error.start:,} is not UTF-8, which this tokenizer reads: convert "
            "the text, leave it out, or set data.tokenizer.kind = 'bytes'"
        ) from None
    return document


def _standard_library() -> tuple[Path, ...]:
    root = Path(sysconfig.get_path("stdlib"))
    # Packages are no part of it, and what its build wrote differs from machine to machine.
    others = ("site-packages", "dist-packages", "_sysconfigdata", "config-")
    files = sorted(file for file in _below(root, others) if file.suffix == ".py")
    if not files:
        raise ValueError(
            f"the standard library at {root} is not there as source code: give data.path"
        )
    return tuple(files)


def _below(root: Path, left_out: tuple[str, ...]) -> Iterator[Path]:
    """Files below a folder, without files and folders whose names begin as given."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(left_out)]
        yield from (Path(folder, name) for name in names if not name.startswith(left_out))


def _documents_in(file: Path, text_field: str) -> Iterator[Document]:
    suffixes = file.suffixes[-2:]
    compression = suffixes.pop() if suffixes and suffixes[-1] in (".gz", ".zst") else None
    inner = suffixes[-1] if suffixes else ""
    # C4 and Dolma call compressed JSON lines .json; a plain .json is one document like any other.
    in_lines = inner in (".jsonl", ".ndjson") or (inner == ".json" and compression is not None)
    with _opened(file, compression) as stream:
        if in_lines:
            yield from _lines(file, stream, text_field)
            return
        head = stream.read(LONG + 1)
    require_text(file, head)
    if len(head) <= LONG:
        yield Document(head, str(file))
        return
    del head
    with _opened(file, compression) as stream:
        yield from _pieces(file, stream)


@contextlib.contextmanager
def _opened(file: Path, compression: str | None) -> Generator[io.BufferedReader[Any]]:
    if compression is None:
        with file.open("rb") as stream:
            yield stream
    elif compression == ".gz":
        with gzip.open(file) as stream:
            yield io.BufferedReader(cast(io.RawIOBase, stream))
    else:
        import pyarrow

        native = pyarrow.input_stream(str(file), compression="zstd")
        with io.BufferedReader(cast(io.RawIOBase, native)) as stream:
            yield stream


def _lines(file: Path, stream: io.BufferedReader[Any], text_field: str) -> Iterator[Document]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number:,}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"{where} is not JSON: correct it, or leave it out") from None
        if not isinstance(row, dict):
            raise ValueError(f"{where} is a {type(row).__name__}: give one JSON object a line")
        if text_field not in row:
            remedy = nearest(text_field, row) if row else "it has none"
            raise ValueError(
                f"{where} has no field data.text_field = {text_field!r}: name the one that holds "
                f"the text; {remedy}"
            )
        text = row[text_field]
        if not isinstance(text, str):
            raise ValueError(
                f"{where}: field {text_field!r} is a {type(text).__name__}: name the one that "
                "holds the text in data.text_field"
            )
        # JSON can spell halves of surrogate pairs, which are no text: left for UTF-8 to refuse.
        yield Document(text.encode(errors="surrogatepass"), where)


def _pieces(file: Path, stream: io.BufferedReader[Any]) -> Iterator[Document]:
    """Documents that end at the end of a line, or within a long one, never inside a character."""
    offset = 0
    while piece := stream.read(PIECE):
        piece += stream.readline(PIECE)
        while (following := stream.peek(1)[:1]) and 0x80 <= following[0] < 0xC0:
            piece += stream.read(1)
        yield Document(piece, str(file), offset)
        offset += len(piece)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
