"""Trains experiments at smoke size and stores their runs: python store_tables.py NAME..."""

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from smoke_choice import GROUPS  # noqa: E402
from stored_runs import expectations_hold, store  # noqa: E402

if __name__ == "__main__":
    for name in sys.argv[1:] or list(GROUPS):
        with tempfile.TemporaryDirectory() as results:
            for member in GROUPS[name]:
                expectations_hold(member, Path(results))
            store(Path(results), name)
