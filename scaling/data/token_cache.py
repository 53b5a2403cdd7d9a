"""Text made into tokens once, and kept in the cache under the hash of its content.

Every file there is named by a hash of its sources and has its SHA-256 beside it. A damaged file is
made again, and processes that make the same file at once write the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int

from scaling.data.bpe import bpe_tokenizer, train_bpe
from scaling.data.cache import (
    atomic_write,
    cache_folder,
    recall,
    remember,
    settled_signature,
    sha256_of,
    writing,
)
from scaling.data.corpus import Document, documents_of, files_of, require_utf8
from scaling.data.hub import SCHEME, local_copy
from scaling.data.python_parts import VERSION, Part, parts_of
from scaling.data.survey import ONE_HELD_OUT_IN, Summary, Survey, distinct, summarise, survey
from scaling.data.token_files import Halves, TokenFile
from scaling.data.tokenizing import (
    BPE,
    Bytes,
    Tiktoken,
    Tokenizer,
    byte_tokenizer,
    smallest_dtype,
    tiktoken_tokenizer,
)
from scaling.sealed import sha256_of_file

BPE_SAMPLE = 2**25
"""Bytes of training documents that an encoding is trained on."""

About = dict[str, dict[str, int | str]]
"""SHA-256 and number of tokens of each half."""

_BATCH = 2**20  # bytes of text that are encoded at a time


@functools.cache
def summary_of(path: str | None, text_field: str) -> Summary:
    """Summary of a corpus, which is read once for as long as its files keep their sizes and times.

    This process looks at the files once: the next process sees later changes.

    Raises:
        ValueError: nothing to read, or nothing to train on or to hold out.
    """
    files = _files(path, text_field)
    signature = settled_signature(files, "summary/2", path is None, text_field)
    note = cache_folder() / "summaries" / f"{signature}.json"
    if signature is not None and (known := recall(note, "summary")) is not None:
        return Summary(**known)
    found = summarise(survey(documents_of(path, files, text_field)))
    if not found.n_documents:
        raise ValueError(f"data.path = {path!r}: its files are empty: give files with text")
    if found.n_held_out in (0, found.n_documents):
        raise ValueError(
            f"data.path = {path!r}: all of its {found.n_documents} distinct documents fall to "
            f"{'held-out' if found.n_held_out else 'training'} text (one in {ONE_HELD_OUT_IN} is "
            "held out, by the hash of its content). Of 100 documents this happens to one corpus in "
            "170: give more of them, as JSON lines, as more files, or as one text file of 4 MiB, "
            "which is cut into more than 100"
        )
    if signature is not None:
        remember(note, "summary", found._asdict())
    return found


@functools.cache
def tokenizer_of(path: str | None, text_field: str, choice: Bytes | BPE | Tiktoken) -> Tokenizer:
    """The tokenizer of a corpus, trained on it if need be.

    Raises:
        ValueError: as `summary_of`; a package is missing; text that is not UTF-8; a trained
            tokenizer in the cache that belongs to other text.
    """
    if isinstance(choice, Bytes):
        return byte_tokenizer()
    if isinstance(choice, Tiktoken):
        return tiktoken_tokenizer(choice.name)
    corpus = summary_of(path, text_field).sha256
    made_of = {"trained_on": corpus, "vocab_size": choice.vocab_size, "recipe": "bpe/1"}
    note = cache_folder() / "tokenizers" / f"{sha256_of(made_of)}.json"
    known: dict[str, Any] | None = recall(note, "tokenizer")
    if known is None:
        found = _surveyed(path, text_field)
        sampled = found.first(BPE_SAMPLE)
        texts = (
            document.text
            for place, document in distinct(_read(path, text_field), found)
            if sampled[place] and require_utf8(document)
        )
        known = {**made_of, "trained": train_bpe(texts, choice.vocab_size)}
        remember(note, "tokenizer", known)
    if other := [name for name, value in made_of.items() if known.get(name) != value]:
        raise ValueError(
            f"{note} holds a tokenizer with {other[0]} = {known.get(other[0])!r}, and this corpus "
            f"needs {made_of[other[0]]!r}: delete the file to train it anew"
        )
    return bpe_tokenizer(known["trained"])


@functools.cache
def halves_of(
    path: str | None, text_field: str, choice: Bytes | BPE | Tiktoken, part: Part | None = None
) -> Halves:
    """Files of the tokens of a corpus, made if missing, checked once; raises as `tokenizer_of`.

    A part of its documents is in the half that the documents are in.
    """
    tokenizer = tokenizer_of(path, text_field, choice)
    made_of = [summary_of(path, text_field).sha256, tokenizer.identity, "tokens/1"]
    if part is not None:
        made_of += [part, VERSION]
    folder = cache_folder() / "tokens" / sha256_of(made_of)
    known = recall(folder / "about.json", "tokens")
    if known is None or not _sound(folder, known):
        found = _surveyed(path, text_field)
        documents = distinct(_checked(path, text_field, choice), found)
        known = _make(folder, found, _only(part, documents), tokenizer)
    dtype = smallest_dtype(tokenizer.vocab_size).str
    return Halves(*(
        TokenFile(folder / f"{half}.bin", dtype, 0, int(known[half]["n_tokens"]))
        for half in Halves._fields
    ))  # fmt: skip


def _checked(
    path: str | None, text_field: str, choice: Bytes | BPE | Tiktoken
) -> Iterable[Document]:
    """Documents of a corpus that its tokenizer reads."""
    documents = _read(path, text_field)
    return documents if isinstance(choice, Bytes) else map(require_utf8, documents)


def _only(
    part: Part | None, documents: Iterable[tuple[int, Document]]
) -> Iterator[tuple[int, Document]]:
    """The part of every document that has it, or all of each."""
    for place, document in documents:
        if part is None:
            yield place, document
        elif text := getattr(parts_of(document.text), part):
            yield place, document._replace(text=text)


def _make(
    folder: Path, found: Survey, documents: Iterable[tuple[int, Document]], tokenizer: Tokenizer
) -> About:
    """Writes the tokens of a corpus; text and tokens are never in memory in full.

    Documents are read in the order of their files, and their tokens go to a nameless file, from
    which they are copied in the order of the survey.
    """
    itemsize = smallest_dtype(tokenizer.vocab_size).itemsize
    starts, ends = np.zeros((2, len(found.digests)), dtype=np.int64)
    about: About = {}
    with writing(folder), tempfile.TemporaryFile(dir=folder) as unordered:
        written = 0
        for place, tokens in _encoded(documents, tokenizer):
            unordered.write(tokens)
            starts[place] = written
            written += len(tokens)
            ends[place] = written
        held_out = found.held_out()
        for half, chosen in (("train", ~held_out), ("held_out", held_out)):
            with atomic_write(folder / f"{half}.bin") as file:
                sha256 = _copy(unordered, starts[chosen], ends[chosen], file)
            n_tokens = int((ends - starts)[chosen].sum()) // itemsize
            about[half] = {"sha256": sha256, "n_tokens": n_tokens}
    remember(folder / "about.json", "tokens", about)
    return about


def _encoded(
    documents: Iterable[tuple[int, Document]], tokenizer: Tokenizer
) -> Iterator[tuple[int, bytes]]:
    """Tokens of each document with its end, as bytes of a file, and its place in the order."""
    dtype = smallest_dtype(tokenizer.vocab_size)
    end = np.array([tokenizer.end_of_document], dtype=dtype).tobytes()
    for batch in _batches(documents):
        encoded = tokenizer.encode([document.text for _, document in batch])
        for (place, _), tokens in zip(batch, encoded, strict=True):
            yield place, tokens.astype(dtype, copy=False).tobytes() + end


def _batches(documents: Iterable[tuple[int, Document]]) -> Iterator[list[tuple[int, Document]]]:
    batch: list[tuple[int, Document]] = []
    size = 0
    for place, document in documents:
        batch.append((place, document))
        size += len(document.text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _copy(
    source: BinaryIO, starts: Int[np.ndarray, " n"], ends: Int[np.ndarray, " n"], target: BinaryIO
) -> str:
    """Copies parts of a file one after another, and returns the SHA-256 of what was written."""
    digest = hashlib.sha256()
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        source.seek(start)
        data = source.read(end - start)
        digest.update(data)
        target.write(data)
    return digest.hexdigest()


def _sound(folder: Path, about: About) -> bool:
    """Whether both files are as they were written."""
    try:
        return all(
            sha256_of_file(folder / f"{half}.bin") == about[half]["sha256"]
            for half in Halves._fields
        )
    except FileNotFoundError:
        return False


def _files(path: str | None, text_field: str) -> tuple[Path, ...]:
    if path is not None and path.startswith(SCHEME):
        return (local_copy(path, text_field),)
    return files_of(path)


def _read(path: str | None, text_field: str) -> Iterator[Document]:
    return documents_of(path, _files(path, text_field), text_field)


def _surveyed(path: str | None, text_field: str) -> Survey:
    """A survey of the corpus, checked to be the one that `summary_of` saw."""
    found = survey(_read(path, text_field))
    if summarise(found).sha256 != summary_of(path, text_field).sha256:
        raise ValueError(
            f"data.path = {path!r} has changed since this process first read it: start it again"
        )
    return found
