"""A results folder with one plan, and short ways to claim, publish and look into it."""

from __future__ import annotations

import dataclasses

import trivial_runs

from scaling.record import dump_curve_line, dump_record, with_curve
from sweeps import publishing
from sweeps.claims import Attempt
from sweeps.store import Store

PLAN = trivial_runs.plan_of(6)
RUN = PLAN.runs[0]
CONFIG = RUN.config


def claim(store: Store, number: int = 1) -> Attempt:
    attempt = publishing.claim(store, RUN.run_id, number, CONFIG)
    assert attempt is not None
    return attempt


def publish(store: Store, number: int = 1, **changes: object) -> str:
    record, _ = trivial_runs.run(PLAN.configs[0])
    lines = "".join(map(dump_curve_line, trivial_runs.POINTS))
    record = with_curve(dataclasses.replace(record, attempt=number, **changes), lines)
    return publishing.publish(store, claim(store, number), record, dump_record(record), lines)


def quarantined(store: Store) -> dict[str, str]:
    """Names in quarantine and the reasons beside them."""
    names = [p for p in store.quarantine.glob("*") if not p.name.endswith(".reason.txt")]
    return {p.name: p.with_name(f"{p.name}.reason.txt").read_text() for p in names}
