"""FLOPs until an interval is narrow: runs chosen as results arrive, against the grid in some order.

    python benchmarks/adaptive.py [--sets 10] [--noise 0.005] [--width 0.1]

Losses are planted: Chinchilla's law at `TRUTH` with log-normal noise, over a grid of sizes and
tokens. Nothing is trained. Of each set of losses, prints the FLOPs after which the 95 % interval of
alpha is as narrow as asked, as a share of the whole grid's: by `analysis.planning.adaptive`, and
with the grid done in its own order (sizes, then tokens), the cheapest runs first, and at random,
looked at after every `BATCH` runs, whether or not the fit is doubtful or has predicted a dear run.
Then how often the interval at the end holds the planted value.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

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


def chosen(aim: Aim, grid: Grid, y: Floats) -> tuple[float, Next]:
    """FLOPs until nothing more is chosen, and what is known then."""
    known = np.full(len(y), np.nan)
    while True:
        done = np.isfinite(known)
        spent = float(grid.prices[done].sum())
        found = choose(aim, grid, known, ~done, spent)
        if found.stop is not None:
            return spent, found
        known[list(found.runs)] = y[list(found.runs)]


def in_order(aim: Aim, grid: Grid, y: Floats, order: NDArray[np.intp]) -> float:
    """FLOPs until the interval is as narrow as asked, of runs in an order, `BATCH` at a time."""
    for n_runs in range(aim.n_first, len(y) + 1, BATCH):
        known = np.full(len(y), np.nan)
        known[order[:n_runs]] = y[order[:n_runs]]
        found = choose(aim, grid, known, np.isnan(known), 0.0)
        if found.low is not None and found.high is not None:
            if found.high - found.low <= aim.width:
                break
    return float(grid.prices[order[:n_runs]].sum())


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
        spent, found = chosen(aim, grid, y)
        shares["adaptive"].append(spent / whole)
        assert found.low is not None and found.high is not None
        held += found.low <= TRUTH["alpha"] <= found.high
        for name, order in orders.items():
            shares[name].append(in_order(aim, grid, y, order) / whole)
        last = ", ".join(f"{name} {each[-1]:.2%}" for name, each in shares.items())
        print(f"{last}; {found.stop}, alpha {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    print("median share of the FLOPs of the whole grid:")
    for name, each in shares.items():
        print(f"  {name:9} {np.median(each):.2%}")
    print(f"{held} of {options.sets} intervals hold alpha")
    print(f"{time.process_time() - began:.0f} s of a processor")


if __name__ == "__main__":
    main()
