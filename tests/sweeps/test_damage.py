"""Results that do not read back as they were written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from folders import CONFIG, PLAN, RUN, publish, quarantined

from scaling.record import RunRecord, dump_record
from sweeps import files
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
