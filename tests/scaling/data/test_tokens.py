"""Tokens in files: cached whole or not at all, checked, shared by processes, never resident."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.data import cache as cache_module
from scaling.data import token_cache
from scaling.data.cache import atomic_write, cache_folder, settled_signature
from scaling.data.text import Text, _given_sha256, _load
from scaling.data.token_cache import halves_of, summary_of, tokenizer_of
from scaling.data.tokenizing import BPE, Tokenized
from scaling.sealed import seal, unseal

FEW: dict[str, Any] = {"context": 8, "n_eval": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def corpus(tmp_path):
    """JSON lines of 300 short documents, written long ago."""
    path = tmp_path / "corpus.jsonl"
    rows = ({"text": f"Document {i} says {i * i} times: {'ho ' * (i % 30)}"} for i in range(300))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.utime(path, (1e9, 1e9))
    return str(path)


def another_process():
    """Forgets what this process knows of corpora."""
    for function in (summary_of, tokenizer_of, halves_of, _given_sha256, _load):
        function.cache_clear()


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_everything_is_made_once(corpus, cache, monkeypatch):
    config = Text(path=corpus, tokenizer=BPE(vocab_size=270), **FEW)
    data = config.load(0)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files_in(cache)}
    kinds = [path.relative_to(cache).parts[0] for path in before]
    assert kinds == ["summaries", "tokenizers", "tokens", "tokens", "tokens"]
    another_process()
    monkeypatch.setattr(token_cache, "documents_of", None)  # the corpus is not read again
    again = config.load(0)
    assert config.fingerprint().startswith("text/2/")
    np.testing.assert_array_equal(again.train, data.train)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in files_in(cache)} == before


@pytest.mark.parametrize("name", ["train.bin", "held_out.bin", "about.json"])
@pytest.mark.parametrize("damage", ["altered", "torn", "gone"])
def test_damaged_tokens_are_made_again(name, damage, corpus, cache):
    config = Text(path=corpus, **FEW)
    expected = config.load(0).sequences(0, 0, 20)
    (file,) = cache.glob(f"tokens/*/{name}")
    good = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(good[:-5] if damage == "torn" else good[:9] + b"?" + good[10:])
    another_process()
    np.testing.assert_array_equal(config.load(0).sequences(0, 0, 20), expected)
    assert file.read_bytes() == good


@pytest.mark.parametrize("kind", ["summaries", "tokenizers"])
def test_damaged_notes_are_made_again(kind, corpus, cache):
    config = Text(path=corpus, tokenizer=BPE(vocab_size=270))
    expected = config.fingerprint()
    (file,) = (cache / kind).iterdir()
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    another_process()
    assert config.fingerprint() == expected and file.read_bytes() == good


def test_a_tokenizer_trained_on_other_text_is_refused(corpus, cache):
    config = Text(path=corpus, tokenizer=BPE(vocab_size=270))
    config.fingerprint()
    (file,) = (cache / "tokenizers").iterdir()
    other = unseal("tokenizer", file.read_bytes()) | {"trained_on": "0" * 64}
    file.write_text(seal("tokenizer", other))
    another_process()
    with pytest.raises(
        ValueError, match=rf"{file} holds a tokenizer with trained_on = '0000.* dele"
    ):
        config.fingerprint()


def test_a_changed_file_is_seen_by_the_next_process(corpus):
    config = Text(path=corpus)
    before = config.fingerprint()
    with open(corpus, "a") as file:
        file.write('{"text": "one more"}\n')
    assert config.fingerprint() == before
    another_process()
    assert config.fingerprint() != before


def test_a_file_that_changes_under_a_process_is_refused(corpus):
    config = Text(path=corpus, **FEW)
    config.fingerprint()
    with open(corpus, "a") as file:
        file.write('{"text": "one more"}\n')
    with pytest.raises(ValueError, match="has changed since this process first read it"):
        config.load(0)


def test_a_file_that_has_just_changed_is_not_remembered(corpus, cache):
    os.utime(corpus)
    assert settled_signature([cache.parent / "corpus.jsonl"]) is None
    Text(path=corpus).fingerprint()
    assert not (cache / "summaries").exists()


def test_a_name_appears_with_the_whole_file_or_not_at_all(tmp_path):
    path = tmp_path / "a/b"
    with atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old" and files_in(tmp_path) == [path]
    with path.open("rb") as reader:
        with atomic_write(path) as file:
            file.write(b"new")
        assert reader.read() == b"old" and path.read_bytes() == b"new"


@pytest.mark.parametrize("folder", ["file", "/proc/none"])
def test_a_cache_that_cannot_be_written_is_refused(corpus, tmp_path, monkeypatch, folder):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / folder))
    with pytest.raises(
        ValueError, match=r"cannot be written .*: set SCALING_CACHE_DIR to a folder"
    ):
        Text(path=corpus).fingerprint()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "fsync", full)
    with pytest.raises(ValueError, match=r"No space left on device\): set SCALING_CACHE_DIR"):
        with atomic_write(tmp_path / "a") as file:
            file.write(b"data")
    assert files_in(tmp_path) == []


def test_without_the_variable_the_platform_says_where(monkeypatch):
    monkeypatch.delenv("SCALING_CACHE_DIR")
    assert cache_folder().name == "scaling-descent"


@pytest.mark.medium
def test_processes_that_make_the_same_tokens_at_once_agree(corpus, cache):
    program = (
        "from scaling.data.text import Text; from scaling.data.tokenizing import BPE;"
        f"c = Text(path={corpus!r}, tokenizer=BPE(vocab_size=270), context=8, n_eval=4);"
        "print(c.fingerprint(), c.load(0).sequences(0, 0, 99).tobytes().hex())"
    )
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0] for process in started}
    assert len(printed) == 1 and all(process.returncode == 0 for process in started)
    assert len(files_in(cache)) == 5


def tokens_in(folder, name, tokens, dtype="<u2"):
    folder.mkdir(exist_ok=True)
    np.asarray(tokens, dtype=dtype).tofile(folder / name)
    return str(folder / name)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_given_tokens_are_used_in_place_and_the_last_twentieth_held_out(dtype, tmp_path, cache):
    row = np.arange(2000) % 700
    path = tokens_in(tmp_path / "a", "all.bin", row, f"<u{np.dtype(dtype).itemsize}")
    tokenizer = Tokenized(vocab_size=700, dtype=dtype, end_of_document=699)
    data = Text(path=path, tokenizer=tokenizer, context=9, n_eval=11).load(0)
    np.testing.assert_array_equal(data.train, row[: 1899 // 9 * 9 + 1])
    np.testing.assert_array_equal(data.eval_tokens[0], row[1900:1910])
    assert np.isnan(data.bytes_per_token) and data.end_of_document == 699
    assert not list(cache.glob("tokens/*"))


def test_a_folder_of_given_tokens_holds_both_halves(tmp_path):
    tokens_in(tmp_path / "a", "train.bin", np.arange(500))
    tokens_in(tmp_path / "a", "val.bin", np.arange(500, 600))
    config = Text(
        path=str(tmp_path / "a"), tokenizer=Tokenized(vocab_size=600), context=9, n_eval=11
    )
    data = config.load(0)
    assert (data.train.max(), data.eval_tokens.min(), data.n_windows) == (495, 500, 55)
    original = config.fingerprint()
    moved = replace(config, path=str(shutil.move(tmp_path / "a", tmp_path / "b")))
    assert moved.fingerprint() == original
    tokens_in(tmp_path / "b", "val.bin", np.arange(499, 599))
    another_process()
    assert moved.fingerprint() != original


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\1\2\3", "has 3 bytes, not a multiple of the 2 of a uint16: give a complete file"),
        (b"", "is empty: give a file with tokens"),
        (
            b"\x58\x02" * 40,
            "holds token 600, outside data.tokenizer.vocab_size = 600: .* least 601",
        ),
        (
            None,
            "there is no file .*x.bin: give a .bin file, or a folder with train.bin and val.bin",
        ),
    ],
)
def test_impossible_tokens_are_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "x.bin").write_bytes(content)
    config = Text(path=str(tmp_path / "x.bin"), tokenizer=Tokenized(vocab_size=600), **FEW)
    for use in (config.fingerprint, lambda: config.load(0)):
        with pytest.raises(ValueError, match=message):
            use()


def test_an_end_of_document_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="end_of_document = 600 is outside vocab_size = 600"):
        Tokenized(vocab_size=600, end_of_document=600)


# Not `ru_maxrss`, which a process takes over from the one that started it.
MOST_MEMORY = """
from pathlib import Path
def mega():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from /proc, on Linux alone"
)


