"""What is no table by its size or kind: pipes, archives that fill the memory, JSON without end."""

import gzip
import json
import os
import socket

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis.tables import files
from analysis.tables.read import read

TABLE = "N,D,loss\n1,2,3\n2,4,2\n"


def test_a_pipe_a_socket_and_a_device_are_refused(tmp_path):
    pipe = tmp_path / "runs.csv"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.csv"))
        (tmp_path / "null.csv").symlink_to(os.devnull)
        for path in (pipe, tmp_path / "s.csv", tmp_path / "null.csv"):
            with pytest.raises(ValueError, match=r"a pipe or a device.*write what it gives"):
                read(path)


@pytest.mark.parametrize("codec", files.CODECS.values())
def test_an_archive_is_expanded_up_to_the_cap_and_no_further(tmp_path, monkeypatch, codec):
    monkeypatch.setattr(files, "MOST_BYTES", 2**21)
    ending = next(end for end, name in files.CODECS.items() if name == codec)
    path = tmp_path / f"runs.csv{ending}"
    for n_lines, fits in ((1000, True), (2 * 10**5, False)):
        with pa.output_stream(path, compression=codec) as stream:
            stream.write(b"N,D,loss\n" + b"1000000,1000000,3.0\n" * n_lines)
        if fits:
            assert len(read(path).table) == n_lines
            continue
        with pytest.raises(ValueError, match=r"more than 2 MiB.*write the rows and columns"):
            read(path)


def test_a_plain_file_and_a_parquet_file_of_one_value_have_the_same_cap(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 2**20)
    (tmp_path / "runs.csv").write_bytes(b"N,D,loss\n" + b"1000000,1000000,3.0\n" * 10**5)
    columns = {name: np.full(10**5, 2.0) for name in ("N", "D", "loss")}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "runs.parquet")
    assert (tmp_path / "runs.parquet").stat().st_size < 2**20
    for name in ("runs.csv", "runs.parquet"):
        with pytest.raises(ValueError, match="more than 1 MiB"):
            read(tmp_path / name)


@pytest.mark.parametrize("depth", [100, 10**5])
@pytest.mark.parametrize("ending", [".jsonl", ".json"])
@pytest.mark.parametrize("brackets", ['{"a":}', "[]"])
def test_json_without_end_is_refused_by_line(tmp_path, depth, ending, brackets):
    middle = len(brackets) - 1
    deep = brackets[:middle] * depth + "1" + brackets[middle:] * depth
    path = tmp_path / f"runs{ending}"
    first = '{"N": 1, "D": 2, "loss": 3}\n'
    path.write_text(first + deep if ending == ".jsonl" else "[\n" + deep + "]")
    with pytest.raises(ValueError, match="line 2 nests more than 64 levels; write what you need"):
        read(path)


def test_brackets_in_strings_do_not_nest(tmp_path):
    rows = [{"N": n, "D": n, "loss": 3 / n, "note": "[{" * 100 + '\\"'} for n in (1, 2)]
    for ending, text in ((".json", json.dumps(rows)), (".jsonl", "\n".join(map(json.dumps, rows)))):
        path = tmp_path / f"runs{ending}"
        path.write_text(text)
        assert read(path).table["N"].tolist() == [1, 2]


def test_an_archive_read_whole_is_the_file(tmp_path):
    (tmp_path / "a.csv").write_text(TABLE)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    pd.testing.assert_frame_equal(read(tmp_path / "a.csv").table, read(tmp_path / "b.csv.gz").table)
