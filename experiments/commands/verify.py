"""`scaling verify`: some of the published runs done again, and their records compared."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.commands.console import console, write_json
from experiments.commands.folder import stores
from experiments.commands.options.folders import VerifyOptions
from sweeps.store import Store

if TYPE_CHECKING:
    from scaling.config import RunConfig
    from scaling.record import RunRecord

LAST_BITS = 2e-5
"""Relative difference up to which numbers of a run agree that was done in two packs."""
_MOST_COLUMNS = 5  # that are named


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
                    f"  {run_id} differs in {', '.join(differ[:_MOST_COLUMNS])}{_pack(text)}"
                )
    console.print(f"{compared:,} runs done again; {len(differing):,} differ from what is published")
    if in_last_bits:
        console.print(
            f"  {in_last_bits:,} more agree to {LAST_BITS:g} of each number, but not in their last "
            "bits: they were done in another pack or alone, or their batches in other parts"
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


def _agree(text: bytes, again: RunRecord, differing: Sequence[str]) -> bool:
    """Whether a run was done in another pack or other parts, and differs in last bits alone."""
    from scaling.record import column

    before = column(text, "environment")
    if all(before.get(how) == again.environment.get(how) for how in ("pack", "batch_in_parts")):
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
    from scaling.record import column

    pack = column(text, "environment").get("pack")
    return f"; it was done in a pack of {pack['size']}: last bits depend on that" if pack else ""
