"""Losses of families by position in a text, beside each other and beside a known entropy."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from experiments.experiment import Measured
from experiments.shared.seeds import mean_of
from scaling.data.ngram import NGram
from scaling.fields import from_dict
from scaling.models.convolutional import Convolutional
from scaling.record import Positions, positions

RULER = "neural_ngram"
"""Family that the others are measured against: to an 8-gram all later positions are alike."""

COMPARED = ("lstm", "transformer")


def _parts(runs: pd.DataFrame) -> list[Positions]:
    return list(positions(int(runs["data.context"].iloc[0])))


def by_position(full: pd.DataFrame) -> pd.DataFrame:
    """Rows of family, positions and loss minus that of the ruler, means over seeds."""
    parts = _parts(full)
    columns = [f"eval_by.{part.name}" for part in parts]
    means = full.loc[:, ["model.kind", *columns]].groupby("model.kind").mean()
    ids = full.groupby("model.kind")["run_id"].agg(" ".join)
    return pd.DataFrame(
        [
            {
                "family": family,
                "first": part.first,
                "end": part.end,
                "loss": row[f"eval_by.{part.name}"],
                "gain": row[f"eval_by.{part.name}"] - means.loc[RULER, f"eval_by.{part.name}"],
                "run_ids": ids.at[family],
            }
            for family, row in means.iterrows()
            for part in parts
        ]
    )


def difference(full: pd.DataFrame) -> pd.DataFrame:
    """Rows of seed, positions and LSTM minus Transformer of that seed."""
    one, other = (full.loc[full["model.kind"] == name].set_index("seed") for name in COMPARED)
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "first": part.first,
                "end": part.end,
                "difference": one.loc[seed, column] - other.loc[seed, column],
            }
            for seed in sorted(set(one.index) & set(other.index))
            for part in _parts(full)
            for column in [f"eval_by.{part.name}"]
        ]
    )


def mean_difference(difference: pd.DataFrame, first: int, end: int | None) -> Measured:
    """The mean over positions from `first` to `end`, with an interval over seeds."""
    inside = difference["first"] >= first
    if end is not None:
        inside &= difference["end"] <= end
    rows = difference.loc[inside]
    if rows.empty:
        return Measured(value=None, note="the context is too short")
    weights = (rows["end"] - rows["first"]).to_numpy(np.float64)
    weighted = rows.assign(total=weights * rows["difference"], weight=weights).groupby("seed")
    return mean_of(weighted["total"].sum() / weighted["weight"].sum())


def crossing(difference: pd.DataFrame) -> Measured:
    """Where the lead of the LSTM, summed from the first token, is largest; ends over seeds."""
    found = []
    for _, rows in [*difference.groupby("seed"), (None, difference)]:
        mean = rows.groupby(["first", "end"])["difference"].mean()
        ends = mean.index.get_level_values("end").to_numpy()
        lead = np.cumsum(mean.to_numpy() * (ends - mean.index.get_level_values("first").to_numpy()))
        found.append(float(ends[lead.argmin()]) if lead.min() < 0 else 0.0)
    *seeds, value = found
    return Measured(value=value, low=min(*seeds, value), high=max(*seeds, value))


def receptive_field(full: pd.DataFrame) -> int:
    """Tokens that the convolution among some runs sees; 0 without one."""
    depth = full.loc[full["model.kind"] == "convolutional", "model.depth"]
    return Convolutional(width=1, depth=int(depth.iloc[0])).receptive_field if len(depth) else 0


def rise(by_position: pd.DataFrame, family: str, beyond: int) -> Measured:
    """How far the last positions lie above the first that are beyond a receptive field."""
    rows = by_position.loc[
        (by_position["family"] == family) & (by_position["first"] >= max(beyond - 1, 7))
    ]
    if len(rows) < 2:
        return Measured(value=None, note="fewer than two parts of the context lie beyond it")
    gain = rows.sort_values("first")["gain"].to_numpy(np.float64)
    return Measured(value=float(gain[-1] - gain[0]))


def excess(source: pd.DataFrame) -> pd.DataFrame:
    """Rows of model, order, positions and loss above that of the source's probabilities."""
    columns = source.filter(regex=r"^data\.").rename(columns=lambda name: name[5:])
    plain = columns.drop(columns="fingerprint").iloc[0].dropna().to_dict()
    chain = from_dict(NGram, {name: plain[name] for name in plain if hasattr(NGram, name)})
    exact = -chain.log_chances(chain.load(0).eval_tokens)
    parts = [Positions(0, chain.context), *_parts(source)]
    return pd.DataFrame(
        [
            {
                "family": run["model.kind"],
                "order": run.get("model.order"),
                "first": part.first,
                "end": part.end,
                "excess": loss - exact[:, part.first : part.end].mean(),
                "run_ids": run["run_id"],
            }
            for _, run in source.iterrows()
            for part in parts
            for loss in [run["eval_loss_nats"] if part is parts[0] else run[f"eval_by.{part.name}"]]
        ]
    )


def on_source(source: pd.DataFrame, excess: pd.DataFrame) -> Mapping[str, Measured]:
    """What counted n-grams and the best family find on a source whose entropy is known."""
    context, order = (int(source[f"data.{name}"].iloc[0]) for name in ("context", "order"))
    whole = excess.loc[(excess["first"] == 0) & (excess["end"] == context)]
    counted = whole.loc[whole["family"] == "counted_ngram"].set_index("order")["excess"]
    beyond = excess.loc[
        (excess["family"] == "counted_ngram")
        & (excess["order"] == order)
        & (excess["first"] >= order - 1)
        & (excess["end"] - excess["first"] < context)
    ].sort_values("first")["excess"]
    slope = (
        Measured(value=float(beyond.iloc[-1] - beyond.iloc[0]))
        if len(beyond)
        else Measured(value=None, note="the n-gram of the source's order is not done")
    )
    return {
        "order": Measured(value=float(counted.idxmin()) - order),
        "counted_slope": slope,
        "least_excess": Measured(value=float(whole["excess"].min())),
    }
