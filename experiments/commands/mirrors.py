"""One-way mirrors of a results folder in the formats of other programs, on this machine alone.

The folder stays the record: a mirror is written from it, and may be deleted and written again.
Beside what is mirrored lies `mirrored.jsonl`, with a line for each program and run, its results
folder, and the checksum of its record. A run whose record stands there is passed over, so that the
same command adds what is new; one that was cut short, or has another result by now, is written in
place of what there is of it.
No mirror asks for an account or sends anything: each of these programs has its own command that
looks at such a folder, or sends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from scaling.extras import needed
from scaling.fields import flatten
from scaling.record import column, row_of_text
from scaling.sealed import DamagedFileError, sha256
from sweeps.files import MANY_BYTES, read_bytes
from sweeps.places import place
from sweeps.store import Store

_LEDGER = "mirrored.jsonl"
_ENTRIES = {"program", "sweep", "run_id", "sha256"}

Setting = bool | int | float | str


class Point(NamedTuple):
    """Numbers of one point of a learning curve, by name."""

    step: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Mirrored:
    """A published run, as mirrors show it.

    Attributes:
        sweep: Name of the results folder.
        run_id: Identity of the run, its name in the mirror.
        settings: Its configuration, flat.
        numbers: Measurements at its end, and its size and cost.
        curve: Its learning curve.
    """

    sweep: str
    run_id: str
    settings: Mapping[str, Setting]
    numbers: Mapping[str, float]
    curve: tuple[Point, ...]

    def with_end(self, prefix: str) -> tuple[Point, ...]:
        """The curve, and at its last step the measurements at the end, with a prefix."""
        last = self.curve[-1] if self.curve else Point(0, {})
        end = {f"{prefix}{name}": number for name, number in self.numbers.items()}
        return (*self.curve[:-1], Point(last.step, {**last.numbers, **end}))


class Mirror(Protocol):
    """Writes runs in the format of another program."""

    def replace(self, run: Mirrored) -> None:
        """Writes a run, in place of what there is of it."""
        ...


class TensorBoard:
    """Event files, one folder a run; `tensorboard --logdir FOLDER` shows them."""

    def __init__(self, folder: Path) -> None:
        self._package = _needed("tensorboardX", "tensorboard")
        self._folder = folder

    def replace(self, run: Mirrored) -> None:
        """Writes a run; see `Mirror`."""
        folder = self._folder / run.sweep / run.run_id
        shutil.rmtree(folder, ignore_errors=True)
        with self._package.SummaryWriter(logdir=str(folder)) as writer:
            for point in run.curve:
                for name, number in point.numbers.items():
                    writer.add_scalar(name, number, point.step)
            final = {f"final/{name}": number for name, number in run.numbers.items()}
            writer.add_hparams(dict(run.settings), final, name="settings")


class MLflow:
    """A database of MLflow; `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db` shows it."""

    def __init__(self, folder: Path) -> None:
        mlflow = _needed("mlflow", "mlflow")
        _needed("sqlalchemy", "mlflow")
        if found := sorted({*"%?#"} & {*str(folder)}):
            raise ValueError(
                f"--to {folder} has {found[0]} in its name, which MLflow reads as part of an "
                "address: give another folder"
            )
        self._entities = mlflow.entities
        self._client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        self._artifacts = (folder / "artifacts").as_uri()

    def replace(self, run: Mirrored) -> None:
        """Writes a run; see `Mirror`."""
        there = self._client.get_experiment_by_name(run.sweep)
        experiment = there and there.experiment_id
        experiment = experiment or self._client.create_experiment(run.sweep, self._artifacts)
        mine = f"tags.run_id = '{run.run_id}'"
        for earlier in self._client.search_runs([experiment], mine):
            self._client.delete_run(earlier.info.run_id)
        tags = {"run_id": run.run_id}
        created = self._client.create_run(experiment, tags=tags, run_name=run.run_id)
        points = run.with_end("final.")
        metric, param = self._entities.Metric, self._entities.Param
        self._client.log_batch(
            created.info.run_id,
            metrics=[metric(k, v, 0, step) for step, found in points for k, v in found.items()],
            params=[param(name, str(value)) for name, value in run.settings.items()],
        )
        self._client.set_terminated(created.info.run_id)


class WandB:
    """Runs of W&B offline; `wandb sync FOLDER/wandb/offline-run-*` sends them, each once."""

    def __init__(self, folder: Path) -> None:
        self._package = _needed("wandb", "wandb")
        self._folder = folder

    def replace(self, run: Mirrored) -> None:
        """Writes a run; see `Mirror`."""
        for earlier in self._folder.glob(f"wandb/offline-run-*-{run.run_id}"):
            shutil.rmtree(earlier)
        settings = self._package.Settings(silent=True, console="off", x_disable_stats=True)
        with self._package.init(
            project=run.sweep,
            id=run.run_id,
            name=run.run_id,
            dir=str(self._folder),
            config=dict(run.settings),
            mode="offline",
            settings=settings,
        ) as writer:
            for point in run.curve:
                writer.log(dict(point.numbers), step=point.step)
            writer.summary.update(dict(run.numbers))


class Trackio:
    """A database of trackio for each sweep; `TRACKIO_DIR=FOLDER trackio show` shows them."""

    def __init__(self, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder)  # read when the package is loaded
        self._storage = _needed("trackio.sqlite_storage", "trackio").SQLiteStorage

    def replace(self, run: Mirrored) -> None:
        """Writes a run; see `Mirror`."""
        self._storage.delete_run(run.sweep, run.run_id)
        points = run.with_end("final.")
        self._storage.bulk_log(
            run.sweep,
            run.run_id,
            [dict(point.numbers) for point in points],
            steps=[point.step for point in points],
            config=dict(run.settings),
        )


MIRRORS: Mapping[str, Callable[[Path], Mirror]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WandB,
    "trackio": Trackio,
}


class Became(NamedTuple):
    """What became of the runs of a mirror."""

    written: int
    kept: int  # mirrored before
    damaged: list[str]  # learning curves that could not be read, and why


def mirror(stores: list[Store], program: str, folder: Path) -> Became:
    """Mirrors the published runs of results folders that are not mirrored yet.

    Raises:
        ValueError: the package of the program is not installed or cannot write there, the folder
            is one of results, or it has a sweep of the same name from elsewhere.
    """
    if any(Store.is_at(above) for above in (folder, *folder.absolute().parents)):
        raise ValueError(
            f"--to {folder} lies in a results folder, and a mirror is kept apart from what it is "
            "written from: give another folder"
        )
    known = [line for line in _lines(folder) if line["program"] == program]
    _require_same_folders(stores, known, folder)
    with _explaining(program, folder):
        writer = MIRRORS[program](folder.absolute())
    folder.mkdir(parents=True, exist_ok=True)
    digests = {(line["sweep"], line["run_id"]): line["sha256"] for line in known}
    written, kept, damaged = 0, 0, list[str]()
    with (folder / _LEDGER).open("a", encoding="utf-8") as ledger:
        for store, text in _published(stores):
            run_id, digest = column(text, "run_id"), sha256(text)
            if digests.get((store.root.name, run_id)) == digest:
                kept += 1
                continue
            try:
                run = _mirrored(store, text)
            except DamagedFileError as error:
                damaged.append(str(error))
                continue
            with _explaining(program, folder):
                writer.replace(run)
            line = {
                "program": program,
                "sweep": store.root.name,
                "folder": str(store.root),
                "run_id": run_id,
                "sha256": digest,
            }
            ledger.write(f"\n{json.dumps(line)}")  # a line that was cut short stays apart
            ledger.flush()
            written += 1
    return Became(written, kept, damaged)


@contextlib.contextmanager
def _explaining(program: str, folder: Path) -> Iterator[None]:
    """Says in a sentence what the package of a program raises, which has errors of its own."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ValueError(
            f"--format {program} cannot write into {folder}: {lines[0].rstrip('.')}. Remove what "
            "is there of it, or give another folder"
        ) from error


