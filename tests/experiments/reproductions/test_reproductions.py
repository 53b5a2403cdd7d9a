"""Published laws come out of their data again; drift, other data and no data are reported."""

import http.server
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from published_data import published_path

from experiments.cli import main
from experiments.commands import reproduce
from experiments.commands.options.analyses import ReproduceOptions
from experiments.experiment import Measured
from experiments.pages import reproduced
from experiments.reproductions import data as published_data
from experiments.reproductions import hoffmann2022_approach3
from experiments.reproductions.published import Published, agrees, judged, judgements
from experiments.reproductions.rounding import left_open

DATASETS = [
    published_data.CHINCHILLA,
    published_data.DATA_CONSTRAINED_C4,
    published_data.ISOFLOP_REFINEDWEB,
    published_data.LEARNING_CURVES,
]
SLOW = set(reproduce.names()) - {"besiroglu2024"}
PRINTED = [name for name in reproduce.names() if isinstance(reproduce.load(name).data, str)]
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in reproduce.names()
    if name == "kaplan2020" or name not in PRINTED
]


@pytest.fixture
def laws(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the published tables, where commands look for them."""
    folder = published_path("isoflop_refinedweb.csv").parent  # which can be had from a folder alone
    monkeypatch.setenv(published_data.FOLDER, str(folder.parent))
    return folder


@pytest.fixture
def served(laws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address under which the folder `tmp_path/served` can be fetched; an empty cache."""
    monkeypatch.delenv(published_data.FOLDER)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_every_paper_asked_for_is_there_with_its_card():
    assert set(reproduce.names()) == {
        "alabdulmohsin2022",
        "besiroglu2024",
        "bi2024",
        "clark2022",
        "czech2026",
        "devries2023",
        "epoch2024",
        "hernandez2021",
        "hoffmann2022-approach3",
        "hoffmann2022-tables",
        "kaplan2020",
        "krajewski2024",
        "ludziejewski2025",
        "muennighoff2023",
        "porian2024",
        "sardana2024",
        "shukor2025",
        "tao2024",
    }
    for name in reproduce.names():
        paper = reproduce.load(name)
        for word in ("Claim:", "Paper:", f"Command: scaling reproduce {name}\n", "Data:",
                     "Refitted:"):  # fmt: skip
            assert word in paper.card
        numbers = [published.name for published in paper.published]
        assert len(set(numbers)) == len(numbers)
        assert all(published.says and published.source for published in paper.published)


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_come_out_again(
    name: str, laws: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert reproduce.run(ReproduceOptions(name=name, out=str(tmp_path))) == 0
    printed = capsys.readouterr().out
    assert "pass" in printed and " fail" not in printed
    folder = tmp_path / name
    assert {path.name for path in folder.iterdir()} == {
        "figure.pdf",
        "figure.png",
        "figure.csv",
        "report.json",
    }
    assert len(pd.read_csv(folder / "figure.csv")) > 20
    report = json.loads((folder / "report.json").read_text())
    paper = reproduce.load(name)
    assert report["passed"] is True
    assert [each["name"] for each in report["numbers"]] == [p.name for p in paper.published]
    if isinstance(paper.data, str):
        assert report["data"] == {"printed": paper.data}
    else:
        assert report["data"]["sha256"] == paper.data.sha256
        assert report["data"]["from"] == str(laws.parent / paper.data.folder / paper.data.file)
    assert set(report["versions"]) >= {"python", "numpy", "scipy"}


@pytest.mark.parametrize("name", PRINTED)
def test_numbers_follow_from_those_that_a_paper_prints(name: str):
    """Each within its tolerance; findings are those that are known."""
    paper = reproduce.load(name)
    findings = paper.refit()
    assert set(findings.measured) == {published.name for published in paper.published}
    found = judgements(paper.published, findings.measured)
    failed = [each.name for each, at in zip(paper.published, found, strict=True) if at == "fail"]
    assert failed == []
    assert findings.verdict.endswith(".") and len(findings.shown) > 20


def test_twelve_papers_and_more_than_150_numbers():
    papers = [reproduce.load(name) for name in reproduce.names()]
    assert len(papers) >= 12
    assert sum(len(paper.published) for paper in papers) >= 150


def test_rounding_leaves_an_interval_that_holds_what_other_roundings_give():
    found = left_open(lambda c: c["a"] * c["b"], {"a": 2.0, "b": 3.0}, {"a": 0.05, "b": 0.5})
    assert found.value == 6.0
    assert (found.low, found.high) == pytest.approx((6 - 1.15, 6 + 1.15))
    assert 6 - 1.15 <= 2.04 * 3.4 <= 6 + 1.15


def test_a_page_has_every_number_every_finding_and_a_figure(tmp_path: Path):
    paper = reproduce.load("shukor2025")
    findings = paper.refit()
    found = judgements(paper.published, findings.measured)
    page = tmp_path / "results.md"
    written = reproduced.write([reproduced.Paper(paper, findings, found)], page)
    assert written == [page, tmp_path / "results" / "shukor2025.png"]
    assert all(path.stat().st_size > 1000 for path in written)
    text = page.read_text()
    for published in paper.published:
        assert f"| {published.says} |" in text
        assert published.finding in text
    assert "| **1 papers** | 27 | 22 | 5 | 0 |" in text


@pytest.mark.parametrize(
    ("name", "page", "says"),
    [
        ("all", "results.txt", "--page results.txt must be a Markdown file"),
        ("shukor2025", "results.md", "--page takes every paper: give all in place of shukor2025"),
    ],
)
def test_a_page_that_cannot_be_is_refused_before_any_refit(name, page, says, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "load", lambda name: pytest.fail(f"{name} was refitted"))
    assert main(["reproduce", name, "--page", page]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten_figures")
def test_every_figure_of_printed_numbers_is_drawn(tmp_path: Path):
    papers = []
    for name in PRINTED:
        paper = reproduce.load(name)
        findings = paper.refit()
        found = judgements(paper.published, findings.measured)
        papers.append(reproduced.Paper(paper, findings, found))
    _, *figures = reproduced.write(papers, tmp_path / "results.md")
    assert len(figures) == len(PRINTED)


def test_all_papers_are_run_but_those_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(published_data.FOLDER, str(tmp_path))
    monkeypatch.setattr(reproduce, "names", lambda: ["besiroglu2024", "shukor2025"])
    assert reproduce.run(ReproduceOptions(name="all", out=str(tmp_path / "out"))) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "shukor2025 22 5 0 together 22 5 0" in printed
    assert "left out: besiroglu2024: " in printed and "has no" in printed


@pytest.mark.medium
def test_drift_is_exit_status_1_and_says_where(
    laws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    moved = [
        replace(each, value=0.00123) if each.name == "TeX objective" else each
        for each in hoffmann2022_approach3.PUBLISHED
    ]
    monkeypatch.setattr(hoffmann2022_approach3, "PUBLISHED", tuple(moved))
    assert reproduce.run(ReproduceOptions(name="hoffmann2022-approach3", out=str(tmp_path))) == 1
    (line,) = [
        line for line in capsys.readouterr().out.splitlines() if line.rstrip().endswith("fail")
    ]
    assert "objective of the unrounded constants" in line
    report = json.loads((tmp_path / "hoffmann2022-approach3" / "report.json").read_text())
    assert report["passed"] is False
    judged = {each["name"]: each["judgement"] for each in report["numbers"]}
    assert [name for name, judgement in judged.items() if judgement != "pass"] == ["TeX objective"]


def test_an_unknown_name_gives_the_nearest(tmp_path: Path):
    with pytest.raises(ValueError, match=r"'besiroglu2042'.*besiroglu2024"):
        reproduce.run(ReproduceOptions(name="besiroglu2042", out=str(tmp_path)))


def test_changed_values_are_refused(laws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = published_data.CHINCHILLA
    table = pd.read_csv(laws / dataset.file)
    table["loss"] *= 1.01
    (tmp_path / "laws").mkdir()
    table.to_csv(tmp_path / "laws" / dataset.file, index=False)
    monkeypatch.setenv(published_data.FOLDER, str(tmp_path))
    with pytest.raises(ValueError, match=rf"{dataset.file} has SHA-256 .*{dataset.sha256}"):
        reproduce.run(ReproduceOptions(name="besiroglu2024", out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_truncated_file_is_refused(laws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = published_data.LEARNING_CURVES
    (tmp_path / "laws").mkdir()
    data = (laws / dataset.file).read_bytes()
    (tmp_path / "laws" / dataset.file).write_bytes(data[: len(data) // 2])
    monkeypatch.setenv(published_data.FOLDER, str(tmp_path))
    with pytest.raises(ValueError, match="replace it with that of revisiting_neural_scaling_laws"):
        published_data.obtain(dataset)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.file)
def test_a_folder_without_the_file_is_one_sentence(
    dataset: published_data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for folder in (tmp_path, tmp_path / "none"):
        monkeypatch.setenv(published_data.FOLDER, str(folder))
        with pytest.raises(ValueError, match=f"has no .*laws/{dataset.file}: put the file of"):
            published_data.obtain(dataset)


def test_the_folder_holds_laws_and_not_the_files_themselves(
    laws: Path, monkeypatch: pytest.MonkeyPatch
):
    for dataset in DATASETS:
        obtained = published_data.obtain(dataset)
        assert obtained.origin == str(laws / dataset.file)
        assert len(obtained.table) > 100
    monkeypatch.setenv(published_data.FOLDER, str(laws))
    with pytest.raises(ValueError, match=r"has no .*laws/laws/chinchilla_digitised\.csv"):
        published_data.obtain(published_data.CHINCHILLA)


def test_a_file_is_found_by_its_name(laws: Path):
    for name, dataset in published_data.DATASETS.items():
        file = published_data.published_file(name)
        assert file.path == laws.parent / dataset.folder / name
        assert file.content == file.path.read_bytes()
    with pytest.raises(ValueError, match=r"did you mean 'tinyshakespeare\.txt'"):
        published_data.published_file("tinyshakespere.txt")


def test_originals_are_named_by_a_full_commit():
    for dataset in published_data.DATASETS.values():
        assert len(dataset.sha256) == 64
        if dataset.address is not None:
            commit = dataset.address.split("/")[5]
            assert len(commit) == 40 and int(commit, 16)
            assert f"@{commit[:7]}" in dataset.source


def test_a_table_that_has_no_address_says_how_it_is_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(published_data.FOLDER, raising=False)
    dataset = published_data.ISOFLOP_REFINEDWEB
    with pytest.raises(ValueError, match=rf"pickle may run code.*{dataset.sha256}"):
        published_data.obtain(dataset)


def test_a_file_is_fetched_once_and_checked(served: str, laws: Path, tmp_path: Path):
    for original in (published_data.CHINCHILLA, published_data.LEARNING_CURVES):
        dataset = replace(original, address=f"{served}/{original.file}")
        shutil.copy(laws / original.file, tmp_path / "served")
        obtained = published_data.obtain(dataset)
        assert obtained.origin == dataset.address
        pd.testing.assert_frame_equal(obtained.table, pd.read_csv(laws / original.file))
        (tmp_path / "served" / original.file).chmod(0o644)
        (tmp_path / "served" / original.file).unlink()
        assert len(published_data.obtain(dataset).table) == len(obtained.table)


def test_other_bytes_at_the_address_are_refused(served: str, tmp_path: Path):
    dataset = replace(published_data.CHINCHILLA, address=f"{served}/{'points.csv'}")
    (tmp_path / "served" / "points.csv").write_text("Model Size,Training FLOP,loss\n1,2,3\n")
    with pytest.raises(ValueError, match="does not match the known hash"):
        published_data.obtain(dataset)


def test_without_pooch_it_is_said_what_to_install(served: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    remedy = r"needs the package 'pooch': pip install 'scaling-descent\[published\]'"
    with pytest.raises(ValueError, match=remedy):
        published_data.obtain(replace(published_data.CHINCHILLA, address=f"{served}/points.csv"))


def test_what_cannot_be_fetched_is_one_sentence(served: str):
    dataset = replace(published_data.CHINCHILLA, address=f"{served}/missing.csv")
    with pytest.raises(ValueError, match=r"cannot be fetched \(HTTPError\).*set SCALING_DATA_DIR"):
        published_data.obtain(dataset)
    nowhere = replace(published_data.CHINCHILLA, address="http://127.0.0.1:9/points.csv")
    with pytest.raises(ValueError, match=r"cannot be fetched \(ConnectionError\)"):
        published_data.obtain(nowhere)


def notebook(table: pd.DataFrame) -> bytes:
    """What the loader of the original notebook prints, in a notebook of one other cell."""
    lines = [
        f"{row['name']} {row['params'] / 1e9} {row['tokens'] / 1e9} "
        f"{row['unique_tokens'] / 1e9} {row['val_loss']}\n"
        for row in table.to_dict(orient="records")
    ]
    loader = {"metadata": {"id": "7_T_IE3gj3rR"}, "outputs": [{"text": lines}]}
    return json.dumps({"cells": [{"metadata": {}, "source": []}, loader]}).encode()


def test_the_table_is_made_of_what_the_notebook_printed(served: str, laws: Path, tmp_path: Path):
    original = published_data.DATA_CONSTRAINED_C4
    table = pd.read_csv(laws / original.file)
    (tmp_path / "served" / "fit.ipynb").write_bytes(notebook(table))
    obtained = published_data.obtain(replace(original, address=f"{served}/fit.ipynb"))
    pd.testing.assert_frame_equal(obtained.table, table)
    made = published_data.obtain(replace(original, address=f"{served}/fit.ipynb"))
    assert made.path.read_bytes() == made.content == (laws / original.file).read_bytes()
    changed = table.assign(val_loss=table["val_loss"] + 0.001)
    for number, data in enumerate((notebook(changed), b"{}", b"<html>")):
        (tmp_path / "served" / f"other{number}.ipynb").write_bytes(data)
        other = replace(original, address=f"{served}/other{number}.ipynb")
        with pytest.raises(ValueError, match="does not make data_constrained_c4"):
            published_data.obtain(other)


def test_a_number_agrees_within_its_tolerance_its_ends_or_its_interval():
    plain = Published(name="a", says="a", source="", value=0.5)
    near, between = replace(plain, tolerance=0.01), replace(plain, low=0.4, high=0.6)
    below, covered = replace(plain, high=0.5), replace(plain, covered=True)
    finding = replace(near, finding="a misprint")
    assert judged(finding, Measured(value=0.6)) == "finding"
    assert judged(finding, Measured(value=0.5)) == "fail"
    assert judged(finding, Measured(value=None)) == "fail"
    assert judged(near, Measured(value=0.5)) == "pass"
    assert agrees(replace(covered, tolerance=0.1), Measured(value=0.9, low=0.55, high=1.0))
    assert agrees(near, Measured(value=0.51 - 1e-9))
    assert not agrees(near, Measured(value=0.52))
    assert agrees(between, Measured(value=0.4)) and not agrees(between, Measured(value=0.39))
    assert agrees(below, Measured(value=-9.0)) and not agrees(below, Measured(value=0.51))
    assert agrees(covered, Measured(value=0.9, low=0.4, high=1.0))
    assert not agrees(covered, Measured(value=0.5, low=0.51, high=1.0))
    assert not agrees(covered, Measured(value=0.5))
    assert not agrees(near, Measured(value=None))
    assert not agrees(below, Measured(value=float("nan")))
