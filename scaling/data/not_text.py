"""Files that hold no text: recognised by the ends of their names and by their bytes, and refused.

Trained on as text, a compressed table or an archive would give losses that look like results.
"""

from __future__ import annotations

from pathlib import Path

HEAD = 2**13
"""Bytes of a file that are judged."""

MOST_CONTROLS = 0.02
"""Share of control characters above which bytes are no text. Compressed bytes have 10 %, and
UTF-16, by its zeros, up to half; text has a stray one."""

_OTHERS = (
    "leave the file out, with a glob such as 'folder/**/*.txt', or write its text as JSON lines"
)
_TABLE = (
    "write it as JSON lines, such as by pandas.{}(FILE).to_json(NEW, orient='records', lines=True) "
    "with a name NEW that ends in .jsonl, and name the column of the text in data.text_field"
)
_ARCHIVE = "unpack it, and give the folder of its files"
_COMPRESSED = "decompress it, or compress it anew as .gz or .zst"
_DOCUMENT = "convert it to plain text"
_NUMBERS = (
    "if they are tokens, write them by array.astype('uint16').tofile(NEW) with a name NEW that "
    "ends in .bin, and set data.tokenizer.kind = 'tokenized'"
)
_TOKENS = "set data.tokenizer.kind = 'tokenized' and name the file, or its folder"

_PARQUET = ("a Parquet table", _TABLE.format("read_parquet"))
_ARROW = ("an Arrow table", _TABLE.format("read_feather"))
_BY_ENDING = {
    **dict.fromkeys((".parquet", ".pq"), _PARQUET),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), _ARROW),
    **dict.fromkeys((".npy", ".npz"), ("NumPy arrays", _NUMBERS)),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), ("an archive", _ARCHIVE)),
    **dict.fromkeys((".xz", ".bz2", ".lz4", ".lzma"), ("compressed data", _COMPRESSED)),
    **dict.fromkeys((".pdf", ".docx", ".odt", ".epub"), ("a formatted document", _DOCUMENT)),
    ".bin": ("tokens", _TOKENS),
}
_BY_FIRST_BYTES = {
    b"PAR1": _PARQUET,
    b"ARROW1": _ARROW,
    b"\x93NUMPY": _BY_ENDING[".npy"],
    b"PK\x03\x04": ("a zip archive", _ARCHIVE),
    b"%PDF-": _BY_ENDING[".pdf"],
    b"\x1f\x8b": ("gzip data", "give it a name that ends in .gz"),
    b"\x28\xb5\x2f\xfd": ("zstd data", "give it a name that ends in .zst"),
    b"BZh": ("bzip2 data", _COMPRESSED),
    b"\xfd7zXZ": ("xz data", _COMPRESSED),
    b"\x89HDF": ("an HDF5 file", _OTHERS),
    b"SQLite format 3": ("an SQLite database", _OTHERS),
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), ("UTF-16 text", "convert it to UTF-8")),
}
_CONTROLS = bytes(set(range(32)) - set(b"\a\b\t\n\v\f\r\x1b")) + b"\x7f"


def require_text_by_name(file: Path) -> None:
    """Refuses a file whose name says that it holds no text.

    Raises:
        ValueError: it does, with what it holds and what to do.
    """
    *_, inner, outer = "", "", *(suffix.lower() for suffix in file.suffixes)
    found = _BY_ENDING.get(inner if outer in (".gz", ".zst") else outer)
    if found is not None:
        raise _refusal(file, *found)


def require_text(file: Path, data: bytes) -> None:
    """Refuses a file whose first bytes, decompressed, are no text in any encoding of bytes.

    Raises:
        ValueError: they are not, with what they are and what to do.
    """
    head = data[:HEAD]
    for first, found in _BY_FIRST_BYTES.items():
        if head.startswith(first):
            raise _refusal(file, *found)
    n_controls = len(head) - len(head.translate(None, _CONTROLS))
    if n_controls > MOST_CONTROLS * len(head):
        what = f"bytes of which {n_controls / len(head):.0%} are control characters"
        raise _refusal(file, what, _OTHERS)


def _refusal(file: Path, what: str, remedy: str) -> ValueError:
    return ValueError(f"data.path: {file} holds {what}, not text: {remedy}")
