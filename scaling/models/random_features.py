"""Random features: a fixed random layer under a trained linear read-out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from scaling.fields import Count, Newer, Positive
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

    Attributes:
        n_features: N.
        activation: The function of each feature.
        weight_scale: Standard deviation of the coordinates of w.
        nested: Whether the features of a smaller model are, at one seed, the first of a larger
            one's but for their scale. Runs that differ in N alone then share their solution.
        directions: "gaussian", or "sphere": uniform at the norm that a Gaussian one has on average,
            weight_scale sqrt(n_inputs) (Mei & Montanari, arXiv 1908.05355).
        centred: Whether ReLU features have the mean subtracted that they have at inputs of norm
            sqrt(n_inputs), weight_scale sqrt(n_inputs / 2 pi) before the scale.
    """

    kind: ClassVar[str] = "random_features"
    n_features: Count
    activation: Literal["fourier", "relu"] = "fourier"
    weight_scale: Positive = 1.0
    nested: Annotated[bool, Newer()] = False
    directions: Annotated[Literal["gaussian", "sphere"], Newer()] = "gaussian"
    centred: Annotated[bool, Newer()] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.centred and self.activation == "fourier":
            raise ValueError(
                "random_features.centred = True is for activation = 'relu': Fourier features have "
                "a mean of 0 over their phases. Leave it out"
            )

    @property
    def feature_scale(self) -> float:
        """Factor that all features have in common."""
        return math.sqrt(2 / self.n_features)

    def feature_map(self, n_inputs: int) -> Model:
        """The fixed layer, (batch, n_inputs) -> (batch, n_features).

        Drawn in float32, so that the same seed gives the same features whatever the precision of
        what follows.
        """
        import jax
        import jax.numpy as jnp

        from scaling.model import Model

        mean = self.weight_scale * math.sqrt(n_inputs / (2 * math.pi)) if self.centred else 0.0

        def normal(key: Array) -> Array:
            if self.nested:  # drawn feature by feature
                return jax.random.normal(key, (self.n_features, n_inputs), jnp.float32).T
            return jax.random.normal(key, (n_inputs, self.n_features), jnp.float32)

        def init(key: Array) -> Params:
            for_directions, for_phases = jax.random.split(key)
            directions = normal(for_directions)
            if self.directions == "sphere":
                norms = jnp.linalg.norm(directions, axis=0, keepdims=True)
                directions = directions * (math.sqrt(n_inputs) / norms)
            params = {"directions": self.weight_scale * directions}
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
                features = jax.nn.relu(x @ directions) - mean
            return self.feature_scale * features

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
