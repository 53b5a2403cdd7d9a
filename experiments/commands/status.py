"""What a results folder holds, and what to do about it: `scaling status` and `scaling doctor`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from experiments.commands import provenance
from experiments.commands.chooser import FLAGS
from experiments.commands.console import console, write_json
from experiments.commands.folder import stores
from experiments.commands.options.folders import DoctorOptions, StatusOptions
from experiments.shared.words import counted, several
from sweeps.files import NO_FILE, names, read_bytes, storing
from sweeps.store import Store
from sweeps.survey import Survey, Trouble, survey

MOST_HOLES = 5


class Advice(NamedTuple):
    """What is wrong with a run, and what to do about it."""

    run_id: str
    status: str
    says: str
    to_do: str


def print_status(options: StatusOptions) -> int:
    """Prints what a results folder, or each in a folder of several, holds."""
    found = [survey(store) for store in stores(options.results)]
    for each in found:
        _print_survey(each)
    write_json(options.json, {"folders": [_plain(each) for each in found]})
    return 0 if all(each.is_complete for each in found) else 1


def print_doctor(options: DoctorOptions) -> int:
    """Prints a sentence for each run that is to be done or looked at, with what to do about it."""
    found = {store: survey(store, everything=True) for store in stores(options.results)}
    advice = {
        store: [_advice(store, trouble) for trouble in (*each.troubled, *each.curves)]
        for store, each in found.items()
    }
    for store, listed in advice.items():
        console.print(f"{store.root}: {several(len(listed), 'run')} to look at")
        for each in listed:
            console.print(f"  {each.run_id} {each.says} {each.to_do}")
        for line in _decided(found[store]):
            console.print(f"  {line}")
        for line in _quarantined(store):
            console.print(f"  {line}")
    every = [each._asdict() for listed in advice.values() for each in listed]
    write_json(options.json, {"advice": every})
    return 0 if not any(advice.values()) else 1


def _print_survey(found: Survey) -> None:
    n_runs = f"{found.n_runs:,} runs: " if found.n_runs else ""
    console.print(f"{found.root}: {n_runs}{counted(found.counts)}")
    if found.pace is not None and not found.is_complete:
        n_runs, pace, until = found.pace
        console.print(f"  the last {n_runs:,} done: {pace:.3g} runs a minute, until {until}")
    for line in (*_differences(found), *_decided(found)):
        console.print(f"  {line}")
    for each in found.troubled:
        at = "" if each.step is None else f" at step {each.step}"
        why = each.message or each.reason or ""
        console.print(f"  {each.run_id} {each.status}{at} {why}".rstrip())
    if (more := found.n_troubled - len(found.troubled)) > 0:
        console.print(f"  and {more:,} more: `scaling doctor` says what to do about each")
    for each in found.curves:
        console.print(f"  {each.run_id} {each.status}, but {each.message}")
    for hole in found.holes[:MOST_HOLES]:
        console.print(
            f"  {hole.field} = {hole.value}: {hole.n_open:,} of {hole.n_runs:,} runs are lacking"
        )


def _decided(found: Survey) -> Iterator[str]:
    """What chose runs of a folder, how far it has come, and what became of those it left."""
    for each in found.choices.choosers:
        flag = FLAGS.get(str(each.about.get("policy")), "the choice of runs")
        n = several(each.n_decisions, "decision")
        if each.stop is None:
            yield f"{flag} has not come to an end after {n}: the same command goes on"
        else:
            yield f"{flag} came to an end after {n}: {each.stop}"
    if found.n_left:
        yield (
            f"{found.n_left:,} runs that are paused or were not chosen stay so: the command "
            "without that option does them"
        )


def _differences(found: Survey) -> list[str]:
    return provenance.differences((json.loads(text), n) for text, n in found.environments.items())


def _plain(found: Survey) -> dict[str, Any]:
    return {
        "root": str(found.root),
        "runs": found.n_runs,
        "counts": dict(found.counts),
        "pace": None if found.pace is None else found.pace._asdict(),
        "choosers": [each._asdict() for each in found.choices.choosers],
        "left": found.n_left,
        "complete": found.is_complete,
        "differences": _differences(found),
        "troubled": [each._asdict() for each in found.troubled],
        "damaged_curves": [each._asdict() for each in found.curves],
        "holes": [each._asdict() for each in found.holes],
    }


def _advice(store: Store, trouble: Trouble) -> Advice:
    status, why = trouble.status, trouble.message or trouble.reason or ""
    if status in ("done", "diverged") and trouble.reason == "damaged":
        says = f"is {status}, but {why}."
        to_do = "`scaling retry` with --damaged-curves, then the command that made it, repeats it."
        return Advice(trouble.run_id, status, says, to_do)
    if status == "diverged":
        says = f"diverged at step {trouble.step}."
        return Advice(
            trouble.run_id,
            status,
            says,
            "This is a result; if it was not meant to, lower its learning rate.",
        )
    if status == "failed":
        remedies = {
            "out_of_memory": "Make the run smaller, or use fewer workers or a larger machine.",
            "worker_lost": "Look for a machine that killed it (memory, time limit), then rerun.",
            "infrastructure": "Put the disk or network right; the same command tries again.",
            "exception": "Correct the cause; the same command tries again. "
            f"{store.run_folder(trouble.run_id)}/attempts holds the traceback.",
        }
        to_do = remedies.get(trouble.reason or "", "The same command tries again.")
        return Advice(trouble.run_id, status, f"failed, {trouble.reason}: {why}.", to_do)
    if trouble.reason == "damaged":
        says = f"is missing: {why}."
        return Advice(trouble.run_id, status, says, "The same command does it again.")
    if status == "paused":
        says = f"has paused after step {trouble.step:,} (--tune)."
        to_do = "The same command goes on with the best; without --tune it finishes all."
        return Advice(trouble.run_id, status, says, to_do)
    return Advice(trouble.run_id, status, "has not been done.", "The same command does it.")


def _quarantined(store: Store) -> Iterator[str]:
    for name in sorted(names(store.quarantine)):
        if not name.endswith(".reason.txt"):
            continue
        note = store.quarantine / name
        reason = "its note cannot be read"
        with storing(note), contextlib.suppress(*NO_FILE):
            reason = read_bytes(note).decode(errors="replace")[:500].strip()
        yield f"in quarantine: {name.removesuffix('.reason.txt')}: {reason}"
