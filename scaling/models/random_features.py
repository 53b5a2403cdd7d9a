"""Random features: a fixed random layer under a trained linear read-out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from scaling.fields import Count, Positive
from scaling.models.linear import LinearReadOut

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params


@dataclass(frozen=True, kw_only=True)
class RandomFeatures(LinearReadOut):
    """Random Fourier features sqrt(2/N) cos(x'w + b), or ReLU features sqrt(2/N) max(x'w, 0).

    Directions w are Gaussian with standard deviation `weight_scale` in each coordinate; phases b
    are uniform on [0, 2 pi). Scaled so, inner products of features tend to a kernel as N grows:
    the Gaussian kernel exp(-weight_scale^2 |x - x'|^2 / 2) for "fourier" (Rahimi & Recht 2007),
    weight_scale^2 times the arc-cosine kernel of degree 1 for "relu" (Cho & Saul 2009).
    """

    kind: ClassVar[str] = "random_features"
    n_features: Count
    activation: Literal["fourier", "relu"] = "fourier"
    weight_scale: Positive = 1.0

    def feature_map(self, n_inputs: int) -> Model:
        """The fixed layer, (batch, n_inputs) -> (batch, n_features).

        Drawn in float32, so that the same seed gives the same features whatever the precision of
        what follows.
        """
        import jax
        import jax.numpy as jnp

        from scaling.model import Model

        def init(key: Array) -> Params:
            for_directions, for_phases = jax.random.split(key)
            shape = (n_inputs, self.n_features)
            normal = jax.random.normal(for_directions, shape, jnp.float32)
            params = {"directions": self.weight_scale * normal}
            if self.activation == "fourier":
                size = (self.n_features,)
                params["phases"] = jax.random.uniform(
                    for_phases, size, jnp.float32, maxval=2 * math.pi
                )
            return params

        def apply(params: Params, x: Array) -> Array:
            directions = params["directions"].astype(x.dtype)
            if self.activation == "fourier":
                features = jnp.cos(x @ directions + params["phases"].astype(x.dtype)[None])
            else:
                features = jax.nn.relu(x @ directions)
            return math.sqrt(2 / self.n_features) * features

        return Model(init, apply)

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group; those of the fixed layer count, though they are not trained."""
        phases = self.n_features if self.activation == "fourier" else 0
        return {
            "features": n_inputs * self.n_features + phases,
            "readout": self.n_features * n_outputs,
        }

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example."""
        return 2 * self.n_features * (n_inputs + n_outputs)
