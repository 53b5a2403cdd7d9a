"""The fit engine against a loop of SciPy calls on the same work, and the wall time of a process.

    python benchmarks/fit.py [--loop-starts 60] [--loop-replicates 40]

The work is that of Besiroglu et al. 2024 (arXiv 2404.10102): the Chinchilla law on 240 points,
Huber 1e-3 on log loss, from a grid of 4,500 starts, 4,000 bootstraps of cases, and on top the
profile likelihood of every parameter. The engine does all of it in a separate process: the wall
time counts imports and the reading of the file. The loop calls `scipy.optimize.minimize` once for
each start (L-BFGS-B) and each replicate (BFGS, from the estimate); it runs on an evenly spaced
subsample, and its time is scaled up. It is timed twice: with gradients by finite differences,
SciPy's default, and with exact ones. It does no profiles.

Points are those of `$SCALING_DATA_DIR/laws/chinchilla_digitised.csv`, or of `../shared/data`, or,
where neither is, planted with the published constants and noise.
"""

from __future__ import annotations

import csv
import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from figures import Figure, machine, options, report
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

from analysis.estimate import Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import FitResult, fit
from analysis.fitting.profile import profile_likelihood
from analysis.laws import CHINCHILLA

DELTA = 1e-3
N_REPLICATES = 4000
GRID = (
    np.arange(0, 2.5, 0.5),  # alpha
    np.arange(0, 2.5, 0.5),  # beta
    np.arange(-1, 1.5, 0.5),  # log E
    np.arange(0, 30, 5),  # log A
    np.arange(0, 30, 5),  # log B
)


def read_points() -> tuple[str, np.ndarray, np.ndarray]:
    """Where the points are from, N and D in columns, and losses."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("SCALING_DATA_DIR", beside)) / "laws" / "chinchilla_digitised.csv"
    if not path.exists():
        rng = np.random.default_rng(0)
        n = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), 240))
        d = np.exp(rng.uniform(np.log(1e9), np.log(3e11), 240))
        loss = (1.817 + 477.8 * n**-0.3473 + 2143.4 * d**-0.3672) * np.exp(
            0.005 * rng.standard_t(2, 240)
        )
        return "planted", np.stack([n, d], axis=1), loss
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    n, flops, loss = (
        np.array([float(row[name]) for row in rows])
        for name in ("Model Size", "Training FLOP", "loss")
    )
    kept = np.argsort(loss, kind="stable")[:-5]
    x = np.stack([n, flops / (6 * n)], axis=1)
    return str(path), x[kept], loss[kept]


def starts() -> np.ndarray:
    """The 4,500 starts: alpha, beta, log E, log A, log B."""
    return np.array(list(itertools.product(*GRID)))


def engine() -> FitResult:
    """All of the work, once."""
    _, x, y = read_points()
    alpha, beta, log_e, log_a, log_b = starts().T
    params = np.stack([np.exp(log_e), np.exp(log_a), np.exp(log_b), alpha, beta], axis=1)
    result = fit(
        CHINCHILLA.starting_at(params),
        x,
        y,
        loss=Loss(DELTA),
        bootstrap=Bootstrap(kind="rows", n=N_REPLICATES),
    )
    profiles = profile_likelihood(result)
    assert all(profile.identifiable for profile in profiles.values())
    return result


def objective(theta: np.ndarray, log_n: np.ndarray, log_d: np.ndarray, log_y: np.ndarray) -> float:
    """Huber's loss as the notebooks of the field write it."""
    alpha, beta, log_e, log_a, log_b = theta
    terms = [log_a - alpha * log_n, log_b - beta * log_d, np.full_like(log_n, log_e)]
    return float(huber(DELTA, log_y - logsumexp(terms, axis=0)).sum())


