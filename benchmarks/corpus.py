"""Training on a corpus of 16 GB: what it holds in memory, at the start and at the end.

    python benchmarks/corpus.py [--gigabytes 16] [FOLDER]

The corpus is one file of uint16 tokens, random ones in stretches of 64 kB every 4 MB and zeros
between, which take no room on the disk but are read like any other. A small model is trained on it
by `scaling.run.run`, in sequences of 64 tokens, of which there are 119 million, and of 1,024. Each
training is a separate process, which reads its high-water mark (VmHWM: its memory and what it has
mapped of the corpus) five times a second. A run of ten steps comes first: it compiles and measures
the processor's peak, which a process does once, so that halfway is half of the steps. Mapped pages
that were not released would show: 38,000 windows all over the file are on as many pages of at least
4 kB. FOLDER is where the file goes; by default among temporary files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from figures import Figure, machine, options, peak_megabytes, report

VOCAB = 512
EVERY, RANDOM = 2**22, 2**16  # bytes
BATCHES = {64: 64, 1024: 4}  # sequences of each context in a step
STEPS = {64: 600, 1024: 150}


def write_corpus(path: Path, n_bytes: int) -> None:
    """A sparse file of tokens."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.truncate(n_bytes)
        for place in range(0, n_bytes - RANDOM, EVERY):
            file.seek(place)
            file.write(rng.integers(0, VOCAB, RANDOM // 2, dtype="<u2").tobytes())
    os.utime(path, (1e9, 1e9))  # nothing is remembered about a file that has just changed


def train(path: str, context: int) -> dict[str, float]:
    """Trains in this process."""
    from scaling.config import RunConfig
    from scaling.data.text import Text
    from scaling.data.tokenizing import Tokenized
    from scaling.models.transformer import Transformer
    from scaling.overrides import replace_at
    from scaling.pretraining import Pretraining
    from scaling.run import run
    from scaling.training import Adam

    data = Text(path=path, tokenizer=Tokenized(vocab_size=VOCAB), context=context, n_eval=64)
    began = time.monotonic()
    n_windows = data.load(0).n_windows
    read = time.monotonic()
    data.load(0).sequences(0, 0, 256)
    drawn = time.monotonic()
    plan = Pretraining(
        optimizer=Adam(learning_rate=3e-3), batch_size=BATCHES[context], steps=STEPS[context]
    )
    config = RunConfig(model=Transformer(width=16, depth=1, heads=1), data=data, train=plan)
    run(replace_at(config, "train.steps", 10))
    peaks: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            peaks.append(peak_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    record, curve = run(config)
    over.set()
    watcher.join()
    assert record.status == "done" and len(curve) == plan.evaluations
    assert record.tokens_per_second is not None
    return {
        "windows": n_windows,
        "seconds to check the file": read - began,
        "seconds to the first 256 windows": drawn - read,
        "seconds to train": record.wall_seconds or 0.0,
        "windows trained on": plan.batch_size * STEPS[context],
        "tokens a second": record.tokens_per_second,
        "peak MB, halfway": peaks[len(peaks) // 2],
        "peak MB": peak_megabytes(),
    }


def main() -> None:
    """Writes the corpus, and trains on it with every context."""
    parser = options(__doc__)
    parser.add_argument("folder", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--gigabytes", type=float, default=16.0)
    parser.add_argument("--context", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.context:
        print(json.dumps(train(arguments.folder, arguments.context)))
        return
    n_bytes = int(arguments.gigabytes * 1e9) // 2 * 2
    # A file system without sparse files writes all of it.
    free = shutil.disk_usage(arguments.folder).free
    if free < 1.1 * n_bytes:
        sys.exit(
            f"{arguments.folder} has {free / 1e9:.0f} GB free, and the corpus may take "
            f"{n_bytes / 1e9:.0f}: name a folder with more, or give fewer --gigabytes"
        )
    columns = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "corpus.bin"
        write_corpus(path, n_bytes)
        print(f"{machine()}; a corpus of {n_bytes / 1e9:.1f} GB")
        for context in BATCHES:
            command = [sys.executable, __file__, str(path), "--context", str(context)]
            env = os.environ | {"SCALING_CACHE_DIR": str(Path(folder) / "cache")}
            columns.append(json.loads(subprocess.check_output(command, env=env)))
    print(f"{'context':34}" + "".join(f"{context:>14}" for context in BATCHES))
    for name in columns[0]:
        print(f"{name:34}" + "".join(f"{column[name]:14,.2f}" for column in columns))
    figure = Figure(
        what=f"memory of training on a corpus of {arguments.gigabytes:g} GB, contexts "
        f"{' and '.join(map(str, BATCHES))}",
        asked=2, measured=tuple(column["peak MB"] / 1e3 for column in columns), unit="GB",
        command="python benchmarks/corpus.py",
    )  # fmt: skip
    report([figure], arguments.json)


if __name__ == "__main__":
    main()
