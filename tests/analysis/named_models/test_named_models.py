"""Every named model has sources, consistent facts and a place against the optimum."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.named_models.growth import growth_a_year
from analysis.named_models.identities import PEAKS, checked, training_price
from analysis.named_models.notable import groups, notable, ratios_to_six_n_d, tidied
from analysis.named_models.placing import placed
from analysis.named_models.registry import find, models
from analysis.published import library

ALL = pytest.mark.parametrize("model", models(), ids=lambda model: model.name)


@ALL
def test_a_model_has_sources_and_possible_facts(model):
    assert model.sources and date(2010, 1, 1) < model.date < date(2026, 1, 1)
    numbers = (model.parameters, model.active, model.tokens, model.flops, model.chips, model.hours)
    assert all(number > 0 for number in numbers if number is not None)
    if model.is_sparse:
        assert model.active < model.parameters
    assert model.chip in ("", *PEAKS)
    assert model.utilisation is None or 0 < model.utilisation < 1


@ALL
def test_compute_is_six_n_d_where_tokens_are_known(model):
    ratio = checked(model).six_n_d
    if ratio is None:
        return
    assert ratio == pytest.approx(1, abs=0.15 if model.flops_of == "model" else 0.28)


def test_gpt3s_compute_is_that_of_its_table():
    """Brown et al. 2020, table D.1: 174,600M parameters, 300B tokens, 3.14e23 FLOPs."""
    found = checked(find("gpt3"))
    assert found.six_n_d == pytest.approx(1, abs=2e-3)
    assert found.hardware == pytest.approx(1, abs=2e-3)


def test_a_price_is_compute_over_speed_times_rate():
    price = training_price(3.14e23, "a100", mfu=0.45, dollars_per_hour=2.25)
    assert price.hours == pytest.approx(3.14e23 / (312e12 * 0.45) / 3600)
    assert price.dollars == pytest.approx(1.4e6, rel=0.01)  # the $1.4M that is told of GPT-3


def test_gpt3_was_under_trained_and_llama3_less_so():
    law = library.find("besiroglu2024")
    found = {name: placed(find(name), law) for name in ("GPT-3", "Chinchilla", "Llama 3.1-405B")}
    ratios = {name: each.overtraining for name, each in found.items()}
    assert ratios["GPT-3"] < 0.2 < 0.8 < ratios["Chinchilla"] < 1.3 < ratios["Llama 3.1-405B"]
    assert all(each.excess >= 0 for each in found.values())
    assert placed(find("GPT-3.5"), law) is None


@pytest.mark.parametrize(
    ("asked", "meant"), [("bert", "BERT-Large"), ("GLM", "GLM-130B"), ("qwen 72b", "Qwen-72B")]
)
def test_the_beginning_of_a_name_is_enough(asked, meant):
    assert find(asked).name == meant


def test_the_named_models_are_among_the_notable_ones():
    """Dates and compute of both tables agree, but where the registry says otherwise."""
    table = notable()
    assert len(table) == 397 and table["year"].min() >= 2010
    gpt3 = table.loc[table["model"].str.startswith("GPT-3 175B")].iloc[0]
    assert gpt3["flops"] == pytest.approx(find("GPT-3").flops, rel=0.01)
    assert find("GPT-3").year == pytest.approx(gpt3["year"], abs=0.02)


def test_groups_hold_the_models_of_a_period_and_a_domain():
    rows = pd.DataFrame(
        {
            "Model": list("abc"),
            "Domain": ["Language,Vision", "Games", None],
            "Publication date": ["2019-01-01", "2012-07-01", "2020-01-01"],
            "Training compute (FLOP)": [1e20, 1e18, np.nan],
            "Parameters": [1e9, np.nan, 1e9],
            "Training dataset size (datapoints)": [1e10, np.nan, 1e9],
            "Epochs": [2.0, np.nan, 1.0],
        }
    )
    found = groups(tidied(rows))
    assert set(found["since 2010"]["model"]) == {"a", "b"}  # the compute of c is not known
    assert list(found["vision"]["model"]) == list(found["top ten"]["model"]) == ["a"]
    assert list(found["2010 to 2018"]["model"]) == list(found["games"]["model"]) == ["b"]
    assert ratios_to_six_n_d(tidied(rows)) == pytest.approx([1e20 / (6e19 * 2)])


def test_planted_growth_is_found_with_its_interval():
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(40):
        years = rng.uniform(2010, 2025, 200)
        flops = 1e18 * 4.7 ** (years - 2010) * np.exp(rng.normal(0, 3, 200))
        found = growth_a_year(years, flops, Bootstrap(n=400, seed=trial))
        held += found.low <= 4.7 <= found.high
    assert held >= 34  # 38 of 40 expected at 95 %
    exact = growth_a_year([2010, 2011, 2012, 2013, 2014], 4.0 ** np.arange(5) * 1e20)
    assert exact.value == pytest.approx(4)


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda: find("gtp-3"), ValueError, "did you mean 'GPT-3'"),
        (lambda: find("llama"), ValueError, "give one of LLaMA-65B, Llama 2-70B, Llama 3.1"),
        (lambda: find("-"), ValueError, "no model '-'"),
        (lambda: training_price(1e23, "a10", mfu=0.4, dollars_per_hour=1), ValueError, "did you"),
        (lambda: training_price(1e23, "a100", mfu=1.4, dollars_per_hour=1), ValueError, "share"),
        (
            lambda: training_price(1e23, "a100", mfu=0.4, dollars_per_hour=-1),
            ValueError,
            "positive",
        ),
        (lambda: growth_a_year([2010, 2011], [1.0, 2.0]), FitError, "too few for a rate"),
        (lambda: growth_a_year([2010], [1.0, 2.0]), ValueError, "shape"),
    ],
)
def test_what_cannot_be_told_is_refused(ask, error, said):
    with pytest.raises(error, match=said):
        ask()
