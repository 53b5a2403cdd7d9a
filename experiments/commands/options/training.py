"""Options of the commands that plan and do runs: plan, run, sweep and extend."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import UseAppendAction, arg

from experiments.commands.options.shared import Folder, JsonOptions, Name, Of, Options
from experiments.experiment import Budget


@dataclass(frozen=True, kw_only=True)
class PlanOptions(Options):
    """Options that choose a sweep."""

    name: Name
    budget: Budget = "cpu"
    """Declared size of the sweep."""
    overrides: Annotated[
        UseAppendAction[tuple[str, ...]], arg(name="set", metavar="FIELD=VALUE")
    ] = ()
    """Override a field of every run, e.g. --set train.steps=500; may be repeated, in any order."""
    results: Annotated[str, arg(metavar="FOLDER")] = "results"
    """Folder of all results."""


@dataclass(frozen=True, kw_only=True)
class CostOptions(JsonOptions):
    """Options of what is said before anything is spent."""

    calibrate: Annotated[bool, Of("plan")] = False
    """Measure this machine by a few steps of a few shapes, for time and memory."""
    gpu: Annotated[str | None, Of("plan")] = None
    """Price all on this accelerator, e.g. h100; this machine's memory is then no limit."""
    mfu: Annotated[float | None, Of("gpu")] = None
    """With --gpu: model FLOPs utilisation; by default 0.4."""
    dollars_per_hour: Annotated[float | None, Of("gpu", "devices")] = None
    """With --gpu and --devices: price of a device-hour."""


@dataclass(frozen=True, kw_only=True)
class ShowPlanOptions(CostOptions, PlanOptions):
    """Options of `scaling plan`."""

    devices: Annotated[str | None, arg(metavar="2048xh100")] = None
    """Plan the largest run over so many devices: memory, traffic, time, the best meshes. NAME may
    be a published run too, such as llama-3.1-405b."""
    mesh: Annotated[str | None, Of("devices"), arg(metavar="data=16,tensor=8,...")] = None
    """With --devices: this mesh alone, of data, fsdp, tensor, context, expert and pipe, with
    interleave=N groups of layers a stage."""


@dataclass(frozen=True, kw_only=True)
class RunningOptions(JsonOptions):
    """Options of the commands that train: how, and what is held against the runs."""

    workers: int | None = None
    """Workers; by default one a core or accelerator."""
    hosts: bool = False
    """This is one of several processes that train every run together."""
    executor: Literal["local", "slurm", "ray"] = "local"
    """Where workers are: processes of this machine, jobs of Slurm, or actors of Ray."""
    slurm: Annotated[
        UseAppendAction[tuple[str, ...]], Of("executor=slurm"), arg(metavar="NAME=VALUE")
    ] = ()
    """What each worker asks of Slurm, e.g. partition=gpu, time=120 (minutes); may be repeated."""
    detach: bool = False
    """Work on in the background; look on with `scaling watch`."""
    beside: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="LAW")] = ()
    """A published law to hold against the runs, from `scaling laws`; may be repeated."""
    bytes_per_token: Annotated[float | None, Of("beside")] = None
    """With --beside: bytes that a token of the law's tokenizer stands for, e.g. 4.3."""


@dataclass(frozen=True, kw_only=True)
class ChoosingOptions(RunningOptions):
    """Options of the commands that can choose which runs of a sweep they do, as results arrive."""

    tune: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD")] = ()
    """Find the best value of this field by successive halving; may be repeated."""
    reduction: Annotated[float | None, Of("tune")] = None
    """With --tune: one of this many settings goes on to the next rung, this many times as far; by
    default 2."""
    rungs: Annotated[int | None, Of("tune")] = None
    """With --tune: rungs at which runs are compared, their end included; by default 3."""
    adapt: Annotated[str | None, arg(metavar="LAW")] = None
    """Fit this law as results arrive, and do the runs that shrink one interval most for their cost:
    a name or your own module:NAME."""
    quantity: Annotated[str | None, Of("adapt")] = None
    """With --adapt: the number to determine, a parameter, a derived one such as a, or loss."""
    at: Annotated[str | None, Of("adapt"), arg(metavar="N=..,D=..")] = None
    """With --adapt: target of loss."""
    width: Annotated[float | None, Of("adapt")] = None
    """With --adapt: width of the 95 % interval at which to stop, from end to end."""
    flops: Annotated[float | None, Of("adapt")] = None
    """With --adapt: budget, the sum of the runs' training FLOPs."""
    batch: Annotated[int | None, Of("adapt")] = None
    """With --adapt: number of runs to choose at once; by default 4."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(ChoosingOptions, PlanOptions):
    """Options of `scaling run`."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions(CostOptions, ChoosingOptions):
    """Options of `scaling sweep`."""

    name: str | None = None
    """Name of the sweep and of its results folder."""
    source: Annotated[str | None, arg(name="from", metavar="FILE")] = None
    """A sweep file (.toml, .yaml, .json), of W&B too, or a Hydra command line with --multirun."""
    model: str | None = None
    """Family of models, e.g. transformer."""
    data: str | None = None
    """Source of data; by default one that the model takes, e.g. text."""
    train: str | None = None
    """Way to train; by default one that the model takes, e.g. pretraining."""
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=VALUE")] = ()
    """A field that all runs share, e.g. train.tokens=1e6; may be repeated."""
    grid: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=VALUES")] = ()
    """An axis, e.g. model.width=16,32,64, 16..256*2, seed=0..4; all combinations are run."""
    zip: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=VALUES")] = ()
    """A field that goes in step with those of the other --zip."""
    draw: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=RANGE")] = ()
    """A field to draw at random, e.g. train.optimizer.learning_rate=log:1e-4..1e-1."""
    draws: int | None = None
    """With --draw: number of random settings; by default 1."""
    sample: int | None = None
    """Run this many of all combinations, drawn at random."""
    random_seed: int | None = None
    """With --draw and --sample: seed of the draws; by default 0."""
    plan: bool = False
    """Print what would be done and what it costs, and end."""
    results: Annotated[str, arg(metavar="FOLDER")] = "results"
    """Folder of all results."""


@dataclass(frozen=True, kw_only=True)
class ExtendOptions(CostOptions, RunningOptions):
    """Options of `scaling extend`."""

    folder: Folder
    grid: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=VALUES")] = ()
    """More values of a field, e.g. seed=5..9; may be repeated."""
    draws: int | None = None
    """Number of random settings in all; those that were drawn stay."""
    plan: bool = False
    """Print what would be done and what it costs, and end."""
