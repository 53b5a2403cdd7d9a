"""Wall time of the default selection of tests.

python benchmarks/default_tests.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from figures import Figure, options, report


def main() -> None:
    """Runs the tests once."""
    given = options(__doc__).parse_args()
    began = time.perf_counter()
    words = [sys.executable, "-m", "pytest", "-q"]
    subprocess.run(words, check=True, cwd=Path(__file__).parents[1])
    seconds = time.perf_counter() - began
    print(f"{seconds:.0f} s")
    figure = Figure(
        what="`pytest`, default selection", asked=100, measured=(seconds,), unit="s",
        command="pytest",
    )  # fmt: skip
    report([figure], given.json)


if __name__ == "__main__":
    main()
