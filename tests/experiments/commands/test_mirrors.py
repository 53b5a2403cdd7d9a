"""One-way mirrors: what is written once, and again, and what the programs themselves read of it."""

import dataclasses
import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import needed_programs
import pytest

from experiments.cli import main
from experiments.commands import mirrors
from scaling.record import CurvePoint, dump_curve_line, dump_record, with_curve
from sweeps.store import Store

POINTS = [
    CurvePoint(step=s, n_examples_seen=8 * s, train_loss=1 / (s + 1), eval_loss=2.0) for s in (0, 4)
]


@pytest.fixture
def curved(done):
    """A results folder of nine runs, the first of which has a learning curve; and that run."""
    store = Store.open(done)
    run_id = store.run_ids()[0]
    record = store.load(run_id)
    lines = "".join(map(dump_curve_line, POINTS))
    attempt = store.run_folder(run_id) / "attempts" / f"{record.attempt:04d}"
    (attempt / "curve.jsonl").write_text(lines)
    store.result_path(run_id).write_text(dump_record(with_curve(record, lines)))
    return store, run_id


def exported(store, program, folder, capsys):
    words = ["export", str(store.root), "--format", program, "--to", str(folder), "--json", "-"]
    code = main(words)
    found = json.loads(capsys.readouterr().out)
    return code, found["written"], found["kept"], len(found["damaged"])


def test_what_is_mirrored_already_is_passed_over_and_what_changed_is_written_again(
    curved, tmp_path, monkeypatch, capsys
):
    store, first = curved
    written = []

    class Fake:
        def __init__(self, folder):
            assert folder == tmp_path / "m"

        def replace(self, run):
            written.append(run)

    monkeypatch.setitem(mirrors.MIRRORS, "wandb", Fake)
    to = tmp_path / "m"
    assert exported(store, "wandb", to, capsys) == (0, 9, 0, 0)
    run = next(each for each in written if each.run_id == first)
    assert run.curve == (
        (0, {"n_examples_seen": 0.0, "train_loss": 1.0, "eval_loss": 2.0}),
        (4, {"n_examples_seen": 32.0, "train_loss": 0.2, "eval_loss": 2.0}),
    )
    assert run.settings["seed"] == store.load(first).config["seed"]
    assert run.settings["model.kind"] == "linear" and "seed" not in run.numbers
    assert run.numbers["eval_excess_risk"] == store.load(first).eval_excess_risk
    assert exported(store, "wandb", to, capsys) == (0, 0, 9, 0)
    # The last line was cut short, one is of something else, another run has a new result, and a
    # curve is damaged.
    ledger = to / "mirrored.jsonl"
    other = '{"program": "wandb", "sweep": [], "run_id": {}, "sha256": 1}'
    ledger.write_text(f"{other}\n{ledger.read_text()[:-9]}")
    second = store.run_ids()[1]
    changed = dataclasses.replace(store.load(second), eval_excess_risk=0.5)
    store.result_path(second).write_text(dump_record(changed))
    assert exported(store, "wandb", to, capsys) == (0, 2, 7, 0)
    assert {run.run_id for run in written[9:]} == {second, store.run_ids()[-1]}
    store.result_path(first).write_text(
        dump_record(dataclasses.replace(store.load(first), curve_sha256="0" * 64))
    )
    assert exported(store, "wandb", to, capsys) == (1, 0, 8, 1)


