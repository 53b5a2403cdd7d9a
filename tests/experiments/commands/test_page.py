"""`scaling report`: one file that says what was asked, found and run, and needs nothing else."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import needed_programs
import pytest

from experiments.cli import main
from experiments.commands import report
from experiments.pages import parts

TINY = str(Path(__file__).parents[1] / "tiny.py")


class Reader(HTMLParser):
    """Collects what a page holds, and checks that its tags nest."""

    void = frozenset({"meta", "img", "br", "input", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: dict[str, list[dict[str, str | None]]] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.setdefault(tag, []).append(dict(attrs))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.setdefault(tag, []).append(dict(attrs))

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)


def read(path: Path) -> tuple[str, Reader]:
    text, reader = path.read_text(encoding="utf-8"), Reader()
    reader.feed(text)
    assert not reader.open
    return text, reader


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "results"
    assert main(["run", TINY, "--results", str(folder), "--workers", "1"]) == 0
    return folder


@pytest.mark.medium
def test_a_page_needs_no_address_and_tells_all(results, tmp_path, capsys):
    to = tmp_path / "page.html"
    assert main(["report", str(results), "--to", str(to)]) == 0
    assert ": 1 report," in capsys.readouterr().out
    text, shown = read(to)
    # 1. Nothing is fetched: the one link is to what the page carries.
    addresses = [each.get(name) for tag in shown.found.values() for each in tag
                 for name in ("src", "href", "action") if each.get(name)]  # fmt: skip
    assert addresses and all(each.startswith(("#", "data:")) for each in addresses)
    assert "url(http" not in text and "@import" not in text
    # 2. The file of a user is not known by its name alone: its age is unknown, its numbers stand.
    words = " ".join(shown.words)
    assert "expected" in words and "age unknown" in words
    # 3. Every table has a caption and headings with a scope.
    assert len(shown.found["caption"]) == len(shown.found["table"])
    assert all(each.get("scope") for each in shown.found["th"])
    # 4. The figure has a sentence for those who do not see it.
    (drawing,) = shown.found["svg"]
    assert drawing["role"] == "img" and drawing["aria-label"] == "tiny: peak. peak, p/n: 1."
    assert "Figure 1. A question small enough to be asked often. peak, p/n: 1." in words
    assert to.stat().st_size < 5e6


@pytest.mark.medium
def test_a_page_says_whether_reports_still_stand(results, tmp_path, monkeypatch, capsys):
    to = tmp_path / "page.html"
    command = ["report", str(results / "tiny"), "--to", str(to), "--experiment", TINY]
    assert main(command) == 0
    text, reader = read(to)
    assert ">fresh<" in text and "1 of 1 expected numbers were met" in text
    assert "Runs (9)" in " ".join(reader.words) and "Environment" in text
    monkeypatch.setattr(report, "source", lambda *given: "0" * 32)
    capsys.readouterr()
    assert main(command) == 0
    assert "tiny is stale: `scaling run tiny` draws it anew" in capsys.readouterr().out
    assert "stale: records or code have changed" in to.read_text()


def test_a_page_says_that_runs_cannot_be_analysed(done, tmp_path, capsys):
    """Beside the figure that is left of better days, and alone where there never was one."""
    own, to = tmp_path / "tiny.py", tmp_path / "page.html"
    broken = 'def analyse(table):\n    raise ValueError("no peak to be seen")\n'
    own.write_text(Path(TINY).read_text() + broken)
    run = ["run", str(own), "--results", str(done.parent), "--workers", "1"]
    page = ["report", str(done), "--to", str(to), "--experiment", str(own)]
    assert main(run) == 1
    assert main(page) == 0
    assert "tiny failed: no peak to be seen" in capsys.readouterr().out
    words = " ".join(read(to)[1].words)
    assert "failed: the runs as they are cannot be analysed" in words and "Figure 1." in words
    for path in (done / "reports" / "cpu").iterdir():
        path.unlink()
    assert main(run) == 1 and main(page) == 0
    words = " ".join(read(to)[1].words)
    assert "No answer" in words and "no peak to be seen" in words and "Figure 1." not in words
    # Once the code is mended, nothing is left of it.
    own.write_text(Path(TINY).read_text())
    assert main(run) == 0
    assert not (done / "reports" / "cpu" / report.FAILURE).exists()
    assert main(page) == 0
    text = to.read_text()
    assert ">fresh<" in text and "1 of 1 expected numbers met" in text


def test_two_pages_of_one_folder_are_equal(results, tmp_path):
    pages = []
    for name in ("a.html", "b.html"):
        assert main(["report", str(results), "--to", str(tmp_path / name)]) == 0
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_names_inside_two_drawings_stay_apart(results):
    (folder,) = results.glob("*/reports/*")
    first, second = (parts.figure(folder, number, "words", "words") for number in (1, 2))
    names = [set(re.findall(r' id="([^"]+)"', drawn)) for drawn in (first, second)]
    assert names[0] and not names[0] & names[1]
    for drawn, known in zip((first, second), names, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn))
        assert used <= known


def test_texts_of_others_are_no_markup():
    shown = parts.table(["<b>"], [["<script>alert(1)</script>"]], 'a "caption" & more')
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "<b>" not in shown


@pytest.mark.parametrize("given", ["nothing", "empty"])
def test_a_folder_without_a_report_is_told(given, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / given), "--to", str(tmp_path / "x.html")]) == 2
    assert "holds no report" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_a_damaged_report_is_told(results, tmp_path, capsys):
    import shutil

    shutil.copytree(results, tmp_path / "copy")
    (path,) = (tmp_path / "copy").glob("*/reports/*/report.json")
    path.write_text("{}")
    assert main(["report", str(tmp_path / "copy"), "--to", str(tmp_path / "x.html")]) == 2
    assert "no report that this version reads" in capsys.readouterr().err


@pytest.mark.slow
def test_a_browser_draws_the_tables_and_has_nothing_to_say(results, tmp_path):
    needed_programs.needs("chromium")
    to = tmp_path / "page.html"
    assert main(["report", str(results), "--to", str(to), "--experiment", TINY]) == 0
    opened = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--virtual-time-budget=2000", "--dump-dom", to.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert opened.returncode == 0, opened.stderr
    # The script has run: tables sort, and draw any column against any other.
    assert opened.stdout.count("<button") > 5 and 'class="explorer"' in opened.stdout
    assert "CONSOLE" not in opened.stderr
