"""Rows of several kinds: the same doubt from every command, and a remedy that works."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis.checks.mixture import telling_apart
from experiments.cli import main
from experiments.commands.provenance import differences
from scaling.record import RunRecord, dump_record

SIZES = (2e7, 1e8, 5e8, 2e9)
COMMANDS = (["fit", "--law", "chinchilla"], ["rank"])


def table(offset=0.3):
    rows = []
    for kind, n, d in itertools.product(("adamw", "muon"), SIZES, (1e9, 5e9, 2e10, 1e11)):
        loss = 1.7 + 400 * n**-0.34 + 1000 * d**-0.3 - offset * (kind == "muon")
        rows.append({"name": f"{kind}-{len(rows)}", "optimizer": kind, "n_params": n, "tokens": d})
        rows[-1]["loss"] = loss
    return pd.DataFrame(rows)


@pytest.mark.medium
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_that_runs_differ_and_its_remedy_ends_it(command, tmp_path, capsys):
    path, to = tmp_path / "t.csv", tmp_path / "to.json"
    table().to_csv(path, index=False)
    assert main([command[0], str(path), *command[1:], "--json", str(to)]) == 0
    printed = capsys.readouterr().out
    (remedy,) = re.findall(r"rows differ in optimizer: .* such as (--where \S+)", printed)
    assert "rows differ in optimizer" in to.read_text()
    assert main([command[0], str(path), *command[1:], *remedy.split()]) == 0
    printed = capsys.readouterr().out
    assert "16 of 32 rows" in printed and "rows differ" not in printed


def names(frame):
    frame = frame.rename(columns={"n_params": "N", "tokens": "D"})
    return [each.column for each in telling_apart(frame)]


def test_what_follows_from_a_size_or_names_a_row_tells_no_runs_apart():
    one = table().query("optimizer == 'adamw'").reset_index(drop=True)
    assert names(one) == []
    assert names(one.assign(size=one["n_params"].map("{:.0e}".format))) == []
    assert names(one.assign(length=np.where(one["tokens"] > 1e10, "long", "short"))) == []
    assert names(one.assign(warm=one.index % 2 == 0)) == ["warm"]
    assert names(one.assign(kind=[["a"], ["b"]] * 8)) == ["kind"]
    assert names(one.assign(**{"environment.host": ["a", "b"] * 8})) == []
    # Two families with other sizes each, which lie between each other's.
    families = one["n_params"].map(dict(zip(SIZES, "abab", strict=True)))
    assert names(one.assign(family=families)) == ["family"]


def test_states_of_code_libraries_and_devices_are_counted():
    one = {"git_commit": "a" * 40, "git_dirty": False, "git_diff_sha256": None, "jax": "0.10.2"}
    other = one | {"git_commit": "b" * 40, "git_dirty": True, "git_diff_sha256": "c" * 16}
    assert differences([(one, 6), ({}, 1)]) == []
    (said,) = differences([(one, 4), (other, 2)])
    assert said.startswith("4 runs are of commit aaaaaaa, 2 of commit bbbbbbb with changes (")
    (said,) = differences([(other, 1), (other | {"git_diff_sha256": "d" * 16}, 1)])
    assert "commit bbbbbbb with changes ccccccc, 1 of commit bbbbbbb with changes ddddddd" in said
    (said,) = differences([(one, 2), (one | {"jax": "0.11.0"}, 1)])
    assert said.startswith("2 runs are of jax 0.10.2, 1 of jax 0.11.0 (tell them apart by env")
    (said,) = differences([(one | {"device": each}, 1) for each in ("cpu", "NVIDIA H200")])
    assert "1 run is of cpu, 1 of NVIDIA H200" in said
    unknown = one | {"git_commit": None, "git_dirty": None}
    (said,) = differences([(one, 2), (unknown, 1)])
    assert "1 of unknown commit" in said


@pytest.fixture
def results(tmp_path):
    """A results folder with runs of two commits, the second with changes."""
    root = tmp_path / "results"
    root.mkdir()
    (root / "store.json").write_text('{"schema_version": 1}')
    for i, n in enumerate((1e6, 2e6, 4e6, 1e7, 3e6, 6e6, 1.2e7, 8e6)):
        run_id = f"{i:02x}" * 16
        late = i >= 5
        record = RunRecord(
            run_id=run_id,
            status="done",
            config={"seed": i},
            n_params_total=int(n),
            eval_loss_nats=2 + 100 * n**-0.4,
            environment={
                "git_commit": "ab"[late] * 40,
                "git_dirty": late,
                "git_diff_sha256": "c" * 16 if late else None,
            },
        )
        folder = root / "runs" / run_id[:2] / run_id
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(dump_record(record))
        (folder / "config.json").write_text(json.dumps(dataclasses.asdict(record)["config"]))
    return root


def test_runs_of_two_commits_are_counted_and_one_can_be_chosen(results, capsys):
    said = "5 runs are of commit aaaaaaa, 3 of commit bbbbbbb with changes"
    assert main(["status", str(results)]) == 0
    assert said in capsys.readouterr().out
    fit = ["fit", str(results), "--law", "kaplan_n"]
    assert main(fit) == 0
    printed = capsys.readouterr().out
    assert f"doubt: {said} (tell them apart by environment.git_commit" in printed
    assert main([*fit, "--where", f"environment.git_commit={'a' * 40}"]) == 0
    printed = capsys.readouterr().out
    assert "5 of 8 rows" in printed and "commit" not in printed.partition("5 of 8 rows")[2]
