"""Wall time of `scaling run chinchilla`, from an empty results folder and with nothing compiled.

    python benchmarks/chinchilla.py [--budget smoke]

At the smallest size it runs once more, in another folder: that run finds what the first compiled.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from figures import Figure, options, report
from main_job import seconds

LIMITS = {"smoke": 90.0, "cpu": 1500.0}


def main() -> None:
    """Runs the experiment twice."""
    parser = options(__doc__)
    parser.add_argument("--budget", choices=LIMITS, default="cpu")
    given = parser.parse_args()
    is_small = given.budget == "smoke"
    command = f"scaling run chinchilla --budget {given.budget}"
    words, found = command.split()[1:], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder, "compiled"))
        for name in ("first", "again")[: 1 + is_small]:
            # An expectation may fail at the smallest size, which is not the question here.
            found.append(seconds(*words, "--results", str(Path(folder, name)), allowed=(0, 1)))
            print(f"{name:6} {found[-1]:7.1f} s", flush=True)
    figure = Figure(
        what=f"`{command}`" + "; where an earlier sweep has compiled its shapes" * is_small,
        asked=LIMITS[given.budget], measured=tuple(found), unit="s", command=command,
    )  # fmt: skip
    report([figure], given.json)


if __name__ == "__main__":
    main()
