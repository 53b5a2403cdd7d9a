"""What one worker has compiled, others load; an entry cut off costs time alone."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trivial_runs

from sweeps import compile_cache
from sweeps.runner import run_sweeps
from sweeps.store import Store


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    return tmp_path / "cache"


def loss_hits_misses(results: Path) -> tuple[float | None, int, int]:
    plan = trivial_runs.plan_of(1)
    assert run_sweeps([(results, plan)], workers=1, run="compiled_runs:run").complete
    record = Store.open(results).load(plan.runs[0].run_id)
    assert record is not None
    return record.eval_loss_nats, record.environment["hits"], record.environment["misses"]


@pytest.mark.medium
def test_a_later_sweep_loads_what_one_has_compiled_and_damage_changes_no_number(
    cache: Path, tmp_path: Path
) -> None:
    loss, hits, misses = loss_hits_misses(tmp_path / "first")
    assert loss == pytest.approx(math.sinh(1.5) / 7)
    assert hits == 0 and misses > 1
    damaged = next(cache.glob("compiled/*/jit*-cache"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert loss_hits_misses(tmp_path / "again") == (loss, misses - 1, 1)


@pytest.mark.medium
def test_a_cache_that_cannot_be_written_is_gone_without(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file where the folder would be")
    assert loss_hits_misses(tmp_path / "without")[1] == 0


def test_what_the_user_chose_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path))
    folder = Path(compile_cache.environment({})["JAX_COMPILATION_CACHE_DIR"])
    assert folder.parent == tmp_path / "compiled"
    assert not folder.stat().st_mode & 0o077
    given = {"JAX_COMPILATION_CACHE_DIR": "/mine"}
    assert not compile_cache.environment(given).keys() & given.keys()


def test_a_folder_that_others_may_write_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path))
    Path(compile_cache.environment({})["JAX_COMPILATION_CACHE_DIR"]).chmod(0o777)
    assert "JAX_COMPILATION_CACHE_DIR" not in compile_cache.environment({})


@pytest.mark.medium
def test_programs_are_kept_with_a_checksum_whatever_is_installed(tmp_path: Path) -> None:
    """JAX finds no zstandard; the code of users does."""
    (tmp_path / "zstandard.py").write_text("here = True\n")
    code = (
        "from sweeps import compile_cache; compile_cache.have_checksums()\n"
        "from jax._src import compilation_cache as jax_cache; import zstandard\n"
        "assert zstandard.here and jax_cache.zstandard is None\n"
        "print(jax_cache.compress_executable(b'program')[:1] == b'x')  # zlib\n"
    )
    command = [sys.executable, "-c", code]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    assert subprocess.run(command, env=env, capture_output=True, text=True).stdout == "True\n"