def objective_and_gradient(
    theta: np.ndarray, log_n: np.ndarray, log_d: np.ndarray, log_y: np.ndarray
) -> tuple[float, np.ndarray]:
    """The same with its exact gradient, written to be fast."""
    alpha, beta, log_e, log_a, log_b = theta
    # L-BFGS-B tries steps that overflow; the loss is then infinite and the step refused.
    np.seterr(over="ignore", invalid="ignore")
    of_n, of_d, floor = np.exp(log_a - alpha * log_n), np.exp(log_b - beta * log_d), np.exp(log_e)
    y = of_n + of_d + floor
    residuals = log_y - np.log(y)
    slopes = -np.clip(residuals, -DELTA, DELTA) / y
    gradient = np.array(
        [
            -slopes @ (of_n * log_n),
            -slopes @ (of_d * log_d),
            slopes.sum() * floor,
            slopes @ of_n,
            slopes @ of_d,
        ]
    )
    return float(huber(DELTA, residuals).sum()), gradient


def loop_seconds(n_starts: int, n_replicates: int, exact: bool) -> tuple[float, np.ndarray]:
    """Time of all of the loop, scaled up from a subsample, and the objectives of its starts."""
    _, x, y = read_points()
    rows = np.log(np.column_stack([x, y]))
    function = objective_and_gradient if exact else objective
    all_starts = starts()
    chosen = all_starts[np.linspace(0, len(all_starts) - 1, n_starts).astype(int)]
    began = time.perf_counter()
    found = [
        minimize(function, start, args=tuple(rows.T), jac=exact, method="L-BFGS-B")
        for start in chosen
    ]
    best = min(found, key=lambda each: each.fun)
    of_starts = time.perf_counter() - began
    rng, began = np.random.default_rng(0), time.perf_counter()
    for _ in range(n_replicates):
        drawn = rows[rng.integers(0, len(rows), len(rows))]
        minimize(function, best.x, args=tuple(drawn.T), jac=exact, method="BFGS")
    of_replicates = time.perf_counter() - began
    seconds = of_starts * len(all_starts) / n_starts + of_replicates * N_REPLICATES / n_replicates
    return seconds, np.array([each.fun for each in found])


def process_seconds() -> float:
    """Wall time of a process that does the engine's work."""
    began = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--engine"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Times the engine, then the loop both ways."""
    parser = options(__doc__)
    parser.add_argument("--loop-starts", type=int, default=60, help="of 4,500, timed")
    parser.add_argument("--loop-replicates", type=int, default=40, help="of 4,000, timed")
    parser.add_argument("--engine", action="store_true", help="do the engine's work and no more")
    arguments = parser.parse_args()
    if arguments.engine:
        print(engine().summary())
        return
    source, _, _ = read_points()
    print(f"{machine()}; points: {source}")
    process = statistics.median(process_seconds() for _ in range(3))
    inside, result = np.inf, None
    for _ in range(3):
        began = time.perf_counter()
        result = engine()
        inside = min(inside, time.perf_counter() - began)
    assert result is not None
    print(f"engine, whole process, median of 3    {process:8.2f} s")
    print(f"engine, within a process, best of 3   {inside:8.2f} s   {result.objective:.10f}")
    agreeing = result.n_starts_agreeing / result.n_starts
    print(f"  starts that end at the optimum, to a part in a million: {agreeing:.0%}")
    ratios = []
    for exact, how in ((False, "finite differences"), (True, "exact gradients")):
        seconds, ends = loop_seconds(arguments.loop_starts, arguments.loop_replicates, exact)
        print(f"SciPy loop, {how:<18} (scaled) {seconds:8.0f} s   {ends.min():.10f}")
        reached = np.mean(ends <= result.objective * (1 + 1e-6))
        print(f"  starts that end at the optimum, to a part in a million: {reached:.0%}")
        ratios.append(seconds / process)
        print(f"  ratio to the whole process {ratios[-1]:8.0f}, within {seconds / inside:.0f}")
    print(
        f"The loop ran {arguments.loop_starts} of 4500 starts and {arguments.loop_replicates} of "
        f"{N_REPLICATES} replicates; its time is scaled up, and holds no profiles."
    )
    what, command = "a Chinchilla fit: 4,500 starts, 4,000 bootstrap", "python benchmarks/fit.py"
    figures = [
        Figure(
            what=f"{what} replicates, 5 profiles, whole process",
            asked=10, measured=(process,), unit="s", command=command,
            note="planted points" if source == "planted" else "",
        ),
        Figure(
            what="the same over a loop of SciPy's, over one that is given exact gradients",
            measured=tuple(ratios), unit="times", command=command,
        ),
    ]  # fmt: skip
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
