"""Text: documents split and ordered by their content, windows permuted, refusals."""

from __future__ import annotations

import hashlib
import json
import sysconfig
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_data import published_path

from scaling.data.survey import ONE_HELD_OUT_IN
from scaling.data.text import Text
from scaling.data.token_cache import halves_of, summary_of, tokenizer_of
from scaling.data.token_dataset import TokenDataset, TokenRow, token_dataset
from scaling.data.tokenizing import BPE, Tiktoken, Tokenized
from scaling.fields import from_dict, to_dict
from scaling.overrides import replace_at

SHAKESPEARE = "tinyshakespeare.txt"
FEW: dict[str, Any] = {"context": 8, "n_eval": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))


def documents(n, first=0):
    """Distinct texts of 20 to 100 bytes."""
    return [
        f"Document {i} says {i * i} times: {'ho ' * (i % 30)}".encode()
        for i in range(first, first + n)
    ]


def folder_of(texts, folder):
    folder.mkdir(parents=True)
    for i, text in enumerate(texts):
        (folder / f"{i:04}.txt").write_bytes(text)
    return str(folder)


def halves(config):
    """Documents of the training row and of the held-out row, in their order."""
    for part in halves_of(config.path, config.text_field, config.tokenizer):
        *found, nothing = bytes(part.read()).split(b"\xff")
        assert nothing == b""
        yield found


def belongs_to_held_out(text):
    return int.from_bytes(hashlib.sha256(text).digest()[-4:]) % ONE_HELD_OUT_IN == 0


def test_documents_are_split_and_ordered_by_their_hashes(tmp_path):
    texts = documents(200)
    train, held_out = halves(Text(path=folder_of(texts, tmp_path / "a")))
    by_hash = sorted(texts, key=lambda text: hashlib.sha256(text).digest())
    assert held_out == [text for text in by_hash if belongs_to_held_out(text)]
    assert train == [text for text in by_hash if not belongs_to_held_out(text)]
    assert len(held_out) > 2


def test_a_document_stays_in_its_half_and_in_its_order_whatever_joins_it(tmp_path):
    few = list(halves(Text(path=folder_of(documents(100), tmp_path / "few"))))
    many = list(halves(Text(path=folder_of(documents(300), tmp_path / "many"))))
    for part, larger in zip(few, many, strict=True):
        assert [text for text in larger if text in part] == part


def test_content_alone_decides_not_names_forms_or_copies(tmp_path):
    texts = documents(120)
    plain = Text(path=folder_of(texts, tmp_path / "plain"), **FEW)
    other = tmp_path / "other"
    folder_of([*texts[:30], *texts[:10], b""], other / "copies")
    (other / "rest.jsonl").write_text(
        "".join(json.dumps({"text": t.decode()}) + "\n" for t in texts[25:])
    )
    mixed = replace(plain, path=str(other))
    assert mixed.fingerprint() == plain.fingerprint()
    assert summary_of(mixed.path, "text").n_duplicates == 15
    np.testing.assert_array_equal(mixed.load(0).train, plain.load(0).train)
    np.testing.assert_array_equal(mixed.load(0).eval_tokens, plain.load(0).eval_tokens)


def test_other_content_or_tokenizer_is_another_fingerprint(tmp_path):
    one = Text(path=folder_of(documents(100), tmp_path / "one"))
    other = Text(path=folder_of(documents(100, first=1), tmp_path / "other"))
    encoded = replace(one, tokenizer=BPE(vocab_size=270))
    larger = replace(one, tokenizer=BPE(vocab_size=280))
    prints = {config.fingerprint() for config in (one, other, encoded, larger)}
    assert len(prints) == 4 and all(print.startswith("text/2/") for print in prints)


def test_fingerprint_frozen(tmp_path):
    """Where this fails the same text gives other tokens: raise the version in `fingerprint`."""
    path = folder_of(documents(100), tmp_path / "a")
    assert Text(path=path).fingerprint() == (
        "text/2/3d6ab24d4e04e0a321127dfa4fec73ace322bcafdf957fcded588bcb79747a59"
    )


