"""`scaling paper`: a bundle that is the same twice, that says what drifted, and that compiles."""

import ast
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import needed_programs
import pytest

import experiments
from experiments.cli import main
from experiments.commands import paper
from experiments.papers.bundle import MANIFEST, PROSE, contents, digests
from experiments.papers.drift import drifts
from experiments.papers.folder import Written
from experiments.papers.folder import write as write_folder
from experiments.papers.references import bibliography, entries_of
from scaling.sealed import sign

TINY = str(Path(__file__).parents[1] / "tiny.py")


def write(results, to, *more):
    return main(["paper", str(results), "--to", str(to), "--experiment", TINY, *more])


@pytest.fixture(scope="module")
def bundle(tiny_results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers") / "paper"
    assert write(tiny_results, folder, "--style", "neurips") == 0
    return folder


@pytest.fixture
def copy(bundle, tiny_results, tmp_path):
    """A bundle and its results, which a test may change; the bundle finds them by itself."""
    results = shutil.copytree(tiny_results, tmp_path / "results" / "tiny")
    assert write(results, tmp_path / "paper", "--style", "neurips") == 0
    return tmp_path / "paper", results


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_builds_are_equal_and_the_manifest_holds(bundle, tiny_results, capsys):
    other = bundle.with_name("other")
    assert write(tiny_results, other, "--style", "neurips") == 0
    assert "1 experiment, 9 runs, 1 number, for neurips" in capsys.readouterr().out
    assert files(bundle) == files(other)
    listed = digests((bundle / MANIFEST).read_text())
    assert set(listed) | {MANIFEST} == set(files(bundle))
    for path, digest in listed.items():
        assert hashlib.sha256((bundle / path).read_bytes()).hexdigest() == digest


def test_a_bundle_holds_every_piece(bundle):
    has = set(files(bundle))
    assert {"numbers.tex", "results.tex", "methods.tex", "appendix_runs.tex", "references.bib",
            "runs.parquet", "environment.json", "DATA.md", "CITATION.cff", "README.md", "Makefile",
            "main.tex", "figures/tiny.pdf", "figures/tiny.csv", "figures/tiny.tex",
            "tables/tiny.tex", "tables/tiny.csv", "tables/measured.csv"} <= has  # fmt: skip
    assert any(path.startswith("plans/") for path in has)
    text = (bundle / "main.tex").read_text()
    for name in ("numbers", "results", "methods", "appendix_runs", "figures/tiny", "tables/tiny"):
        assert rf"\input{{{name}}}" in text
    assert r"\newcommand{\TinyPeak}{\ensuremath{1}}" in (bundle / "numbers.tex").read_text()
    methods = (bundle / "methods.tex").read_text()
    assert "9 runs were planned (9 done)" in methods and r"\textbf{Seeds.} \texttt{" not in methods
    # Nothing says where on this machine the results lie.
    assert not any(str(bundle.parent).encode() in data for data in files(bundle).values())


def test_a_bundle_that_nobody_touched_has_not_drifted(copy, capsys):
    folder, _ = copy
    assert main(["paper", "--check", str(folder), "--experiment", TINY]) == 0
    assert "every macro, table and figure is as the results give it" in capsys.readouterr().out
    # An author's own text and files are no drift.
    (folder / "main.tex").write_text((folder / "main.tex").read_text() + "% mine\n")
    (folder / "figures" / "mine.pdf").write_bytes(b"mine")
    bib = folder / "references.bib"
    bib.write_text(bib.read_text() + "@misc{mine,\n  title = {Mine},\n}\n")
    assert main(["paper", "--check", str(folder)]) == 0


def replaced(path, old, new):
    data = path.read_bytes()
    assert old in data, path
    path.write_bytes(data.replace(old, new, 1))


def other_figure(folder):
    replaced(folder / "figures" / "tiny.pdf", b"/Keywords (points ", b"/Keywords (points 0")


def fewer_runs(folder):
    import pandas as pd

    path = folder / "runs.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)


def other_loss(folder):
    import pandas as pd

    path = folder / "runs.parquet"
    table = pd.read_parquet(path)
    table.loc[0, "eval_excess_risk"] += 0.1
    table.to_parquet(path, index=False)


def listed_stale(folder):
    (folder / "figures" / "old.pdf").write_bytes(b"old")
    digest = hashlib.sha256(b"old").hexdigest()
    with (folder / MANIFEST).open("a") as file:
        file.write(f"{digest}  figures/old.pdf\n")


PLANTED = {
    "a value": lambda f: replaced(f / "numbers.tex", b"\\ensuremath{1}", b"\\ensuremath{2}"),
    "an expectation": lambda f: replaced(f / "numbers.tex", b"0.9 to 1.1", b"0.8 to 1.1"),
    "a count of runs": lambda f: replaced(f / "numbers.tex", b"\\TinyRuns}{9}", b"\\TinyRuns}{8}"),
    "a macro renamed": lambda f: replaced(f / "numbers.tex", b"\\TinyPeakFull}", b"\\TinyPeakF}"),
    "a macro left over": lambda f: (f / "numbers.tex").write_bytes(
        (f / "numbers.tex").read_bytes() + b"\\newcommand{\\TinyOld}{3}\n"),
    "a number in a table": lambda f: replaced(f / "tables" / "tiny.tex", b"$1$", b"$2$"),
    "a judgement": lambda f: replaced(f / "tables" / "tiny.tex", b"yes", b"no"),
    "a number in a CSV": lambda f: replaced(f / "tables" / "tiny.csv", b"1.0", b"1.2"),
    "all numbers": lambda f: replaced(f / "tables" / "measured.csv", b"theory", b"Theory"),
    "a table gone": lambda f: (f / "tables" / "tiny.csv").unlink(),
    "a figure of other data": other_figure,
    "a figure redrawn": lambda f: replaced(f / "figures" / "tiny.pdf", b"%%EOF", b"%%EOF "),
    "a figure gone": lambda f: (f / "figures" / "tiny.pdf").unlink(),
    "a point": lambda f: replaced(f / "figures" / "tiny.csv", b",3,", b",4,"),
    "a caption": lambda f: replaced(f / "figures" / "tiny.tex", b"\\caption{A", b"\\caption{No"),
    "a verdict": lambda f: replaced(f / "results.tex", b"peak", b"no peak"),
    "a method": lambda f: replaced(f / "methods.tex", b"9 runs", b"10 runs"),
    "a row of the appendix": lambda f: replaced(f / "appendix_runs.tex", b"3/3", b"2/3"),
    "a run left out": fewer_runs,
    "a loss": other_loss,
    "a plan": lambda f: next((f / "plans").iterdir()).write_text("{}"),
    "the software": lambda f: replaced(f / "environment.json", b"numpy", b"bumpy"),
    "a fingerprint": lambda f: replaced(f / "DATA.md", b"gaussian", b"normal"),
    "a digest": lambda f: replaced(f / MANIFEST, b"  tables/tiny.tex", b"0  tables/tiny.tex"),
    "a figure left over": listed_stale,
}  # fmt: skip


def test_each_of_25_planted_drifts_is_found(bundle, tiny_results, tmp_path):
    recipe = paper._recipe(bundle)
    venue = paper._venue("neurips")
    studies = paper._studies([str(tiny_results)], None, [TINY], venue)
    made = contents(studies, recipe, venue)
    assert drifts(bundle, made, True) == []
    for at, (what, plant) in enumerate(PLANTED.items()):
        folder = shutil.copytree(bundle, tmp_path / f"bundle{at}")
        plant(folder)
        found = drifts(folder, made, True)
        assert found, what
        # Nothing but the file that was changed is named.
        assert len({each.path for each in found}) == 1, (what, found)
        assert found[0].path not in PROSE
        shutil.rmtree(folder)
    # Where other libraries drew it, a figure is known by its points.
    folder = shutil.copytree(bundle, tmp_path / "drawn elsewhere")
    PLANTED["a figure redrawn"](folder)
    assert drifts(folder, made, False) == []
    other_figure(folder)
    assert len(drifts(folder, made, False)) == 1


@pytest.mark.medium
def test_results_that_changed_are_named(copy, capsys):
    folder, results = copy
    path = min(results.glob("runs/*/*/result.json"))
    run_id = path.parent.name
    path.rename(path.with_name("away.json"))
    assert main(["paper", "--check", str(folder), "--experiment", TINY]) == 1
    said = capsys.readouterr().out
    assert "tiny: 1 of 9 runs are not there" in said and "Wait for the sweep" in said
    for piece in ("numbers.tex: \\TinyRunsDone is 9; the results give 8", "appendix_runs.tex",
                  "methods.tex", f"runs.parquet: 1 run of another status, such as {run_id}",
                  "figures/tiny.csv"):  # fmt: skip
        assert piece in said
    # Written again, the bundle is that of the eight runs.
    assert write(results, folder, "--style", "neurips") == 0
    assert main(["paper", "--check", str(folder), "--experiment", TINY]) == 0


@pytest.mark.medium
def test_the_pieces_are_renewed_beside_the_text_of_an_author(copy, capsys, monkeypatch):
    folder, results = copy
    (folder / "main.tex").write_text("my text")
    (folder / "chapter.tex").write_text("more of mine")
    path = min(results.glob("runs/*/*/result.json"))
    path.rename(path.with_name("away.json"))
    assert write(results, folder, "--style", "neurips") == 0
    said = capsys.readouterr().out
    assert "your own text is left as it is: main.tex" in said and "new pieces" not in said
    assert (folder / "main.tex").read_text() == "my text"
    assert r"\newcommand{\TinyRunsDone}{8}" in (folder / "numbers.tex").read_text()
    assert not folder.with_name("paper-2").exists()
    assert main(["paper", "--check", str(folder), "--experiment", TINY]) == 0
    # So does `make redraw`, which writes from within the folder.
    path.with_name("away.json").rename(path)
    monkeypatch.chdir(folder)
    assert write(results, ".", "--style", "neurips") == 0
    assert r"\newcommand{\TinyRunsDone}{9}" in Path("numbers.tex").read_text()
    assert Path("main.tex").read_text() == "my text"
    assert Path("chapter.tex").read_text() == "more of mine"


@pytest.mark.medium
def test_a_piece_that_a_hand_has_changed_is_kept(copy, capsys):
    folder, results = copy
    whole = files(folder)
    numbers, beside = folder / "numbers.tex", folder / "numbers.new.tex"
    numbers.write_text("mine")
    for _ in range(2):  # it stays known as changed
        assert write(results, folder, "--style", "neurips") == 0
        assert "changed by hand and left as it is" in capsys.readouterr().out
        assert numbers.read_text() == "mine" and beside.read_bytes() == whole["numbers.tex"]
    assert main(["paper", "--check", str(folder), "--experiment", TINY]) == 1
    said = capsys.readouterr().out
    assert "numbers.tex: \\TinyPeak is missing" in said and "numbers.new.tex" not in said
    # Deleted, it is written anew, and nothing is left of the copy beside it.
    numbers.unlink()
    assert write(results, folder, "--style", "neurips") == 0
    assert files(folder) == whole


def test_new_pieces_are_named_to_an_author(tmp_path):
    first = {"main.tex": b"start", "tables/a.tex": b"1", "tables/old.tex": b"2", "b.tex": b"3"}
    second = {"main.tex": b"other", "tables/a.tex": b"4", "tables/b.tex": b"5"}
    assert write_folder(tmp_path, first) == Written()
    (tmp_path / "main.tex").write_bytes(b"mine")
    (tmp_path / "tables" / "old.tex").write_bytes(b"mine")
    written = write_folder(tmp_path, second)
    assert written == Written(("main.tex",), (), ("tables/old.tex",), ("tables/b.tex",))
    del second["main.tex"]
    assert {path: data for path, data in files(tmp_path).items() if path != MANIFEST} == {
        **second, "main.tex": b"mine", "tables/old.tex": b"mine",
    }  # fmt: skip


def test_a_bundle_that_was_cut_off_is_written_to_its_end(copy):
    folder, results = copy
    whole = files(folder)
    (folder / "numbers.tex").unlink()
    (folder / MANIFEST).write_text("".join(f"{'0' * 64}  {path}\n" for path in whole))
    assert write(results, folder, "--style", "neurips") == 0
    assert files(folder) == whole


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--style", "neurip"], "--style 'neurip' is no venue; did you mean 'neurips'?"),
        (["--budget", "gpu"], "holds no report of size gpu"),
    ],
)
def test_bad_choices_are_told_before_anything_is_written(
    more, says, tiny_results, tmp_path, capsys
):
    assert write(tiny_results, tmp_path / "paper", *more) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "paper").exists()


