"""States of runs: those that did not finish are left out, words that are not known refused.

A state is compared without case and punctuation, and without what qualifies it: an enumeration
before it (`TrialState.PRUNED`), a reason after it (`CANCELLED by 1000`), the + by which Slurm's
sacct cuts a word short (`OUT_OF_ME+`). Only a reason without words may follow a run that finished:
"COMPLETED (0:0)" is one, "completed with errors" is not known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import pandas as pd

from analysis.tables import results
from analysis.tables.names import plain, words
from analysis.tables.selection import equals

# Weights & Biases, docs.wandb.ai/models/runs/run-states; `preempting` and `preempted` of its API.
_WANDB = "crashed failed killed running pending preempting preempted"
# Optuna, optuna.trial.TrialState.
_OPTUNA = "running waiting pruned fail"
# Ray: the status of a trial of Ray Tune, and ray.job_submission.JobStatus.
_RAY = "pending running paused error stopped failed"
# Slurm, the job state codes of `man squeue` and `man sacct`, long and short.
_SLURM = (
    "bootfail cancelled configuring completing deadline failed nodefail outofmemory pending "
    "preempted running resvdelhold requeuefed requeuehold requeued resizing revoked signaling "
    "specialexit stageout stopped suspended timeout launchfailed reconfigfail "
    "bf ca cf cg dl f nf oom pd pr r rd rf rh rq rs rv si se so st s to"
)
# Kubernetes: phases of a pod, conditions of a job, and reasons in `kubectl get pods`.
_KUBERNETES = (
    "pending running failed unknown error oomkilled crashloopbackoff evicted terminating "
    "imagepullbackoff errimagepull errimageneverpull invalidimagename createcontainerconfigerror "
    "createcontainererror runcontainererror containercannotrun containercreating podinitializing "
    "init deadlineexceeded backofflimitexceeded nodelost nodeshutdown nodeaffinity "
    "unexpectedadmissionerror failuretarget suspended"
)
# MLflow, mlflow.entities.RunStatus; UNFINISHED in its interface.
_MLFLOW = "running scheduled failed killed unfinished"
# SageMaker: TrainingJobStatus, then SecondaryStatus, of DescribeTrainingJob.
_SAGEMAKER = (
    "inprogress failed stopping stopped starting launchingmlinstances preparingtrainingstack "
    "downloading downloadingtrainingimage training uploading maxruntimeexceeded "
    "maxwaittimeexceeded interrupted pending restarting updating deleting"
)
# This project's own records, and words that people write by hand.
_OTHER = "diverged missing queued canceled aborted incomplete notfinished nan failure"
UNFINISHED = frozenset(
    " ".join((_WANDB, _OPTUNA, _RAY, _SLURM, _KUBERNETES, _MLFLOW, _SAGEMAKER, _OTHER)).split()
)
"""States of runs that did not finish."""

FINISHED = frozenset(
    # W&B and MLflow; Optuna and jobs of Kubernetes; Slurm, SageMaker and pods of Kubernetes, and
    # Slurm's short code; Kubernetes and jobs of Ray; trials of Ray Tune; this project and others.
    "finished complete completed cd succeeded successcriteriamet terminated done success ok".split()
)
"""States of runs that finished."""

_NAMES = frozenset({"status", "state", "stat"})  # the last of LSF's bjobs
_OWNERS = frozenset(
    "run runs job jobs trial training task experiment exp pod secondary final sweep process wandb "
    "slurm mlflow ray info config summary trainingjob exit sys".split()
)
_EXIT_CODES = frozenset("exitcode exitstatus returncode retcode exit".split())
_PHASES = frozenset("pending running succeeded failed unknown".split())
_TRUTH = {"true": True, "yes": True, "y": True, "1": True} | dict.fromkeys(
    ("false", "no", "n", "0"), False
)
_MOST_SHOWN = 5
_SHORTEST = 4
"""Letters from which a word may have a reason after it; shorter ones are Slurm's codes."""


def is_states(name: str) -> bool:
    """Returns whether a column is named for states of runs: `State`, `TrainingJobStatus`, ..."""
    *owners, last = [word.lower() for word in words(name)] or [""]
    if last in _NAMES and _OWNERS.issuperset(owners):
        return True
    return plain(name) in {f"{owner}{last}" for owner in _OWNERS for last in _NAMES}


def finished(state: object) -> bool | None:
    """Returns whether a run of this state has finished; None for a word that is not known."""
    text = str(state).strip()
    # An enumeration's name before the state: TrialState.PRUNED, JOB_STATE_FAILED.
    text = re.sub(r"^\w*(?:state|status)[._]", "", text, flags=re.IGNORECASE)
    parts = [word.lower() for word in words(text)]
    for n in range(len(parts), 0, -1):
        word, has_reason = "".join(parts[:n]), any(part.isalpha() for part in parts[n:])
        if has_reason and len(word) < _SHORTEST:
            continue
        if word in UNFINISHED:
            return False
        if word in FINISHED and not has_reason:
            return True
    if text.endswith("+") and len(cut := plain(text)) >= 3:
        whole = {word in FINISHED for word in UNFINISHED | FINISHED if word.startswith(cut)}
        return whole.pop() if len(whole) == 1 else None
    return None


