"""RunConfig: everything that decides the outcome of a run, and nothing else.

The identity of a run is the SHA-256 of the canonical JSON of its *resolved* configuration:
defaults filled, durations in steps, the seed and the data's fingerprint in. Paths, devices and
logging are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from scaling.fields import Range, check_fields, from_dict, to_dict
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.training import DataConfig, Gradient, ModelConfig, OptimalRidge, Ridge, Ridgeless

TrainConfig = Ridgeless | Ridge | OptimalRidge | Gradient | Pretraining


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: a model, trained in one way, on one data set, from one seed."""

    model: ModelConfig
    data: DataConfig
    train: TrainConfig
    seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 0

    def __post_init__(self) -> None:
        check_fields(self)
        self.train.check(self.model, self.data)
        self.model.check(self.data.n_inputs)


def canonical_json(config: RunConfig) -> str:
    """The one spelling of a configuration: resolved, keys sorted, shortest exact floats."""
    return _dumps(_resolved(config))


def run_id(config: RunConfig) -> str:
    """Identity of a run: 128 bits of the SHA-256 of its canonical JSON, as 32 hex digits.

    Where data lie is left out: their fingerprint says what they are.
    """
    plain = _resolved(config)
    plain["data"].pop("path", None)
    return hashlib.sha256(_dumps(plain).encode()).hexdigest()[:32]


def load_config(plain: dict[str, Any]) -> RunConfig:
    """Rebuilds a configuration from its canonical JSON once parsed.

    Raises:
        ValueError: fields that no configuration has, or data that have changed since.
    """
    data = {name: value for name, value in plain["data"].items() if name != "fingerprint"}
    config = from_dict(RunConfig, plain | {"data": data})
    recorded = plain["data"].get("fingerprint")
    if recorded is not None and recorded != config.data.fingerprint():
        raise ValueError(
            f"data.fingerprint {recorded!r} was recorded, but {config.data.kind} is now "
            f"{config.data.fingerprint()!r}: the data have changed, so this is another run"
        )
    return config


def _resolved(config: RunConfig) -> dict[str, Any]:
    plain = to_dict(config)
    if isinstance(config.model, Transformer):
        plain["model"] = to_dict(config.model.resolve())
    plain["train"] = to_dict(config.train.resolve(config.model, config.data))
    plain["data"]["fingerprint"] = config.data.fingerprint()
    return plain


def _dumps(plain: dict[str, Any]) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
