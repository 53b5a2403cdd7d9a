"""The experiment `parallelism`: every expectation, and what its figure draws."""

from __future__ import annotations

import pytest
from stored_runs import FAILING

from analysis.parallelism.published_runs import find
from experiments import parallelism
from experiments.experiment import Findings, passes


@pytest.fixture(scope="module")
def findings() -> Findings[parallelism.Details]:
    return parallelism.analyse(parallelism.FACTS())


@pytest.mark.medium
def test_every_expectation_passes_but_that_of_zero_3_which_the_plan_misses(findings):
    failing = {each.name for each in parallelism.EXPECTED
               if not passes(each, findings.measured[each.name])}  # fmt: skip
    assert failing == FAILING["parallelism"]
    assert findings.measured["mixture"].value == pytest.approx(1.4, abs=0.05)
    assert findings.measured["mixture"].note.startswith("0.95 ")


@pytest.mark.medium
def test_a_strategy_ends_where_it_must_and_no_mixture_is_slower(findings):
    table = findings.details.over_devices
    use = table.pivot_table(index="devices", columns="strategy", values="utilisation", dropna=False)
    assert use["sharded weights"].dropna().index.max() == 512  # the powers of 2 in 1,536 sequences
    assert use["tensor"].dropna().index.max() == 16  # in 48 heads
    assert use["pipeline"].dropna().index.max() == 32  # below 40 layers
    assert use["tensor"][16] < 0.75 * use["tensor"][8]  # beyond the node
    for name in ("sharded weights", "tensor", "pipeline"):
        both = use[[name, "best mixture"]].dropna()
        assert (both["best mixture"] >= both[name] - 1e-12).all()


@pytest.mark.medium
def test_pipelines_begin_where_models_are_large_and_lengthen_with_them(findings):
    table = findings.details.over_sizes
    best = table[table["strategy"] == "best mixture"]
    assert best["parameters"].is_monotonic_increasing and best["pipe"].is_monotonic_increasing
    assert best["pipe"].iloc[0] == 1 < best["pipe"].iloc[-1]


def test_the_critical_batch_is_kaplans_law_through_what_was_measured():
    shape = find(parallelism.OVER_DEVICES).shape
    measured, kaplan = parallelism.critical_devices(shape)
    loss = (parallelism.KAPLAN[0] / (kaplan * shape.context)) ** (1 / parallelism.KAPLAN[1])
    assert 1.9 < loss < 2.1
    at, batch = parallelism.CRITICAL
    same = kaplan * (batch / 4) / (parallelism.KAPLAN[0] * (4 * at) ** -parallelism.KAPLAN[1])
    assert measured == pytest.approx(same)
