"""RunConfig: everything that decides the outcome of a run, and nothing else.

The identity of a run is the SHA-256 of the canonical JSON of its *resolved* configuration: with
defaults filled in, durations in steps, the seed, and fingerprints of the data and of the code of a
user's own model. Paths, devices and logging are no part of it.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from scaling import own_code
from scaling.counting import Counting
from scaling.data.stream import StreamSource
from scaling.data.token_dataset import TokenSource
from scaling.fields import Checked, Newer, Range, from_dict, to_dict, without_arguments
from scaling.kinds import DataConfig, ModelConfig, check_pairs
from scaling.models.family import Family, check_offers
from scaling.objectives.causal import Causal
from scaling.objectives.distilled import Distilled
from scaling.policy_gradient import PolicyGradient
from scaling.pretraining import Pretraining
from scaling.schedules import Schedule, steps_of_trunk
from scaling.solving import (
    GradientFlow,
    OnePassSGD,
    OptimalRidge,
    Ridge,
    Ridgeless,
    RidgelessEnsemble,
)
from scaling.streaming import OnStream, Streaming
from scaling.training import Gradient

Resolved = dict[str, Any]
"""A resolved configuration as plain JSON values."""

TrainConfig = (
    Ridgeless
    | RidgelessEnsemble
    | Ridge
    | OptimalRidge
    | GradientFlow
    | OnePassSGD
    | Gradient
    | Streaming
    | PolicyGradient
    | Pretraining
    | Counting
)

_PARENTS = ("init_from", "distilled_from")
"""Fields that hold runs which are trained before."""


@dataclass(frozen=True, kw_only=True)
class RunConfig(Checked):
    """One run: a model, trained in one way, on one data set, from one seed.

    Attributes:
        init_from: The run whose final weights this one starts from; None for weights drawn anew. It
            is trained first where it is not done, and is part of this run's identity. Optimizer,
            schedule and count of steps begin anew.
        distilled_from: The run whose final model is the teacher of one with the objective
            `Distilled`, trained first as well and part of the identity; else None.
    """

    model: ModelConfig
    data: DataConfig
    train: TrainConfig
    seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 0
    init_from: Annotated[RunConfig | None, Newer()] = None
    distilled_from: Annotated[RunConfig | None, Newer()] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offers(self.model)
        if isinstance(self.data, StreamSource) and not isinstance(self.train, OnStream):
            raise ValueError(
                f"train.kind = {self.train.kind!r} takes data that are loaded at once, and "
                f"data.kind = {self.data.kind!r} is a stream: use train.kind = 'streaming'"
            )
        check_pairs(self.model, self.data)
        self.train.check(self.model, self.data)
        self.model.check(self.data.n_inputs)
        if self.init_from is not None:
            self._check_parent(self.init_from)
        self._check_teacher(self.distilled_from)

    def _check_teacher(self, teacher: RunConfig | None) -> None:
        distilled = isinstance(getattr(self.train, "objective", None), Distilled)
        if teacher is None and not distilled:
            return
        if teacher is None or not distilled:
            raise ValueError(
                "distilled_from names the teacher of train.objective.kind = 'distilled', and the "
                f"run has {'no teacher' if teacher is None else 'another objective'}: give both, "
                "or neither"
            )
        if not isinstance(teacher.train, Pretraining) or not isinstance(
            teacher.train.objective, Causal
        ):
            raise ValueError(
                "distilled_from does not predict each next token, which a student is to learn: "
                "give a run with train.kind = 'pretraining' and the objective 'causal'"
            )
        theirs, ours = ((run.data.n_inputs, run.n_outputs) for run in (teacher, self))
        if theirs != ours or _tokenizer(teacher) != _tokenizer(self):
            raise ValueError(
                f"distilled_from reads {theirs[0]} tokens of {theirs[1]} kinds, and the run "
                f"{ours[0]} of {ours[1]}, or by another tokenizer: give both the same "
                "data.context and vocabulary"
            )
        if teacher.n_devices != self.n_devices:
            raise ValueError(
                f"distilled_from takes {teacher.n_devices} devices and the run {self.n_devices}: "
                "give both the same train.mesh"
            )
        if getattr(self.data, "document_mask", False) and not teacher.model.takes_segments:
            raise ValueError(
                f"data.document_mask = True asks the teacher to keep within documents, and "
                f"distilled_from.model.kind = {teacher.model.kind!r} cannot: leave the mask out"
            )

    @property
    def parents(self) -> tuple[RunConfig, ...]:
        """The runs that are trained before this one."""
        return tuple(run for run in (self.init_from, self.distilled_from) if run is not None)

    def _check_parent(self, parent: RunConfig) -> None:
        for name, train in (("train", self.train), ("init_from.train", parent.train)):
            if not isinstance(train, Pretraining):
                raise ValueError(
                    f"{name}.kind = {train.kind!r}: a run starts from another one where both have "
                    "train.kind = 'pretraining'; leave init_from out"
                )
        if parent.model.resolve() != self.model.resolve() or _counts(parent) != _counts(self):
            theirs, ours = (f"{sum(_counts(run).values()):,}" for run in (parent, self))
            raise ValueError(
                f"init_from has a model of {theirs} parameters for {parent.n_outputs} tokens, and "
                f"the run one of {ours} for {self.n_outputs}: give both the same model and "
                "vocabulary (train.evaluate_on adds the tokens of other objectives)"
            )
        if parent.n_devices != self.n_devices:
            raise ValueError(
                f"init_from takes {parent.n_devices} devices and the run {self.n_devices}: give "
                "both the same train.mesh"
            )

    @property
    def n_outputs(self) -> int:
        """Size of an output; for tokens the vocabulary, with what objectives add to the data's."""
        if not isinstance(self.train, Pretraining):
            return self.data.n_outputs
        return self.data.n_outputs + self.train.n_special(self.data.n_inputs)

    @property
    def n_devices(self) -> int:
        """Devices that share the run."""
        return self.train.mesh.size if isinstance(self.train, Pretraining) else 1


