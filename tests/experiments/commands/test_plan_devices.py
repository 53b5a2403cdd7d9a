"""`scaling plan NAME --devices`: published runs, own runs, sentences for mistakes."""

import json

import pytest

from experiments.cli import main

BIG = [
    "--set", "model.width=4096", "--set", "model.depth=16", "--set", "model.head_size=128",
    "--set", "train.batch_size=256", "--budget", "smoke",
]  # fmt: skip


def test_a_published_run_is_planned_over_other_devices(capsys):
    command = ["plan", "llama-3.1-405b", "--devices", "4096xh100", "--dollars-per-hour", "2.5"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "4.037e+11 parameters in 126 layers" in out and "dollars" in out
    assert "lost without tensor" in out and "lost with expert" not in out
    assert "in a node" in out and "between nodes" in out


def test_a_mesh_that_is_given_is_judged_alone(capsys):
    mesh = "data=2,fsdp=256,tensor=12"
    command = ["plan", "palm-540b", "--devices", "6144xtpu-v4", "--mesh", mesh]
    assert main([*command, "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert "ways to divide it" not in printed.err and "lost:" not in printed.err
    (only,) = json.loads(printed.out)["plans"]
    assert only["mesh"]["fsdp"] == 256 and only["fits"]
    assert 0.4 < only["utilisation"] < 0.5 < sum(only["seconds"].values()) / 20


def test_what_fits_nowhere_says_what_it_would_take(capsys):
    assert main(["plan", "gpt-1t", "--devices", "64xa100"]) == 1
    out = capsys.readouterr().out
    assert "too large: " in out and "Nothing fits: with full recomputed" in out
    assert "The model fits on 512xa100 (" in out


def test_a_mesh_that_does_not_fit_says_so_too(capsys):
    given = ["--devices", "64xa100", "--mesh", "data=2,tensor=32"]
    assert main(["plan", "gpt-1t", *given, "--json", "-"]) == 1
    printed = capsys.readouterr()
    assert "(too much)" in printed.err and "The mesh does not fit" in printed.err
    found = json.loads(printed.out)
    assert found["plans"][0]["interleave"] == 1  # its own two groups have no stages to be in
    assert all(each["fits"] for each in found["enough"])


@pytest.mark.medium
def test_the_largest_run_of_a_sweep_is_planned(capsys):
    assert main(["plan", "plrf_phases", "--budget", "smoke", "--devices", "8xh100"]) == 2
    assert "plans a Transformer that is trained on tokens" in capsys.readouterr().err
    assert main(["plan", "coordinate_check", *BIG, "--devices", "64xh100"]) == 0
    out = capsys.readouterr().out
    assert "16 layers of width 4,096, 256 sequences" in out and "--set train.mesh." in out
    again = [*BIG, "--devices", "64xh100", "--mesh", "fsdp=8,tensor=8"]
    again += ["--set", "train.optimizer_dtype=bfloat16", "--json", "-"]
    assert main(["plan", "coordinate_check", *again]) == 0
    printed = capsys.readouterr()
    assert "fsdp=8, tensor=8  32" in printed.err and "taken in float32" in printed.err
    # Two averages of 2 bytes are as large as a weight.
    (only,) = json.loads(printed.out)["plans"]
    assert only["memory_bytes"]["optimizer"] == only["memory_bytes"]["weights"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mesh", "data=2"], "--mesh has no effect without --devices"),
        (["--devices", "h100"], "give e.g. 2048xh100"),
        (["--devices", "8xh1000"], "did you mean 'h100'"),
        (["--devices", "8xMINE"], "mine has no float32"),
        (["--devices", "8xh100", "--mesh", "data=4"], "give a mesh of 8"),
        (["--devices", "7xh100", "--mesh", "tensor=7"], "tensor = 7 does not divide"),
        (["--devices", "3xh100", "--mesh", "data=3"], "or --set train.batch_size="),
        (["--devices", "8xh100", "--gpu", "h100"], "--gpu prices a whole sweep"),
        (["--devices", "8xh100", "--dollars-per-hour", "-1"], "--dollars-per-hour = -1"),
        (["--devices", "100003xh100"], "no mesh of 100,003 devices"),
    ],
)
def test_mistakes_get_a_sentence(words, says, capsys, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        "peak=1e14\nmemory=4e10\nmemory_bandwidth=1e12\nnode=4\nlink=5e10\nbetween=1e10"
    )
    words = [word.replace("MINE", str(mine)) for word in words]
    assert main(["plan", "coordinate_check", "--budget", "smoke", *words]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_published_run_is_named_where_it_is_misspelt(capsys):
    assert main(["plan", "gpt1t", "--devices", "64xh100"]) == 2
    assert "did you mean 'gpt-1t'" in capsys.readouterr().err
    assert main(["plan", "gpt-1t"]) == 2
    assert "give --devices, e.g. --devices 2048xh100" in capsys.readouterr().err
    assert main(["plan", "parallelism", "--devices", "64xh100"]) == 2
    assert "this sweep has no runs: choose another" in capsys.readouterr().err
