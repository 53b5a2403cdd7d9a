"""Data that others published, by address and SHA-256 or from a folder.

With `SCALING_DATA_DIR` set, every file comes from that folder, which holds `laws/`, `models/` and
`text/`.
Without it, files are fetched once from where their authors keep them, into the user's cache. Either
way a file is used only if its SHA-256 is the one written here. Commands and tests ask the same
function, `published_file`.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis.errors import nearest_name
from analysis.writing import replace_file
from scaling.extras import needed

FOLDER = "SCALING_DATA_DIR"
"""Environment variable that names the folder with `laws/`, `models/`, `text/`."""

_CACHE = "scaling-descent"
_GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A published file.

    Attributes:
        file: Its name.
        folder: The folder below `SCALING_DATA_DIR` that holds it.
        sha256: Digest of its bytes.
        source: Where it comes from, for people.
        licence: The licence under which its authors give it.
        address: Where the original lies; None where only a folder can hold the file.
        made: How the file is made from the original; empty where it is the original.
        convert: Makes the bytes of the file from those of the original; None where they are the
            same. The result is held against `sha256`, and the original through it.
    """

    file: str
    folder: str = "laws"
    sha256: str
    source: str
    licence: str
    address: str | None
    made: str = ""
    convert: Callable[[bytes], bytes] | None = None


class PublishedFile(NamedTuple):
    """A published file on this machine, and its origin: the path itself, or an address."""

    path: Path
    content: bytes
    origin: str

    @property
    def table(self) -> pd.DataFrame:
        """Content of a CSV file as a table."""
        return pd.read_csv(io.BytesIO(self.content))


def published_file(name: str) -> PublishedFile:
    """Returns a published file by its name, such as `chinchilla_digitised.csv`.

    Raises:
        ValueError: No such dataset, or as `obtain`.
    """
    if name not in DATASETS:
        raise ValueError(f"no published file {name!r}; {nearest_name(name, DATASETS)}")
    return obtain(DATASETS[name])


def obtain(dataset: Dataset) -> PublishedFile:
    """Returns a file from `SCALING_DATA_DIR` where that is set, else from its address or the cache.

    Raises:
        ValueError: The file is not there, has other bytes than those published, or cannot be
            fetched.
    """
    folder = os.environ.get(FOLDER)
    return _from_folder(dataset, Path(folder)) if folder else _fetched(dataset)


def _from_folder(dataset: Dataset, folder: Path) -> PublishedFile:
    path = folder / dataset.folder / dataset.file
    if not path.is_file():
        raise ValueError(f"{FOLDER} = {str(folder)!r} has no {path}: {_remedy(dataset)}")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != dataset.sha256:
        raise ValueError(
            f"{path} has SHA-256 {found[:12]}..., but the published file has {dataset.sha256}: "
            f"replace it with that of {dataset.source}"
        )
    return PublishedFile(path, content, str(path))


def _remedy(dataset: Dataset) -> str:
    place = f"put the file of {dataset.source} (SHA-256 {dataset.sha256}) there"
    if dataset.address is None:
        return f"{place}; it is {dataset.made}"
    return f"{place}, or unset {FOLDER} to fetch it from {dataset.address}"


def _fetched(dataset: Dataset) -> PublishedFile:
    if dataset.address is None:
        raise ValueError(
            f"{dataset.file} cannot be fetched: it is {dataset.made}. Put it (SHA-256 "
            f"{dataset.sha256}) into the folder {dataset.folder} of a folder that {FOLDER} names"
        )
    user, otherwise = f"fetching {dataset.address}", f"set {FOLDER} to a folder that has the file"
    pooch = needed("pooch", user, extra="published", otherwise=otherwise)
    pooch.get_logger().setLevel("WARNING")
    cache = pooch.os_cache(_CACHE)
    known = None if dataset.convert else f"sha256:{dataset.sha256}"
    try:
        path = Path(pooch.retrieve(dataset.address, known, path=cache))
    except OSError as error:
        raise ValueError(
            f"{dataset.address} cannot be fetched ({type(error).__name__}): try again, or set "
            f"{FOLDER} to a folder whose {dataset.folder}/ holds {dataset.file}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{dataset.address}: {error}") from error
    if dataset.convert is None:
        return PublishedFile(path, path.read_bytes(), dataset.address)
    try:
        content = dataset.convert(path.read_bytes())
    except (ValueError, KeyError, TypeError):
        content = b""
    if hashlib.sha256(content).hexdigest() != dataset.sha256:
        raise ValueError(
            f"{path}, fetched from {dataset.address}, does not make {dataset.file} with SHA-256 "
            f"{dataset.sha256}: delete it and try again"
        )
    made = Path(cache) / dataset.file
    replace_file(made, content)
    return PublishedFile(made, content, dataset.address)


def printed_runs(notebook: bytes) -> bytes:
    """Returns the table of runs that a notebook's loader printed, a line a run, counts in billions.

    Args:
        notebook: `utils/parametric_fit.ipynb` of huggingface/datablations. One of its cells loads
            the runs that the published fit takes.

    Raises:
        KeyError, TypeError, ValueError: It is another notebook.
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
    "row a budget and size); a pickle may run code, so none is read here",
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

CHINCHILLA_CNDL = Dataset(
    file="chinchilla_digitised_cndl.csv",
    sha256="2ed2c412c6b408cb26896b92c0721fe9afa6515726b0db78c33db37cbf2816f9",
    source="examples/llm/df.csv of kyo-takano/chinchilla@6e34bdd",
    licence="Apache-2.0",
    address=f"{_GITHUB}/kyo-takano/chinchilla/6e34bdd639e66ed2a987be7a59fb597087a86c1a/"
    "examples/llm/df.csv",
)
"""234 of the points of Hoffmann et al. 2022, figure 4, digitised by another hand."""

TINY_SHAKESPEARE = Dataset(
    file="tinyshakespeare.txt",
    folder="text",
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    source="data/tinyshakespeare/input.txt of karpathy/char-rnn@d1d7aa3",
    licence="public domain text",
    address=f"{_GITHUB}/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087/"
    "data/tinyshakespeare/input.txt",
)
"""40,000 lines of Shakespeare's plays."""

EPOCH_MODELS = Dataset(
    file="epoch_notable_models.csv",
    folder="models",
    sha256="0ddf6abf2b19f757ac0bd3a28e0f3c7742cf616da373864c03282d2869f04cab",
    source="notable AI models of Epoch AI, snapshot of 24 February 2025",
    licence="CC-BY 4.0",
    address=None,
    made="cut to 15 columns of that day's table; the table that Epoch serves changes daily",
)
"""895 models: date, parameters, training compute, data, hardware, cost."""

DATASETS = {
    dataset.file: dataset
    for dataset in (
        CHINCHILLA,
        CHINCHILLA_CNDL,
        ISOFLOP_REFINEDWEB,
        DATA_CONSTRAINED_C4,
        LEARNING_CURVES,
        TINY_SHAKESPEARE,
        EPOCH_MODELS,
    )
}
"""Every published file that commands and tests use, by its name."""
