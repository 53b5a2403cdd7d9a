"""`scaling descent` on anybody's curve: verdicts, groups, histories, files, and bad input."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_curves import falling, peaked

from experiments.cli import main
from scaling.record import CurvePoint, RunRecord, dump_curve_line, dump_record

RUNS = Path(__file__).parents[2] / "analysis/double_descent/mnist1d_mlp.csv"
AXES = ["--x", "width", "--test", "test_error"]
WIDTHS = np.rint(np.geomspace(4, 256, 20))


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two noise levels, three seeds: a peak with noise, none without."""
    rng = np.random.default_rng(0)
    parts = []
    for noise, curve in ((0.0, falling), (0.2, peaked(40.0))):
        for seed in range(3):
            error = 0.5 * curve(WIDTHS) * np.exp(0.004 * rng.standard_normal(20))
            train = np.maximum(0.4 - 0.1 * np.log(WIDTHS / 4), 0.0)
            part = {"width": WIDTHS, "test_error": error, "train_error": train}
            parts.append(pd.DataFrame(part).assign(seed=seed, noise=noise))
    path = tmp_path / "runs.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


def said(capsys) -> str:
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_the_runs_of_the_network_get_a_verdict_and_every_file(tmp_path, capsys):
    out = tmp_path / "report"
    command = ["descent", str(RUNS), *AXES, "--train", "train_error", "--out", str(out)]
    assert main(command) == 0
    printed = said(capsys)
    assert "peak and second descent below the first minimum" in printed
    assert "(p = 0.0065)" in printed and "threshold is 31.4 [28, 32]" in printed
    report = json.loads((out / "report.json").read_text())
    assert report["curves"][""]["verdict"] == "peak and second descent below the first minimum"
    assert report["curves"][""]["peak"]["location"]["value"] == pytest.approx(24)
    shown = pd.read_csv(out / "figure.csv")
    assert (shown["kind"] == "point").sum() == 70
    assert {"smooth curve", "threshold", "peak"} <= set(shown["kind"])
    assert r"\begin{tabular}" in (out / "table.tex").read_text()
    for name in ("figure.pdf", "figure.png"):
        assert (out / name).stat().st_size > 10_000


