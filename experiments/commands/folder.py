"""Commands about a results folder: status, doctor, table, retry, prune, verify and export."""

from __future__ import annotations

import contextlib
import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.commands import provenance
from experiments.commands.console import console, write_json
from experiments.commands.options.folders import (
    DoctorOptions,
    ExportOptions,
    ImportOptions,
    PruneOptions,
    RetryOptions,
    StatusOptions,
    TableOptions,
    VerifyOptions,
)
from experiments.commands.show import counted, several
from sweeps.files import NO_FILE, check_inside, names, read_bytes, storing
from sweeps.places import place
from sweeps.store import Store
from sweeps.survey import Survey, Trouble, choices, survey

if TYPE_CHECKING:
    from scaling.config import RunConfig
    from scaling.record import RunRecord

MOST_HOLES = 5

NOT_CHOSEN = "not chosen"
"""Reason of a missing run that a sweep which chooses its runs left out."""

LAST_BITS = 2e-5
"""Relative difference up to which numbers of a run agree that was done in two packs."""


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
        console.print(f"{store.root}: {len(listed):,} runs need attention")
        for each in listed:
            console.print(f"  {each.run_id} {each.says} {each.to_do}")
        for line in _decided(found[store]):
            console.print(f"  {line}")
        for line in _quarantined(store):
            console.print(f"  {line}")
    every = [each._asdict() for listed in advice.values() for each in listed]
    write_json(options.json, {"advice": every})
    return 0 if not any(advice.values()) else 1


def write_table(options: TableOptions) -> int:
    """Writes the tidy table of a results folder, or of several below one folder."""
    from analysis.tables import results as tables
    from scaling.record import row_of_text
    from scaling.sealed import DamagedFileError

    tables.check_format(Path(options.to))
    damaged: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        for store in stores(options.results):
            left = choices(store).unchosen
            for text in store.texts():
                flat = row_of_text(text)
                if flat["run_id"] in left:
                    flat["reason"] = NOT_CHOSEN
                if flat["status"] in ("done", "diverged"):
                    try:
                        damage = store.curve_damage(text)
                    except DamagedFileError as error:
                        damage = str(error)
                    damaged.extend([damage] if damage else [])
                yield flat

    table = tables.frame(rows())
    with storing(Path(options.to)):
        tables.write(table, options.to)
    counts = Counter(table["status"]) if len(table) else Counter()
    reasons = Counter(table["reason"]) if "reason" in table else Counter()
    console.print(
        f"{options.to}: {len(table):,} rows ({counted(counts)}), {len(table.columns)} columns"
    )
    for damage in damaged:
        console.print(f"{damage}; the row is right, its curve cannot be read")
    written = {"table": options.to, "rows": len(table), "columns": list(table.columns)}
    write_json(options.json, written | {"counts": dict(counts), "damaged_curves": damaged})
    return 1 if counts["failed"] or counts["missing"] > reasons[NOT_CHOSEN] or damaged else 0


def export(options: ExportOptions) -> int:
    """Writes runs and learning curves as two tables, joined by `run_id`, or mirrors them.

    Raises:
        ValueError: an address where a folder is to be, a package that is lacking, or a mirror that
            cannot be written there.
    """
    if "://" in options.to:
        raise ValueError(
            f"--to {options.to} is an address, and exports are written on this machine: give a "
            "folder, and copy it there"
        )
    if options.format not in ("parquet", "csv"):
        return _mirror(options)
    from dataclasses import asdict

    import pandas as pd

    from analysis.tables import results as tables
    from scaling.sealed import DamagedFileError

    to, damaged = Path(options.to), list[str]()
    points: list[dict[str, Any]] = []
    for store in stores(options.results):
        for run_id in store.run_ids():
            try:
                points += [{"run_id": run_id, **asdict(each)} for each in store.curve(run_id)]
            except DamagedFileError as error:
                damaged.append(str(error))
    curves = pd.json_normalize(points).dropna(axis="columns", how="all")
    with storing(to):
        to.mkdir(parents=True, exist_ok=True)
        tables.write(curves, to / f"curves.{options.format}")
    console.print(f"{to}/curves.{options.format}: {len(curves):,} points of learning curves")
    for damage in damaged:
        console.print(f"{damage}; it is left out")
    runs = TableOptions(
        results=options.results, to=str(to / f"runs.{options.format}"), json=options.json
    )
    return write_table(runs) or int(bool(damaged))


