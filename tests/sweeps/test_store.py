"""The results folder: claims, publishing, reading, damage, links that lead out."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trivial_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.config import canonical_json
from scaling.record import RunRecord, dump_curve_line, dump_record
from sweeps import claims, files, publishing
from sweeps.claims import Attempt, Watch
from sweeps.files import StoreError
from sweeps.store import Store

PLAN = trivial_runs.plan_of(6)
RUN = PLAN.runs[0]
CONFIG = json.loads(canonical_json(RUN.config))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "results")
    publishing.declare(store, PLAN)
    publishing.make_folders(store, [run.run_id for run in PLAN.runs])
    return store


def claim(store: Store, number: int = 1) -> Attempt:
    attempt = publishing.claim(store, RUN.run_id, number, CONFIG)
    assert attempt is not None
    return attempt


def publish(store: Store, number: int = 1, **changes: object) -> str:
    record, _ = trivial_runs.run(RUN.config)
    record = dataclasses.replace(record, attempt=number, **changes)
    lines = "".join(map(dump_curve_line, trivial_runs.POINTS))
    return publishing.publish(store, claim(store, number), record, dump_record(record), lines)


def quarantined(store: Store) -> dict[str, str]:
    """Names in quarantine and the reasons beside them."""
    names = [p for p in store.quarantine.glob("*") if not p.name.endswith(".reason.txt")]
    return {p.name: p.with_name(f"{p.name}.reason.txt").read_text() for p in names}


def test_a_published_run_reads_back_with_its_curve(store: Store) -> None:
    assert publish(store) == "published"
    records = store.read(PLAN)
    assert [r.status for r in records] == ["done"] + ["missing"] * 5
    assert [r.run_id for r in records] == [r.run_id for r in PLAN.runs]
    assert [r.config for r in records] == [json.loads(canonical_json(r.config)) for r in PLAN.runs]
    assert store.curve(RUN.run_id) == trivial_runs.POINTS
    assert store.status(PLAN) == {"done": 1, "diverged": 0, "failed": 0, "missing": 5}
    assert store.scan() == sorted(records, key=lambda r: r.run_id)
    assert store.pending(r.run_id for r in PLAN.runs) == {r.run_id: 0 for r in PLAN.runs[1:]}


def test_of_several_claims_one_alone_succeeds(store: Store) -> None:
    first = publishing.claim(store, RUN.run_id, 1, CONFIG)
    second = publishing.claim(store, RUN.run_id, 1, CONFIG)
    assert first is not None and second is None
    assert [a.number for a in store.attempts(RUN.run_id)] == [1]
    assert os.listdir(first.folder) == ["claim.json"]


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


def damage_by(name: str, good: bytes) -> bytes:
    middle = len(good) // 2
    duplicate = good.replace(b'"record": {', b'"record": {"run_id": "x", ', 1)
    flipped = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    other = dump_record(RunRecord(run_id="0" * 32, status="done", config={})).encode()
    return {
        "empty": b"",
        "torn": good[:middle],
        "zeros": b"\0" * len(good),
        "not UTF-8": good[:middle] + b"\xff\xfe" + good[middle:],
        "a key twice": duplicate,
        "a bit flipped": flipped,
        "of another run": other,
        "not an object": b"[1, 2]\n",
        "deep": b"[" * 100_000,
    }[name]


@pytest.mark.parametrize(
    "damage",
    [
        "empty",
        "torn",
        "zeros",
        "not UTF-8",
        "a key twice",
        "a bit flipped",
        "of another run",
        "not an object",
        "deep",
    ],
)
def test_a_damaged_result_is_set_aside_with_the_reason_and_the_run_is_open_again(
    store: Store, damage: str
) -> None:
    publish(store)
    path = store.result_path(RUN.run_id)
    bad = damage_by(damage, path.read_bytes())
    path.unlink()
    path.write_bytes(bad)
    record = store.read(PLAN)[0]
    assert (record.status, record.reason) == ("missing", "damaged")
    ((name, reason),) = quarantined(store).items()
    assert (store.quarantine / name).read_bytes() == bad
    assert reason.strip() and name in (record.message or "")
    assert RUN.run_id in store.pending([RUN.run_id])
    assert publish(store, 2) == "published"
    assert store.read(PLAN)[0].status == "done"


def test_every_bit_of_a_result_is_guarded(store: Store) -> None:
    publish(store)
    good = store.result_path(RUN.run_id).read_bytes()
    record = store.load(RUN.run_id)
    for position in range(0, 8 * len(good), 97):
        flipped = bytearray(good)
        flipped[position // 8] ^= 1 << position % 8
        store.result_path(RUN.run_id).unlink()
        store.result_path(RUN.run_id).write_bytes(flipped)
        read = store.record(RUN.run_id, CONFIG)
        # What JSON does not care about, such as a space that becomes a tab, may change.
        assert read == record or read.reason == "damaged"
        store.result_path(RUN.run_id).write_bytes(good)


def test_a_result_that_is_a_link_or_a_folder_is_set_aside_itself(
    store: Store, tmp_path: Path
) -> None:
    path = store.result_path(RUN.run_id)
    path.symlink_to(tmp_path / "nowhere")
    assert store.has_result(RUN.run_id)
    assert store.read(PLAN)[0].reason == "damaged"
    path.mkdir()
    assert store.read(PLAN)[0].reason == "damaged"
    assert not os.path.lexists(path) and len(quarantined(store)) == 2


def test_a_good_result_that_has_replaced_a_damaged_one_is_put_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store)
    path = store.result_path(RUN.run_id)
    good, record = path.read_bytes(), store.load(RUN.run_id)
    path.unlink()
    path.write_bytes(b"torn")
    aside = files.set_aside

    def after_somebody_else(*args: object) -> Path | None:
        path.write_bytes(good)
        return aside(*args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(files, "set_aside", after_somebody_else)
    assert store.load(RUN.run_id) == record
    assert path.read_bytes() == good


def test_a_damaged_result_is_replaced_by_a_run_that_was_under_way(store: Store) -> None:
    store.result_path(RUN.run_id).write_bytes(b"\0\0")
    assert publish(store) == "published"
    assert store.read(PLAN)[0].status == "done" and len(quarantined(store)) == 1


def test_another_schema_version_is_refused_and_nothing_moved(store: Store) -> None:
    publish(store)
    record = store.load(RUN.run_id)
    assert record is not None
    newer = dump_record(dataclasses.replace(record, schema_version=2))
    store.result_path(RUN.run_id).write_text(newer)
    with pytest.raises(StoreError, match="schema version 2"):
        store.read(PLAN)
    assert store.result_path(RUN.run_id).read_text() == newer
    (store.root / "store.json").write_text('{"schema_version": 9}')
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
    path.write_bytes(files.seal({"name": "evil", "runs": [run]}))
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


def test_the_torn_tail_of_a_curve_is_dropped(store: Store) -> None:
    publish(store)
    path = store.run_folder(RUN.run_id) / "attempts" / "0001" / "curve.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert store.curve(RUN.run_id) == trivial_runs.POINTS[:-1]
    path.write_bytes(path.read_bytes() + b"\xff\0")
    assert store.curve(RUN.run_id) == trivial_runs.POINTS[:-1]
    path.unlink()
    assert store.curve(RUN.run_id) == ()


def test_the_last_failure_is_shown_until_there_is_a_result(store: Store) -> None:
    for number, message in ((1, "the first"), (2, "the second")):
        failure = publishing.failure(RUN.run_id, CONFIG, "exception", message)
        publishing.fail(store, claim(store, number), failure, "Traceback ...")
    publishing.end(store, claim(store, 3), "interrupted")
    record = store.read(PLAN)[0]
    assert (record.status, record.message, record.attempt) == ("failed", "the second", 2)
    (store.attempts(RUN.run_id)[1].folder / "failure.json").write_bytes(b"torn")
    assert store.read(PLAN)[0].message == "the first"
    publish(store, 4)
    assert store.read(PLAN)[0].status == "done"


def test_what_an_attempt_has_said_about_its_end_stands(store: Store) -> None:
    attempt = claim(store)
    for message in ("said first", "said second"):
        failure = publishing.failure(RUN.run_id, CONFIG, "worker_lost", message)
        publishing.fail(store, attempt, failure, message)
    assert store.read(PLAN)[0].message == "said first"
    assert (attempt.folder / "traceback.txt").read_text() == "said first"


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_claim_of_a_dead_process_is_over_at_once_and_of_a_living_one_is_not(
    store: Store,
) -> None:
    watch = Watch(lease=1e9)
    attempt = claim(store)
    path = attempt.folder / "claim.json"
    mine = attempt.claim()
    assert not watch.over(attempt)
    for changes, over in (
        ({"pid": dead_process()}, True),
        ({"start": mine["start"] - 1}, True),  # the number was given to a later process
        ({"pid": dead_process(), "host": "elsewhere"}, False),
        ({"pid": dead_process(), "boot": "another"}, False),
        ({"pid": dead_process(), "namespace": "pid:[1]"}, False),
        ({"pid": "../1"}, False),
    ):
        path.write_text(json.dumps(mine | changes))
        assert watch.over(attempt) is over, changes
    path.write_bytes(b"")
    assert not watch.over(attempt)
    publishing.end(store, attempt, "interrupted")
    assert watch.over(attempt)


def test_a_process_that_is_dead_but_not_yet_buried_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claim = claims.identity(os.getpid()) | {
        "pid": process.pid,
        "start": claims.start_of(process.pid),
    }
    assert not claims.is_dead(claim)
    process.kill()
    deadline = time.monotonic() + 10
    while not claims.is_dead(claim) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert claims.is_dead(claim)
    process.communicate()


@given(
    steps=st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.floats(0, 4e9)), max_size=30),
)
@settings(deadline=None, max_examples=50)
def test_a_claim_is_stale_by_the_observers_own_clock_alone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, bool, float]]
) -> None:
    """Against a model: the time since a change was last seen; dates of files mean nothing."""
    attempt = claims.take(tmp_path_factory.mktemp("attempts"), 1)
    assert attempt is not None
    now, since, beats, seen = 0.0, None, 0, None
    watch = Watch(lease=5.0, clock=lambda: now)
    for pause, beat, date in steps:
        now += pause
        if beat:
            beats += 1
            files.overwrite(attempt.folder / "heartbeat", f"{beats:08d}\n".encode())
            os.utime(attempt.folder / "heartbeat", (date, date))
        if since is None or beats != seen:
            since, seen = now, beats
        assert watch.over(attempt) is (now - since >= 5.0)


def test_clocks_that_jump_decide_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_clock() -> float:
        raise AssertionError("the time of day was asked for")

    watch, attempt = Watch(lease=0.05), claim(store)
    monkeypatch.setattr(time, "time", no_clock)
    assert not watch.over(attempt)
    time.sleep(0.06)
    assert watch.over(attempt)


def test_heartbeats_are_written_for_long_attempts_only(store: Store) -> None:
    with claims.Heartbeat(lease=0.5) as heartbeat:
        short, long = claim(store, 1), claim(store, 2)
        for _ in range(30):
            heartbeat.on(short)
            time.sleep(0.001)
            heartbeat.on(None)
        heartbeat.on(long)
        deadline = time.monotonic() + 10
        while not (long.folder / "heartbeat").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        first = (long.folder / "heartbeat").read_bytes()
        while (long.folder / "heartbeat").read_bytes() == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (long.folder / "heartbeat").read_bytes() > first
    assert not (short.folder / "heartbeat").exists()


def test_importing_the_room_imports_neither_jax_nor_pandas_nor_scipy() -> None:
    code = (
        "import sys, sweeps.runner, sweeps.worker, sweeps.progress\n"
        "print([m for m in ('jax', 'pandas', 'scipy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
