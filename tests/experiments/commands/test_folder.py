"""Commands that look after a results folder: status, doctor, retry, prune, verify."""

import dataclasses
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from experiments.cli import main
from scaling.record import dump_record
from sweeps.runner import Summary
from sweeps.store import Store


@pytest.fixture
def said(capsys):
    def printed(*words):
        code = main([*map(str, words)])
        return code, capsys.readouterr().out

    return printed


def curve_of(done, points):
    """Gives one run a learning curve, as a worker leaves it; returns its file."""
    from scaling.record import dump_curve_line, dump_record, with_curve

    store = Store.open(done)
    run_id = store.run_ids()[0]
    record = store.load(run_id)
    assert record is not None
    lines = "".join(map(dump_curve_line, points))
    path = store.run_folder(run_id) / "attempts" / f"{record.attempt:04d}" / "curve.jsonl"
    path.write_text(lines)
    store.result_path(run_id).write_text(dump_record(with_curve(record, lines)))
    return path


def test_status_and_doctor_say_where_runs_are_lacking_and_what_to_do(done, said):
    assert said("status", done)[0] == 0 == said("doctor", done)[0]
    store = Store.open(done)
    for number, run_id in enumerate(store.run_ids()):
        ended = dataclasses.replace(
            store.load(run_id), finished_at_utc=f"2026-01-01T00:{2 * number:02}:00+00:00"
        )
        store.result_path(run_id).write_text(dump_record(ended))
    (found,) = json.loads(said("status", done, "--json", "-")[1])["folders"]
    until = "2026-01-01T00:16:00+00:00"
    assert found["pace"] == {"n_runs": 9, "runs_a_minute": 0.5, "until_utc": until}
    lost = [run_id for run_id in store.run_ids() if store.load(run_id).config["seed"] == 2]
    for run_id in lost:
        store.result_path(run_id).write_bytes(b"torn")
    code, printed = said("status", done)
    assert code == 1 and "6 done, 3 missing" in printed and "the last 6 done: " in printed
    assert "seed = 2: 3 of 3 runs are lacking" in printed and "model." not in printed
    code, printed = said("status", done, "--json", "-")
    (found,) = json.loads(printed)["folders"]
    assert code == 1 and found["counts"] == {"done": 6, "missing": 3} and not found["complete"]
    assert found["holes"] == [{"field": "seed", "value": 2, "n_open": 3, "n_runs": 3}]
    code, printed = said("doctor", done, "--json", "-")
    assert code == 1 and {each["run_id"] for each in json.loads(printed)["advice"]} == set(lost)
    code, printed = said("doctor", done)
    assert printed.count("The same command does it.") == 3 and printed.count("in quarantine:") == 3


def test_a_damaged_curve_is_named_and_its_run_done_again_when_asked(done, said, tmp_path):
    from scaling.record import CurvePoint

    points = [CurvePoint(step=s, n_examples_seen=s, train_loss=1.0, eval_loss=1.0) for s in (1, 2)]
    path = curve_of(done, points)
    assert said("status", done)[0] == 0
    path.write_bytes(path.read_bytes().replace(b"1.0", b"1.5", 1))
    for words in (
        ("status", done), ("table", done, "--to", tmp_path / "t.csv"), ("doctor", done),
    ):  # fmt: skip
        code, printed = said(*words)
        assert code == 1 and "curve.jsonl" in printed
    assert "1 run opened again" in said("retry", done, "--damaged-curves")[1]
    assert "8 done, 1 missing" in said("status", done)[1]


