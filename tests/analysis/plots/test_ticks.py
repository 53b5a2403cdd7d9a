"""Logarithmic axes have enough labels and not too many; parameters are printed as mathematics."""

import pytest

from analysis.plots.ticks import axis_label, log_ticks, symbol, whole_numbers


@pytest.mark.parametrize("low", [0.7, 5.0, 4.3e3, 2.0e7])
@pytest.mark.parametrize("factor", [1.3, 4.0, 8.0, 90.0, 1e5])
def test_logarithmic_axes_have_two_labels_or_more_and_not_too_many(ax, low, factor):
    ax.set(xscale="log", xlim=(low, low * factor))
    log_ticks(ax, "x", most=4)
    shown = [tick for tick in ax.get_xticks() if low <= tick <= low * factor]
    assert 1 <= len(shown) <= 6
    ax.figure.draw_without_rendering()
    labels = {text.get_text() for text in ax.get_xticklabels() if text.get_text()}
    assert len({label.startswith("$") for label in labels}) == 1


@pytest.mark.parametrize(("low", "high"), [(2.09, 4.21), (0.21, 0.6), (1.1, 3.2)])
def test_narrow_logarithmic_axes_have_three_round_numbers(ax, low, high):
    ax.set(xscale="log", xlim=(low, high))
    log_ticks(ax, "x", most=4)
    assert 3 <= len([tick for tick in ax.get_xticks() if low <= tick <= high]) <= 6


def test_counts_are_labelled_at_whole_numbers(ax):
    ax.set(xlim=(-0.15, 3.15))
    whole_numbers(ax, "x")
    assert [tick for tick in ax.get_xticks() if 0 <= tick <= 3] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("alpha", "$\\alpha$"),
        ("alpha_N", "$\\alpha_{N}$"),
        ("c0", "$c_{0}$"),
        ("N_c", "$N_{c}$"),
        ("E", "$E$"),
        ("learning_rate", "learning rate"),
    ],
)
def test_symbols(name, text):
    assert symbol(name) == text


def test_axes_have_the_callers_words_first():
    assert axis_label("N", {"N": "size"}) == "size"
    assert axis_label("N", {}) == "parameters $N$"
    assert axis_label("beta", {}) == "$\\beta$"
