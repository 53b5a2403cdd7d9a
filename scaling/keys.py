"""Named random streams: a new stream never disturbs an old one.

Every draw of a run belongs to a stream with a name ("init", "data", "label_noise", "order"), and
a stream depends on the run's seed and its own name alone. Step t of a stream is `fold_in(key, t)`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax


def key_for(seed: int, stream: str) -> jax.Array:
    """Typed JAX key of a named stream, for what is drawn on the device (initial weights, order)."""
    import jax

    name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:4], "little")
    return jax.random.fold_in(jax.random.key(seed), name)


def rng_for(seed: int, stream: str) -> np.random.Generator:
    """NumPy generator of a named stream, for what is drawn on the host (data, label noise)."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
