"""Settings of all tests: strict JAX, shapes checked at run time, compiling once."""

import gc
import os
import signal
import sys
from importlib.metadata import version

import pytest
from house import ROOMS, modules
from jaxtyping import install_import_hook
from packaging.version import Version

STRICT = {
    "JAX_DEBUG_KEY_REUSE": "1",
    "JAX_LEGACY_PRNG_KEY": "error",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
}
"""Settings under which JAX refuses what is probably a mistake; subprocesses inherit them."""


# One thread for linear algebra, in workers as in what they start: as many as cores a worker leave
# each matrix product waiting for the others, three times as long. Read when NumPy is imported.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def modules_with_shapes() -> list[str]:
    """Modules of the four rooms that say the shapes of arrays."""
    files = [item for room in ROOMS for item in modules(room).items()]
    return [name for name, path in files if "from jaxtyping import" in path.read_text()]


def compile_quickly() -> list[str]:
    """Flags of XLA with which small programs compile in half the time."""
    # Newer XLA has no such choice of emitters, and ends a program that is given it.
    older = Version(version("jax")) < Version("0.11")
    return ["--xla_cpu_use_fusion_emitters=false"] * older + [
        "--xla_cpu_parallel_codegen_split_count=1"
    ]


def pytest_configure(config):
    # A shell has what it starts in the background ignore Ctrl-C, and what tests start would too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Programs so small cost more to optimise than optimised code saves.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault("XLA_FLAGS", " ".join(compile_quickly()))
    os.environ.update(STRICT)
    # Every worker and every program that a test starts would compile the same files anew.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    install_import_hook(modules_with_shapes(), "checked.checked")
    from sweeps.compile_cache import environment

    # Half of the time of tests on JAX is compiling. What they compile is kept where sweeps keep it,
    # for workers and for the next run.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    os.environ.update(environment(os.environ))


def pytest_collection_modifyitems(items):
    # Trainings and tests that wait for processes are the longest. They come first: last, one worker
    # would wait for the other.
    def is_short(item):
        return not (item.get_closest_marker("smoke") or "sweeps" in item.path.parts)

    items.sort(key=is_short)


def pytest_collection_finish():
    # What was imported stays, and tracing makes objects by the million that do not: looking for
    # garbage among them takes a tenth of all time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


def pytest_terminal_summary(terminalreporter):
    import needed_programs
    import published_data

    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr) for report in skipped]
    for line in filter(None, (published_data.summary(reasons), needed_programs.summary(reasons))):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture
def users_jax(monkeypatch):
    """JAX as users have it, for code that they write: `x @ w + b` promotes the rank of b."""
    import jax

    monkeypatch.setenv("JAX_NUMPY_RANK_PROMOTION", "allow")
    with jax.numpy_rank_promotion("allow"):
        yield
