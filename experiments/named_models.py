"""What did the named models cost, and how far were they from the compute optimum?

Claim: training compute of notable models has grown 4.7 times a year since 2010, that of the
largest four to five times. Six times parameters times tokens is the compute that their makers
state. By Hoffmann's law GPT-3 and what followed it saw a tenth of the tokens that their compute
would have paid for at the best size; Chinchilla was at the optimum, and later models are trained
beyond it on purpose, since a small model is cheaper to use.
Paper: Epoch AI 2024, Training Compute of Frontier AI Models Grows by 4-5x per Year (its table,
CC-BY 4.0, is in the package); Hoffmann et al. 2022 (arXiv 2203.15556) as refitted by Besiroglu et
al. 2024 (arXiv 2404.10102); Kaplan et al. 2020 (arXiv 2001.08361). Sources of each model:
`scaling models show NAME`.
Command: scaling run named_models
Cost: none; nothing is trained.
Expected: growth since 2010 with an interval that holds 4.7, the running top ten at 4 to 5; 6 N D
within 15 % of the compute stated of all models whose tokens are known, those left out whose
compute is that of their chips, restarts included; tokens a parameter of GPT-3 below a fifth of the
best, those of Chinchilla within 40 % of it. Prices are a table over what an hour costs and
utilisation, never one number.
"""

import textwrap
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.estimate import Estimate
from analysis.named_models.growth import growth_a_year
from analysis.named_models.identities import checked, training_price
from analysis.named_models.notable import groups, notable
from analysis.named_models.placing import Placed, placed
from analysis.named_models.registry import Model, models
from analysis.planning.device_prices import Accelerator, accelerator
from analysis.plots import style, ticks
from analysis.plots.named_models import draw_growth, draw_overtraining
from analysis.published import library
from analysis.published.optimum import best_model
from experiments.experiment import Expected, Findings, Json, Measured

LAW, FIRST_LAW = "besiroglu2024", "kaplan2020"
"""The laws whose optimum models are held against: today's, and that which GPT-3 had."""
CHIP, HOUR, UTILISATION = "h100", 2.5, 0.4
"""What a budget buys today: the chip, dollars for an hour of it, and share of its peak."""
HOURS = (1.25, 2.5, 5.0)
UTILISATIONS = (0.2, 0.4, 0.6)
PRICED = ("GPT-3", "PaLM", "Llama 3.1-405B")


class Facts(NamedTuple):
    """What is known: the named models, and the wider table of notable ones."""

    named: tuple[Model, ...]
    notable: pd.DataFrame


def _facts() -> Facts:
    """The facts that are in the package."""
    return Facts(models(), notable())


FACTS = _facts


_EPOCH = "Epoch AI 2024"
_HOFFMANN = "Hoffmann et al. 2022, section 4"

EXPECTED = (
    Expected(
        name="since_2010",
        says="growth of training compute a year, notable models since 2010",
        target=4.7,
        source=_EPOCH,
    ),
    Expected(
        name="top_ten",
        says="growth a year, running top ten since 2018",
        low=4.0,
        high=5.0,
        source=f"{_EPOCH}: four to five times",
    ),
    Expected(
        name="six_n_d",
        says="largest distance of 6 N D from the compute stated, share of it",
        high=0.15,
        source="identity: forward 2 N, backward 4 N FLOPs a token",
    ),
    Expected(
        name="hardware",
        says="chips x hours x peak x utilisation over the compute stated, median",
        low=0.9,
        high=1.25,
        source="identity; hours that hold restarts make it larger",
    ),
    Expected(
        name="gpt_3",
        says="tokens a parameter of GPT-3 over the best's",
        high=0.2,
        source=f"{_HOFFMANN}: far too large for its tokens",
    ),
    Expected(
        name="chinchilla",
        says="tokens a parameter of Chinchilla over the best's",
        low=0.7,
        high=1.4,
        source=_HOFFMANN,
    ),
)

CAPTION = (
    "(a) Training compute of notable models, and (b) its growth a year by period and domain, with "
    "95 % intervals and numbers of models.",
    "Since 2010 it grew {since_2010} times a year.",
    "(c) Tokens a parameter of named models over those that are best for their compute.",
    "GPT-3 saw {gpt_3} of them, Chinchilla {chinchilla}.",
    "(d) Price of three trainings over utilisation; bands are half and twice the price of an hour.",
)
ALT = (
    "Four panels: compute rising {since_2010} times a year, growth by group, tokens a parameter "
    "over the optimum from {gpt_3} for GPT-3 upwards, and falling prices over utilisation.",
)


