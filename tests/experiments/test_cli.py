"""The `scaling` command as its users meet it: results, errors, interruptions."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from small_library import unread_library

from analysis import estimate
from experiments import catalogue
from experiments.cli import main
from experiments.commands.costing import print_plans
from experiments.commands.options import analyses
from experiments.commands.options.training import CostOptions
from experiments.commands.report import FIGURES
from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining
from scaling.schedules import StableDecay
from scaling.sealed import sign
from scaling.training import Adam
from sweeps.plan import make_plan
from sweeps.space import grid

TINY = str(Path(__file__).with_name("tiny.py"))
_OWN_FAMILY_IMPORTS = """from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scaling.models.random_features import RandomFeatures
"""
_OWN_FAMILY = """

@dataclass(frozen=True, kw_only=True)
class Greedy(RandomFeatures):
    kind: ClassVar[str] = "greedy"

    def feature_map(self, n_inputs):
        return np.ones(10**13)
"""
COMMAND = [sys.executable, "-m", "scaling_descent"]


def run(tmp_path, *more) -> int:
    return main(["run", TINY, "--results", str(tmp_path / "results"), "--workers", "1", *more])


@pytest.mark.medium
def test_help_comes_at_once():
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
        after = os.times()
        seconds.append(after.children_user - before.children_user)
    assert min(seconds) < 1.0


def test_the_command_knows_every_kind_of_bootstrap():
    assert get_args(analyses.Redrawn) == get_args(estimate.Redrawn)


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert set(catalogue.names()) >= {
        "double_descent",
        "double_descent_linear",
        "double_descent_mlp",
        "double_descent_random_features",
        "power_law_regression",
    }
    for name in catalogue.names():
        assert f"{name} " in printed


@pytest.mark.medium
@pytest.mark.parametrize("name", catalogue.names())
def test_every_card_says_what_it_must(name, capsys):
    with unread_library():
        assert main(["show", name]) == 0
    card = capsys.readouterr().out
    assert card.startswith(catalogue.questions()[name])
    for word in ("Claim:", "Paper:", f"Command: scaling run {name}\n", "Cost:", "Expected:"):
        assert word in card


@pytest.mark.parametrize("name", catalogue.names())
def test_a_plan_is_priced_without_spending(name, tmp_path, capsys):
    """At the smallest budget; `test_run_ids` prices every budget."""
    words = ["plan", name, "--budget", "smoke", "--results", str(tmp_path / "none")]
    with unread_library():
        assert main(words) == 0
    assert "core-seconds" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_a_plan_says_what_shared_prefixes_save(capsys):
    """Runs of 40 and 80 steps, a quarter of them decay, share 30 steps of 120."""
    train = Pretraining(
        optimizer=Adam(learning_rate=0.01), schedule=StableDecay(decay=0.25), batch_size=4, steps=40
    )
    data = NGram(context=8, n_tokens=2**12, n_eval=8)
    base = RunConfig(model=Transformer(width=8, depth=1, heads=2), data=data, train=train)
    saved = account(replace_at(base, "train.steps", 30)).flops_train
    print_plans([(make_plan("branched", grid(base, {"train.steps": [40, 80]})), ())], CostOptions())
    assert f"saves {saved:.2g} FLOPs (25 %)." in capsys.readouterr().out
    print_plans([(make_plan("lone", [base]), ())], CostOptions())
    printed = capsys.readouterr().out
    assert "core-seconds" in printed and "prefix" not in printed


def test_a_run_leaves_figures_numbers_and_a_report(tiny_results):
    report = tiny_results / "reports" / "cpu"
    assert {file.name for file in report.iterdir()} == {
        "figure.pdf",
        "figure.png",
        "figure.svg",
        "figure.csv",
        "report.json",
    }
    shown = pd.read_csv(report / "figure.csv")
    ids = {each for row in shown["run_ids"] for each in row.split()}
    assert ids == {path.parent.name for path in tiny_results.glob("runs/*/*/result.json")}
    assert json.loads((report / "report.json").read_text())["measured"]["peak"]["value"] == 1.0


def test_again_runs_nothing_and_redraws_the_same(done, tmp_path, capsys):
    before = {p: p.stat().st_mtime_ns for p in done.glob("runs/**/*")}
    figures = {p.name: p.read_bytes() for p in (done / "reports/cpu").iterdir()}
    for path in (done / "reports/cpu").iterdir():
        path.unlink()
    assert run(tmp_path) == 0
    assert "9 kept" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in done.glob("runs/**/*")} == before
    assert {p.name: p.read_bytes() for p in (done / "reports/cpu").iterdir()} == figures


def test_a_full_disk_while_reporting_is_one_sentence(done, tmp_path, monkeypatch, capsys):
    for path in (done / "reports/cpu").iterdir():
        path.unlink()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        assert run(tmp_path) == 2
        assert main(["table", str(done), "--to", str(tmp_path / "runs.csv")]) == 2
    printed = capsys.readouterr().err
    assert printed.count("No space left on device") == 2
    assert "MB free" in printed
    assert not [p for p in tmp_path.rglob("*partial*")]
    assert run(tmp_path) == 0
    assert (done / "reports/cpu/figure.pdf").exists()


@pytest.mark.slow
def test_two_commands_at_once_share_the_work_and_both_report(tmp_path):
    command = [*COMMAND, "run", TINY, "--results", str(tmp_path / "results"), "--workers", "1"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    folder = tmp_path / "results" / "tiny"
    assert len(list(folder.glob("runs/*/*/result.json"))) == 9
    assert not (folder / "quarantine").exists()
    assert {file.name for file in (folder / "reports/cpu").iterdir()} == {*FIGURES, "report.json"}


@pytest.mark.slow
def test_ctrl_c_gives_up_cleanly_and_the_same_command_resumes(tmp_path, capsys):
    many = tmp_path / "many.py"
    many.write_text(Path(TINY).read_text().replace("range(3)", "range(50)"))
    words = ["run", str(many), "--results", str(tmp_path / "results")]
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    results = tmp_path / "results" / "many"
    deadline = time.monotonic() + 60
    while not list(results.glob("runs/*/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert "the same command resumes" in printed
    done = len(list(results.glob("runs/*/*/result.json")))
    assert 0 < done < 150
    assert main(words) == 0
    assert f"{done:,} kept, {150 - done:,} done" in capsys.readouterr().out


@pytest.mark.medium
def test_an_override_changes_identity_and_report(done, tmp_path, capsys):
    assert run(tmp_path, "--set", "data.noise_variance=0.2") == 0
    assert "9 done" in capsys.readouterr().out
    assert len(list(done.glob("runs/*/*/result.json"))) == 18
    assert len(list((done / "reports").iterdir())) == 2
    # The same values in other words are the same runs.
    assert run(tmp_path, "--set", "data.noise_variance=2e-1") == 0
    assert "9 kept" in capsys.readouterr().out


@pytest.mark.medium
def test_one_more_size_runs_only_what_is_new(done, tmp_path, monkeypatch, capsys):
    wider = tmp_path / "tiny.py"
    wider.write_text(Path(TINY).read_text().replace("[5, 20, 60]", "[5, 20, 40, 60]"))
    assert main(["run", str(wider), "--results", str(tmp_path / "results")]) == 0
    assert "9 kept, 3 done" in capsys.readouterr().out


def test_table_is_tidy_and_other_programs_read_it(done, tmp_path, capsys):
    for name in ("runs.csv", "runs.parquet"):
        assert main(["table", str(done), "--to", str(tmp_path / name)]) == 0
    assert "9 rows (9 done)" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert len(table) == 9
    assert table["model.n_features"].tolist() == table["n_features"].tolist()
    assert main(["status", str(done)]) == 0
    assert "9 runs: 9 done" in capsys.readouterr().out


@pytest.mark.medium
def test_a_damaged_result_is_set_aside_and_run_again(done, tmp_path, capsys):
    paths = sorted(done.glob("runs/*/*/result.json"))
    before = [json.loads(path.read_text())["record"]["eval_excess_risk"] for path in paths]
    for path, junk in zip(paths, [b"", b"\0" * 500, b'{"record"', b"\xff\xfe"], strict=False):
        path.write_bytes(junk)
    assert run(tmp_path) == 0
    assert "5 kept, 4 done" in capsys.readouterr().out
    after = [json.loads(path.read_text())["record"]["eval_excess_risk"] for path in paths]
    assert after == before
    assert len(list((done / "quarantine").glob("*.reason.txt"))) == 4


def test_a_report_or_figure_that_was_changed_is_made_anew(done, tmp_path, capsys):
    folder = done / "reports/cpu"
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "figure.pdf").write_bytes(good["figure.pdf"][:100])
    assert run(tmp_path) == 0
    (folder / "report.json").write_bytes(good["report.json"].replace(b"1.0", b"3.0"))
    assert run(tmp_path) == 0
    assert "3.0" not in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == good


def test_a_failed_expectation_is_exit_status_1(done, tmp_path, capsys):
    wrong = tmp_path / "tiny.py"
    wrong.write_text(Path(TINY).read_text().replace("low=0.9, high=1.1", "low=5, high=6"))
    assert main(["run", str(wrong), "--results", str(tmp_path / "results")]) == 1
    printed = capsys.readouterr().out
    assert "5 to 6" in printed
    assert "fail" in printed


@pytest.mark.medium
def test_runs_that_fail_are_listed_and_tried_again(tmp_path, capsys):
    """Features of 80 terabytes that no plan could foresee: a real failure, in a real worker."""
    broken = tmp_path / "tiny.py"
    tiny = Path(TINY).read_text().replace("model=Linear(", "model=Greedy(")
    tiny = tiny.replace("import pandas as pd\n", f"{_OWN_FAMILY_IMPORTS}import pandas as pd\n")
    broken.write_text(tiny.replace("\n\ndef _sweep", f"{_OWN_FAMILY}\n\ndef _sweep"))
    for _ in range(2):
        arguments = ["run", str(broken), "--results", str(tmp_path / "results"), "--workers", "1"]
        assert main(arguments) == 1
        printed = capsys.readouterr().out
        assert "failed, out_of_memory" in printed
        assert "the same command tries them again" in printed
        assert "cannot be analysed" in printed
    assert main(["status", str(tmp_path / "results" / "tiny")]) == 1
    assert "allocate" in capsys.readouterr().out


def test_a_folder_of_another_schema_is_refused(done, tmp_path, capsys):
    marker = done / "store.json"
    marker.write_text(json.dumps(sign({"schema_version": 99})))
    assert run(tmp_path) == 2
    printed = capsys.readouterr().err
    assert str(done) in printed
    assert "99" in printed


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "results").write_text("not a folder")
    assert run(tmp_path) == 2
    assert str(tmp_path / "results") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "double_decent"], "did you mean 'double_descent'"),
        (["show", "power_law_regresion"], "did you mean 'power_law_regression'"),
        (["run", "none.py"], "no such file"),
        (["run", TINY, "--set", "model.n_featurs=3"], "did you mean 'n_features'"),
        (["run", TINY, "--set", "model.n_features=0"], "at least 1"),
        (["run", TINY, "--set", "model.n_features=61"], "exceeds the 60 inputs"),
        (["run", TINY, "--set", "data.noise_variance=nan"], "finite"),
        (["run", TINY, "--workers", "0"], "at least 1"),
        (["run", "double_descent_mlp", "--set", "data.label_noise.fraction=1.5"], "less than 1"),
        (["run", "double_descent_mlp", "--set", "data.n_train=5000"], "5,?000"),
        (["status", "nowhere"], "no results folder"),
        (["table", "nowhere", "--to", "x.csv"], "no results folder"),
        (["table", "nowhere", "--to", "x.xlsx"], "ends in .csv or .parquet"),
    ],
)
def test_mistakes_get_one_sentence_and_spend_nothing(args, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("scaling: ")
    assert captured.err.count("\n") <= 2
    assert re.search(says, captured.err)
    assert not list(tmp_path.rglob("result.json"))


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(ValueError, match="did you mean"):
        main(["show", "double_decent", "--debug"])