@pytest.mark.usefixtures("unwritten_figures")
def test_every_group_is_a_curve(runs, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["descent", str(runs), *AXES, "--train", "train_error", "--group", "noise"]
    assert main([*command, "--out", str(out)]) == 0
    printed = said(capsys)
    assert "noise 0.0: monotone" in printed
    assert "noise 0.2: peak and second descent below the first minimum" in printed
    assert set(json.loads((out / "report.json").read_text())["curves"]) == {
        "noise 0.0",
        "noise 0.2",
    }


def test_one_curve_says_what_it_cannot_show(runs, capsys):
    assert main(["descent", str(runs), *AXES, "--where", "noise=0.2,seed=0"]) == 0
    printed = said(capsys)
    assert "peak and second descent below" in printed
    assert "One curve shows how far its points scatter" in printed
    assert "no interpolation threshold. Give --train" in printed


def test_repeats_without_seeds_are_refused_and_the_remedy_works(runs, capsys):
    table = pd.read_csv(runs).rename(columns={"seed": "random seed"}).query("noise > 0.1")
    table.to_csv(runs, index=False)
    table.rename(columns={"random seed": "seeding"}).to_csv(runs, index=False)
    assert main(["descent", str(runs), *AXES]) == 2
    message = said(capsys)
    found = re.search("occurs 3 times, but no column tells runs apart.*as --seed (.*) or", message)
    assert found, message
    assert main(["descent", str(runs), *AXES, "--seed", found[1]]) == 0


def test_a_grid_that_misses_the_threshold_names_the_widths_to_add(runs, capsys):
    table = (
        pd.read_csv(runs).query("width < 40 and noise > 0.1").assign(params=lambda t: 60 * t.width)
    )
    table.to_csv(runs, index=False)
    command = ["descent", str(runs), *AXES, "--train", "train_error"]
    assert main(command) == 0
    assert re.search("misses the interpolation threshold.*Add width 50, 72, 108", said(capsys))
    assert main([*command, "--parameters", "params", "--constraints", "6000"]) == 0
    printed = said(capsys)
    assert "samples times outputs, 6000, at 100. Add width 50, 70, 100, 140, 200" in printed


def test_a_grid_with_enough_parameters_that_does_not_interpolate_gets_another_remedy(runs, capsys):
    table = pd.read_csv(runs).query("noise > 0.1").assign(params=lambda t: 60 * t.width)
    table.assign(train_error=table["train_error"] + 0.1).to_csv(runs, index=False)
    command = ["descent", str(runs), *AXES, "--train", "train_error"]
    assert main([*command, "--parameters", "params", "--constraints", "6000"]) == 0
    assert "6000, at 100: train longer, regularise less, or raise --tolerance" in said(capsys)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"test_error": lambda t: t.test_error.where(t.index % 7 > 0, 100 * t.test_error)}, [],
         "per cent and fractions are mixed. Give every value in one unit"),
        ({}, ["--train", "train_error", "--tolerance", "-1"],
         "--tolerance -1: .* at least 0; give e.g. 0.01"),
        ({}, ["--group", "width"], "20 curves are more than 7 .* take some of them by --where"),
        ({}, ["--best", "bset"], "no column 'bset' for best"),
        ({}, ["--test", "width"], "--x width and --test width are one column"),
        ({}, ["--seed", "test_error"], "--test test_error and --seed test_error are one column"),
        ({}, ["--train", "width"], "--x width and --train width are one column"),
        ({"test_accuracy": lambda t: 1 - t.test_error}, ["--test", "test_accuracy"],
         "--test test_accuracy: .* give a column of the error, 1 - accuracy"),
        ({"train_acc": lambda t: 1 - t.train_error}, ["--train", "train_acc"],
         "--train train_acc: .* give a column of the error"),
        ({"test_error": lambda t: 1e290 * t.test_error}, ["--seed", "seed"],
         r"test\[0\] = .*e\+289, but a value other than 0 lies between 1e-100 and 1e\+100"),
        ({"test_loss": lambda t: 1e-290 * t.test_error}, ["--test", "test_loss", "--seed", "seed"],
         r"test\[0\] = .*e-291, but a value other than 0 lies between"),
        ({"test_error": lambda t: t.test_error.where(t.index > 0, -0.1)}, [],
         "line 2, column 'test_error': -0.1, but an error is at least 0"),
        ({"test_error": 0.25}, ["--seed", "seed"], "test_error is 0.25 in every row"),
        ({}, ["--test", "test_err"], r"no column 'test_err' for test; did you mean 'test_error'\?"),
        ({"width": lambda t: t.width.where(t.index > 0, 0.0)}, [],
         "line 2, column 'width': 0 cannot be the x, which is a finite number above 0"),
        ({"test_error": lambda t: t.test_error.where(t.index > 0)}, [],
         "line 2, column 'test_error': holds no number .*, but the test is needed"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(runs, change, options, message, capsys):
    table = pd.read_csv(runs).query("noise > 0.1").reset_index(drop=True)
    table.assign(**change).to_csv(runs, index=False)
    assert main(["descent", str(runs), *AXES, *options]) == 2
    assert re.search(message, said(capsys))


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_another_column_is_the_axis_of_the_figure_and_no_part_of_the_verdict(
    runs, tmp_path, capsys
):
    table = pd.read_csv(runs).assign(params=lambda t: t.width * (t.width + 50 * t.noise + 9))
    table.to_csv(runs, index=False)
    command = ["descent", str(runs), *AXES, "--group", "noise", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    verdicts = json.loads((tmp_path / "out/report.json").read_text())["curves"]
    assert main([*command, "--axis", "params"]) == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["axis"] == "params" and report["curves"] == verdicts
    shown = pd.read_csv(tmp_path / "out/figure.csv").query("kind == 'point'")
    noise = shown["curve"].str.removeprefix("noise ").astype(float)
    wanted = shown["size"] * (shown["size"] + 50 * noise + 9)
    np.testing.assert_allclose(shown["place"], wanted)
    said(capsys)
    assert main([*command[:-2], "--axis", "params"]) == 2
    assert "give that as well" in said(capsys)
    assert main([*command, "--axis", "seed"]) == 2
    assert re.search("line 2, column 'seed': 0, but a logarithmic axis starts above", said(capsys))


def test_three_sizes_get_no_words_on_intervals(runs, capsys):
    assert main(["descent", str(runs), *AXES, "--where", "noise=0.2,seed=0,width<7"]) == 0
    printed = said(capsys)
    assert "too short for an interval: give 8" in printed
    assert "95 %" not in printed and "threshold  peak at" not in printed


def test_copies_of_one_run_and_logarithms_of_sizes_are_doubted(runs, capsys):
    table = pd.read_csv(runs).query("noise > 0.1 and seed == 0").assign(seed=1)
    table = pd.concat([table, table.assign(seed=2), table.assign(seed=3)])
    table.assign(log2_width=np.log2(table["width"])).to_csv(runs, index=False)
    assert main(["descent", str(runs), *AXES[2:], "--x", "log2_width"]) == 0
    printed = said(capsys)
    assert "the 3 seeds agree to the last digit at every size" in printed
    assert "--x log2_width is named for a logarithm" in printed


def test_a_group_that_is_no_curve_can_be_left_out_as_it_is_said(runs, capsys):
    table = pd.read_csv(runs).query("noise > 0.1 or (width == 4 and seed == 0)")
    table.to_csv(runs, index=False)
    command = ["descent", str(runs), *AXES, "--group", "noise"]
    assert main(command) == 2
    found = re.search(r"is too few.*\. Or leave this curve out: --where '(.*)'", said(capsys))
    assert found and main([*command, "--where", found[1]]) == 0
    pd.concat([table, table]).query("noise > 0.1").to_csv(runs, index=False)
    assert main(command) == 2
    assert "take repeats out." in said(capsys).rstrip()


@pytest.mark.parametrize("columns", [[], ["draw"], ["a", "b"]])
def test_sizes_that_occur_twice_get_a_remedy_that_works(columns, tmp_path, capsys):
    path = tmp_path / "t.csv"
    table = pd.DataFrame({"width": np.repeat(WIDTHS, 2), "test_error": 0.3, "metric": 1.0})
    table.assign(**dict.fromkeys(columns, np.tile([0, 1], 20))).to_csv(path, index=False)
    assert main(["descent", str(path), *AXES]) == 2
    printed = said(capsys)
    if columns:
        assert f"--seed NAME or --group NAME (there are {', '.join(map(repr, columns))})" in printed
    else:
        assert "no other column: add one, e.g. 'seed', and give --seed seed" in printed
        assert "metric" not in printed


def test_a_tolerance_that_was_given_is_told(runs, capsys):
    command = ["descent", str(runs), *AXES, "--train", "train_error", "--seed", "seed"]
    assert main([*command, "--tolerance", "0.03", "--group", "noise"]) == 0
    assert "train_error at most 0.03 (--tolerance)" in said(capsys)


def test_test_in_per_cent_and_train_as_a_fraction_is_doubted(runs, capsys):
    table = pd.read_csv(runs).query("noise > 0.1")
    table.assign(test_error=100 * table["test_error"]).to_csv(runs, index=False)
    assert main(["descent", str(runs), *AXES, "--train", "train_error"]) == 0
    assert "one may be in per cent and the other a fraction" in said(capsys)


@pytest.mark.usefixtures("unwritten_figures")
def test_a_lone_seed_is_refused_an_interval_and_drawn(runs, tmp_path, capsys):
    table = pd.read_csv(runs).query("noise > 0.1")
    table.drop(index=table.index[0]).query("seed < 2").to_csv(runs, index=False)
    out = tmp_path / "out"
    assert main(["descent", str(runs), *AXES, "--out", str(out)]) == 0
    assert "Size 4 has a single seed" in said(capsys)
    assert (out / "figure.png").exists()


def history(folder: Path) -> Path:
    """A results folder of three seeds of one width, whose test error peaks at epoch 40."""
    epochs = np.geomspace(1, 256, 24)
    rng = np.random.default_rng(0)
    for seed in range(3):
        record = RunRecord(
            run_id=f"{seed:032x}", status="done", attempt=1, n_train_examples=100,
            config={"model": {"width": 8}, "seed": seed}, n_params_total=100, epochs=256.0,
            eval_error=0.2, train_error=0.0,
        )  # fmt: skip
        at = folder / "runs" / record.run_id[:2] / record.run_id
        (at / "attempts/0001").mkdir(parents=True)
        (at / "result.json").write_text(dump_record(record))
        lines = [CurvePoint(step=0, n_examples_seen=0, train_loss=3.0, eval_loss=3.0)]
        errors = 0.4 * peaked(40.0)(epochs) * np.exp(0.005 * rng.standard_normal(24))
        for epoch, error in zip(epochs, errors, strict=True):
            seen = round(100 * epoch)
            lines.append(
                CurvePoint(
                    step=seen // 10, n_examples_seen=seen, train_loss=1.0, eval_loss=1.0,
                    train_error=max(0.5 - 0.1 * np.log(epoch), 0.0), eval_error=error,
                )
            )  # fmt: skip
        (at / "attempts/0001/curve.jsonl").write_text("".join(map(dump_curve_line, lines)))
    return folder


def test_histories_of_a_results_folder_give_epochs(tmp_path, capsys):
    folder = history(tmp_path / "results")
    command = ["descent", str(folder), "--x", "epochs", "--test", "test_error"]
    assert main([*command, "--train", "train_error"]) == 0
    printed = said(capsys)
    assert "histories of a results folder, 72 rows" in printed
    assert "peak and second descent below the first minimum" in printed
    assert "beats early stopping, which ends at the first minimum" in printed


def test_only_a_results_folder_has_histories_and_its_columns_have_short_names(tmp_path, capsys):
    folder = history(tmp_path / "results")
    assert main(["descent", str(folder), "--x", "width", "--test", "test_error"]) == 2
    assert "1 distinct size is too few" in said(capsys)
