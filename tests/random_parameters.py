"""Parameters of a model from NumPy: its own initial ones take as long to compile as the model."""

from typing import Any

import jax
import numpy as np

from scaling.model import Model


def random_parameters(model: Model, sd: float = 0.5) -> Any:
    """Normal numbers around 0.1, so that no gain or bias is neutral."""
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: random.normal(0.1, sd, leaf.shape).astype("f4"), shapes)
