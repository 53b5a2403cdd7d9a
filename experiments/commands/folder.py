"""Commands about a results folder: table, export, import, retry and prune."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.commands.console import console, write_json
from experiments.commands.options.folders import (
    ExportOptions,
    ImportOptions,
    PruneOptions,
    RetryOptions,
    TableOptions,
)
from experiments.shared.words import counted, several, shown_bytes
from sweeps.files import check_inside, names, storing
from sweeps.places import place
from sweeps.store import Store
from sweeps.survey import choices

NOT_CHOSEN = "not chosen"
"""Reason of a missing run that a sweep which chooses its runs left out."""


def write_table(options: TableOptions) -> int:
    """Writes the tidy table of a results folder, or of several below one folder."""
    from analysis.tables import results as tables
    from scaling.record import row_of_text
    from scaling.sealed import DamagedFileError

    tables.check_format(Path(options.to))
    damaged: list[str] = []
    lacking: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        for store in stores(options.results):
            chosen = choices(store)
            for text in store.texts():
                flat = row_of_text(text)
                run_id, status = flat["run_id"], flat["status"]
                if run_id in chosen.unchosen:
                    flat["reason"] = NOT_CHOSEN
                if status in ("done", "diverged"):
                    try:
                        damage = store.curve_damage(text)
                    except DamagedFileError as error:
                        damage = str(error)
                    damaged.extend([damage] if damage else [])
                elif not chosen.leave(run_id, status):
                    lacking.append(run_id)
                yield flat

    table = tables.frame(rows())
    with storing(Path(options.to)):
        tables.write(table, options.to)
    counts = Counter(table["status"]) if len(table) else Counter()
    console.print(
        f"{options.to}: {several(len(table), 'row')} ({counted(counts)}), "
        f"{len(table.columns)} columns"
    )
    for damage in damaged:
        console.print(f"{damage}; the row is right, its curve cannot be read")
    written = {"table": options.to, "rows": len(table), "columns": list(table.columns)}
    write_json(options.json, written | {"counts": dict(counts), "damaged_curves": damaged})
    return 1 if lacking or damaged else 0


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
    from scaling.record import column

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
                chosen.append(column(text, "run_id"))
                store.reopen(chosen[-1], reason)
    console.print(
        f"{several(len(chosen), 'run')} opened again; the old results lie in quarantine. The "
        "command that made them does them again, with those that failed or are missing"
    )
    write_json(options.json, {"open_again": chosen})
    return 0


def prune(options: PruneOptions) -> int:
    """Removes what only saves time: trunks, weights, and checkpoints of published runs."""
    sizes: dict[str, int] = {}
    for store in stores(options.results):
        for folder, size in _prunable(store):
            sizes[str(folder)] = size
            console.print(f"{folder}: {shown_bytes(size)}{'' if options.remove else ' (kept)'}")
            if options.remove:
                check_inside(store.caches, folder)
                shutil.rmtree(folder)
    verb = "removed" if options.remove else "could be removed with --remove"
    console.print(f"{shown_bytes(sum(sizes.values()))} {verb}; no result depends on it")
    write_json(options.json, {"removed": options.remove, "bytes": sizes})
    return 0


def stores(results: str) -> list[Store]:
    """The results folder of that name, or those in it."""
    folder = place(results)
    if Store.is_at(folder):
        return [Store.open(folder)]
    below = sorted(filter(Store.is_at, (folder / name for name in names(folder))))
    return [Store.open(each) for each in below] or [Store.open(folder)]


def _why_again(store: Store, text: bytes, options: RetryOptions) -> str | None:
    from scaling.record import column

    status = column(text, "status")
    if status == "diverged" and options.diverged:
        return "it diverged, and was to be done again"
    if status in ("done", "diverged"):
        damage = store.curve_damage(text) if options.damaged_curves else None
        if damage is not None:
            return damage
        if options.run and column(text, "run_id") in options.run:
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