def _published(stores: list[Store]) -> Iterator[tuple[Store, bytes]]:
    for store in stores:
        for text in store.texts():
            if column(text, "status") in ("done", "diverged"):
                yield store, text


def _mirrored(store: Store, text: bytes) -> Mirrored:
    columns = row_of_text(text)
    settings = flatten(column(text, "config"))
    curve = store.curve(columns["run_id"])
    return Mirrored(
        sweep=store.root.name,
        run_id=columns["run_id"],
        settings={name: _setting(value) for name, value in settings.items() if value is not None},
        numbers=_numbers({k: v for k, v in columns.items() if k not in settings}),
        curve=tuple(Point(point.step, _numbers(flatten(asdict(point)))) for point in curve),
    )


def _setting(value: Any) -> Setting:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _numbers(columns: Mapping[str, Any]) -> dict[str, float]:
    """The columns that hold numbers, those of the environment apart."""
    return {
        name: float(value)
        for name, value in columns.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if not name.startswith("environment.") and name != "step"
    }


def _require_same_folders(
    stores: list[Store], known: Sequence[Mapping[str, str]], folder: Path
) -> None:
    """Refuses a results folder whose name in the mirror is that of another which is still there."""
    earlier = {line["sweep"]: line["folder"] for line in known if "folder" in line}
    for store in stores:
        other = earlier.get(store.root.name, str(store.root))
        if other != str(store.root) and Store.is_at(place(other)):
            raise ValueError(
                f"--to {folder} mirrors {other}, which has the name of {store.root}: runs of both "
                "would be one sweep there. Give another folder"
            )


def _lines(folder: Path) -> list[dict[str, str]]:
    """What is mirrored, a line a run; one that was cut short or damaged counts for nothing."""
    found: list[dict[str, str]] = []
    with contextlib.suppress(FileNotFoundError):
        for line in read_bytes(folder / _LEDGER, MANY_BYTES).splitlines():
            with contextlib.suppress(ValueError):
                each = json.loads(line)
                is_whole = isinstance(each, dict) and _ENTRIES <= each.keys()
                if is_whole and all(isinstance(entry, str) for entry in each.values()):
                    found.append(each)
    return found


def _needed(module: str, program: str) -> Any:
    return needed(
        module, f"--format {program}", extra=program, otherwise="export as parquet or csv"
    )
