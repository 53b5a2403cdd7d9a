"""`analysis.published.allocating`: budgets by published laws."""

import math

import pytest

from analysis.planning.allocate import allocate_by
from analysis.published import library
from analysis.published.allocating import allocate_published, family_of
from analysis.published.optimum import best_model

FLOPS = 1e21


def entries_with_an_optimum() -> list[str]:
    found = []
    for name in library.names():
        try:
            best_model(library.find(name), FLOPS)
        except ValueError:
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("name", entries_with_an_optimum())
def test_the_allocation_is_the_best_model_of_the_law(name: str):
    entry = library.find(name)
    best, found = best_model(entry, FLOPS), allocate_published(entry, FLOPS, far=True)
    assert found.parameters.value == pytest.approx(best.parameters, rel=1e-6)
    assert found.tokens.value == pytest.approx(best.tokens, rel=1e-6)
    assert (found.loss is None) == (best.loss is None)
    assert math.isnan(found.level) and "No interval" in " ".join(found.notes)


def test_hoffmanns_gopher_budget_is_that_of_his_table():
    """Section 3.4 of Hoffmann et al. 2022: 40 billion parameters at Gopher's 5.76e23 FLOPs."""
    found = allocate_published(library.find("hoffmann2022-unrounded"), 5.76e23, far=True)
    assert found.parameters.value == pytest.approx(40e9, rel=0.05)
    assert [off.excess_loss.value > 0 for off in found.off] == [True, True]


def test_rules_of_their_own_that_spend_another_compute_are_named():
    notes = " ".join(allocate_published(library.find("kaplan2020"), FLOPS).notes)
    assert "6 N D of these two is 1.81 times the budget" in notes


def test_the_loss_of_a_law_with_rules_is_taken_by_name():
    entry = library.find("kaplan2020")
    by_loss = allocate_published(entry, FLOPS, curve="L(N, D)")
    assert 6 * by_loss.parameters.value * by_loss.tokens.value == pytest.approx(FLOPS)
    expected = allocate_by(family_of(entry, "L(N, D)"), FLOPS)
    assert by_loss.parameters.value == expected.parameters.value
    assert by_loss.off[0].excess_loss.value == expected.off[0].excess_loss.value > 0


def test_a_law_of_repeated_tokens_counts_epochs():
    found = allocate_published(library.find("muennighoff2023"), FLOPS, unique_tokens=1e10)
    assert found.epochs is not None and found.epochs.value > 1
