"""Curves that are straight in log-log are read off exactly, within the tolerance alone."""

import numpy as np
import pytest

from analysis.compute_optimal.isoflop import isoflop
from analysis.compute_optimal.learning_curves import learning_curves, read_off
from analysis.compute_optimal.points import SeedNoise
from analysis.compute_optimal.valley import AKIMA


def straight(run, size, flops):
    """Columns of a curve loss = 300 C^-0.1 N^0.01."""
    flops = np.asarray(flops, dtype=float)
    return [run] * len(flops), [size] * len(flops), flops, 300 * flops**-0.1 * size**0.01


def joined(*curves):
    return tuple(np.concatenate(column) for column in zip(*curves, strict=True))


def read(run, n_params, flops, loss, budgets, *, tokens=None, **options):
    curves = learning_curves(run, n_params, loss, flops=flops, tokens=tokens)
    return read_off(curves, budgets, **options)


def test_straight_curves_are_read_off_exactly():
    seen = np.geomspace(1e17, 1e19, 60)
    curves = joined(straight("b", 1e7, seen), straight("a", 3e7, seen * 1.01))
    budgets = [3e18, 3.21e17]
    points = read(*curves, budgets)
    assert points.run == ("a", "b", "a", "b")
    np.testing.assert_array_equal(points.flops, [3.21e17, 3.21e17, 3e18, 3e18])
    np.testing.assert_array_equal(points.n_params, [3e7, 1e7] * 2)
    np.testing.assert_allclose(points.loss, 300 * points.flops**-0.1 * points.n_params**0.01)
    np.testing.assert_allclose(points.tokens, points.flops / (6 * points.n_params))
    assert points.unread == ()
    order = np.random.default_rng(0).permutation(120)
    again = read(*(column[order] for column in curves), budgets)
    np.testing.assert_array_equal(again.loss, points.loss)


def test_a_budget_is_read_only_near_an_evaluation():
    run, size, flops, loss = straight(0, 1e7, [1e17, 2e17, 4e17])
    points = read(run, size, flops, loss, [1.05e17, 1.5e17, 4.3e17, 6e17])
    np.testing.assert_array_equal(points.flops, [1.05e17, 4.3e17])
    assert points.loss[1] == pytest.approx(loss[2], rel=1e-14)  # past the end: the loss there
    assert [(u.run, u.flops) for u in points.unread] == [(0, 1.5e17), (0, 6e17)]
    assert points.unread[1].reason == "the nearest evaluation is 50% off, more than 10%"
    everything = read(run, size, flops, loss, [1.5e17], tolerance=0.6)
    assert everything.loss == pytest.approx(300 * 1.5e17**-0.1 * 1e7**0.01)


def test_tokens_follow_their_own_convention():
    run, size, flops, loss = straight(0, 1e7, np.geomspace(1e17, 1e18, 20))
    points = read(run, size, flops, loss, [3e17], tokens=flops / 7e7)
    assert points.tokens == pytest.approx(3e17 / 7e7)


def test_curves_of_a_chinchilla_surface_lead_to_its_exponent():
    curves = []
    for run, size in enumerate(np.geomspace(1e6, 1e9, 40)):
        tokens = np.geomspace(1e7, 1e12, 400)
        loss = 1.8 + 400 * size**-0.35 + 900 * tokens**-0.35
        curves.append(([run] * 400, [size] * 400, 6 * size * tokens, loss))
    budgets = np.geomspace(1e17, 1e19, 5)
    points = read(*joined(*curves), budgets)
    result = isoflop(
        points.n_params, points.loss, flops=points.flops, tokens=points.tokens,
        curve=AKIMA, noise=SeedNoise(1e-5),
    )  # fmt: skip
    assert result.trends.params.exponent.value == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_params": [1e7, 1e7, 2e7]}, "run 0 has n_params from 1e.07 to 2e.07"),
        ({"flops": [1e17, 1e17, 2e17]}, "run 0 has two losses at 1e.17 FLOPs"),
        ({"loss": [3.0, 0.0, 2.0]}, r"loss\[1\] = 0.0"),
        ({"run": [0, 0]}, r"run has shape \(2,\), not \(3,\)"),
        ({"budgets": [-1.0]}, r"budgets\[0\] = -1.0"),
        ({"tolerance": 1.5}, "tolerance = 1.5"),
    ],
)
def test_a_callers_mistake_is_named(change, message):
    run, size, flops, loss = straight(0, 1e7, [1e17, 2e17, 4e17])
    arguments = {"run": run, "n_params": size, "flops": flops, "loss": loss, "budgets": [2e17]}
    with pytest.raises(ValueError, match=message):
        read(**arguments | change)


def test_no_run_near_a_budget_leaves_an_empty_table():
    points = read(*straight(0, 1e7, [1e17, 2e17]), [1e20])
    assert len(points.loss) == 0 and len(points.unread) == 1