class Details(NamedTuple):
    """What the figure draws."""

    groups: dict[str, tuple[pd.DataFrame, Estimate]]
    placed: list[Placed]
    priced: list[Model]


def analyse(facts: Facts) -> Findings[Details]:
    """Finds growth by group, checks the identities, and places and prices each model."""
    grown = {
        name: (rows, growth_a_year(rows["year"], rows["flops"]))
        for name, rows in groups(facts.notable).items()
    }
    law = library.find(LAW)
    places = [each for model in facts.named if (each := placed(model, law)) is not None]
    ratio = {each.model.name: each.overtraining for each in places}
    measured = {
        name.replace(" ", "_"): Measured(
            value=each.value, low=each.low, high=each.high, note=f"{len(rows)} models"
        )
        for name, (rows, each) in grown.items()
    }
    measured |= {
        "gpt_3": Measured(value=ratio["GPT-3"]),
        "chinchilla": Measured(value=ratio["Chinchilla"]),
    }
    shown = pd.DataFrame([_row(model) for model in facts.named])
    return Findings(
        measured=measured | _identities(facts.named),
        verdict=_verdict(grown, shown),
        shown=shown,
        details=Details(grown, places, [each for each in facts.named if each.name in PRICED]),
        report={
            "growth a year": {name: _plain(each) for name, (_, each) in grown.items()},
            "dollars": {each.name: _prices(each) for each in facts.named if each.flops},
        },
    )


def _identities(named: tuple[Model, ...]) -> dict[str, Measured]:
    """How far the two ways to the compute of models are from what their sources state."""
    of_model = [each for each in named if each.flops_of == "model"]
    off = {each.name: abs(n - 1) for each in of_model if (n := checked(each).six_n_d) is not None}
    by_chips = {each.name: n for each in named if (n := checked(each).hardware) is not None}
    worst, largest = max(off, key=off.__getitem__), max(by_chips, key=by_chips.__getitem__)
    left_out = [each.name for each in named if each.flops_of != "model"]
    return {
        "six_n_d": Measured(
            value=off[worst], note=f"{worst}; {len(off)} models, without {', '.join(left_out)}"
        ),
        "hardware": Measured(
            value=float(np.median(list(by_chips.values()))),
            note=f"{len(by_chips)} models; {largest} {by_chips[largest]:.2f}",
        ),
    }


def _row(model: Model) -> dict[str, object]:
    """A model's facts, identities, places and prices."""
    found = {name: placed(model, library.find(name)) for name in (LAW, FIRST_LAW)}
    here, first = found[LAW], found[FIRST_LAW]
    check = checked(model)
    row: dict[str, object] = {
        "model": model.name,
        "year": model.year,
        "parameters": model.active,
        "tokens": model.tokens,
        "flops": model.flops,
        "confidence": model.confidence,
        "six_n_d": check.six_n_d,
        "hardware": check.hardware,
        "overtraining": here and here.overtraining,
        f"overtraining_{FIRST_LAW}": first and first.overtraining,
        "excess_loss_nats": here and here.excess,
        "best_parameters": here and here.best.parameters,
        "best_tokens": here and here.best.tokens,
    }
    return row | _today(model)


def _today(model: Model) -> dict[str, object]:
    """What a model's compute costs today, and what its price then buys today."""
    device, law = _device(), library.find(LAW)
    row: dict[str, object] = {"dollars_today": model.flops and device.dollars(model.flops)}
    if model.dollars_2023 is not None:
        flops = device.flops(device.hours_for(model.dollars_2023))
        best = best_model(law, flops)
        row |= {
            "dollars_2023": model.dollars_2023,
            "flops_for_dollars_today": flops,
            "parameters_for_dollars_today": best.parameters,
            "tokens_for_dollars_today": best.tokens,
        }
    return row


def _device() -> Accelerator:
    return accelerator(CHIP, UTILISATION, HOUR)


