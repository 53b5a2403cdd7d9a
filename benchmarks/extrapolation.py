"""Laws chosen blind on published learning curves, against the best single law.

    python benchmarks/extrapolation.py [--curves language | vision | all] [--json FILE]

Each curve of `$SCALING_DATA_DIR/laws/learning_curves_nmt.csv` (translation, language models,
BIG-Bench; Alabdulmohsin et al. 2022, arXiv 2209.06640) is ranked on the rows that its authors fit,
with the horizon of those that they hold out. Printed are mean RMSLEs on the latter.

`vision_curves.csv` holds eight curves of few-shot error of image classifiers from
revisiting_neural_scaling_laws/data/benchmark.vision.csv of google-research/google-research@9853680
(Apache-2.0): every third row that the authors fit, and about one row in ten held out, to five
digits. The way to choose and to combine was fixed on the other curves before these were looked at.
`all` takes both.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from figures import Figure, machine, options, report

from analysis.estimate import Bootstrap
from analysis.fitting.ranking import rank
from analysis.laws import LAWS

COMMAND = "python benchmarks/extrapolation.py"


def curves(kind: str = "language") -> dict[tuple[str, str, str], np.ndarray]:
    """Distinct rows of each curve: size, loss, and 1 where its authors fit the row."""
    if kind == "all":
        return curves("language") | curves("vision")
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("SCALING_DATA_DIR", beside)) / "laws" / "learning_curves_nmt.csv"
    if kind == "vision":
        path = Path(__file__).with_name("vision_curves.csv")
    found: dict[tuple[str, str, str], set[tuple[float, ...]]] = defaultdict(set)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = (row["Seen Examples"], row["Loss"], row["Training"])
            found[row["Domain"], row["Task"], row["Model"]].add(tuple(map(float, numbers)))
    return {key: np.array(sorted(rows)) for key, rows in found.items()}


def errors_of(rows: np.ndarray) -> dict[str, float]:
    """RMSLE on the rows held out: of the chosen and the combined law, and of each law."""
    (x, y), (far, true) = (rows[rows[:, 2] == kind, :2].T for kind in (1, 0))
    laws = [law for law in LAWS.values() if law.inputs == ("x",)]
    ranking = rank(laws, x, y, to=float(far.max()), bootstrap=Bootstrap(n=200))
    best = ranking.best.fit
    assert best is not None
    predict = {"chosen": best.predict, "combined": ranking.predict}
    predict |= {row.law.name: row.fit.predict for row in ranking.rows if row.fit is not None}
    return {
        name: float(np.sqrt(np.mean(np.log(each(far) / true) ** 2)))
        for name, each in predict.items()
    }


def main() -> None:
    """Prints the mean errors, and how many curves each is of."""
    parser = options(__doc__)
    parser.add_argument("--curves", choices=["language", "vision", "all"], default="language")
    given = parser.parse_args()
    print(machine())
    found: dict[str, list[float]] = defaultdict(list)
    for rows in curves(given.curves).values():
        for name, error in errors_of(rows).items():
            found[name].append(error)
    for name, errors in found.items():
        print(f"{name:<22} {np.mean(errors):.5f}  {len(errors)} curves")
    n_curves = len(found["chosen"])
    every = [
        float(np.mean(errors))
        for name, errors in found.items()
        if name not in ("chosen", "combined")
    ]
    what = f"mean extrapolation RMSLE over {n_curves} published curves ({given.curves})"
    command = f"{COMMAND} --curves {given.curves}"
    figures = [
        Figure(
            what=f"{what}, {name}; asked: the best single law's", asked=min(every),
            measured=(float(np.mean(found[name])),), unit="", command=command,
        )
        for name in ("chosen", "combined")
    ]  # fmt: skip
    report(figures, given.json)


if __name__ == "__main__":
    main()
