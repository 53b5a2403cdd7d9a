"""Logs of trainers and scores of evaluations, as JSON -> records, a row a step or a task.

| source | document |
|---|---|
| Hugging Face's Trainer, `trainer_state.json` | `{"log_history": [{"step": 1}, ...]}` |
| lm-evaluation-harness, `results_*.json` | `{"results": {TASK: {"acc,none": 0.5}}}` |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.tables.wandb import flatten_record

Row = dict[str, Any]

_LOGGED = {"loss": "train/loss", "eval_loss": "eval/loss", "train_loss": "train/mean_loss"}
"""Losses in a trainer's log by what they are; the last is the mean over the whole training."""

_ONE_A_STEP = ("step", "epoch")
_STEP = re.compile(r"step[-_]?(\d+)")


def records(document: Mapping[str, Any]) -> list[Row] | None:
    """Returns the records of a log or of scores; None for any other document."""
    log = document.get("log_history")
    if isinstance(log, list) and all(map(_is_object, log)):
        return _logged([flatten_record(entry) for entry in log])
    return list(_evaluated(document)) if _is_evaluation(document) else None


def _logged(entries: list[Row]) -> list[Row]:
    """One row a step: what the trainer logged of it in several entries, side by side."""
    rows: list[Row] = []
    at: dict[object, int] = {}
    for entry in entries:
        named = {_LOGGED.get(name, name): value for name, value in entry.items()}
        step = named.get("step")
        place = at.get(step)
        if place is None or set(named) & set(rows[place]) - set(_ONE_A_STEP):
            at[step] = len(rows)  # a step that a resumed training logs again is a row of its own
            rows.append({})
        rows[at[step]].update(named)
    return rows


def _is_evaluation(document: Mapping[str, Any]) -> bool:
    """Whether a document holds the scores of tasks, beside what was evaluated."""
    tasks = document.get("results")
    beside = {"config", "configs", "config_general", "versions"} & set(document)
    return isinstance(tasks, dict) and bool(beside) and all(map(_is_object, tasks.values()))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _evaluated(document: Mapping[str, Any]) -> Iterator[Row]:
    """One row a task, with the model, the step in its revision, and its settings."""
    config = document.get("config") or document.get("config_general") or {}
    arguments = _arguments(config.get("model_args"))
    model = document.get("model_name") or config.get("model_name") or arguments.get("pretrained")
    about: Row = {"run": model} if model else {}
    if found := _STEP.search(str(arguments.get("revision", ""))):
        about["step"] = int(found[1])
    about |= {f"config.{name}": value for name, value in flatten_record(config).items()}
    for task, scores in document["results"].items():
        named = {name.removesuffix(",none"): value for name, value in scores.items()}
        yield {**about, "task": task, **flatten_record(named)}


def _arguments(given: object) -> Row:
    """Arguments of a model: an object, or `pretrained=NAME,revision=step1000`."""
    if isinstance(given, dict):
        return given
    pairs = (part.partition("=") for part in str(given or "").split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}