def _prices(model: Model) -> Json:
    """Dollars of a training by utilisation and by the price of an hour."""
    assert model.flops is not None
    return {
        f"utilisation {mfu:g}": {
            f"{hour:g} dollars an hour": training_price(
                model.flops, CHIP, mfu=mfu, dollars_per_hour=hour
            ).dollars
            for hour in HOURS
        }
        for mfu in UTILISATIONS
    }


def _plain(estimate: Estimate) -> Json:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _verdict(grown: dict[str, tuple[pd.DataFrame, Estimate]], shown: pd.DataFrame) -> str:
    by_name = shown.set_index("model")
    gpt3, llama = by_name.loc["GPT-3"], by_name.loc["Llama 3.1-405B"]
    lines = ", ".join(f"{name} {each.value:.3g}" for name, (_, each) in grown.items())
    before = by_name.loc[by_name["year"].between(2020, 2023), "overtraining"].dropna()
    under = (before < 0.5).sum()
    return (
        f"Compute grows, times a year: {lines}.\n"
        f"{under} of {len(before)} models of 2020 to 2022 saw less than half of the tokens a "
        f"parameter that were best for their compute; GPT-3 {gpt3['overtraining']:.2f} of them, "
        f"though {gpt3[f'overtraining_{FIRST_LAW}']:.1f} times those of the law of its time. Llama "
        f"3.1 saw {llama['overtraining']:.1f} times the best.\n"
        f"The compute of GPT-3 at the best size is {gpt3['best_parameters']:.2g} parameters on "
        f"{gpt3['best_tokens']:.2g} tokens; it costs ${gpt3['dollars_today']:,.0f} at "
        f"${HOUR:g} an hour of {CHIP} and {UTILISATION:.0%} utilisation."
    )


def figure(findings: Findings[Details]) -> Figure:
    """Draws compute over time, growth by group, over-training over time, and prices."""
    details = findings.details
    with style.paper_figure(2, 2, height=5.2) as (drawing, axes):
        overview(axes[0, 0], findings)
        _draw_groups(axes[0, 1], details.groups)
        draw_overtraining(
            axes[1, 0],
            pd.DataFrame(
                {"model": p.model.name, "year": p.model.year, "overtraining": p.overtraining}
                for p in details.placed
            ),
        )
        _draw_prices(axes[1, 1], details.priced)
    return drawing


def overview(ax: Axes, findings: Findings[Details]) -> None:
    """Draws compute over time with lines of growth."""
    lines = [findings.details.groups[name] for name in ("since 2010", "top ten")]
    draw_growth(ax, lines[0][0], lines)


def _draw_groups(ax: Axes, grown: dict[str, tuple[pd.DataFrame, Estimate]]) -> None:
    for at, (_, each) in enumerate(grown.values()):
        reach = [[each.value - each.low], [each.high - each.value]]
        ax.errorbar([each.value], [at], xerr=reach, **style.SERIES[0].marks(), capsize=2,
                    elinewidth=0.9)  # fmt: skip
    ax.axvline(4.7, color=style.GREY, linewidth=0.8)
    names = [f"{name} ({len(rows)})" for name, (rows, _) in grown.items()]
    ax.set_yticks(range(len(grown)), [textwrap.fill(name, 18) for name in names], fontsize=7)
    ax.invert_yaxis()
    ticks.log_scale(ax, "x")
    ax.set_xlabel("growth a year, 95 % (line: 4.7)")


def _draw_prices(ax: Axes, priced: list[Model]) -> None:
    """The price of trainings over utilisation; the band is a price of half and of twice an hour."""
    share = np.linspace(min(UTILISATIONS), max(UTILISATIONS), 40)
    for look, model in zip(style.SERIES, priced, strict=False):
        assert model.flops is not None
        dollars = np.array([accelerator(CHIP, u, 1.0).hours(model.flops) for u in share])
        ax.plot(share, HOUR * dollars, **look.line(), label=model.name)
        ax.fill_between(share, HOURS[0] * dollars, HOURS[-1] * dollars, color=look.color, alpha=0.2,
                        linewidth=0)  # fmt: skip
    ax.set(yscale="log", xlabel=f"utilisation of {CHIP.upper()}s")
    ax.set_ylabel(f"dollars at {HOUR:g} an hour ({HOURS[0]:g} to {HOURS[-1]:g})")
    ticks.log_ticks(ax, "y", most=6)
    style.legend_above(ax)
