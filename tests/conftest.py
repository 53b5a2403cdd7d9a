"""The default selection compiles without most of XLA's optimisations.

For programs so small they cost more than they save. Slow tests are of programs as users run them.
"""

import os


def pytest_configure(config):
    if config.option.markexpr == "not slow":
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
