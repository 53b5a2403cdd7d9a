"""Image data: tiny files of the published formats, held against digests; wrong ones are refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling.config import RunConfig, run_id
from scaling.data import images
from scaling.data.image_files import Published, read_idx
from scaling.data.images import SOURCES, Images
from scaling.data.label_noise import LabelNoise
from scaling.fields import from_dict, to_dict
from scaling.models.mlp import MLP
from scaling.training import SGD, Gradient

N_TRAIN, N_TEST = 20, 6


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def idx(array: np.ndarray) -> bytes:
    shape = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


def tar_gz(files: dict[str, bytes], folder: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def pictures(shape, n_classes, seed):
    """Pixels and classes of a tiny data set: those to train on, then those to test on."""
    rng = np.random.default_rng(seed)
    n = N_TRAIN + N_TEST
    pixels = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    return pixels, rng.integers(0, n_classes, n, dtype=np.uint8)


def mnist_files(pixels, classes):
    parts = (slice(N_TRAIN), slice(N_TRAIN, None))
    arrays = [array for part in parts for array in (pixels[part, ..., 0], classes[part])]
    return dict(zip(images._IDX_FILES, map(idx, arrays), strict=True))


def cifar_files(name, pixels, classes):
    """Files of the binary version, of records: labels, then the channels one after another."""
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    coarse = [np.full((len(pixels), 1), 99, np.uint8)] if name == "cifar100" else []
    rows = np.hstack([*coarse, classes[:, None], planes])
    if name == "cifar100":
        return {"train.bin": rows[:N_TRAIN].tobytes(), "test.bin": rows[N_TRAIN:].tobytes()}
    parts = np.split(rows[:N_TRAIN], 5)
    batches = {f"data_batch_{i}.bin": part.tobytes() for i, part in enumerate(parts, 1)}
    return batches | {"test_batch.bin": rows[N_TRAIN:].tobytes()}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Makes a tiny data set of a published name: its folder, pixels and classes."""
    images._parts.cache_clear()
    images._pool.cache_clear()

    def make(name, packed=True):
        source = SOURCES[name]
        pixels, classes = pictures(source.shape, source.n_classes, len(name))
        folder = tmp_path / name
        folder.mkdir()
        if name.startswith("cifar"):
            raw = cifar_files(name, pixels, classes)
            distributed = [(source.files[0].file, tar_gz(raw, "as-they-come"), raw)]
        else:
            raw = mnist_files(pixels, classes)
            distributed = [(f"{n}.gz", gzip.compress(r, mtime=0), {n: r}) for n, r in raw.items()]
        known = []
        for file, content, inside in distributed:
            unpacked = {
                n: None if name == "fashion_mnist" else digest(r) for n, r in inside.items()
            }
            known.append(Published(file, len(content), digest(content), f"x:{file}", unpacked))
            if packed:
                (folder / file).write_bytes(content)
        if not packed:
            below = folder / "unpacked" if name.startswith("cifar") else folder
            below.mkdir(exist_ok=True)
            for file, content in raw.items():
                (below / file).write_bytes(content)
        made = source._replace(files=tuple(known), n_train=N_TRAIN, n_test=N_TEST)
        monkeypatch.setitem(SOURCES, name, made)
        return folder, pixels, classes

    yield make
    images._parts.cache_clear()
    images._pool.cache_clear()


def config(name: str, folder: Path, **fields) -> Images:
    given = {"n_train": N_TRAIN, "n_eval": N_TEST, "path": str(folder)}
    return Images(dataset=name, **given | fields)


@pytest.mark.parametrize(
    ("name", "packed"),
    [(name, packed) for name in SOURCES for packed in (True, False) if packed or name[0] != "f"],
)
def test_every_format_gives_the_pictures_that_were_written(name, packed, tiny):
    folder, pixels, classes = tiny(name, packed)
    data = config(name, folder).load(3)
    scaled = pixels / 255.0
    mean, sd = (f(scaled[:N_TRAIN], axis=(0, 1, 2)) for f in (np.mean, np.std))
    rows = ((scaled - mean) / sd).reshape(len(pixels), -1)
    np.testing.assert_allclose(data.eval_inputs, rows[N_TRAIN:], atol=1e-5)
    np.testing.assert_array_equal(data.eval_targets, classes[N_TRAIN:])
    order = [int(np.argmin(np.abs(rows[:N_TRAIN] - row).sum(1))) for row in data.train_inputs]
    assert sorted(order) == list(range(N_TRAIN))
    np.testing.assert_array_equal(data.train_targets, classes[order])
    assert data.train_inputs.dtype == np.float32 and not data.eval_inputs.flags.writeable


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_identity_is_that_of_the_published_data_wherever_they_lie(name, tiny):
    folder, *_ = tiny(name)

    def run_on(path):
        return RunConfig(
            model=MLP(width=2),
            data=config(name, folder, path=path),
            train=Gradient(optimizer=SGD(learning_rate=0.1), steps=1),
        )

    assert run_id(run_on(str(folder))) == run_id(run_on(None))


