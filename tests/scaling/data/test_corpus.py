"""Corpora: the same documents from every form; what cannot be read says where and what to do."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import subprocess
import sys
import types
from pathlib import Path

import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_data import published_path

from scaling.data import corpus
from scaling.data.corpus import LONG, PIECE, documents_of, files_of, require_utf8
from scaling.data.hub import local_copy
from scaling.data.text import Text
from scaling.data.token_cache import summary_of
from scaling.data.tokenizing import BPE

SHAKESPEARE = "tinyshakespeare.txt"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))


def read(path, text_field="text"):
    return list(documents_of(str(path), files_of(str(path)), text_field))


def texts(path, text_field="text"):
    return [document.text for document in read(path, text_field)]


def zst(data):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def as_is(data):
    return data


FORMS = pytest.mark.parametrize(
    ("suffix", "pack"), [("", as_is), (".gz", gzip.compress), (".zst", zst)]
)


@FORMS
@pytest.mark.parametrize("data", [b"one document\n", b"\xff\xe9 no UTF-8", b""])
def test_a_file_is_a_document_and_an_empty_one_is_none(suffix, pack, data, tmp_path):
    (tmp_path / f"a.txt{suffix}").write_bytes(pack(data))
    assert texts(tmp_path / f"a.txt{suffix}") == ([data] if data else [])


@FORMS
@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json"])
def test_a_line_of_json_lines_is_a_document(suffix, pack, name, tmp_path):
    rows = [{"body": "ein Vers\n", "n": 1}, {"body": ""}, {"body": "\u96ea"}]
    data = b"\n".join(json.dumps(row).encode() for row in rows) + b"\n\n"
    file = tmp_path / f"{name}{suffix}"
    file.write_bytes(pack(data))
    if file.suffix == ".json":  # a document like any other
        assert texts(file, "body") == [data]
        return
    found = read(file, "body")
    assert [document.text for document in found] == [b"ein Vers\n", "\u96ea".encode()]
    assert [document.source for document in found] == [f"{file}, line 1", f"{file}, line 3"]


@FORMS
def test_streams_in_several_parts_are_read_to_the_end(suffix, pack, tmp_path):
    (tmp_path / f"a.txt{suffix}").write_bytes(pack(b"first ") + pack(b"second"))
    assert texts(tmp_path / f"a.txt{suffix}") == [b"first second"]


def test_folders_and_globs_are_read_whole_in_order_without_hidden_files(tmp_path):
    for name in ("b/two.txt", "a.txt", "b/c/three.md", ".git/hidden.txt", "b/.hidden.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts(tmp_path) == [b"a.txt", b"b/c/three.md", b"b/two.txt"]
    assert texts(tmp_path / "**/*.txt") == [b"a.txt", b"b/two.txt"]
    assert texts(tmp_path / "b/[c]/*") == [b"b/c/three.md"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["a", "\n", "\u00e9", "\u96ea", "\U0001f409"]), max_size=200))
def test_long_files_are_cut_without_loss_and_never_inside_a_character(characters):
    text = "".join(characters).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "PIECE", 11)
        patch.setattr(corpus, "LONG", 17)
        pieces = list(corpus._pieces(Path("long"), io.BufferedReader(io.BytesIO(text))))
    assert b"".join(piece.text for piece in pieces) == text
    for piece in pieces:
        assert require_utf8(piece).text == text[piece.offset : piece.offset + len(piece.text)]
        assert len(piece.text) <= 11 + 11 + 3


@FORMS
def test_a_long_file_becomes_many_documents(suffix, pack, tmp_path):
    data = b"".join(b"line %d\n" % i for i in range(LONG // 8))
    (tmp_path / f"a{suffix}").write_bytes(pack(data))
    found = texts(tmp_path / f"a{suffix}")
    assert b"".join(found) == data and len(data) > LONG
    assert all(PIECE <= len(text) < PIECE + 20 and text.endswith(b"\n") for text in found[:-1])


@FORMS
@pytest.mark.parametrize("n_lines", [1, 3])
@pytest.mark.parametrize("letter", ["a", "\u96ea"])
def test_a_line_without_end_is_cut_and_can_be_learned_from(suffix, pack, n_lines, letter, tmp_path):
    words = [f"{letter}{i}" for i in range(2**19)]
    size = len(words) // n_lines
    lines = (" ".join(words[at : at + size]) for at in range(0, len(words), size))
    data = "\n".join(lines).encode()
    (tmp_path / f"a.txt{suffix}").write_bytes(pack(data))
    found = texts(tmp_path / f"a.txt{suffix}")
    assert b"".join(found) == data
    assert max(map(len, found)) <= 2 * PIECE + 3
    for text in found:
        text.decode()
    assert summary_of(str(tmp_path / f"a.txt{suffix}"), "text").n_held_out > 0


def _table_file(write):
    table = pandas.DataFrame({"text": [f"text number {i} " * 20 for i in range(300)]})
    sink = io.BytesIO()
    write(table, sink)
    return sink.getvalue()


PARQUET = _table_file(lambda table, sink: table.to_parquet(sink))
NOT_TEXT = {
    "a.parquet": (PARQUET, "a Parquet table.*read_parquet"),
    "renamed.txt": (PARQUET, "a Parquet table"),
    "a.feather": (_table_file(lambda table, sink: table.to_feather(sink)), "read_feather"),
    "a.npy": (b"\x93NUMPY\x01\x00", "NumPy arrays.*tofile"),
    "a.zip": (b"PK\x03\x04", "an archive, not text: unpack"),
    "a.pdf": (b"%PDF-1.7", "convert it to plain text"),
    "renamed.md": (b"%PDF-1.7", "convert it to plain text"),
    "a.tar.gz": (gzip.compress(b"a.txt"), "unpack"),
    "a.xz": (b"\xfd7zXZ\x00", "as .gz or .zst"),
    "text": (gzip.compress(b"text"), "a name that ends in .gz"),
    "utf16.txt": ("some text".encode("utf-16"), "convert it to UTF-8"),
    "noise": (random.Random(0).randbytes(4000), r"control characters.*'folder/\*\*/\*.txt'"),
    "noise.gz": (gzip.compress(random.Random(1).randbytes(200)), "control characters"),
    "tokens": (b"".join(i.to_bytes(2, "little") for i in range(1000)), "control characters"),
}


@pytest.mark.parametrize("name", NOT_TEXT)
def test_a_file_that_holds_no_text_is_refused_with_a_remedy(name, tmp_path):
    data, says = NOT_TEXT[name]
    (tmp_path / "fine.txt").write_text("fine " * 100)
    (tmp_path / name).write_bytes(data)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(ValueError, match=says):
            texts(path)
    assert texts(tmp_path / "fine.*")


def test_the_remedy_for_a_table_works(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_bytes(PARQUET)
    with pytest.raises(ValueError, match=r"pandas.read_parquet\(FILE\).to_json"):
        texts(file)
    new = tmp_path / "a.jsonl"
    pandas.read_parquet(file).to_json(new, orient="records", lines=True)
    assert len(texts(new)) == 300


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m\f\n", "caf\xe9 " * 9, "a\x00" + 99 * "b"])
def test_text_with_terminal_codes_other_encodings_or_a_stray_zero_is_text(text, tmp_path):
    (tmp_path / "a.txt").write_bytes(text.encode("latin-1"))
    assert texts(tmp_path / "a.txt") == [text.encode("latin-1")]


def test_shakespeare_is_cut_without_loss():
    path = published_path(SHAKESPEARE)
    assert b"".join(texts(path)) == path.read_bytes()


def test_what_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path / "*.txt", tmp_path):
        with pytest.raises(
            ValueError, match=r"there is no such file, .* give a file, a folder or a"
        ):
            files_of(str(path))


def test_tokens_among_texts_are_refused(tmp_path):
    (tmp_path / "train.bin").write_bytes(b"\0\0")
    with pytest.raises(
        ValueError, match=r"train.bin holds tokens, not text: set data.tokenizer.kind = 'tokenized'"
    ):
        files_of(str(tmp_path))


def test_empty_files_are_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match=r"a.txt': its files are empty: give files with text"):
        Text(path=str(tmp_path / "a.txt")).fingerprint()


def test_a_corpus_without_a_held_out_document_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("the only document")
    with pytest.raises(ValueError, match=r"all of its 1 distinct documents fall to training text"):
        Text(path=str(tmp_path / "a.txt")).load(0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'text': 1}", "line 2 is not JSON: correct it"),
        ("[1]", "line 2 is a list: give one JSON object a line"),
        ('{"txt": "a"}', "line 2 has no field data.text_field = 'text': .* did you mean 'txt'"),
        ("{}", "line 2 has no field data.text_field = 'text': .* it has none"),
        ('{"text": 5}', "line 2: field 'text' is a int: name the one that holds the text"),
    ],
)
def test_json_lines_without_the_text_say_where(line, message, tmp_path):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "good"}}\n{line}\n')
    with pytest.raises(ValueError, match=message):
        texts(tmp_path / "a.jsonl")


def altered(data):
    return data[:20] + b"\xff" * 8 + data[28:]


@pytest.mark.parametrize(
    ("suffix", "pack", "damage"),
    [
        *itertools.product(
            [".gz"], [gzip.compress], [lambda data: data[:40], lambda data: data[5:], altered]
        ),
        # Altered bytes show in gzip alone: a zstd frame need not hold a checksum.
        *itertools.product([".zst"], [zst], [lambda data: data[:40], lambda data: data[5:]]),
    ],
)
def test_damaged_compressed_files_are_refused(suffix, pack, damage, tmp_path):
    file = tmp_path / f"a.txt{suffix}"
    file.write_bytes(damage(pack(bytes(range(256)) * 40)))
    with pytest.raises(ValueError, match=rf"{file} cannot be decompressed .* fetch it again"):
        texts(file)


def test_bytes_take_invalid_utf8_and_others_say_where(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i:02}.txt").write_text(f"Document {i} is good text, the best there is.")
    bad = folder / "bad.txt"
    bad.write_bytes("caf\u00e9 in latin-1: ".encode() + b"caf\xe9 noir")
    config = Text(path=str(folder), context=4, n_eval=2)
    assert config.load(0).n_windows > 400
    encoded = Text(path=str(folder), context=4, n_eval=2, tokenizer=BPE(vocab_size=260))
    with pytest.raises(
        ValueError, match=rf"{bad}: byte 0xe9 at offset 21 is not UTF-8, .* 'bytes'"
    ):
        encoded.load(0)


def test_invalid_utf8_in_a_long_file_is_found_where_it_stands(tmp_path):
    text = b"nineteen in a row.\n" * (LONG // 16)
    (tmp_path / "a.txt").write_bytes(text[:777_777] + b"\xff" + text[777_777 : LONG + 9])
    with pytest.raises(ValueError, match=r"a.txt: byte 0xff at offset 777,777 is not UTF-8"):
        [require_utf8(document) for document in read(tmp_path / "a.txt")]


def test_halves_of_surrogate_pairs_in_json_are_no_utf8(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "bad \\ud800"}')
    (document,) = read(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="line 1: byte 0xed at offset 4 is not UTF-8"):
        require_utf8(document)


def hub_of(rows, monkeypatch):
    """A stand-in for the package `datasets`, and the calls that it was given."""
    calls = []

    def load_dataset(*args, **kwargs):
        calls.append((args, kwargs))
        if isinstance(rows, Exception):
            raise rows
        return iter(rows)

    package = types.ModuleType("datasets")
    package.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", package)
    return calls


def test_data_sets_of_the_hub_are_streamed_once(monkeypatch):
    calls = hub_of([{"body": f"row {i}\n\u96ea"} for i in range(9)], monkeypatch)
    path = "hf://owner/name?config=en&revision=abc&documents=5"
    for _ in range(2):
        assert texts(local_copy(path, "body"), "body") == [
            f"row {i}\n\u96ea".encode() for i in range(5)
        ]
    kind = {"split": "train", "revision": "abc", "streaming": True}
    assert calls == [(("owner/name", "en"), kind)]


def test_a_data_set_of_the_hub_is_a_corpus(monkeypatch):
    hub_of([{"text": f"Row {i} of a stream that is text."} for i in range(99)], monkeypatch)
    config = Text(path="hf://owner/corpus", context=8, n_eval=4)
    assert config.load(0).n_windows > 200


@pytest.mark.parametrize(
    ("path", "rows", "message"),
    [
        ("hf://a/b?splt=x", [], "no option 'splt'; did you mean 'split'"),
        ("hf://a/b?documents=0", [], "documents = '0': give a whole number"),
        ("hf://a/b", [{"txt": "a"}], "row 1 has no text in field .* did you mean 'txt'"),
        ("hf://a/b", ConnectionError("no route"), "cannot be fetched: no route"),
    ],
)
def test_what_the_hub_does_not_give_is_refused(path, rows, message, monkeypatch, tmp_path):
    hub_of(rows, monkeypatch)
    with pytest.raises(ValueError, match=message):
        local_copy(path, "text")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_without_the_package_the_hub_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"needs the package 'datasets': pip install '.*\[text\]'"):
        local_copy("hf://a/b", "text")


@pytest.mark.slow
def test_the_package_itself_streams_a_local_data_set(tmp_path):
    """It runs in another process, because the package leaves threads and warnings behind."""
    pytest.importorskip("datasets", reason="needs datasets")
    (tmp_path / "set").mkdir()
    rows = [{"text": f"Row {i}.", "n": i} for i in range(20)]
    (tmp_path / "set/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = f"hf://{tmp_path / 'set'}?documents=7"
    program = f"from scaling.data.hub import local_copy; print(local_copy({path!r}, 'text'))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert texts(Path(done.stdout.strip())) == [row["text"].encode() for row in rows[:7]]
