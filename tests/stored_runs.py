"""Runs of experiments at smoke size, stored so that tests need not train them."""

import json
import lzma
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from house import HOUSE

from experiments import catalogue
from experiments.cli import main
from experiments.experiment import Experiment, Measured, passes
from scaling.fields import to_dict
from scaling.record import RunRecord, dump_curve_line, dump_record, with_curve
from sweeps.plan import make_plan
from sweeps.store import Store

PARTS = {
    name: part for name in catalogue.names() if isinstance(part := catalogue.load(name), Experiment)
}
"""The experiments that are no gatherings, by name."""

FAILING: Mapping[str, frozenset[str]] = {"parallelism": frozenset({"mixture"})}
"""Expectations that stand and fail at smoke size, by experiment: its card says why."""

STORED = HOUSE / "tests" / "experiments" / "stored"


def path_of(name: str) -> Path:
    """The file with the stored runs of an experiment."""
    return STORED / f"{name}.jsonl.xz"


def expectations_hold(name: str, results: Path) -> None:
    """Runs an experiment at smoke size as the command does; what it reports must be as expected."""
    failing = FAILING.get(name, frozenset())
    status = main(["run", name, "--budget", "smoke", "--results", str(results)])
    assert status == (1 if failing else 0)
    report = json.loads((results / name / "reports" / "smoke" / "report.json").read_text())
    for expected in PARTS[name].expected_at("smoke"):
        measured = report["measured"][expected.name]
        assert passes(expected, Measured(**measured)) == (expected.name not in failing)
        low, value, high = (measured[key] for key in ("low", "value", "high"))
        assert value is not None
        assert low is None or low <= value
        assert high is None or value <= high  # an interval may be open above


def store(results: Path, name: str) -> None:
    """Writes the runs of a results folder to a small file, with what made them at its head."""
    opened = Store.open(results / name)
    made = {"command": f"scaling run {name} --budget smoke", "commit": _commit()}
    lines: list[Any] = [made]
    for record in opened.scan():
        said = {key: value for key, value in vars(record).items() if value is not None}
        curve = [json.loads(dump_curve_line(point)) for point in opened.curve(record.run_id)]
        lines.append({"record": said, "curve": curve})
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    path_of(name).write_bytes(lzma.compress(text.encode(), preset=9))


def _commit() -> str:
    """The commit of the code; "-dirty" where code, and not only stored runs, differs from it."""

    def git(*words: str) -> str:
        out = subprocess.run(["git", *words], cwd=HOUSE, capture_output=True, text=True, check=True)
        return out.stdout.strip()

    changed = git("status", "--porcelain", "--", ".", ":!tests/experiments/stored")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def restore(name: str, results: Path) -> None:
    """Makes the results folder in which the stored runs of an experiment are done."""
    opened = Store.create(results / name)
    for line in _runs(name):
        put(opened, RunRecord(**line["record"]), line["curve"])


def fingerprints(name: str) -> Callable[[Any], str]:
    """Returns what gives data their fingerprint in the stored runs of an experiment.

    The standard library, of which many are, is another one on every Python.
    """
    stored = [line["record"]["config"]["data"] for line in _runs(name)]

    def fingerprint(source: Any) -> str:
        plain = to_dict(source)
        return next((d["fingerprint"] for d in stored if plain.items() <= d.items()), "not stored")

    return fingerprint


def _runs(name: str) -> list[Any]:
    """The stored runs of an experiment; none of one that trains nothing."""
    if PARTS[name].facts:
        return []
    _, *lines = lzma.decompress(path_of(name).read_bytes()).decode().splitlines()
    return list(map(json.loads, lines))


def missing(name: str, results: Path) -> list[str]:
    """Runs of an experiment at smoke size that are not in a results folder."""
    part = PARTS[name]
    if part.facts:
        return []
    ids = [run.run_id for run in make_plan(name, part.sweep["smoke"]()).runs]
    return list(Store.open(results / part.runs_of).pending(ids))


def put(opened: Store, record: RunRecord, curve: list[Mapping[str, Any]]) -> None:
    """Writes a run as a worker leaves it."""
    path = opened.result_path(record.run_id)
    attempt = path.parent / "attempts" / f"{record.attempt or 1:04d}"
    attempt.mkdir(parents=True)
    if curve:
        text = "".join(json.dumps(point) + "\n" for point in curve)
        (attempt / "curve.jsonl").write_text(text)
        record = with_curve(record, text)
    path.write_text(dump_record(record))
