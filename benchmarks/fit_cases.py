"""Commands on one table that `benchmarks/fit.py` times, and the same fits by a loop of SciPy's.

Each table is planted, apart from two that are published: 182 rows of Muennighoff et al. 2023 and a
learning curve of Alabdulmohsin et al. 2022, from `$SCALING_DATA_DIR` or `../shared/data`; where
they are missing, planted ones take their place.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from analysis.estimate import Floats
from analysis.fitting.engine.loss import Loss
from analysis.fitting.engine.observations import checked_rows, observe
from analysis.laws import LAWS

N_REPLICATES = 1000  # the default of a fit
LAWS_DATA = Path(os.environ.get("SCALING_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))

Columns = dict[str, Floats]
"""Values by the name of the column."""


def chinchilla_rows(n_rows: int, with_outliers: bool = False) -> Columns:
    """The Chinchilla law with 1 % of noise and, if asked, Student's with 2 degrees of freedom."""
    rng = np.random.default_rng(n_rows)
    n = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), n_rows))
    d = np.exp(rng.uniform(np.log(1e9), np.log(3e11), n_rows))
    loss = (1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28) * np.exp(0.01 * rng.normal(size=n_rows))
    if with_outliers:
        loss = loss * np.exp(0.005 * rng.standard_t(2, n_rows))
    return {"N": n, "D": d, "loss": loss}


