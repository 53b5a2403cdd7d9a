"""Checkpoints: what was saved bit for bit, or nothing; resumed runs equal uninterrupted ones."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.devices import runtime
from scaling.models.transformer import Transformer
from scaling.overrides import replace_at
from scaling.pretraining import Muon, Pretraining, ScheduleFree
from scaling.record import VOLATILE_COLUMNS, Curve, RunRecord, row
from scaling.run import run
from scaling.schedules import Constant, Cosine
from scaling.trainers import checkpoint, history
from scaling.trainers.checkpoint import latest, save
from scaling.training import Adam
from scaling.workspace import Workspace

OURS, OTHER = "0" * 32, "1" * 32
NOTES = {"curve": [{"loss": 0.1 + 0.2}], "seconds": 1.5}


def state_of(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"a": jnp.asarray(rng.standard_normal((3, 4)), jnp.float32), "b": {"c": jnp.ones(5)}}
    params["b"]["d"] = jnp.asarray([np.nan, -0.0, np.inf, 1e-45], jnp.float32)
    params["low"] = jnp.asarray(rng.standard_normal(6), jnp.bfloat16)
    return params, optax.adam(1e-3).init(params), jnp.int32(seed)


def same_bits(one: Any, other: Any) -> bool:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    return all(
        a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the checkpoints of steps 7 and 8."""
    folder = tmp_path / "run" / "checkpoints"
    for step in (7, 8):
        save(folder, OURS, step, state_of(step), NOTES)
    return folder


def test_what_is_saved_comes_back_bit_for_bit(folder: Path):
    found = latest(folder, OURS, state_of(0))
    assert found is not None and found.step == 8 and found.notes == NOTES
    assert same_bits(found.state, state_of(8))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found.state))


def test_the_newest_two_are_kept_and_nothing_else(folder: Path):
    for step in (9, 12, 100):
        save(folder, OURS, step, state_of(step), {})
    assert steps_in(folder) == [12, 100] and len(list(folder.iterdir())) == 2
    found = latest(folder, OURS, state_of(0))
    assert found is not None and found.step == 100


def test_a_step_that_is_there_already_stands(folder: Path):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    save(folder, OURS, 8, state_of(8), NOTES)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert before == after


def test_no_folder_and_an_empty_one_hold_no_checkpoint(tmp_path: Path):
    assert latest(tmp_path, OURS, state_of(0)) is None
    assert latest(tmp_path / "absent", OURS, state_of(0)) is None
    assert not (tmp_path / "absent").exists()


def test_one_flipped_bit_anywhere_is_noticed_and_the_previous_one_used(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    whole = folder.with_name("whole")
    shutil.copytree(folder, whole)
    names = [p.relative_to(folder) for p in (folder / f"{8:012d}").rglob("*") if p.is_file()]
    assert len(names) > 5
    for name in names:
        data = bytearray((folder / name).read_bytes())
        if not data:
            continue
        data[len(data) // 2] ^= 0b100
        (folder / name).write_bytes(bytes(data))
        found = latest(folder, OURS, state_of(0))
        assert found is not None and found.step == 7, name
        assert same_bits(found.state, state_of(7))
        (aside,) = folder.glob("damaged-*")
        assert aside.name in caplog.text
        assert (aside / name.relative_to(name.parts[0])).read_bytes() == bytes(data)
        caplog.clear()
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: (path / "manifest.json").unlink(), "no manifest"),
        (lambda path: (path / "manifest.json").write_text("{}"), "not a complete checkpoint"),
        (lambda path: (path / "manifest.json").write_bytes(b"\xff\0" * 9), "not a complete"),
        (lambda path: shutil.rmtree(path / "state" / "state" / "d"), "does not match its checksum"),
        (lambda path: (path / "state" / "more").write_text("x"), "state/more does not match its"),
    ],
)
def test_torn_checkpoints_are_set_aside(
    folder: Path,
    harm: Callable[[Path], object],
    said: str,
    caplog: pytest.LogCaptureFixture,
):
    harm(folder / f"{8:012d}")
    harm(folder / f"{7:012d}")
    assert latest(folder, OURS, state_of(0)) is None
    assert len(list(folder.glob("damaged-*"))) == 2 == caplog.text.count(said)
    save(folder, OURS, 8, state_of(8), NOTES)
    found = latest(folder, OURS, state_of(0))
    assert found is not None and found.step == 8


def test_a_checkpoint_of_another_configuration_or_program_is_refused(folder: Path):
    with pytest.raises(ValueError, match=f"a checkpoint of run {OURS}, not of {OTHER}: give the"):
        latest(folder, OTHER, state_of(0))
    wider = (state_of(0), jnp.zeros(3))
    with pytest.raises(
        ValueError,
        match=r"another state layout \(.*\): resume with the code that",
    ):
        latest(folder, OURS, wider)
    assert steps_in(folder) == [7, 8]


