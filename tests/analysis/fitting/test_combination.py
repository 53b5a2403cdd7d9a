"""Weights of a combination minimise what the module says, and cancel errors of opposite signs."""

import math

import numpy as np
import pytest

from analysis.estimate import Floats
from analysis.fitting.combination import weights_of


def pooled(windows: list[dict[str, Floats]]) -> dict[str, float]:
    return {
        name: math.sqrt(np.mean(np.concatenate([each[name] for each in windows]) ** 2))
        for name in windows[0]
    }


@pytest.mark.parametrize(("one", "other"), [(0.1, 0.3), (-0.1, 0.3), (0.2, -0.2), (0.01, 9.0)])
def test_two_laws_have_the_weights_of_the_closed_form(one: float, other: float):
    errors, least = {"one": abs(one), "other": abs(other)}, min(abs(one), abs(other))
    simple = one**-2 / (one**-2 + other**-2)
    # The derivative of (w a + (1 - w) b)^2 / least^2 + 2 (w - simple)^2 is 0.
    apart = (one - other) / least
    weight = (2 * simple - apart * other / least) / (2 + apart**2)
    found = weights_of(errors, [{"one": np.array([one]), "other": np.array([other])}])
    assert found.get("one", 0.0) == pytest.approx(np.clip(weight, 0, 1), abs=1e-6)
    assert sum(found.values()) == pytest.approx(1)


def test_no_other_weights_have_a_smaller_objective():
    rng = np.random.default_rng(0)
    windows = [
        dict(zip("abcd", rng.normal(size=(4, n)) * [[1], [1.5], [3], [9]], strict=True))
        for n in (3, 1, 5)
    ]
    errors = pooled(windows)
    least = min(errors.values())
    simple = np.array([errors[name] ** -2 for name in "abcd"])
    simple /= simple.sum()

    def objective(weights: Floats) -> float:
        means = [sum(w * each[name] for w, name in zip(weights, "abcd", strict=True))
                 for each in windows]  # fmt: skip
        stacked = np.mean([np.mean(np.square(each)) for each in means])
        return float(stacked / least**2 + np.sum((weights - simple) ** 2))

    found = weights_of(errors, windows)
    best = objective(np.array([found.get(name, 0.0) for name in "abcd"]))
    assert best <= min(map(objective, rng.dirichlet(np.ones(4), 500))) + 1e-9
    assert best < objective(simple)


def test_without_windows_in_common_weights_are_inverse_squares():
    assert weights_of({"a": 0.1, "b": 0.2}, []) == pytest.approx({"a": 0.8, "b": 0.2})


def test_an_exact_law_stands_alone_and_an_infinite_one_has_no_weight():
    rows = {"a": np.zeros(2), "b": np.ones(2)}
    assert weights_of({"a": 0.0, "b": 1.0}, [rows]) == {"a": 1.0}
    rows = {"a": np.full(2, 1e-12), "b": np.ones(2)}
    assert weights_of({"a": 1e-12, "b": 1.0}, [rows])["a"] == pytest.approx(1)
    assert set(weights_of({"a": 1.0, "b": math.inf}, [{**rows, "b": np.full(2, math.inf)}])) == {
        "a"
    }
