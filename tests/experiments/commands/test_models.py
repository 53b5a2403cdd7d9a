"""`scaling models` as its users meet it."""

import json

import pandas as pd
import pytest

from analysis.named_models.registry import models
from experiments.cli import main


def test_the_list_names_every_model(tmp_path, capsys):
    told = tmp_path / "models.json"
    assert main(["models", "list", "--json", str(told)]) == 0
    printed = capsys.readouterr().out
    assert all(model.name in printed for model in models())
    assert len(json.loads(told.read_text())) == len(models())


def test_a_model_is_told_with_its_sources(capsys):
    assert main(["models", "show", "palm"]) == 0
    printed = capsys.readouterr().out
    assert "6144 tpu-v4" in printed and "arXiv 2204.02311" in printed


@pytest.mark.medium
@pytest.mark.usefixtures("unwritten_figures")
def test_models_are_held_against_a_law(tmp_path, capsys):
    stem = tmp_path / "placed"
    files = ["--json", f"{stem}.json", "--figure", str(stem)]
    assert main(["models", "compare", "--law", "hoffmann2022-unrounded", *files]) == 0
    assert "best by hoffmann2022-unrounded" in capsys.readouterr().out
    drawn = pd.read_csv(f"{stem}.csv").set_index("model")
    assert drawn.loc["GPT-3", "overtraining"] < 0.1
    assert (tmp_path / "placed.pdf").exists()


def test_a_training_is_priced_over_utilisation_and_price(capsys):
    price = ["--gpu", "A100", "--mfu", "0.45", "--dollars-per-hour", "2.25"]
    assert main(["models", "train-cost", "gpt-3", *price]) == 0
    printed = capsys.readouterr().out
    assert "1,397," in printed and "device-hours" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "give its name"),
        (["show", "gtp3"], "did you mean 'GPT-3'"),
        (["train-cost", "elmo"], "is not known, so it has no price"),
        (["train-cost", "gpt3", "--gpu", "h1000"], "did you mean 'h100'"),
        (["train-cost", "gpt3", "--mfu", "2"], "share above 0"),
        (["compare", "--law", "li2025"], "gives no best model"),
    ],
)
def test_mistakes_are_told_with_a_remedy(arguments, said, capsys):
    assert main(["models", *arguments]) == 2
    assert said in capsys.readouterr().err