def resolved(config: RunConfig) -> Resolved:
    """The configuration with every default filled in and the fingerprints of data and own code.

    Keys are sorted, as in canonical JSON, so that columns always have one order.
    """
    plain = to_dict(config)
    plain["model"] = to_dict(config.model.resolve())
    if (code := _fingerprint(config.model)) is not None:
        plain["model"]["fingerprint"] = code
    plain["train"] = to_dict(config.train.resolve(config.model, config.data))
    plain["data"]["fingerprint"] = config.data.fingerprint()
    for name in _PARENTS:
        if (parent := getattr(config, name)) is not None:
            plain[name] = resolved(parent)
    return _with_sorted_keys(plain)


def canonical_json(run: RunConfig | Resolved) -> str:
    """The one spelling of a configuration: resolved, keys sorted, shortest exact floats."""
    return _dumps(_plain(run))


def run_id(run: RunConfig | Resolved) -> str:
    """Identity of a run: 128 bits of the SHA-256 of its canonical JSON, as 32 hex digits.

    The path of the data is left out: their fingerprint identifies them.

    Examples:
        >>> from scaling import MLP, MNIST1D, Adam, Gradient
        >>> def of(train):
        ...     return run_id(RunConfig(model=MLP(width=8), data=MNIST1D(n_train=100), train=train))
        >>> adam = Adam(learning_rate=1e-3)
        >>> in_epochs = of(Gradient(optimizer=adam, batch_size=50, epochs=10))
        >>> in_epochs == of(Gradient(optimizer=adam, batch_size=50, steps=20))
        True
    """
    return _identity(_plain(run))


class Trunk(NamedTuple):
    """The trunk of a run: the steps that it shares with longer runs of the same schedule.

    They are those before its learning rate falls.

    Attributes:
        trunk_id: Identity of the trunk, made as a run's identity is.
        steps: Number of steps after which the run leaves the trunk.
    """

    trunk_id: str
    steps: int


def trunk_of(run: RunConfig | Resolved) -> Trunk | None:
    """The trunk of a run; None if it has none."""
    plain = _plain(run)
    train = plain["train"]
    if train["kind"] != Pretraining.kind:
        return None
    schedule: Schedule = from_dict(typing.cast(Any, Schedule), train["schedule"])
    steps = steps_of_trunk(schedule, train["steps"])
    if not steps:
        return None
    common = {k: v for k, v in train.items() if k not in ("steps", "evaluations")}
    common["schedule"] = {k: v for k, v in train["schedule"].items() if k != "decay"}
    return Trunk(_identity(plain | {"train": common}), steps)


class Shape(NamedTuple):
    """All that the compiled code of a run is made for: runs of one shape share it.

    Model and way to train are resolved, and every `Argument` has its stand-in.

    Attributes:
        n_inputs: Size of an input; the context for tokens.
        n_outputs: Size of an output; the vocabulary for tokens.
        n_classes: Number of classes; None where targets are numbers or tokens.
        n_train: Training examples; None for tokens and examples that stream.
        separator: Token that no prediction looks beyond, if any.
        source: Source of a stream of examples, which are drawn by compiled code.
        teacher: Model whose predictions are learned, if any.
    """

    model: ModelConfig
    train: TrainConfig
    n_inputs: int
    n_outputs: int
    n_classes: int | None
    n_train: int | None
    n_eval: int
    separator: int | None
    source: StreamSource | None = None
    teacher: ModelConfig | None = None


