"""Members as jobs of Slurm, through submitit: arrays of workers, which go back into the queue.

Slurm sends SIGUSR2 some time before the limit of a job, and where the site wants it when a job is
preempted: a member then ends its attempts in good order and has itself queued again. SIGTERM alone
says that its place is wanted, but not by whom: it ends its attempts and waits, so that Slurm finds
it running when it decides whether to queue it again. SIGINT ends a member for good.

SIGUSR2 may come at any instant, and kills a process that has not said what to do with it; Slurm
then calls the job failed. So a member holds it back (`_HOLDING`) from its first instant until it
can note it, and ignores it once it has ended its attempts.

What submitit needs, scripts, pickles and logs, lies in a folder of its own that all machines see.
Nothing of it enters a results folder.
"""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.extras import needed
from scaling.fields import nearest
from sweeps.member import Member, member_path

log = logging.getLogger(__name__)

DEFAULTS: Mapping[str, Any] = {"job_name": "scaling", "time": 60, "cpus_per_task": 1}
"""What a member asks of Slurm, unless its user says otherwise; `time` in minutes."""

_LARGEST_ARRAY = 1000  # where Slurm does not say: one less than its own default
_MOST_REQUEUES = 10_000  # submitit wants a number; every return finds fewer runs to do
_SECONDS_BETWEEN_QUESTIONS = 2.0
_SECONDS_TO_ANSWER = 30
_SECONDS_UNTIL_KILLED = 3600.0
_TAIL_CHARACTERS = 1000
_TRIES = 4

