"""Pairs of responses and which of them is preferred, by a gold reward that nobody else sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.stream import MOST_EXAMPLES, Examples, StreamSource, World
from scaling.fields import Argument, Count, Decay, Range
from scaling.keys import rng_for

if TYPE_CHECKING:
    from jax import Array

NUMBERS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1200, 2000, 3000, 5000, 8000)
"""n of best-of-n that are measured."""

TILTS = tuple(2.0 ** (k / 2) for k in range(-8, 13))
"""Strengths of the exponential tilts, in units of the proxy's standard deviation."""

Pairs = Annotated[int, Range(low=10)]
"""Number of pairs, at least 10: then 1 is at most a twentieth of the responses (`best_of`)."""


@dataclass(frozen=True, kw_only=True)
class Preferences(StreamSource):
    """Two responses, and which one the gold reward prefers; a share `flipped` of labels is wrong.

    A response is x = z (freedom / chi^2_freedom)^1/2 with z ~ N(0, I): Student's, whose tails are
    the heavier the smaller `freedom`. Its gold reward is a random network of 32 tanh units, scaled
    to variance 1, less log(1 + |x|^2 / 64). The seed draws it. An input is both responses, one
    after the other, and the class is 1 where the second is preferred.

    Held-out pairs serve as 2 n_eval responses, too. Ranked by the outputs of a model, which are to
    be its rewards of both, they give the gold reward of the best of n by the unbiased estimate over
    all choices, and the exact exponential tilt, beside its divergence and its proxy reward.

    Attributes:
        dimension: Size of a response.
        freedom: Degrees of freedom.
        flipped: Share of the labels trained on that are wrong.
        n_eval: Held-out pairs.
    """

    kind: ClassVar[str] = "preferences"
    n_train: Annotated[Count, Argument(1)] = MOST_EXAMPLES
    dimension: Count = 16
    freedom: Annotated[int, Range(low=1, high=64)] = 8
    flipped: Decay = 0.1
    n_eval: Pairs = 2**15

    n_classes: ClassVar[int | None] = 2

    @property
    def n_inputs(self) -> int:
        """Size of an input: two responses."""
        return 2 * self.dimension

    @property
    def n_outputs(self) -> int:
        """Size of an output: the reward of each response."""
        return 2

    @property
    def best_of(self) -> tuple[int, ...]:
        """Every n whose best is measured: up to a twentieth of the responses."""
        return tuple(n for n in NUMBERS if 20 * n <= 2 * self.n_eval)

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "preferences/1"

    def world(self, seed: int) -> World:
        """The network of the gold reward, scaled on 4,096 responses, and the chances of ranks."""
        rng = rng_for(seed, "gold")
        inner = rng.standard_normal((self.dimension, 32)) / self.dimension**0.5
        outer = rng.standard_normal(32)
        z = rng.standard_normal((4096, self.dimension))
        x = z * np.sqrt(self.freedom / rng.chisquare(self.freedom, (4096, 1)))
        outer /= np.std(np.tanh(2 * x @ inner) @ outer)
        ranks = np.array([rank_weights(n, 2 * self.n_eval) for n in self.best_of])
        arrays = {"inner": inner, "outer": outer, "ranks": ranks}
        return {name: array.astype(np.float32) for name, array in arrays.items()}

    def gold(self, world: World, x: Array) -> Array:
        """Gold rewards of responses, shape (..., dimension)."""
        import jax.numpy as jnp

        network = jnp.tanh(2 * x @ world["inner"]) @ world["outer"]
        return network - jnp.log1p(jnp.sum(jnp.square(x), axis=-1) / 64)

    def example(self, world: World, key: Array) -> tuple[Array, Array]:
        """Two responses and the label, which may be wrong."""
        import jax
        import jax.numpy as jnp

        pair, coin = jax.random.split(key)
        x, better = self._pair(world, pair)
        wrong = jax.random.uniform(coin) < self.flipped
        return x, jnp.where(wrong, 1 - better, better)

    def held_out(self, world: World, key: Array) -> Examples:
        """Pairs with the right labels."""
        import jax
        import jax.numpy as jnp

        keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(self.n_eval))
        x, better = jax.vmap(lambda each: self._pair(world, each))(keys)
        return Examples(x, better, jnp.full(self.n_eval, 1 / self.n_eval))

    def measures(self, world: World, held_out: Examples, outputs: Array) -> dict[str, Array]:
        """Gold of the best of n and of the tilts, above the mean of all responses."""
        import jax
        import jax.numpy as jnp

        gold = self.gold(world, held_out.inputs.reshape(-1, self.dimension))
        gold, proxy = gold - jnp.mean(gold), outputs.reshape(-1)
        proxy = (proxy - jnp.mean(proxy)) / (jnp.std(proxy) + 1e-6)
        found = {"correlation": jnp.mean(proxy * gold) / jnp.std(gold)}
        best = world["ranks"] @ gold[jnp.argsort(proxy)]
        found |= {f"gold best of {n}": best[i] for i, n in enumerate(self.best_of)}
        for strength in TILTS:
            log_share = jax.nn.log_softmax(strength * proxy)
            share = jnp.exp(log_share)
            found |= {
                f"kl tilt {strength:g}": jnp.sum(share * (log_share + jnp.log(len(proxy)))),
                f"gold tilt {strength:g}": jnp.sum(share * gold),
                f"proxy tilt {strength:g}": jnp.sum(share * proxy),
            }
        return found

    def _pair(self, world: World, key: Array) -> tuple[Array, Array]:
        import jax
        import jax.numpy as jnp

        normal, squares = jax.random.split(key)
        z = jax.random.normal(normal, (2, self.dimension))
        chi2 = jnp.sum(jnp.square(jax.random.normal(squares, (2, self.freedom))), axis=1)
        x = z * jnp.sqrt(self.freedom / chi2)[:, None]
        first, second = self.gold(world, x)
        return x.reshape(-1), (second > first).astype(jnp.int32)


def rank_weights(n: float, samples: int) -> Float[np.ndarray, " samples"]:
    """Chance of each of M ranked samples to be the best of n drawn of them without replacement.

    Weights C(k - 1, n - 1) / C(M, n) of the k-th smallest; with them the mean over ranks is the
    unbiased estimate of the mean of the best of n.

    Args:
        n: n, from 1 to M.
        samples: M.

    Raises:
        ValueError: more samples to choose of than there are.
    """
    if not 1 <= n <= samples:
        raise ValueError(
            f"n = {n:g} of {samples} samples: give 1 to {samples}; for stable means, at most a "
            "twentieth of them"
        )
    from scipy.special import gammaln  # configurations load without SciPy

    k = np.arange(1.0, samples + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_choices = gammaln(k) - gammaln(k - n + 1)
    log_all = gammaln(samples + 1) - gammaln(samples - n + 1)
    return np.where(k >= n, n * np.exp(log_choices - log_all), 0.0)
