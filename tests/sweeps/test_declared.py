"""Sweeps of a few texts: axes, declarations, and the files that hold them."""

import json
import os
import random
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps import sweep_file
from sweeps.axes import parse_axis, parse_drawn
from sweeps.declared import Declaration, configs_of

LINEAR = ("model=linear", "data.n_train=20", "data.dimension=60")


def runs(**declared):
    return configs_of(Declaration(**{"name": "x", "set": LINEAR, **declared}))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16,32, 64", ["16", "32", "64"]),
        ("0..4", [0, 1, 2, 3, 4]),
        ("-2..2+2", [-2, 0, 2]),
        ("0..0.3+0.1", [0, 0.1, 0.2, 0.3]),
        ("16..256*2", [16, 32, 64, 128, 256]),
        ("1e-4..1e-1*10", [1e-4, 1e-3, 1e-2, 0.1]),
        ("3..10*2", [3, 6]),
    ],
)
def test_axes_are_lists_and_ranges(text, values):
    assert list(parse_axis(f"a.b={text}").values) == values


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(0, 50), st.integers(2, 9))
def test_ranges_have_both_ends(low, more, factor):
    assert list(parse_axis(f"a={low}..{low + more}").values) == [*range(low, low + more + 1)]
    powers = [factor**k for k in range(more % 6 + 1)]
    assert list(parse_axis(f"a=1..{powers[-1]}*{factor}").values) == powers


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", "write a field and its values"),
        ("a=1,,2", "a value is empty"),
        ("a=5..1", "has no values: give the lower end first"),
        ("a=0..1..2", "'0..1..2' is no value"),
        ("a=0.5..3", "0.5 is no whole number"),
        ("a=0..4+0", "step after"),
        ("a=0..4*2", "factor after"),
        ("a=1..1e9+1", "1,000,000,000 values, more than the 1,000,000 runs"),
        ("a=0..1e40", "values: give fewer"),
    ],
)
def test_what_is_no_axis_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        parse_axis(text)


def test_random_fields_are_drawn_within_their_ends_and_repeat():
    rng = random.Random(0)
    for text, inside in (
        ("a=log:1e-4..1e-1", lambda v: 1e-4 <= v <= 1e-1),
        ("a=int:3..5", lambda v: v in (3, 4, 5)),
        ("a=8,16", lambda v: v in ("8", "16")),
    ):
        assert all(inside(parse_drawn(text).draw(rng)) for _ in range(50))
    drawn = {"draw": ("data.noise_variance=0.1..1",), "grid": ("model.n_features=5,10",)}
    few, more = runs(**drawn, draws=2), runs(**drawn, draws=3)
    noises = [run.data.noise_variance for run in more]
    assert noises[:3] == noises[3:] and len(set(noises)) == 3
    assert [run.data.noise_variance for run in few] == noises[:2] * 2  # more draws keep the first


def test_a_declaration_is_a_product_and_its_own_command():
    declared = Declaration(
        name="x",
        set=LINEAR,
        grid=("seed=0..2",),
        zip=("model.n_features=5,10", "data.noise_variance=0.1,0.2"),
    )
    found = [(r.seed, r.model.n_features, r.data.noise_variance) for r in configs_of(declared)]
    assert found == [(s, p, v) for s in range(3) for p, v in ((5, 0.1), (10, 0.2))]
    words = shlex.split(declared.command())
    assert words[:2] == ["scaling", "sweep"] and words.count("--zip") == 2
    some = runs(grid=("model.n_features=1..40", "seed=0..999999999"), sample=5)
    assert len(set(some)) == 5  # of 4e10, drawn without expanding them


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"grid": ("model.n_features=1..10", "seed=0..99999999")}, "1,000,000,000 runs, more than"),
        ({"grid": ("model.n_featurse=1",)}, "did you mean 'n_features'"),
        ({"grid": ("model.n_features=big",)}, "give a whole number"),
        ({"set": ("model=linaer",)}, "did you mean 'linear'"),
        ({"set": ()}, "give --model"),
        ({"grid": ("seed=1,2",), "set": (*LINEAR, "seed=3")}, "seed is declared twice"),
        ({"zip": ("seed=1,2", "model.n_features=1")}, "seed has 2, model.n_features has 1"),
        ({"grid": ("model.n_features=1",), "sample": 2}, "--sample 2 of 1 runs"),
        ({"name": "../x"}, "cannot name a results folder"),
        ({"name": "x" * 300}, "300 characters"),
        ({"name": "COM1.txt"}, "a device on some machines"),
        ({"name": "-x"}, "cannot name"),
        ({"name": "a/b"}, "cannot name"),
    ],
)
def test_what_is_no_sweep_is_refused_before_it_is_expanded(declared, says):
    with pytest.raises(ValueError, match=says):
        runs(**declared)


