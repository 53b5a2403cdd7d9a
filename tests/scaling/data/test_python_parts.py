"""Parts of source code, and samples of windows: what they hold, and which files they hold out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_library import small_library

from scaling.data.permutation import spread
from scaling.data.python_parts import parts_of
from scaling.data.text import Text
from scaling.fields import to_dict

SOURCE = b'''#!/usr/bin/env python
"""What it does.

    At length, with "quotes".
"""
import os  # needed

TEXT = """no docstring: # and no comment"""


def f(x):
    'Says so.'
    # In its own line.
    return x + "#no"
'''


def test_comments_and_docstrings_are_english_and_all_else_is_code():
    english, code = parts_of(SOURCE)
    assert english == (
        b'!/usr/bin/env python\nWhat it does.\n\nAt length, with "quotes".\nneeded\nSays so.\n'
        b"In its own line.\n"
    )
    assert code == (
        b'import os\n\nTEXT = """no docstring: # and no comment"""\n\n\ndef f(x):\n'
        b'    return x + "#no"\n'
    )
    assert parts_of(code) == (b"", code)


@pytest.mark.parametrize("source", [b"def f(:\n  '''", b"x = (\n"])
def test_what_is_no_python_has_no_part(source):
    assert parts_of(source) == (b"", b"")


@pytest.fixture
def library(tmp_path):
    with small_library(tmp_path):
        yield


def names(row, mark):
    """Numbers of the files that a row of tokens has parts of."""
    text = row.astype(np.uint8).tobytes().split(mark)[1:]
    return {int(each[:3]) for each in text}


def test_both_parts_hold_out_the_same_files(library):
    english = Text(part="english", context=4, n_eval=8)
    code = replace(english, part="code")
    trained = names(english.load(0).train, b"c")
    assert trained == names(code.load(0).train, b"x")
    assert 150 < len(trained) < 200
    assert english.fingerprint() == code.fingerprint() != Text().fingerprint()
    assert "part" not in to_dict(Text()) and to_dict(code)["part"] == "code"


def test_a_part_is_of_the_standard_library_alone():
    with pytest.raises(ValueError, match=r"text.part = 'code' is a part of the standard library"):
        Text(part="code", path="mine")


def test_sampled_windows_are_of_all_files_nested_and_the_same_for_every_seed(library):
    config = Text(context=8, n_eval=8, n_tokens=800, unique="windows", repeat=True)
    data, first = config.load(0), replace(config, unique="documents").load(0)
    whole = replace(config, n_tokens=None, unique="documents").load(0)
    assert data.n_windows == first.n_windows == 100
    assert data.sampled_from == whole.n_windows
    where = spread(np.arange(100), whole.n_windows)
    assert len(set(where.tolist())) == 100 and where.max() > 0.9 * whole.n_windows
    windows = whole.read()[where[:, None] * 8 + np.arange(9)]
    for seed in (0, 1):
        once = data.sequences(seed, 0, 100)
        assert set(map(tuple, once.tolist())) == set(map(tuple, windows.tolist()))
        again = data.sequences(seed, 100, 100)
        assert sorted(once.tolist()) == sorted(again.tolist()) and once.tolist() != again.tolist()
    fewer = replace(config, n_tokens=400).load(0).train
    np.testing.assert_array_equal(data.train[: len(fewer)], fewer)
    assert data.train.dtype == first.train.dtype and len(data.train) == 800


def test_fewer_tokens_than_a_window_are_refused(library):
    with pytest.raises(ValueError, match=r"data.n_tokens = 7 is less than data.context = 8"):
        Text(context=8, n_eval=8, n_tokens=7, unique="windows").load(0)
