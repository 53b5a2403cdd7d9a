"""Grids that miss the interpolation threshold, said from their plan: before anything is trained."""

import math
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from analysis.double_descent.missing_sizes import missing_sizes
from scaling.accounting import account
from scaling.config import RunConfig
from scaling.fields import flatten, to_dict
from scaling.solving import Ridge, Ridgeless, RidgelessEnsemble

REACHED = 0.2
"""Parameters of a trained network over samples times outputs, by which it has interpolated: 0.12
and 0.17 for the CNN and the MLP of MNIST-1D (arXiv 2011.14439). Least squares takes 1."""

_CLOSED_FORM = (Ridge, Ridgeless, RidgelessEnsemble)


def missed_thresholds(configs: Sequence[RunConfig], size: str) -> list[str]:
    """A line for each curve of a sweep that lies on one side of the interpolation threshold.

    A curve is what differs in its size alone, in model and number of samples. Curves of a single
    size, and those whose parameters do not grow with it, are left out.

    Args:
        configs: The runs of the sweep.
        size: Path of the size of the models along which its runs are to cross the threshold.
    """
    lines = []
    for config, sizes, counts in _curves(configs, size):
        n, n_outputs = config.data.n_train, config.data.n_outputs
        full = n * n_outputs
        share = 1.0 if isinstance(config.train, _CLOSED_FORM) else REACHED
        if counts[-1] <= share * full:
            expected, lies = share * full, f"its largest has {counts[-1]:,} parameters"
            remedy = f"{math.ceil(counts[-1] / (share * n_outputs)) - 1} at most"
        elif counts[0] >= full:
            expected, lies = full, f"its smallest has {counts[0]:,} parameters"
            remedy = f"{counts[0] // n_outputs + 1} at least"
        else:
            continue
        add = ", ".join(f"{each:g}" for each in missing_sizes(sizes, counts, expected).add)
        lines.append(
            f"at n = {n:,} the grid of {size}, {sizes[0]:g} to {sizes[-1]:g}, misses the "
            f"interpolation threshold: {lies}, and {expected:,.0f} are expected to reach it "
            f"(n x outputs = {full:,}). Add {size} {add}, or --set data.n_train={remedy}"
        )
    return lines


def _curves(
    configs: Sequence[RunConfig], size: str
) -> Iterator[tuple[RunConfig, np.ndarray, np.ndarray]]:
    """One configuration of each curve, with its sizes, ascending, and the parameters of each."""
    found: dict[Hashable, dict[float, RunConfig]] = {}
    for config in configs:
        plain = flatten({"model": to_dict(config.model)})
        at = plain.pop(size)
        closed = isinstance(config.train, _CLOSED_FORM)
        curve = repr(plain), config.data.n_train, config.data.n_outputs, closed
        found.setdefault(curve, {}).setdefault(at, config)
    for of_size in found.values():
        sizes = np.array(sorted(of_size))
        counts = np.array([account(of_size[at]).n_params_trainable for at in sizes])
        if len(sizes) > 1 and np.all(np.diff(counts) > 0):
            yield of_size[sizes[0]], sizes, counts