@pytest.mark.medium
def test_mistakes_get_a_sentence_each(tiny_results, done, tmp_path, capsys):
    def says(*args):
        assert main(["paper", *map(str, args)]) == 2
        return capsys.readouterr().err

    assert "No results folder is given" in says("--to", tmp_path / "paper")
    assert "tiny is no experiment of this package" in says(tiny_results, "--to", tmp_path / "paper")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    told = says(tiny_results, "--to", tmp_path / "full", "--experiment", TINY)
    assert "holds files but no MANIFEST" in told
    assert "is no bundle" in says("--check", tmp_path / "full")
    assert write(tiny_results, tmp_path / "mine") == 0
    told = says("--check", tmp_path / "mine", "--text", tmp_path / "gone.tex")
    assert "gone.tex is no file" in told
    shutil.copytree(done / "reports" / "cpu", done / "reports" / "cpu-00000000")
    told = says(done, "--to", tmp_path / "paper", "--experiment", TINY)
    assert "Two figures would have the label 'tiny'" in told and "--budget" in told
    for path in done.glob("runs/*/*/result.json"):
        path.unlink()
    told = says(done, "--budget", "cpu", "--to", tmp_path / "paper", "--experiment", TINY)
    assert "tiny cannot be analysed: no run is done" in told and "`scaling run tiny`" in told
    (done / "store.json").write_text(json.dumps(sign({"schema_version": 99})))
    assert "schema version 99" in says(done, "--budget", "cpu", "--experiment", TINY)
    assert not (tmp_path / "paper").exists()


