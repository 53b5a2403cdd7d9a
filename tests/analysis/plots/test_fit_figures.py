"""The figures of a fit carry its numbers: bands, contours, profiles, replicates, residuals."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Text

from analysis.estimate import Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.laws import CHINCHILLA, LAWS, POWER_LAW, SATURATING_POWER_LAW, TASK_SIGMOID
from analysis.plots import frontier, style, surface
from analysis.plots.deviance_curves import draw_profile, profiles_figure, profiles_table
from analysis.plots.fit_residuals import residuals_figure, residuals_table
from analysis.plots.held_out import curve_figure, curve_table, held_out_figure, held_out_table
from analysis.plots.replicate_clouds import clouds_figure, clouds_table
from analysis.plots.rows import rows_of


@pytest.fixture(scope="module")
def chinchilla():
    rng = np.random.default_rng(0)
    n, d = (
        axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6))
    )
    y = (1.8 + 480 * n**-0.35 + 2100 * d**-0.37) * np.exp(0.004 * rng.standard_normal(36))
    x = np.stack([n, d], axis=1)
    return fit(CHINCHILLA, x, y), x, y


@pytest.fixture(scope="module")
def curve():
    rng = np.random.default_rng(1)
    x = np.geomspace(1e6, 1e9, 24)
    y = (1.5 + 300 * x**-0.3) * np.exp(0.01 * rng.standard_normal(24))
    return x, y


def texts(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_contours_are_levels_of_the_surface_and_every_run_is_there(chinchilla, ax):
    result, x, y = chinchilla
    flagged = np.arange(36) == 7
    rows = rows_of(CHINCHILLA, x, y, flagged=flagged)
    surface.draw_surface(ax, result, rows)
    contours = next(a for a in ax.get_children() if hasattr(a, "levels"))
    assert y.min() * 0.8 < contours.levels.min() < contours.levels.max() < y.max() * 1.5
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        if len(path.vertices):
            on_contour = path.vertices[path.vertices.min(axis=1) > 0]
            np.testing.assert_allclose(result.predict(on_contour), level, rtol=2e-3)
    runs = next(a for a in ax.collections if a.get_label() == "fitted run")
    np.testing.assert_allclose(np.asarray(runs.get_offsets()), x)
    cross = next(line for line in ax.lines if line.get_label() == "flagged")
    np.testing.assert_allclose(cross.get_xdata(), x[flagged, 0])


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0, 6.0])
def test_labels_of_budgets_stay_clear_of_those_of_contours(chinchilla, ax, factor):
    """Wherever the powers of ten lie: tokens in another unit give the same surface."""
    _, x, y = chinchilla
    x = x / [1.0, factor]
    surface.draw_surface(
        ax, fit(CHINCHILLA, x, y, bootstrap=Bootstrap(n=200)), rows_of(CHINCHILLA, x, y)
    )
    ax.figure.draw_without_rendering()
    shown = {text.get_text(): text for text in ax.texts if text.get_visible()}
    budgets = [text.get_window_extent() for words, text in shown.items() if words.startswith("$10")]
    contours = [text.get_window_extent() for words, text in shown.items() if "$" not in words]
    assert budgets and contours
    assert not any(one.overlaps(other) for one in budgets for other in contours)


def test_frontier_is_the_closed_form_with_its_percentiles(chinchilla):
    result, x, y = chinchilla
    rows = rows_of(CHINCHILLA, x, y)
    table = frontier.frontier_table(result, rows)
    p = result.params
    g = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    a = p["beta"] / (p["alpha"] + p["beta"])
    np.testing.assert_allclose(table["parameters"], g * (table["flops"] / 6) ** a, rtol=1e-9)
    np.testing.assert_allclose(table["parameters"] * table["tokens"] * 6, table["flops"])
    ratio = table["tokens_per_parameter"]
    assert (table["tokens_per_parameter_low"] < ratio).all()
    assert (table["tokens_per_parameter_high"] > ratio).all()
    fitted = 6 * x[:, 0] * x[:, 1]
    np.testing.assert_array_equal(table["extrapolated"], table["flops"] > fitted.max() * (1 + 1e-9))
    drawn = frontier.frontier_figure(result, rows)
    assert "extrapolated" in texts(drawn) and "tokens per parameter" in texts(drawn)


@pytest.mark.medium
def test_profiles_show_limit_ends_and_open_sides(chinchilla, ax):
    result = chinchilla[0]
    profiles = profile_likelihood(result)
    draw_profile(ax, profiles["alpha"], result)
    limit = next(line for line in ax.lines if line.get_label() == "limit")
    assert limit.get_ydata()[0] == profiles["alpha"].limit
    assert "open" not in texts(ax.figure)
    assert len(profiles_figure(profiles, result).axes) == 5
    table = profiles_table(profiles)
    own = table.loc[table["parameter"] == "beta"]
    np.testing.assert_array_equal(own["deviance"], profiles["beta"].deviance)

    # Over a decade of sizes nothing distinguishes a floor from none.
    rng = np.random.default_rng(3)
    size = np.geomspace(1e6, 1e7, 9)
    loss = 30 * size**-0.1 * np.exp(0.02 * rng.standard_normal(9))
    shallow = fit(SATURATING_POWER_LAW, size, loss)
    found = profile_likelihood(shallow)
    assert found["E"].open_sides == ("lower",)
    assert "open" in texts(profiles_figure(found, shallow))


def test_clouds_leave_out_what_is_held_and_shade_the_interval(chinchilla):
    result, x, y = chinchilla
    assert len(clouds_figure(result).axes) == 5 + 4 * 5 // 2
    held = fit(CHINCHILLA, x, y, fixed={"alpha": 0.35, "A": 480.0})
    assert len(clouds_figure(held).axes) == 3 + 3
    table = clouds_table(held)
    assert (table["alpha"] == 0.35).all()
    np.testing.assert_allclose(table["beta"].quantile([0.025, 0.975]), held.intervals["beta"],
                               rtol=0.01)  # fmt: skip


def test_residuals_are_those_of_the_fit(chinchilla):
    result = chinchilla[0]
    flagged = np.arange(36) == 5
    table = residuals_table(result, flagged)
    np.testing.assert_allclose(table["residual"], result.residuals)
    assert table["flagged"].sum() == 1
    drawn = residuals_figure(result, flagged=flagged)
    assert len(drawn.axes) == 4
    assert "flagged" in texts(drawn) and "normal quantile" in texts(drawn)


def test_bands_are_those_of_the_curve_and_of_a_new_run(curve):
    x, y = curve
    result = fit(SATURATING_POWER_LAW, x, y)
    at = np.geomspace(1e6, 1e9, 5)
    table = curve_table(result, at)
    np.testing.assert_allclose(table[["confidence_low", "confidence_high"]].T,
                               result.predict_interval(at))  # fmt: skip
    np.testing.assert_allclose(table[["prediction_low", "prediction_high"]].T,
                               result.prediction_interval(at))  # fmt: skip
    drawn = curve_figure(result)
    bands = {band.get_gid() for band in drawn.axes[0].collections}
    assert {"confidence", "prediction"} <= bands


def test_axes_say_what_a_law_predicts():
    x = np.linspace(1.8, 4, 30)
    y = 0.25 + 0.6 / (1 + np.exp(3 * (x - 2.6)))
    result = fit(
        TASK_SIGMOID,
        x,
        y + 0.01 * np.sin(9 * x),
        loss=Loss(scale="linear"),
        bootstrap=Bootstrap(n=200),
    )
    shown = curve_figure(result).axes[0]
    assert (shown.get_xlabel(), shown.get_ylabel()) == ("loss (nats)", "accuracy")


def test_rows_held_out_are_open_and_scored(curve):
    x, y = curve
    held_out = x > 1e8
    fits = [fit(law, x[~held_out], y[~held_out]) for law in (SATURATING_POWER_LAW, POWER_LAW)]
    drawn = held_out_figure(fits, x, y, held_out)
    for result in fits:
        off = np.log(y[held_out] / result.predict(x[held_out]))
        assert f"{np.sqrt(np.mean(off**2)):.3g}" in texts(drawn)
    marks = [each for each in drawn.axes[0].collections if isinstance(each, PathCollection)]
    (held,) = (each for each in marks if each.get_label() == "held out")
    np.testing.assert_allclose(np.asarray(held.get_offsets()), np.stack([x, y], 1)[held_out])
    np.testing.assert_array_equal(held.get_facecolor(), [[1.0, 1.0, 1.0, 1.0]])
    assert held_out_table(fits, x, y, held_out)["held_out"].sum() == 2 * held_out.sum()
    with pytest.raises(ValueError, match="held out"):
        held_out_figure(fits, x, y, np.zeros(24, dtype=bool))


@pytest.mark.medium
def test_figures_are_the_same_bytes_every_time(chinchilla, tmp_path):
    result, x, y = chinchilla
    rows = rows_of(CHINCHILLA, x, y)
    for name in ("one", "two"):
        style.save(surface.surface_figure(result, rows), tmp_path / name)
    for suffix in (".pdf", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


@pytest.mark.medium
def test_the_surface_of_every_law_of_two_inputs_is_drawn():
    rng = np.random.default_rng(2)
    two = [law for law in LAWS.values() if len(law.inputs) == 2 and {*law.inputs} <= {*"NDCM"}]
    assert {"kaplan", "interaction", "over_training"} <= {law.name for law in two}
    n, d = 10 ** rng.uniform(7, 9, 40), 10 ** rng.uniform(9, 11, 40)
    y = (1.8 + 480 * n**-0.35 + 2100 * d**-0.37) * np.exp(0.004 * rng.standard_normal(40))
    for law in two:
        columns = {"N": n, "D": d, "C": 6 * n * d, "M": d / n}
        x = np.stack([columns[name] for name in law.inputs], axis=1)
        rows = rows_of(law, x, y)
        drawn = surface.surface_figure(fit(law, x, y, bootstrap=Bootstrap(n=200)), rows)
        assert law.output.replace("_", " ") in texts(drawn)
