"""Units and ways to count turn into each other and back."""

import math
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.published.conversions import COUNTS, LOSS_UNITS, Shape, convert_loss

SHAPE = Shape(layers=12, width=768, vocabulary=50257, context=1024, learned_positions=True)


@settings(deadline=None)
@given(st.floats(0.01, 20), st.floats(1, 8))
def test_units_of_loss_make_a_round_trip(loss, bytes_per_token):
    for first, second in product(LOSS_UNITS, LOSS_UNITS):
        there = convert_loss(loss, first, second, bytes_per_token)
        back = convert_loss(there, second, first, bytes_per_token)
        assert back == pytest.approx(loss, rel=1e-12)


def test_a_loss_in_bits_per_byte():
    """2.85 nats a token of 4.5 bytes are 2.85 / ln 2 / 4.5 bits a byte."""
    found = convert_loss(2.85, "nats/token", "bits/byte", 4.5)
    assert found == pytest.approx(2.85 / math.log(2) / 4.5)
    assert convert_loss(1.0, "nats/token", "bits/token") == pytest.approx(1 / math.log(2))


def test_gpt2s_counts():
    """GPT-2 small: 85M parameters without embeddings, 124M in all (Radford et al. 2019)."""
    assert SHAPE.parameters("non_embedding") == 12 * 12 * 768**2
    assert SHAPE.parameters("total") == pytest.approx(124.4e6, rel=0.002)
    assert SHAPE.parameters("matmul") == SHAPE.parameters("total") - 1024 * 768


def test_counts_and_compute_make_a_round_trip():
    for first, second in permutations(COUNTS, 2):
        there = SHAPE.convert(1.3e9, first, second)
        assert SHAPE.convert(there, second, first) == pytest.approx(1.3e9, rel=1e-12)
    for count in COUNTS:
        exact = SHAPE.exact_flops(1e21, count)
        assert SHAPE.six_n_d(exact, count) == pytest.approx(1e21, rel=1e-12)


def test_exact_flops_are_six_n_d_and_attention():
    """Kaplan et al. 2020, table 1: attention adds context / (6 width) to a forward pass."""
    blocks_alone = Shape(layers=12, width=768, vocabulary=0, context=1024)
    ratio = blocks_alone.exact_flops(1.0, "non_embedding")
    assert ratio == pytest.approx(1 + 1024 / (6 * 768))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: convert_loss(1, "nats", "bits/token"), "did you mean|valid"),
        (lambda: convert_loss(1, "nats/token", "bits/byte"), "give bytes_per_token"),
        (lambda: convert_loss(1, "nats/token", "nats/byte", 0.0), "must be positive"),
        (lambda: SHAPE.parameters("all"), "no way to count N"),
    ],
)
def test_what_does_not_compare_is_refused(ask, said):
    with pytest.raises(ValueError, match=said):
        ask()
