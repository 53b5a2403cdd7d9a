"""The loss, its influence and its curvature, on both sides of the curve."""

import numpy as np

from analysis.fitting.engine.loss import Loss


def test_hubers_loss_is_quadratic_inside_and_linear_outside():
    residuals, huber = np.array([-3.0, -0.5, 0.0, 0.2, 1.0]), Loss(0.5)
    np.testing.assert_allclose(huber.value(residuals), [1.375, 0.125, 0.0, 0.02, 0.375])
    np.testing.assert_allclose(Loss().value(residuals), residuals**2 / 2)
    step = 1e-6
    slope = (huber.value(residuals + step) - huber.value(residuals - step)) / (2 * step)
    np.testing.assert_allclose(huber.influence(residuals) * residuals, slope, atol=1e-6)


def test_loss_of_rows_above_is_multiplied_and_its_derivatives_with_it():
    residuals = np.array([-3.0, -0.5, -0.2, 0.2, 1.0])
    factors = np.array([1.0, 1.0, 1.0, 0.1, 0.1])
    for delta in (None, 0.5):
        loss = Loss(delta, above=0.1)
        np.testing.assert_allclose(loss.value(residuals), factors * Loss(delta).value(residuals))
        step = 1e-6
        ends = [loss.value(residuals + sign * step) for sign in (1, -1)]
        slopes = loss.influence(residuals) * residuals
        np.testing.assert_allclose(slopes, (ends[0] - ends[1]) / (2 * step), atol=1e-6)
        inner = np.abs(residuals) < (delta or np.inf)
        np.testing.assert_allclose(loss.curvature(residuals)[inner], factors[inner])
    assert Loss(above=0.1).value(np.zeros(1)) == 0.0


def test_its_name_is_in_words():
    assert str(Loss()) == "squared error"
    assert str(Loss(0.01, above=0.1)) == "Huber 0.01, rows above times 0.1"
