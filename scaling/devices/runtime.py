"""The place of a run: code, versions, device and host, as every record states them."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PACKAGES = ("scaling-descent", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")


@functools.cache
def environment() -> dict[str, Any]:
    """Code, package versions and host of this process; looked up once."""
    return {
        **_git_state(Path(__file__).parent),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "host": platform.node(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
    }


def compile_quickly(
    function: Callable[..., Any], *shapes: Any, **shardings: Any
) -> Callable[..., Any]:
    """Compiles a function that runs once or twice a shape: optimising it would not pay.

    `shapes` are those of its arguments, and `shardings` are as `jax.jit` takes them.
    """
    import jax

    lowered = jax.jit(function, **shardings).lower(*shapes)
    # Where JAX is told to optimise nothing, this level would be twice the work.
    nothing = jax.config.read("jax_disable_most_optimizations")
    level: dict[str, bool | str] = {} if nothing else {"xla_backend_optimization_level": "1"}
    return lowered.compile(compiler_options=level)


def device_name() -> str:
    """The device that JAX computes on; the host, by JAX's name for it, where nothing loaded JAX."""
    jax = sys.modules.get("jax")
    return jax.devices()[0].device_kind if jax is not None else "cpu"


def peak_memory_bytes() -> int | None:
    """Most memory of the machine that this process has taken; None where nothing counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any]:
    """Commit of the code and a hash of what differs from it; both None outside a checkout."""

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, text=True, check=True
        ).stdout

    unknown: dict[str, Any] = dict.fromkeys(("git_commit", "git_dirty", "git_diff_sha256"))
    if not (folder.parent / ".git").exists():  # installed: the checkout around is not ours
        return unknown
    try:
        commit, diff = git("rev-parse", "HEAD").strip(), git("diff", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return unknown
    digest = hashlib.sha256(diff.encode()).hexdigest()[:16] if diff else None
    return {"git_commit": commit, "git_dirty": bool(diff), "git_diff_sha256": digest}