def test_samples_are_nested_and_noise_is_theirs(tiny):
    folder, *_ = tiny("cifar10")
    noisy = config("cifar10", folder, label_noise=LabelNoise(fraction=0.5))
    many, few = noisy.load(1), replace(noisy, n_train=7, n_eval=2).load(1)
    np.testing.assert_array_equal(few.train_inputs, many.train_inputs[:7])
    np.testing.assert_array_equal(few.train_targets, many.train_targets[:7])
    np.testing.assert_array_equal(few.eval_inputs, many.eval_inputs[:2])
    assert np.any(many.train_targets != many.train_targets_clean)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
@pytest.mark.parametrize("harm", ["truncated", "altered", "longer"])
def test_files_that_are_not_the_published_ones_are_refused(name, harm, tiny):
    folder, *_ = tiny(name)
    path = folder / SOURCES[name].files[0].file
    content = path.read_bytes()
    harmed = {
        "truncated": content[:-9],
        "altered": content[:50] + bytes([content[50] ^ 1]) + content[51:],
        "longer": content + b"x",
    }[harm]
    path.write_bytes(harmed)
    with pytest.raises(ValueError) as error:
        config(name, folder).fingerprint()
    said = str(error.value)
    assert str(path) in said and digest(harmed) in said and digest(content) in said
    assert ("it is truncated" in said) == (harm == "truncated")
    assert ("another file" in said) == (harm == "longer")
    assert f"Put {path.name} of x:{path.name}" in said and "leave out data.path" in said


def test_unpacked_files_are_held_against_digests_too(tiny):
    folder, *_ = tiny("cifar10", packed=False)
    path = folder / "unpacked" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3.bin has SHA-256 \w{64}, and the published"):
        config("cifar10", folder).fingerprint()


def test_missing_files_and_folders_are_named(tiny, tmp_path):
    folder, *_ = tiny("mnist")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match=r"has neither t10k-labels-idx1-ubyte.gz nor t10k-labels"):
        config("mnist", folder).fingerprint()
    with pytest.raises(ValueError, match=r"no such folder\. Put train-images-idx3-ubyte.gz of"):
        config("mnist", tmp_path / "nowhere").fingerprint()


def test_unpacked_files_without_a_known_digest_are_not_believed(tiny):
    folder, *_ = tiny("fashion_mnist", packed=False)
    with pytest.raises(ValueError, match=r"cannot be checked: only of train-images-idx3-ubyte.gz"):
        config("fashion_mnist", folder).fingerprint()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "cifar10", "n_train": 50_001}, "n_train = 50001 exceeds the 50,000 images"),
        ({"dataset": "mnist", "n_train": 60_001}, "n_train = 60001 exceeds the 60,000 images"),
        ({"dataset": "cifar100", "n_train": 1, "n_eval": 10_001}, "n_eval = 10001 exceeds"),
        ({"dataset": "cifar", "n_train": 1}, "did you mean 'cifar10'"),
        (
            {"dataset": "mnist", "n_train": 1, "label_noise": {"fraction": 15}},
            "fraction = 15.0 is impossible: give a value at least 0 and less than 1",
        ),
        ({"dataset": "mnist", "n_train": 1, "label_noise": {"fraction": 1}}, "less than 1"),
        ({"dataset": "mnist", "n_train": 1, "label_noise": {"fraction": -0.1}}, "at least 0"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        from_dict(Images, fields)


def test_published_sources_are_whole():
    for name, source in SOURCES.items():
        given = Images(dataset=name, n_train=source.n_train, n_eval=source.n_test)
        assert given.n_inputs == int(np.prod(source.shape))
        assert from_dict(Images, to_dict(given)) == given
        digests = [each.sha256 for each in source.files]
        digests += [sha for each in source.files for sha in each.unpacked.values() if sha]
        assert all(len(sha) == 64 for sha in digests) and len(set(digests)) == len(digests)
    assert len({Images(dataset=name, n_train=1).fingerprint() for name in SOURCES}) == len(SOURCES)


def test_idx_files_of_any_number_of_axes_are_read():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(read_idx(idx(array)), array)
