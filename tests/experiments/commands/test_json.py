"""`--json -`: each command that prints a result prints it as strict JSON too, of one shape each."""

import json
import subprocess
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from sources import planted

from analysis.estimate import Bootstrap
from experiments import cli
from experiments.cli import main
from experiments.commands import fit, isoflop
from experiments.commands.options import analyses, folders, program, training

TINY = str(Path(__file__).parents[1] / "tiny.py")
RUN = f"{TINY} --results results --workers 1"

SHAPES = {
    "list": {"experiments"},
    f"show {TINY}": {"name", "card", "parts"},
    f"plan {TINY} --results results": {"sweeps"},
    f"run {RUN}": {"complete", "sweeps", "reports"},
    "status results/tiny": {"folders"},
    "doctor results/tiny": {"advice"},
    "table results/tiny --to runs.csv": {"table", "rows", "columns", "counts", "damaged_curves"},
    "retry results/tiny --diverged": {"open_again"},
    "import results/tiny --into results/other": {"runs"},
    "prune results/tiny": {"removed", "bytes"},
    f"report results/tiny --experiment {TINY}": {"page", "reports"},
    f"paper results/tiny --experiment {TINY}": {"folder", "drifts", "written"},
    f"compare results/tiny results/tiny --experiment {TINY}": {"title", "numbers", "cells"},
    "watch results/tiny --once": {"sweeps"},
    "descent planted.csv --x params --test eval_loss --seed step": {
        "source", "x", "test", "train", "axis", "where", "about_rows", "curves",
    },
    "laws compare --flops 1e20": {"flops", "best"},
    "models show gpt-3": None,
    "predict --law besiroglu2024 --at N=1e9,D=2e10": {"points", "notes"},
}  # fmt: skip
"""Keys of what commands print, where the model behind them does not decide."""


@pytest.mark.parametrize(("words", "keys"), SHAPES.items(), ids=list(SHAPES))
def test_a_result_is_strict_json_alone_on_the_standard_output(
    words, keys, done, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    planted().to_csv("planted.csv", index=False)
    assert main([*words.split(), "--json", "-"]) in (0, 1)
    printed = capsys.readouterr()
    result = json.loads(printed.out, parse_constant=pytest.fail)
    assert keys is None or result.keys() == keys
    # What is said beside it is on the standard error, and is back afterwards.
    assert words.startswith("retry") or printed.err
    assert main(["list"]) == 0 and capsys.readouterr().out.startswith("experiment")


@pytest.mark.medium
def test_fits_and_what_follows_from_them_are_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "Bootstrap", partial(Bootstrap, n=200))
    monkeypatch.setattr(fit, "_alternatives", lambda *args, **choices: iter(()))
    few = partial(isoflop.three_approaches, bootstrap=Bootstrap(n=200))
    monkeypatch.setattr(isoflop, "three_approaches", few)
    planted().to_csv("runs.csv", index=False)
    shapes = {
        "fit runs.csv --law chinchilla --flagged keep": {"fit", "profiles", "alternatives"},
        "isoflop runs.csv": {"source", "selection", "about_rows", "details"},
        "allocate --fit fit.json --flops 1e21": {"fit"},
        "design --fit fit.json --flops 1e20 --quantity a --cells 1": {"cells"},
    }
    for words, keys in shapes.items():
        assert main([*words.split(), "--json", "-"]) == 0
        text = capsys.readouterr().out
        assert keys <= json.loads(text, parse_constant=pytest.fail).keys()
        if words.startswith("fit"):
            Path("fit.json").write_text(text)


def test_every_command_can_be_asked_for_json():
    """All but `completion`, whose result is a script."""
    modules = (analyses, folders, program, training)
    kinds = [
        each
        for module in modules
        for name, each in vars(module).items()
        if name.endswith("Options")
    ]
    names = {each.__name__: {field.name for field in fields(each)} for each in kinds}
    without = {name for name, known in names.items() if "json" not in known}
    assert without == {
        "CompletionOptions",
        "Options",
        "PlanOptions",
        "RowOptions",
    }  # three are bases
    assert len(names) > 20 and vars(cli)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "--budget" in script and "paper" in script
    if shell == "bash":
        asked = 'COMP_WORDS=(scaling pa); COMP_CWORD=1; COMP_LINE="scaling pa"; COMP_POINT=10\n'
        (declared,) = (line for line in script.splitlines() if line.startswith("complete "))
        call = f'{declared.split("-F ")[1].split()[0]}; echo "${{COMPREPLY[@]}}"\n'
        told = subprocess.run(
            ["bash"], input=f"{script}\n{asked}{call}", text=True, capture_output=True
        )
        assert told.stdout.split() == ["paper"]
