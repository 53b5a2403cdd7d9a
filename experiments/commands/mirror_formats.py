"""Formats of other programs that show runs: what each is given of a run, and how it is written.

No writer asks for an account or sends anything: each of these programs has its own command that
looks at such a folder, or sends it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from scaling.extras import needed

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


def _needed(module: str, program: str) -> Any:
    return needed(
        module, f"--format {program}", extra=program, otherwise="export as parquet or csv"
    )
