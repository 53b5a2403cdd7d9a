"""Workers as jobs of a real Slurm, which the tests start: killed, preempted, refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import needed_programs
import pytest
import slurm_cluster
from slurm_cluster import said
from sweep_programs import ENVIRONMENT, at_first, endings, processes_at_work, published, wait_until
from trivial_runs import lasting, plan_of, truth

from experiments import cli
from sweeps.engines.slurm import _HOLDING, Slurm
from sweeps.runner import run_sweeps
from sweeps.store import Store

pytest.importorskip("submitit", reason=f"{needed_programs.ABSENT}: the package submitit")


pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    needed_programs.needs(*slurm_cluster.PROGRAMS)
    if os.getuid():
        pytest.skip("only root can start a Slurm")
    with slurm_cluster.slurm(tmp_path_factory.mktemp("slurm")) as environment:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", environment["SLURM_CONF"])
            yield


def test_the_table_is_that_of_local_workers_though_one_is_killed(cluster, tmp_path: Path) -> None:
    """Eight workers, in arrays of the five that the site takes and of three."""
    plan, root = plan_of(40), tmp_path / "r"

    def kill() -> None:
        os.kill(processes_at_work(root)[0], signal.SIGKILL)

    engine = Slurm(tmp_path / "slurm")
    summary = run_sweeps(
        [(root, plan)], workers=8, run="trivial_runs:slow", engine=engine, progress=at_first(kill)
    )
    assert summary.complete
    assert lasting(Store.open(root).read(plan)) == truth(plan)
    assert endings(root)["failed"] == 1
    arrays = [path.read_text() for path in (tmp_path / "slurm").glob("*_submission.sh")]
    assert sorted("--array=0-4%5" in text for text in arrays) == [False, True]


def test_workers_that_are_preempted_come_back(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's own signal ends no attempt as a failure, and the same jobs go on."""
    plan, root, marks = plan_of(40), tmp_path / "r", tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("TRIVIAL_MARKS", str(marks))
    mine = ("squeue", "--noheader", "--array", "--name=preempted")

    def preempt() -> None:
        wait_until(lambda: len(processes_at_work(root)) == 2)
        subprocess.run(["scancel", "--signal=USR2", "--name=preempted"], check=True)
        wait_until(lambda: said(*mine, "--format=%T").split() == ["PENDING"] * 2)
        (marks / "go").touch()
        # Slurm keeps a job that was queued again out of its queue for two minutes. A second is
        # enough: a node refuses a job that begins in the second in which it ended there.
        time.sleep(1.1)
        for job in said(*mine, "--format=%i").split():
            subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)

    engine = Slurm(tmp_path / "slurm", {"job_name": "preempted"})
    with ThreadPoolExecutor(1) as thread:
        preempted = thread.submit(preempt)
        summary = run_sweeps([(root, plan)], workers=2, run="trivial_runs:held", engine=engine)
        preempted.result()
    assert summary.complete and not summary.notices
    assert lasting(Store.open(root).read(plan)) == truth(plan)
    assert endings(root)["interrupted"] == 2 and endings(root)["failed"] == 0
    logs = [path.read_text() for path in (tmp_path / "slurm").glob("*_log.out")]
    assert [log.count("Starting with") for log in logs] == [2, 2]


def test_a_detached_experiment_is_done_and_then_analysed(cluster, tmp_path: Path, capsys) -> None:
    """The workers do it alone; the same command without --executor draws and reports."""
    tiny = Path(__file__).parents[1] / "experiments" / "tiny.py"

    def run(results: str, *words: str) -> int:
        return cli.main(["run", str(tiny), "--results", str(tmp_path / results), *words])

    assert run("far", "--executor", "slurm", "--workers", "2", "--detach") == 0
    assert "look on with: scaling watch" in " ".join(capsys.readouterr().out.split())
    wait_until(lambda: len(published(tmp_path / "far" / "tiny")) == 9)
    assert run("far") == 0
    assert run("near", "--workers", "1") == 0
    far, near = (Store.open(tmp_path / results / "tiny") for results in ("far", "near"))
    for here, there in zip(lasting(far.scan()), lasting(near.scan()), strict=True):
        assert here.keys() == there.keys()
        for name, value in there.items():
            # Which runs share a pack decides their last bits.
            close = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            assert here[name] == close, name


def test_what_sbatch_refuses_is_one_sentence(cluster, tmp_path: Path, capsys) -> None:
    words = ["run", "double_descent", "--budget", "smoke", "--results", str(tmp_path)]
    slurm = ["--executor", "slurm", "--workers", "4", "--slurm", "partition=nowhere"]
    assert cli.main([*words, *slurm]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "sbatch refused the workers: " in said and "invalid partition specified: nowhere" in said
    assert "Nothing was started" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--executor", "slurm"], "give --workers, e.g. 16"),
        (["--executor", "slurm", "--workers", "2", "--slurm", "partitio=a"], "mean 'partition'"),
        (["--executor", "slurm", "--workers", "2", "--slurm", "gpu"], "NAME=VALUE"),
        (["--slurm", "partition=a"], "--slurm has no effect without --executor slurm"),
        (["--hosts", "--executor", "slurm"], "--executor does not go with --hosts"),
        (["--hosts", "--detach"], "--detach does not go with --hosts"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: list[str], message: str, programs_of_slurm, tmp_path: Path, capsys
) -> None:
    run = ["run", "double_descent", "--budget", "smoke", "--results", str(tmp_path)]
    assert cli.main([*run, *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


@pytest.fixture
def programs_of_slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Stand-ins: an sbatch whose site takes three jobs, two in an array, and nothing else."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("srun", "squeue", "scontrol", "scancel"):
        (folder / name).write_text("#!/bin/sh\n")
    (folder / "sbatch").write_text(_SBATCH)
    for path in folder.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


_SBATCH = """#!/bin/sh
n=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
n=$((${n:-0} + 1))
taken=$(cat "$(dirname "$0")/taken" 2>/dev/null || echo 0)
if [ $n -gt 2 ] || [ $((taken + n)) -gt 3 ]; then
  echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
  echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy" >&2
  exit 1
fi
echo $((taken + n)) > "$(dirname "$0")/taken"
echo "Submitted batch job $((taken + 1))"
"""


def test_a_site_that_takes_fewer_workers_gets_fewer(
    programs_of_slurm: Path, tmp_path: Path
) -> None:
    engine = Slurm(tmp_path)
    assert engine.start(range(7), "{}") == [0, 1, 2]
    with pytest.raises(ValueError, match=r"QOSMaxSubmitJobPerUserLimit.*Nothing was started"):
        Slurm(tmp_path).start(range(2), "{}")


_EARLY = """
import os, signal
os.kill(os.getpid(), signal.SIGUSR2)  # before anything of Slurm or submitit is loaded
from sweeps.engines.slurm import SlurmMember
signal.signal(signal.SIGUSR2, lambda *_: print("queued again"))
SlurmMember()('{"jobs": [], "turns": [{"workers": 1}]}', "0")
"""


def test_a_signal_while_the_interpreter_starts_has_a_worker_queued_again() -> None:
    words = [sys.executable, "-ISc", _HOLDING, "-c", _EARLY]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "queued again\n"), done.stderr