@pytest.mark.parametrize("gone", [".", "state", "state/state", "state/_CHECKPOINT_METADATA"])
def test_one_that_is_removed_while_it_is_read_is_no_longer_found(
    folder: Path, gone: str, monkeypatch: pytest.MonkeyPatch
):
    load = checkpoint._load

    def too_late(path: Path, like: Any) -> Any:
        going = path.parent / gone
        going.unlink() if going.is_file() else shutil.rmtree(going)
        return load(path, like)

    monkeypatch.setattr(checkpoint, "_load", too_late)
    with pytest.raises(FileNotFoundError, match="is being removed"):
        latest(folder, OURS, state_of(0))


def test_a_newer_format_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    save(folder, OURS, 9, state_of(9), {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match="resume with the code that wrote it, or remove"):
        latest(folder, OURS, state_of(0))


@pytest.mark.medium
def test_a_save_that_is_cut_short_leaves_the_last_one_standing(folder: Path):
    """Killed before the manifest, and before the name; what is left goes at the next start."""
    for victim in ("checkpoint.seal", "checkpoint.Path.rename"):
        code = (
            "import os, sys\nfrom pathlib import Path\nfrom scaling.trainers import checkpoint\n"
            "import jax.numpy as jnp\n"
            f"{victim} = lambda *args: os.kill(os.getpid(), 9)\n"
            f"checkpoint.save(Path(sys.argv[1]), {OURS!r}, 9, {{'a': jnp.ones(3)}}, {{}})\n"
        )
        out = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True)
        assert out.returncode == -9, out.stderr
        assert len(list(folder.glob(".*.tmp"))) == 1
        found = latest(folder, OURS, state_of(0))
        assert found is not None and found.step == 8
        assert not list(folder.glob(".*.tmp"))


def test_a_disk_that_refuses_is_an_error_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        save(folder, OURS, 9, state_of(9), {})
    assert sorted(path.name for path in folder.iterdir()) == [f"{7:012d}", f"{8:012d}"]


RUN = RunConfig(
    model=Transformer(
        width=8, depth=1, heads=2, positions="learned", norm="layer", activation="gelu"
    ),
    data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=64),
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01, weight_decay=0.1),
        batch_size=4,
        warmup_tokens=96,
        clip_norm=0.5,
        steps=60,
        evaluations=6,
    ),
)
"""Of the shape that `test_tokens.py` compiles, as with every optimizer below."""


class Killed(BaseException):
    """Takes the place of SIGKILL."""