def test_every_paper_that_a_card_cites_has_its_authors_and_title():
    cards = [ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
             for path in Path(experiments.__file__).parent.glob("*.py")]  # fmt: skip
    entries = entries_of(bibliography(cards))
    assert len(entries) > 40
    bare = [key for key, entry in entries.items() if "author = {" not in entry]
    assert not bare


@pytest.mark.slow
def test_a_bundle_compiles_with_every_font_embedded(tiny_results, tmp_path):
    needed_programs.needs("latexmk", "pdflatex", "lualatex", "pdffonts")
    awkward = tmp_path / "größe_α.py"
    card = 'A question of 50 % & more: is a_b < "ñ" ~ #1 {中}?\n\nPaper: arXiv 2203.15556.'
    source = Path(TINY).read_text().partition('"""\n\n')[2]
    source = source.replace("peak, p/n", "peak λ_N ≤ 3 % of {p/n} & ünïcode ^2 \\\\ --x")
    source = source.replace('verdict="peak"', 'verdict="100 % $peak_1$\\nand #2"')
    caption = 'CAPTION = ("A_b at {peak} of 100 %: #1 ~ λ & {", "No ^2.")'
    awkward.write_text(f"'''{card}'''\n\n{source}\n{caption}\n", encoding="utf-8")
    results = tmp_path / "results"
    assert main(["run", str(awkward), "--results", str(results), "--workers", "1"]) == 0
    folder = tmp_path / "paper"
    own = ["--experiment", str(awkward), "--style", "icml", "--to", str(folder)]
    assert main(["paper", str(results), *own]) == 0
    for engine in ("-pdf", "-lualatex"):
        made = subprocess.run(
            ["latexmk", engine, "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
            cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        log = (folder / "main.log").read_text(errors="replace")
        assert made.returncode == 0, log[-3000:]
        wide = [float(each) for each in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
        assert max(wide, default=0) <= 5
        assert "undefined" not in log and "Missing character" not in log
        listed = subprocess.run(
            ["pdffonts", "main.pdf"], cwd=folder, capture_output=True, text=True
        )
        rows = [line.split() for line in listed.stdout.splitlines()[2:]]
        assert rows and all(row[-5] == "yes" for row in rows)
        subprocess.run(["latexmk", "-C", "main.tex"], cwd=folder, capture_output=True)
    # What compiling leaves is no change by hand.
    assert main(["paper", "--check", str(folder), "--experiment", str(awkward)]) == 0
