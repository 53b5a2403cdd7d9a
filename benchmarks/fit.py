"""The fit engine against loops of SciPy calls on the same work, in CPU seconds of whole processes.

    python benchmarks/fit.py [--loop-starts 60] [--loop-replicates 40] [--only engine,curve]

The first case, `engine`, is the work of Besiroglu et al. 2024 (arXiv 2404.10102): the Chinchilla
law on 240 points, Huber 1e-3 on log loss, from a grid of 4,500 starts, 4,000 bootstraps of cases,
and on top the profile likelihood of every parameter. The engine gives E, A and B their best values
for each pair of exponents first, so that 25 starts differ and end for all. The loop calls
`scipy.optimize.minimize` once for each start (L-BFGS-B) and each replicate (BFGS, from the
estimate); it runs on an evenly spaced subsample, and its time is scaled up. It is timed twice: with
gradients by finite differences, SciPy's default, and with exact ones. It does no profiles.

The others are commands as a user types them (`fit_cases.py`): table read and checked, law fitted,
1,000 replicates, profiles, and the same law estimated under other losses. Beside each stands
SciPy's `least_squares` for the first of these fits alone.

CPU seconds, user and system, are the median of five processes, imports included: a machine that is
shared stretches them less than it stretches the clock.

Points are those of `$SCALING_DATA_DIR/laws/chinchilla_digitised.csv`, or of `../shared/data`, or,
where neither is, planted with the published constants and noise.
"""

from __future__ import annotations

import csv
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, machine, options, report
from fit_cases import CASES, Case, scipy_seconds
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

from analysis.estimate import Bootstrap
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA

DELTA = 1e-3
N_REPLICATES = 4000
COMMAND = "python benchmarks/fit.py"
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
    """Does all of the work once."""
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
    """The objective with its exact gradient, written to be fast."""
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
    """CPU seconds of all of the loop, scaled up from a part, and the objectives of its starts."""
    _, x, y = read_points()
    rows = np.log(np.column_stack([x, y]))
    function = objective_and_gradient if exact else objective
    all_starts = starts()
    chosen = all_starts[np.linspace(0, len(all_starts) - 1, n_starts).astype(int)]
    began = time.thread_time()
    found = [
        minimize(function, start, args=tuple(rows.T), jac=exact, method="L-BFGS-B")
        for start in chosen
    ]
    best = min(found, key=lambda each: each.fun)
    of_starts = time.thread_time() - began
    rng, began = np.random.default_rng(0), time.thread_time()
    for _ in range(n_replicates):
        drawn = rows[rng.integers(0, len(rows), len(rows))]
        minimize(function, best.x, args=tuple(drawn.T), jac=exact, method="BFGS")
    of_replicates = time.thread_time() - began
    seconds = of_starts * len(all_starts) / n_starts + of_replicates * N_REPLICATES / n_replicates
    return seconds, np.array([each.fun for each in found])


def process_seconds(*words: str) -> float:
    """CPU seconds of a Python process, the median of five."""
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *words],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return statistics.median(once() for _ in range(5))


def of_engine(n_starts: int, n_replicates: int) -> list[Figure]:
    """The engine on 4,500 starts and 4,000 replicates, and the loop both ways."""
    source, _, _ = read_points()
    print(f"points: {source}")
    process = process_seconds(__file__, "--engine")
    result = engine()
    print(f"engine, whole process                 {process:8.2f} s   {result.objective:.10f}")
    agreeing = result.n_starts_agreeing / result.n_starts
    print(f"  starts that end at the optimum, to a part in a million: {agreeing:.0%}")
    ratios = []
    for exact, how in ((False, "finite differences"), (True, "exact gradients")):
        seconds, ends = loop_seconds(n_starts, n_replicates, exact)
        print(f"SciPy loop, {how:<18} (scaled) {seconds:8.0f} s   {ends.min():.10f}")
        reached = np.mean(ends <= result.objective * (1 + 1e-6))
        print(f"  starts that end at the optimum, to a part in a million: {reached:.0%}")
        ratios.append(seconds / process)
        print(f"  ratio to the whole process {ratios[-1]:8.0f}")
    print(
        f"The loop ran {n_starts} of 4500 starts and {n_replicates} of {N_REPLICATES} replicates; "
        "its time is scaled up, and holds no profiles."
    )
    note = "planted points" if source == "planted" else ""
    what = "a Chinchilla fit: 4,500 starts, 4,000 bootstrap replicates, 5 profiles"
    return [
        Figure(
            what=f"{what}, over a loop of SciPy's",
            asked=150, at_least=True, measured=(ratios[0],), unit="times", command=COMMAND,
            note=note,
        ),
        Figure(
            what="the same over one that is given exact gradients",
            asked=20, at_least=True, measured=(ratios[1],), unit="times", command=COMMAND,
        ),
        Figure(
            what="the same, whole process",
            asked=3, measured=(process,), unit="s of CPU", command=COMMAND,
        ),
    ]  # fmt: skip


def of_case(case: Case, n_starts: int, n_replicates: int) -> Figure:
    """A command, and SciPy on the first of its fits both ways."""
    with tempfile.TemporaryDirectory() as folder:
        process = process_seconds("-m", "scaling_descent", *case.write(Path(folder)))
    note = ""
    if case.law is not None:
        loops = [scipy_seconds(case, n_starts, n_replicates, exact) for exact in (False, True)]
        numeric, exact = (seconds / process for seconds in loops)
        note = f"SciPy on the first fit alone {numeric:.2g} times that, {exact:.2g} by exact slopes"
    figure = Figure(
        what=case.what, asked=case.asked, measured=(process,), unit="s of CPU", command=COMMAND,
        note=note,
    )  # fmt: skip
    print(figure.row(), flush=True)
    return figure


def main() -> None:
    """Times the engine and the commands, then SciPy on the same."""
    parser = options(__doc__)
    parser.add_argument("--loop-starts", type=int, default=60, help="of all starts, timed")
    parser.add_argument("--loop-replicates", type=int, default=40, help="of all, timed")
    parser.add_argument("--only", metavar="NAME,...", help="these cases; `engine` is the first")
    parser.add_argument("--engine", action="store_true", help="do the engine's work and no more")
    arguments = parser.parse_args()
    if arguments.engine:
        print(engine().summary())
        return
    print(machine())
    names = ["engine", *(case.name for case in CASES)]
    wanted = arguments.only.split(",") if arguments.only else names
    for name in wanted:
        if name not in names:
            parser.error(f"--only {name}: no such case; choose from {', '.join(names)}")
    loop = arguments.loop_starts, arguments.loop_replicates
    figures = of_engine(*loop) if "engine" in wanted else []
    figures += [of_case(case, *loop) for case in CASES if case.name in wanted]
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
