"""The run ids of every declared sweep at every budget are those of the golden file beside this.

A change of these ids orphans every result that anybody has. Where that is meant, write the file
anew and say so in the changelog: `python tests/experiments/test_run_ids.py`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from small_library import unread_library

from experiments import catalogue
from experiments.experiment import Experiment
from sweeps.plan import make_plan

GOLDEN = Path(__file__).with_name("run_ids.json")


def plans(name):
    """The plan of an experiment at each budget."""
    (experiment,) = catalogue.load(name).parts
    return {budget: make_plan(name, sweep()) for budget, sweep in experiment.sweep.items()}


def ids(plans):
    """The number of runs, the id of the first and that of the plan, for each budget."""
    return {budget: [len(p.runs), p.runs[0].run_id, p.plan_id] for budget, p in plans.items()}


def names():
    cards = {name: catalogue.load(name) for name in catalogue.names()}
    return [name for name, card in cards.items() if isinstance(card, Experiment) and not card.facts]


QUICK = ("contrastive", "emergence", "gradient_flow", "grokking", "kaplan", "predict_emergence")
"""Experiments whose plans take no time: of every Python, and of the default selection."""


def marked():
    """The names, those that are not quick marked."""
    return [n if n in QUICK else pytest.param(n, marks=pytest.mark.medium) for n in names()]


@pytest.mark.parametrize("name", marked())
def test_run_ids_are_those_of_before_and_every_plan_has_a_price(name):
    with unread_library():  # which is another one on every Python
        found = plans(name)
        assert ids(found) == json.loads(GOLDEN.read_text())[name]
        for plan in found.values():
            assert all(0 < price < np.inf for price in (plan.flops, plan.seconds, plan.disk_bytes))


def test_every_experiment_is_in_the_golden_file():
    assert set(names()) == set(json.loads(GOLDEN.read_text()))


if __name__ == "__main__":
    with unread_library():
        found = {name: ids(plans(name)) for name in names()}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0)
