"""Options of pairs: what the parser takes, and what it refuses with the form to write."""

import pytest

from experiments.commands.pairs import AT, FIX


def test_pairs_keep_order_and_quoted_commas():
    text = ' a = 1,"b=x, y", a=2'
    assert FIX.parse(text) == [("a", "1"), ("b", "x, y"), ("a", "2")]


def test_numbers_by_name():
    assert AT.parse_numbers("N=1e9, D = 2e10") == {"N": 1e9, "D": 2e10}


@pytest.mark.parametrize("text", ["", "a", "a=", "=1", "a=1,,b=2", "a=1,b"])
def test_what_is_no_pair_is_refused_with_the_form(text):
    with pytest.raises(ValueError, match=r"--fix .*is no pair; write NAME=NUMBER,NAME=NUMBER"):
        FIX.parse_numbers(text)


@pytest.mark.parametrize("value", ["many", "nan", "inf"])
def test_values_are_finite_numbers(value):
    with pytest.raises(ValueError, match=f"--fix a={value}: a = {value} is no finite number"):
        FIX.parse_numbers(f"a={value}")


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="--at N=1,N=2: N is given twice; give it once"):
        AT.parse_numbers("N=1,N=2")
