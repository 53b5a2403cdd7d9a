"""What a sweep costs before it runs: memory, disk, and time from what was measured."""

import dataclasses

import pytest

from scaling.accounting import account
from scaling.config import RunConfig, resolved, run_id
from scaling.data.gaussian import GaussianTeacher
from scaling.data.mnist1d import MNIST1D
from scaling.memory import PROCESS_BYTES, memory_of
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.models.random_features import RandomFeatures
from scaling.record import RunRecord
from scaling.solving import Ridgeless
from scaling.training import SGD, Adam, Gradient
from sweeps import calibration, costs
from sweeps.costs import check_fits, cost_of
from sweeps.plan import make_plan
from sweeps.space import grid
from sweeps.speeds import Speeds

NETWORK = RunConfig(
    model=MLP(width=8),
    data=MNIST1D(n_train=100),
    train=Gradient(optimizer=SGD(learning_rate=0.1), batch_size=20, steps=100),
)
SOLVED = RunConfig(
    model=Linear(n_features=8), data=GaussianTeacher(n_train=50, dimension=20), train=Ridgeless()
)


def done(config, seconds, compiling=0.0, peak=4 * 10**8):
    return RunRecord(
        run_id=run_id(config),
        status="done",
        config=resolved(config),
        wall_seconds=2 * (seconds + compiling),  # of a machine with other work
        processor_seconds=seconds + compiling,
        compile_seconds=2 * compiling,
        peak_memory_bytes=peak,
    )


def learnt(plan, seconds_of, **more):
    runs = zip(plan.configs, plan.runs, strict=True)
    return Speeds().learning((c, r.group, done(c, seconds_of(c), **more)) for c, r in runs)


def steps(config):
    return account(config).steps


def test_planted_seconds_come_back():
    lengths = make_plan("x", grid(NETWORK, {"train.steps": [100, 400]}))
    speeds = learnt(lengths, lambda c: 0.5 + 0.002 * steps(c), compiling=3.0)
    longer = make_plan("x", grid(NETWORK, {"train.steps": [2000], "seed": range(4)}))
    found = cost_of(longer, (), speeds, workers=2)
    assert found.is_measured and found.n_left == 4
    second = costs.SECONDS_A_PROCESS
    assert found.seconds == pytest.approx(4 * (0.5 + 0.002 * 2000) + 3.0 + second)
    assert found.wall_seconds == pytest.approx(costs.SECONDS_TO_START + found.seconds / 2)
    assert found.peak_bytes == 4e8
    # What is done takes no more; neither does another machine's memory of it.
    ids = [run.run_id for run in longer.runs]
    assert cost_of(longer, ids[:3], speeds, 2).seconds == pytest.approx(4.5 + 3.0)
    assert cost_of(longer, ids, speeds, 2).wall_seconds == 0.0


def test_a_shape_that_was_never_run_is_interpolated_by_its_size():
    rate = 1e-8
    planted = make_plan("x", grid(NETWORK, {"model.width": [8, 64], "train.steps": [10, 90]}))

    def seconds(config):
        return rate * account(config).flops_train

    speeds = learnt(planted, seconds)
    between = make_plan("x", grid(NETWORK, {"model.width": [32]}))
    found = cost_of(between, (), speeds, 1)
    assert found.seconds == pytest.approx(sum(map(seconds, between.configs)), rel=1e-6)
    assert not cost_of(make_plan("x", [SOLVED]), (), speeds, 1).is_measured  # of another family


def test_a_second_look_finds_the_program_and_one_length_keeps_the_fixed_part():
    plan = make_plan("x", grid(NETWORK, {"train.steps": [100, 400]}))
    first = learnt(plan, lambda c: 0.5 + 0.002 * steps(c), compiling=3.0)
    (config, *_), (run, *_) = plan.configs, plan.runs
    again = first.learning([(config, run.group, done(config, 0.9, compiling=0.1))])
    (speed,) = again.shapes.values()
    assert (speed.compiling, speed.loading) == pytest.approx((3.0, 0.1))
    assert (speed.fixed, speed.a_step) == pytest.approx((0.5, 0.004))
    resumed = dataclasses.replace(done(config, 9.0), environment={"resumed_at_steps": [50]})
    assert again.learning([(config, run.group, resumed)]) == again


