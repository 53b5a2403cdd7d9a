"""A chain is one curve after another, its band wide by both, and it says where it guesses."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from analysis.estimate import Bootstrap, Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, POWER_LAW, TASK_EXPONENTIAL, TASK_SIGMOID
from analysis.planning.task_chain import Chained, chain

RNG = np.random.default_rng(0)
PLANE = np.exp(RNG.uniform(np.log([3e7, 1e9]), np.log([3e9, 1e11]), (50, 2)))
FAR = np.array([[1e10, 3e11], [7e10, 2e12]])
LOSSES = np.linspace(2.0, 3.6, 30)


def true_loss(x: Floats) -> Floats:
    return 1.7 + 480 * x[:, 0] ** -0.35 + 2100 * x[:, 1] ** -0.37


def true_accuracy(loss: Floats) -> Floats:
    return 0.25 + 0.6 / (1 + np.exp(4.0 * (loss - 2.5)))


def loss_fit(noise: float = 0.004, seed: int = 1, **options) -> FitResult:
    drawn = np.random.default_rng(seed).standard_normal(len(PLANE))
    return fit(CHINCHILLA, PLANE, true_loss(PLANE) * np.exp(noise * drawn), **options)


def metric_fit(noise: float = 0.005, seed: int = 2, **options) -> FitResult:
    drawn = np.random.default_rng(seed).standard_normal(len(LOSSES))
    y = true_accuracy(LOSSES) + noise * drawn
    return fit(TASK_SIGMOID, LOSSES, y, loss=Loss(scale="linear"), **options)


@pytest.fixture(scope="module")
def chained() -> Chained:
    return chain(loss_fit(), metric_fit(), losses=LOSSES)


def test_prediction_is_the_metric_at_the_predicted_loss(chained: Chained):
    expected = chained.metric_fit.predict(chained.loss_fit.predict(FAR))
    np.testing.assert_array_equal(chained.predict(FAR), expected)
    exact = chain(loss_fit(noise=0.0), metric_fit(noise=0.0))
    np.testing.assert_allclose(exact.predict(FAR), true_accuracy(true_loss(FAR)), rtol=1e-6)


def test_band_holds_the_truth_and_widens_with_level(chained: Chained):
    low, high = chained.predict_interval(FAR)
    truth = true_accuracy(true_loss(FAR))
    assert np.all((low < truth) & (truth < high))
    inner_low, inner_high = chained.predict_interval(FAR, level=0.5)
    assert np.all((low < inner_low) & (inner_high < high))


def test_variances_of_both_steps_add(chained: Chained):
    """Pairs of replicates scatter by the sum of the two, as in the delta method."""
    x, level = PLANE[:5], 2 * 0.8413 - 1  # half a normal band is then a standard deviation
    low, high = chained.predict_interval(x, level)
    losses = chained.loss_fit.predict(x)
    loss_low, loss_high = chained.loss_fit.predict_interval(x, level)
    slopes = (true_accuracy(losses + 1e-4) - true_accuracy(losses - 1e-4)) / 2e-4
    metric_low, metric_high = chained.metric_fit.predict_interval(losses, level)
    expected = np.hypot(slopes * (loss_high - loss_low), metric_high - metric_low)
    np.testing.assert_allclose(high - low, expected, rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("certain", ["loss", "metric"])
def test_where_one_step_is_certain_the_band_is_that_of_the_other(certain: str):
    first = loss_fit(noise=1e-9 if certain == "loss" else 0.004)
    second = metric_fit(noise=1e-9 if certain == "metric" else 0.005)
    low, high = chain(first, second).predict_interval(FAR)
    if certain == "loss":
        expected = second.predict_interval(first.predict(FAR))
        np.testing.assert_allclose((low, high), expected, rtol=1e-3)
    else:
        # The metric falls with the loss.
        expected = [second.predict(ends) for ends in first.predict_interval(FAR)[::-1]]
        np.testing.assert_allclose((low, high), expected, rtol=1e-4)


def test_replicates_of_two_fits_with_one_seed_are_paired_as_if_independent():
    # Rows and draws are alike, so that replicate by replicate the two would err together.
    x, losses = np.geomspace(1, 100, 8), np.geomspace(2.5, 4.0, 8)
    noise = np.exp(0.02 * np.random.default_rng(3).standard_normal(8))
    first = fit(POWER_LAW, x, 4 * x**-0.1 * noise)
    second = fit(POWER_LAW._replace(inputs=("loss",)), losses, losses * noise)
    loss = first.predict([10.0])
    widths = [
        float(np.log(ends[1] / ends[0]).item())
        for ends in (
            chain(first, second).predict_interval([10.0]),
            first.predict_interval([10.0]),
            second.predict_interval(loss),
        )
    ]
    # The second law is nearly the identity.
    assert widths[0] == pytest.approx(np.hypot(widths[1], widths[2]), rel=0.1)


def test_fits_with_different_numbers_of_replicates_go_together():
    few = chain(loss_fit(bootstrap=Bootstrap(n=400)), metric_fit())
    of_2000 = Bootstrap(n=2000)
    many = chain(loss_fit(bootstrap=of_2000), metric_fit(bootstrap=of_2000))
    np.testing.assert_allclose(few.predict_interval(FAR), many.predict_interval(FAR), atol=0.005)
    with pytest.raises(ValueError, match=r"n = 400 .* give at least 1000"):
        few.predict_interval(FAR, level=0.99)


def test_losses_outside_those_fitted_are_told_and_not_refused(chained: Chained):
    losses = true_loss(PLANE)
    assert chained.notes(PLANE[(losses > 2.1) & (losses < 3.5)]) == ()
    (note,) = chained.notes(FAR)
    losses = chained.loss_fit.predict(FAR)
    assert np.all(losses < 2.0)
    assert f"2 of 2 predicted losses, such as {losses.min():.4g}, lie outside 2 to 3.6" in note
    assert chain(chained.loss_fit, chained.metric_fit).notes(FAR) == ()


def test_a_share_above_one_is_told():
    high = metric_fit()
    high = replace(high, params=dict(high.params) | {"ceiling": 1.4})
    (note,) = chain(loss_fit(), high).notes(FAR)
    assert note.startswith("The predicted accuracy reaches 1.")


def test_summary_tells_both_fits_and_their_predictions(chained: Chained):
    text = chained.summary()
    assert text.startswith("N, D -> loss -> accuracy\nchinchilla: L = E + ")
    assert "chinchilla, converged: " in text and "task_sigmoid, converged: " in text
    lines = chained.summary(FAR).splitlines()
    assert lines[: len(text.splitlines())] == text.splitlines()
    values = [*FAR[0], chained.loss_fit.predict(FAR)[0], chained.predict(FAR)[0]]
    row = next(line for line in lines if line.split()[:2] == ["1e+10", "3e+11"])
    assert [float(cell) for cell in row.split()[:4]] == pytest.approx(values, rel=1e-4)
    assert lines[-1] == chained.notes(FAR)[0]


def test_a_chain_is_frozen(chained: Chained):
    with pytest.raises(FrozenInstanceError):
        chained.losses = None


def test_laws_that_do_not_fit_together_are_refused(chained: Chained):
    first, second = chained.loss_fit, chained.metric_fit
    with pytest.raises(ValueError, match=r"chinchilla takes N, D, but the second law of .* second"):
        chain(second, first)
    with pytest.raises(ValueError, match=r"task_sigmoid predicts accuracy, but .* first"):
        chain(second, second)
    error = fit(
        TASK_EXPONENTIAL,
        LOSSES,
        0.9 - np.exp(-LOSSES),
        loss=Loss(scale="linear"),
        bootstrap=Bootstrap(n=200),
    )
    assert chain(first, error).predict(FAR).shape == (2,)
    with pytest.raises(ValueError, match=r"losses\[1\] = -1.0"):
        chain(first, second, losses=[2.0, -1.0])
    with pytest.raises(ValueError, match="takes 2 input"):
        chained.predict([1e9])