def ended(
    frame: pd.DataFrame, chosen: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Splits a table into the rows of runs that finished, and the others.

    Args:
        frame: The raw table.
        chosen: Columns by which the caller has chosen rows: a word there that is not known counts
            as a run that finished.

    Returns:
        The rows of finished runs; the others, with the state in the column `why`; and doubts: what
        looks like states and was not judged.

    Raises:
        ValueError: A column of states with a word that is not known. The message names the words,
            the first row and the remedy.
    """
    why = pd.Series("", index=frame.index)
    doubts = list(_unjudged(frame))
    for name in frame.columns:
        column = results.column(frame, name)
        if not _holds_states(str(name), column):
            continue
        known = {state: finished(state) for state in column.dropna().unique()}
        verdict = column.map(known)
        unknown = verdict.isna()
        if unknown.any() and name not in chosen:
            raise ValueError(_unknown(column, unknown))
        out = verdict.eq(False) & why.eq("")
        why = why.mask(out, column.astype(str).str.strip().str.lower())
        if any(plain(str(state)) == "terminated" for state in known):
            doubts.append(
                f"column {name!r}: TERMINATED counts as finished; Ray Tune also writes it for "
                "trials that a scheduler ended early, which --where can leave out"
            )
    left_out = why.ne("")
    return frame.loc[~left_out], frame.loc[left_out].assign(why=why[left_out]), doubts


def _holds_states(name: str, column: pd.Series) -> bool:
    """Whether a column is judged: by its name, and because some cell is a known state."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    states = [str(state) for state in column.dropna().unique()]
    if is_states(name):
        return any(finished(state) is not None for state in states)
    is_phase = (words(name.lower()) or [""])[-1] == "phase"
    return is_phase and bool(states) and _PHASES.issuperset(map(str.lower, states))


def _unjudged(frame: pd.DataFrame) -> Iterator[str]:
    """Doubts about columns that seem to say how runs ended, but not in a way that is understood."""
    for name in map(str, frame.columns):
        column = results.column(frame, name)
        if plain(name).removeprefix("config").removeprefix("summary") in _EXIT_CODES:
            yield from _exits(name, column)
            continue
        ends = (words(name.lower()) or [""])[-1] in _NAMES
        word = finished(name)
        if word is not None and (truth := _truth(column)) is not None:
            odd = truth.eq(not word)
            if odd.any():
                pair = equals(name, next(iter(column[truth.eq(word)]), word))
                remedy = f"; --where {pair} leaves them out" if pair else ""
                rows = f"{odd.sum()} rows, which are kept"
                yield f"column {name!r} is {next(iter(column[odd]))} in {rows}{remedy}"
        elif is_states(name) and column.notna().any() and not _holds_states(name, column):
            shown = ", ".join(map(str, column.dropna().unique()[:_MOST_SHOWN]))
            yield (
                f"column {name!r} seems to hold states of runs, but none is known ({shown}): no "
                f"row was left out for it; --where {name}=VALUE takes those that finished"
            )
        elif ends and not is_states(name):
            odd = [state for state in column.dropna().unique() if finished(state) is False]
            if odd:
                yield (
                    f"column {name!r} holds {', '.join(map(str, odd[:_MOST_SHOWN]))}: these rows "
                    f"are kept; if that is a run's state, take the others by --where {name}=VALUE"
                )


def _truth(column: pd.Series) -> pd.Series | None:
    """A column of truth values, also of yes and no or 1 and 0; None for any other."""
    if pd.api.types.is_bool_dtype(column):
        return column
    cells = column.dropna().astype(str).str.strip().str.lower().str.removesuffix(".0")
    if cells.empty or not set(cells) <= set(_TRUTH):
        return None
    return cells.map(_TRUTH).reindex(column.index)


def _exits(name: str, column: pd.Series) -> Iterator[str]:
    """A doubt about runs whose process did not end with 0; Slurm writes `137:0` and `0:0`."""
    codes = column.dropna().astype(str).str.strip().str.removesuffix(".0")
    failed = codes[~codes.isin(("0", "0:0", ""))]
    if len(failed):
        shown = ", ".join(failed.unique()[:_MOST_SHOWN])
        good = next(iter(codes[codes.isin(("0", "0:0"))]), "0")
        yield (
            f"column {name!r} holds exit codes of processes that failed ({shown}) in {len(failed)} "
            f"rows, which are kept; --where {equals(name, good) or f'{name}=0'} leaves them out"
        )


def _unknown(column: pd.Series, unknown: pd.Series) -> str:
    """The message on states that are not known."""
    filled = column.loc[unknown]
    texts = [repr(str(state)) for state in filled.dropna().unique()]
    if filled.isna().any():
        texts.append("an empty cell")
    more = f" and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN else ""
    known = column.loc[~unknown].astype(str)
    good = next((state for state in known if finished(state)), "finished")
    pair = equals(str(column.name), good)
    instead = f", or take the runs that finished by --where {pair}" if pair else ""
    return (
        f"{column.index.name} {filled.index[0]}, column {str(column.name)!r}: unknown states of "
        f"runs, {', '.join(texts[:_MOST_SHOWN])}{more}; write finished or failed there{instead}"
    )