def test_what_was_measured_is_kept_and_damage_forgets_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path))
    assert Speeds.load() == Speeds()
    speeds = learnt(make_plan("x", [SOLVED]), lambda c: 0.25)
    speeds.save()
    assert Speeds.load() == speeds
    (path,) = tmp_path.glob("speeds/*.json")
    path.write_bytes(path.read_bytes().replace(b"0.25", b"9.25", 1))
    assert Speeds.load() == Speeds()


def test_memory_is_that_of_arrays():
    n, d, p = 50, 20, 8
    of_solution = memory_of(SOLVED)
    assert of_solution.data == 16 * n * d
    assert of_solution.state == 8 * (2 * n * p + p * (n + p))
    n_params = account(NETWORK).n_params_total
    assert memory_of(NETWORK).state == 4 * n_params * 2
    adam = dataclasses.replace(
        NETWORK, train=dataclasses.replace(NETWORK.train, optimizer=Adam(learning_rate=0.1))
    )
    assert memory_of(adam).state == 4 * n_params * 4
    assert memory_of(NETWORK).total > PROCESS_BYTES + memory_of(NETWORK).held


def test_what_does_not_fit_is_refused_unless_it_is_done(monkeypatch):
    monkeypatch.setattr(costs, "machine_bytes", lambda: 10**6)
    plan = make_plan("x", grid(SOLVED, {"data.n_train": [50, 10**6]}))
    large = plan.runs[1].run_id
    with pytest.raises(ValueError, match=f"run {large} of x does not fit this machine"):
        check_fits(plan, lambda run_id: False)
    check_fits(plan, {large}.__contains__)
    monkeypatch.setattr(costs, "machine_bytes", lambda: None)
    check_fits(plan, lambda run_id: False)


def test_room_on_the_disk_is_whole_blocks_of_every_file():
    few, many = (make_plan("x", grid(SOLVED, {"seed": range(n)})) for n in (1, 151))
    a_run = (many.disk_bytes - few.disk_bytes) / 150
    assert 8 * 4096 < a_run < 9.5 * 4096  # three folders, five files, a share of 256 folders
    curves = make_plan("x", grid(NETWORK, {"seed": range(151)}))
    points = NETWORK.train.evaluations + 1
    assert (curves.disk_bytes - many.disk_bytes) / 151 > 4096 + 400 * points


def test_calibration_runs_each_shape_at_two_shorter_lengths():
    widths = [4, 8, 16, 32, 64, 99, 128]
    plan = make_plan("x", grid(NETWORK, {"model.width": widths, "seed": range(2)}))
    chosen = calibration._chosen(plan, Speeds())
    assert sorted(config.model.width for config in chosen) == [4, 16, 64, 128]
    short = calibration._shortened(NETWORK)
    assert [(steps(config), config.seed) for config in short] == [(100, 0), (100, 1), (25, 1)]
    assert {config.train.evaluations for config in short} == {NETWORK.train.evaluations}
    assert [config.seed for config in calibration._shortened(SOLVED)] == [0, 1]
    known = learnt(plan, lambda c: 1.0)
    assert calibration._chosen(plan, known) == []


def test_calibration_takes_whole_packs_of_what_shares_work_each_from_two_seeds():
    plan = make_plan("x", grid(SOLVED, {"model.n_features": [2, 4, 8], "seed": range(3)}))
    assert calibration._chosen(plan, Speeds()) == []
    packed = calibration._packed(plan, Speeds())
    assert sorted(c.model.n_features for c in packed) == [2, 2, 4, 4, 8, 8]
    assert len({c.seed for c in packed}) == 2
    random = dataclasses.replace(SOLVED, model=RandomFeatures(n_features=8))
    apart = make_plan("x", grid(random, {"model.n_features": range(1, 8), "seed": range(3)}))
    packed = calibration._packed(apart, Speeds())
    assert sorted(c.model.n_features for c in packed) == [1, 1, 3, 3, 5, 5, 7, 7]
