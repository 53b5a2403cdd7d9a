"""The README's table of speed, measured on this machine.

    python benchmarks/all.py [--only main_job,fit] [--long] [--list]

Runs the commands that the table names, one after another, and prints the table in Markdown, with
the processor, its cores, the versions and the load at the start. Every benchmark writes its
figures as JSON (`figures.Figure`), from which the table is made. What cannot run here is listed
with the reason. Benchmarks of a quarter of an hour and more run only with `--long`.
Exit status 1 where a benchmark broke.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import figures
from figures import HEAD, Figure

HERE = Path(__file__).parent


def no_accelerator() -> str | None:
    """Why the benchmark of an accelerator cannot run here; None if it can."""
    from sweeps.accelerators import accelerators

    return None if accelerators() else "JAX finds no accelerator"


def absent(package: str) -> str | None:
    """Why a benchmark that needs a package cannot run here; None if it can."""
    return None if importlib.util.find_spec(package) else f"the package {package} is not installed"


@dataclass(frozen=True)
class Benchmark:
    """One command of the table.

    Attributes:
        name: Name to choose it by.
        what: What it measures, for the list and where it is not run.
        words: Script in this folder, and its arguments.
        is_long: Whether it runs only with `--long`.
        refusal: Returns why it cannot run here, or None.
    """

    name: str
    what: str
    words: tuple[str, ...]
    is_long: bool = False
    refusal: Callable[[], str | None] = lambda: None

    @property
    def command(self) -> str:
        """The command as a user types it."""
        return " ".join(("python", f"benchmarks/{self.words[0]}", *self.words[1:]))

    def unmeasured(self, reason: str) -> Figure:
        """The row of a benchmark that was not run to its end."""
        return Figure(what=self.what, measured=(), unit="", command=self.command, note=reason)


CHINCHILLA = ("chinchilla", "--budget", "smoke")

BENCHMARKS = (
    Benchmark("main_job", "main job and `scaling --help`", ("main_job.py",)),
    Benchmark("bookkeeping", "bookkeeping a run", ("bookkeeping.py",)),
    Benchmark("large_folder", "`scaling status` and `table` of 10,000 runs", ("large_folder.py",)),
    Benchmark("mesh_runs", "runs on every mesh of emulated devices", ("mesh_runs.py",)),
    Benchmark("flips", "flipped bits and hostile files", ("flips.py",), is_long=True),
    Benchmark(
        "object_store",
        "500 runs in an S3 folder by eight processes",
        ("object_store.py",),
        refusal=lambda: absent("moto"),
    ),
    Benchmark("cluster", "1,000 simulated workers, 100,000 runs", ("cluster.py",), is_long=True),
    Benchmark(
        "slurm",
        "64 runs on Slurm, one worker killed",
        ("engines.py", "slurm"),
        is_long=True,
        refusal=lambda: absent("submitit"),
    ),
    Benchmark(
        "ray",
        "64 runs on Ray, one worker killed",
        ("engines.py", "ray"),
        is_long=True,
        refusal=lambda: absent("ray"),
    ),
    Benchmark("tests", "`pytest`, default selection", ("default_tests.py",)),
    Benchmark("fit", "a Chinchilla fit", ("fit.py",)),
    Benchmark("tables", "`scaling fit` on a million rows", ("tables.py",)),
    Benchmark("chinchilla", "`scaling run chinchilla`", ("chinchilla.py",), is_long=True),
    Benchmark("smoke", "the same at its smallest size", ("chinchilla.py", *CHINCHILLA[1:])),
    Benchmark("kills", "the same, killed five times", ("kills.py", *CHINCHILLA)),
    Benchmark("train_step", "training steps a second", ("train_step.py",)),
    Benchmark("convolution", "convolution on a CPU", ("convolution.py",)),
    Benchmark("closed_form", "closed-form runs over a loop", ("closed_form.py",)),
    Benchmark("idle", "device idle between steps", ("idle.py",)),
    Benchmark("sweep", "a sweep of 24 runs", ("sweep.py",)),
    Benchmark("small_runs", "48 small Transformers", ("small_runs.py",), is_long=True),
    Benchmark(
        "predictions", "predicted time, memory and disk of five sweeps", ("predictions.py",),
        is_long=True,
    ),
    Benchmark("packs", "seeds of a small network as one program", ("packs.py",)),
    Benchmark("accelerator", "a 124M model", ("accelerator.py",), refusal=no_accelerator),
    Benchmark("corpus", "memory of training on a corpus of 16 GB", ("corpus.py",)),
)  # fmt: skip


def measure(benchmark: Benchmark, folder: Path) -> tuple[list[Figure], bool]:
    """The figures of a benchmark, and whether it ran to its end."""
    path = folder / f"{benchmark.name}.json"
    script, *arguments = benchmark.words
    words = [sys.executable, str(HERE / script), *arguments, "--json", str(path)]
    # What it prints is for whoever waits; standard output holds the table alone.
    process = subprocess.run(words, stdout=sys.stderr, check=False)
    if path.exists():
        return figures.read(path), True
    return [benchmark.unmeasured(f"broke, exit status {process.returncode}")], False


def chosen(names: str | None, parser: argparse.ArgumentParser) -> Sequence[Benchmark]:
    """The benchmarks that `--only` names; all by default."""
    if names is None:
        return BENCHMARKS
    wanted = names.split(",")
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    for name in wanted:
        if name not in known:
            parser.error(f"--only {name}: no such benchmark; choose from {', '.join(known)}")
    return [known[name] for name in wanted]


def main() -> int:
    """Runs the benchmarks and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="NAME,...", help="run these only")
    parser.add_argument("--long", action="store_true", help="run the long ones too")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    given = parser.parse_args()
    if given.list:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:12} {benchmark.what}{' (long)' * benchmark.is_long}")
        return 0
    wanted, broken = chosen(given.only, parser), False
    print(f"{figures.machine()}\n\n{HEAD}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for benchmark in wanted:
            reason = benchmark.refusal()
            if benchmark.is_long and not given.long:
                reason = "long: give --long"
            if reason:
                rows, ended = [benchmark.unmeasured(reason)], True
            else:
                rows, ended = measure(benchmark, Path(folder))
            broken |= not ended
            for figure in rows:
                print(figure.row(), flush=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
