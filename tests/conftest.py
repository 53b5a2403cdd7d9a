"""Tests compile without most of XLA's optimisations: of programs so small they cost more than they
save. Every experiment at smoke size (`experiments/test_smoke.py`) compiles as users do.
"""

import os


def pytest_configure(config):
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
