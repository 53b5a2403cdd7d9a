"""Runs of several lengths share a trunk, and each ends with the bits that it has alone."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from scaling.config import RunConfig, run_id, trunk_of
from scaling.data.ngram import NGram
from scaling.models.neural_ngram import NeuralNGram
from scaling.models.transformer import Transformer
from scaling.overrides import replace_at
from scaling.pretraining import Muon, Pretraining
from scaling.record import VOLATILE_COLUMNS, Curve, RunRecord, row
from scaling.run import run
from scaling.schedules import Constant, Cosine, StableDecay
from scaling.trainers import checkpoint, history
from scaling.trainers.history import evaluated_after
from scaling.training import SGD, Adam
from scaling.workspace import Workspace

BASE = RunConfig(
    model=NeuralNGram(width=8, depth=1, order=2),  # compiles in two thirds of a Transformer's time
    data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=64),
    train=Pretraining(
        optimizer=Adam(learning_rate=0.01, weight_decay=0.1),
        schedule=StableDecay(decay=0.2),
        batch_size=4,
        warmup_tokens=96,
        clip_norm=0.5,
        steps=40,
        evaluations=2,
    ),
)


def changed(config: RunConfig, **values: Any) -> RunConfig:
    """The configuration with fields of `train` replaced."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **values))


def of(steps: int, decay: float = 0.2) -> RunConfig:
    return changed(BASE, steps=steps, schedule=StableDecay(decay=decay))


@functools.cache
def alone(config: RunConfig) -> tuple[RunRecord, Curve]:
    return run(config)


def lasting(record: RunRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in row(record).items()
        if name not in VOLATILE_COLUMNS and not name.startswith("environment.")
    }


@pytest.fixture
def branch(tmp_path: Path) -> Callable[[RunConfig], tuple[int | None, list[int]]]:
    """Trains a run in a workspace and compares it with itself alone.

    It returns the step at which the run left the trunk of others, and the steps of resumptions.
    """

    def trained(config: RunConfig) -> tuple[int | None, list[int]]:
        record, curve = run(config, Workspace(tmp_path / run_id(config), tmp_path / "trunk"))
        whole, whole_curve = alone(config)
        assert lasting(record) == lasting(whole) and curve == whole_curve
        assert not {"from_trunk_at_step", "resumed_at_steps"} & whole.environment.keys()
        found = record.environment
        return found.get("from_trunk_at_step"), found.get("resumed_at_steps", [])

    return trained


def kept(folder: Path) -> list[int]:
    """Steps of the states that are kept of a trunk."""
    return sorted(int(path.name) for path in folder.glob("trunk/*/*") if path.name.isdigit())


@pytest.mark.slow
def test_a_branch_has_the_bits_of_the_same_run_alone(tmp_path: Path, branch: Any):
    """Trunks of 32, 40, 40 and 60 steps: ends at a power of 2, within an interval, again, on."""
    lengths = [(40,), (50,), (80, 0.5), (75,)]
    assert [branch(of(*each))[0] for each in lengths] == [None, 32, 40, 40]
    assert kept(tmp_path) == [40, 60]
    # A run too short for what is kept is trained from the beginning.
    assert [branch(of(*each))[0] for each in [(45,), (75,), (120, 0.4)]] == [None, 60, 60]
    assert kept(tmp_path) == [60, 72]


@pytest.mark.medium
def test_the_loss_of_an_interval_does_not_depend_on_where_a_trunk_was_left():
    points = {point.step: point for point in alone(of(50))[1]}
    assert list(points) == evaluated_after(of(50)) == [1, 2, 4, 8, 16, 32, 40, 45, 50]
    longer = {point.step: point for point in alone(of(75))[1]}
    assert list(longer) == [1, 2, 4, 8, 16, 32, 60, 68, 75]
    assert all(longer[step] == points[step] for step in (1, 2, 4, 8, 16, 32))


def test_evaluations_of_runs_without_a_trunk_are_even():
    assert evaluated_after(changed(BASE, schedule=Cosine(), evaluations=4)) == [10, 20, 30, 40]
    assert evaluated_after(of(10, 1.0)) == [5, 10]
    assert evaluated_after(of(4)) == [1, 2, 3, 4]
    # More evaluations than steps of decay are one a step, in the identity too.
    often = changed(BASE, evaluations=99)
    assert evaluated_after(often)[-9:] == list(range(32, 41))
    assert run_id(often) == run_id(changed(BASE, evaluations=8))


