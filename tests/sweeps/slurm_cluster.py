"""A real Slurm of one node on loopback, for tests: started here, and ended by its process ids."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
CPUS = 8

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MaxArraySize=5
KillWait=2
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Starts munge and Slurm; yields the environment in which its commands find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(secrets.token_bytes(128))
    (folder / "key").chmod(0o600)
    ports = {"controller": _free_port(), "daemon": _free_port()}
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(folder=folder, host=platform.node(), cpus=CPUS, **ports))
    environment = os.environ | {"SLURM_CONF": str(conf)}
    files = ("socket", "pid-file", "log-file", "seed-file")
    munge = [f"--{name}={folder}/munge.{name}" for name in files]
    daemons = [
        ["munged", "--foreground", "--force", f"--key-file={folder}/key", *munge],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    ]
    with contextlib.ExitStack() as stack:
        for words in daemons:
            log = stack.enter_context((folder / f"{words[0]}.out").open("wb"))
            daemon = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
            stack.callback(_end, daemon)
            if words[0] == "munged":
                _wait((folder / "munge.socket").exists)
        _wait(lambda: "idle" in said("sinfo", "--noheader", "--format=%T", env=environment))
        try:
            yield environment
        finally:  # jobs outlive the daemons
            said("scancel", "--user=root", env=environment)
            _wait(lambda: not said("squeue", "--noheader", env=environment))


def said(*words: str, env: dict[str, str] | None = None) -> str:
    """What a command prints; nothing where it fails."""
    return subprocess.run(words, env=env, capture_output=True, text=True).stdout


def _end(daemon: subprocess.Popen) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "Slurm does not start"
        time.sleep(0.1)
