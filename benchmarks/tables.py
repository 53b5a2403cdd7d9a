"""A table of a million rows, read, checked and fitted; and every law of one input, bootstrapped.

    python benchmarks/tables.py [--rows 1000000]

The table is planted: N and D over three decades, the Chinchilla law, one per cent of noise. Times
are those of whole processes of `scaling fit`, with the alternatives that it fits beside the law;
memory is the most that the process ever held. Laws of one input are fitted to twelve points with
1,000 replicates, after imports.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

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


def main() -> None:
    """Prints both tables of times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    n_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        planted(n_rows).to_csv(path, index=False)
        for choice in ([], ["--huber", "1e-3"]):
            command = [sys.executable, "-c", COMMAND, "fit", str(path), "--law", "chinchilla"]
            start = time.perf_counter()
            subprocess.run([*command, *choice], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{n_rows:,} rows {' '.join(choice):<12} {seconds:6.1f} s, {most:.2f} GB")

    x = np.geomspace(1e6, 1e9, 12)
    y = (1.5 + 300 * x**-0.3) * np.exp(0.01 * np.random.default_rng(1).standard_normal(12))
    for law in (law for law in LAWS.values() if len(law.inputs) == 1 and law.output == "loss"):
        start = time.perf_counter()
        try:
            fit(law, x, y, n_replicates=1000)
            print(f"{law.name:<22} {time.perf_counter() - start:6.2f} s")
        except FitError as error:
            print(f"{law.name:<22} {error}")


if __name__ == "__main__":
    main()