def test_default_is_the_source_of_the_standard_library_without_what_is_not_utf8(
    tmp_path, monkeypatch
):
    root = tmp_path / "lib"
    folder_of(documents(60), root / "package")
    for file in (root / "package").iterdir():
        file.rename(file.with_suffix(".py"))
    folder_of([b"no source"], root / "data")
    folder_of([b"installed"], root / "site-packages" / "other")
    (root / "site-packages/other/0000.txt").rename(root / "site-packages/other/other.py")
    (root / "_sysconfigdata__linux.py").write_bytes(b"prefix = '/home/somebody'")
    (root / "package/latin.py").write_bytes(b"# -*- coding: latin-1 -*-\n'\xe9'")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str({"stdlib": root}[name]))
    clear()
    train, held_out = halves(Text())
    assert sorted(train + held_out) == sorted(documents(60))
    clear()


def test_standard_library_is_megabytes_of_real_text():
    from scaling.data.corpus import files_of

    files = files_of(None)
    assert "argparse.py" in {file.name for file in files}
    assert sum(file.stat().st_size for file in files) > 5e6
    assert not any("site-packages" in file.parts for file in files)


def clear():
    for function in (summary_of, tokenizer_of, halves_of):
        function.cache_clear()


def of_windows(n_windows, context=3):
    """A row of tokens 0, 1, 2, ..., so that a sequence shows its place."""
    row = np.arange(n_windows * context + 1, dtype=np.uint32)
    held_out = np.zeros(context + 1, dtype=np.int32)[None]
    return TokenDataset(lambda: row, n_windows, held_out, 1.0, None)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_every_window_comes_once_a_pass(n_windows, seed, number):
    data = of_windows(n_windows)
    one_pass = data.sequences(seed, number * n_windows, n_windows)
    np.testing.assert_array_equal(np.sort(one_pass[:, 0]), np.arange(n_windows) * 3)
    np.testing.assert_array_equal(one_pass - one_pass[:, :1], np.tile(np.arange(4), (n_windows, 1)))


@pytest.mark.medium
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), st.integers(0, 9), st.integers(0, 100), st.lists(st.integers(0, 30)))
def test_any_slicing_gives_the_same_sequences(n_windows, seed, first, counts):
    data = of_windows(n_windows)
    whole = data.sequences(seed, first, sum(counts))
    starts = first + np.cumsum([0, *counts])
    parts = [data.sequences(seed, int(s), n) for s, n in zip(starts, counts, strict=False)]
    np.testing.assert_array_equal(np.concatenate([whole[:0], *parts]), whole)


def test_seeds_and_passes_have_orders_of_their_own():
    data = of_windows(50)
    orders = [data.sequences(seed, first, 50)[:, 0] for seed in (0, 1) for first in (0, 50)]
    for i, one in enumerate(orders):
        assert all((one == other).sum() < 10 for other in orders[:i])


def test_order_frozen():
    """Where this fails the same seed sees other sequences: raise the version in `fingerprint`."""
    order = of_windows(10).sequences(7, 10, 10)[:, 0] // 3
    assert order.tolist() == [6, 5, 8, 9, 3, 2, 1, 4, 0, 7]


def test_reading_in_blocks_changes_nothing():
    data = of_windows(3000)
    many = data.sequences(0, 0, 3000)
    assert many.dtype == np.int32
    np.testing.assert_array_equal(many[1020:1030], data.sequences(0, 1020, 10))


def test_a_smaller_training_set_begins_a_larger_one_for_every_seed(tmp_path):
    config = Text(path=folder_of(documents(100), tmp_path / "a"), n_tokens=800, **FEW)
    large, small = config.load(0), replace(config, n_tokens=400).load(1)
    assert (large.n_windows, small.n_windows) == (100, 50) == (config.n_train, 50)
    assert small.n_train_tokens == 400
    np.testing.assert_array_equal(small.train, large.train[:401])
    seen = {tuple(sequence) for sequence in large.sequences(0, 0, 100)}
    assert {tuple(sequence) for sequence in small.sequences(3, 0, 50)} <= seen


def test_held_out_sequences_are_spread_over_the_held_out_text(tmp_path):
    config = Text(path=folder_of(documents(400), tmp_path / "a"), context=8, n_eval=10)
    data = config.load(0)
    row = halves_of(config.path, "text", config.tokenizer).held_out.read()
    available = (len(row) - 1) // 8
    for i, sequence in enumerate(data.eval_tokens):
        start = i * available // 10 * 8
        np.testing.assert_array_equal(sequence, row[start : start + 9])
    assert not data.eval_tokens.flags.writeable
    np.testing.assert_array_equal(config.load(5).eval_tokens, data.eval_tokens)


