"""Tokenizers: every text comes back, what each token stands for, refusals."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data import token_cache
from scaling.data.bpe import _spelling, bpe_tokenizer, train_bpe
from scaling.data.tokenizing import (
    BPE,
    Bytes,
    Tiktoken,
    byte_tokenizer,
    smallest_dtype,
    tiktoken_tokenizer,
)
from scaling.fields import from_dict, to_dict

TEXTS = [
    f"def f{i}(x):\n    return {i} * x  # \u00e9\u96ea the {i}th of them\n".encode()
    for i in range(200)
]
TRAINED = train_bpe(TEXTS, 400)


def small_tiktoken(monkeypatch, name="gpt2"):
    """An encoding of the bytes and three merges, under the name of a published one."""
    tiktoken = pytest.importorskip("tiktoken", reason="needs tiktoken")
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"th": 256, b"the": 257, b" the": 258}
    encoding = tiktoken.Encoding(
        "small", pat_str=r" ?\S+|\s", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 260}
    )
    monkeypatch.setattr(tiktoken, "get_encoding", lambda asked: {name: encoding}[asked])
    tiktoken_tokenizer.cache_clear()
    return tiktoken_tokenizer(name)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_bytes_come_back_whatever_they_are(texts):
    tokenizer = byte_tokenizer()
    assert [tokenizer.decode(tokens) for tokens in tokenizer.encode(texts)] == texts


@pytest.mark.medium
@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.text(max_size=60) | st.sampled_from(["<|endoftext|>", " the\u00e9\n"]), max_size=4)
)
def test_text_comes_back_from_byte_pairs(texts):
    tokenizer = bpe_tokenizer(TRAINED)
    texts = [text.encode() for text in texts if text.encode(errors="replace").decode() == text]
    for text, tokens in zip(texts, tokenizer.encode(texts), strict=True):
        assert tokenizer.decode(tokens) == text
        assert tokenizer.byte_lengths[tokens].sum() == len(text)
        assert (tokens < tokenizer.end_of_document).all()  # which no text spells


def test_text_comes_back_from_tiktoken(monkeypatch):
    tokenizer = small_tiktoken(monkeypatch)
    texts = [text.encode() for text in ("", "the\u96ea the", "<|endoftext|>", "\x00\n\u00e9 th")]
    for text, tokens in zip(texts, tokenizer.encode(texts), strict=True):
        assert tokenizer.decode(tokens) == text
        assert tokenizer.byte_lengths[tokens].sum() == len(text)
    assert tokenizer.encode([b"the the"])[0].tolist() == [257, 258]
    assert (tokenizer.vocab_size, tokenizer.end_of_document) == (261, 260)
    assert tokenizer.byte_lengths[256:].tolist() == [2, 3, 4, 0, 1]  # 259 is no token
    tiktoken_tokenizer.cache_clear()


def test_byte_tokens_are_the_bytes_and_no_text_holds_their_end():
    tokenizer = byte_tokenizer()
    assert tokenizer.encode([b"a\xc3"])[0].tolist() == [97, 0xC3]
    assert (tokenizer.vocab_size, tokenizer.end_of_document) == (256, 255)
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    assert tokenizer.end_of_document not in every.encode()


def test_byte_pairs_are_bytes_merges_and_an_end():
    tokenizer = bpe_tokenizer(TRAINED)
    assert tokenizer.vocab_size == 400 and tokenizer.end_of_document == 399
    pieces = {tokenizer.decode([token]) for token in range(399)}
    assert len(pieces) == 399 and {bytes([byte]) for byte in range(256)} <= pieces
    assert b" return" in pieces and tokenizer.decode([399]) == b""
    assert len(tokenizer.encode([TEXTS[0]])[0]) < len(TEXTS[0]) / 2


def test_training_does_not_depend_on_the_order_of_texts():
    assert train_bpe(reversed(TEXTS), 400) == TRAINED
    assert train_bpe(TEXTS[:100], 300) != train_bpe(TEXTS[100:], 300)


@pytest.mark.parametrize("sample", [2**25, 1000])
def test_training_text_is_the_first_training_documents_each_once(sample, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(token_cache, "BPE_SAMPLE", sample)
    letters = np.random.default_rng(0).choice(list("abcdef "), size=(200, 100))
    texts = ["".join(row) for row in letters]
    rows = [{"text": text} for text in [*texts, *texts[:20] * 3]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = str(tmp_path / "a.jsonl")
    tokenizer = token_cache.tokenizer_of(path, "text", BPE(vocab_size=280))
    *train, _ = bytes(token_cache.halves_of(path, "text", Bytes()).train.read()).split(b"\xff")
    n_first = int(np.searchsorted(np.cumsum([len(text) for text in train]), sample, side="right"))
    assert tokenizer.identity == bpe_tokenizer(train_bpe(train[:n_first], 280)).identity
    assert (n_first < len(train)) == (sample == 1000)
    assert tokenizer.identity != bpe_tokenizer(train_bpe(map(str.encode, texts), 280)).identity


def test_spelling_of_bytes_is_that_of_the_library():
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers")
    assert sorted(_spelling()) == sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    assert len(set(_spelling())) == 256


def test_identity_is_what_was_trained():
    one, other = bpe_tokenizer(TRAINED), bpe_tokenizer(train_bpe(TEXTS, 300))
    assert one.identity != other.identity != byte_tokenizer().identity
    assert bpe_tokenizer(TRAINED).identity == one.identity


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [(256, "|u1"), (257, "<u2"), (65536, "<u2"), (65537, "<u4")],
)
def test_smallest_type_holds_every_token(vocab_size, dtype):
    assert smallest_dtype(vocab_size).str == dtype


def test_a_vocabulary_larger_than_the_text_gives_is_refused():
    with pytest.raises(
        ValueError, match=r"vocab_size = 9,999, but this text gives only [\d,]+ tok"
    ):
        train_bpe(TEXTS, 9999)


def test_invalid_utf8_is_refused():
    with pytest.raises(UnicodeDecodeError):
        bpe_tokenizer(TRAINED).encode([b"\xff"])


@pytest.mark.parametrize("package", ["tokenizers", "tiktoken"])
def test_without_the_package_it_is_said_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    tiktoken_tokenizer.cache_clear()
    use = {"tokenizers": lambda: train_bpe([], 300), "tiktoken": lambda: tiktoken_tokenizer("gpt2")}
    remedy = rf"needs the package '{package}': pip install 'scaling-descent\[text\]'"
    with pytest.raises(ValueError, match=remedy):
        use[package]()


def test_unknown_or_unreachable_encodings_are_refused(monkeypatch):
    tiktoken = pytest.importorskip("tiktoken", reason="needs tiktoken")
    with pytest.raises(ValueError, match=r"name = 'gtp2': did you mean 'gpt2'\?"):
        tiktoken_tokenizer("gtp2")

    def unreachable(name):
        raise ConnectionError("no route")

    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)
    with pytest.raises(ValueError, match=r"'gpt2' cannot be fetched \(ConnectionError\)"):
        tiktoken_tokenizer("gpt2")


@pytest.mark.parametrize("config", [BPE(vocab_size=512), Tiktoken(name="cl100k_base")])
def test_round_trip_through_plain_values(config):
    assert from_dict(type(config), to_dict(config)) == config


def test_tokens_fit_their_type():
    assert bpe_tokenizer(TRAINED).encode([b"abc"])[0].dtype == np.uint16
    assert byte_tokenizer().encode([b"abc"])[0].dtype == np.uint8