def shapes(n_rows: int) -> Columns:
    """22 shapes of a family, each along its tokens, by the law of width, depth, tokens and N."""
    rng = np.random.default_rng(n_rows)
    widths = (256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 2560, 3072)
    depths = (3, 5, 7, 10, 12, 15, 18, 23, 28, 36, 44, 56, 64, 80)
    sizes = [(w, h) for w in widths for h in depths if 5e7 < 12 * w * w * h < 2.1e9]
    chosen = np.array(sizes, float)[rng.permutation(len(sizes))[:22]]
    tokens = np.geomspace(2e9, 3.5e11, -(-n_rows // len(chosen)))
    width, depth = np.repeat(chosen, len(tokens), axis=0)[:n_rows].T
    d = np.tile(tokens, len(chosen))[:n_rows]
    n = 12 * width**2 * depth + 50304 * width
    loss = 1.9 + 20 * width**-0.5 + 0.6 * depth**-0.7 + 250 * d**-0.28 + 8 * n**-0.2
    loss = loss * np.exp(0.006 * rng.normal(size=n_rows))
    return {"width": width, "depth": depth, "D": d, "N": n, "loss": loss}


def repeated_tokens() -> Columns:
    """The rows of Muennighoff et al. 2023, arXiv 2305.16264."""
    path = LAWS_DATA / "laws" / "data_constrained_c4.csv"
    if not path.exists():
        planted = chinchilla_rows(182)
        return {**planted, "epochs": np.geomspace(1, 60, 182)}
    n, d, unique, loss = read(path, ("params", "tokens", "unique_tokens", "val_loss"))
    return {"N": n, "D": d, "epochs": np.maximum(d / unique, 1), "loss": loss}


def learning_curve() -> Columns:
    """A curve of Alabdulmohsin et al. 2022, arXiv 2209.06640: translation, 6 + 6 layers."""
    path = LAWS_DATA / "laws" / "learning_curves_nmt.csv"
    if not path.exists():
        x = np.geomspace(5e5, 5e8, 11)
        return {"x": x, "loss": 0.5 + 0.6 * (x / 5e5) ** -0.4}
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Model"] == "6 Enc, 6 Dec"]
    points = {float(row["Seen Examples"]): float(row["Loss"]) for row in rows}
    return {"x": np.array(list(points)), "loss": np.array(list(points.values()))}


def long_curve() -> Columns:
    """A curve of 40 evaluations between a ceiling and a floor."""
    x = np.geomspace(1e3, 1e7, 40)
    loss = 0.3 + 2 / (1 + (x / 1e4) ** 0.5)
    return {"x": x, "loss": loss * np.exp(0.01 * np.random.default_rng(0).normal(size=40))}


def read(path: Path, names: tuple[str, ...]) -> list[Floats]:
    """Columns of a CSV file."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [np.array([float(row[name]) for row in rows]) for name in names]


@dataclass(frozen=True)
class Case:
    """A command on one table.

    Attributes:
        name: Name of the table.
        what: The command in words.
        table: Makes the table.
        words: The command: `fit` or `rank`, and its options.
        law: Law that SciPy fits; None where nothing is compared.
        delta: Huber's threshold.
        asked: CPU seconds asked for, at most.
    """

    name: str
    what: str
    table: Callable[[], Columns]
    words: tuple[str, ...]
    asked: float
    law: str | None = None
    delta: float | None = None

    def write(self, folder: Path) -> tuple[str, ...]:
        """Writes the table, and returns the command's words."""
        columns, path = self.table(), folder / f"{self.name}.csv"
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(columns)
            rows.writerows(zip(*(each.tolist() for each in columns.values()), strict=True))
        return (self.words[0], str(path), *self.words[1:])


def fitting(name: str, what: str, table: Callable[[], Columns], law: str, asked: float) -> Case:
    """The default fit of a law to a table."""
    words = ("fit", "--law", law)
    return Case(name, f"`scaling fit --law {law}`, {what}", table, words, asked, law)


CASES = (
    fitting("rows_120", "120 rows", lambda: chinchilla_rows(120), "chinchilla", 1.5),
    Case(
        "rows_2000",
        "`scaling fit --law chinchilla --huber 1e-3`, 2,000 rows",
        lambda: chinchilla_rows(2000, with_outliers=True),
        ("fit", "--law", "chinchilla", "--huber", "1e-3"),
        5,
        "chinchilla",
        1e-3,
    ),
    fitting("shapes_200", "200 rows", lambda: shapes(200), "width_depth_n", 6),
    fitting("shapes_800", "800 rows", lambda: shapes(800), "width_depth_n", 10),
    fitting("repeated", "182 rows", repeated_tokens, "data_constrained", 8),
    fitting("curve", "a curve of 11 rows", learning_curve, "m4", 1.5),
    Case("long_curve", "`scaling rank`, a curve of 40 rows", long_curve, ("rank",), 5),
)


def scipy_seconds(case: Case, n_starts: int, n_replicates: int, exact: bool) -> float:
    """CPU seconds of `scipy.optimize.least_squares` from every start and for every replicate.

    Measured on a few of each, and scaled up. It is one fit of the several that the command makes.
    """
    assert case.law is not None
    law, columns = LAWS[case.law], case.table()
    x = np.stack([columns[name] for name in law.inputs], axis=1)
    rows = observe(law, checked_rows(law, x, columns["loss"]))
    starts = law.starts(rows.log_x, rows.log_y)
    loss = Loss(case.delta)

    def ended(start: Floats, some: np.ndarray) -> Floats:
        found = least_squares(
            lambda theta: law.log_predict(theta, rows.log_x[some]) - rows.log_y[some],
            np.clip(start, law.lower, law.upper),
            jac=(lambda theta: law.jacobian(theta, rows.log_x[some])) if exact else "2-point",
            bounds=(law.lower, law.upper),
            x_scale="jac",
            loss="linear" if loss.delta is None else "huber",
            f_scale=loss.delta or 1.0,
        )
        return found.x

    every, rng = np.arange(len(rows.log_y)), np.random.default_rng(0)
    chosen = starts[np.linspace(0, len(starts) - 1, min(n_starts, len(starts))).astype(int)]
    began = time.thread_time()
    ends = np.stack([ended(start, every) for start in chosen])
    of_starts = (time.thread_time() - began) / len(chosen)
    misses = rows.log_y - law.log_predict(ends, rows.log_x)
    best = ends[np.argmin(loss.value(misses).sum(axis=-1))]
    began = time.thread_time()
    for _ in range(n_replicates):
        ended(best, rng.integers(0, len(every), len(every)))
    of_replicates = (time.thread_time() - began) / n_replicates
    return of_starts * len(starts) + of_replicates * N_REPLICATES
