"""Options of the commands about results folders: what they hold, and what is made of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from experiments.commands.options.shared import Folder, JsonOptions, Of, Stem

Folders = Annotated[
    Positional[tuple[str, ...]],
    arg(metavar="RESULTS", help="Results folders, or folders of several."),
]
OwnFiles = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(
        name="experiment",
        metavar="FILE.py",
        help="The file of an experiment that is none of this package; may be repeated.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class ImportOptions(JsonOptions):
    """Options of `scaling import`."""

    other: Annotated[Positional[str], arg(metavar="OTHER")]
    """The results folder to take runs from; it is not changed."""
    into: Annotated[str, arg(metavar="RESULTS")]
    """The results folder to take them into; made where there is none."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions(JsonOptions):
    """Options of `scaling export`."""

    results: Folder
    to: Annotated[str, arg(metavar="FOLDER")]
    """Folder for runs and curves; files of these names in it are replaced."""
    format: Literal["parquet", "csv", "tensorboard", "mlflow", "wandb", "trackio"] = "parquet"
    """Format of the files: tables, or a one-way mirror in another program's format, offline."""


@dataclass(frozen=True, kw_only=True)
class StatusOptions(JsonOptions):
    """Options of `scaling status`."""

    results: Folder


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(JsonOptions):
    """Options of `scaling doctor`."""

    results: Folder


@dataclass(frozen=True, kw_only=True)
class RetryOptions(JsonOptions):
    """Options of `scaling retry`."""

    results: Folder
    diverged: bool = False
    """Runs that diverged."""
    damaged_curves: bool = False
    """Runs whose learning curve is damaged."""
    run: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="RUN_ID")] = ()
    """This run; may be repeated."""


@dataclass(frozen=True, kw_only=True)
class PruneOptions(JsonOptions):
    """Options of `scaling prune`."""

    results: Folder
    remove: bool = False
    """Remove it; without this, only print what could be removed."""


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(JsonOptions):
    """Options of `scaling verify`."""

    results: Folder
    fraction: float = 0.01
    """Part of the published runs to do again; at least one."""
    seed: int = 0
    """Which runs are drawn."""
    workers: int | None = None
    """Worker processes; by default one a core or accelerator."""


@dataclass(frozen=True, kw_only=True)
class TableOptions(JsonOptions):
    """Options of `scaling table`."""

    results: Folder
    to: Annotated[str, arg(metavar="FILE")]
    """A file that ends in .parquet or .csv."""


@dataclass(frozen=True, kw_only=True)
class WatchOptions(JsonOptions):
    """Options of `scaling watch`."""

    results: Annotated[
        Positional[str], arg(metavar="RESULTS", help="A results folder, or a folder of several.")
    ]
    every: Annotated[float, arg(metavar="SECONDS")] = 2.0
    """Seconds between two looks; more where a look takes long."""
    once: bool = False
    """Look once, print it with the reasons of failures, and end."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(JsonOptions):
    """Options of `scaling report`."""

    results: Folders
    to: Annotated[str, arg(metavar="FILE")] = "report.html"
    """The page: one file that needs no network and no script."""
    experiments: OwnFiles = ()


@dataclass(frozen=True, kw_only=True)
class CompareOptions(JsonOptions):
    """Options of `scaling compare`."""

    first: Annotated[Positional[str], arg(metavar="A")]
    """A results folder, the folder of one of its reports, or a fit that `fit --json` wrote."""
    second: Annotated[Positional[str], arg(metavar="B")]
    """What it is compared with: the same of another."""
    budget: Annotated[str | None, arg(metavar="SIZE")] = None
    """Take the reports of this size, where a folder has several."""
    experiments: OwnFiles = ()
    to: Stem = None
    """Write STEM.pdf, .png and .csv, and the cells as STEM-cells.csv."""


@dataclass(frozen=True, kw_only=True)
class PaperOptions(JsonOptions):
    """Options of `scaling paper`."""

    results: Folders = ()
    to: Annotated[str, arg(metavar="FOLDER")] = "paper"
    """The bundle; in one that is there, what a hand has changed stays and the rest is renewed."""
    style: Annotated[str, arg(metavar="VENUE")] = "plain"
    """Sizes and type of figures: plain, neurips, icml, iclr, jmlr or nature."""
    budget: Annotated[str | None, arg(metavar="SIZE")] = None
    """Take the reports of this size, where an experiment has several."""
    experiments: OwnFiles = ()
    check: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Write nothing: say what in this bundle differs from its results, with exit status 1."""
    text: Annotated[UseAppendAction[tuple[str, ...]], Of("check"), arg(metavar="FILE.tex")] = ()
    """With --check: also say which numbers of this text should be macros; may be repeated."""
