"""Image data: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, from a folder or fetched once."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from scaling.data.cache import sha256_of
from scaling.data.dataset import Dataset, draw
from scaling.data.image_files import Pictures, Published, raw_files, read_cifar, read_idx
from scaling.data.label_noise import LabelNoise
from scaling.fields import Checked, Count

Name = Literal["mnist", "fashion_mnist", "cifar10", "cifar100"]


class Source(NamedTuple):
    """A published data set.

    Attributes:
        files: Its files as distributed.
        shape: Height, width and channels of an image.
        n_classes: Number of classes.
        n_train: Images to train on.
        n_test: Images to test on.
    """

    files: tuple[Published, ...]
    shape: tuple[int, int, int]
    n_classes: int
    n_train: int
    n_test: int


_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"


def _idx(host: str, *sizes_and_digests: tuple[int, str, str | None]) -> tuple[Published, ...]:
    return tuple(
        Published(f"{name}.gz", size, sha256, f"{host}{name}.gz", {name: unpacked})
        for name, (size, sha256, unpacked) in zip(_IDX_FILES, sizes_and_digests, strict=True)
    )


SOURCES: dict[Name, Source] = {
    "mnist": Source(
        files=_idx(
            _MNIST,
            (
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            (
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            (
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        shape=(28, 28, 1),
        n_classes=10,
        n_train=60_000,
        n_test=10_000,
    ),
    "fashion_mnist": Source(
        files=_idx(
            _FASHION,
            (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", None),
            (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", None),
            (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", None),
            (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", None),
        ),
        shape=(28, 28, 1),
        n_classes=10,
        n_train=60_000,
        n_test=10_000,
    ),
    "cifar10": Source(
        files=(
            Published(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                f"{_TORONTO}cifar-10-binary.tar.gz",
                {
                    "data_batch_1.bin": (
                        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"
                    ),
                    "data_batch_2.bin": (
                        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"
                    ),
                    "data_batch_3.bin": (
                        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"
                    ),
                    "data_batch_4.bin": (
                        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"
                    ),
                    "data_batch_5.bin": (
                        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"
                    ),
                    "test_batch.bin": (
                        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"
                    ),
                },
            ),
        ),
        shape=(32, 32, 3),
        n_classes=10,
        n_train=50_000,
        n_test=10_000,
    ),
    "cifar100": Source(
        files=(
            Published(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                f"{_TORONTO}cifar-100-binary.tar.gz",
                {
                    "train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
                    "test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
                },
            ),
        ),
        shape=(32, 32, 3),
        n_classes=100,
        n_train=50_000,
        n_test=10_000,
    ),
}
"""Published image data sets: LeCun et al. 1998; Xiao et al. 2017 (arXiv 1708.07747); Krizhevsky
2009. CIFAR-100 is used with its 100 fine classes."""


@dataclass(frozen=True, kw_only=True)
class Images(Checked):
    """Images of a published data set, each channel standardised over all images to train on.

    A run's seed draws its `n_train` images from those to train on without replacement; the first
    `n_eval` of the test images are held out, the same for every run. An image is one row of
    numbers: height by width by channels, channels last.

    Attributes:
        dataset: Name of the data set.
        n_train: Images to train on.
        label_noise: Corruption of their classes.
        n_eval: Images to test on.
        path: Folder that holds the published files, packed or unpacked; None fetches them once.
    """

    kind: ClassVar[str] = "images"
    dataset: Name
    n_train: Count
    label_noise: LabelNoise = field(default_factory=LabelNoise)
    n_eval: Count = 10_000
    path: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        source = SOURCES[self.dataset]
        for name, given, there in (
            ("n_train", self.n_train, source.n_train),
            ("n_eval", self.n_eval, source.n_test),
        ):
            if given > there:
                raise ValueError(
                    f"images.{name} = {given} exceeds the {there:,} images that "
                    f"dataset = {self.dataset!r} has for it: give fewer"
                )

    @property
    def n_inputs(self) -> int:
        """Pixels of an image, times channels."""
        height, width, channels = SOURCES[self.dataset].shape
        return height * width * channels

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return SOURCES[self.dataset].n_classes

    @property
    def n_classes(self) -> int | None:
        """Number of classes."""
        return self.n_outputs

    def fingerprint(self) -> str:
        """Version of a run's draws, and digest of the published files, whatever the path.

        Raises:
            ValueError: the folder that is given lacks a file, or has another.
        """
        if self.path is not None:
            _parts(self.dataset, self.path)
        digests = [each.sha256 for each in SOURCES[self.dataset].files]
        return f"images/1/{sha256_of(digests)}"

    def load(self, seed: int) -> Dataset:
        """The data of one run, float32; held-out arrays are shared between runs, hence read-only.

        Raises:
            ValueError: a file is missing, is not the published one, or cannot be fetched.
        """
        pool = _pool(self.dataset, self.path, self.n_eval)
        return draw(*pool, self.n_train, self.n_eval, self.n_outputs, self.label_noise, seed)


@functools.lru_cache(maxsize=1)
def _pool(
    name: Name, path: str | None, n_eval: int
) -> tuple[Float[np.ndarray, "images inputs"], Int[np.ndarray, " images"]]:
    """Standardised images and classes: those to train on, then those held out; read-only."""
    train, test = _parts(name, path)
    axes, scaled = (
        (0, 1, 2),
        [part.astype(np.float32) / 255 for part in (train.pixels, test.pixels)],
    )
    mean, sd = scaled[0].mean(axes, dtype=np.float64), scaled[0].std(axes, dtype=np.float64)
    rows = np.concatenate([scaled[0], scaled[1][:n_eval]])
    rows -= mean.astype(np.float32)
    rows /= sd.astype(np.float32)
    inputs = rows.reshape(len(rows), -1)
    labels = np.concatenate([train.classes, test.classes[:n_eval]]).astype(np.int64)
    inputs.flags.writeable = labels.flags.writeable = False
    return inputs, labels


@functools.lru_cache(maxsize=1)
def _parts(name: Name, path: str | None) -> tuple[Pictures, Pictures]:
    """Images to train on and to test on, in the order in which they were published."""
    source = SOURCES[name]
    raw = raw_files(source.files, None if path is None else Path(path).expanduser())
    if name in ("mnist", "fashion_mnist"):
        arrays = [read_idx(raw[file]) for file in _IDX_FILES]
        return Pictures(arrays[0][..., None], arrays[1]), Pictures(arrays[2][..., None], arrays[3])
    n_labels = 2 if name == "cifar100" else 1
    train = [read_cifar(raw[file], n_labels) for file in sorted(raw) if not file.startswith("test")]
    (test,) = (read_cifar(raw[file], n_labels) for file in raw if file.startswith("test"))
    return Pictures(*(np.concatenate(each) for each in zip(*train, strict=True))), test
