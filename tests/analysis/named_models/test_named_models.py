"""Every named model has sources, consistent facts and a place against the optimum."""

from datetime import date

import numpy as np
import pytest

from analysis.errors import FitError
from analysis.estimate import Bootstrap
from analysis.named_models.growth import growth_a_year
from analysis.named_models.identities import PEAKS, checked, training_price
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
    # OPT's compute is that of its hardware, restarts included.
    assert ratio == pytest.approx(1, abs=0.28 if model.name == "OPT" else 0.15)


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
        (lambda: training_price(1e23, "a10", mfu=0.4, dollars_per_hour=1), ValueError, "did you"),
        (lambda: training_price(1e23, "a100", mfu=1.4, dollars_per_hour=1), ValueError, "share"),
        (
            lambda: training_price(1e23, "a100", mfu=0.4, dollars_per_hour=-1),
            ValueError,
            "positive",
        ),
        (lambda: growth_a_year([2010, 2011], [1.0, 2.0]), FitError, "show no growth"),
        (lambda: growth_a_year([2010], [1.0, 2.0]), ValueError, "shape"),
    ],
)
def test_what_cannot_be_told_is_refused(ask, error, said):
    with pytest.raises(error, match=said):
        ask()