@pytest.mark.parametrize("kind", ["linear", "kernel", "mlp", "transformer", "lstm", "compressor"])
def test_families_have_something_to_train_on(kind, monkeypatch):
    monkeypatch.setattr("scaling.data.text.Text.fingerprint", lambda self: "text")
    sizes = {"linear": ("n_features=4",), "mlp": ("width=8",), "transformer": ("width=8",)}
    sizes["lstm"] = sizes["mlp"]
    fields = [f"model={kind}", *(f"model.{each}" for each in sizes.get(kind, ()))]
    fields += ["train.steps=1"] if kind in ("mlp", "transformer", "lstm") else []
    (run,) = configs_of(Declaration(name="x", set=tuple(fields)))
    assert run.model.kind == kind


def test_sweep_files_say_what_the_command_line_says(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        'name = "w"\ndraws = 3\n[set]\nmodel = "linear"\ntrain.rcond = 1e-6\n'
        '[grid]\nmodel.n_features = [5, 10]\nseed = "0..4"\n'
    )
    wanted = {"name": "w", "draws": 3, "set": ("model=linear", "train.rcond=1e-06")}
    wanted["grid"] = ("model.n_features=5,10", "seed=0..4")
    assert sweep_file.read(str(path)).declared == wanted
    plain = {"name": "w", "grid": {"seed": [1, 2]}, "set": {"model": {"kind": "linear"}}}
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(plain))
    found = sweep_file.read(str(path)).declared
    assert found == {"name": "w", "grid": ("seed=1,2",), "set": ("model.kind=linear",)}


def test_sweeps_of_wandb_and_hydra_are_understood(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "program: train.py\nmethod: random\nrun_cap: 5\nname: x\nparameters:\n"
        "  train:\n    parameters:\n"
        "      ridge: {distribution: log_uniform_values, min: 1e-4, max: 0.1}\n"
        "  model.n_features: {values: [8, 16]}\n  seed: {min: 0, max: 4}\n"
        "  model: {value: linear}\n"
    )
    found = sweep_file.read(str(path))
    assert found.ignored == ("program",)
    assert found.declared == {
        "name": "x",
        "set": ("model=linear",),
        "draw": ("train.ridge=log:1e-4..0.1", "model.n_features=8,16", "seed=int:0..4"),
        "draws": 5,
    }
    line = "python t.py --multirun model.n_features=5,10 \\\n seed='range(0, 6, 2)' +model=linear"
    path = tmp_path / "multirun.sh"
    path.write_text(f"#!/bin/sh\n{line} hydra.launcher.n_jobs=3\n")
    wanted = {"grid": ("model.n_features=5,10", "seed=0,2,4"), "set": ("model=linear",)}
    assert sweep_file.read(str(path)) == sweep_file.SweepFile(wanted, ("hydra.launcher.n_jobs",))
    assert sweep_file.read(line).declared == wanted


HOSTILE = {
    "alias.yaml": ("a: &a [1]\nb: *a\n", "aliases are not read"),
    "tag.yaml": ("a: !!python/object/apply:os.system ['false']\n", "could not determine"),
    "deep.yaml": ("[" * 900, "nested too deeply"),
    "twice.yaml": ("name: a\nname: b\n", "'name' is given twice"),
    "deep.toml": ("a=" + "[" * 100_000, "nested too deeply"),
    "digits.toml": ("draws=" + "9" * 200_000, "limit"),
    "large.toml": ("#" * 300_000, "300,000 bytes, more than"),
    "deep.json": ("[" * 100_000, "nests more than"),
    "nan.json": ('{"draws": NaN}', "NaN"),
    "list.json": ("[1, 2]", "no table of fields"),
    "unknown.toml": ("nmae = 'x'", "did you mean 'name'"),
    "bayes.yaml": ("method: bayes\nparameters: {a: {value: 1}}\n", "give 'grid' or 'random'"),
    "uncapped.yaml": ("method: random\nparameters: {a: {value: 1}}\n", "needs run_cap"),
    "normal.yaml": (
        "method: random\nrun_cap: 2\nparameters: {a: {distribution: normal, mu: 0}}\n",
        "'normal' is not supported",
    ),
    "plain.txt": ("echo hello\n", "0 lines with --multirun"),
    "interval.sh": ("x -m lr='interval(0,1)'\n", r"interval\(\) is not supported"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sweep_files_get_a_sentence(name, tmp_path):
    text, says = HOSTILE[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as error:
        sweep_file.read(str(path))
    assert len(str(error.value)) < 1000


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ValueError, match="not a regular file"):
        sweep_file.read(str(tmp_path / "pipe.toml"))
    with pytest.raises(ValueError, match="No such file"):
        sweep_file.read(str(tmp_path / "none.toml"))
