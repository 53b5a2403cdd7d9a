"""How often the intervals of `scaling descent` cover a planted peak, and how often it sees one.

    python benchmarks/descent.py [DRAWS]

Five hundred draws each of sweeps (14 sizes, 5 seeds) and of single curves (20 points), with noise
five times as large at the smallest sizes as at the largest; then false peaks on curves without one.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planted_curves import WITHOUT_PEAK, peaked, seeds_of, single, true_peak

from analysis.double_descent.judge import judge
from analysis.estimate import Bootstrap

STEP = 0.3
"""The planted peak is moved by up to half of this in log size, off and on the grid."""


def covered(make, n_draws: int, noise: float) -> str:
    """Shares of draws whose intervals hold location and height, and that have a peak."""
    hits = np.zeros(3)
    for k in range(n_draws):
        rng = np.random.default_rng(k)
        centre = 40 * np.exp(rng.uniform(-STEP / 2, STEP / 2))
        curve = peaked(centre)
        found = judge(make(curve, rng, noise), bootstrap=Bootstrap(n=400))
        if found.peak is not None:
            truth = true_peak(curve, centre)
            values = (found.peak.location, truth), (found.peak.height, float(curve(truth)))
            hits[:2] += [each.low <= value <= each.high for each, value in values]
        hits[2] += found.verdict.has_peak
    location, height, peaks = hits / n_draws
    return f"location {location:.1%}, height {height:.1%}, peak seen {peaks:.1%}"


def false_peaks(make, n_draws: int, noise: float) -> str:
    """Share of draws of each curve without a peak that get one."""
    shares = []
    for name, curve in WITHOUT_PEAK.items():
        count = 0
        for k in range(n_draws):
            rng = np.random.default_rng(k)
            found = judge(make(curve, rng, noise), bootstrap=Bootstrap(n=400))
            count += found.verdict.has_peak
        shares.append(f"{name} {count / n_draws:.1%}")
    return ", ".join(shares)


def main() -> None:
    """Prints coverage and false peaks."""
    n_draws = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for name, make, noise in (("seeds", seeds_of, 0.02), ("one curve", single, 0.004)):
        start = time.process_time()
        print(f"{name}: {covered(make, n_draws, noise)}", flush=True)
        print(f"{name}, no peak: {false_peaks(make, n_draws // 2, noise)}", end="")
        print(f" ({time.process_time() - start:.0f} core-seconds)", flush=True)


if __name__ == "__main__":
    main()
