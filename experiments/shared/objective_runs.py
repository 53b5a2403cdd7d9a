"""Runs that compare objectives of pre-training: from scratch, adapted to another, and probed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.shared.tuned import RATE
from scaling.config import RunConfig
from scaling.data.byte_kinds import ByteKinds
from scaling.data.text import Text
from scaling.models.transformer import Transformer
from scaling.objectives.causal import Causal
from scaling.objectives.labelled import Labelled
from scaling.objectives.masked import Masked
from scaling.objectives.prefix import Prefix
from scaling.objectives.span import Span
from scaling.overrides import replace_together
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.space import chain, grid

EVALUATIONS = (Causal(), Prefix(share=0.5), Masked())
TRAINED = (Causal(), Prefix(), Masked(), Span())
NAMES = tuple(objective.kind for objective in TRAINED)
UNTRAINED = "untrained"
"""States of a model at its initial weights, beside those of objectives."""
SMALLER = 4
"""Factor by which batches of adaptation are smaller, and its steps more."""


class Probe(NamedTuple):
    """A read-out that learns the kinds of bytes from frozen states.

    Attributes:
        n_labels: Labels to learn from.
        n_eval: Held-out labels.
        steps: Steps.
        rates: Learning rates that it tries.
        batch_size: Labels of a step.
    """

    n_labels: int
    n_eval: int
    steps: int
    rates: Sequence[float]
    batch_size: int = 32


class Size(NamedTuple):
    """One size of the sweep.

    Attributes:
        width: Width of the Transformer.
        steps: Lengths of training, in steps, the longest last.
        rates: Learning rates that each objective tries, by its kind. The middle one trains the
            models that are adapted and probed.
        n_seeds: Seeds of every run.
        shares: Compute of adaptation after the longest training, over that of the training. The
            first share also comes after all shorter ones.
        adapting_rates: Learning rates that adaptation tries.
        probe: How states are probed.
    """

    width: int
    steps: Sequence[int]
    rates: Mapping[str, Sequence[float]]
    n_seeds: int
    shares: Sequence[float]
    adapting_rates: Sequence[float]
    probe: Probe
    depth: int = 2
    context: int = 128
    batch_size: int = 16
    n_eval: int = 128


def sweep(size: Size) -> list[RunConfig]:
    """Every objective at every length, rate and seed; masked ones adapted; the longest probed."""
    base = RunConfig(
        model=Transformer(width=size.width, depth=size.depth, head_size=16),
        data=Text(context=size.context, n_eval=size.n_eval),
        train=Pretraining(
            optimizer=Adam(learning_rate=size.rates["causal"][0]),
            batch_size=size.batch_size,
            steps=size.steps[0],
            evaluations=1,
            evaluate_on=EVALUATIONS,
        ),
    )
    runs: list[list[RunConfig]] = []
    for objective in TRAINED:
        own = replace_together(base, {"train.objective": objective})
        seeds, rates = range(size.n_seeds), size.rates[objective.kind]
        runs.append(grid(own, {"train.steps": size.steps, RATE: rates, "seed": seeds}))
        middle = rates[len(rates) // 2]
        for steps in size.steps:
            longest = steps == size.steps[-1]
            for parent in grid(own, {"train.steps": [steps], RATE: [middle], "seed": seeds}):
                if isinstance(objective, Masked):
                    shares = size.shares if longest else size.shares[:1]
                    runs += [_adapted(size, parent, steps * share) for share in shares]
                if longest:
                    runs.append(_probed(size, parent, objective))
    runs += [_probed(size, each, None) for each in grid(base, {"seed": range(size.n_seeds)})]
    return chain(*runs)


def _adapted(size: Size, parent: RunConfig, steps: float) -> list[RunConfig]:
    """A model trained to predict the next byte after its own training, for so many of its steps."""
    return [
        replace(replace_together(parent, changes), init_from=parent)
        for rate in size.adapting_rates
        for changes in (
            {
                "train.objective": Causal(),
                "train.batch_size": size.batch_size // SMALLER,
                "train.steps": round(steps * SMALLER),
                RATE: rate,
            },
        )
    ]


def _probed(size: Size, model: RunConfig, objective: Any) -> list[RunConfig]:
    """Read-outs that learn labels from the states of a model, or from its initial ones.

    Positions see what they saw in training. Each is also evaluated on an objective that needs the
    tokens that its model has, so that the vocabularies agree.
    """
    probe = size.probe
    causal = objective is None or isinstance(objective, Causal)
    changes = {
        "data": ByteKinds(context=size.context, n_labels=probe.n_labels, n_eval=probe.n_eval),
        "train.objective": Labelled(view="causal" if causal else "full"),
        "train.evaluate_on": (Span() if isinstance(objective, Span) else Masked(),),
        "train.trained": "readout",
        "train.batch_size": probe.batch_size,
        "train.steps": probe.steps,
    }
    return [
        replace(
            replace_together(model, {**changes, RATE: rate}),
            init_from=None if objective is None else model,
        )
        for rate in probe.rates
    ]


def with_parts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the `part` of each run, "scratch", "adapted" or "probe", and its objective.

    That is the objective of the model that it starts from, if any: causal ones are named nowhere.
    `length` is the number of steps of the training from scratch that it is or starts from, and
    `share` what it takes beyond, as a share of it.
    """

    def of_parent(name: str) -> pd.Series:
        own = table.get(f"init_from.train.{name}")
        return pd.Series(np.nan, index=table.index) if own is None else own

    started = of_parent("kind").notna()
    labelled = table["data.kind"] == ByteKinds.kind
    own = table["train.objective.kind"].fillna("causal")
    parents = of_parent("objective.kind").fillna("causal")
    objective = own.mask(started, parents).mask(labelled & ~started, UNTRAINED)
    length = of_parent("steps").where(started, table["train.steps"])
    examples = table["train.steps"] * table["train.batch_size"]
    before = length * of_parent("batch_size")
    part = np.where(labelled, "probe", np.where(started, "adapted", "scratch"))
    return table.assign(
        part=part,
        objective=objective,
        length=length.astype(np.float64),
        share=(examples / before).astype(np.float64).round(6),
    )
