"""Random permutations without memory: each image is computed from its number alone."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int, UInt64

from scaling.keys import rng_for

ROUNDS = 12


def in_order(seed: int, numbers: Int[np.ndarray, " count"], size: int) -> Int[np.ndarray, " count"]:
    """Examples that a run takes at these places, of a set that it goes through again and again.

    Every pass over the set is a new permutation. An example is a function of seed and place alone.

    Args:
        seed: Seed of the run.
        numbers: Places, the first of which is 0.
        size: Number of examples in the set.
    """
    passes, places = np.divmod(numbers, size)
    keys = rng_for(seed, "order").integers(0, 2**64, ROUNDS, dtype=np.uint64)
    return permuted(places, size, keys, passes)


def spread(places: Int[np.ndarray, " count"], size: int) -> Int[np.ndarray, " count"]:
    """Examples in a random order that is the same for every run.

    Its first ones are a random sample of a set, and smaller samples are the beginnings of larger.

    Args:
        places: Places in that order, the first of which is 0.
        size: Number of examples in the set.
    """
    keys = rng_for(0, "sample").integers(0, 2**64, ROUNDS, dtype=np.uint64)
    return permuted(places, size, keys, np.zeros_like(places))


def permuted(
    places: Int[np.ndarray, " count"],
    size: int,
    keys: UInt64[np.ndarray, " rounds"],
    numbers: Int[np.ndarray, " count"],
) -> Int[np.ndarray, " count"]:
    """Images of numbers under random permutations of 0, ..., size - 1.

    A place is a pair of digits to a base b of about size^1/2, and a round of a Feistel network maps
    (x, y) to (y, x + hash(y) mod b), each round with a key of its own. What lands on or above
    `size` goes through all rounds again until it does not; b^2 is not far above it, and this is
    rare (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", methods 2 and 3). The hash
    is the finaliser of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number
    generators").

    Args:
        places: Numbers from 0 to size - 1.
        size: Size of the permutations, from 1 to 2^62.
        keys: Random keys, one for each of `ROUNDS` rounds.
        numbers: Index, for each place, of the permutation among those with these keys; below 2^32.
    """
    # An even one: to an odd base all rounds are even permutations, and orders come unevenly.
    base = np.uint64(max(4, (math.isqrt(size - 1) + 2) // 2 * 2))
    which = numbers.astype(np.uint64) << np.uint64(32)
    found = _through(places.astype(np.uint64), base, keys, which)
    while len(outside := np.flatnonzero(found >= size)):
        found[outside] = _through(found[outside], base, keys, which[outside])
    return found.astype(np.int64)


def _through(
    places: UInt64[np.ndarray, " count"],
    base: np.uint64,
    keys: UInt64[np.ndarray, " rounds"],
    which: UInt64[np.ndarray, " count"],
) -> UInt64[np.ndarray, " count"]:
    """Images after all rounds of places below base^2."""
    x, y = np.divmod(places, base)
    for key in keys:
        # Of the hash, 56 bits: with a digit added to them they do not overflow.
        x, y = y, (x + (_hashed((which | y) ^ key) >> np.uint64(8))) % base
    return x * base + y


def _hashed(values: UInt64[np.ndarray, " count"]) -> UInt64[np.ndarray, " count"]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
