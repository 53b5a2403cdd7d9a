"""How far two sets of numbers are apart, in standard errors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from analysis.plots.style import GREY, INK, SERIES

_MOST_NAMES = 12


def draw_differences(ax: Axes, names: Sequence[str], apart: ArrayLike, far: float) -> None:
    """Draws a mark for each number, the first on top, with the band within which they agree.

    Args:
        ax: The panel.
        names: What the numbers are.
        apart: Differences in standard errors, shape (n,); those that are not finite are left out.
        far: Standard errors beyond which two numbers differ.
    """
    along = np.asarray(apart, dtype=float)
    rows = np.arange(len(along))
    ax.axvspan(-far, far, color=GREY, alpha=0.15, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
    differ = np.abs(along) > far
    for look, chosen, label in ((SERIES[0], ~differ, "agree"), (SERIES[1], differ, "differ")):
        kept = chosen & np.isfinite(along)
        if kept.any():
            ax.plot(along[kept], rows[kept], label=label, **look.marks())
    ax.set(ylim=(len(along) - 0.5, -0.5), xlabel="difference (standard errors)")
    if len(names) <= _MOST_NAMES:
        ax.set_yticks(rows, names)
    else:
        ax.set(yticks=[], ylabel=f"{len(names)} cells")
    reach = max(np.max(np.abs(along[np.isfinite(along)]), initial=0), far) * 1.15
    ax.set_xlim(-reach, reach)
