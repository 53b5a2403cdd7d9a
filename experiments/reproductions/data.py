"""Data that others published: by address and SHA-256, or from a folder.

With `SCALING_DATA_DIR` set, files are looked up in that folder and in its `laws/`. Without it they
are fetched once from where their authors keep them, into the user's cache. Either way a table is
read only from bytes whose SHA-256 is the one written here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

FOLDER = "SCALING_DATA_DIR"
"""Environment variable that names a folder with the files."""

_CACHE = "scaling-descent"
_GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A published table.

    Attributes:
        file: Its name in a folder.
        sha256: Of its bytes.
        source: Where it comes from, for people.
        licence: Under which its authors give it.
        address: Where the original lies; None where only a folder can hold the table.
        made: How the table is made of the original; empty where it is the original.
        convert: Makes the bytes of the table from those of the original; None where they are the
            same. What it makes is held against `sha256`, and the original through it.
    """

    file: str
    sha256: str
    source: str
    licence: str
    address: str | None
    made: str = ""
    convert: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True)
class Obtained:
    """A table and where it was had from: the path of a file, or an address."""

    table: pd.DataFrame
    origin: str


def obtain(dataset: Dataset) -> Obtained:
    """The table, from the folder if there is one, else from its address or the cache.

    Raises:
        ValueError: no such file, other bytes than those published, or nothing can be fetched.
    """
    folder = os.environ.get(FOLDER)
    data, origin = _from_folder(dataset, Path(folder)) if folder else _fetched(dataset)
    return Obtained(pd.read_csv(io.BytesIO(data)), origin)


def _from_folder(dataset: Dataset, folder: Path) -> tuple[bytes, str]:
    candidates = (folder / dataset.file, folder / "laws" / dataset.file)
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise ValueError(
            f"{FOLDER} = {str(folder)!r}, but neither it nor its laws/ holds {dataset.file}: "
            f"{_remedy(dataset)}"
        )
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != dataset.sha256:
        raise ValueError(
            f"{path} has SHA-256 {found[:12]}..., and the published table {dataset.sha256}: put "
            f"that of {dataset.source} in its place"
        )
    return data, str(path)


def _remedy(dataset: Dataset) -> str:
    place = f"put it there, as made of {dataset.source} (SHA-256 {dataset.sha256})"
    if dataset.address is None:
        return f"{place}; it is {dataset.made}"
    return f"{place}, or unset {FOLDER} to fetch it from {dataset.address}"


def _fetched(dataset: Dataset) -> tuple[bytes, str]:
    if dataset.address is None:
        raise ValueError(
            f"{dataset.file} cannot be fetched, for it is {dataset.made}: set {FOLDER} to a folder "
            f"that holds it (SHA-256 {dataset.sha256})"
        )
    import pooch

    pooch.get_logger().setLevel("WARNING")
    known = None if dataset.convert else f"sha256:{dataset.sha256}"
    try:
        path = Path(pooch.retrieve(dataset.address, known, path=pooch.os_cache(_CACHE)))
    except OSError as error:
        raise ValueError(
            f"{dataset.address} cannot be fetched ({type(error).__name__}): try again, or set "
            f"{FOLDER} to a folder that holds {dataset.file}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{dataset.address}: {error}") from error
    if dataset.convert is None:
        return path.read_bytes(), dataset.address
    try:
        data = dataset.convert(path.read_bytes())
    except (ValueError, KeyError, TypeError):
        data = b""
    if hashlib.sha256(data).hexdigest() != dataset.sha256:
        raise ValueError(
            f"{path}, fetched from {dataset.address}, does not make {dataset.file} with SHA-256 "
            f"{dataset.sha256}: delete it and try again"
        )
    return data, dataset.address


def printed_runs(notebook: bytes) -> bytes:
    """The table of the runs that a notebook's loader printed, one line a run, counts in billions.

    Args:
        notebook: `utils/parametric_fit.ipynb` of huggingface/datablations, of whose cells one
            loads the runs that the published fit takes.

    Raises:
        KeyError, TypeError, ValueError: another notebook.
    """
    cells = json.loads(notebook)["cells"]
    (loader,) = (cell for cell in cells if cell["metadata"].get("id") == "7_T_IE3gj3rR")
    lines = "".join(text for output in loader["outputs"] for text in output["text"]).splitlines()
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("name", "params", "tokens", "unique_tokens", "val_loss"))
    for line in lines:
        name, *billions, loss = line.split()
        writer.writerow((name, *(round(float(count) * 1e9) for count in billions), loss))
    return table.getvalue().encode()


CHINCHILLA = Dataset(
    file="chinchilla_digitised.csv",
    sha256="193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30",
    source="svg_extracted_data.csv of Besiroglu/data@02783ae: the points of Hoffmann et al. 2022, "
    "figure 4, digitised by Besiroglu et al. 2024",
    licence="MIT in the copy of mcleish7/gemstone-scaling-laws@5f42047 "
    "(data/epoch_chinchilla_svg_extracted_data.csv); none stated where the authors keep it",
    address=f"{_GITHUB}/Besiroglu/data/02783aeb768463ef2635c061a961068ff3e93949/"
    "svg_extracted_data.csv",
)
"""245 runs: parameters, FLOPs, nats per token."""

ISOFLOP_REFINEDWEB = Dataset(
    file="isoflop_refinedweb.csv",
    sha256="0d36a66eef2508a83441010203d1048434a8ab6d4f39330b57dd3f5ede73e1c4",
    source="formll/resolving-scaling-law-discrepancies@0dc60d9 (Porian et al. 2024)",
    licence="MIT",
    address=None,
    made="tabulated from the pickled frames data/summary_df*.pickle.xz of "
    "formll/resolving-scaling-law-discrepancies (the `data` of every RefinedWeb configuration, one "
    "row a budget and size), and a pickle may run code, so none is read here",
)
"""Losses of runs at equal compute, read off at each budget, for ten set-ups."""

DATA_CONSTRAINED_C4 = Dataset(
    file="data_constrained_c4.csv",
    sha256="742cb71d028ef5d0f3083b0b7331070f6b508dc6998919fd0032fbd1cf8eeabc",
    source="utils/parametric_fit.ipynb of huggingface/datablations@1370131 (Muennighoff et al. "
    "2023)",
    licence="Apache-2.0",
    address=f"{_GITHUB}/huggingface/datablations/13701315b163f1c54642b94ad237b2699187c3ee/"
    "utils/parametric_fit.ipynb",
    made="what the loader of the notebook printed, outliers removed",
    convert=printed_runs,
)
"""182 runs on C4 with repeated tokens."""

LEARNING_CURVES = Dataset(
    file="learning_curves_nmt.csv",
    sha256="63c346db00a66b692e1ea9a0f71a2f2b267e55f74be5b863a92e199dffbf0983",
    source="revisiting_neural_scaling_laws/data/benchmark.lang.csv of "
    "google-research/google-research@9853680 (Alabdulmohsin et al. 2022)",
    licence="Apache-2.0",
    address=f"{_GITHUB}/google-research/google-research/"
    "9853680c781781bd8d3de20aa61c7373ce059913/"
    "revisiting_neural_scaling_laws/data/benchmark.lang.csv",
)
"""Learning curves of language models; `Training` is 1 for points to fit on, 0 for the others."""