def test_prune_removes_only_what_saves_time(done, said):
    before = Store.open(done).scan()
    folders = [done / "trunks" / "ab" / "x", done / "weights" / "ab" / "x"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(bytes(1_500_000))
    assert "3 MB could be removed" in said("prune", done)[1] and all(map(Path.exists, folders))
    assert "3 MB removed" in said("prune", done, "--remove")[1]
    assert not any(map(Path.exists, folders))
    assert Store.open(done).scan() == before


@pytest.mark.medium
def test_a_folder_without_runs_says_so(tmp_path, said):
    Store.create(tmp_path / "empty")
    code, printed = said("status", tmp_path / "empty")
    assert code == 0 and " ".join(printed.split()).endswith("empty: no runs")


def test_verify_does_runs_again_and_finds_a_planted_difference(done, said):
    import dataclasses

    from scaling.record import dump_record
    from scaling.sealed import seal

    words = ("verify", done, "--fraction", "1", "--workers", "1")
    store = Store.open(done)
    run_id = store.run_ids()[4]
    record = store.load(run_id)
    older = {k: v for k, v in vars(record).items() if k != "n_examples_seen"}
    store.result_path(run_id).write_text(seal("record", older))
    code, printed = said(*words)
    assert (code, "9 runs done again; 0 differ" in printed) == (0, True)
    forged = dataclasses.replace(
        record, eval_excess_risk=1e-9, environment={**record.environment, "pack": {"size": 3}}
    )
    store.result_path(run_id).write_text(dump_record(forged))
    packed = store.load(store.run_ids()[5])
    packed = dataclasses.replace(
        packed,
        eval_excess_risk=packed.eval_excess_risk * (1 + 1e-6),
        environment={**packed.environment, "pack": {"size": 2}},
    )
    store.result_path(packed.run_id).write_text(dump_record(packed))
    code, printed = said(*words)
    words_of_it = " ".join(printed.split())
    assert "1 differ from what is published 1 more agree to 2e-05" in words_of_it
    assert code == 1 and f"{run_id} differs in eval_excess_risk; it was done in a pack of 3" in (
        words_of_it
    )
    assert main(["verify", str(done), "--fraction", "0"]) == 2


def test_an_interrupted_verify_compares_nothing(done, said, monkeypatch):
    became = Summary(jobs=(), interrupted=True, preempted=False, notices=(), seconds=0.0)

    def run_sweeps(jobs, **_):
        Store.create(jobs[0][0])
        return became

    monkeypatch.setattr("sweeps.runner.run_sweeps", run_sweeps)
    with pytest.raises(KeyboardInterrupt):
        said("verify", done)
    became = dataclasses.replace(became, interrupted=False)
    code, printed = said("verify", done)
    assert code == 1 and "could not be done again: missing" in printed
    assert "0 runs done again; 0 differ" in printed


def test_retry_of_no_such_run_or_of_nothing_is_refused(done, capsys):
    assert main(["retry", str(done), "--run", "deadbeef"]) == 2
    assert "--run 'deadbeef' is no run of" in capsys.readouterr().err
    assert main(["retry", str(done)]) == 2
    run_id = Store.open(done).run_ids()[0]
    assert main(["retry", str(done), "--run", run_id]) == 0
    assert not Store.open(done).has_result(run_id)


def test_a_folder_among_others_without_its_marker_is_not_passed_over(done, said):
    other = done.parent / "other"
    (other / "runs").mkdir(parents=True)  # of another program
    (done / "store.json").unlink()
    code, printed = said("status", done.parent)
    assert code == 0 and "9 done" in printed and "/other" not in printed


def test_a_pipe_in_quarantine_is_not_waited_for(done, said):
    (done / "quarantine").mkdir()
    os.mkfifo(done / "quarantine" / "x.reason.txt")
    assert "in quarantine: x: its note cannot be read" in said("doctor", done)[1]


def test_runs_of_another_folder_are_taken_once_and_never_replaced(done, said, tmp_path):
    from scaling.record import CurvePoint

    point = CurvePoint(step=1, n_examples_seen=1, train_loss=1.0, eval_loss=1.0)
    curve_of(done, [point])
    before = {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}
    into = tmp_path / "into"
    code, printed = said("import", done, "--into", into)
    assert code == 0 and "9 runs" in printed and "published here" in printed
    here, there = Store.open(into), Store.open(done)
    assert said("status", into)[0] == 0
    for run_id in there.run_ids():
        mine, theirs = here.load(run_id), there.load(run_id)
        assert mine is not None and theirs is not None and mine.run_id == theirs.run_id
        assert mine.eval_excess_risk == theirs.eval_excess_risk
    assert here.curve(there.run_ids()[0]) == (point,)
    assert [plan.name for plan in here.plans()] == [plan.name for plan in there.plans()]
    assert "9 runs" in (printed := said("import", done, "--into", into)[1]) and "already" in printed
    # A result that differs stays as it is here; one that is damaged there is named.
    first, second = there.run_ids()[1:3]
    text = there.result_path(first).read_text()
    record = there.load(first)
    assert record is not None
    changed = dump_record(dataclasses.replace(record, eval_excess_risk=0.5))
    there.result_path(first).write_text(changed)
    there.result_path(second).write_bytes(b"torn")
    code, printed = said("import", done, "--into", into)
    assert code == 1 and "1 runs" in printed and "have another result here" in printed
    assert "cannot be read there" in printed and there.result_path(second).read_bytes() == b"torn"
    there.result_path(first).write_text(text)
    there.result_path(second).write_bytes(before[there.result_path(second)])
    assert before == {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}


def test_runs_and_curves_are_exported_as_two_tables(done, said, tmp_path):
    from scaling.record import CurvePoint

    points = [CurvePoint(step=s, n_examples_seen=s, train_loss=1.0, eval_loss=2.0) for s in (1, 2)]
    curve_of(done, points)
    code, printed = said("export", done, "--to", tmp_path / "out")
    assert code == 0 and "2 points of learning curves" in printed
    runs = pd.read_parquet(tmp_path / "out" / "runs.parquet")
    curves = pd.read_parquet(tmp_path / "out" / "curves.parquet")
    assert len(runs) == 9 and curves["step"].tolist() == [1, 2]
    assert set(curves["run_id"]) <= set(runs["run_id"])
    assert said("export", done, "--to", tmp_path / "out", "--format", "csv")[0] == 0
    assert (tmp_path / "out" / "curves.csv").read_text().startswith("run_id,step,")
