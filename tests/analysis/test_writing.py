"""Files are written atomically and durably."""

import os
from pathlib import Path

import pytest

from analysis.writing import replace_file


def test_content_reaches_the_disk_before_its_name_does(tmp_path: Path, monkeypatch):
    calls: list[str] = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, name=name, call=original: calls.append(name) or call(*args)
        )
    replace_file(tmp_path / "new" / "a.txt", b"text")
    assert calls == ["fsync", "replace"]
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"text"


def test_a_failed_write_leaves_the_older_file_and_nothing_else(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.txt"
    replace_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_taken_is_named_as_it_was_given(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    for path, named, says in (
        (tmp_path / "folder", tmp_path / "folder", "is a folder, where a file"),
        (tmp_path / "file" / "a.txt", tmp_path / "file", "is a file, where a folder"),
        (tmp_path / "file" / "b" / "a.txt", None, "Not a directory"),
    ):
        with pytest.raises(OSError, match=says) as raised:
            replace_file(path, b"text")
        assert named is None or raised.value.filename == str(named)
        assert "partial" not in str(raised.value)
    assert (tmp_path / "file").read_text() == "kept"
