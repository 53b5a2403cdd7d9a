"""A table of a million rows, read, checked and fitted; and every law of one input, bootstrapped.

    python benchmarks/tables.py [--rows 1000000]

The table is planted: N and D over three decades, the Chinchilla law, one per cent of noise. Times
are those of whole processes of `scaling fit`, with the alternatives that it fits beside the law;
memory is the most that the process ever held. Laws of one input are fitted to twelve points with
1,000 replicates, after imports.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from figures import Figure, machine, options, report

from analysis.errors import FitError
from analysis.fitting.fit import fit
from analysis.laws import LAWS

COMMAND = "import sys; from experiments.cli import main; sys.exit(main())"


def planted(n_rows: int) -> pd.DataFrame:
    """N, D and losses of the Chinchilla law."""
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 10, n_rows), 10 ** rng.uniform(9, 12, n_rows)
    loss = (1.8 + 480 * n**-0.347 + 2100 * d**-0.367) * np.exp(0.01 * rng.standard_normal(n_rows))
    return pd.DataFrame({"N": n, "D": d, "loss": loss})


def whole_process(path: Path, *choice: str) -> tuple[float, float]:
    """Wall seconds of `scaling fit` on a file, and the most memory of a child so far, in GB."""
    command = [sys.executable, "-c", COMMAND, "fit", str(path), "--law", "chinchilla"]
    start = time.perf_counter()
    subprocess.run([*command, *choice], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def laws_of_one_input() -> dict[str, float]:
    """Seconds of each law with 1,000 replicates; one that cannot be fitted is left out."""
    x = np.geomspace(1e6, 1e9, 12)
    y = (1.5 + 300 * x**-0.3) * np.exp(0.01 * np.random.default_rng(1).standard_normal(12))
    found = {}
    for law in (law for law in LAWS.values() if len(law.inputs) == 1 and law.output == "loss"):
        start = time.perf_counter()
        try:
            fit(law, x, y)
        except FitError as error:
            print(f"{law.name:<22} {error}")
            continue
        found[law.name] = time.perf_counter() - start
        print(f"{law.name:<22} {found[law.name]:6.2f} s")
    return found


def main() -> None:
    """Prints both tables of times."""
    parser = options(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    print(machine())
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        planted(given.rows).to_csv(path, index=False)
        for choice in ((), ("--huber", "1e-3")):
            found.append(whole_process(path, *choice))
            seconds, most = found[-1]
            print(f"{given.rows:,} rows {' '.join(choice):<12} {seconds:6.1f} s, {most:.2f} GB")
    seconds, gigabytes = zip(*found, strict=True)
    of_laws = laws_of_one_input()
    what = f"`scaling fit` on {given.rows:,} rows, read, checked, fitted and refitted"
    command = "python benchmarks/tables.py"
    figures = [
        Figure(
            what=f"{what}: squares, Huber", asked=30, measured=seconds, unit="s", command=command
        ),
        Figure(
            what=f"{what}: memory", asked=4, measured=(max(gigabytes),), unit="GB", command=command
        ),
        Figure(
            what="a law of one input, 1,000 replicates: the fastest, the slowest",
            asked=2, measured=(min(of_laws.values()), max(of_laws.values())), unit="s",
            command=command,
        ),
    ]  # fmt: skip
    report(figures, given.json)


if __name__ == "__main__":
    main()