def test_a_trunk_is_what_does_not_depend_on_the_length():
    trunk = trunk_of(BASE)
    assert trunk is not None and trunk.steps == 32
    for config, steps in [(of(80), 64), (of(40, 0.5), 20), (changed(BASE, evaluations=1), 32)]:
        assert trunk_of(config) == (trunk.trunk_id, steps)
    for path, value in [
        ("seed", 1),
        ("model.width", 16),
        ("data.n_eval", 32),
        ("train.batch_size", 8),
        ("train.warmup_tokens", 128),
        ("train.optimizer.learning_rate", 0.02),
    ]:
        other = trunk_of(replace_at(BASE, path, value))
        assert other is not None and other.trunk_id != trunk.trunk_id, path
    for schedule in (Cosine(), Constant(), StableDecay(decay=1.0)):
        assert trunk_of(changed(BASE, schedule=schedule)) is None


class Killed(BaseException):
    """Takes the place of SIGKILL."""


@pytest.mark.medium
def test_kills_on_the_trunk_and_on_the_branch_change_nothing(
    tmp_path: Path, branch: Any, monkeypatch: pytest.MonkeyPatch
):
    save = checkpoint.save
    monkeypatch.setattr(history, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", float("inf"))

    def dies_after(last: int) -> None:
        def save_and_die(folder: Path, identity: str, step: int, *more: Any) -> None:
            save(folder, identity, step, *more)
            if step == last:
                raise Killed

        monkeypatch.setattr(history.checkpoint, "save", save_and_die)

    for last in (16, 32):  # on the trunk, and as it is saved
        dies_after(last)
        with pytest.raises(Killed):
            branch(of(40))
    assert kept(tmp_path) == [32]
    dies_after(36)  # on the branch, which then went on from its own state on the trunk
    with pytest.raises(Killed):
        branch(of(40))
    dies_after(-1)
    assert branch(of(40)) == (32, [36])
    dies_after(45)
    with pytest.raises(Killed):
        branch(of(50))
    dies_after(-1)
    assert branch(of(50)) == (32, [45])


@pytest.mark.medium
def test_damaged_states_of_a_trunk_are_set_aside_and_trained_anew(
    tmp_path: Path, branch: Any, caplog: pytest.LogCaptureFixture
):
    branch(of(40))
    branch(of(50))
    (state,) = tmp_path.glob(f"trunk/*/{40:012d}")
    largest = max(state.rglob("*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(bytes(data))
    assert branch(of(75))[0] == 32 and "does not match its checksum" in caplog.text
    (state,) = tmp_path.glob(f"trunk/*/{32:012d}")
    (state / "manifest.json").unlink()
    assert branch(of(60))[0] is None and "no manifest" in caplog.text
    assert len(list(tmp_path.glob("trunk/*/damaged-*"))) == 2 and kept(tmp_path) == [48, 60]


def test_states_of_another_trunk_are_refused(tmp_path: Path, branch: Any):
    branch(of(40))
    other = dataclasses.replace(of(50), seed=1)
    with pytest.raises(ValueError, match="is a checkpoint of run"):
        branch(other)


def test_states_that_another_program_or_machine_has_saved_are_left_alone(
    tmp_path: Path, branch: Any, monkeypatch: pytest.MonkeyPatch
):
    branch(of(40))
    monkeypatch.setattr(history.runtime, "device_name", lambda: "another device")
    assert branch(of(50))[0] is None
    monkeypatch.undo()
    assert branch(of(75))[0] == 32
    assert kept(tmp_path) == [32, 40, 60]


def test_a_trunk_that_the_machine_cannot_read_or_write_ends_no_run(
    branch: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    branch(of(40))
    monkeypatch.setattr(checkpoint, "_verified", broken)
    monkeypatch.setattr(history.checkpoint, "save", broken)
    assert branch(of(50)) == (None, [])
    assert "cannot be read: [Errno 5]" in caplog.text and "no checkpoint of run" in caplog.text


def test_a_trunk_that_is_removed_while_it_is_read_ends_no_run(
    tmp_path: Path, branch: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    load = checkpoint._load

    def too_late(path: Path, like: Any) -> Any:
        shutil.rmtree(tmp_path / "trunk")
        return load(path, like)

    branch(of(40))
    monkeypatch.setattr(checkpoint, "_load", too_late)
    assert branch(of(50)) == (None, [])
    assert "is being removed" in caplog.text and kept(tmp_path) == [40]


def test_a_run_that_diverges_on_its_trunk_leaves_no_state_there(tmp_path: Path, branch: Any):
    wild = changed(of(40), optimizer=Adam(learning_rate=1e38, weight_decay=0.1))
    assert alone(wild)[0].status == "diverged"
    assert branch(wild) == (None, []) and kept(tmp_path) == []


def test_a_run_that_shares_no_trunk_saves_none(tmp_path: Path):
    run(of(40), Workspace(tmp_path / "own"))
    run(of(40))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"train.optimizer": Muon(learning_rate=0.02, adam=Adam(learning_rate=0.01))},
        {"train.optimizer": SGD(learning_rate=0.1, momentum=0.9)},
        {
            "model": Transformer(width=8, depth=1, heads=2, dropout=0.1),
            "train.microbatches": 2,
            "train.activation_scales": True,
        },
    ],
    ids=["muon", "sgd", "all_that_is_told_and_drawn"],
)
def test_whatever_steps_hand_on_a_branch_has_the_bits_of_the_run_alone(
    branch: Any, changes: dict[str, Any]
):
    def with_changes(config: RunConfig) -> RunConfig:
        for path, value in changes.items():
            config = replace_at(config, path, value)
        return config

    went_on = [branch(with_changes(of(steps)))[0] for steps in (40, 50)]
    assert went_on == [None, 32]


WHOLE = changed(BASE, schedule=Cosine())
"""40 steps, evaluated after 20 and 40."""


@pytest.mark.medium
def test_a_run_that_pauses_again_and_again_ends_with_the_bits_of_one_go(tmp_path: Path):
    whole, curve = alone(WHOLE)
    losses = {point.step: point for point in curve}
    work = Workspace(tmp_path)

    # 1. Between evaluations it is measured, and no point is added to its curve.
    first, points = run(WHOLE, work._replace(pause_at=7))
    assert (first.status, first.steps, points) == ("paused", 7, ())
    assert first.flops_train == pytest.approx(whole.flops_train * 7 / 40)
    # 2. A second attempt finds it there and measures the same.
    again, _ = run(WHOLE, work._replace(pause_at=7))
    assert lasting(again) == lasting(first)
    assert again.environment["resumed_at_steps"] == [7]
    # 3. Where it is evaluated anyway, the measurement is that of the curve, once.
    for _ in range(2):
        half, points = run(WHOLE, work._replace(pause_at=20))
        assert [half.eval_loss_nats] == [point.eval_loss for point in points]
        assert points == (losses[20],)
    # 4. A checkpoint beyond the pause is left alone.
    early, _ = run(WHOLE, work._replace(pause_at=9))
    assert early.steps == 9 and early.eval_loss_nats not in (first.eval_loss_nats, None)
    # 5. It ends as if it had never paused.
    record, points = run(WHOLE, work)
    assert lasting(record) == lasting(whole) and points == curve
    assert record.environment["resumed_at_steps"][-1] == 20


@pytest.mark.medium
def test_a_pause_on_a_trunk_or_at_the_end_changes_nothing(tmp_path: Path):
    """Of 40 steps the trunk has 32."""
    whole, curve = alone(BASE)
    work = Workspace(tmp_path / "own", tmp_path / "trunk")
    for step in (5, 32, 40):
        record, points = run(BASE, work._replace(pause_at=step))
        assert (record.status, record.steps) == ("done" if step == 40 else "paused", step)
    assert lasting(record) == lasting(whole) and points == curve
    assert record.environment["from_trunk_at_step"] == 32


def test_a_run_that_was_in_parts_leaves_nothing_on_its_trunk(tmp_path: Path):
    """Other runs would have its last bits, and their records would not say so."""
    work, state = Workspace(tmp_path / "own", tmp_path / "trunk"), {"w": jnp.ones(2)}
    in_parts = history.History(BASE, work, parts=2)
    assert in_parts.place(32) is None and history.History(BASE, work).place(32) is not None
    own = in_parts.place(5, pauses=True)
    assert own is not None
    in_parts.save(5, state, own)
    resumed = history.History(BASE, work)
    resumed.restore(state)
    assert resumed.place(32) is None
    columns, _ = resumed.result({"steps": 40}, 0.0)
    assert columns["batch_in_parts"] == 2 and columns["resumed_at_steps"] == [5]
