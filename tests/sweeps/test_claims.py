"""Who is at a run, and since when nobody is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from folders import CONFIG, RUN, claim
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps import claims, files, publishing
from sweeps.claims import Watch
from sweeps.store import Store


def test_of_several_claims_one_alone_succeeds(store: Store) -> None:
    first = publishing.claim(store, RUN.run_id, 1, CONFIG)
    second = publishing.claim(store, RUN.run_id, 1, CONFIG)
    assert first is not None and second is None
    assert [a.number for a in store.attempts(RUN.run_id)] == [1]
    assert os.listdir(first.folder) == ["claim.json"]


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
        short, long = [claim(store, number) for number in range(1, 31)], claim(store, 31)
        for attempt in short:
            heartbeat.on(attempt)
            time.sleep(0.001)
            heartbeat.on()
        heartbeat.on(long)
        deadline = time.monotonic() + 10
        while not (long.folder / "heartbeat").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        first = (long.folder / "heartbeat").read_bytes()
        while (long.folder / "heartbeat").read_bytes() == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (long.folder / "heartbeat").read_bytes() > first
    assert not any((attempt.folder / "heartbeat").exists() for attempt in short)
