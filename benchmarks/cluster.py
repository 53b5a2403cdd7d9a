"""A thousand workers on one results folder, simulated: how much of their time goes into runs.

    python benchmarks/cluster.py [--workers 1000] [--runs 100000]

A discrete-event simulation over the real protocol: each worker is `sweeps.worker.work` in a thread
of its own, on a folder in memory. Only time, heartbeats and the folder are simulated. A run takes
30 to 90 s, uniformly, and no worker knows beforehand. Every operation on the folder takes 10 ms, as
in an object store; listing takes that for each thousand names. Workers are lost for good, 1 % of
them an hour, without a word; their runs are done again once their claims are over. One worker works
at a time, the one whose time comes first, so that the same seed gives the same events.

Efficiency is the time of runs that were published over the time of living workers until the last
run was published. The ideal, 100 %, is thus a cluster whose folder answers at once, which knows of
a lost worker at once, and whose workers all end in the same instant. No protocol reaches it: nobody
knows how long a run takes, so that the last one ends up to 90 s after there is nothing left to
claim, and workers wait for it half of that in the mean, 0.7 % of 100 minutes.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from figures import Figure, machine, options, own_command, report

from scaling.record import RunRecord
from sweeps import claims, files, visiting, worker
from sweeps.places import ObjectPath
from sweeps.plan import PlannedRun
from sweeps.store import Store
from sweeps.visiting import Share, Task

OPERATION_SECONDS = 0.01
SECONDS = (30.0, 90.0)
LOST_AN_HOUR = 0.01
LEASE = claims.LEASE_SECONDS


class Lost(BaseException):
    """The machine of a worker has gone."""


class Worker:
    """One worker: a thread that runs while all others wait."""

    def __init__(self, cluster: Cluster, number: int, dies_at: float) -> None:
        self.cluster, self.number, self.dies_at = cluster, number, dies_at
        self.ended_at = 0.0
        self.debt = 0.0  # time of operations since it last gave way
        self.turn = threading.Semaphore(0)
        self.listed_at = self.lists_at = -1.0  # the list of published runs: made, to be made again
        self.thread = threading.Thread(target=self._live, daemon=True)

    def now(self) -> float:
        """The time, as this worker sees it."""
        return self.cluster.now + self.debt

    def sleep(self, seconds: float) -> None:
        """Lets others work until its time has come, or its end."""
        until = self.now() + seconds
        self.debt = 0.0
        self.cluster.wake(self, min(until, self.dies_at))
        self.cluster.next()
        self.turn.acquire()
        if self.cluster.now >= self.dies_at:
            raise Lost

    def _live(self) -> None:
        self.turn.acquire()
        try:
            worker.work(self.cluster.order(self.number), self._compute, lease=LEASE, emit=_nothing)
        except Lost:
            self.cluster.n_lost += 1
        finally:
            self.ended_at = self.now()
            self.cluster.next()

    def _compute(self, configs: Sequence[Any], workspaces: Sequence[Any]) -> Any:
        (config,) = configs
        self.sleep(config["seconds"])
        run_id = f"{config['seed']:032x}"
        return [(RunRecord(run_id=run_id, status="done", config=config, eval_loss_nats=1.0), ())]


class Cluster:
    """The workers, the folder and the clock."""

    def __init__(self, n_workers: int, n_runs: int, seed: int) -> None:
        draw = random.Random(seed)
        self.now, self.n_lost = 0.0, 0
        self.files: dict[str, bytes] = {}
        self.folders: dict[str, dict[str, None]] = {}
        self.owners: dict[str, Worker] = {}
        self.published: dict[str, float] = {}
        self.operations = Counter[str]()
        self._waiting: list[tuple[float, int, Worker]] = []
        self._n_waits = 0
        self._done = threading.Event()
        seconds = [draw.uniform(*SECONDS) for _ in range(n_runs)]
        self.seconds = {f"{i:032x}": s for i, s in enumerate(seconds)}
        store = Store(Folder("sim://cluster/results"))
        tasks = [Task(0, store, _planned(i, s), 0) for i, s in enumerate(seconds)]
        self._shares = [
            {task.run.run_id: chain for chain in share for task in chain}
            for share in visiting.shares(tasks, n_workers)
        ]
        self._share_of = {run_id: share for share in self._shares for run_id in share}
        rate = LOST_AN_HOUR / 3600
        self.workers = [Worker(self, k, draw.expovariate(rate)) for k in range(n_workers)]

    def order(self, number: int) -> Iterator[Share]:
        """`visiting.visiting_order`, without the runs that a look would find published anyway."""
        shares, n = self._shares, len(self._shares)
        yield [*shares[number].values()]
        for step in range(n - 1, 0, -1):
            if share := shares[(number + step) % n]:
                yield from visiting.helping([*share.values()])

    def note_published(self, run_id: str) -> None:
        """Takes note of a run that was published now, if it is the first time."""
        if run_id not in self.published:
            self.published[run_id] = self.current.now()
            del self._share_of[run_id][run_id]

    def run(self) -> None:
        """Lets all workers live to their end."""
        for each in self.workers:
            each.thread.start()
            self.wake(each, 0.0)
        self.next()
        self._done.wait()

    def wake(self, sleeper: Worker, when: float) -> None:
        """Gives a worker its turn at some time."""
        self._n_waits += 1
        heapq.heappush(self._waiting, (when, self._n_waits, sleeper))

    def next(self) -> None:
        """Gives the turn to the worker whose time comes first."""
        if not self._waiting:
            self._done.set()
            return
        self.now, _, self.current = heapq.heappop(self._waiting)
        self.current.turn.release()

    def pay(self, operation: str, cost: float = OPERATION_SECONDS) -> None:
        """Charges the worker whose turn it is for an operation on the folder."""
        self.operations[operation] += 1
        self.current.debt += cost

    def efficiency(self) -> float:
        """Time of published runs over time of living workers until the last was published."""
        end = max(self.published.values())
        useful = sum(self.seconds[run_id] for run_id in self.published)
        return useful / sum(min(each.ended_at, end) for each in self.workers)


CLUSTER: Cluster


class Folder(ObjectPath):
    """A place in the memory of this process."""


def _planned(number: int, seconds: float) -> PlannedRun:
    config = {"seed": number, "seconds": seconds}
    estimate = sum(SECONDS) / 2  # nobody knows beforehand which run takes long
    return PlannedRun(f"{number:032x}", "shape", 1, estimate, config)


def _nothing(*_: Any, **__: Any) -> None:
    """Reports nothing to nobody."""


# The operations of a folder, as `sweeps.objects` has them for a store.


@files.write_new.register
def _write_new(path: Folder, data: bytes, *, durable: bool) -> None:
    if not _create(path, data):
        raise FileExistsError(str(path))


@files.publish.register
def _publish(path: Folder, data: bytes, *, scratch: Folder, durable: bool) -> bool:
    if path.name == "result.json":
        CLUSTER.current.sleep(0)  # whoever comes first in time comes first
    return _create(path, data)


@files.make_filled_folder.register
def _make_filled_folder(folder: Folder, name: str, data: bytes) -> bool:
    CLUSTER.current.sleep(0)
    made = _create(folder / name, data)
    if made:
        CLUSTER.owners[str(folder)] = CLUSTER.current
    return made


def _create(path: Folder, data: bytes) -> bool:
    CLUSTER.pay("create")
    name = str(path)
    if name in CLUSTER.files:
        return False
    CLUSTER.files[name] = data
    folder, _, _ = name.rpartition("/")
    above, _, own = folder.rpartition("/")
    CLUSTER.folders.setdefault(above, {})[own] = None
    return True


@files.read_bytes.register
def _read_bytes(path: Folder, most: int = files.MOST_BYTES) -> bytes:
    CLUSTER.pay("read")
    if path.name == "heartbeat":  # what its owner would have written by now
        owner = CLUSTER.owners[str(path.parent)]
        beats = min(CLUSTER.current.now(), owner.dies_at) // (LEASE / 10)
        return b"%d" % beats
    try:
        return CLUSTER.files[str(path)]
    except KeyError:
        raise FileNotFoundError(str(path)) from None


@files.exists.register
def _exists(path: Folder) -> bool:
    CLUSTER.pay("exists")
    return str(path) in CLUSTER.files


@files.names.register
def _names(folder: Folder) -> list[str]:
    CLUSTER.pay("list")
    return list(CLUSTER.folders.get(str(folder), ()))


@files.note_published.register
def _note_published(root: Folder, run_id: str) -> None:
    CLUSTER.pay("create")
    CLUSTER.note_published(run_id)


@files.seems_published.register
def _seems_published(root: Folder, run_id: str, path: Folder) -> bool:
    me, published_at = CLUSTER.current, CLUSTER.published.get(run_id)
    if (published_at is None or published_at > me.listed_at) and me.now() >= me.lists_at:
        cost = OPERATION_SECONDS * (1 + len(CLUSTER.published) / 1000)
        CLUSTER.pay("list published", cost)
        me.listed_at = me.now()
        me.lists_at = me.now() + max(1.0, 20 * cost)
    return published_at is not None and published_at <= me.listed_at


class Heartbeat(contextlib.AbstractContextManager):
    """Beats are made when somebody listens (`_read_bytes`)."""

    def __init__(self, lease: float) -> None:
        del lease

    def __exit__(self, *_: object) -> None:
        pass

    def on(self, *attempts: claims.Attempt) -> None:
        """Takes note of nothing: a worker is at its claim while it lives."""


def _clock() -> float:
    """The time, as the worker sees it whose turn it is."""
    return CLUSTER.current.now()


def _identity(pid: int) -> dict[str, Any]:
    """Every worker is on a machine of its own."""
    node = f"node{CLUSTER.current.number}"
    return {"host": node, "boot": node, "namespace": node, "pid": pid, "start": 1}


def simulate(n_workers: int, n_runs: int, seed: int = 0) -> Cluster:
    """Runs a sweep of a cluster from beginning to end."""
    global CLUSTER
    CLUSTER = Cluster(n_workers, n_runs, seed)
    worker.time = SimpleNamespace(
        monotonic=_clock, sleep=lambda seconds: CLUSTER.current.sleep(seconds)
    )
    worker.Heartbeat = Heartbeat
    worker.Watch = lambda lease: claims.Watch(lease, _clock)
    claims.identity = _identity
    threading.stack_size(256 * 1024)
    CLUSTER.run()
    return CLUSTER


def main() -> None:
    """Prints the efficiency, and what the folder had to do."""
    parser = options(__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=100_000)
    arguments = parser.parse_args()
    began = time.process_time()
    cluster = simulate(arguments.workers, arguments.runs)
    results = sum(name.endswith("result.json") for name in cluster.files)
    attempts = sum(name.endswith("claim.json") for name in cluster.files)
    ends = Counter(
        json.loads(data)["ending"]
        for name, data in cluster.files.items()
        if name.endswith("end.json")
    )
    print(machine())
    print(
        f"{arguments.workers:,} workers, {arguments.runs:,} runs: {results:,} results, "
        f"{attempts:,} attempts, {cluster.n_lost} workers lost, {cluster.now / 3600:.2f} h "
        f"simulated in {time.process_time() - began:.0f} s"
    )
    print(dict(ends), dict(cluster.operations))
    command = own_command()
    what = f"{arguments.workers:,} simulated workers, {arguments.runs:,} runs"
    figures = [
        Figure(
            what=f"{what}: of ideal throughput", asked=97, at_least=True,
            measured=(100 * cluster.efficiency(),), unit="%", command=command,
        ),
        Figure(
            what=f"{what}: runs not published exactly once", asked=0,
            measured=(arguments.runs - results + ends["equal"] + ends["different"],), unit="runs",
            command=command,
        ),
    ]  # fmt: skip
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
