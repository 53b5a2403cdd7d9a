"""Laws combined and chosen blind on published learning curves, against the best single law.

    python benchmarks/extrapolation.py [--curves KIND]

Each curve is ranked on its smaller sizes, with the horizon of the rows held out, on which the
combination (`Ranking.predict`), the law nearest to it (`Ranking.nearest`) and every law are scored.
Printed are mean RMSLEs. The best single law is the one law, the same for all curves, whose mean is
least on the very rows held out, of those with a fit to every curve: nobody could have named it
before.

- `language`: translation, language models and BIG-Bench, as Alabdulmohsin et al. 2022, arXiv
  2209.06640, fit and hold out (`$SCALING_DATA_DIR/laws/learning_curves_nmt.csv`).
- `vision`: few-shot error of image classifiers, from the file benchmark.vision.csv beside that of
  `language` in google-research/google-research@9853680 (revisiting_neural_scaling_laws/data,
  Apache-2.0): every third row that its authors fit, one in ten held out, to five digits.
- `openml`, `blind`, `second`, `third`: error of scikit-learn's classifiers over training examples,
  on 14 data sets of OpenML and three times 24 (Mohr et al. 2022, LCDB; the package lcdb 0.1.0 of
  PyPI, MIT licence, its database-accuracy.csv of SHA-256
  5bf9f9388d37da47ce5e0edaf67dacfbd12a05ba50b76b5b3f4bf2dce02d85ac). A curve is the mean over all
  of its splits, to four digits; the last four sizes are held out. Taken were data sets with 16
  sizes and more whose error falls by a third below them, in a drawn order, with one drawn learner
  each: of odd numbers for `openml` and `third`, of even ones for the others. In the last two sets
  the error at the last size fitted is 1 % or more.

The way to combine was fixed on `language`, `vision` and `openml` before any of the others was
looked at. `blind` showed nothing to change in it, but one curve (data set 24) falls to an error of
5e-5, whose logarithm is chance: hence the last condition. `second` showed a law that runs off to no
loss at all, which no longer counts. `third` was looked at after that, once.
"""

from __future__ import annotations

import csv
import lzma
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from figures import Figure, machine, options, report

from analysis.estimate import Bootstrap
from analysis.fitting.ranking import rank
from analysis.laws import LAWS

COMMAND = "python benchmarks/extrapolation.py"
KINDS = ("language", "vision", "openml", "blind", "second", "third")
HELD_OUT = 4
"""Sizes of a curve of OpenML that are held out, the largest."""


def curves(kind: str) -> dict[tuple[str, ...], np.ndarray]:
    """Distinct rows of each curve: size, loss, and 1 where the row is fitted."""
    if kind == "all":
        return {name: rows for each in KINDS for name, rows in curves(each).items()}
    if kind not in ("language", "vision"):
        return _of_openml("development" if kind == "openml" else kind)
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("SCALING_DATA_DIR", beside)) / "laws" / "learning_curves_nmt.csv"
    if kind == "vision":
        path = Path(__file__).with_name("vision_curves.csv")
    found: dict[tuple[str, ...], set[tuple[float, ...]]] = defaultdict(set)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = (row["Seen Examples"], row["Loss"], row["Training"])
            found[row["Domain"], row["Task"], row["Model"]].add(tuple(map(float, numbers)))
    return {key: np.array(sorted(rows)) for key, rows in found.items()}


def _of_openml(use: str) -> dict[tuple[str, ...], np.ndarray]:
    with lzma.open(Path(__file__).with_name("openml_curves.csv.xz"), "rt", newline="") as file:
        taken = [row for row in csv.DictReader(file) if row["use"] == use]
    found = {}
    for row in taken:
        points = np.array([each.split(":") for each in row["size:error"].split()], dtype=float)
        fitted = np.arange(len(points)) < len(points) - HELD_OUT
        found["OpenML", row["data_set"], row["learner"]] = np.column_stack([points, fitted])
    return found


def errors_of(rows: np.ndarray) -> dict[str, float]:
    """RMSLE on the rows held out: of the combination, the law nearest to it, and each law."""
    (x, y), (far, true) = (rows[rows[:, 2] == kind, :2].T for kind in (1, 0))
    laws = [law for law in LAWS.values() if law.inputs == ("x",)]
    ranking = rank(laws, x, y, to=float(far.max()), bootstrap=Bootstrap(n=200))
    nearest = ranking.nearest(far).fit
    assert nearest is not None
    predict = {"combined": ranking.predict, "nearest": nearest.predict}
    predict |= {row.law.name: row.fit.predict for row in ranking.rows if row.fit is not None}
    return {
        name: float(np.sqrt(np.mean(np.log(each(far) / true) ** 2)))
        for name, each in predict.items()
    }


def main() -> None:
    """Prints the mean errors, and how many curves each is of."""
    parser = options(__doc__)
    parser.add_argument("--curves", choices=[*KINDS, "all"], default="language")
    given = parser.parse_args()
    print(machine())
    found: dict[str, list[float]] = defaultdict(list)
    for rows in curves(given.curves).values():
        for name, error in errors_of(rows).items():
            found[name].append(error)
    for name, errors in found.items():
        print(f"{name:<22} {np.mean(errors):.5f}  {len(errors)} curves")
    n_curves = len(found["combined"])
    every = [
        float(np.mean(errors))
        for name, errors in found.items()
        if name not in ("combined", "nearest") and len(errors) == n_curves
    ]
    what = f"mean extrapolation RMSLE over {n_curves} published curves ({given.curves})"
    command = f"{COMMAND} --curves {given.curves}"
    figures = [
        Figure(
            what=f"{what}, {name}; asked: the best single law's", asked=min(every),
            measured=(float(np.mean(found[name])),), unit="", command=command,
        )
        for name in ("combined", "nearest")
    ]  # fmt: skip
    report(figures, given.json)


if __name__ == "__main__":
    main()
