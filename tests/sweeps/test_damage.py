"""Results that do not read back as they were written."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trivial_runs
from folders import CONFIG, PLAN, RUN, claim, publish, quarantined

from scaling.record import RunRecord, dump_record
from scaling.sealed import digest, signed
from sweeps import files, publishing
from sweeps.runner import run_sweeps
from sweeps.store import Store


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
        "not a number": good.replace(b'"epochs": null', b'"epochs": NaN'),
        "beyond all numbers": good.replace(b'"epochs": null', b'"epochs": 1e400'),
        "a number of many digits": good.replace(b'"epochs": null', b'"epochs": ' + b"9" * 10**5),
        "too large": b" " * (files.MOST_BYTES + 1),
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
        "not a number",
        "beyond all numbers",
        "a number of many digits",
        "too large",
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


class Opened:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_in_the_folder_is_never_loaded(store: Store, tmp_path: Path):
    opened = tmp_path / "opened"
    publish(store)
    evil = pickle.dumps(Opened(opened))
    pickle.loads(evil)
    opened.unlink()
    for path in sorted(store.root.rglob("*")):
        if path.is_file():
            path.write_bytes(evil)
            path.with_name(f"{path.name}.pkl").write_bytes(evil)
    store = Store.create(store.root)
    assert {record.status for record in store.scan()} == {"missing"} and not opened.exists()
    assert any("-result.json-" in name for name in quarantined(store))


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
        return aside(*args)

    monkeypatch.setattr(files, "set_aside", after_somebody_else)
    assert store.load(RUN.run_id) == record
    assert path.read_bytes() == good


def test_a_damaged_result_is_replaced_by_a_run_that_was_under_way(store: Store) -> None:
    store.result_path(RUN.run_id).write_bytes(b"\0\0")
    assert publish(store) == "published"
    assert store.read(PLAN)[0].status == "done" and len(quarantined(store)) == 1


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_set_aside_and_never_waited_for(store: Store, kind: str) -> None:
    publish(store)
    path = store.result_path(RUN.run_id)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(os.devnull)
    record = store.read(PLAN)[0]
    assert (record.status, record.reason) == ("missing", "damaged")
    assert quarantined(store) and not os.path.lexists(path)


@pytest.mark.parametrize("name", ["store.json", "claim.json", "curve.jsonl"])
def test_no_other_file_of_a_folder_is_waited_for_either(store: Store, name: str) -> None:
    pipe = store.root / name
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    assert files.read_json(pipe) is None
    with pytest.raises(IsADirectoryError, match="not a regular file"):
        files.read_bytes(pipe)


def flips(data: bytes, step: int) -> Iterator[bytes]:
    for bit in range(0, 8 * len(data), step):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_a_flipped_bit_of_the_marker_or_of_a_plan_hides_nothing(store: Store) -> None:
    publish(store)
    records = store.scan()
    for path, step in (
        (store.root / "store.json", 13),
        (store.plan_path(PLAN.plan_id), 4001),
    ):
        good = path.read_bytes()
        for bad in flips(good, step):
            path.write_bytes(bad)
            again = Store.create(store.root)
            publishing.declare(again, PLAN)
            assert again.scan() == records
            path.write_bytes(good)


def test_a_marker_of_older_code_is_read_and_one_that_is_gone_is_written(store: Store) -> None:
    marker = store.root / "store.json"
    marker.write_text('{"schema_version": 1, "holds": "results of scaling runs"}')
    assert Store.open(store.root) == Store.create(store.root)
    for text in ('{"schema_version": 3, "holds": "results of scaling runs"}', '{"schema_version'):
        marker.write_text(text)
        assert Store.open(store.root).scan()
        Store.create(store.root)
        assert signed(json.loads(marker.read_text()))["schema_version"] == 1
    marker.unlink()
    assert Store.open(store.root).scan() and Store.create(store.root)


def test_results_and_plans_of_older_code_are_read(store: Store) -> None:
    publish(store)
    records = store.scan()
    path = store.result_path(RUN.run_id)
    record = next(r for r in records if r.status == "done")
    newer = ("curve_sha256", "n_curve_points", "n_tokens_predicted")
    plain = {k: v for k, v in vars(record).items() if k not in newer}
    old = {"sha256": digest(plain), "record": plain}
    path.unlink()
    path.write_text(json.dumps(old, indent=1) + "\n")
    runs = [vars(run) for run in PLAN.runs]
    content = {"schema_version": 1, "plan_id": PLAN.plan_id, "name": PLAN.name, "runs": runs}
    store.plan_path(PLAN.plan_id).write_text(
        json.dumps({"sha256": digest(content), "plan": content}) + "\n"
    )
    assert store.load_plan(PLAN.plan_id) == (PLAN.name, PLAN.runs)
    assert [r.status for r in store.scan()] == [r.status for r in records]
    assert store.curve(RUN.run_id) == trivial_runs.POINTS
    assert publish(store, 2, n_tokens_predicted=7) == "equal"


@pytest.mark.medium
def test_a_damaged_result_that_cannot_be_set_aside_is_missing_and_said(store: Store) -> None:
    publish(store)
    store.result_path(RUN.run_id).write_bytes(b"torn")
    store.quarantine.write_text("a file where the folder would be")
    summary = run_sweeps([(store.root, PLAN)], workers=1, run=trivial_runs.run)
    (job,) = summary.jobs
    assert not summary.complete and (job.already, job.done + job.diverged) == (0, 5)
    assert [record.reason for record in job.missing] == ["damaged"]
    store.quarantine.unlink()
    assert run_sweeps([(store.root, PLAN)], workers=1, run=trivial_runs.run).complete


def test_an_attempt_that_is_no_folder_is_passed_over_and_said(store: Store, tmp_path: Path) -> None:
    (store.run_folder(RUN.run_id) / "attempts" / "0001").write_text("a bad copy")
    other = PLAN.runs[1].run_id
    (store.run_folder(other) / "attempts" / "0001").symlink_to(tmp_path)
    summary = run_sweeps([(store.root, PLAN)], workers=1, run=trivial_runs.run, lease=1.0)
    assert summary.complete
    record = store.load(RUN.run_id)
    assert record is not None and record.attempt == 2
    said = sorted(summary.notices)
    assert len(said) == 2 and all("/attempts/0001 is no folder" in each for each in said)


def test_a_configuration_that_is_not_that_of_its_run_is_not_believed(store: Store) -> None:
    publish(store)
    store.result_path(RUN.run_id).unlink()
    store.plan_path(PLAN.plan_id).unlink()
    path = store.run_folder(RUN.run_id) / "config.json"
    good = path.read_bytes()
    for bad in (b"[1, 2]", b"{}", good.replace(b"20", b"21"), b"NaN"):
        path.write_bytes(bad)
        assert {len(record.config) for record in store.scan()} == {0}
    path.write_bytes(good)
    assert sum(record.config == CONFIG for record in store.scan()) == 1


def test_a_damaged_claim_is_over_by_its_lease_alone(store: Store) -> None:
    attempt = claim(store)
    path = attempt.folder / "claim.json"
    good = path.read_bytes()
    for bad in flips(good, 29):
        path.write_bytes(bad)
        assert attempt.claim() in ({}, signed(json.loads(good)))