def _mirror(options: ExportOptions) -> int:
    from experiments.commands.mirrors import mirror

    to = Path(options.to)
    with storing(to):
        became = mirror(stores(options.results), options.format, to)
    console.print(f"{to}: {became.written:,} runs mirrored, {became.kept:,} were there")
    for damage in became.damaged:
        console.print(f"{damage}; its run is left out")
    write_json(options.json, became._asdict())
    return int(bool(became.damaged))


def import_runs(options: ImportOptions) -> int:
    """Takes finished runs of another results folder, which is not changed."""
    from sweeps.importing import Became, import_runs

    other = Store.open(options.other)
    became = import_runs(Store.create(options.into), other)
    says: dict[Became, str] = {
        "new": "are published here",
        "kept": "were here already",
        "different": "have another result here, which stays",
        "damaged": "cannot be read there",
    }
    for what, words in says.items():
        if n_runs := became.get(what, 0):
            console.print(f"{options.into}: {n_runs:,} runs of {options.other} {words}")
    write_json(options.json, {"runs": dict(became)})
    return 1 if became.get("different") or became.get("damaged") else 0


def retry(options: RetryOptions) -> int:
    """Sets results aside whose runs are to be done again by the command that made them."""
    chosen: list[str] = []
    found = stores(options.results)
    known = {run_id for store in found for run_id in store.run_ids()} if options.run else {}
    if unknown := [run_id for run_id in options.run if run_id not in known]:
        raise ValueError(
            f"--run {unknown[0]!r} is no run of {options.results}: give all 32 digits, as "
            "`scaling table` lists them in the column run_id"
        )
    if not (options.run or options.diverged or options.damaged_curves):
        raise ValueError("say which runs: give --run, --diverged or --damaged-curves")
    for store in found:
        for text in store.texts():
            reason = _why_again(store, text, options)
            if reason is not None:
                chosen.append(json.loads(_entry(text, "run_id")))
                store.reopen(chosen[-1], reason)
    console.print(
        f"{len(chosen):,} runs are open again; their results lie in quarantine. The command that "
        "made them does them again; runs that failed or are missing it tries in any case"
    )
    write_json(options.json, {"open_again": chosen})
    return 0


def prune(options: PruneOptions) -> int:
    """Removes what only saves time: trunks, weights, and checkpoints of published runs."""
    sizes: dict[str, int] = {}
    for store in stores(options.results):
        for folder, size in _prunable(store):
            sizes[str(folder)] = size
            console.print(f"{folder}: {size / 1e6:.1f} MB{'' if options.remove else ' (kept)'}")
            if options.remove:
                check_inside(store.caches, folder)
                shutil.rmtree(folder)
    verb = "removed" if options.remove else "could be removed with --remove"
    console.print(f"{sum(sizes.values()) / 1e6:.1f} MB {verb}; no result depends on it")
    write_json(options.json, {"removed": options.remove, "bytes": sizes})
    return 0


def verify(options: VerifyOptions) -> int:
    """Does a random part of the published runs again, elsewhere, and compares the records."""
    from scaling.record import column, differences

    if not 0 < options.fraction <= 1:
        raise ValueError(
            f"--fraction {options.fraction:g} must be above 0 and at most 1; e.g. 0.01"
        )
    compared, in_last_bits = 0, 0
    differing: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    for store in stores(options.results):
        sample = _sample(store, options.fraction, options.seed)
        again = _done_again([config for _, config in sample], options.workers)
        for text, _ in sample:
            run_id = column(text, "run_id")
            if again[run_id].status not in ("done", "diverged"):
                failed[run_id] = again[run_id].message or again[run_id].status
                console.print(f"  {run_id} could not be done again: {failed[run_id]}")
                continue
            compared += 1
            of_curve = ("curve_sha256", "n_curve_points")  # points may have more columns by now
            differ = [each for each in differences(text, again[run_id]) if each not in of_curve]
            if differ and _agree(text, again[run_id], differ):
                in_last_bits += 1
            elif differ:
                differing[run_id] = differ
                console.print(
                    f"  {run_id} differs in {', '.join(differ[:MOST_HOLES])}{_pack(text)}"
                )
    console.print(f"{compared:,} runs done again; {len(differing):,} differ from what is published")
    if in_last_bits:
        console.print(
            f"  {in_last_bits:,} more agree to {LAST_BITS:g} of each number, but not in their last "
            "bits: they were done in another pack, or alone"
        )
    found = {"compared": compared, "differing": differing, "in_last_bits": in_last_bits}
    write_json(options.json, {**found, "failed": failed})
    return 1 if differing or failed else 0