@pytest.fixture
def saving(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[int]]:
    """Saves at every chance, and kills the run once it has saved at a step; returns the steps."""
    saved: list[int] = []
    monkeypatch.setattr(history, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", float("inf"))

    def until(last: int | None) -> list[int]:
        def save_and_die(folder: Path, run_id: str, step: int, *more: Any) -> None:
            save(folder, run_id, step, *more)
            saved.append(step)
            if step == last:
                raise Killed

        monkeypatch.setattr(history.checkpoint, "save", save_and_die)
        return saved

    return until


def lasting(record: RunRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


def check_resumed(
    config: RunConfig, folder: Path, whole: tuple[RunRecord, Curve], kills: list[int], until: Any
) -> None:
    """Kills a run at each of some steps, and lets it end."""
    for step in kills:
        until(step)
        with pytest.raises(Killed):
            run(config, Workspace(folder))
    until(None)
    record, curve = run(config, Workspace(folder))
    assert lasting(record) == lasting(whole[0])
    assert curve == whole[1]
    assert record.environment["resumed_at_steps"] == kills
    assert record.wall_seconds is not None


@pytest.mark.slow
def test_resumed_at_every_tenth_step_equals_uninterrupted_bit_for_bit(
    tmp_path: Path, saving: Callable[[int | None], list[int]]
):
    whole = run(RUN)
    assert [point.step for point in whole[1]] == [10, 20, 30, 40, 50, 60]
    assert "resumed_at_steps" not in whole[0].environment
    check_resumed(RUN, tmp_path / "once", whole, [30], saving)
    check_resumed(RUN, tmp_path / "often", whole, [10, 20, 30, 40, 50], saving)


@pytest.mark.slow
def test_a_run_is_resumed_between_evaluations_too(
    tmp_path: Path, saving: Callable[[int | None], list[int]]
):
    """Blocks of 256 steps, evaluations after 400, 800 and 1200, each with the noise since then."""
    config = replace_at(replace_at(RUN, "data.repeat", True), "train.steps", 1200)
    config = replace_at(config, "train.evaluations", 3)
    config = replace_at(config, "train.microbatches", 2)
    whole = run(config)
    kills = [256, 400, 656, 1056]
    check_resumed(config, tmp_path / "r", whole, kills, saving)
    assert saving(None) == [256, 400, 656, 800, 1056]


@pytest.mark.slow
def test_activation_scales_measured_before_a_kill_are_kept(
    tmp_path: Path, saving: Callable[[int | None], list[int]]
):
    config = replace_at(RUN, "train.activation_scales", True)
    whole = run(config)
    assert all(point.activation_scales for point in whole[1])
    check_resumed(config, tmp_path / "r", whole, [30], saving)


@pytest.mark.slow
def test_a_diverged_run_ends_the_same_when_it_is_resumed(
    tmp_path: Path, saving: Callable[[int | None], list[int]]
):
    config = replace_at(RUN, "train.optimizer.learning_rate", 1e38)
    whole = run(config)
    assert whole[0].status == "diverged" and whole[0].steps == 10
    saving(None)
    record, curve = run(config, Workspace(tmp_path / "r"))
    assert lasting(record) == lasting(whole[0]) and curve == whole[1] == ()


@pytest.mark.medium
def test_a_short_run_saves_nothing(tmp_path: Path):
    run(RUN, Workspace(tmp_path / "r"))
    assert not (tmp_path / "r").exists()


def test_saving_takes_a_bounded_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a save that took a second, none for 50."""
    now = [0.0]
    monkeypatch.setattr(history.time, "monotonic", lambda: now[0])
    behind = history.History(RUN, Workspace(tmp_path / "r"))
    due = []
    for _ in range(300):
        now[0] += 1.0
        if behind.place(1) is not None:
            due.append(now[0])
            behind._saved_at, behind._cost = now[0], 2.0
    assert due == [60.0, 160.0, 260.0]
    assert history.History(RUN, None).place(1) is None


@pytest.mark.medium
def test_a_checkpoint_that_cannot_be_written_ends_no_run(
    tmp_path: Path,
    saving: Callable[[int | None], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    saving(None)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(history.checkpoint, "save", full)
    assert lasting(run(RUN, Workspace(tmp_path / "r"))[0]) == lasting(run(RUN)[0])
    assert caplog.text.count("No space left on device") == 5


def test_a_run_resumed_elsewhere_says_that_its_bits_may_differ(
    tmp_path: Path,
    saving: Callable[[int | None], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    saving(10)
    with pytest.raises(Killed):
        run(RUN, Workspace(tmp_path))
    monkeypatch.setattr(history.runtime, "device_name", lambda: "another device")
    with caplog.at_level(logging.WARNING):
        record, _ = run(RUN, Workspace(tmp_path))
    assert "resumes from step 10 with another device: its last bits may differ" in caplog.text
    assert record.environment["resumed_at_steps"] == [10]


def test_the_version_of_this_package_is_part_of_where_a_run_takes_place(
    monkeypatch: pytest.MonkeyPatch,
):
    """Installed, it is all that is known of the code."""
    here = history.deciding_environment()
    assert here["scaling-descent"] == importlib.metadata.version("scaling-descent")
    environment = runtime.environment() | {"scaling-descent": "another"}
    monkeypatch.setattr(history.runtime, "environment", lambda: environment)
    assert history.deciding_environment() == here | {"scaling-descent": "another"}


def test_checkpoints_of_another_run_are_refused(
    tmp_path: Path, saving: Callable[[int | None], list[int]]
):
    saving(10)
    with pytest.raises(Killed):
        run(RUN, Workspace(tmp_path))
    with pytest.raises(ValueError, match="is a checkpoint of run"):
        run(dataclasses.replace(RUN, seed=1), Workspace(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (Muon(learning_rate=0.02, adam=Adam(learning_rate=0.01)), Cosine()),
        (ScheduleFree(learning_rate=0.01), Constant()),
    ],
    ids=["muon", "schedule_free"],
)
def test_every_optimizer_resumes_bit_for_bit(
    tmp_path: Path, optimizer: Any, schedule: Any, saving: Callable[[int | None], list[int]]
):
    train = dataclasses.replace(RUN.train, optimizer=optimizer, schedule=schedule)
    config = dataclasses.replace(RUN, train=train)
    check_resumed(config, tmp_path / "r", run(config), [10, 40], saving)


def test_manifests_are_sealed_json(folder: Path):
    plain = json.loads((folder / f"{8:012d}" / "manifest.json").read_text())
    assert plain["checkpoint"]["run_id"] == OURS and plain["checkpoint"]["step"] == 8
    assert all(len(sha) == 64 for sha in plain["checkpoint"]["files"].values())
    assert os.path.join("state", "_CHECKPOINT_METADATA") in plain["checkpoint"]["files"]
