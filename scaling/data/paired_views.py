"""Two views of one thing, as an image and its caption are, with a known mutual information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.stream import MOST_EXAMPLES, Examples, StreamSource, World
from scaling.fields import Argument, Count, Range
from scaling.keys import rng_for
from scaling.models.two_encoders import FIRST

if TYPE_CHECKING:
    from jax import Array

SECOND = 24
"""Numbers of the second view."""
NAMED = 2
"""Coordinates whose signs are the class of a pair: four classes."""

Correlation = Annotated[float, Range(low=0, high=1, low_excluded=True, high_excluded=True)]


@dataclass(frozen=True, kw_only=True)
class PairedViews(StreamSource):
    """Standard normal u and v, of which u_i and v_i have correlation c_i = `correlation` i^-1/2.

    Each is seen through a camera of its own, a random linear map plus the sine of another one, as
    `FIRST` and `SECOND` numbers; an input is both. The seed draws the cameras. Targets are u and v
    themselves, which nothing is trained on: they give the best contrastive loss that the very
    held-out pairs allow, in batches of `among`, beside what the model finds.

    A class of a pair is the signs of the first `NAMED` coordinates of v. Its prompt is the mean
    vector of the second views of a class, in the first half of the held-out pairs; in the other
    half first views are given the class of the nearest prompt, without being trained on any.

    Attributes:
        latent: Coordinates of u and v.
        correlation: Correlation of the first ones, c_1.
        vector: Size of the vectors that a model gives each view.
        among: Pairs of a held-out batch; losses compare with those of training in such batches.
        n_eval: Held-out pairs, a multiple of it.
    """

    kind: ClassVar[str] = "paired_views"
    n_train: Annotated[Count, Argument(1)] = MOST_EXAMPLES
    latent: Annotated[int, Range(low=NAMED, high=1024)] = 8
    correlation: Correlation = 0.9
    vector: Count = 16
    among: Count = 256
    n_eval: Count = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_eval % self.among:
            raise ValueError(
                f"paired_views.n_eval = {self.n_eval} is not a multiple of among = {self.among}: "
                "give one"
            )

    @property
    def n_inputs(self) -> int:
        """Size of an input: both views."""
        return FIRST + SECOND

    @property
    def n_outputs(self) -> int:
        """Size of an output: a vector of each view."""
        return 2 * self.vector

    @property
    def correlations(self) -> Float[np.ndarray, " latent"]:
        """c_i."""
        return self.correlation * np.arange(1.0, self.latent + 1) ** -0.5

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "paired_views/1"

    def world(self, seed: int) -> World:
        """The cameras."""
        rng = rng_for(seed, "cameras")
        scale = self.latent**-0.5
        return {
            name: (scale * rng.standard_normal((self.latent, size))).astype(np.float32)
            for name, size in (
                ("first", FIRST), ("first_bent", FIRST),
                ("second", SECOND), ("second_bent", SECOND),
            )
        }  # fmt: skip

    def example(self, world: World, key: Array) -> tuple[Array, Array]:
        """Both views, and u and v."""
        import jax
        import jax.numpy as jnp

        c = jnp.asarray(self.correlations, jnp.float32)
        u, noise = jax.random.normal(key, (2, self.latent))
        v = c * u + jnp.sqrt(1 - c**2) * noise
        seen = [
            latent @ world[name] + jnp.sin(latent @ world[f"{name}_bent"])
            for latent, name in ((u, "first"), (v, "second"))
        ]
        return jnp.concatenate(seen), jnp.concatenate([u, v])

    def measures(self, world: World, held_out: Examples, outputs: Array) -> dict[str, Array]:
        """Retrieval and naming by the model, and loss and retrieval of the exact critic."""
        import jax
        import jax.numpy as jnp

        c = jnp.asarray(self.correlations, jnp.float32)[None]
        u, v = jnp.split(held_out.targets, 2, axis=1)
        left, right = jnp.split(outputs, 2, axis=1)
        # log p(v | u) up to what does not depend on the pair, as inner products of vectors.
        shrink = c / (1 - c**2)
        exact = jnp.concatenate([u * shrink, -(c**2) * u**2 / (2 * (1 - c**2))], axis=1)
        own = jnp.sum(-(c**2) * v**2 / (2 * (1 - c**2)), axis=1)

        def in_batches(x: Array) -> Array:
            return x.reshape(-1, self.among, *x.shape[1:])

        def critic(exact: Array, v: Array, own: Array) -> tuple[Array, Array]:
            linear, bent = jnp.split(exact, 2, axis=1)
            scores = linear @ v.T + jnp.sum(bent, axis=1)[:, None] + own[None]
            return _loss(scores), _top_1(scores)

        best, ceiling = jax.vmap(critic)(*map(in_batches, (exact, v, own)))
        found = jax.vmap(lambda a, b: _top_1(a @ b.T))(in_batches(left), in_batches(right))
        return {
            "optimum": jnp.mean(best),
            "optimum top-1 share": jnp.mean(ceiling),
            "top-1 share": jnp.mean(found),
            "named share": _named(v, left, right),
        }


def _loss(scores: Array) -> Array:
    import jax
    import jax.numpy as jnp

    own = jnp.diagonal(scores)
    rows, columns = (jax.nn.logsumexp(scores, axis=axis) for axis in (1, 0))
    return jnp.mean((rows + columns) / 2 - own)


def _top_1(scores: Array) -> Array:
    import jax.numpy as jnp

    return jnp.mean(jnp.argmax(scores, axis=1) == jnp.arange(len(scores)))


def _named(v: Array, left: Array, right: Array) -> Array:
    """Share of the second half whose first view is nearest to the prompt of its own class."""
    import jax
    import jax.numpy as jnp

    classes = jnp.sum((v[:, :NAMED] > 0) * 2 ** jnp.arange(NAMED)[None], axis=1)
    half = len(v) // 2
    members = jax.nn.one_hot(classes[:half], 2**NAMED)
    prompts = (members.T @ right[:half]) / (jnp.sum(members, axis=0)[:, None] + 1e-6)
    prompts /= jnp.linalg.norm(prompts, axis=1, keepdims=True) + 1e-6
    guessed = jnp.argmax(left[half:] @ prompts.T, axis=1)
    return jnp.mean(guessed == classes[half:])
