"""`scaling sweep`: sweeps without a file of their own, run as experiments are."""

import pytest

from experiments.cli import main
from experiments.commands.sweep import declared_by, job_of
from experiments.shared.swept import analyse, figure
from sweeps.declared import Declaration, configs_of, extended
from sweeps.store import Store

LINEAR = ("--model", "linear", "--set", "data.n_train=20", "--set", "data.dimension=60")
GRID = ("--grid", "model.n_features=5,20,60", "--grid", "seed=0..1")


@pytest.fixture
def said(capsys):
    def printed(*words):
        code = main([*map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return printed


def test_a_plan_spends_nothing_and_mistakes_end_before_anything_is_written(
    said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, printed = said("sweep", *LINEAR, *GRID, "--name", "risk", "--plan")
    assert code == 0 and "risk" in printed and " 6 " in printed
    for words, says in (
        (("--name", "../x", *GRID), "'../x' (4 characters) cannot name a results folder"),
        (("--name", "belkin", *GRID), "an experiment has this name"),
        (GRID, "give --name"),
        (("--name", "x", "--grid", "model.widht=1"), "no field 'widht'"),
        (("--name", "x", "--grid", "seed=0..999999999"), "1,000,000,000 runs"),
        (("--name", "x", "--from", "no.toml"), "No such file"),
    ):
        code, printed = said("sweep", *LINEAR, *words)
        assert code == 2 and says in printed and printed.count("\n") == 1
    assert not any(tmp_path.iterdir())
    (tmp_path / "results" / "Risk").mkdir(parents=True)
    code, printed = said("sweep", *LINEAR, *GRID, "--name", "risk", "--plan")
    assert code == 2 and "differs from it in case alone" in printed


def test_a_run_that_no_memory_holds_is_refused(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("sweep", "--model", "linear", "--set", "model.n_features=5", "--name", "x")
    for more in (("--plan",), ()):
        code, printed = said(*words, "--set", "data.n_train=1000000000000", *more)
        assert code == 2 and "does not fit this machine" in printed
    assert not any(tmp_path.iterdir())
    priced = ("--plan", "--gpu", "h100", "--dollars-per-hour", "2")
    code, printed = said(*words, "--set", "data.n_train=1000000000000", *priced)
    assert code == 0 and "dollars" in printed


def test_the_command_line_wins_over_the_file(said, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text('name = "w"\nset.model = "linear"\ngrid.model.n_features = "1..50"\n')
    words = ("--results", tmp_path, "--plan", "--from", path)
    assert " 50 " in said("sweep", *words)[1]
    code, printed = said("sweep", *words, "--grid", "model.n_features=3,4", "--name", "v")
    assert code == 0 and "\nv " in printed and " 2 " in printed


def test_a_sweep_is_declared_again_by_the_command_in_its_plan(tmp_path):
    declared = Declaration(
        name="x",
        set=("model=linear", "train=ridge"),
        grid=("model.n_features=1..40", "seed=0..9"),
        draw=("train.ridge=log:1e-3..1",),
        draws=2,
        sample=7,
        random_seed=3,
    )
    plan = job_of(declared, str(tmp_path)).plan
    assert plan.command is not None and declared_by(plan.command) == declared
    with pytest.raises(ValueError, match="declares no sweep"):
        declared_by("rm -r results")


def test_any_sweep_shows_its_lowest_loss_and_its_axes(table_of):
    grid = ("model.n_features=10,20,40,80", "data.noise_variance=0.1,0.4", "seed=0..2")
    declared = Declaration(name="x", set=("model=linear",), grid=grid)
    table = table_of(configs_of(declared), lambda counts: abs(counts["n_params_total"] - 40) + 1.0)
    found = analyse(table, declared.axes())
    assert found.measured["lowest"].value == 1.0
    assert "model.n_features = 40" in found.verdict
    assert found.details.x == "model.n_features"
    assert found.details.others == ("data.noise_variance",)
    assert len(found.shown) == 8 and set(found.shown["n_runs"]) == {3}
    assert len(figure(found).axes) == 1
    alone = analyse(table, ("seed",))
    assert alone.details.x == "seed" and len(alone.shown) == 3
    with pytest.raises(ValueError, match="no run has a held-out loss"):
        analyse(table.assign(status="failed"), declared.axes())


@pytest.mark.medium
def test_a_sweep_leaves_what_an_experiment_leaves(said, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))
    words = ("sweep", *LINEAR, *GRID, "--name", "risk", "--results", tmp_path, "--workers", "1")
    code, printed = said(*words)
    assert code == 0 and "lowest excess risk" in printed
    assert "6 runs took" in printed and "the prediction was" not in printed  # a guess
    assert "6 kept" in said(*words)[1]
    again = said(*words[:-3], tmp_path / "again", "--workers", "1")[1]
    assert "6 runs took" in again and "core-seconds; the prediction was" in again
    (plan,) = Store.open(tmp_path / "risk").plans()
    assert plan.command is not None and declared_by(plan.command).name == "risk"
    assert said("status", tmp_path / "risk")[0] == 0
    page = tmp_path / "page.html"
    assert said("report", tmp_path / "risk", "--to", page)[0] == 0
    assert "A sweep of 6 runs along model.n_features, seed." in page.read_text()


def test_more_values_extend_a_sweep_and_what_was_declared_stays():
    few = Declaration(
        name="x",
        set=("model=linear", "model.n_features=5"),
        grid=("seed=0..2",),
        draw=("data.noise_variance=0.1..1",),
        draws=2,
    )
    more = extended(few, ("seed=2..4", "model.n_features=10"), 3)
    assert more.grid == ("seed=0,1,2,3,4", "model.n_features=5,10")
    before, after = configs_of(few), configs_of(more)
    assert set(before) < set(after) and len(after) == 5 * 2 * 3
    for grid, draws, says in (
        ((), 2, "nothing is added"),
        (("data.noise_variance=1",), None, "zipped or drawn"),
    ):
        with pytest.raises(ValueError, match=says):
            extended(few, grid, draws)


def test_a_folder_of_an_experiment_is_not_extended_by_a_command(said, done):
    code, printed = said("extend", done, "--grid", "seed=5..9")
    assert code == 2 and "no sweep that `scaling sweep` made" in printed
