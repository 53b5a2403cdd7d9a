"""Three double-descent curves and a scaling law, drawn over what theory predicts.

Claim: three systems show one phenomenon: test error peaks where the model begins to interpolate its
training set. Beside them, a power law has the exponent that theory gives.
Paper: see the four parts: double_descent_linear, double_descent_random_features,
double_descent_mlp, power_law_regression.
Command: scaling run double_descent
Cost: 2,422 runs, about 90 s on two CPU cores.
Expected: what each part expects.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from analysis.plots import style
from experiments import (
    double_descent_linear,
    double_descent_mlp,
    double_descent_random_features,
    power_law_regression,
)
from experiments.experiment import Findings

PARTS = (
    double_descent_linear,
    double_descent_random_features,
    double_descent_mlp,
    power_law_regression,
)
"""Experiments that are drawn together."""

TITLES = (
    "linear regression",
    "random Fourier features, MNIST-1D",
    "MLP, MNIST-1D, 15 % wrong labels",
    "ridge on a power-law spectrum",
)
"""Titles of the panels of the parts."""

CAPTION = (
    "Test risk or loss over the size of the model in (a) linear regression, (b) random Fourier "
    "features and (c) a network with wrong labels; (d) test error over examples for a power-law "
    "spectrum, with theory and fit.",
    "The curves peak at {double_descent_linear.ridgeless_peak}, "
    "{double_descent_random_features.peak_over_threshold} and "
    "{double_descent_mlp.peak_over_threshold} times the interpolation threshold; the fitted "
    "exponent is {power_law_regression.exponent}.",
)
ALT = (
    "Four charts.",
    "Three test curves peak where the model begins to interpolate and then descend again; the "
    "fourth is a straight line on logarithmic axes with exponent "
    "{power_law_regression.exponent}.",
)


def figure(findings: Mapping[str, Findings[Any]]) -> Figure:
    """Draws the main panel of every part; findings are by its name."""
    with style.paper_figure(2, 2, height=5.2) as (drawing, axes):
        for ax, part, title in zip(axes.flat, PARTS, TITLES, strict=True):
            part.overview(ax, findings[part.__name__.rpartition(".")[2]])
            ax.set_title(title)
    return drawing
