"""A results folder in an object store: in memory, on an S3 server, and with a store that is lax."""

from __future__ import annotations

import os
from pathlib import Path

import folders
import needed_programs
import object_server
import pytest
import trivial_runs
from sweep_programs import Program, wait_until
from trivial_runs import lasting, plan_of, truth

from experiments import cli
from scaling.sealed import DamagedFileError
from sweeps import files, objects, publishing
from sweeps.claims import Watch
from sweeps.computing import computing
from sweeps.files import StoreError
from sweeps.places import ObjectPath, local, place
from sweeps.store import Store
from sweeps.visiting import Task
from sweeps.worker import work

obstore = pytest.importorskip("obstore", reason=f"{needed_programs.ABSENT}: the package obstore")
ROOT = f"s3://{object_server.BUCKET}/sweeps"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A results folder in the memory of this process, with the runs of `folders.PLAN` declared."""
    memory = obstore.store.MemoryStore()
    monkeypatch.setattr(objects, "_bucket", lambda address: memory)
    objects.known_as_published.cache_clear()
    store = Store.create("s3://bucket/results")
    publishing.declare(store, folders.PLAN)
    return store


def test_places_are_paths_and_addresses() -> None:
    root = place("s3://bucket/results")
    assert isinstance(root, ObjectPath) and root == place(root) == place(str(root))
    assert str(root / "runs") == f"{root}/runs" == "s3://bucket/results/runs"
    assert (root.bucket, (root / "a" / "b").key, root.name) == (
        "s3://bucket",
        "results/a/b",
        "results",
    )
    assert (
        local(root) == local(place("s3://bucket/results/")) != local(place("gs://bucket/results"))
    )
    assert isinstance(place("results/s3"), Path)
    for address in ("ftp://host/results", "s3:///results", "https://host/x"):
        with pytest.raises(ValueError, match="give a folder, or s3://BUCKET/FOLDER"):
            place(address)
    with pytest.raises(TypeError, match="no path of this machine"):
        open(root)


def test_workers_do_a_sweep_and_others_find_it_done(store: Store) -> None:
    plan = folders.PLAN
    tasks = [Task(0, store, run, 0) for run in plan.runs]
    events: list[str] = []
    for _ in range(2):
        work(
            [[tasks]],
            computing(trivial_runs.run),
            lease=30,
            emit=lambda kind, **_: events.append(kind),
        )
    assert events.count("done") == 5 and events.count("elsewhere") == 6
    assert lasting(store.read(plan)) == truth(plan) and store.status()["done"] == 5
    assert all(store.curve(run.run_id) == trivial_runs.POINTS for run in plan.runs[1::2])
    assert store.pending([run.run_id for run in plan.runs]) == {}


def test_one_of_two_claims_wins_and_beats(store: Store) -> None:
    attempt = folders.claim(store)
    assert publishing.claim(store, folders.RUN.run_id, 1, folders.CONFIG) is None
    now = [0.0]
    watch = Watch(10, lambda: now[0])
    attempt = store.attempts(folders.RUN.run_id)[0]
    (claim := attempt.claim())["pid"] = 0
    assert attempt.number == 1 and not attempt.ended and claim
    for beat in (b"1", b"2"):
        files.overwrite(attempt.folder / "heartbeat", beat)
        assert not watch.over(attempt)
        now[0] += 9
    now[0] += 2
    assert watch.over(attempt)
    publishing.end(store, attempt, "interrupted")
    assert attempt.ended


def test_the_first_result_stays_and_a_different_second_one_is_kept_aside(store: Store) -> None:
    assert folders.publish(store) == "published"
    assert folders.publish(store, 2) == "equal"
    assert folders.publish(store, 3, eval_loss_nats=1.5) == "different"
    assert store.load(folders.RUN.run_id).attempt == 1
    assert len(files.names(store.quarantine)) == 2


def test_what_is_damaged_is_said_and_stays(store: Store) -> None:
    """Nothing is moved where another result could take its place meanwhile."""
    folders.publish(store)
    path = store.result_path(folders.RUN.run_id)
    files.overwrite(path, files.read_bytes(path).replace(b"done", b"gone"))
    assert not store.is_published(folders.RUN.run_id)
    assert store.open_runs([folders.RUN.run_id]).in_the_way == {folders.RUN.run_id}
    with pytest.raises(
        DamagedFileError, match=r"could not be set aside .an object store cannot move"
    ):
        store.load(folders.RUN.run_id)
    assert files.exists(path)
    with pytest.raises(StoreError, match="remove it by hand"):
        store.reopen(folders.RUN.run_id, "again")


def test_a_folder_that_was_copied_there_counts_as_done(store: Store) -> None:
    folders.publish(store)
    run_id = folders.RUN.run_id
    obstore.delete(objects._bucket(""), f"results/published/{run_id}")
    objects.known_as_published.cache_clear()
    assert store.has_result(run_id) and not store.seems_published(run_id)
    assert run_id not in store.pending([run.run_id for run in folders.PLAN.runs])
    objects.known_as_published.cache_clear()
    assert store.seems_published(run_id)


def test_a_store_that_replaces_what_it_should_not_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.probe(store.root)
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda bucket, key, data, mode=None: put(bucket, key, data))
    with pytest.raises(StoreError, match="two workers could publish two results"):
        files.probe(store.root)
    assert not files.names(store.root / ".probes")


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    assert cli.main(["status", "s3://bucket/results"]) == 2
    assert "pip install 'scaling-descent[store]'" in " ".join(capsys.readouterr().err.split())


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("moto", reason=f"{needed_programs.ABSENT}: the package moto[server]")
    with object_server.s3() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.mark.engines
def test_two_commands_share_a_folder_and_one_worker_is_killed(server, tmp_path: Path) -> None:
    root, plan = f"{ROOT}/shared", plan_of(24)
    programs = [
        Program(tmp_path / "r", 24, "slow", store=root, lease=2.0, workers=1) for _ in range(2)
    ]
    wait_until(lambda: Store.is_at(place(root)))
    store = Store.open(root)
    wait_until(lambda: any(store.seems_published(run.run_id) for run in plan.runs))
    os.kill(programs[0].workers[0], 9)
    summaries = [program.summary() for program in programs]
    assert all(summary["complete"] for summary in summaries)
    done = [run_id for summary in summaries for run_id in summary["done"]]
    assert len(done) == len(set(done)) >= 23  # a worker may be killed after it has published
    assert lasting(store.read(plan)) == truth(plan)
    assert all(store.curve(run.run_id) for run in plan.runs[1::2])


@pytest.mark.engines
def test_an_experiment_in_a_bucket(server, tmp_path: Path, monkeypatch, capsys) -> None:
    """Run, looked at, and analysed again from the bucket; its report lies on this machine."""
    tiny = Path(__file__).parents[1] / "experiments" / "tiny.py"
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(tiny), "--results", ROOT, "--workers", "1"]) == 0
    assert (tmp_path / "results" / "results" / "sweeps" / "tiny" / "reports" / "cpu").is_dir()
    for words in (["status"], ["doctor"], ["watch", "--once"]):
        assert cli.main([words[0], f"{ROOT}/tiny", *words[1:]]) == 0
    assert "9 runs: 9 done" in capsys.readouterr().out
    assert cli.main(["table", ROOT, "--to", "runs.csv"]) in (0, 1)
    assert cli.main(["retry", f"{ROOT}/tiny", "--run", "0" * 32]) == 2