_HOLDING = (
    "import os, signal, sys; "
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Program of Python that becomes another, to which SIGUSR2 comes once it says that it may.

The interpreter that runs it loads nothing, and is there in a hundredth of a second. (The option
`--block-signal` of `env` would do, but older clusters lack it.)
"""

_PASSING = ("timed out", "Unable to contact", "Zero Bytes", "Resource temporarily unavailable")
"""What Slurm says when the same request may succeed a little later."""

_TOO_MANY = ("Limit", "limit", "array specification", "Too many")
"""What Slurm says when a site takes fewer jobs of one user than it was asked to."""


class SlurmMember(Member):
    """A member as a job of Slurm; submitit calls it, and has it queued again."""

    def __call__(self, settings: str, number: str) -> None:
        """Attends; see `Member.attend`."""
        early: list[int] = []

        def note(number: int, _: object) -> None:
            early.append(number)
            self.stop()

        queue_again = signal.signal(signal.SIGUSR2, note)  # submitit's comes after the attempts
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
        ended_by = self.attend(settings, int(number))
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if signal.SIGUSR2 in (*ended_by, *early) and callable(queue_again):
            _insist(queue_again)
        elif signal.SIGTERM in ended_by:
            time.sleep(_SECONDS_UNTIL_KILLED)

    def checkpoint(self, settings: str, number: str) -> Any:
        """What submitit queues: the same member, which finds in the folder what is done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(SlurmMember(), settings, number)


class Slurm:
    """Members as jobs of Slurm; see `sweeps.engines.Engine` for the calls."""

    def __init__(
        self, folder: Path, asked: Mapping[str, Any] | None = None, *, detached: bool = False
    ) -> None:
        """Looks for Slurm.

        Args:
            folder: Where submitit keeps scripts and logs; all machines see it.
            asked: Parameters of `submitit.SlurmExecutor`, such as `partition`.
            detached: Whether members work on by themselves.

        Raises:
            ValueError: no Slurm or no submitit is here, or there is no such parameter.
        """
        missing = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
        if missing:
            raise ValueError(
                f"--executor slurm finds no {missing[0]} here: start it on a machine from which "
                "you submit jobs, or leave --executor out"
            )
        submitit = needed(
            "submitit", "--executor slurm", extra="slurm", otherwise="leave --executor out"
        )
        self.detached = detached
        self._jobs: dict[int, str] = {}
        self._alive: set[int] = set()
        self._listed: set[int] = set()  # those in squeue's last answer
        self._asked_at = -_SECONDS_BETWEEN_QUESTIONS
        self._executor = submitit.SlurmExecutor(
            folder=folder,
            max_num_timeout=_MOST_REQUEUES,
            python=shlex.join([sys.executable, "-ISc", _HOLDING]),
        )
        known = self._executor._valid_parameters()
        for name in asked or {}:
            if name not in known:
                raise ValueError(
                    f"--slurm {name}: Slurm has no such option; {nearest(name, known)}"
                )
        path = shlex.quote(member_path())
        setup = [f"export PYTHONPATH={path}", "export PYTHONSAFEPATH=1"]
        again = {"requeue": True}
        self._executor.update_parameters(
            **{**DEFAULTS, "setup": setup, "additional_parameters": again, **(asked or {})}
        )

    def workers(self, devices: int, asked: int | None) -> int:
        """Number of workers, which its user has to say: a cluster has no number of its own."""
        if asked is None:
            raise ValueError(
                "--executor slurm needs a number of workers, each a job: give --workers, e.g. 16"
            )
        return asked

    def start(self, members: Sequence[int], settings: str) -> Sequence[int]:
        """Submits members as arrays no larger than the site takes; returns those accepted."""
        largest = _largest_array()
        started: list[int] = []
        waiting = list(members)
        while waiting:
            array = waiting[:largest]
            try:
                jobs = self._submit(array, settings)
            except _Refused as error:
                if any(word in str(error) for word in _TOO_MANY) and len(array) > 1:
                    largest = len(array) // 2
                    continue
                if not started:
                    raise ValueError(
                        f"sbatch refused the workers: {error}. Nothing was started; change what "
                        "--slurm and --workers ask for, and give the command again"
                    ) from None
                log.warning("sbatch took %d of %d workers: %s", len(started), len(members), error)
                break
            self._jobs |= dict(zip(array, jobs, strict=True))
            started += array
            waiting = waiting[len(array) :]
        self._alive |= set(started)
        self._listed |= set(started)
        return started

    def alive(self) -> Collection[int]:
        """The members that squeue lists or did list when it was last asked.

        Between two turns of a job in the queue it is in no list for a moment. Where squeue gives no
        answer, the one before stands.
        """
        now = time.monotonic()
        if self._jobs and now - self._asked_at >= _SECONDS_BETWEEN_QUESTIONS:
            self._asked_at = now
            asked = sorted({job.split("_")[0] for job in self._jobs.values()})
            said = _ask(
                "squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(asked)}"
            )
            if said is not None:
                ids = set(said.split())
                listed = {member for member, job in self._jobs.items() if job in ids}
                self._alive, self._listed = listed | self._listed, listed
        return self._alive

    def why(self, member: int) -> str | None:
        """Returns why a member ended, with the end of its log; None if it ended normally."""
        job = self._jobs.pop(member)
        said = _ask("scontrol", "show", "job", "--oneliner", job) or ""
        state = re.search(r"\bJobState=(\w+)", said)
        if state is None or state[1] == "COMPLETED":
            return None
        words = f"job {job}: {state[1].lower()}"
        tail = _tail(self._executor.folder, job)
        return f"{words}; it last wrote: {tail}" if tail else words

    def stop(self) -> None:
        """Asks all members to end their attempts and stop; those that wait never begin."""
        jobs = sorted(set(self._jobs.values()))
        if jobs:
            _ask("scancel", "--state=PENDING", *jobs)
            _ask("scancel", "--signal=INT", *jobs)

    def _submit(self, members: Sequence[int], settings: str) -> list[str]:
        """Submits an array, again after a while where Slurm did not answer; its jobs' ids."""
        from submitit.core.utils import FailedJobError

        self._executor.update_parameters(array_parallelism=len(members))
        for attempt in range(_TRIES):
            try:
                with self._executor.batch():
                    jobs = [
                        self._executor.submit(SlurmMember(), settings, str(member))
                        for member in members
                    ]
                return [str(job.job_id) for job in jobs]
            except FailedJobError as error:
                said = " ".join(str(error).replace("sbatch: error:", " ").split())
                if attempt + 1 == _TRIES or not any(word in said for word in _PASSING):
                    raise _Refused(said) from None
                time.sleep(2**attempt)
        raise AssertionError("unreachable")


class _Refused(Exception):
    """What sbatch said when it refused."""


def _insist(queue_again: Callable[..., None]) -> None:
    """Has submitit queue this job again, once more after a while where Slurm does not answer."""
    for attempt in range(_TRIES):
        try:
            return queue_again(signal.SIGUSR2, None)  # exits where Slurm agrees
        except subprocess.SubprocessError as error:
            if attempt + 1 == _TRIES:
                raise
            log.warning("Slurm did not queue this worker again: %s", error)
            time.sleep(2**attempt)


def _largest_array() -> int:
    """Most jobs that the site takes as one array."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config") or "", re.M)
    return max(1, int(found[1])) if found else _LARGEST_ARRAY


def _ask(*words: str) -> str | None:
    """What a command of Slurm answers: "" where it knows no such job, None where it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return "" if "Invalid job id" in done.stderr else None
    return done.stdout


def _tail(folder: Path, job: str) -> str:
    """The end of what a member wrote to its log."""
    try:
        text = (folder / f"{job}_0_log.err").read_text(errors="replace")
    except OSError:
        return ""
    return text[-_TAIL_CHARACTERS:].strip()