def resident(program, *arguments):
    """Numbers that a program prints in a process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


@pytest.mark.slow
@needs_proc
def test_two_gigabytes_of_tokens_are_read_all_over_in_a_few_megabytes(tmp_path):
    path, size = tmp_path / "big.bin", 2 * 2**30
    with path.open("wb") as file:
        file.truncate(size)
        for place in range(0, size, 2**24):  # a mark every 16 MB, the rest a hole of zeros
            file.seek(place)
            file.write(np.uint16(place >> 24).tobytes())
    program = f"""{MOST_MEMORY}
import sys
from scaling.data.text import Text
from scaling.data.tokenizing import Tokenized
data = Text(path=sys.argv[1], tokenizer=Tokenized(vocab_size=200), context=1023, n_eval=8).load(0)
before, marks = mega(), 0
for first in range(0, 200_000, 256):
    marks += int(data.sequences(0, first, 256).sum())
print(before, mega(), data.n_windows, marks)
"""
    before, after, n_windows, marks = resident(program, path)
    assert n_windows == (size // 2 - size // 40 - 1) // 1023
    assert marks > 100  # the right places of the file were read
    assert before < 250 and after - before < 100


@pytest.mark.slow
@needs_proc
def test_text_is_made_into_tokens_in_a_few_megabytes(tmp_path):
    path = tmp_path / "big.txt"
    line = hashlib.sha256(b"0").hexdigest().encode() + b" all the same\n"
    with path.open("wb") as file:
        for i in range(40):
            file.write(b"".join(b"%d %d " % (i, j) + line for j in range(2**16)))
    program = f"""{MOST_MEMORY}
import sys
from scaling.data.text import Text
before = mega()
print(before, Text(path=sys.argv[1]).load(0).n_train_tokens / 2**20, mega())
"""
    before, n_tokens, after = resident(program, path)
    assert n_tokens > 190 and after - before < 60