def test_two_results_folders_of_one_name_are_not_one_sweep(done, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(mirrors.MIRRORS, "wandb", lambda folder: SimpleNamespace(replace=id))
    store, to = Store.open(done), tmp_path / "m"
    assert exported(store, "wandb", to, capsys) == (0, 9, 0, 0)
    other = shutil.copytree(done, tmp_path / "elsewhere" / done.name)
    assert main(["export", str(other), "--format", "wandb", "--to", str(to)]) == 2
    says = capsys.readouterr().err
    assert f"mirrors {done}, which has the name of {other}" in says and says.count("\n") == 1
    shutil.rmtree(done)  # then the other is the same one, moved
    assert exported(Store.open(other), "wandb", to, capsys) == (0, 0, 9, 0)


def test_without_its_package_a_mirror_is_refused_in_a_sentence(done, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    words = ["export", str(done), "--format", "tensorboard", "--to", str(tmp_path / "m")]
    assert main(words) == 2
    assert "pip install 'scaling-descent[tensorboard]'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "m").exists()


def test_each_program_in_a_folder_has_all_runs_and_its_refusal_is_a_sentence(
    done, tmp_path, monkeypatch, capsys
):
    class Broken:
        def __init__(self, folder):
            pass

        def replace(self, run):
            raise RuntimeError("database is locked.\nMore.")

    store, to = Store.open(done), tmp_path / "m"
    monkeypatch.setitem(mirrors.MIRRORS, "wandb", lambda folder: SimpleNamespace(replace=id))
    monkeypatch.setitem(mirrors.MIRRORS, "trackio", Broken)
    assert exported(store, "wandb", to, capsys) == (0, 9, 0, 0)
    for program, where, says in (
        ("trackio", to, f"cannot write into {to}: database is locked. Remove"),
        ("wandb", store.root / "runs", "lies in a results folder"),
        ("csv", "s3://bucket/m", "--to s3://bucket/m is an address"),
    ):
        assert main(["export", str(done), "--format", program, "--to", str(where)]) == 2
        assert says in " ".join(capsys.readouterr().err.split())
    monkeypatch.setitem(mirrors.MIRRORS, "mlflow", mirrors.MIRRORS["wandb"])
    assert exported(store, "mlflow", to, capsys) == (0, 9, 0, 0)


def of_tensorboard(folder: Path, sweep: str, run_id: str):
    event = importlib.import_module("tensorboardX.proto.event_pb2")
    found = {}
    for path in (folder / sweep / run_id).glob("events*"):
        data = path.read_bytes()
        while data:  # length, its checksum, an event, its checksum
            size = int.from_bytes(data[:8], "little")
            one, data = event.Event.FromString(data[12 : 12 + size]), data[16 + size :]
            found |= {(value.tag, one.step): value.simple_value for value in one.summary.value}
    return sorted(path.name for path in (folder / sweep).iterdir()), found


def of_mlflow(folder: Path, sweep: str, run_id: str):
    client = importlib.import_module("mlflow").MlflowClient(f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name(sweep).experiment_id])
    (mine,) = [run for run in runs if run.info.run_name == run_id]
    assert mine.data.params["model.kind"] == "linear"
    history = client.get_metric_history(mine.info.run_id, "train_loss")
    found = {("train_loss", each.step): each.value for each in history}
    return sorted(run.info.run_name for run in runs), found


def of_wandb(folder: Path, sweep: str, run_id: str):
    wandb_pb = importlib.import_module("wandb.proto.wandb_internal_pb2")
    (path,) = folder.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    found = {}
    for data in records_of_a_log(path.read_bytes()):
        record = wandb_pb.Record.FromString(data)
        items = {i.key or ".".join(i.nested_key): i.value_json for i in record.history.item}
        if "train_loss" in items:
            found["train_loss", record.history.step.num] = json.loads(items["train_loss"])
    runs = folder.glob("wandb/offline-run-*")
    return sorted(path.name.rsplit("-", 1)[1] for path in runs), found


def records_of_a_log(data: bytes):
    """Records of a log of LevelDB, after its header of 7 bytes: blocks of 32 KiB."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # complete, or its last part
            yield whole
            whole = b""


def of_trackio(folder: Path, sweep: str, run_id: str):
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    logs = storage.get_logs(sweep, run_id)
    found = {("train_loss", each["step"]): each.get("train_loss") for each in logs}
    return sorted(storage.get_runs(sweep)), found


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")  # those of the packages
@pytest.mark.parametrize(
    ("program", "package", "read"),
    [
        ("tensorboard", "tensorboardX", of_tensorboard),
        ("mlflow", "mlflow", of_mlflow),
        ("wandb", "wandb", of_wandb),
        ("trackio", "trackio", of_trackio),
    ],
)
def test_the_program_reads_each_run_once(curved, program, package, read, tmp_path, capsys):
    pytest.importorskip(package, reason=f"{needed_programs.ABSENT}: the package {package}")
    store, run_id = curved
    to = tmp_path / "m"
    assert exported(store, program, to, capsys)[:2] == (0, 9)
    # A mirror that was cut short before it took note of a run writes it again, in its place.
    ledger = to / "mirrored.jsonl"
    ledger.write_text(
        "\n".join(line for line in ledger.read_text().split("\n") if run_id not in line)
    )
    assert exported(store, program, to, capsys)[:3] == (0, 1, 8)
    runs, found = read(to, store.root.name, run_id)
    assert runs == store.run_ids()
    assert found["train_loss", 0] == 1.0 and found["train_loss", 4] == pytest.approx(0.2)
