"""Survey of a corpus: its distinct documents in one order, and which are held out.

Documents are in the order of their SHA-256, whatever the names of their files. So the first ones
are a random sample, the same on every machine, and a new document does not change the order of the
others. Whether one is held out depends on its own content alone.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from scaling.data.corpus import Document

ONE_HELD_OUT_IN = 20
"""One document in so many is held out."""


class Survey(NamedTuple):
    """Distinct documents of a corpus, in the order of their SHA-256.

    Attributes:
        digests: SHA-256 of each, ascending.
        sizes: Bytes of each.
        n_duplicates: Documents left out because their content was there before.
    """

    digests: UInt8[np.ndarray, "documents 32"]
    sizes: Int[np.ndarray, " documents"]
    n_duplicates: int

    def held_out(self) -> Bool[np.ndarray, " documents"]:
        """Which documents are held out: the last four bytes decide it, the first the order."""
        numbers = np.ascontiguousarray(self.digests[:, -4:]).view(">u4")[:, 0]
        return numbers % ONE_HELD_OUT_IN == 0

    def first(self, n_bytes: int) -> Bool[np.ndarray, " documents"]:
        """The first training documents, of at most `n_bytes` together; at least one of them."""
        training = ~self.held_out()
        upto = np.cumsum(self.sizes * training)
        return training & ((upto <= n_bytes) | (upto == self.sizes))


class Summary(NamedTuple):
    """Hash and counts of a survey, as the cache keeps them."""

    sha256: str
    n_documents: int
    n_duplicates: int
    n_bytes: int
    n_held_out: int
    n_held_out_bytes: int


def survey(documents: Iterable[Document]) -> Survey:
    """Reads a corpus once; keeps 40 bytes a document."""
    digests, sizes = bytearray(), array("q")
    for document in documents:
        digests += hashlib.sha256(document.text).digest()
        sizes.append(len(document.text))
    rows = np.frombuffer(digests, dtype="S32")  # pads with zeros, as no digest is shorter
    distinct, first = np.unique(rows, return_index=True)
    return Survey(
        distinct.view(np.uint8).reshape(-1, 32),
        np.asarray(sizes, dtype=np.int64)[first],
        len(rows) - len(distinct),
    )


def summarise(found: Survey) -> Summary:
    """Counts, and the SHA-256 over the documents' own in their order."""
    held_out = found.held_out()
    return Summary(
        sha256=hashlib.sha256(found.digests.tobytes()).hexdigest(),
        n_documents=len(found.digests),
        n_duplicates=found.n_duplicates,
        n_bytes=int(found.sizes.sum()),
        n_held_out=int(held_out.sum()),
        n_held_out_bytes=int(found.sizes[held_out].sum()),
    )


def distinct(documents: Iterable[Document], found: Survey) -> Iterator[tuple[int, Document]]:
    """The documents of a survey as they are read again, each once, with its place in the order.

    Raises:
        ValueError: they are not those of the survey.
    """
    rows = found.digests.view("S32")[:, 0]
    seen = np.zeros(len(rows), dtype=np.bool_)
    for document in documents:
        digest = hashlib.sha256(document.text).digest()
        place = int(np.searchsorted(rows, np.bytes_(digest)))
        if place == len(rows) or found.digests[place].tobytes() != digest:
            raise ValueError(f"{document.source} {_CHANGED}")
        if not seen[place]:
            seen[place] = True
            yield place, document
    if not seen.all():
        raise ValueError(f"{np.count_nonzero(~seen)} documents of data.path {_CHANGED}")


_CHANGED = "changed while the corpus was being read: start again when nothing writes to it"
