"""One planted table in every form in which people bring it: seven sizes at four budgets.

Each writer puts the table into a folder and returns what a user would type for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from scaling.record import RunRecord, dump_record

MILLIONS = (10, 20, 40, 80, 160, 320, 640)
BUDGETS = (2e18, 6e18, 2e19, 6e19)
TOKENS_PER_STEP = 1000
TRUTH = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.3}


class Given(NamedTuple):
    """A table as a user gives it: its path, and the options that it takes."""

    path: Path
    options: tuple[str, ...] = ()


def planted() -> pd.DataFrame:
    """Columns run, params, step, tokens, eval_loss, in order of runs, then of steps."""
    sizes = np.repeat(np.array(MILLIONS) * 1e6, len(BUDGETS))
    steps = np.round(np.tile(BUDGETS, len(MILLIONS)) / (6 * sizes * TOKENS_PER_STEP))
    tokens = steps * TOKENS_PER_STEP
    loss = (
        TRUTH["E"] + TRUTH["A"] * sizes ** -TRUTH["alpha"] + TRUTH["B"] * tokens ** -TRUTH["beta"]
    )
    names = [f"gpt-{size}M" for size in np.repeat(MILLIONS, len(BUDGETS))]
    noise = np.random.default_rng(0).normal(0, 1e-3, len(loss))
    columns = {"params": sizes, "step": steps.astype(int), "tokens": tokens}
    return pd.DataFrame({"run": names, **columns, "eval_loss": loss * np.exp(noise)})


def results_folder(table: pd.DataFrame, folder: Path) -> Given:
    for place, row in enumerate(table.itertuples()):
        record = RunRecord(
            run_id=f"{place:032x}",
            status="done",
            config={"model": {"width": place}, "seed": 0},
            n_params_total=int(row.params),
            n_params_non_embedding=int(row.params),
            n_tokens_seen=int(row.tokens),
            flops_train=6.0 * row.params * row.tokens,
            eval_loss_nats=row.eval_loss,
        )
        where = folder / "runs" / record.run_id[:2] / record.run_id
        where.mkdir(parents=True)
        (where / "result.json").write_text(dump_record(record))
    return Given(folder)


def of_pandas(name: str, write: Callable[[pd.DataFrame, Path], object]):
    """A writer that hands the table to pandas."""

    def written(table: pd.DataFrame, folder: Path) -> Given:
        write(table, folder / name)
        return Given(folder / name)

    return written


def json_index(table: pd.DataFrame, folder: Path) -> Given:
    """Labels as keys; the runs in another order in every record."""
    records = table.set_index(table["run"] + "-" + table["step"].astype(str)).drop(columns="run")
    text = records.sample(frac=1, random_state=1).to_json(orient="index")
    (folder / "runs.json").write_text(text)
    return Given(folder / "runs.json")


def json_columns(table: pd.DataFrame, folder: Path) -> Given:
    """Labels as keys, each column in an order of its own: only keys pair the values."""
    labels = table["run"] + "-" + table["step"].astype(str)
    columns = {}
    for place, name in enumerate(("params", "tokens", "eval_loss")):
        order = np.random.default_rng(place).permutation(len(table))
        columns[name] = {labels[i]: table[name][i] for i in order}
    (folder / "runs.json").write_text(json.dumps(columns))
    return Given(folder / "runs.json")


def wandb_api(table: pd.DataFrame, folder: Path) -> Given:
    rows = [
        {
            "name": f"{row.run}-{row.step}",
            "state": "finished",
            "config": {"n_params": {"value": row.params, "desc": None}, "betas": [0.9, 0.95]},
            "summary": {"tokens": row.tokens, "eval/loss": row.eval_loss, "_wandb": {"runtime": 1}},
        }
        for row in table.itertuples()
    ]
    (folder / "runs.json").write_text(json.dumps(rows))
    return Given(folder / "runs.json")


def wandb_chart(table: pd.DataFrame, folder: Path) -> Given:
    wide = table.pivot(index="step", columns="run", values="eval_loss")
    columns = {}
    for run in wide:
        for end in ("", "__MIN", "__MAX"):
            columns[f"{run} - eval/loss{end}"] = wide[run]
    pd.DataFrame(columns).rename_axis("Step").to_csv(folder / "chart.csv")
    declared = f"N=run.size,D=Step[{TOKENS_PER_STEP}]"
    return Given(folder / "chart.csv", ("--columns", declared))


def tensorboard(table: pd.DataFrame, folder: Path) -> Given:
    for run, rows in table.groupby("run"):
        curve = pd.DataFrame({"Wall time": 1.7e9, "Step": rows["step"], "Value": rows["eval_loss"]})
        curve.to_csv(folder / f"run-{run}-tag-eval_loss.csv", index=False)
    return Given(folder, ("--columns", f"N=run.size,D=Step[{TOKENS_PER_STEP}]"))


def trainer_logs(table: pd.DataFrame, folder: Path) -> Given:
    """A log of every checkpoint; losses of training between the evaluations; settings beside."""
    for run, rows in table.groupby("run"):
        log = []
        for row in rows.itertuples():
            seen = {"step": row.step, "epoch": 0.1, "num_input_tokens_seen": int(row.tokens)}
            before = {**seen, "step": row.step - 1, "num_input_tokens_seen": int(row.tokens) - 1000}
            log += [{**before, "loss": 9.0}, {**seen, "loss": 8.0}]
            log += [{**seen, "eval_loss": row.eval_loss, "eval_runtime": 1.0}]
            at = folder / str(run) / f"checkpoint-{row.step}"
            at.mkdir(parents=True)
            state = {"global_step": row.step, "log_history": log, "best_metric": None}
            (at / "trainer_state.json").write_text(json.dumps(state))
            settings = {"hidden_size": 64, "architectures": ["GPT2LMHeadModel"]}
            (at / "config.json").write_text(json.dumps({**settings, "num_parameters": row.params}))
    return Given(folder, ("--where", "loss>0"))


def evaluations(table: pd.DataFrame, folder: Path) -> Given:
    for row in table.itertuples():
        scores = {
            "wikitext": {"alias": "wikitext", "bits_per_byte,none": row.eval_loss / np.log(2),
                         "bits_per_byte_stderr,none": "N/A"},
            "arc_easy": {"alias": "arc_easy", "acc,none": 0.5, "acc_stderr,none": 0.01},
        }  # fmt: skip
        arguments = f"pretrained=me/{row.run},revision=step{row.step}"
        document = {
            "results": scores,
            "configs": {"wikitext": {"metric_list": [{"metric": "bits_per_byte"}]}},
            "config": {"model": "hf", "model_args": arguments, "model_num_parameters": row.params},
            "model_name": f"me/{row.run}",
        }
        at = folder / f"me__{row.run}"
        at.mkdir(exist_ok=True)
        (at / f"results_step{row.step}.json").write_text(json.dumps(document))
    declared = f"D=step[{TOKENS_PER_STEP}],loss=bits_per_byte[bits/byte]"
    return Given(folder, ("--columns", declared, "--where", "task=wikitext"))


def wide(table: pd.DataFrame, folder: Path) -> Given:
    cells = table.assign(size=table["run"].str.removeprefix("gpt-"))
    cells = cells.pivot(index="tokens", columns="size", values="eval_loss")
    cells.reset_index().to_csv(folder / "wide.csv", index=False)
    return Given(folder / "wide.csv", ("--melt", "N"))


SOURCES: dict[str, Callable[[pd.DataFrame, Path], Given]] = {
    "results folder": results_folder,
    "CSV": of_pandas("runs.csv", lambda table, path: table.to_csv(path, index=False)),
    "TSV": of_pandas("runs.tsv", lambda table, path: table.to_csv(path, index=False, sep="\t")),
    "JSON records": of_pandas("r.json", lambda table, path: table.to_json(path, orient="records")),
    "JSON columns": json_columns,
    "JSON index": json_index,
    "JSON split": of_pandas("r.json", lambda table, path: table.to_json(path, orient="split")),
    "JSON table": of_pandas("r.json", lambda table, path: table.to_json(path, orient="table")),
    "JSON lines": of_pandas(
        "r.jsonl", lambda table, path: table.to_json(path, orient="records", lines=True)
    ),
    "Parquet": of_pandas("runs.parquet", lambda table, path: table.to_parquet(path)),
    "W&B API": wandb_api,
    "W&B chart": wandb_chart,
    "TensorBoard": tensorboard,
    "trainer logs": trainer_logs,
    "lm-eval": evaluations,
    "wide table": wide,
}