def test_bytes_per_token_are_counted_on_the_very_tokens_predicted(tmp_path):
    config = Text(path=folder_of(documents(300), tmp_path / "a"), **FEW)
    assert config.load(0).bytes_per_token == 1
    encoded = replace(config, tokenizer=BPE(vocab_size=280))
    data, tokenizer = encoded.load(0), tokenizer_of(encoded.path, "text", encoded.tokenizer)
    ends = (data.eval_tokens[:, 1:] == data.end_of_document).sum()
    text = b"".join(tokenizer.decode(sequence[1:]) for sequence in data.eval_tokens)
    assert data.bytes_per_token == (len(text) + ends) / data.eval_tokens[:, 1:].size > 1.5


def test_one_long_file_is_cut_into_documents_that_end_with_lines():
    path = published_path(SHAKESPEARE)
    config, content = Text(path=str(path)), path.read_bytes()
    train, held_out = halves(config)
    together = train + held_out
    assert sorted(b"".join(together)) == sorted(content)
    assert all(text in content and text.endswith(b"\n") for text in together)
    assert min(sorted(map(len, together))[1:]) >= 2**14 and len(held_out) >= 1
    assert config.load(0).n_windows * 64 > 1_000_000


def test_tokens_are_repeated_only_where_asked_and_then_counted(tmp_path):
    config = Text(path=folder_of(documents(100), tmp_path / "a"), n_tokens=800, **FEW)
    assert config.check_tokens(600) == 0.75
    with pytest.raises(
        ValueError, match=r"takes 801 tokens and data has 800 .* data.repeat = true"
    ):
        config.check_tokens(801)
    assert replace(config, repeat=True).check_tokens(2000) == 2.5


def test_shape_of_the_problem():
    assert (Text(context=32).n_inputs, Text().n_outputs, Text().n_classes) == (32, 256, None)
    assert Text(tokenizer=BPE(vocab_size=300)).n_outputs == 300
    assert Text(path="x.bin", tokenizer=Tokenized(vocab_size=50257)).n_outputs == 50257


def test_round_trip_through_plain_values_and_overrides():
    for tokenizer in (BPE(vocab_size=300), Tiktoken(name="gpt2")):
        config = Text(tokenizer=tokenizer, path="books/*.txt", n_tokens=1000)
        assert from_dict(Text, to_dict(config)) == config
    assert replace_at(Text(tokenizer=BPE()), "tokenizer.vocab_size", 512).n_outputs == 512


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": 0}, "context = 0 is impossible"),
        ({"tokenizer": {"kind": "bpe", "vocab_size": 256}}, "vocab_size = 256 .* at least 257"),
        ({"tokenizer": {"kind": "byte"}}, "did you mean 'bytes'"),
        ({"tokenizer": Tokenized(vocab_size=9)}, "'tokenized' needs text.path: a .bin file"),
        (
            {"tokenizer": Tokenized(vocab_size=9), "path": "a.bin", "document_mask": True},
            "document_mask = True needs to know where documents end: give tokenizer.end_of_doc",
        ),
        ({"path": "a/train.bin"}, "holds tokens, which text.tokenizer.kind = 'bytes' cannot read"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        from_dict(Text, fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": 10**6}, r"data.context = 1,000,000 is longer than the [\d,]+ tokens"),
        ({"n_tokens": 10**6}, r"data.n_tokens = 1,000,000 exceeds the [\d,]+ tokens to train on"),
        ({"n_tokens": 7}, "data.n_tokens = 7 is less than data.context = 8"),
        ({"n_eval": 10**6}, r"data.n_eval = 1,000,000 exceeds the \d+ sequences of 8 tokens"),
    ],
)
def test_more_than_there_is_is_refused(fields, message, tmp_path):
    config = Text(path=folder_of(documents(100), tmp_path / "a"), **FEW)
    with pytest.raises(ValueError, match=message):
        replace(config, **fields).load(0)


def test_a_row_shorter_than_a_sequence_is_refused():
    row = np.arange(5, dtype=np.uint8)
    five = TokenRow(lambda: row, 5)
    assert token_dataset(five, five, context=4, n_eval=1).n_windows == 1
    with pytest.raises(ValueError, match=r"data.context = 4 is longer than the 3 tokens"):
        token_dataset(TokenRow(lambda: row, 4), five, context=4, n_eval=1)
