"""Damage of every kind of file: single-bit flips, and hostile contents.

    python benchmarks/flips.py [--flips 1000] [--seed 0]

A small sweep is done: runs with a learning curve, runs without, one that failed, a trunk, a report.
Then, one after another, a random bit of a random file is flipped, and the folder is read as the
commands read it. A flip is *harmless* where all that is read is as before; *said* where a run, a
curve, a plan or a report is named as damaged or made anew; *accepted* where something else is read
without a word; *blocking* where the other runs cannot be read. Checkpoints are read as a run reads
them. Last, every file in turn is replaced by hostile things, and the command `scaling status` is
timed on each. Exit status 1 where anything was accepted or blocked others.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from figures import Figure, machine, options, report

Outcome = Literal["harmless", "said", "accepted", "blocking"]
SECONDS, MEGABYTES = 2.0, 500.0
CARD = '''"""A card small enough to be damaged often."""
from analysis.plots import style
from experiments.experiment import Expected, Findings, Measured
from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.schedules import StableDecay
from scaling.training import Adam
from sweeps.space import grid
def sweep():
    train = Pretraining(optimizer=Adam(learning_rate=0.01), schedule=StableDecay(decay=0.25),
                        batch_size=4, steps=40, evaluations=6)
    data = NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=64)
    return grid(RunConfig(model=Transformer(width=8, depth=1, heads=2), data=data, train=train),
                {"train.steps": [40, 80], "seed": range(2)})
SWEEP = {"smoke": sweep, "cpu": sweep}
CURVES = True
EXPECTED = (Expected(name="points", says="points", source="none", low=0.0, high=1e9),)
def analyse(table, curves):
    return Findings(measured={"points": Measured(value=float(len(curves)))}, verdict="counted",
                    shown=curves[["step", "eval_loss"]].assign(run_ids=curves["run_id"]))
def figure(findings):
    with style.paper_style():
        drawing, axes = style.new_figure()
        axes[0, 0].plot(findings.shown["step"], findings.shown["eval_loss"], "o")
    return drawing
'''


class _Words(logging.Handler):
    """Counts what is said."""

    n_said = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.n_said += 1


def build(folder: Path) -> Path:
    """The results folder, done."""
    from sweeps import publishing
    from sweeps.plan import make_plan
    from sweeps.store import Store

    (folder / "card.py").write_text(CARD)
    words = [sys.executable, "-m", "scaling_descent", "run", str(folder / "card.py")]
    subprocess.run([*words, "--results", str(folder / "results")], check=True, capture_output=True)
    root = folder / "results" / "card"
    # A run that failed, declared by a plan of its own.
    from scaling.config import RunConfig
    from scaling.data.gaussian import GaussianTeacher
    from scaling.models.linear import Linear
    from scaling.solving import Ridgeless

    data = GaussianTeacher(n_train=20, dimension=60, noise_variance=0.1)
    plan = make_plan(
        "failed", [RunConfig(model=Linear(n_features=5), data=data, train=Ridgeless())]
    )
    store, (run,) = Store.open(root), plan.runs
    publishing.declare(store, plan)
    publishing.make_folders(store, [run.run_id])
    attempt = publishing.claim(store, run.run_id, 1, run.config)
    assert attempt is not None
    failure = publishing.failure(run.run_id, run.config, "exception", "on purpose")
    publishing.fail(store, attempt, failure)
    return root


def read(root: Path) -> dict[str, Any]:
    """All that commands read of a folder, by what it is of."""
    from experiments.commands import report as reports
    from scaling.sealed import DamagedFileError
    from sweeps.store import Store

    store, found = Store.open(root), dict[str, Any]()
    for record in store.scan():
        found[record.run_id] = record
        if record.status == "done":
            try:
                found[f"curve {record.run_id}"] = store.curve(record.run_id)
            except DamagedFileError as error:
                found[f"curve {record.run_id}"] = error
        elif record.status == "failed":
            for attempt in store.attempts(record.run_id):
                found[f"claim {record.run_id}"] = attempt.claim() or None
    for path in root.glob("plans/*"):
        found[f"plan {path.name}"] = store.load_plan(path.stem)
    for path in root.glob("reports/*/report.json"):
        made = reports.read(path)
        source = "" if made is None else made.source
        found["report"] = reports.load(path.parent, source)
    return found


def outcome(good: dict[str, Any], root: Path, words: _Words) -> Outcome:
    """What became of one flip."""
    words.n_said = 0
    try:
        now = read(root)
    except Exception:  # whatever it is: a command that reads the folder would end by it
        return "blocking"
    differing = {key for key in good.keys() | now.keys() if good.get(key) != now.get(key)}
    if not differing:
        return "harmless"
    silent = {
        key
        for key in differing
        # Rebuilt without a word: a report is drawn anew, a claim ends by its lease.
        if not (key == "report" or key.startswith("claim ")) or now.get(key) is not None
    }
    if len({key.split()[-1] for key in differing if not key.startswith("plan ")}) > 1:
        return "blocking"
    return "said" if not silent or words.n_said or _named(now, silent) else "accepted"


def _named(now: dict[str, Any], keys: set[str]) -> bool:
    return all(
        isinstance(now.get(key), Exception) or getattr(now.get(key), "reason", "") == "damaged"
        for key in keys
    )


def flip(root: Path, scratch: Path, draw: random.Random, n_flips: int) -> dict[str, Counter]:
    """Flips bits of files of every kind in turn; counts the outcomes by kind."""
    words = _Words()
    logging.getLogger().handlers = [words]
    by_kind = defaultdict[str, list[Path]](list)
    for path in sorted(root.rglob("*")):
        if path.is_file() and "trunks" not in path.parts and path.stat().st_size:
            by_kind[path.name if path.parent.name != "plans" else "plan"].append(path)
    good, found = read(root), defaultdict[str, Counter](Counter)
    for number in range(n_flips):
        kind = sorted(by_kind)[number % len(by_kind)]
        victim = draw.choice(by_kind[kind]).relative_to(root)
        copy = scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy)
        _flip_bit(copy / victim, draw)
        found[kind][outcome(good, copy, words)] += 1
    return found


def _flip_bit(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    bit = draw.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def flip_checkpoints(scratch: Path, draw: random.Random, n_flips: int) -> Counter:
    """Flips bits of checkpoints, and restores them as a run does."""
    import jax.numpy as jnp

    from scaling.trainers import checkpoint

    logging.getLogger().handlers = [_Words()]
    state = {"w": jnp.arange(600.0).reshape(20, 30), "step": jnp.asarray(7)}
    folder, found = scratch / "good", Counter[str]()
    checkpoint.save(folder, "a" * 32, 7, state, {"seconds": 1.5})
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    for number in range(n_flips):
        copy = scratch / "damaged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        _flip_bit(copy / files[number % len(files)].relative_to(folder), draw)
        loaded = checkpoint.latest(copy, "a" * 32, state)
        if loaded is None:
            found["said"] += 1
        else:
            same = all(bool((loaded.state[k] == state[k]).all()) for k in state)
            found["harmless" if same and loaded.notes == {"seconds": 1.5} else "accepted"] += 1
    return found


def hostile() -> dict[str, Callable[[Path], object]]:
    """Ways to put something hostile in the place of a file."""

    def content(data: bytes) -> Callable[[Path], object]:
        return lambda path: path.write_bytes(data)

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(200 * 2**20)

    def digits(path: Path) -> None:
        with path.open("wb") as file:
            for _ in range(1000):
                file.write(b"9" * 10**6)

    sealed = b'{"sha256": "' + b"0" * 64 + b'", "record": '
    return {
        "a FIFO": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "a link outside": lambda path: path.symlink_to("/etc/passwd"),
        "a link to itself": lambda path: path.symlink_to(path),
        "10^5 brackets": content(b"[" * 10**5),
        "10^5 brackets, sealed": content(sealed + b"[" * 10**5),
        "10^7 digits": content(sealed + b"9" * 10**7 + b"}"),
        "10^9 digits": digits,
        "NaN": content(sealed + b"NaN}"),
        "1e400": content(sealed + b"1e400}"),
        "200 MB": sparse,
        "15 MB of lists": content(sealed + b"[" + b"[]," * (5 * 10**6) + b"[]]}"),
        "gzip of 1,000 times its size": content(gzip.compress(bytes(10**8))),
        "a pickle": content(b"\x80\x04\x95\x1e\x00\x00\x00\x8c\x05posix\x8c\x06system\x93."),
        "NULs": content(bytes(5000)),
        "not UTF-8": content(b"\xff\xfe" * 99),
    }


def look(root: Path) -> tuple[float, float, bool]:
    """Seconds and megabytes of `scaling status`, and whether it saw the other runs."""
    code = (
        "import sys; from experiments.cli import main\n"
        "main(['status', sys.argv[1], '--json', '-'])\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    began = time.perf_counter()
    words = [sys.executable, "-c", code, str(root)]
    printed = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
    seconds = time.perf_counter() - began
    try:
        counts, kilobytes = json.loads(printed[0])["folders"][0]["counts"], int(printed[1])
    except (ValueError, IndexError, TypeError):
        return seconds, 0.0, False
    return seconds, kilobytes / 1024, counts.get("done", 0) >= 3


def replace_files(root: Path, scratch: Path) -> list[tuple[str, float, float, bool]]:
    """Puts every hostile thing in the place of every kind of file; times a look at each."""
    victims = {path.name: path.relative_to(root) for path in root.rglob("*.json*")}
    victims["plan"] = next(root.glob("plans/*.json")).relative_to(root)
    rows = []
    for kind in ("result.json", "curve.jsonl", "failure.json", "plan", "store.json"):
        for name, put in hostile().items():
            copy = scratch / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy)
            (copy / victims[kind]).unlink()
            put(copy / victims[kind])
            rows.append((f"{kind}: {name}", *look(copy)))
    return rows


def main() -> None:
    """Flips, replaces, prints what became of it."""
    parser = options(__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-hostile", action="store_true", help="flip bits only")
    given = parser.parse_args()
    print(machine())
    draw, total = random.Random(given.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        root = build(Path(scratch))
        found = flip(root, Path(scratch), draw, given.flips)
        found["checkpoint"] = flip_checkpoints(Path(scratch), draw, given.flips // 10)
        for kind, counts in sorted(found.items()):
            print(f"{kind:20} {dict(counts)}")
            total += counts
        rows = [] if given.no_hostile else replace_files(root, Path(scratch))
    print(f"all {dict(total)}")
    for name, seconds, megabytes, others in sorted(rows, key=lambda row: -row[1])[:8]:
        print(f"{name:50} {seconds:.2f} s, {megabytes:.0f} MB{'' if others else ', BLOCKED'}")
    command = f"python benchmarks/flips.py --flips {given.flips}"
    n_flips, bad = total.total(), total["accepted"] + total["blocking"]
    figures = [
        Figure(
            what=f"{n_flips:,} flipped bits: silently accepted, blocking other runs", asked=0,
            measured=(total["accepted"], total["blocking"]), unit="flips", command=command,
        )
    ]  # fmt: skip
    if rows:
        blocked = sum(not others for *_, others in rows)
        bad += blocked
        figures += [
            Figure(
                what=f"{len(rows)} hostile files: the slowest look", asked=SECONDS,
                measured=(max(row[1] for row in rows),), unit="s", command=command,
                note=f"{max(row[2] for row in rows):.0f} MB at most, {blocked} block others",
            )
        ]  # fmt: skip
    report(figures, given.json)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
