"""The commands of `scaling` that start from a table of runs, or from a fit of one."""

from __future__ import annotations

from typing import Annotated, Literal

from tyro.conf import Positional, arg

TableFile = Annotated[
    Positional[str],
    arg(metavar="TABLE", help="CSV, TSV, JSON (lines), Parquet or a results folder."),
]
Columns = Annotated[
    str | None,
    arg(metavar="Q=COLUMN[UNIT],...", help="E.g. N=params[1e6],D=tokens,loss=val_loss."),
]
Where = Annotated[str | None, arg(metavar="COLUMN=VALUE,...", help="Take these rows alone.")]
Flagged = Annotated[
    Literal["keep", "drop"] | None,
    arg(help="Doubtful rows; by default kept, but repeats and mixed units are refused."),
]
Huber = Annotated[
    float | None,
    arg(metavar="DELTA", help="Huber's threshold on log loss; by default squared error."),
]
FitFile = Annotated[str, arg(metavar="FILE", help="What `scaling fit --json` wrote.")]
Span = tuple[float, float] | None
Bootstrap = Literal["units", "within_x", "residuals", "parametric", "rows", "sandwich"]


def fit(
    table: TableFile,
    law: Annotated[str, arg(help="Name of a law, or your own as module:NAME.")],
    columns: Columns = None,
    where: Where = None,
    flagged: Flagged = None,
    huber: Huber = None,
    above: Annotated[
        float, arg(help="Factor of the loss of rows above the curve; 0.1 fits the floor.")
    ] = 1.0,
    fix: Annotated[
        str | None, arg(metavar="NAME=NUMBER,...", help="Hold parameters; fit the others.")
    ] = None,
    bootstrap: Annotated[
        Bootstrap | None,
        arg(help="What is redrawn: rows (cases), units (runs), ...; by default as rows allow."),
    ] = None,
    json: Annotated[
        str | None, arg(metavar="FILE", help="Write fit, profiles, alternatives and source.")
    ] = None,
    latex: Annotated[str | None, arg(metavar="FILE", help="Write the table of a paper.")] = None,
    figures: Annotated[
        str | None, arg(metavar="FOLDER", help="Draw the fit, its residuals, profiles, ...")
    ] = None,
) -> int:
    """Fit a scaling law to a table; tell how far to trust it and how other choices change it."""
    from experiments.commands import fit as fitting

    return fitting.run(
        table,
        law,
        columns,
        where,
        huber=huber,
        above=above,
        fix=fix,
        bootstrap=bootstrap,
        flagged=flagged,
        json_to=json,
        latex_to=latex,
        figures_to=figures,
    )


def rank(
    table: TableFile,
    columns: Columns = None,
    where: Where = None,
    flagged: Flagged = None,
    along: Annotated[
        str | None, arg(metavar="Q", help="Extrapolate over N, D or C; by default compute.")
    ] = None,
    huber: Huber = None,
    json: Annotated[str | None, arg(metavar="FILE", help="Write the ranking.")] = None,
    figure: Annotated[
        str | None, arg(metavar="STEM", help="Draw the best laws over rows held out.")
    ] = None,
) -> int:
    """Rank the laws that apply to a table by how well they foretell its larger sizes."""
    from experiments.commands import rank as ranking

    return ranking.run(table, columns, where, flagged, along, huber, json, figure)


def isoflop(
    table: TableFile,
    columns: Columns = None,
    where: Where = None,
    curves: Annotated[bool, arg(help="Rows are learning curves: read them off.")] = False,
    budgets: Annotated[
        str | None, arg(metavar="FLOPS,...", help="With --curves: where to read off.")
    ] = None,
    span: Annotated[
        float | None, arg(help="Fit parabolas to sizes within this factor of the lowest loss.")
    ] = None,
    noise: Annotated[
        float | None, arg(help="Standard deviation of a loss over seeds, in nats.")
    ] = None,
    flops: Annotated[
        float | None, arg(help="Compute to allocate; by default the largest of the table.")
    ] = None,
    out: Annotated[
        str | None, arg(metavar="FOLDER", help="Write figure.pdf .png .csv and report.json.")
    ] = None,
) -> int:
    """Find the best size at each compute, by approaches 1, 2 and 3 of Hoffmann et al."""
    from experiments.commands import isoflop as isoflops

    return isoflops.run(
        table,
        columns=columns,
        where=where,
        curves=curves,
        budgets=budgets,
        span=span,
        noise=noise,
        flops=flops,
        out=out,
    )


def allocate(
    fit: FitFile,
    flops: Annotated[float | None, arg(help="Budget: training FLOPs, 6 N D.")] = None,
    hours: Annotated[float | None, arg(help="Budget: device-hours; with --gpu and --mfu.")] = None,
    price: Annotated[
        float | None, arg(help="Budget: dollars; with --gpu, --mfu and --dollars-per-hour.")
    ] = None,
    gpu: Annotated[str | None, arg(help="Accelerator, e.g. h100, h200, tpu-v5p.")] = None,
    mfu: Annotated[float | None, arg(help="Model FLOPs utilisation, e.g. 0.4.")] = None,
    dollars_per_hour: Annotated[float | None, arg(help="Price of a device-hour.")] = None,
    inference_tokens: Annotated[
        float | None, arg(help="Tokens to be served: adds the over-trained model.")
    ] = None,
    unique_tokens: Annotated[
        float | None, arg(help="Tokens there are; more are repeats (data_constrained).")
    ] = None,
    json: Annotated[str | None, arg(metavar="FILE", help="Write the allocation.")] = None,
    figure: Annotated[
        str | None, arg(metavar="STEM", help="Draw STEM.pdf and .png, with CSVs.")
    ] = None,
) -> int:
    """Say what to train on a budget, what being off costs, and what serving it changes."""
    from experiments.commands import allocate as allocating

    return allocating.run(
        fit,
        flops=flops,
        hours=hours,
        price=price,
        gpu=gpu,
        mfu=mfu,
        dollars_per_hour=dollars_per_hour,
        inference_tokens=inference_tokens,
        unique_tokens=unique_tokens,
        to=json,
        figure=figure,
    )


def design(
    fit: FitFile,
    flops: Annotated[float, arg(help="Budget: the sum of 6 N D over the runs.")],
    quantity: Annotated[str, arg(help="A parameter, a derived number such as a, or loss.")],
    at: Annotated[
        str | None, arg(metavar="N=..,D=..", help="Target of loss: N=1e9,D=2e10 or C=1e21.")
    ] = None,
    cells: Annotated[int, arg(help="Runs at most, repeats counted.")] = 8,
    sizes: Annotated[Span, arg(help="Least and largest N; 3 x beyond the fitted.")] = None,
    tokens: Annotated[Span, arg(help="Least and largest D; likewise.")] = None,
    to: Annotated[
        str | None, arg(metavar="FILE", help="Write the cells as .csv or .parquet.")
    ] = None,
) -> int:
    """Say which runs would shrink the interval of a number most, and write them as a sweep."""
    from experiments.commands import design as designing

    return designing.run(
        fit,
        flops=flops,
        quantity=quantity,
        at=at,
        cells=cells,
        sizes=sizes,
        tokens=tokens,
        to=to,
    )


def reproduce(
    name: Annotated[Positional[str], arg(metavar="PAPER", help="E.g. besiroglu2024.")],
    out: Annotated[
        str, arg(metavar="FOLDER", help="Where figure and report go.")
    ] = "results/reproductions",
) -> int:
    """Refit a published result; print published beside refitted. Exit status 1 on drift."""
    from experiments.commands import reproduce as reproducing

    return reproducing.run(name, out)
