"""Profile likelihoods as figures: how fast rows become unlikely as a parameter leaves its estimate.

A parameter that the rows identify has a valley with two walls; one that they do not identify has
an open side, on which the deviance stays below its limit. The dashed parabola is the same valley
by the standard error alone; where the two differ, an interval of plus or minus so many standard
errors is wrong.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import PchipInterpolator

from analysis.estimate import Floats
from analysis.fitting.profile import Profile
from analysis.fitting.result import FitResult
from analysis.plots.style import GREY, SERIES, new_panels, outer_legend, paper_style
from analysis.plots.ticks import (
    from_axis,
    linear_ticks,
    log_ticks,
    symbol,
    to_axis,
    whole_numbers,
)

_TOP = 2.0  # top of the deviance axis, in limits
_PANEL_HEIGHT = 1.75  # inches
_N_GRID = 400
_FLAT = 0.02  # share of the limit below which a change of the deviance cannot be seen
_MARGIN = 0.08  # share of a panel's width on each side of what it has to show


def draw_profile(ax: Axes, profile: Profile, result: FitResult) -> Axes:
    """Draws the deviance against the value at which a parameter was held.

    Dots are the values that were tried; the line through them interpolates the signed root of the
    deviance, which is nearly straight. Dotted lines drop from the ends of the interval; a side
    without one has an arrow and the word "open". The dashed line is the Wald approximation
    `((u - u_estimate) / error)^2`, with u the coordinate that was fitted: the logarithm for the
    parameters in `law.logs`, whose axis is logarithmic too.

    Args:
        ax: Empty axes.
        profile: Profile of a parameter, or of a number in `result.derived()`.
        result: The fit that was profiled.

    Returns:
        The axes, with the parameter in its own unit along x and the deviance (no unit) along y.

    Raises:
        ValueError: A profile of a name that the fit does not have.
    """
    error = _standard_error(result, profile.name)
    is_log = profile.name in result.law.logs
    if is_log:
        ax.set_xscale("log")
        error /= profile.estimate  # to first order, the error of the logarithm
    low, high = span = _span(profile, is_log)
    ax.set(xlim=from_axis(np.array(span), is_log), ylim=(0, _TOP * profile.limit))

    ax.axhline(profile.limit, color=GREY, linewidth=0.8, linestyle=":", zorder=1.5, label="limit")
    ax.annotate(
        f"{100 * profile.level:g} %",
        (1, profile.limit),
        xycoords=("axes fraction", "data"),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        color=GREY,
    )
    grid = np.linspace(low, high, _N_GRID)
    if error > 0:
        centre = to_axis(profile.estimate, is_log)
        look = {"linewidth": 1.0, "zorder": 2.2, "label": "from the standard error"}
        wald = ((grid - centre) / error) ** 2
        ax.plot(from_axis(grid, is_log), wald, **SERIES[1].line(), **look)
    _draw_deviance(ax, profile, is_log, grid)
    _mark_ends(ax, profile)
    if is_log:
        log_ticks(ax, "x", most=4)
    else:
        linear_ticks(ax, "x", most=4)
    whole_numbers(ax, "y")
    ax.set_xlabel(symbol(profile.name))
    return ax


def profiles_figure(profiles: Mapping[str, Profile], result: FitResult) -> Figure:
    """Draws the profiles of a fit, each in a panel (`draw_profile`).

    Args:
        profiles: Profiles by name, from `analysis.fitting.profile.profile_likelihood`; others may
            be added.
        result: The fit that was profiled.

    Returns:
        The figure, two columns wide; one column for a single profile.

    Raises:
        ValueError: No profile.
    """
    if not profiles:
        raise ValueError("No profiles to draw; give those of profile_likelihood.")
    with paper_style():
        figure, panels, first = new_panels(len(profiles), height=_PANEL_HEIGHT, margin=0.4)
        for ax, profile in zip(panels, profiles.values(), strict=True):
            draw_profile(ax, profile, result)
        for ax in first:
            ax.set_ylabel("deviance")
        figure.align_xlabels()
        outer_legend(figure, panels, "outside lower center", 2 if len(profiles) == 1 else 4)
    return figure


def profiles_table(profiles: Mapping[str, Profile]) -> pd.DataFrame:
    """Returns the numbers behind `profiles_figure`.

    Args:
        profiles: Profiles by name.

    Returns:
        Columns "parameter", "value" (at which it was held, in its own unit) and "deviance".
    """
    columns = ["parameter", "value", "deviance"]
    tables = [
        pd.DataFrame({"parameter": each.name, "value": each.values, "deviance": each.deviance})
        for each in profiles.values()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _draw_deviance(ax: Axes, profile: Profile, is_log: bool, grid: Floats) -> None:
    """Draws the profile on a grid of its axis, and the values tried."""
    style = SERIES[0]
    at = to_axis(profile.values, is_log)
    side = np.sign(profile.values - profile.estimate)
    roots = side * np.sqrt(profile.deviance)
    if len(at) > 1:
        # The ends of the interval are points too: they are more exact than interpolation.
        ends = [
            (end, sign * np.sqrt(profile.limit))
            for name, end, sign in zip(("lower", "upper"), profile.interval, (-1, 1), strict=True)
            if name not in profile.open_sides
        ]
        known = np.array(
            [*zip(at, roots, strict=True), *((to_axis(e, is_log), r) for e, r in ends)]
        )
        _, first = np.unique(known[:, 0], return_index=True)
        smooth = PchipInterpolator(*known[first].T, extrapolate=False)
        # The curve ends with the values that were tried.
        fine = np.union1d(grid, at)
        line = {"color": style.color, "label": "profile likelihood", "zorder": 2.4}
        ax.plot(from_axis(fine, is_log), smooth(fine) ** 2, **line)
    ax.plot(profile.values, profile.deviance, **style.marks(), markersize=2.6, zorder=2.5)
    on_axis = {"markersize": 4.5, "clip_on": False, "zorder": 3, "label": "estimate"}
    ax.plot([profile.estimate], [0.0], **style._replace(marker="D").marks(filled=False), **on_axis)


def _mark_ends(ax: Axes, profile: Profile) -> None:
    """Draws a dotted line down from each end of the interval; an arrow on an open side."""
    color = SERIES[0].color
    for side, end, edge, inward in zip(
        ("lower", "upper"), profile.interval, (0.0, 1.0), (1, -1), strict=True
    ):
        if side not in profile.open_sides:
            ax.plot([end, end], [0, profile.limit], color=color, linewidth=0.8, linestyle=":")
            ax.plot([end], [profile.limit], color=color, marker="|", markersize=6, zorder=3)
            continue
        across: Any = ax.get_yaxis_transform()  # x in shares of the axis
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.2}
        ax.annotate(
            "",
            (edge, profile.limit),
            xytext=(edge + 0.24 * inward, profile.limit),
            xycoords=across,
            textcoords=across,
            arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0},
            zorder=3,
        )
        ax.annotate(
            "open",
            (edge + 0.02 * inward, profile.limit),
            xycoords=across,
            xytext=(0, 3.5),
            textcoords="offset points",
            ha="left" if inward > 0 else "right",
            va="bottom",
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            zorder=2.9,
        )


def _standard_error(result: FitResult, name: str) -> float:
    """Standard error of a parameter or a derived number; 0 where it has none."""
    if name in result.standard_errors:
        error = result.standard_errors[name]
    else:
        derived = result.derived()
        if name not in derived:
            known = ", ".join([*result.params, *derived])
            raise ValueError(f"The fit has no {name!r}; give a profile of one of {known}.")
        error = derived[name].standard_error
    return error if np.isfinite(error) else 0.0


def _span(profile: Profile, is_log: bool) -> tuple[float, float]:
    """Limits of the axis: the values tried; on an open side only as far as the deviance changes."""
    at = to_axis(profile.values, is_log)
    centre = float(to_axis(profile.estimate, is_log))
    reaches = {"lower": centre - at[0], "upper": at[-1] - centre}
    closed = [reach for side, reach in reaches.items() if side not in profile.open_sides]
    ends = {}
    for side, index, sign in (("lower", 0, -1), ("upper", -1, 1)):
        reach, last = reaches[side], profile.deviance[index]
        at_bound = not is_log and np.isfinite(profile.interval[index])
        if side in profile.open_sides and not at_bound:
            changing = (np.abs(profile.deviance - last) > _FLAT * profile.limit) & (
                sign * (at - centre) >= 0
            )
            seen = float(np.max(np.abs(at[changing] - centre), initial=0.0))
            decade = np.log(10) if is_log else 0.0
            reach = min(reach, max([*closed, 1.5 * seen, decade]) or reach)
        ends[side] = centre + sign * reach
    margin = _MARGIN * (ends["upper"] - ends["lower"])
    return ends["lower"] - margin, ends["upper"] + margin
