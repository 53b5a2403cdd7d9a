"""Profile likelihoods as figures: how fast rows become unlikely as a parameter leaves its estimate.

A parameter that the rows identify has a valley with two walls; one that they do not identify has
an open side, on which the deviance stays below its limit. The dashed parabola is the same valley
by the standard error alone; where the two differ, an interval of plus or minus so many standard
errors is wrong.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from scipy.interpolate import PchipInterpolator

from analysis.estimate import Floats
from analysis.fitting.profile import Profile
from analysis.fitting.result import FitResult
from analysis.plots.style import (
    DOUBLE_COLUMN,
    GREY,
    SERIES,
    SINGLE_COLUMN,
    letter_panels,
    new_figure,
    paper_style,
)
from analysis.plots.ticks import log_ticks, symbol

_TOP = 2.0  # top of the deviance axis, in limits
_N_COLUMNS = 3
_PANEL_HEIGHT = 1.75  # inches
_N_GRID = 400
_FLAT = 0.02  # share of the limit below which a change of the deviance cannot be seen
_MARGIN = 0.08  # share of a panel's width on each side of what it has to show
_FARTHEST = 600.0  # largest logarithm whose exponential is taken: far below the end of float64


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
    ax.set(xlim=_from_axis(np.array(span), is_log), ylim=(0, _TOP * profile.limit))

    ax.axhline(profile.limit, color=GREY, linewidth=0.8, zorder=1.5, label="limit")
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
        centre = _to_axis(profile.estimate, is_log)
        ax.plot(
            _from_axis(grid, is_log),
            ((grid - centre) / error) ** 2,
            color=SERIES[1].color,
            linestyle=SERIES[1].linestyle,
            linewidth=1.0,
            zorder=2.2,
            label="from the standard error",
        )
    _draw_deviance(ax, profile, is_log, grid)
    _mark_ends(ax, profile)
    if is_log:
        log_ticks(ax, "x", most=4)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        ax.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
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
    n = len(profiles)
    n_columns = 2 if n == 4 else min(n, _N_COLUMNS)
    n_rows = -(-n // n_columns)
    width = SINGLE_COLUMN if n == 1 else DOUBLE_COLUMN
    with paper_style():
        height = _PANEL_HEIGHT * n_rows + 0.4
        figure, grid = new_figure(n_rows, n_columns, width=width, height=height)
        entries: dict[str, Line2D] = {}
        for ax, profile in zip(grid.flat, profiles.values(), strict=False):
            draw_profile(ax, profile, result)
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                entries[label] = handle
        for ax in grid.flat[n:]:
            ax.remove()
        for ax in grid[:, 0]:
            ax.set_ylabel("deviance")
        if n > 1:
            letter_panels(grid.flat[:n])
        n_entries = 2 if n == 1 else len(entries)
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=n_entries)
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
    at = _to_axis(profile.values, is_log)
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
            [*zip(at, roots, strict=True), *((_to_axis(e, is_log), r) for e, r in ends)]
        )
        _, first = np.unique(known[:, 0], return_index=True)
        smooth = PchipInterpolator(*known[first].T, extrapolate=False)
        # The curve ends with the values that were tried.
        fine = np.union1d(grid, at)
        ax.plot(
            _from_axis(fine, is_log),
            smooth(fine) ** 2,
            color=style.color,
            label="profile likelihood",
            zorder=2.4,
        )
    ax.plot(
        profile.values,
        profile.deviance,
        color=style.color,
        marker=style.marker,
        markersize=2.6,
        linestyle="none",
        zorder=2.5,
    )
    ax.plot(
        [profile.estimate],
        [0.0],
        color=style.color,
        marker="D",
        markersize=4.5,
        markerfacecolor="white",
        linestyle="none",
        clip_on=False,
        zorder=3,
        label="estimate",
    )


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
        place = {"xycoords": ("axes fraction", "data"), "textcoords": ("axes fraction", "data")}
        ax.annotate(
            "",
            (edge, profile.limit),
            xytext=(edge + 0.24 * inward, profile.limit),
            arrowprops={
                "arrowstyle": "-|>",
                "color": color,
                "linewidth": 1.2,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=3,
            **place,  # pyright: ignore[reportArgumentType]
        )
        ax.annotate(
            "open",
            (edge + 0.02 * inward, profile.limit),
            xycoords=("axes fraction", "data"),
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
    at = _to_axis(profile.values, is_log)
    centre = float(_to_axis(profile.estimate, is_log))
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


def _to_axis(value: Floats | float, is_log: bool) -> Floats:
    """Coordinate that is linear along the axis: the logarithm, or the value itself."""
    return np.log(value) if is_log else np.asarray(value, dtype=np.float64)


def _from_axis(at: Floats, is_log: bool) -> Floats:
    """Value at a coordinate of the axis."""
    return np.exp(np.clip(at, -_FARTHEST, _FARTHEST)) if is_log else at