def shape_of(config: RunConfig) -> Shape:
    """The shape of a run."""
    model, data = config.model, config.data
    tokens = isinstance(data, TokenSource)
    source = data if isinstance(data, StreamSource) else None
    return Shape(
        model=model.resolve(),
        train=without_arguments(config.train.resolve(model, data)),
        n_inputs=data.n_inputs,
        n_outputs=config.n_outputs,
        n_classes=data.n_classes,
        n_train=None if tokens or source else data.n_train,
        n_eval=data.n_eval,
        separator=data.load(config.seed).separator if tokens else None,
        source=source and without_arguments(source),
        teacher=None if config.distilled_from is None else config.distilled_from.model.resolve(),
    )


def compile_key(config: RunConfig) -> str:
    """Hash of the shape of a run: runs with one key share compiled code."""
    plain = {name: to_dict(value) for name, value in shape_of(config)._asdict().items()}
    return hashlib.sha256(_dumps(plain).encode()).hexdigest()[:16]


def load_config(plain: dict[str, Any], families: Iterable[type[Family]] = ()) -> RunConfig:
    """Rebuilds a configuration from the plain values of its canonical JSON.

    Args:
        plain: The configuration. It names no code, and no code is searched for.
        families: Families that its model may have, beside those of this package.

    Raises:
        ValueError: a field is unknown, the family is not given, or the data or the code of the
            model have changed since.
    """
    kinds = {family.kind: family for family in families}
    data, data_was = _without_fingerprint(plain["data"])
    model, model_was = _without_fingerprint(plain["model"])
    kind = model.get("kind")
    if kind in kinds:
        model = from_dict(kinds[kind], model, "config.model")
    elif model_was is not None:
        raise ValueError(
            f"model.kind = {kind!r} is not a family of this package: give its class in `families`"
        )
    parents = {}
    for name in _PARENTS:
        try:
            parents |= {name: load_config(plain[name], families)} if name in plain else {}
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    config = from_dict(RunConfig, plain | {"data": data, "model": model} | parents)
    for name, was, now in (
        ("data", data_was, config.data.fingerprint()),
        ("model", model_was, _fingerprint(config.model)),
    ):
        if was not in (None, now):
            raise ValueError(
                f"{name}.fingerprint {was!r} was recorded, but {getattr(config, name).kind} is now "
                f"{now!r}: it has changed, so this is another run. Restore it, or start a new run"
            )
    return config


def own_origins(configs: Iterable[RunConfig]) -> list[own_code.Origin]:
    """Origins of the model families that are not of this package, each once.

    Raises:
        ValueError: two of them have one kind, or one cannot be loaded by another process.
    """
    found: dict[str, type] = {}
    for config in configs:
        cls = type(config.model)
        if _is_own(cls) and found.setdefault(config.model.kind, cls) is not cls:
            raise ValueError(
                f"model.kind = {config.model.kind!r} is both {found[config.model.kind]} and {cls}: "
                "give each a kind of its own"
            )
    return [own_code.origin(cls) for cls in found.values()]


def _tokenizer(config: RunConfig) -> Any:
    """What makes tokens of text; None where they are drawn."""
    return getattr(config.data, "tokenizer", None)


def _counts(config: RunConfig) -> dict[str, int]:
    return config.model.count_params(config.data.n_inputs, config.n_outputs)


def _plain(run: RunConfig | Resolved) -> Resolved:
    return resolved(run) if isinstance(run, RunConfig) else run


def _with_sorted_keys(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _with_sorted_keys(tree[name]) for name in sorted(tree)}
    return [_with_sorted_keys(item) for item in tree] if isinstance(tree, list) else tree


def _is_own(cls: type) -> bool:
    return cls not in typing.get_args(ModelConfig)


def _fingerprint(model: Family) -> str | None:
    """Fingerprint of the code of a user's own family; None for a family of this package."""
    return own_code.origin(type(model)).fingerprint if _is_own(type(model)) else None


def _without_fingerprint(plain: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    rest = dict(plain)
    return rest, rest.pop("fingerprint", None)


def _identity(plain: dict[str, Any]) -> str:
    data = {name: value for name, value in plain["data"].items() if name != "path"}
    parents = {name: _identity(plain[name]) for name in _PARENTS if name in plain}
    content = _dumps(plain | {"data": data} | parents)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _dumps(plain: dict[str, Any]) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
