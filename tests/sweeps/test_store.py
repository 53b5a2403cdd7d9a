"""The results folder: publishing, reading, plans, links that lead out."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trivial_runs
from folders import CONFIG, PLAN, RUN, claim, publish, quarantined

from scaling.record import dump_curve_line, dump_record, load_curve
from scaling.sealed import DamagedFileError, seal, sign
from sweeps import files, publishing
from sweeps.claims import Attempt
from sweeps.files import StoreError
from sweeps.store import Store


def test_a_published_run_reads_back_with_its_curve(store: Store) -> None:
    assert publish(store) == "published"
    records = store.read(PLAN)
    assert [r.status for r in records] == ["done"] + ["missing"] * 5
    assert [r.run_id for r in records] == [r.run_id for r in PLAN.runs]
    assert [r.config for r in records] == [r.config for r in PLAN.runs]
    assert store.curve(RUN.run_id) == trivial_runs.POINTS
    counts = {"done": 1, "diverged": 0, "failed": 0, "missing": 5, "paused": 0}
    assert store.status(PLAN) == counts
    assert store.scan() == sorted(records, key=lambda r: r.run_id)
    assert store.pending(r.run_id for r in PLAN.runs) == {r.run_id: 0 for r in PLAN.runs[1:]}


def test_an_equal_second_result_is_dropped_and_a_different_one_set_aside(store: Store) -> None:
    assert publish(store, 1) == "published"
    path = store.result_path(RUN.run_id)
    before = path.read_bytes()
    assert publish(store, 2, wall_seconds=1e9, environment={"host": "elsewhere"}) == "equal"
    assert quarantined(store) == {}
    assert publish(store, 3, eval_loss_nats=42.0) == "different"
    assert path.read_bytes() == before
    ((name, reason),) = quarantined(store).items()
    assert "attempt-0003" in name and "of attempt 1" in reason
    assert json.loads((store.quarantine / name).read_text())["record"]["eval_loss_nats"] == 42.0


def test_what_must_survive_a_loss_of_power_is_on_the_disk_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Curve and record before the name, the name before anybody hears of it."""
    calls: list[str] = []
    fsync, link = os.fsync, os.link

    def note_fsync(descriptor: int) -> None:
        calls.append(f"fsync {os.readlink(f'/proc/self/fd/{descriptor}')}")
        fsync(descriptor)

    def note_link(source: Path, target: Path) -> None:
        calls.append(f"link {source} {target}")
        link(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "link", note_link)
    publish(store)
    run = store.run_folder(RUN.run_id)
    name = next(c for c in calls if c.endswith("result.json"))
    making = name.split()[1]
    attempt = run / "attempts" / "0001"
    ordered = [f"fsync {attempt / 'curve.jsonl'}", f"fsync {making}", name, f"fsync {run}"]
    assert [call for call in calls if call in ordered] == ordered
    assert calls.index(f"fsync {attempt}") < calls.index(name)

    calls.clear()
    other = "ab" * 16
    publishing.make_folders(store, [other])
    folder = store.run_folder(other)
    assert calls == [f"fsync {f}" for f in (store.root / "runs", folder.parent, store.root)]


def test_another_schema_version_is_refused_and_nothing_moved(store: Store) -> None:
    publish(store)
    record = store.load(RUN.run_id)
    assert record is not None
    newer = dump_record(dataclasses.replace(record, schema_version=2))
    store.result_path(RUN.run_id).write_text(newer)
    with pytest.raises(StoreError, match="schema version 2"):
        store.read(PLAN)
    assert store.result_path(RUN.run_id).read_text() == newer
    (store.root / "store.json").write_text(json.dumps(sign({"schema_version": 9})))
    for opened in (Store.open, Store.create):
        with pytest.raises(StoreError, match=r"schema version 9.*give another folder"):
            opened(store.root)


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"'thesis.tex'.*no results folder"):
        Store.create(tmp_path)
    with pytest.raises(ValueError, match=r"no readable store.json"):
        Store.open(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_damaged_marker_is_replaced_and_a_damaged_plan_declared_again(store: Store) -> None:
    publish(store)
    (store.root / "store.json").write_bytes(b"")
    store.plan_path(PLAN.plan_id).write_bytes(store.plan_path(PLAN.plan_id).read_bytes()[:-9])
    again = Store.create(store.root)
    publishing.declare(again, PLAN)
    assert len(quarantined(store)) == 2
    assert store.load_plan(PLAN.plan_id)[0] == PLAN.name
    assert store.status(PLAN)["done"] == 1


def test_a_plan_with_a_path_for_a_run_id_is_set_aside(store: Store) -> None:
    path = store.plan_path("evil")
    run = {"run_id": "../../../tmp/x", "group": "", "seconds": 0.0, "config": {}}
    path.write_text(seal("plan", {"name": "evil", "runs": [run]}))
    assert len(store.scan()) == 6
    assert not path.exists()


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(StoreError, match="the same command resumes"):
            Store.create(root)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # file systems without hard links

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match="not permitted"):
        files.probe(tmp_path)