def _done_again(configs: Sequence[RunConfig], workers: int | None) -> dict[str, RunRecord]:
    """Records of runs, by run_id, that are done in a folder of their own."""
    import tempfile

    from sweeps.plan import make_plan
    from sweeps.progress import show_progress
    from sweeps.runner import run_sweeps

    plan = make_plan("verify", configs)
    with tempfile.TemporaryDirectory() as scratch:
        with show_progress() as progress:
            summary = run_sweeps([(scratch, plan)], workers=workers, progress=progress)
        summary.pass_signal_on()
        return {record.run_id: record for record in Store.open(scratch).read(plan)}


def stores(results: str) -> list[Store]:
    """The results folder of that name, or those in it."""
    folder = place(results)
    if Store.is_at(folder):
        return [Store.open(folder)]
    below = sorted(filter(Store.is_at, (folder / name for name in names(folder))))
    return [Store.open(each) for each in below] or [Store.open(folder)]


def _agree(text: bytes, again: RunRecord, differing: Sequence[str]) -> bool:
    """Whether a run was done in another pack than before, and differs in last bits alone."""
    from scaling.record import column

    if column(text, "environment").get("pack") == again.environment.get("pack"):
        return False
    return all(_close(column(text, name), getattr(again, name)) for name in differing)


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=LAST_BITS, abs_tol=LAST_BITS**2)
    return one == other


def _pack(text: bytes) -> str:
    """Says of a run that was done with others that its last bits depend on them."""
    pack = json.loads(_entry(text, "environment")).get("pack")
    return f"; it was done in a pack of {pack['size']}: last bits depend on that" if pack else ""


def _print_survey(found: Survey) -> None:
    console.print(f"{found.root}: {found.n_runs:,} runs: {counted(found.counts)}")
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
        flag = "--tune" if each.about.get("policy") == "halving" else "--adapt"
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
        return Advice(trouble.run_id, status, says, "It is data: lower its learning rate if not.")
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
        to_do = "The same command goes on with the best; without --tune it does the rest of all."
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


def _entry(text: bytes, name: str) -> bytes:
    from scaling.sealed import entry

    return entry(text, name) or b"null"


def _why_again(store: Store, text: bytes, options: RetryOptions) -> str | None:
    status = json.loads(_entry(text, "status"))
    if status == "diverged" and options.diverged:
        return "it diverged, and was to be done again"
    if status in ("done", "diverged"):
        damage = store.curve_damage(text) if options.damaged_curves else None
        if damage is not None:
            return damage
        if options.run and json.loads(_entry(text, "run_id")) in options.run:
            return "it was to be done again"
    return None


def _prunable(store: Store) -> Iterator[tuple[Path, int]]:
    folders = [store.caches / "trunks", store.caches / "weights"]
    folders += [
        store.checkpoint_folder(run_id) for run_id in store.run_ids() if store.is_published(run_id)
    ]
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            files = (path for path in folder.rglob("*") if path.is_file())
            yield folder, sum(path.lstat().st_size for path in files)


def _sample(store: Store, fraction: float, seed: int) -> list[tuple[bytes, RunConfig]]:
    """Texts of the records of some published runs, at least one, with their configurations."""
    from scaling.config import load_config
    from scaling.record import column

    published = [run_id for run_id in store.run_ids() if store.is_published(run_id)]
    if not published:
        raise ValueError(f"{store.root} holds no published run to verify; run it first")
    size = max(1, round(fraction * len(published)))
    chosen = sorted(random.Random(seed).sample(published, size))
    texts = [text for run_id in chosen if (text := store.text(run_id)) is not None]
    return [(text, load_config(column(text, "config"))) for text in texts]
