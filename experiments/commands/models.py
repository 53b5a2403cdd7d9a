"""`scaling models`: what named models took, held against each other, a law and a price."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from analysis.named_models.identities import PEAKS, checked, training_price
from analysis.named_models.placing import Placed, placed
from analysis.named_models.registry import Model, find, models
from analysis.planning.device_prices import accelerator
from analysis.published import library
from analysis.tables import results
from analysis.writing import plain
from experiments.commands.console import Justify, console, print_table, write_text
from experiments.commands.options.analyses import ModelsOptions
from sweeps.files import storing

_LAW, _GPU, _MFU, _DOLLARS = "besiroglu2024", "a100", 0.4, 2.0  # where none is given
_SHARES = (0.5, 1.0, 2.0)  # of price and utilisation in a table of costs


def run(options: ModelsOptions) -> int:
    """Lists, shows, compares or prices named models."""
    actions = {"list": _list, "show": _show, "compare": _compare, "train-cost": _train_cost}
    return actions[options.action](options)


def _named(options: ModelsOptions) -> Model:
    if options.name is None:
        raise ValueError(
            f"which model? give its name, e.g. `scaling models {options.action} GPT-3`"
        )
    return find(options.name)


def _sided(n_columns: int) -> list[Justify]:
    """The first column to the left, numbers to the right."""
    return ["left", *("right" for _ in range(n_columns - 1))]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _list(options: ModelsOptions) -> int:
    rows = [
        (
            model.name,
            f"{model.date:%Y-%m}",
            _number(model.parameters),
            _number(model.active) if model.is_sparse else "",
            _number(model.tokens),
            _number(model.flops),
            _number(checked(model).six_n_d),
            _number(checked(model).hardware),
            model.confidence,
        )
        for model in models()
    ]
    headings = ("model", "date", "N", "N active", "D", "C", "6 N D / C", "hardware / C", "known")
    print_table(headings, rows, _sided(len(headings)))
    console.print(
        "\nN parameters, D tokens seen, C training FLOPs as the source counts them; hardware is "
        "chips x hours x peak x utilisation. `scaling models show NAME` prints the sources.",
        soft_wrap=True,
    )
    if options.json is not None:
        write_text(options.json, _as_json([_plain(model) for model in models()]))
    return 0


def _as_json(value: object) -> str:
    return json.dumps(plain(value), indent=1, allow_nan=False)


def _plain(model: Model) -> dict[str, object]:
    return {**asdict(model), "date": str(model.date), **asdict(checked(model))}


def _show(options: ModelsOptions) -> int:
    model = _named(options)
    found = checked(model)
    facts = (
        ("published", f"{model.date}"),
        ("parameters", _number(model.parameters)),
        ("parameters a token uses", _number(model.active) if model.is_sparse else ""),
        ("tokens seen", _number(model.tokens)),
        ("tokens of the data set", _number(model.unique_tokens)),
        ("training FLOPs", _number(model.flops)),
        ("chips", f"{model.chips or ''} {model.chip}".strip()),
        ("hours on all chips", _number(model.hours)),
        ("utilisation", _number(model.utilisation)),
        ("energy, MWh", _number(model.megawatt_hours)),
        ("cost, dollars of 2023", _number(model.dollars_2023)),
        ("6 N D over the FLOPs stated", _number(found.six_n_d)),
        ("chips x hours x peak x utilisation over them", _number(found.hardware)),
        ("known", model.confidence),
        ("note", model.note),
    )  # fmt: skip
    console.print(model.name)
    for what, fact in facts:
        if fact:
            console.print(f"  {what}: {fact}", soft_wrap=True)
    console.print(f"  sources: {'; '.join(model.sources)}", soft_wrap=True)
    if options.json is not None:
        write_text(options.json, _as_json(_plain(model)))
    return 0


def _compare(options: ModelsOptions) -> int:
    entry = library.find(options.law or _LAW)
    found = [each for model in models() if (each := placed(model, entry)) is not None]
    rows = [
        (
            each.model.name,
            _number(each.model.active),
            _number(each.model.tokens),
            f"{each.overtraining * each.best.tokens_per_parameter:.3g}",
            f"{each.best.tokens_per_parameter:.3g}",
            f"{each.overtraining:.3g} x",
            _number(each.best.parameters),
            "" if each.excess is None else f"{each.excess:.4f}",
        )
        for each in found
    ]
    headings = ("model", "N", "D", "D/N", "best D/N", "over-trained", "best N", "loss above best")
    print_table(headings, rows, _sided(len(headings)))
    console.print(
        f"\nbest by {entry.name}: {entry.title} ({entry.paper}). Over-trained: tokens a parameter "
        "over the best's at the same 6 N D; below 1 x a model is under-trained. Losses are those "
        "that the law's own data would give.",
        soft_wrap=True,
    )
    if options.json is not None:
        write_text(options.json, _as_json([_placed(each) for each in found]))
    if options.figure is not None:
        from analysis.plots import style
        from analysis.plots.named_models import placing_figure

        table, stem = pd.DataFrame([_placed(each) for each in found]), Path(options.figure)
        with storing(stem):
            written = style.save(placing_figure(table, entry.name), stem)
            results.write(table, stem.with_suffix(".csv"))
        console.print(f"{', '.join(map(str, (*written, stem.with_suffix('.csv'))))}: written")
    return 0


def _placed(each: Placed) -> dict[str, object]:
    return {
        "model": each.model.name,
        "year": each.model.year,
        "parameters": each.model.active,
        "tokens": each.model.tokens,
        "flops": each.flops,
        "best_parameters": each.best.parameters,
        "best_tokens": each.best.tokens,
        "overtraining": each.overtraining,
        "loss": each.loss,
        "best_loss": each.best.loss,
    }


def _train_cost(options: ModelsOptions) -> int:
    model = _named(options)
    if model.flops is None:
        raise ValueError(
            f"the compute of {model.name} is not known, so it has no price: choose another from "
            "`scaling models list`, or price your own by `scaling allocate --flops`"
        )
    # The share asked for is judged first; others only where they are possible.
    asked = _MFU if options.mfu is None else options.mfu
    dollars = _DOLLARS if options.dollars_per_hour is None else options.dollars_per_hour
    device = accelerator(options.gpu or _GPU, asked, dollars, PEAKS)
    gpu = device.name
    prices = [dollars * share for share in _SHARES]
    shares = [asked * share for share in _SHARES if asked * share <= 1]
    rows = []
    for mfu in shares:
        found = [
            training_price(model.flops, gpu, mfu=mfu, dollars_per_hour=price) for price in prices
        ]
        rows.append(
            (f"{100 * mfu:.3g} %", f"{found[0].hours:,.0f}", *(f"{p.dollars:,.0f}" for p in found))
        )
    speed = f"{device.peak_flops:.4g} FLOP/s peak"
    console.print(f"{model.name}: {model.flops:.3g} FLOPs on {gpu}, {speed}")
    columns = (f"$ at {price:g}/hour" for price in prices)
    headings = ("utilisation", "device-hours", *columns)
    print_table(headings, rows, _sided(len(headings)))
    if model.dollars_2023 is not None:
        console.print(
            f"\n{model.sources[-1]} estimates {model.dollars_2023:,.0f} dollars of 2023.",
            soft_wrap=True,
        )
    if options.json is not None:
        price = training_price(model.flops, gpu, mfu=asked, dollars_per_hour=dollars)
        write_text(options.json, _as_json({"model": model.name, "gpu": gpu, **asdict(price)}))
    return 0