@pytest.mark.parametrize("link", ["runs", "h2", "run", "attempts", "0001", "quarantine", "plans"])
def test_nothing_is_written_through_links_that_lead_out(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store = Store.create(tmp_path / "results")
    run = store.run_folder(RUN.run_id)
    places = {
        "runs": store.root / "runs",
        "h2": run.parent,
        "run": run,
        "attempts": run / "attempts",
        "0001": run / "attempts" / "0001",
        "quarantine": store.quarantine,
        "plans": store.root / "plans",
    }
    places[link].parent.mkdir(parents=True, exist_ok=True)
    places[link].symlink_to(outside)
    with pytest.raises(StoreError, match="leads out"):
        publishing.declare(store, PLAN)
        publishing.make_folders(store, [RUN.run_id])
        if link == "0001":
            publishing.end(store, Attempt.numbered(run / "attempts", 1), "interrupted")
        publish(store, 2)
        publish(store, 3, eval_loss_nats=42.0)
    assert list(outside.iterdir()) == []


def test_links_that_stay_inside_and_a_linked_folder_itself_are_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    store = Store.create(tmp_path / "results")
    publishing.make_folders(store, [RUN.run_id])
    assert publish(store) == "published"
    assert store.result_path(RUN.run_id).is_relative_to(tmp_path / "disk")


def test_a_curve_is_read_whole_or_not_at_all(store: Store) -> None:
    publish(store)
    path = store.run_folder(RUN.run_id) / "attempts" / "0001" / "curve.jsonl"
    good = path.read_bytes()
    record = store.load(RUN.run_id)
    assert record is not None and record.n_curve_points == len(trivial_runs.POINTS)
    line = good.index(b"\n") + 1
    for bad in (good[:-20], good[:line], good + b"\xff\0", good[line:], good + good[:line], b""):
        path.write_bytes(bad)
        with pytest.raises(DamagedFileError, match=r"curve.jsonl"):
            store.curve(RUN.run_id)
    path.unlink()
    with pytest.raises(DamagedFileError, match="gone"):
        store.curve(RUN.run_id)
    assert store.read(PLAN)[0] == record


def test_a_curve_of_older_code_is_checked_line_by_line() -> None:
    text = "".join(map(dump_curve_line, trivial_runs.POINTS))
    assert load_curve(text) == trivial_runs.POINTS
    for bad, says in ((text[:-20], "line 4 is cut off"), (text.replace("0.5", "0.6"), "line 2")):
        with pytest.raises(DamagedFileError, match=says):
            load_curve(bad)


def test_the_last_failure_is_shown_until_there_is_a_result(store: Store) -> None:
    for number, message in ((1, "the first"), (2, "the second")):
        failure = publishing.failure(RUN.run_id, CONFIG, "exception", message)
        publishing.fail(store, claim(store, number), failure, "Traceback ...")
    publishing.end(store, claim(store, 3), "interrupted")
    record = store.read(PLAN)[0]
    assert (record.status, record.message, record.attempt) == ("failed", "the second", 2)
    (store.attempts(RUN.run_id)[1].folder / "failure.json").write_bytes(b"torn")
    assert store.read(PLAN)[0].message == "the first"
    (store.attempts(RUN.run_id)[0].folder / "failure.json").write_bytes(b"torn")
    record = store.read(PLAN)[0]
    assert (record.status, record.reason) == ("failed", "damaged")
    assert "failure.json" in (record.message or "")
    publish(store, 4)
    assert store.read(PLAN)[0].status == "done"


def test_what_an_attempt_has_said_about_its_end_stands(store: Store) -> None:
    attempt = claim(store)
    for message in ("said first", "said second"):
        failure = publishing.failure(RUN.run_id, CONFIG, "worker_lost", message)
        publishing.fail(store, attempt, failure, message)
    assert store.read(PLAN)[0].message == "said first"
    assert (attempt.folder / "traceback.txt").read_text() == "said first"


def test_importing_the_room_imports_neither_jax_nor_pandas_nor_scipy() -> None:
    code = (
        "import sys, sweeps.runner, sweeps.worker, sweeps.progress\n"
        "print([m for m in ('jax', 'pandas', 'scipy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
