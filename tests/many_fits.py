"""Fits of one law to many planted data sets, all of them and their replicates solved at once.

For studies of coverage, which need hundreds of fits. The steps are those of
`analysis.fitting.fit.fit`, but for the search: each set starts from the truth. Results are those of
`fit` to rounding, without the diagnostics of its search; `test_fit_coverage` holds them together.
`derived_profiles` follows the profiles of all sets at once likewise.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from analysis.estimate import Bootstrap, Floats, Redrawn
from analysis.fitting.bootstrap.noise_trend import noise_trend
from analysis.fitting.bootstrap.replicates import draw_rows, replicates_of
from analysis.fitting.engine.ending import Ending
from analysis.fitting.engine.least_squares import Points, Solutions, solve
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.optimum import Optimum
from analysis.fitting.engine.problem import Problem
from analysis.fitting.fit import Asked, ask, result_of
from analysis.fitting.profile import Profile, follow_each, posed_again
from analysis.fitting.profile_derived import as_coordinate
from analysis.fitting.result import FitResult
from analysis.laws import Law

_AT_ONCE = 50  # sets: what the solver makes of them stays within 100 MB


def fits(
    law: Law,
    truth: Sequence[float],
    sets: Sequence[tuple[Floats, Floats, np.ndarray | None]],
    *,
    loss: Loss = Loss(),
    kind: Redrawn | None = None,
    n_replicates: int = 200,
) -> list[FitResult]:
    """Fits a law to sets of x, y and clusters; the bootstrap of each has its number for a seed."""
    sought = law.starting_at([truth])
    asked = [ask(sought, x, y, clusters=clusters, loss=loss) for x, y, clusters in sets]
    alike = defaultdict(list)  # sets with the same inputs share a call of the solver
    for number, each in enumerate(asked):
        alike[each.problem.points.log_x.tobytes()].append(number)
    bootstraps = [Bootstrap(n=n_replicates, seed=number, kind=kind) for number in range(len(sets))]
    results: dict[int, FitResult] = {}
    for numbers in alike.values():
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            found = _fits([asked[k] for k in some], [bootstraps[k] for k in some])
            results |= dict(zip(some, found, strict=True))
    return [results[number] for number in range(len(sets))]


def derived_profiles(results: Sequence[FitResult], name: str) -> list[Profile]:
    """Profiles of a derived number that no unit moves, of sets with the same inputs."""
    posed = [posed_again(result, result.level) for result in results]
    quantity = as_coordinate(results[0], name, posed[0])  # in units of the first set's error
    sought = [quantity.sought(each) for each in posed]
    found = follow_each(quantity.law, sought, results[0].level)
    return [quantity.in_its_unit(each) for each in found]


def _fits(asked: Sequence[Asked], bootstraps: Sequence[Bootstrap]) -> list[FitResult]:
    """Fits of sets with the same inputs."""
    problems = [each.problem for each in asked]
    # 1. The estimates.
    starts = [problem.starts for problem in problems]
    own = [(problem.points, problem.targets(problem.rows.log_y)[None]) for problem in problems]
    best = _solved(problems[0], own, starts)
    # 2. The replicates of each, from its estimate.
    trends = [
        noise_trend(problem, theta, each.law.inputs)
        for problem, theta, each in zip(problems, best.theta, asked, strict=True)
    ]
    drawings = [
        draw_rows(*each) for each in zip(problems, best.theta, bootstraps, trends, strict=True)
    ]
    n = bootstraps[0].n
    redrawn = [drawing.redraw(slice(0, n)) for drawing in drawings]
    refits = _solved(problems[0], redrawn, np.repeat(best.theta[:, None], n, axis=1))
    thetas, unconverged = (
        part.reshape(len(asked), n, *part.shape[1:]) for part in (refits.theta, ~refits.converged)
    )
    # 3. The results.
    found = []
    for k, each in enumerate(asked):
        optimum = Optimum(best.theta[k], float(best.objective[k]), Ending(), 1, 1, 1, 1)
        replicates = replicates_of(
            each.problem, bootstraps[k], drawings[k], thetas[k], int(unconverged[k].sum())
        )
        found.append(result_of(each, optimum, replicates, trends[k], bootstraps[k].level))
    return found


def _solved(
    problem: Problem, sets: Sequence[tuple[Points, Floats]], starts: Sequence[Floats] | Floats
) -> Solutions:
    """Solves what all sets ask: points, targets `(n, n_points)` and starts `(n, n_params)`."""
    targets = np.concatenate([log_y for _, log_y in sets])
    weights = [np.broadcast_to(points.weights, log_y.shape) for points, log_y in sets]
    return solve(
        problem.law,
        Points(sets[0][0].log_x, np.concatenate(weights)),
        targets,
        np.concatenate([*starts]),
        loss=problem.loss,
        project=problem.project,
    )
