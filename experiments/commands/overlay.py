"""Published laws beside the runs of an experiment, in one way to count and one unit of loss.

A run counts N in three ways and tokens as its own tokenizer makes them, and it knows its loss per
byte. A law counts as its paper does. Before they are compared, N is taken as the law counts it, and
tokens and loss are converted to those of the law's tokenizer.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.estimate import Floats
from analysis.published import library
from analysis.published.conversions import convert_loss
from analysis.published.entry import Curve, Entry
from analysis.tables import results
from experiments.commands.console import console, print_table
from scaling.pretraining import Pretraining
from scaling.record import RunRecord
from sweeps.files import storing
from sweeps.plan import Plan

_INPUTS = {"N", "D", "C"}


class Law(NamedTuple):
    """A published law that can stand beside runs: its curve, and bytes a token of its tokenizer."""

    entry: Entry
    curve: Curve
    bytes_per_token: float | None


def laws(names: Sequence[str], plans: Sequence[Plan], bytes_per_token: float | None) -> list[Law]:
    """Returns the laws asked for, before anything is spent.

    Raises:
        ValueError: An unknown law; one of no loss in N, D or C, of a count of N that runs do not
            record, or per token without the bytes of a token; runs that predict no tokens.
    """
    configs = [config for plan in plans for config in plan.configs]
    if names and not (configs and all(isinstance(c.train, Pretraining) for c in configs)):
        raise ValueError(
            f"--beside {names[0]}: a published law of the loss takes language models, and some of "
            "these runs are none: choose an experiment such as chinchilla"
        )
    return [_law(library.find(name), bytes_per_token) for name in names]


def _law(entry: Entry, bytes_per_token: float | None) -> Law:
    fitting = [
        curve
        for curve in entry.curves
        if curve.output == "loss" and set(curve.law.inputs) <= _INPUTS
    ]
    if not fitting or entry.loss_unit is None:
        gives = dict.fromkeys(curve.signature for curve in entry.curves)
        raise ValueError(
            f"--beside {entry.name} gives {', '.join(gives)}, but runs are held against a loss of "
            "N, D or C: choose another law from `scaling laws`"
        )
    curve = max(fitting, key=lambda each: len(each.law.inputs))
    if entry.count is None and set(curve.law.inputs) & {"N", "C"}:
        raise ValueError(
            f"--beside {entry.name} counts N as {entry.parameters or 'it does not say'}, and runs "
            "count it as total, non_embedding and matmul: choose another law from `scaling laws`"
        )
    if entry.loss_unit.endswith("/token") and bytes_per_token is None:
        raise ValueError(
            f"--beside {entry.name}: its loss is in {entry.loss}, and runs are compared byte by "
            "byte: give --bytes-per-token, the bytes that a token of its tokenizer stands for, "
            "such as 4.3"
        )
    return Law(entry, curve, bytes_per_token)


def show(laws: Sequence[Law], records: Sequence[RunRecord], folder: Path) -> None:
    """Prints runs over laws, and draws them into a folder as beside.pdf, .png and .csv."""
    done = [record for record in records if record.status == "done" and record.eval_bits_per_byte]
    if not laws:
        return
    if not done:
        console.print("beside published laws: no run has a loss per byte")
        return
    nats_per_byte = np.array([(record.eval_bits_per_byte or 0) * math.log(2) for record in done])
    flops = np.array([record.flops_train or math.nan for record in done])
    shown = pd.DataFrame({"flops": flops, "runs": nats_per_byte})
    rows = []
    for law in laws:
        at = _inputs(law, done, nats_per_byte)
        unit = law.entry.loss_unit
        assert unit is not None
        shown[law.entry.name] = [
            convert_loss(float(loss), unit, "nats/byte", law.bytes_per_token)
            for loss in law.curve.predict(at)
        ]
        residuals = np.log(shown["runs"] / shown[law.entry.name])
        beyond = max(law.curve.beyond(at).values(), default=1.0) if law.curve.ranges else math.nan
        far = "unknown" if math.isnan(beyond) else "" if beyond <= 1 else f"{beyond:.3g} x"
        rows.append(
            (law.entry.name, law.curve.name, f"{residuals.mean():+.4f}",
             f"{np.sqrt(np.mean(residuals**2)):.4f}", far)
        )  # fmt: skip
    _draw(shown, folder)
    console.print("beside published laws: log of the runs' loss over the law's, nats/byte")
    print_table(("law", "curve", "mean", "rms", "beyond its data"), rows,
                ("left", "left", "right", "right", "left"))  # fmt: skip
    console.print(f"{folder}: beside (.pdf .png .csv)")
    console.print(
        "N is counted as each law counts it, tokens are those of its tokenizer; other texts have "
        "other losses",
        soft_wrap=True,
    )


def _inputs(law: Law, records: Sequence[RunRecord], nats_per_byte: Floats) -> dict[str, Floats]:
    """N, D and C of runs, as the law counts them; only those that its curve takes."""
    count = law.entry.count or "total"

    def column(name: str) -> Floats:
        return np.array([getattr(record, name) for record in records], dtype=np.float64)

    bytes_seen = column("n_tokens_seen") * column("eval_loss_nats") / nats_per_byte
    values = {
        "N": column(f"n_params_{count}"),
        "D": bytes_seen / (law.bytes_per_token or 1.0),
        "C": column(f"flops_train_6n_{count}_d"),
    }
    return {name: values[name] for name in law.curve.law.inputs}


def _draw(shown: pd.DataFrame, folder: Path) -> None:
    # A run without --beside needs no more of matplotlib than its own figure does.
    from analysis.plots import style
    from analysis.plots.published import overlay_figure

    with storing(folder):
        style.save(overlay_figure(shown), folder / "beside")
        results.write(shown, folder / "beside.csv")
