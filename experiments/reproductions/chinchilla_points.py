"""The digitised points of Hoffmann et al. 2022, figure 4, as its two reproductions take them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.laws import CHINCHILLA
from experiments.reproductions.published import log_predict

DELTA = 1e-3
"""Huber's threshold on log loss (arXiv 2203.15556, section 3.3)."""

N_OUTLIERS = 5
"""Largest losses that Besiroglu et al. leave out (arXiv 2404.10102)."""

ROUNDED = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
"""Hoffmann et al. 2022, equation 10: what the paper prints."""

TEX = {
    "E": float(np.exp(0.5267228)),
    "A": float(np.exp(6.0073404)),
    "B": float(np.exp(6.0179186)),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}
"""The same constants before they were rounded, from the paper's TeX source."""


class Points(NamedTuple):
    """Runs: (N, D), shape `(n, 2)`; nats per token, shape `(n,)`; FLOPs, shape `(n,)`."""

    x: Floats
    loss: Floats
    flops: Floats


def points(table: pd.DataFrame, n_dropped: int = N_OUTLIERS) -> Points:
    """Parameters and tokens, D = C / (6 N), losses and FLOPs, without the largest losses."""
    columns = ("Model Size", "Training FLOP", "loss")
    n, flops, losses = (table[name].to_numpy(np.float64) for name in columns)
    kept = np.argsort(losses, kind="stable")[: len(losses) - n_dropped]
    x = np.stack([n, flops / (6 * n)], axis=1)
    return Points(x[kept], losses[kept], flops[kept])


def residuals(params: Mapping[str, float], of: Points) -> Floats:
    """Log loss minus log loss by the law with these parameters."""
    return np.log(of.loss) - log_predict(CHINCHILLA, params, of.x)
