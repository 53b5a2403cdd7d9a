"""Published files of image data sets: found in a folder or fetched, and held against a SHA-256.

MNIST and Fashion-MNIST are IDX files: two zero bytes, the type 8 (unsigned bytes), the number of
axes, the length of each axis as 32 bits, most significant byte first, then the values. The binary
version of CIFAR is a row of records: one byte of label (CIFAR-100: coarse, then fine), then 32 x 32
bytes of red, of green and of blue.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8

from scaling.data.cache import cache_folder
from scaling.extras import needed


@dataclass(frozen=True)
class Published:
    """A file as its authors distribute it.

    Attributes:
        file: Its name; the ending says whether it is one compressed file or an archive.
        size: Bytes.
        sha256: Digest.
        address: Where it lies.
        unpacked: Digest of each file that it unpacks to, by name; None where none is known, so that
            only the file as distributed can be checked.
    """

    file: str
    size: int
    sha256: str
    address: str
    unpacked: Mapping[str, str | None]


class Pictures(NamedTuple):
    """A part of a data set: pixels from 0 to 255, channels last, and classes."""

    pixels: UInt8[np.ndarray, "n height width channels"]
    classes: Integer[np.ndarray, " n"]


def raw_files(published: tuple[Published, ...], folder: Path | None) -> dict[str, bytes]:
    """Contents of every unpacked file of a data set, by name.

    Args:
        published: Its files as distributed.
        folder: Folder that holds them, as distributed or unpacked, or in a folder of its own as the
            archive has it; None fetches them once, into the user's cache.

    Raises:
        ValueError: a file is missing, is not the published one, or cannot be fetched.
    """
    found: dict[str, bytes] = {}
    for each in published:
        path = _fetched(each) if folder is None else folder / each.file
        if folder is None or path.is_file():
            found |= _unpacked(each, _verified(path, each.sha256, each))
        else:
            found |= _found_unpacked(each, folder)
    return found


def _found_unpacked(published: Published, folder: Path) -> dict[str, bytes]:
    """Contents of the unpacked files that lie in a folder, or one level below it."""
    if not folder.is_dir():
        raise ValueError(f"data.path = {str(folder)!r}: no such folder. {_remedy(published)}")
    found = {}
    for name, sha256 in published.unpacked.items():
        paths = [folder / name, *sorted(folder.glob(f"*/{name}"))]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise ValueError(
                f"data.path = {str(folder)!r} has neither {published.file} nor {name}. "
                f"{_remedy(published)}"
            )
        if sha256 is None:
            raise ValueError(
                f"{path} cannot be checked: only of {published.file} a SHA-256 is known. "
                f"{_remedy(published)}"
            )
        found[name] = _verified(path, sha256, published)
    return found


def _verified(path: Path, sha256: str, published: Published) -> bytes:
    """The content of a file, which has the digest that is asked for."""
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) == sha256:
        return content
    compared = ""
    if path.name == published.file and len(content) != published.size:
        shape = "truncated" if len(content) < published.size else "another file"
        compared = f" It has {len(content):,} bytes, not {published.size:,}: it is {shape}."
    raise ValueError(
        f"{path} has SHA-256 {found}, and the published file has {sha256}.{compared} "
        f"{_remedy(published)}"
    )


def _remedy(published: Published) -> str:
    return (
        f"Put {published.file} of {published.address} (SHA-256 {published.sha256}) there, or leave "
        "out data.path to fetch it"
    )


def _unpacked(published: Published, content: bytes) -> dict[str, bytes]:
    if not published.file.endswith(".tar.gz"):
        (name,) = published.unpacked
        return {name: gzip.decompress(content)}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {PurePosixPath(member.name).name: member for member in archive if member.isfile()}
        opened = {name: archive.extractfile(files[name]) for name in published.unpacked}
        return {name: file.read() for name, file in opened.items() if file is not None}


def _fetched(published: Published) -> Path:
    user = f"fetching {published.address}"
    otherwise = f"give data.path, a folder that holds {published.file}"
    pooch = needed("pooch", user, extra="published", otherwise=otherwise)
    pooch.get_logger().setLevel("WARNING")
    folder = cache_folder() / "images"
    known = f"sha256:{published.sha256}"
    try:
        return Path(pooch.retrieve(published.address, known, published.file, path=folder))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{published.address} cannot be fetched ({type(error).__name__}: {error}): try again, "
            f"or {otherwise}"
        ) from error


def read_idx(content: bytes) -> UInt8[np.ndarray, "*axes"]:
    """The array of an IDX file of unsigned bytes."""
    n_axes = content[3]
    head = 4 + 4 * n_axes
    shape = np.frombuffer(content[4:head], ">u4")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def read_cifar(content: bytes, n_labels: int) -> Pictures:
    """Images of the binary version of CIFAR, and the last of the labels of each.

    Args:
        content: A row of records.
        n_labels: Bytes of label in each: 1 in CIFAR-10, 2 in CIFAR-100.
    """
    records = np.frombuffer(content, np.uint8).reshape(-1, n_labels + 3 * 32 * 32)
    pixels = records[:, n_labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Pictures(pixels, records[:, n_labels - 1])
