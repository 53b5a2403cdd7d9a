"""FLOPs until an interval is narrow: runs chosen as results arrive, against the grid in some order.

    python benchmarks/adaptive.py [--sets 10] [--noise 0.005] [--width 0.1]

Losses are planted: Chinchilla's law at `TRUTH` with log-normal noise, over a grid of sizes and
tokens. Nothing is trained. Of each set of losses, prints the FLOPs after which the 95 % interval of
alpha is as narrow as asked, as a share of the whole grid's: by `analysis.planning.adaptive`, and
with the grid done in its own order (sizes, then tokens), the cheapest runs first, and at random,
looked at after every `BATCH` runs by the same rule. Then how often the interval at the end holds
the planted value.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from analysis.estimate import Bootstrap, Floats
from analysis.laws import CHINCHILLA
from analysis.planning.adaptive import Aim, Grid, Next, choose

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
BATCH = 4
ORDERS = ("adaptive", "grid", "cheapest", "random")


def grid_of(n_sizes: int, n_tokens: int) -> Grid:
    """Sizes over two decades and tokens over two decades, by 6 N D."""
    sizes, tokens = np.geomspace(1e6, 1e8, n_sizes), np.geomspace(2e7, 2e9, n_tokens)
    x = np.array([(n, d) for n in sizes for d in tokens])
    return Grid(x, 6 * x.prod(axis=1))


def losses(grid: Grid, noise: float, rng: np.random.Generator) -> Floats:
    """Planted losses of all runs."""
    theta = CHINCHILLA.to_theta(np.array([TRUTH[name] for name in CHINCHILLA.params]))
    log_y = CHINCHILLA.log_predict(theta, np.log(grid.x))
    return np.exp(log_y + noise * rng.standard_normal(len(log_y)))


def spent_by(
    aim: Aim, grid: Grid, y: Floats, following: Callable[[Next, Floats], Sequence[int]]
) -> tuple[float, Next]:
    """FLOPs until the aim is reached, and what is known then."""
    known = np.full(len(y), np.nan)
    while True:
        done = np.isfinite(known)
        spent = float(grid.prices[done].sum())
        found = choose(aim, grid, known, ~done, spent)
        if found.stop is not None:
            return spent, found
        chosen = list(following(found, known))
        known[chosen] = y[chosen]


def in_order(order: Floats) -> Callable[[Next, Floats], Sequence[int]]:
    """Takes runs in an order, whatever is found."""

    def following(found: Next, known: Floats) -> Sequence[int]:
        return [int(run) for run in order if not np.isfinite(known[int(run)])][:BATCH]

    return following


def main() -> None:
    """Prints the shares of each set, and their medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--noise", type=float, default=0.005)
    parser.add_argument("--width", type=float, default=0.1)
    options = parser.parse_args()
    grid = grid_of(8, 8)
    whole = float(grid.prices.sum())
    aim = Aim(CHINCHILLA, "alpha", options.width, whole, batch=BATCH, bootstrap=Bootstrap(n=400))
    shares: dict[str, list[float]] = {name: [] for name in ORDERS}
    held, began = 0, time.process_time()
    for number in range(options.sets):
        rng = np.random.default_rng(number)
        y = losses(grid, options.noise, rng)
        orders = {
            "grid": np.arange(len(y)),
            "cheapest": np.argsort(grid.prices),
            "random": rng.permutation(len(y)),
        }
        spent, found = spent_by(aim, grid, y, lambda found, known: found.runs)
        shares["adaptive"].append(spent / whole)
        assert found.low is not None and found.high is not None
        held += found.low <= TRUTH["alpha"] <= found.high
        for name, order in orders.items():
            shares[name].append(spent_by(aim, grid, y, in_order(order))[0] / whole)
        last = ", ".join(f"{name} {each[-1]:.2%}" for name, each in shares.items())
        print(f"{last}; {found.stop}, alpha {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    print("median share of the FLOPs of the whole grid:")
    for name, each in shares.items():
        print(f"  {name:9} {np.median(each):.2%}")
    print(f"{held} of {options.sets} intervals hold alpha")
    print(f"{time.process_time() - began:.0f} s of a processor")


if __name__ == "__main__":
    main()
