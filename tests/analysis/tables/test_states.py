"""Runs that did not finish are left out in the words of every tool, and unknown words refused."""

import pytest

from analysis.tables import read
from analysis.tables.states import finished, is_states

UNFINISHED = {
    "W&B": ["crashed", "failed", "killed", "running", "Pending", "preempting", "Preempted"],
    "Optuna": ["PRUNED", "FAIL", "WAITING", "RUNNING", "TrialState.PRUNED"],
    "Ray": ["ERROR", "PAUSED", "PENDING", "STOPPED", "JobStatus.FAILED"],
    "Slurm": [
        *["CANCELLED by 1000", "CANCELLED+", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "OUT_OF_ME+"],
        *["OOM+", "OOM", "BOOT_FAIL", "DEADLINE", "REQUEUED", "SPECIAL_EXIT", "TO", "CA", "PD"],
    ],
    "Kubernetes": [
        *["OOMKilled", "CrashLoopBackOff", "Init:CrashLoopBackOff", "Evicted", "Error", "Unknown"],
        *["ImagePullBackOff", "ContainerCreating", "DeadlineExceeded", "Failed"],
    ],
    "MLflow": ["SCHEDULED", "KILLED", "RunStatus.FAILED", "UNFINISHED"],
    "SageMaker": ["InProgress", "Stopped", "Stopping", "MaxRuntimeExceeded", "Interrupted"],
    "by hand": ["Diverged", "cancelled", "out of memory", "node fail", "Failed (exit 1)", "nan"],
}
FINISHED = [
    *["finished", "COMPLETE", "TrialState.COMPLETE", "TERMINATED", "SUCCEEDED", "COMPLETED"],
    *["CD", "Completed", "Succeeded", "FINISHED", "done", "COMPLETED (0:0)", "Completed+"],
]
UNKNOWN = ["completed with errors", "gestoppt", "not done yet", "1", "", "F1", "TO do", "co+"]


@pytest.mark.parametrize("tool", UNFINISHED)
def test_words_of_each_tool_in_any_case(tool):
    for word in UNFINISHED[tool]:
        for spelling in (word, word.lower(), f" {word} "):
            assert finished(spelling) is False, spelling


def test_words_of_success_and_words_of_nobody():
    for word in FINISHED:
        assert finished(word) is True, word
    for word in UNKNOWN:
        assert finished(word) is None, word


def test_names_of_columns_of_states():
    for name in ("State", "state", "STATUS", "TrainingJobStatus", "trial_status", "info.status"):
        assert is_states(name), name
    for name in ("statement", "optimizer_state", "US state of origin", "loss"):
        assert not is_states(name), name


def table(tmp_path, states, heading="state"):
    rows = [f"{2 * 10**6 * (i + 1)},{3 - i / 10},{state}" for i, state in enumerate(states)]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([f"n_params,loss,{heading}", *rows]) + "\n")
    return path


@pytest.mark.parametrize("heading", ["state", "STATUS", "JobStatus", "run_state"])
@pytest.mark.parametrize("word", ["PRUNED", "TIMEOUT", "CANCELLED by 1000", "OOMKilled", "Stopped"])
def test_unfinished_runs_are_left_out_and_said(tmp_path, heading, word):
    source = read.read(table(tmp_path, ["Completed", word, "Completed", word], heading))
    assert source.table.index.tolist() == [2, 4]
    assert source.excluded["why"].tolist() == 2 * [word.lower()]
    assert f"2 rows left out: 2 {word.lower()}" in source.describe()


@pytest.mark.parametrize("word", ["abgebrochen", "completed with errors", "???", ""])
def test_an_unknown_word_is_refused_with_a_remedy_that_works(tmp_path, word):
    path = table(tmp_path, ["finished", "crashed", word, "finished"])
    with pytest.raises(ValueError, match="line 4, column 'state': unknown states") as error:
        read.read(path)
    assert (repr(word) if word else "an empty cell") in str(error.value)
    remedy = str(error.value).rpartition("--where ")[2]
    assert read.read(path, where=remedy).table.index.tolist() == [2, 5]
    # The word itself may be asked for.
    if word.isalpha():
        taken = read.read(path, where=f"state={word},state=finished")
        assert taken.table.index.tolist() == [2, 4, 5]


def test_what_is_not_understood_is_said(tmp_path):
    source = read.read(table(tmp_path, ["geschafft", "geplatzt"]))
    assert len(source.table) == 2
    assert "none is known (geschafft, geplatzt)" in source.describe()
    assert source.provenance()["doubts"] == list(source.doubts)
    source = read.read(table(tmp_path, ["true", "false", "false"], "failed"))
    assert "column 'failed' is True in 1 rows" in source.doubts[0]
    assert len(read.read(table(tmp_path, ["true", "false"], "failed"), where="failed=False").table)
    for cells in (["yes", "no", "no"], ["1", "0", "0"]):
        doubt = read.read(table(tmp_path, cells, "failed")).doubts[0]
        assert f"column 'failed' is {cells[0]} in 1 rows" in doubt
        assert f"--where failed={cells[1]} leaves them out" in doubt
    for cells in (["1", "0", "1"], ["yes", "no", "yes"], ["True", "False", "True"]):
        doubts = read.read(table(tmp_path, cells, "status")).doubts
        assert "column 'status' seems to hold states" in doubts[0], cells
    assert "none is known (Active)" in read.read(table(tmp_path, ["Active"], "sys/state")).doubts[0]
    with pytest.raises(ValueError, match="unknown states of runs, 'EXIT'"):
        read.read(table(tmp_path, ["DONE", "EXIT"], "STAT"))
    source = read.read(table(tmp_path, ["pending", "ok"], "review_status"))
    assert "column 'review_status' holds pending: these rows are kept" in source.describe()
    assert "TERMINATED counts as finished" in read.read(table(tmp_path, ["TERMINATED"])).describe()
